//! Servers: listed, registered, changed, taken out, switched, tended.

use serde_json::{Value, json};

use crate::world::{World, nowhere, until, write};

fn names(servers: &Value) -> Vec<&str> {
    servers.as_array().unwrap().iter().map(|server| server["server_id"].as_str().unwrap()).collect()
}

#[test]
fn the_list_and_its_filters() {
    let world = World::new();
    world.until_state("notes", "ready");
    world.until_state("files", "ready");
    world.until_state("broken", "failed");
    let list = |query: &str| world.get(&format!("/proxy/servers{query}"));
    assert_eq!(names(&list("")), ["notes", "files", "broken", "off"]);
    assert_eq!(names(&list("?status=healthy")), ["notes", "files"]);
    assert_eq!(names(&list("?status=unhealthy")), ["broken"]);
    assert_eq!(names(&list("?status=unknown")), ["off"]);
    assert_eq!(names(&list("?category=disk")), ["files"]);
    assert_eq!(names(&list("?transport=http")), [""; 0]);
    assert_eq!(names(&list("?transport=stdio&category=text")), ["notes"]);
    for wrong in
        ["?status=well", "?status=", "?colour=red", "?status=healthy&status=healthy", "?category=%ff"]
    {
        let refused = world.refused("GET", &format!("/proxy/servers{wrong}"), None);
        assert_eq!((refused.0, refused.1.as_str()), (400, "PROXY_INVALID_REQUEST"), "{wrong}");
    }
    let notes = &list("?category=text")[0];
    assert_eq!((&notes["tool_count"], &notes["status"]), (&json!(4), &json!("healthy")));
    assert!(notes["last_seen"].is_string());
    let whole = world.get("/proxy/servers/notes");
    assert_eq!((&whole["report"]["level"], &whole["persisted"]), (&json!("healthy"), &json!(true)));
    let head = world.ask("HEAD", "/proxy/servers", None);
    assert!(head.status == 200 && head.body.is_empty() && head.header("content-length").is_some());
}

#[test]
fn a_server_from_registration_to_its_end() {
    let world = World::with("", "");
    let body = json!({
        "name": "ä b/c", "endpoint": "http://127.0.0.1:9/mcp?key=hunter2", "auth_token": "hunter3", "timeout": 1.5,
        "retry_attempts": 2, "security_level": "high", "categories": ["one"], "description": "What for.",
        "metadata": { "owner": { "team": "x" } },
    });
    assert_eq!(world.post("/proxy/servers", body.clone()), json!({ "server_id": "ä b/c" }));
    let path = "/proxy/servers/%C3%A4%20b%2Fc";
    let server = world.get(path);
    assert_eq!(
        [&server["timeout"], &server["retry_attempts"], &server["security_level"], &server["auth_required"]],
        [&json!(1.5), &json!(2), &json!("high"), &json!(true)]
    );
    assert_eq!(
        (&server["metadata"]["owner"]["team"], &server["description"]),
        (&json!("x"), &json!("What for."))
    );
    assert_eq!((&server["transport"], &server["persisted"]), (&json!("http"), &json!(false)));
    let said = server.to_string();
    assert!(!said.contains("hunter2") && !said.contains("hunter3"), "{said}");
    let again = world.refused("POST", "/proxy/servers", Some(body));
    assert_eq!((again.0, again.1.as_str()), (409, "PROXY_SERVER_ALREADY_EXISTS"));

    let changed = json!({ "endpoint": "http://127.0.0.1:9/other", "categories": ["two"] });
    world.data("PUT", path, Some(&changed));
    assert_eq!(world.get(path)["categories"], json!(["two"]));
    let renamed = world.refused("PUT", path, Some(json!({ "name": "x", "endpoint": "http://127.0.0.1:9" })));
    assert!(renamed.0 == 422 && renamed.2.contains("not renamed"), "{renamed:?}");
    let broken = world.refused("PUT", path, Some(json!({ "endpoint": "ftp://x" })));
    assert_eq!((broken.0, broken.1.as_str()), (422, "PROXY_INVALID_CONFIG"));
    assert!(broken.2.contains("must begin with"), "{broken:?}");
    assert_eq!(world.get(path)["categories"], json!(["two"]), "what is wrong changes nothing");

    assert_eq!(world.data("DELETE", path, None), Value::Null);
    for method in ["GET", "DELETE", "PUT"] {
        let gone = world.refused(method, path, (method == "PUT").then(nowhere));
        assert_eq!((gone.0, gone.1.as_str()), (404, "PROXY_SERVER_NOT_FOUND"), "{method}");
    }
}

