//! Who may not come in, and what cannot be read.

use serde_json::json;

use crate::world::{TOKEN, World, command, prepare, until};

#[test]
fn without_the_token_nobody_learns_anything() {
    let world = World::new();
    let wrong = format!("Bearer {TOKEN}x");
    for target in ["/proxy/servers", "/proxy/nothing", "/metrics", "/proxy/openapi.json"] {
        for headers in [&[][..], &[("Authorization", wrong.as_str())], &[("Authorization", TOKEN)]] {
            let answer = world.send("GET", target, headers, "");
            assert_eq!(
                (answer.status, answer.json()["error"]["code"].as_str()),
                (401, Some("PROXY_AUTHENTICATION_FAILED"))
            );
            assert!(answer.header("www-authenticate").unwrap().starts_with("Bearer"));
        }
    }
    let in_the_address = world.send("GET", &format!("/proxy/servers?token={TOKEN}"), &[], "");
    assert_eq!(in_the_address.status, 401);
    let alive = world.send("GET", "/healthz", &[], "");
    assert_eq!((alive.status, alive.body.as_str()), (200, "ok\n"));
    assert!(matches!(world.send("GET", "/readyz", &[], "").status, 200 | 503));
}

#[test]
fn foreign_names_and_pages_are_sent_away() {
    let world = World::with("", ", allowed_hosts: [box.example]");
    let token = format!("Bearer {TOKEN}");
    let status = |headers: &[(&str, &str)]| {
        let headers: Vec<(&str, &str)> =
            headers.iter().copied().chain([("Authorization", token.as_str())]).collect();
        world.send("GET", "/proxy/servers", &headers, "").status
    };
    assert_eq!(status(&[("Host", "evil.example")]), 403);
    assert_eq!(status(&[("Host", "localhost:1")]), 200);
    assert_eq!(status(&[("Host", "box.example")]), 200);
    assert_eq!(status(&[("Origin", "http://evil.example")]), 403);
    assert_eq!(status(&[("Origin", "null")]), 403);
    assert_eq!(status(&[("Origin", &format!("http://{}", world.address))]), 200);
    let answer = world.send("GET", "/healthz", &[("Host", "evil.example")], "");
    assert_eq!((answer.status, answer.json()["error"]["code"].as_str()), (403, Some("PROXY_FORBIDDEN")));
    assert!(answer.json()["error"]["message"].as_str().unwrap().contains("admin.allowed_hosts"));
}

#[test]
fn paths_methods_and_bodies() {
    let world = World::new();
    assert_eq!(world.refused("GET", "/proxy/nothing", None).1, "PROXY_NOT_FOUND");
    assert_eq!(world.refused("GET", "/proxy/servers/", None).0, 404);
    let answer = world.ask("PATCH", "/proxy/servers/notes", None);
    assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, PUT, DELETE, HEAD")));
    let answer = world.ask("GET", "/proxy/reload", None);
    assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")));

    let token = format!("Bearer {TOKEN}");
    let post = |kind: &str, body: &str| {
        let headers = [("Authorization", token.as_str()), ("Content-Type", kind)];
        let answer = world.send("POST", "/proxy/servers", &headers, body);
        let error = answer.json()["error"].clone();
        (
            answer.status,
            error["code"].as_str().unwrap().to_owned(),
            error["message"].as_str().unwrap().to_owned(),
        )
    };
    assert_eq!(post("text/plain", "{}").0, 415);
    assert_eq!(post("application/json", "{").0, 400);
    assert_eq!(post("application/json", "[1]").0, 400);
    assert_eq!(post("application/json", "").0, 400);
    assert_eq!(post("application/json; charset=utf-8", "{}").0, 422);
    let large = format!("{{\"name\":\"{}\"}}", "x".repeat(17 << 20));
    let headers = [
        ("Authorization", token.as_str()),
        ("Content-Type", "application/json"),
        ("Content-Length", "17825807"),
    ];
    // The answer comes before the body.
    let answer = world.send("POST", "/proxy/servers", &headers, "");
    assert_eq!((answer.status, large.len() > 16 << 20), (413, true));

    let wrong = world.ask(
        "POST",
        "/proxy/servers",
        Some(&json!({ "endpoint": 5, "transport": "smoke", "timeot": 1 })),
    );
    let error = &wrong.json()["error"];
    assert_eq!((wrong.status, error["code"].as_str()), (422, Some("PROXY_INVALID_CONFIG")));
    let fields: Vec<&str> = error["details"]["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["field"].as_str().unwrap())
        .collect();
    assert!(
        ["name", "endpoint", "transport", "timeot"].iter().all(|field| fields.contains(field)),
        "{fields:?}"
    );
}

#[test]
fn nothing_is_open_that_was_not_configured() {
    for (admin, said) in [
        ("admin: { listen: 127.0.0.1:0 }", "needs `admin.token`"),
        ("admin: { listen: 0.0.0.0:0, token: \"${NOT_SET}\" }", "`NOT_SET` is not set"),
    ] {
        let folder = prepare("", admin);
        let ran = command(folder.path(), &["config", "validate"]).output().unwrap();
        let text = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.code() == Some(78) && text.contains(said), "{text}");
        let served = command(folder.path(), &["serve"]).stdin(std::process::Stdio::null()).output().unwrap();
        let text = String::from_utf8_lossy(&served.stderr);
        assert!(!text.contains("administration at"), "{text}");
    }
}

#[test]
fn the_document_is_served_as_it_is_written() {
    let world = World::with("", "");
    let answer = world.ask("GET", "/proxy/openapi.json", None);
    assert_eq!(answer.json(), crate::document::document());
}

#[test]
fn another_token_counts_at_once() {
    let world = World::new();
    let path = world.path("config.yaml");
    let before = std::fs::read_to_string(&path).unwrap();
    let status = |token: &str| {
        let bearer = format!("Bearer {token}");
        world.send("GET", "/proxy/servers", &[("Authorization", bearer.as_str())], "").status
    };
    assert_eq!(status(TOKEN), 200);
    let other = "another-token-0123456789";
    std::fs::write(&path, before.replace(TOKEN, other)).unwrap();
    until("the new one opens", || (status(other) == 200).then_some(()));
    assert_eq!(status(TOKEN), 401);
    // Where the block has a mistake, or is gone, the lock stays.
    let get = |target: &str| {
        let bearer = format!("Bearer {other}");
        world.send("GET", target, &[("Authorization", bearer.as_str())], "").json()["data"].take()
    };
    std::fs::write(&path, before.replace(TOKEN, "\"\"")).unwrap();
    until("the mistake is seen", || {
        (!get("/proxy/status")["problems"].as_array().unwrap().is_empty()).then_some(())
    });
    assert_eq!((status(other), status(""), status(TOKEN)), (200, 401, 401));
    let is_left = |line: &&str| !line.starts_with("admin:") && !line.starts_with("  off:");
    std::fs::write(&path, before.lines().filter(is_left).collect::<Vec<_>>().join("\n")).unwrap();
    until("the other config is in force", || {
        (get("/proxy/servers").as_array().unwrap().len() == 3).then_some(())
    });
    assert_eq!((status(other), status(TOKEN)), (200, 401));
}
