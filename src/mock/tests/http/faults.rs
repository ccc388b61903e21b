//! Misbehaviour on purpose.

use super::*;

const TOOLS: &str =
    "tools: { t: { steps: [ { progress: 1 }, { answer: 'done é日🙂' } ] }, plain: { answer: plain } }\n";

async fn face(faults: &str) -> Face {
    Face::http(&format!("{TOOLS}http: {faults}")).await
}

#[tokio::test]
async fn fixed_answers() {
    let face = face(
        "{ faults: [ \
           { on: tools/call, name: plain, calls: 1, status: 503, headers: { Retry-After: 1 }, body: <html>busy</html> }, \
           { on: tools/call, name: plain, calls: 2, status: 401, headers: { WWW-Authenticate: 'Bearer resource_metadata=\"{{mock.url}}/meta\"' } }, \
           { on: tools/call, name: plain, calls: 3, redirect: 'http://other.example/mcp' }, \
           { on: tools/call, name: plain, calls: [4], content_type: text/plain }, \
           { on: tools/call, name: plain, calls: 5, id: 999 }, \
           { on: GET, status: 405 } ], \
         paths: { /meta: { body: { resource: '{{mock.url}}' } } } }",
    )
    .await;
    let client = Legacy::begin(&face, "2025-11-25").await;
    let mut busy = client.call(1, "plain").await;
    assert_eq!(
        (busy.status, busy.header("retry-after"), busy.header("content-type")),
        (503, Some("1"), Some("text/html"))
    );
    assert_eq!(busy.whole().await.0, "<html>busy</html>");
    let login = client.call(2, "plain").await;
    let expected = format!("Bearer resource_metadata=\"{}/meta\"", face.url.trim_end_matches("/mcp"));
    assert_eq!((login.status, login.header("www-authenticate")), (401, Some(expected.as_str())));
    let moved = client.call(3, "plain").await;
    assert_eq!((moved.status, moved.header("location")), (307, Some("http://other.example/mcp")));
    let odd = client.call(4, "plain").await;
    assert_eq!((odd.status, odd.header("content-type")), (200, Some("text/plain")));
    assert_eq!(client.call(5, "plain").await.json().await["id"], 999);
    assert_eq!(client.call(6, "plain").await.json().await["id"], 6);
    assert_eq!(client.get(None).await.status, 405);
    let meta = face.send("GET", "/meta", &[], "").await;
    assert_eq!(meta.json().await["resource"], face.url.trim_end_matches("/mcp"));
}