#[test]
fn a_command_only_where_the_owner_allows_it() {
    let command = json!({ "name": "shell", "endpoint": "BIN mock notes.mock.yaml", "transport": "stdio" });
    let world = World::with("", "");
    for body in [
        command.clone(),
        json!({ "name": "a", "config": { "cmd": "sh" } }),
        json!({ "name": "a", "endpoint": "http://127.0.0.1/${file:/etc/passwd}" }),
        json!({ "name": "a", "config": { "url": "unix:///run/x.sock" } }),
    ] {
        let refused = world.refused("POST", "/proxy/servers", Some(body));
        assert_eq!((refused.0, refused.1.as_str()), (403, "PROXY_FORBIDDEN"));
        assert!(refused.2.contains("allow_stdio_register"), "{refused:?}");
    }
    assert_eq!(world.get("/proxy/servers"), json!([]));

    let world = World::with("", ", allow_stdio_register: true");
    let script = world.path("notes.mock.yaml").display().to_string();
    let endpoint = format!("\"{}\" mock '{script}'", env!("CARGO_BIN_EXE_switchboard"));
    world.post("/proxy/servers", json!({ "name": "shell", "endpoint": endpoint, "transport": "stdio" }));
    world.until_state("shell", "ready");
    assert_eq!(world.get("/proxy/tools?server_id=shell").as_array().unwrap().len(), 4);
}

#[test]
fn what_is_kept_stands_in_the_config_file() {
    let world = World::with("  # mine\n  old: { command: BIN, enabled: false }", "");
    let mut body = nowhere();
    body["persist"] = true.into();
    world.post("/proxy/servers", body);
    let text = || std::fs::read_to_string(world.path("config.yaml")).unwrap();
    assert!(text().contains("test-server") && text().contains("# mine"), "{}", text());
    assert_eq!(world.get("/proxy/servers/test-server")["persisted"], true);
    world.data("DELETE", "/proxy/servers/test-server?persist=true", None);
    assert!(!text().contains("test-server") && text().contains("# mine"), "{}", text());
}

#[test]
fn a_config_file_that_cannot_be_changed_says_why() {
    let world = World::with("  a: &a { command: BIN, enabled: false }\n  b: *a", "");
    let before = std::fs::read_to_string(world.path("config.yaml")).unwrap();
    let refused = |method: &str, target: &str, body: Option<&serde_json::Value>| {
        let answer = world.ask(method, target, body);
        let error = answer.json()["error"].take();
        assert_eq!((answer.status, &error["code"]), (409, &json!("PROXY_INVALID_CONFIG")), "{error:#}");
        error["details"]["code"].as_str().unwrap_or_default().to_owned()
    };
    assert_eq!(refused("DELETE", "/proxy/servers/a?persist=true", None), "SB-EDIT-001");
    let mut body = nowhere();
    body["persist"] = true.into();
    let path = world.path("config.yaml");
    let mut rights = std::fs::metadata(&path).unwrap().permissions();
    rights.set_readonly(true);
    std::fs::set_permissions(&path, rights).unwrap();
    assert_eq!(refused("POST", "/proxy/servers", Some(&body)), "SB-EDIT-004");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), before);
    assert!(world.get("/proxy/servers").as_array().unwrap().iter().all(|one| one["name"] != "test-server"));
}

#[test]
fn switching_restarting_and_tending() {
    let world = World::new();
    let pid = world.until_state("notes", "ready")["report"]["pid"].clone();
    world.data("POST", "/proxy/servers/notes/restart", None);
    until("another process runs", || {
        let server = world.get("/proxy/servers/notes");
        (server["state"] == "ready" && server["report"]["pid"] != pid).then_some(())
    });
    world.data("POST", "/proxy/servers/notes/disable", None);
    world.until_state("notes", "disabled");
    assert_eq!(world.get("/proxy/tools?server_id=notes"), json!([]));
    let off = world.refused("POST", "/proxy/servers/notes/restart", None);
    assert_eq!((off.0, off.1.as_str()), (422, "PROXY_INVALID_CONFIG"));
    world.data("POST", "/proxy/servers/notes/enable", None);
    until("its tools are back", || {
        (world.get("/proxy/tools?server_id=notes").as_array().unwrap().len() == 4).then_some(())
    });

    let call = json!({ "arguments": { "text": "x" } });
    world.post("/proxy/tools/notes__add", call.clone());
    world.post("/proxy/tools/notes__add", call);
    let cache = &world.get("/proxy/servers/notes")["report"]["cache"];
    assert_eq!((&cache["hits"], &cache["answers"]), (&json!(1), &json!(1)));
    assert_eq!(world.data("POST", "/proxy/servers/notes/cache/clear", None)["cleared"], 1);
    assert_eq!(world.get("/proxy/servers/notes")["report"]["cache"]["answers"], 0);
    assert_eq!(world.data("POST", "/proxy/servers/notes/breaker/reset", None)["was_open"], false);
    for action in ["enable", "disable", "restart", "breaker/reset", "cache/clear"] {
        let refused = world.refused("POST", &format!("/proxy/servers/nobody/{action}"), None);
        assert_eq!((refused.0, refused.1.as_str()), (404, "PROXY_SERVER_NOT_FOUND"), "{action}");
    }
}

