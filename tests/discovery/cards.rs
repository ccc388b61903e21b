//! What hosts publish of their servers.

use crate::mock::Mock;
use crate::strangers::{Stranger, answer};
use crate::{Machine, names, port, server, tools};

#[test]
fn a_card_says_where_the_server_is() {
    for (path, card) in [
        (
            "/.well-known/mcp/server-card.json",
            r#"{ name: io.example/hidden, version: 1.0.0, description: "Hides.", remotes: [ { type: streamable-http, url: "{{mock.url}}/elsewhere" } ] }"#,
        ),
        (
            "/.well-known/mcp.json",
            r#"{ serverInfo: { name: hidden }, transport: { type: streamable-http, endpoint: /elsewhere } }"#,
        ),
    ] {
        let mock = Mock::http(&format!(
            "server: {{ name: hidden }}\ntools: {{ seek: ok }}\nhttp:\n  path: /elsewhere\n  paths: {{ {path}: {{ body: {card} }} }}\n"
        ));
        let found = Machine::new().discover(&["--port", port(&mock.url)]);
        let one = server(&found, "hidden");
        assert_eq!(tools(one), ["seek"], "{path}: {found:#}");
        assert!(one["source"].as_str().unwrap().starts_with("card of http://localhost:"), "{found:#}");
        assert!(one["entry"]["url"].as_str().unwrap().ends_with("/elsewhere"));
    }
}

#[test]
fn a_catalog_lists_servers_and_only_this_host_is_asked() {
    let other = Stranger::http(answer("200 OK", b"{}"));
    let elsewhere = &other.port;
    let catalog = format!(
        r#"{{ specVersion: draft, entries: [
            {{ identifier: "urn:air:a:one", displayName: One, type: application/mcp-server-card+json, url: /cards/one }},
            {{ identifier: "urn:air:a:two", displayName: Two, type: application/mcp-server-card+json, url: "http://localhost:{elsewhere}/card" }},
            {{ identifier: "urn:air:a:inline", displayName: In, type: application/mcp-server-card+json, data: {{ name: a/inline, remotes: [ {{ type: sse, url: "http://localhost:{elsewhere}/sse" }} ] }} }},
            {{ identifier: "urn:air:a:agent", displayName: Agent, type: application/a2a-agent-card+json, url: /cards/agent }},
        ] }}"#
    );
    let card = r#"{ name: a/one, description: "One.", remotes: [ { type: streamable-http, url: "{{mock.url}}/tools/mcp" } ] }"#;
    let mock = Mock::http(&format!(
        "server: {{ name: one }}\ntools: {{ seek: ok }}\nhttp:\n  path: /tools/mcp\n  paths: {{ /.well-known/mcp/catalog.json: {{ body: {catalog} }}, /cards/one: {{ body: {card} }} }}\n"
    ));
    let found = Machine::new().discover(&["--port", port(&mock.url)]);
    assert_eq!(names(&found), ["inline", "one"], "{found:#}");
    assert_eq!(tools(server(&found, "one")), ["seek"]);
    assert!(server(&found, "inline")["problem"].as_str().unwrap().contains("another host"), "{found:#}");
    assert_eq!(other.connections(), 0);
}