#[tokio::test]
async fn connections_break_where_the_script_says() {
    let check = async |act: &str, tool: &str, expected: &dyn Fn(u16, String, End)| {
        let face = face(&format!("{{ faults: [ {{ on: tools/call, calls: 1, {act} }} ] }}")).await;
        let client = Legacy::begin(&face, "2025-11-25").await;
        let mut answer = client.call(1, tool).await;
        let (text, end) =
            if answer.status == 0 { (String::new(), End::Broken) } else { answer.whole().await };
        expected(answer.status, text, end);
        // The server is well, and where there are ids, the answer is not lost.
        assert_eq!(client.call(2, "plain").await.status, 200, "{act}");
        if answer.status == 200 && answer.header("content-type") == Some("text/event-stream") {
            let mut again = client.get(Some("2-0")).await;
            let mut last = again.message().await.1;
            while last.get("result").is_none() {
                last = again.message().await.1;
            }
            assert_eq!(last["id"], 1, "{act}");
        }
    };
    check("drop: unread", "t", &|status, _, _| assert_eq!(status, 0)).await;
    check("drop: unanswered", "t", &|status, _, _| assert_eq!(status, 0)).await;
    check("drop: head", "plain", &|status, text, end| {
        assert_eq!((status, text.as_str(), end), (200, "id: 2-0\ndata: \n\n", End::Broken));
    })
    .await;
    check("drop: before", "t", &|_, text, end| {
        assert!(text.contains("progress") && !text.contains("done"), "{text}");
        assert_eq!(end, End::Broken);
    })
    .await;
    check("drop: middle", "t", &|_, text, end| {
        assert!(text.contains(r#"{"jsonrpc":"2.0","id":1"#) && !text.contains("done"), "{text}");
        assert_eq!(end, End::Broken);
    })
    .await;
    check("drop: middle", "plain", &|status, text, end| {
        assert!(status == 200 && text.starts_with('{') && !text.ends_with('}'), "{text}");
        assert_eq!(end, End::Broken);
    })
    .await;
    check("drop: after", "t", &|_, text, end| {
        assert!(text.ends_with("\n\n") && text.contains("done"), "{text}");
        assert_eq!(end, End::Broken);
    })
    .await;
    check("close: head", "plain", &|_, text, end| {
        assert_eq!((text.as_str(), end), ("id: 2-0\ndata: \n\n", End::Clean));
    })
    .await;
    check("close: before", "t", &|_, text, end| {
        assert!(text.contains("progress") && !text.contains("done"), "{text}");
        assert_eq!(end, End::Clean);
    })
    .await;
}

#[tokio::test]
async fn strange_but_proper_streams() {
    let styles = "crlf: true, comments: true, multiline: true, bom: true, bytes: 1";
    let face = face(&format!("{{ ids: false, {styles} }}")).await;
    let client = Legacy::begin(&face, "2025-11-25").await;
    let mut answer = client.call(1, "t").await;
    let (text, end) = answer.whole().await;
    assert_eq!(end, End::Clean);
    assert!(
        text.starts_with(
            "\u{feff}: a comment\r\nevent: message\r\n:data: {}\r\ndata:{\r\ndata\r\ndata: \"jsonrpc\""
        ),
        "{text}"
    );
    assert!(text.contains("done é日🙂") && !text.contains("id: 2"), "{text}");
}

#[tokio::test]
async fn too_much() {
    let face = face(
        "{ faults: [ { on: tools/call, calls: 1, endless: true }, { on: tools/call, calls: 2, huge: 3MiB }, { on: tools/call, calls: 3, bomb: 3MiB } ] }",
    )
    .await;
    let client = Legacy::begin(&face, "2025-11-25").await;
    let mut endless = client.call(1, "t").await;
    while endless.text.len() < 1 << 20 {
        assert!(endless.more().await);
    }
    assert!(endless.text.starts_with(b"data: xxx") && !endless.text.contains(&b'\n'));
    drop(endless);
    let huge = client.call(2, "t").await.json().await;
    assert_eq!((&huge["id"], said(&huge).len()), (&json!(2), 3 << 20));
    let mut bomb = client.call(3, "t").await;
    assert_eq!(bomb.header("content-encoding"), Some("gzip"));
    bomb.whole().await;
    assert!(bomb.text.len() < 32 << 10, "{}", bomb.text.len());
}

/// Somebody else's reader unpacks the bomb.
#[tokio::test]
async fn the_bomb_is_proper_but_for_its_checksum() {
    let face = face("{ faults: [ { on: any, bomb: 1MiB } ] }").await;
    // Whoever was first has set the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().build().unwrap();
    let mut answer = client.post(&face.url).body("{}").send().await.unwrap();
    let mut size = 0;
    while let Ok(Some(piece)) = answer.chunk().await {
        assert!(piece.iter().all(u8::is_ascii));
        size += piece.len();
    }
    assert!(size >= 1 << 20, "{size}");
}

#[tokio::test]
async fn delays_and_tokens() {
    let script = format!(
        "{TOOLS}http: {{ bearer: secret, challenge: 'Bearer scope=\"x\"', faults: [ {{ on: tools/list, delay: 50ms }} ] }}"
    );
    let face = Face::http(&script).await;
    let refused = face.post(&[], &request(1, "initialize", json!({}))).await;
    assert_eq!((refused.status, refused.header("www-authenticate")), (401, Some("Bearer scope=\"x\"")));
    let allowed =
        face.post(&[("Authorization", "Bearer secret")], &request(1, "initialize", json!({}))).await;
    assert_eq!(allowed.status, 200);
    let session = allowed.header("mcp-session-id").unwrap().to_owned();
    let headers = [
        ("Authorization", "Bearer secret"),
        ("Mcp-Session-Id", &session),
        ("MCP-Protocol-Version", "2025-11-25"),
    ];
    let before = std::time::Instant::now();
    assert_eq!(face.post(&headers, &request(2, "tools/list", json!({}))).await.status, 200);
    assert!(before.elapsed() >= Duration::from_millis(50));
}

#[tokio::test]
async fn requests_are_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let (bodies, all) = (folder.path().join("bodies"), folder.path().join("all"));
    let script = format!("{TOOLS}record: {}\nhttp: {{ requests: {} }}", bodies.display(), all.display());
    let face = Face::http(&script).await;
    let client = Legacy::begin(&face, "2025-11-25").await;
    face.send("DELETE", "/mcp", &client.headers(), "").await;
    let bodies = std::fs::read_to_string(bodies).unwrap();
    assert_eq!(bodies.lines().count(), 2, "{bodies}");
    let all = std::fs::read_to_string(all).unwrap();
    let last: Value = serde_json::from_str(all.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&last["method"], &last["headers"]["mcp-session-id"]),
        (&json!("DELETE"), &json!(client.session))
    );
}

#[test]
fn bad_settings_are_told() {
    let error = parse("http: { anser: json, faults: [ { on: GET, drop: soon, statsu: 1 } ] }")
        .unwrap_err()
        .to_string();
    let lines: Vec<_> = error.lines().collect();
    assert!(lines[0].starts_with("line 1, column 9: unknown key `anser`; did you mean `answer`?"), "{error}");
    assert!(lines[1].contains("expected one of `unread`, `unanswered`"), "{error}");
}
