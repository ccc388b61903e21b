//! Clients of the modern revision, which have no sessions, beside those of the legacy ones.

use serde_json::{Value, json};

use crate::client::{Answer, Client, request};
use crate::guest::{Guest, text};
use crate::rig::{Server, Setup};
use crate::served::Served;

/// A client of 2026-07-28: every request for itself.
pub(crate) struct Modern {
    address: std::net::SocketAddr,
    next: u64,
}

impl Modern {
    pub(crate) fn new(served: &Served) -> Self {
        Self { address: served.address, next: 1 }
    }

    /// Sends a request; its answer is to be read from the connection.
    async fn send(&mut self, method: &str, mut params: Value) -> Client {
        let meta = &mut params["_meta"];
        meta["io.modelcontextprotocol/protocolVersion"] = json!("2026-07-28");
        meta["io.modelcontextprotocol/clientCapabilities"] = json!({"elicitation": {"form": {}}});
        let name = params["name"].as_str().or(params["uri"].as_str()).map(str::to_owned);
        let mut headers = vec![("MCP-Protocol-Version", "2026-07-28"), ("Mcp-Method", method)];
        headers.extend(name.as_deref().map(|name| ("Mcp-Name", name)));
        let mut client = Client::connect(self.address).await;
        client.send_post(&headers, &request(self.next, method, &params)).await;
        self.next += 1;
        client
    }

    /// Opens a stream of news.
    pub(crate) async fn listen(&mut self, uris: &[&str]) -> Client {
        let params = json!({"notifications": {"resourceSubscriptions": uris}});
        let mut client = self.send("subscriptions/listen", params).await;
        assert!(client.answer_head().await.is_events());
        client
    }

    /// Everything that comes of a request; the answer is the last.
    async fn request(&mut self, method: &str, params: Value) -> Vec<Value> {
        let mut client = self.send(method, params).await;
        let answer: Answer = client.answer().await;
        if answer.is_events() {
            return answer.events().iter().filter(|event| !event.comment).map(|event| event.json()).collect();
        }
        vec![answer.json()]
    }
}

const SERVER: &str = r#"
tools:
  work: { steps: [ { progress: 1 }, { log: { level: info, data: working } }, { answer: done } ] }
  touch: { updated: "note://one", answer: touched }
  ask:
    steps:
      - ask: { method: elicitation/create, save: reply, params: { message: "Who?", requestedSchema: { type: object, properties: { name: { type: string } } } } }
      - answer: "{{reply.content.name}}"
resources: { "note://one": { name: One, text: one }, "note://two": { name: Two, text: two } }
"#;

#[tokio::test]
async fn a_modern_client_of_a_legacy_server() {
    let served = Served::new(Setup::of([Server::script("s", SERVER)]));
    let mut modern = Modern::new(&served);
    let found = modern.request("server/discover", json!({})).await.pop().unwrap();
    assert_eq!(found["result"]["supportedVersions"], json!(["2026-07-28"]));
    let tools = modern.request("tools/list", json!({})).await.pop().unwrap();
    let names: Vec<&str> = tools["result"]["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tool| tool["name"].as_str().unwrap())
        .collect();
    assert!(names.contains(&"s__work"), "{names:?}");

    let meta = json!({"progressToken": "p", "io.modelcontextprotocol/logLevel": "info"});
    let told = modern.request("tools/call", json!({"name": "s__work", "arguments": {}, "_meta": meta})).await;
    let methods: Vec<&str> = told.iter().filter_map(|message| message["method"].as_str()).collect();
    assert_eq!(methods, ["notifications/progress", "notifications/message"]);
    assert_eq!((&told[0]["params"]["progressToken"], text(&told[2]).as_str()), (&json!("p"), "done"));

    // A question is a result, and its answer comes with the same request.
    let asked = modern.request("tools/call", json!({"name": "s__ask", "arguments": {}})).await.pop().unwrap();
    assert_eq!(asked["result"]["resultType"], "input_required", "{asked}");
    let questions = asked["result"]["inputRequests"].as_object().unwrap();
    let (key, question) = questions.iter().next().unwrap();
    assert_eq!(question["method"], "elicitation/create");
    let again = json!({
        "name": "s__ask",
        "arguments": {},
        "inputResponses": {key: {"action": "accept", "content": {"name": "Ada"}}},
        "requestState": asked["result"]["requestState"],
    });
    let answer = modern.request("tools/call", again).await.pop().unwrap();
    assert_eq!(text(&answer), "Ada");
}

#[tokio::test]
async fn news_reach_clients_of_both_eras() {
    let served = Served::new(Setup::of([Server::script("s", SERVER)]));
    let mut legacy = Guest::new(&served, false).await;
    let mut modern = Modern::new(&served);
    modern.request("tools/list", json!({})).await;
    assert_eq!(
        legacy.request("resources/subscribe", &json!({"uri": "note://one"})).await["result"],
        json!({})
    );
    let mut one = modern.listen(&["note://one"]).await;
    let acknowledged = one.event().await.unwrap().json();
    assert_eq!(acknowledged["method"], "notifications/subscriptions/acknowledged");
    assert_eq!(legacy.call("s__touch", &json!({})).await, "touched");
    assert_eq!(legacy.told().await["params"]["uri"], "note://one");
    assert_eq!(one.event().await.unwrap().json()["params"]["uri"], "note://one");
}

#[tokio::test]
async fn a_client_of_the_first_revision() {
    let served = Served::new(Setup::of([Server::script("s", SERVER)]));
    let mut guest = Guest::by_sse(&served, "", true).await;
    let hello = json!({"protocolVersion": "2024-11-05", "capabilities": {}, "clientInfo": {"name": "o", "version": "1"}});
    let hello = guest.request("initialize", &hello).await;
    assert_eq!(hello["result"]["protocolVersion"], "2024-11-05");
    let tools = guest.request("tools/list", &json!({})).await;
    assert!(tools["result"]["tools"].as_array().unwrap().iter().any(|tool| tool["name"] == "s__work"));
    let call = guest.begin_tool("s__work", &json!({})).await;
    let told = guest.all(call, &Value::Null).await;
    assert_eq!(told[0]["params"]["progressToken"], "token-3");
    assert_eq!(told[1]["method"], "notifications/message");
    assert_eq!(text(&told[2]), "done");
}
