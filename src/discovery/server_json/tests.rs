use serde_json::{Value, json};

use super::*;

fn entry_of(server: Value) -> Option<Value> {
    proposal(&server, &Source::Network).map(|draft| draft.entry)
}

fn package(package: Value) -> Option<Value> {
    entry_of(json!({ "name": "io.github.me/x", "description": "d", "packages": [package] }))
}

#[test]
fn packages_become_the_commands_that_run_them() {
    let npm = json!({
        "registryType": "npm", "identifier": "@acme/server", "version": "1.0.2", "transport": { "type": "stdio" },
        "environmentVariables": [
            { "name": "API_KEY", "isRequired": true, "isSecret": true }, { "name": "LEVEL", "default": "info" }, { "name": "EXTRA" }
        ],
        "packageArguments": [
            { "type": "positional", "valueHint": "target_dir", "isRequired": true }, { "type": "named", "name": "--mode", "value": "fast" }
        ],
    });
    assert_eq!(
        package(npm),
        Some(json!({
            "command": "npx", "args": ["-y", "@acme/server@1.0.2", "${TARGET_DIR}", "--mode", "fast"],
            "env": { "API_KEY": "${API_KEY}", "LEVEL": "${LEVEL:-info}" },
        }))
    );
    let pypi = json!({ "registry_type": "pypi", "identifier": "weather", "version": "0.5.0", "runtime_hint": "uvx" });
    assert_eq!(package(pypi), Some(json!({ "command": "uvx", "args": ["weather@0.5.0"] })));
    let oci = json!({
        "registryType": "oci", "identifier": "ghcr.io/acme/db:3.1.0", "environmentVariables": [{ "name": "PASS", "isRequired": true }],
        "runtimeArguments": [{ "type": "named", "name": "--mount", "value": "src={source_path}", "variables": { "source_path": {} } }],
    });
    assert_eq!(
        package(oci),
        Some(json!({
            "command": "docker",
            "args": ["run", "-i", "--rm", "-e", "PASS", "--mount", "src=${SOURCE_PATH}", "ghcr.io/acme/db:3.1.0"],
            "env": { "PASS": "${PASS}" },
        }))
    );
    let nuget = json!({ "registryType": "nuget", "identifier": "A.B", "version": "1.0.0", "packageArguments": [{ "type": "positional", "value": "mcp" }] });
    assert_eq!(
        package(nuget),
        Some(json!({ "command": "dnx", "args": ["A.B@1.0.0", "--yes", "--", "mcp"] }))
    );
}

#[test]
fn no_registry_chooses_the_program_or_smuggles_an_option() {
    let hinted = json!({ "registryType": "npm", "identifier": "x", "runtimeHint": "/bin/sh" });
    assert_eq!(package(hinted).unwrap()["command"], "npx");
    for identifier in ["--eval=x", "https://evil.example/x.tgz", "x; rm -rf ~", "$(x)", ""] {
        assert_eq!(package(json!({ "registryType": "npm", "identifier": identifier })), None, "{identifier}");
    }
    assert_eq!(package(json!({ "registryType": "mcpb", "identifier": "x.mcpb" })), None);
    // What looks like a reference of ours is a text.
    let smuggled = json!({ "registryType": "npm", "identifier": "x", "packageArguments": [{ "type": "positional", "value": "${file:/etc/passwd}" }] });
    assert!(!package(smuggled).unwrap()["args"][2].as_str().unwrap().starts_with("${file"));
}

#[test]
fn remotes_become_addresses_with_what_is_missing_as_references() {
    let plain =
        json!({ "name": "a/b", "remotes": [{ "type": "streamable-http", "url": "https://a.example/mcp" }] });
    let draft = proposal(&plain, &Source::Network).unwrap();
    assert_eq!(draft.entry, json!({ "url": "https://a.example/mcp" }));
    assert!(draft.target.is_some(), "nothing is missing: it can be asked");
    let secret = json!({ "name": "a/b", "remotes": [{
        "type": "sse", "url": "https://{tenant}.a.example/sse",
        "variables": { "tenant": { "default": "eu" } },
        "headers": [
            { "name": "X-API-Key", "isRequired": true, "isSecret": true },
            { "name": "Authorization", "value": "Bearer {token}", "variables": { "token": { "isSecret": true } } },
            { "name": "X-Optional" },
        ],
    }] });
    let draft = proposal(&secret, &Source::Network).unwrap();
    assert_eq!(
        draft.entry,
        json!({
            "url": "https://${TENANT:-eu}.a.example/sse", "type": "sse",
            "headers": { "X-API-Key": "${X_API_KEY}", "Authorization": "Bearer ${TOKEN}" },
        })
    );
    assert!(draft.target.is_none());
    for wrong in [
        json!({ "type": "stdio", "url": "https://x" }),
        json!({ "type": "sse", "url": "file:///etc/passwd" }),
        json!({ "url": 5 }),
    ] {
        assert_eq!(entry_of(json!({ "name": "x", "remotes": [wrong] })), None);
    }
}