#[test]
fn a_breaker_that_is_open_is_closed_by_hand() {
    let world = World::with(
        "  files: { command: BIN, args: [mock, HERE/files.mock.yaml], timeouts: { call: 200ms }, breaker: { failure_threshold: 1, recovery_timeout: 10m } }",
        "",
    );
    world.until_state("files", "ready");
    let late = world.refused("POST", "/proxy/tools/files__slow", None);
    assert_eq!((late.0, late.1.as_str()), (504, "PROXY_TOOL_EXECUTION_FAILED"));
    let open = world.refused("POST", "/proxy/tools/files__both", None);
    assert_eq!((open.0, open.1.as_str()), (503, "PROXY_CONNECTION_FAILED"));
    let server = world.get("/proxy/servers/files");
    assert_eq!((&server["state"], &server["status"]), (&json!("breaker-open"), &json!("unhealthy")));
    assert_eq!(world.data("POST", "/proxy/servers/files/breaker/reset", None)["was_open"], true);
    assert_eq!(world.post("/proxy/tools/files__both", json!({}))["status"], "success");
}

#[test]
fn the_config_file_is_read_when_somebody_asks() {
    let world = World::new();
    let config = std::fs::read_to_string(world.path("config.yaml")).unwrap();
    write(
        world.folder.path(),
        "config.yaml",
        &config.replace("  off:", "  more: { command: BIN, enabled: false }\n  off:"),
    );
    world.data("POST", "/proxy/reload", None);
    assert!(names(&world.get("/proxy/servers")).contains(&"more"));
    write(world.folder.path(), "config.yaml", "servers: [");
    let refused = world.refused("POST", "/proxy/reload", None);
    assert_eq!((refused.0, refused.1.as_str()), (422, "PROXY_INVALID_CONFIG"));
    assert!(names(&world.get("/proxy/servers")).contains(&"more"), "what was in force stays");
}

#[test]
fn definitions_are_released() {
    let world = World::with(
        "  notes: { command: BIN, args: [mock, HERE/notes.mock.yaml], definitions: { changes: hold } }",
        "",
    );
    until("its tools are seen", || (world.get("/proxy/tools").as_array().unwrap().len() == 4).then_some(()));
    assert_eq!(world.get("/proxy/approve"), json!([]));
    let script = std::fs::read_to_string(world.path("notes.mock.yaml")).unwrap();
    std::fs::write(world.path("notes.mock.yaml"), script.replace("Writes a note.", "Sends all notes away."))
        .unwrap();
    world.data("POST", "/proxy/servers/notes/restart", None);
    let waiting = until("the change is seen", || {
        let waiting = world.get("/proxy/approve?server_id=notes");
        (!waiting.as_array().unwrap().is_empty()).then_some(waiting)
    });
    assert_eq!((&waiting[0]["name"], &waiting[0]["held"]), (&json!("add"), &json!(true)));
    assert_eq!(
        world.refused("POST", "/proxy/approve", Some(json!({ "definitions": ["notes/nothing"] }))).0,
        404
    );
    let approved = world.post("/proxy/approve", json!({ "definitions": ["notes/add"] }));
    assert_eq!(approved[0]["digest"], waiting[0]["digest"]);
    until("it is shown again", || (world.get("/proxy/tools").as_array().unwrap().len() == 4).then_some(()));
    assert_eq!(world.get("/proxy/approve"), json!([]));
}

#[test]
fn every_change_is_in_the_audit_log() {
    let world = World::with("", "\ntelemetry: { audit: true }");
    world.post("/proxy/servers", nowhere());
    world.data("POST", "/proxy/servers/test-server/breaker/reset", None);
    world.data("DELETE", "/proxy/servers/test-server", None);
    let log = until("the log is written", || {
        let folder = std::fs::read_dir(world.path("state/audit")).ok()?;
        let text: String =
            folder.flatten().filter_map(|file| std::fs::read_to_string(file.path()).ok()).collect();
        text.contains("switchboard/unregister").then_some(text)
    });
    for method in ["switchboard/register", "switchboard/reset_breaker", "switchboard/unregister"] {
        assert!(log.contains(method) && log.contains("admin (rest)"), "{method}: {log}");
    }
}
