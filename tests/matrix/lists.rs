//! Lists, prompts, resources and completion in every cell.

use std::time::Instant;

use serde_json::{Value, json};

use super::board::DEADLINE;
use super::board::Setup;
use super::peer::{House, MODERN};
use super::{Cell, check_result, each, since};

const LISTS: [(&str, &str, &str); 4] = [
    ("tools/list", "tools", "name"),
    ("prompts/list", "prompts", "name"),
    ("resources/list", "resources", "uri"),
    ("resources/templates/list", "resourceTemplates", "uriTemplate"),
];

/// Checks 31, 32, 33, 35, 38, 39: all pages of every server, in one order, with everything that we do not know of.
fn lists(cell: &Cell<'_>) {
    for (method, key, _) in LISTS {
        let first = cell.peer.call(method, json!({}));
        let result = check_result(cell, &first, true);
        if cell.has_modern_client() {
            assert_eq!(result["cacheScope"], "private", "check 39: older servers are among them");
        }
        assert!(result.get("nextCursor").is_none(), "{method}: {:.300}", first.raw);
        let again = cell.peer.call(method, json!({}));
        assert_eq!(first.result, again.result, "check 31: {method}");
        assert_eq!(
            cell.peer.call(method, json!({ "cursor": "no such" })).code(),
            -32602,
            "check 34: {method}"
        );
        let own: Vec<Value> =
            result[key].as_array().unwrap().iter().filter(|item| belongs(cell, item)).cloned().collect();
        let expected = match key {
            "tools" => 17,
            "prompts" => 4,
            "resources" => 5,
            _ => 1,
        };
        assert_eq!(own.len(), expected, "{method}: {own:#?}");
    }
    let list = cell.peer.call("tools/list", json!({})).result();
    let of = |name: &str| {
        let tools = list["tools"].as_array().unwrap();
        tools.iter().find(|tool| tool["name"] == cell.name(name)).unwrap().clone()
    };
    assert_eq!(of("echo")["x-vendor"]["kept"].to_string(), "1.10");
    assert_eq!(of("object")["outputSchema"]["type"], "object");
}

fn belongs(cell: &Cell<'_>, item: &Value) -> bool {
    ["name", "uri", "uriTemplate"].iter().any(|key| {
        item[key]
            .as_str()
            .is_some_and(|text| text.starts_with(&cell.name("")) || text.starts_with(&cell.uri("")))
    })
}

#[test]
fn lists_over_stdio() {
    each(false, "matrix", lists);
}

#[test]
fn lists_over_http() {
    each(true, "matrix", lists);
}

/// Check 35: a schema whose root is no object is one of the modern era, and is for its clients.
#[test]
fn schemas_of_any_kind_reach_modern_clients() {
    each(false, "matrix", |cell| {
        let list = cell.peer.call("tools/list", json!({})).result();
        let tools = list["tools"].as_array().unwrap();
        let tool = tools.iter().find(|tool| tool["name"] == cell.name("list")).unwrap();
        if cell.has_modern_server() {
            assert_eq!(tool.get("outputSchema").is_some(), cell.has_modern_client(), "{tool}");
        }
    });
}

/// Check 38: a merged list may be kept as long as each of its parts may, by those who may keep every part.
#[test]
fn a_list_may_be_kept_as_long_as_each_of_its_parts() {
    let part = |cache: &str| format!("revisions: 2026-07-28\n{cache}\ntools: {{ echo: {{ answer: ok }} }}\n");
    let hints = |others: &[(&str, &str)]| {
        let setup = Setup::new().script("a", &part("cache: { ttl: 60s, scope: public }"));
        let setup = others.iter().fold(setup, |setup, (name, script)| setup.script(name, script));
        let house = House::stdio(setup);
        let peer = house.peer(MODERN);
        for name in others.iter().map(|(name, _)| *name).chain(["a"]) {
            peer.list_with("tools/list", &format!("{name}__echo"));
        }
        // The other lists come after the tools.
        let until = Instant::now() + DEADLINE;
        let list = loop {
            let list = peer.call("tools/list", json!({})).result();
            if list["ttlMs"] != 0 || others.len() == 2 || Instant::now() > until {
                break list;
            }
        };
        drop(peer);
        house.close();
        (list["ttlMs"].as_u64().unwrap(), list["cacheScope"].as_str().unwrap().to_owned())
    };
    let public = part("cache: { ttl: 50s, scope: public }");
    let private = part("cache: { ttl: 70s, scope: private }");
    let (ttl, scope) = hints(&[("b", &public)]);
    assert!((30_000..=50_000).contains(&ttl) && scope == "public", "{ttl} {scope}");
    let (ttl, scope) = hints(&[("b", &private)]);
    assert!((40_000..=60_000).contains(&ttl) && scope == "private", "{ttl} {scope}");
    let older = "tools: { echo: { answer: ok } }";
    assert_eq!(hints(&[("b", &public), ("c", older)]), (0, "private".to_owned()));
}

