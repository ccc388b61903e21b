//! Who is let in, and what is there at all.

use switchboard::failure::Code;
use switchboard::frontend::http::{Face, Settings};

use super::client::{BOTH, INITIALIZE};
use super::{Cardboard, Stage, tokens};

#[tokio::test]
async fn paths_and_methods() {
    let stage = Stage::new().await;
    let mut client = stage.connect().await;
    let healthy = client.send("GET", "/healthz", &[]).await;
    assert_eq!((healthy.status, healthy.body.as_str()), (200, "ok"));
    let nothing = client.send("GET", "/elsewhere", &[]).await;
    assert_eq!((nothing.status, nothing.code()), (404, -32600));
    assert_eq!(client.send("GET", "/.well-known/oauth-protected-resource", &[]).await.status, 404);
    for method in ["GET", "DELETE"] {
        let refused = client.send(method, "/mcp", &[]).await;
        assert_eq!((refused.status, refused.header("allow")), (405, Some("POST")), "{method}");
    }
    assert_eq!(client.send("PUT", "/mcp", &[]).await.status, 405);
    for path in ["/mcp", "/mcp/", "/", "/mcp?x=1"] {
        let length = INITIALIZE.len().to_string();
        let headers = [("Content-Type", "application/json"), ("Accept", BOTH), ("Content-Length", &length)];
        client.head("POST", path, &headers).await;
        client.write(INITIALIZE.as_bytes()).await;
        assert_eq!(client.answer().await.status, 200, "{path}");
    }
    stage.end().await;
}

#[tokio::test]
async fn foreign_hosts_and_pages_are_refused() {
    let stage =
        Stage::with(|settings| settings.config.allowed_origins.push("https://app.example".to_owned())).await;
    let mut client = stage.connect().await;
    let port = stage.address.port();
    let own = format!("http://localhost:{port}");
    let localhost = format!("localhost:{port}");
    for (host, origin, status) in [
        ("evil.example", None, 403),
        ("evil.example", Some("http://evil.example"), 403),
        (&localhost, Some("http://evil.example"), 403),
        (&localhost, Some("null"), 403),
        (&localhost, Some("http://localhost:1"), 403),
        (&localhost, Some(own.as_str()), 200),
        (&localhost, Some("https://app.example"), 200),
        (&localhost, None, 200),
    ] {
        let mut headers = vec![("Host", host)];
        headers.extend(origin.map(|origin| ("Origin", origin)));
        let answer = client.post(&headers, INITIALIZE).await;
        assert_eq!(answer.status, status, "{host} {origin:?}");
        if status == 403 {
            assert!(answer.json().get("id").is_none() && answer.code() == -32600, "{}", answer.body);
            assert_eq!(answer.header("access-control-allow-origin"), None);
        } else {
            assert_eq!(answer.header("access-control-allow-origin"), origin);
            let exposed = answer.header("access-control-expose-headers").unwrap_or_default();
            assert_eq!(exposed.contains("Mcp-Session-Id"), origin.is_some());
        }
    }
    assert_eq!(stage.house.visitors.lock().unwrap().len(), 3, "whoever is refused reaches nothing");
    stage.end().await;
}

#[tokio::test]
async fn browsers_ask_before_they_send() {
    let stage = Stage::with(|settings| {
        settings.config.allowed_origins.push("https://app.example".to_owned());
        tokens(&mut settings.config);
    })
    .await;
    let mut client = stage.connect().await;
    let asked = "authorization, mcp-protocol-version, mcp-param-x";
    let ask = |origin| {
        [
            ("Origin", origin),
            ("Access-Control-Request-Method", "POST"),
            ("Access-Control-Request-Headers", asked),
        ]
    };
    let answer = client.send("OPTIONS", "/mcp", &ask("https://app.example")).await;
    assert_eq!(answer.status, 204);
    assert_eq!(answer.header("access-control-allow-headers"), Some(asked));
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://app.example"));
    assert_eq!(client.send("OPTIONS", "/mcp", &ask("https://evil.example")).await.status, 403);
    assert_eq!(client.send("OPTIONS", "/mcp", &[]).await.status, 401);
    stage.end().await;
}

#[tokio::test]
async fn tokens_let_in_and_only_names_go_further() {
    let stage = Stage::with(|settings| tokens(&mut settings.config)).await;
    let mut client = stage.connect().await;
    let none = client.post(&[], INITIALIZE).await;
    assert_eq!((none.status, none.header("www-authenticate")), (401, Some("Bearer")));
    let wrong = client.post(&[("Authorization", "Bearer nonsense")], INITIALIZE).await;
    assert_eq!(
        (wrong.status, wrong.header("www-authenticate")),
        (401, Some("Bearer error=\"invalid_token\""))
    );
    let length = INITIALIZE.len().to_string();
    let headers =
        [("Content-Type", "application/json"), ("Accept", BOTH), ("Content-Length", length.as_str())];
    client.head("POST", "/mcp?access_token=token-of-alice-0123456789", &headers).await;
    client.write(INITIALIZE.as_bytes()).await;
    assert_eq!(client.answer().await.status, 401, "never in the address");
    let right = client.post(&[("Authorization", "Bearer token-of-alice-0123456789")], INITIALIZE).await;
    assert_eq!(right.status, 200);
    let seen = stage.house.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].0.as_deref(), Some("alice"));
    assert!(!format!("{seen:?}").contains("token-of"));
    assert_eq!(client.send("GET", "/healthz", &[]).await.status, 200, "without a token");
    stage.end().await;
}

#[tokio::test]
async fn an_address_of_others_needs_a_token() {
    let bind = |edit: fn(&mut Settings)| async move {
        let mut settings = Settings { listen: Some("0.0.0.0:0".parse().unwrap()), ..Settings::default() };
        edit(&mut settings);
        Face::bind(settings, std::sync::Arc::new(Cardboard::default())).await
    };
    let failure = bind(|_| {}).await.err().unwrap();
    assert_eq!(failure.code, Code::HttpOpen);
    assert!(failure.to_string().contains("http: { tokens"), "{failure}");
    assert!(bind(|settings| tokens(&mut settings.config)).await.is_ok());
}

#[tokio::test]
async fn an_address_that_is_taken_is_a_clear_failure() {
    let stage = Stage::new().await;
    let settings = Settings { listen: Some(stage.address), ..Settings::default() };
    let failure = Face::bind(settings, std::sync::Arc::new(Cardboard::default())).await.err().unwrap();
    assert_eq!(failure.code, Code::HttpListen);
    stage.end().await;
}
