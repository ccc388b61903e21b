//! WebSocket and Unix sockets.

use futures_util::{SinkExt as _, StreamExt as _};
use tokio_tungstenite::tungstenite::Message;

use super::http::Face;
use super::*;

const SCRIPT: &str = "revisions: [2025-11-25, 2026-07-28]\nhttp: { bearer: secret }\ntools: { t: { ask: { method: roots/list, save: r }, answer: '{{mock.session}} {{r.roots}}' }, bye: { exit: 3 } }";

#[tokio::test]
async fn a_frame_per_message() {
    let here = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let face = Face::of(SCRIPT, &crate::mock::Face::WebSocket(here)).await;
    let connect = async |token: &str| {
        use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
        let mut request = face.url.as_str().into_client_request().unwrap();
        request.headers_mut().insert("authorization", token.parse().unwrap());
        request.headers_mut().insert("sec-websocket-protocol", "mcp".parse().unwrap());
        let stream =
            tokio::net::TcpStream::connect(request.uri().authority().unwrap().as_str()).await.unwrap();
        tokio_tungstenite::client_async(request, stream).await
    };
    assert!(connect("Bearer wrong").await.is_err());
    for number in 1..=2 {
        let (mut socket, answer) = connect("Bearer secret").await.unwrap();
        assert_eq!(answer.headers()["sec-websocket-protocol"], "mcp");
        let mut say = async |message: Value| {
            socket.send(Message::text(message.to_string())).await.unwrap();
            let frame = socket.next().await.unwrap().unwrap();
            serde_json::from_str::<Value>(frame.to_text().unwrap()).unwrap()
        };
        let hello = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {"protocolVersion": "2025-11-25"}});
        assert_eq!(say(hello).await["id"], 0);
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "t"}});
        let question = say(call).await;
        let done = say(json!({"jsonrpc": "2.0", "id": question["id"], "result": {"roots": []}})).await;
        assert_eq!(said(&done), format!("{number} []"));
    }
}

#[cfg(unix)]
#[tokio::test]
async fn lines_on_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mock.sock");
    let script = parse(SCRIPT).unwrap();
    let listening = listen(script, &crate::mock::Face::Unix(path.clone()), Hooks::in_memory()).await.unwrap();
    assert_eq!(listening.url, format!("unix:{}", path.display()));
    let running = tokio::spawn(listening.run());
    let connect = async || {
        use tokio::io::AsyncBufReadExt as _;
        let (reader, writer) = tokio::net::UnixStream::connect(&path).await.unwrap().into_split();
        (tokio::io::BufReader::new(reader).lines(), writer)
    };
    // A modern call begun on one connection goes on over another.
    let mut params = json!({"name": "t", "_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {"roots": {}}}});
    let mut round = Value::Null;
    for id in 1..=2 {
        let (mut lines, mut writer) = connect().await;
        let call = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params});
        writer.write_all(format!("{call}\n").as_bytes()).await.unwrap();
        round = serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap();
        params["requestState"] = round["result"]["requestState"].clone();
        params["inputResponses"] = json!({"r": {"roots": []}});
    }
    assert_eq!(said(&round), "2 []");
    let (_lines, mut writer) = connect().await;
    let bye = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "bye"}});
    writer.write_all(format!("{bye}\n").as_bytes()).await.unwrap();
    let outcome = tokio::time::timeout(Duration::from_secs(20), running).await.expect("an end in time");
    assert_eq!(outcome.unwrap(), Outcome::Exit(3));
    assert!(!path.exists());
}
