//! Streamable HTTP of 2026-07-28: every request stands for itself.

use std::sync::{Arc, Mutex};

use bytes::Bytes;

use crate::transport::test_support::*;

#[tokio::test]
async fn requests_carry_their_headers_and_no_session() {
    let server = Server::start(|seen| {
        let (_, id) = seen.message();
        with(json(result(id, r#"{"resultType":"complete"}"#)), "mcp-session-id", "abc")
    })
    .await;
    let setup = Setup::new(server.url());
    setup.header_params.learn(&[Bytes::from_static(
        br#"{"name":"q","inputSchema":{"properties":{"r":{"type":"string","x-mcp-header":"Region"}}}}"#,
    )]);
    let mut talk = setup.connect().await;
    talk.ask_modern(1, "server/discover", "").await;
    talk.hear().await;
    talk.ask_modern(2, "tools/call", r#""name":"q","arguments":{"r":"a\r\nX-Evil: 1"},"#).await;
    assert_eq!(talk.hear().await, format!("2: {}", result(2, r#"{"resultType":"complete"}"#)));
    talk.ask_modern(3, "resources/read", r#""uri":"file:///ü","#).await;
    talk.hear().await;
    talk.end().await;

    let seen = server.seen();
    assert_eq!(seen.len(), 3, "no stream to listen on, no goodbye");
    for one in &seen {
        assert_eq!((one.header("mcp-protocol-version"), one.header("mcp-session-id")), ("2026-07-28", ""));
        assert_eq!(one.header("mcp-method"), one.message().0);
    }
    assert_eq!((seen[1].header("mcp-name"), seen[1].header("x-evil")), ("q", ""));
    assert_eq!(seen[1].header("mcp-param-region"), "=?base64?YQ0KWC1FdmlsOiAx?=");
    assert_eq!(seen[2].header("mcp-name"), "=?base64?ZmlsZTovLy/DvA==?=");
}

#[tokio::test]
async fn a_cancellation_closes_the_stream_and_is_not_sent() {
    let writer = Arc::new(Mutex::new(None));
    let keep = writer.clone();
    let server = Server::start(move |_| {
        let (reply, writer) = streamed(200, "text/event-stream");
        writer.send(Ok(event(r#"{"method":"x"}"#).into())).unwrap();
        *keep.lock().unwrap() = Some(writer);
        reply
    })
    .await;
    let mut talk = Setup::new(server.url()).connect().await;
    talk.ask_modern(1, "tools/call", r#""name":"q","#).await;
    assert_eq!(talk.hear().await, r#"1: {"method":"x"}"#);
    talk.cancel(1).await;
    let writer = writer.lock().unwrap().take().unwrap();
    gone(&writer).await;
    assert_eq!(server.seen().len(), 1);
    assert!(talk.is_silent());
    talk.end().await;
}

#[tokio::test]
async fn a_cancellation_right_behind_its_request_finds_it() {
    let server = Server::start(|seen| json(result(seen.message().1, "{}"))).await;
    let mut talk = Setup::new(server.url()).connect().await;
    talk.ask_modern(1, "tools/call", r#""name":"q","#).await;
    talk.cancel(1).await;
    talk.ask_modern(2, "tools/list", "").await;
    assert_eq!(talk.hear().await, format!("2: {}", result(2, "{}")), "nothing comes of the first");
    talk.end().await;
}

#[tokio::test]
async fn a_broken_stream_is_not_taken_up_again() {
    let server = Server::start(|_| events("id: 5\nretry: 1\ndata: {\"method\":\"x\"}\n\n")).await;
    let mut talk = Setup::new(server.url()).connect().await;
    talk.ask_modern(1, "tools/call", r#""name":"q","#).await;
    talk.hear().await;
    talk.hear_failure(&["1 failed, Unknown", "SB-NET-008"]).await;
    assert_eq!(server.seen().len(), 1);
    talk.end().await;
}

#[tokio::test]
async fn errors_of_modern_servers_are_answers() {
    let unsupported =
        r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32022,"message":"no","data":{"supported":[]}}}"#;
    let server = Server::start(move |seen| match seen.message().1 {
        1 => reply(400, "application/json", unsupported),
        2 => reply(404, "application/json", r#"{"jsonrpc":"2.0","error":{"code":-32601,"message":"no"}}"#),
        id => reply(
            400,
            "application/json",
            format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32020}}}}"#),
        ),
    })
    .await;
    let mut talk = Setup::new(server.url()).connect().await;
    talk.ask_modern(1, "server/discover", "").await;
    assert_eq!(talk.hear().await, format!("1: {}", unsupported.replace("null", "1")));
    talk.ask_modern(2, "x/y", "").await;
    assert_eq!(talk.hear().await, r#"2: {"id":2,"jsonrpc":"2.0","error":{"code":-32601,"message":"no"}}"#);
    talk.ask_modern(3, "tools/call", r#""name":"q","#).await;
    assert_eq!(talk.hear().await, r#"3: {"jsonrpc":"2.0","id":3,"error":{"code":-32020}}"#);
    talk.end().await;
}

#[tokio::test]
async fn a_probe_at_a_server_of_another_time_never_leads_elsewhere() {
    let server = Server::start(|seen| match seen.method.as_str() {
        "POST" => reply(405, "text/plain", "Method Not Allowed"),
        _ => events("event: endpoint\ndata: /messages\n\n"),
    })
    .await;
    let mut talk = Setup::new(server.url()).connect().await;
    talk.ask_modern(1, "server/discover", "").await;
    talk.hear_failure(&["1 failed, NotRun", "405 Method Not Allowed", "SB-NET-005"]).await;
    assert_eq!(server.seen().len(), 1);
    talk.end().await;
}
