//! Registries. A Consul cannot be installed by the package manager of the machines that run these tests, so its protocol is
//! recorded here: the answers have the shape that Consul's documentation and its API show. For etcd there is a real one.

use serde_json::json;

use crate::mock::Mock;
use crate::strangers::{Stranger, answer};
use crate::{Machine, names, port, server, tools};

#[test]
fn consul_names_services_by_their_tag() {
    let one = Mock::http("server: { name: anything }\ntools: { read: ok }\n");
    let (first, gone) = (port(&one.url), crate::strangers::closed_port());
    let instance = |port: &str, meta: &str| {
        format!(
            r#"{{ Node: {{ Node: n1, Address: 127.0.0.1 }}, Service: {{ ID: "x-{port}", Service: x, Tags: [mcp], Address: "", Port: {port}, Meta: {meta} }}, Checks: [ {{ Status: passing }} ] }}"#
        )
    };
    let consul = Mock::http(&format!(
        "tools: [none]\nhttp:\n  paths:\n    /v1/catalog/services: {{ body: {{ consul: [], web: [http], files: [mcp, v2], search: [mcp] }} }}\n    \
         /v1/health/service/files: {{ body: [ {} ] }}\n    /v1/health/service/search: {{ body: [ {} ] }}\n",
        instance(first, "{ mcp_path: /mcp, mcp_description: 'Files of the team.' }"),
        instance(&gone, "~"),
    ));
    let address = format!("consul://:t0ken@localhost:{}", port(&consul.url));
    let found = Machine::new().discover(&["--service", &address]);
    assert_eq!(names(&found), ["files", "search"], "{found:#}");
    let files = server(&found, "files");
    assert_eq!(
        (tools(files), &files["entry"]),
        (vec!["read"], &json!({ "url": format!("http://127.0.0.1:{first}/mcp") }))
    );
    assert!(
        server(&found, "search")["problem"].as_str().unwrap().contains("could not be asked"),
        "{found:#}"
    );
    assert!(!found.to_string().contains("t0ken"), "{found:#}");
    let asked = consul.requests();
    assert!(asked.iter().all(|seen| seen.header("x-consul-token") == "t0ken"), "{asked:#?}");
    assert!(!asked.iter().any(|seen| seen.path.contains("web")), "{asked:#?}");
}

#[test]
fn a_registry_lists_servers_page_by_page() {
    let listed = |name: &str, body: &str, official: &str| {
        format!(
            r#"{{ server: {{ name: "io.example/{name}", description: "{name}.", version: 1.0.0, {body} }}, _meta: {{ io.modelcontextprotocol.registry/official: {official} }} }}"#
        )
    };
    let npm = r#"packages: [ { registryType: npm, identifier: "@acme/one", version: 1.0.0, transport: { type: stdio }, environmentVariables: [ { name: ONE_KEY, isRequired: true, isSecret: true } ] } ]"#;
    let remote = r#"remotes: [ { type: streamable-http, url: "https://two.invalid/mcp", headers: [ { name: Authorization, value: "Bearer {two_token}", isSecret: true } ] } ]"#;
    let latest = "{ status: active, isLatest: true }";
    let registry = Mock::http(&format!(
        "tools: [none]\nhttp:\n  paths:\n    /v0.1/servers: {{ body: {{ servers: [ {}, {}, {}, {} ], metadata: {{ count: 4 }} }} }}\n",
        listed("one", npm, latest),
        listed("two", remote, latest),
        listed("old", npm, "{ status: active, isLatest: false }"),
        listed("gone", npm, "{ status: deleted, isLatest: true }"),
    ));
    let base = registry.url.trim_end_matches("/mcp");
    let found = Machine::new().discover(&["--service", &format!("{base}?search=acme")]);
    assert_eq!(names(&found), ["one", "two"], "{found:#}");
    let one = server(&found, "one");
    assert_eq!(
        (&one["entry"], &one["transport"]),
        (
            &json!({ "command": "npx", "args": ["-y", "@acme/one@1.0.0"], "env": { "ONE_KEY": "${ONE_KEY}" } }),
            &json!("stdio")
        )
    );
    assert!(one["problem"].as_str().unwrap().contains("ONE_KEY"), "{found:#}");
    assert_eq!(server(&found, "two")["entry"]["headers"]["Authorization"], "Bearer ${TWO_TOKEN}");
    assert_eq!(found["looked_at"], 1, "what a registry lists is not asked: {found:#}");
}

#[test]
fn what_a_registry_lists_is_asked_only_by_wish() {
    let remote = Mock::http("tools: { forecast: ok }\n");
    let registry = Mock::http(&format!(
        "tools: [none]\nhttp:\n  paths:\n    /v0.1/servers: {{ body: {{ servers: [ {{ server: {{ name: io.example/weather, remotes: [ {{ type: streamable-http, url: '{}' }} ] }} }} ] }} }}\n",
        remote.url
    ));
    let base = registry.url.trim_end_matches("/mcp");
    let machine = Machine::new();
    let found = machine.discover(&["--service", base]);
    assert_eq!(server(&found, "weather")["asked"], json!(false), "{found:#}");
    assert!(remote.requests().is_empty());
    let found = machine.discover(&["--service", base, "--ask-remotes"]);
    assert_eq!(tools(server(&found, "weather")), ["forecast"], "{found:#}");
    machine.write("switchboard.yaml", &format!("discovery: {{ services: ['{base}'], ask_remotes: true }}\n"));
    assert_eq!(tools(server(&machine.discover(&[]), "weather")), ["forecast"]);
}

#[test]
fn registries_that_misbehave_are_told() {
    let page = Stranger::http(answer("200 OK\r\ncontent-type: text/html", b"<html>"));
    let huge = Stranger::http(answer("200 OK\r\ncontent-type: application/json", &vec![b'['; 5 << 20]));
    let silent = Stranger::silent();
    let addresses = [
        format!("consul://localhost:{}", page.port),
        format!("etcd://localhost:{}", page.port),
        format!("http://localhost:{}", huge.port),
        format!("consul://localhost:{}", silent.port),
        format!("etcd://localhost:{}", crate::strangers::closed_port()),
        "ldap://localhost".to_owned(),
    ];
    let arguments: Vec<&str> = addresses.iter().flat_map(|address| ["--service", address.as_str()]).collect();
    let found = Machine::new().discover(&[&arguments[..], &["--timeout", "1s"]].concat());
    assert_eq!(names(&found), [""; 0]);
    assert_eq!(found["failed"].as_array().unwrap().len(), addresses.len(), "{found:#}");
}
