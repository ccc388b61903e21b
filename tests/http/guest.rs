//! A legacy client over HTTP, by either transport, by hand.

use serde_json::{Value, json};

use crate::client::Client;
use crate::served::Served;

/// A session, with its standing stream open.
pub(crate) struct Guest {
    address: std::net::SocketAddr,
    way: Way,
    bearer: String,
    /// The standing stream.
    pub(crate) stream: Client,
    next: u64,
}

/// By which transport it came.
enum Way {
    /// Its id.
    Streamable(String),
    /// Where to post.
    Sse(String),
}

/// What came with the answer of a request, in order; the answer is the last.
pub(crate) type Told = Vec<Value>;

/// A request that is not answered yet.
pub(crate) enum Call {
    /// On its own connection.
    Own(Client),
    /// On the standing stream, under this id.
    Shared(u64),
}

impl Guest {
    /// By Streamable HTTP. It can be asked by a form, if `asked`.
    pub(crate) async fn new(served: &Served, asked: bool) -> Guest {
        Self::of(served, "", asked).await
    }

    /// The same with a token.
    pub(crate) async fn of(served: &Served, token: &str, asked: bool) -> Guest {
        let address = served.address;
        let bearer = format!("Bearer {token}");
        let mut client = Client::connect(address).await;
        let begun = client.post(&[("Authorization", &bearer)], &initialize(asked)).await;
        assert_eq!(begun.status, 200, "{}", begun.body);
        let id = begun.header("mcp-session-id").unwrap().to_owned();
        let mut stream = Client::connect(address).await;
        stream.head("GET", "/mcp", &[("Mcp-Session-Id", &id), ("Authorization", &bearer)]).await;
        assert!(stream.answer_head().await.is_events());
        // The event that begins it.
        assert_eq!(stream.event().await.unwrap().data.as_deref(), Some(""));
        let guest = Guest { address, way: Way::Streamable(id), bearer, stream, next: 1 };
        guest.notify("notifications/initialized", &json!({})).await;
        guest
    }

    /// By HTTP+SSE.
    pub(crate) async fn by_sse(served: &Served, token: &str, asked: bool) -> Guest {
        let address = served.address;
        let bearer = format!("Bearer {token}");
        let mut stream = Client::connect(address).await;
        stream.head("GET", "/sse", &[("Authorization", &bearer)]).await;
        assert!(stream.answer_head().await.is_events());
        let endpoint = stream.event().await.unwrap().data.unwrap();
        let mut guest = Guest { address, way: Way::Sse(endpoint), bearer, stream, next: 1 };
        guest.post(&initialize(asked)).await;
        assert_eq!(guest.told().await["id"], 0);
        guest.notify("notifications/initialized", &json!({})).await;
        guest
    }

    /// The id of the session, or where it posts.
    pub(crate) fn id(&self) -> &str {
        match &self.way {
            Way::Streamable(id) => id,
            Way::Sse(endpoint) => endpoint,
        }
    }

    /// The headers of its requests.
    pub(crate) fn headers(&self) -> Vec<(&str, &str)> {
        let mut headers = vec![("Authorization", self.bearer.as_str())];
        if let Way::Streamable(id) = &self.way {
            headers.extend([("Mcp-Session-Id", id.as_str()), ("MCP-Protocol-Version", "2025-11-25")]);
        }
        headers
    }

    /// Posts something that is not answered.
    pub(crate) async fn post(&self, message: &str) {
        let path = match &self.way {
            Way::Streamable(_) => "/mcp",
            Way::Sse(endpoint) => endpoint,
        };
        let mut client = Client::connect(self.address).await;
        let answer = client.post_to(path, &self.headers(), message).await;
        assert_eq!(answer.status, 202, "{}", answer.body);
    }

    pub(crate) async fn notify(&self, method: &str, params: &Value) {
        self.post(&json!({"jsonrpc": "2.0", "method": method, "params": params}).to_string()).await;
    }

    /// Answers a question of a server.
    pub(crate) async fn reply(&self, question: &Value, result: &Value) {
        self.post(&json!({"jsonrpc": "2.0", "id": question["id"], "result": result}).to_string()).await;
    }

    /// The next message of the standing stream.
    pub(crate) async fn told(&mut self) -> Value {
        self.stream.event().await.expect("the stream is open").json()
    }

    /// Sends a request without waiting for its answer.
    pub(crate) async fn begin(&mut self, method: &str, params: &Value) -> Call {
        let id = self.next;
        self.next += 1;
        let message = crate::client::request(id, method, params);
        if let Way::Sse(_) = &self.way {
            self.post(&message).await;
            return Call::Shared(id);
        }
        let mut client = Client::connect(self.address).await;
        client.send_post(&self.headers(), &message).await;
        Call::Own(client)
    }

    /// Begins to call a tool, with a progress token.
    pub(crate) async fn begin_tool(&mut self, tool: &str, arguments: &Value) -> Call {
        let token = format!("token-{}", self.next);
        let params = json!({"name": tool, "arguments": arguments, "_meta": {"progressToken": token}});
        self.begin("tools/call", &params).await
    }

    /// What comes of a request. Questions are answered with `reply`, as they come.
    pub(crate) async fn all(&mut self, call: Call, reply: &Value) -> Told {
        let mut told = Told::new();
        match call {
            Call::Own(mut client) => {
                let head = client.answer_head().await;
                assert_eq!(head.status, 200);
                if !head.is_events() {
                    return vec![client.rest(head).await.json()];
                }
                while let Some(event) = client.event().await {
                    if event.data.as_deref() == Some("") {
                        continue;
                    }
                    self.note(event.json(), reply, &mut told).await;
                }
            }
            Call::Shared(id) => loop {
                let message = self.told().await;
                let is_last = message["id"] == id && message.get("method").is_none();
                self.note(message, reply, &mut told).await;
                if is_last {
                    break;
                }
            },
        }
        told
    }

    async fn note(&self, message: Value, reply: &Value, told: &mut Told) {
        if message.get("method").is_some() && message.get("id").is_some() {
            self.reply(&message, reply).await;
        }
        told.push(message);
    }

    /// The whole of a request.
    pub(crate) async fn request(&mut self, method: &str, params: &Value) -> Value {
        let call = self.begin(method, params).await;
        self.all(call, &Value::Null).await.pop().unwrap()
    }

    /// Calls a tool and gives its text.
    pub(crate) async fn call(&mut self, tool: &str, arguments: &Value) -> String {
        let call = self.begin_tool(tool, arguments).await;
        text(&self.all(call, &Value::Null).await.pop().unwrap())
    }
}

/// The text of a tool's answer.
pub(crate) fn text(answer: &Value) -> String {
    let text = answer["result"]["content"][0]["text"].as_str();
    text.unwrap_or_else(|| panic!("a text: {answer}")).to_owned()
}

fn initialize(asked: bool) -> String {
    let capabilities = if asked { json!({"elicitation": {}, "sampling": {}}) } else { json!({}) };
    let params = json!({
        "protocolVersion": "2025-11-25",
        "capabilities": capabilities,
        "clientInfo": {"name": "guest", "version": "1"},
    });
    crate::client::request(0, "initialize", &params)
}
