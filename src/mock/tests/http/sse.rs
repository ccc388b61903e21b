//! The transport of 2024-11-05.

use super::*;

const SCRIPT: &str = r#"
tools:
  echo: { answer: "{{mock.session}}" }
  ask: { steps: [ { ask: { method: roots/list, save: r } }, { answer: "{{r.roots}}" } ] }
"#;

async fn open(face: &Face) -> (Answer, String) {
    let mut stream = face.send("GET", "/sse", &[("Accept", "text/event-stream")], "").await;
    let endpoint = stream.event().await.unwrap();
    assert_eq!(endpoint[0], "event: endpoint");
    let path = endpoint[1].strip_prefix("data: ").unwrap().to_owned();
    (stream, path)
}

#[tokio::test]
async fn answers_come_on_the_stream() {
    let face = Face::of(SCRIPT, &crate::mock::Face::Sse(HERE)).await;
    assert!(face.url.ends_with("/sse"));
    let (mut one, first) = open(&face).await;
    let (mut two, second) = open(&face).await;
    for (stream, path, number) in [(&mut one, &first, "1"), (&mut two, &second, "2")] {
        let hello = request(0, "initialize", json!({"protocolVersion": "2024-11-05"}));
        assert_eq!(face.send("POST", path, &[], &hello.to_string()).await.status, 202);
        assert_eq!(stream.message().await.1["result"]["protocolVersion"], "2024-11-05");
        face.send("POST", path, &[], &request(1, "tools/call", json!({"name": "echo"})).to_string()).await;
        assert_eq!(said(&stream.message().await.1), number);
    }
    face.send("POST", &first, &[], &request(2, "tools/call", json!({"name": "ask"})).to_string()).await;
    let question = one.message().await.1;
    let reply = json!({"jsonrpc": "2.0", "id": question["id"], "result": {"roots": [1]}});
    face.send("POST", &first, &[], &reply.to_string()).await;
    assert_eq!(said(&one.message().await.1), "[1]");
    assert_eq!(face.send("POST", "/sse", &[], "{}").await.status, 405);
    assert_eq!(face.send("POST", &first, &[], "{").await.status, 400);
    // A session ends with its stream.
    drop(one);
    let gone = async {
        while face.send("POST", &first, &[], "{}").await.status != 404 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), gone).await.expect("the session ends");
}

#[tokio::test]
async fn the_endpoint_can_be_elsewhere() {
    let script = "http: { endpoint: 'http://other.example/messages?s={{session_id}}' }\ntools: [t]";
    let face = Face::of(script, &crate::mock::Face::Sse(HERE)).await;
    let (_stream, path) = open(&face).await;
    assert!(path.starts_with("http://other.example/messages?s=mock-session-1-"), "{path}");
}