/// Prompts, with content in the words of the client's revision.
fn prompts(cell: &Cell<'_>) {
    let get = |name: &str, arguments: Value| {
        cell.peer.call("prompts/get", json!({ "name": cell.name(name), "arguments": arguments }))
    };
    let greeting = get("greet", json!({ "who": "Ada" }));
    let result = check_result(cell, &greeting, false);
    assert_eq!(result["messages"][0]["content"]["text"], "Greet Ada.");
    assert_eq!(result["messages"][1]["role"], "assistant");
    let link = get("link", json!({})).result()["messages"][0]["content"].clone();
    let is_link = link["type"] == "resource_link";
    if since(cell.client, "2025-06-18") || cell.server <= cell.client {
        assert!(is_link, "{link}");
    } else {
        assert_eq!(link["text"], format!("[one]({})", cell.uri("//one")), "{link}");
    }
    assert_eq!(get("nobody", json!({})).code(), -32602);
}

#[test]
fn prompts_over_stdio() {
    each(false, "matrix", prompts);
}

#[test]
fn prompts_over_http() {
    each(true, "matrix", prompts);
}

/// Checks 21, 38, 45: resources, and the code that says that one is not there, whatever the server's was.
fn resources(cell: &Cell<'_>) {
    let read = |uri: &str| cell.peer.call("resources/read", json!({ "uri": cell.uri(uri) }));
    let one = read("//one");
    let result = check_result(cell, &one, true);
    assert_eq!(result["contents"][0]["text"], "first");
    assert_eq!(result["contents"][0]["uri"], cell.uri("//one"));
    if cell.has_modern_client() {
        let scope = if cell.has_modern_server() { "public" } else { "private" };
        assert_eq!(result["cacheScope"], scope);
        assert_eq!(result["ttlMs"].as_u64().unwrap() > 0, cell.has_modern_server());
    }
    assert_eq!(read("//three").result()["contents"][0]["blob"], "AAAA");
    assert_eq!(read("//by/Ada").result()["contents"][0]["text"], "notes by Ada");
    let missing = if cell.has_modern_client() { -32602 } else { -32002 };
    let gone = read("//gone").error();
    assert_eq!(gone["code"], missing, "{gone}");
    assert_eq!(gone["data"]["uri"], cell.uri("//gone"), "check 44");
    let lost = read("//lost").error();
    // To a legacy server -32602 means that something else is wrong.
    let expected = if cell.has_modern_server() { missing } else { -32602 };
    assert_eq!(lost["code"], expected, "{lost}");
    let unknown = cell.peer.call("resources/read", json!({ "uri": "nobody:has/it" })).error();
    assert_eq!(unknown["code"], missing, "{unknown}");
}

#[test]
fn resources_over_stdio() {
    each(false, "matrix", resources);
}

#[test]
fn resources_over_http() {
    each(true, "matrix", resources);
}

/// Check 69: completion goes where the prompt or the template is.
fn completion(cell: &Cell<'_>) {
    let complete = |reference: Value, name: &str, value: &str| {
        let params = json!({ "ref": reference, "argument": { "name": name, "value": value },
                             "context": { "arguments": { "who": "Ada" } } });
        cell.peer.call("completion/complete", params)
    };
    let prompt = json!({ "type": "ref/prompt", "name": cell.name("greet") });
    let answer = complete(prompt.clone(), "who", "A");
    assert_eq!(check_result(cell, &answer, false)["completion"]["values"], json!(["Ada", "Alan"]));
    assert_eq!(complete(prompt, "tone", "").result()["completion"]["values"], json!(["kind"]));
    let template = json!({ "type": "ref/resource", "uri": cell.uri("//by/{author}") });
    assert_eq!(complete(template, "author", "G").result()["completion"]["values"], json!(["Grace"]));
    let nobody = json!({ "type": "ref/prompt", "name": "nobody" });
    assert_eq!(complete(nobody, "who", "").code(), -32602);
    let requests = cell.received(|line| line["method"] == "completion/complete");
    let knows = since(cell.server, "2025-06-18");
    assert!(requests.iter().all(|line| line["params"]["ref"]["name"] != cell.name("greet")));
    if cell.client != cell.server {
        assert!(
            requests.iter().all(|line| line["params"].get("context").is_some() == knows),
            "{requests:#?}"
        );
    }
}

#[test]
fn completion_over_stdio() {
    each(false, "matrix", completion);
}

#[test]
fn completion_over_http() {
    each(true, "matrix", completion);
}
