//! `server-memory`: nine tools on one graph, structured content, one resource that can be subscribed to.

use serde_json::json;

use crate::case::{Case, call, read};

pub(crate) fn cases() -> Vec<Case> {
    let entity = |name: &str| json!({ "name": name, "entityType": "person", "observations": ["likes ☃"] });
    let relation = json!({ "from": "Ada", "to": "Bob", "relationType": "knows" });
    vec![
        call("read_graph", json!({})).with("empty"),
        call("create_entities", json!({ "entities": [entity("Ada"), entity("Bob"), entity("Eve")] })),
        call("create_entities", json!({ "entities": [entity("Ada")] })).with("again"),
        call("create_relations", json!({ "relations": [relation] })),
        call(
            "add_observations",
            json!({ "observations": [{ "entityName": "Ada", "contents": ["writes ä"] }] }),
        ),
        call("add_observations", json!({ "observations": [{ "entityName": "Nobody", "contents": ["x"] }] }))
            .with("of nobody"),
        call("read_graph", json!({})),
        call("search_nodes", json!({ "query": "writes" })),
        call("open_nodes", json!({ "names": ["Ada", "Bob"] })),
        call(
            "delete_observations",
            json!({ "deletions": [{ "entityName": "Ada", "observations": ["likes ☃"] }] }),
        ),
        call("delete_relations", json!({ "relations": [relation] })),
        call("delete_entities", json!({ "entityNames": ["Eve"] })),
        read("memory://knowledge-graph"),
        call("open_nodes", json!({})).with("argument missing"),
        call("create_entities", json!({ "entities": [{ "name": 1 }] })).with("argument of wrong type"),
        call("no_such_tool", json!({})).refused_here(),
    ]
}
