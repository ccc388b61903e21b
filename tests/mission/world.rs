//! A Switchboard in this process: a client in front of it, and servers that are functions behind it.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use switchboard::app::{Builder, Switchboard};
use switchboard::config::{self, Environment, Syntax};
use switchboard::failure::{Code, Failure};
use switchboard::registry::Registry;
use switchboard::supervisor::Ending;
use switchboard::transport::{BoxFuture, Connection, Fate, Inbound, Opening, Over, Peer, Traffic, Transport};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, ReadHalf, WriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

/// A call as a server got it.
#[derive(Clone, Debug)]
pub(crate) struct Called {
    /// Which instance of the server it was, counted from one.
    pub(crate) instance: usize,
    pub(crate) at: Instant,
    pub(crate) tool: String,
    pub(crate) arguments: Value,
}

/// What a server does with a call.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Answers with this text.
    Say(String),
    /// The same after a while.
    Later(Duration, String),
    /// Loses the call: whether it ran is not known.
    Lose,
}

type Serve = dyn Fn(&Called) -> Act + Send + Sync;

/// A server that is a function, and the transport to it.
pub(crate) struct Mock {
    serve: Box<Serve>,
    tools: Vec<&'static str>,
    instances: AtomicUsize,
    calls: Mutex<Vec<Called>>,
    /// Whether it keeps what it was called.
    remembers: bool,
}

impl Mock {
    pub(crate) fn new(
        tools: &[&'static str],
        serve: impl Fn(&Called) -> Act + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            serve: Box::new(serve),
            tools: tools.to_vec(),
            instances: AtomicUsize::new(0),
            calls: Mutex::default(),
            remembers: true,
        })
    }

    /// One with a tool that says this, however often, and keeps nothing.
    pub(crate) fn forgetful(tool: &'static str, says: String) -> Arc<Self> {
        let mock = Self::new(&[tool], move |_| Act::Say(says.clone()));
        Arc::new(Self { remembers: false, ..Arc::into_inner(mock).unwrap() })
    }

    /// What it was called, in order.
    pub(crate) fn calls(&self) -> Vec<Called> {
        self.calls.lock().unwrap().clone()
    }

    /// How many calls each instance got; the first one first.
    pub(crate) fn spread(&self) -> Vec<usize> {
        let mut counts = vec![0; self.instances.load(Ordering::Relaxed)];
        self.calls().iter().for_each(|call| counts[call.instance - 1] += 1);
        counts
    }

    async fn answer(self: Arc<Self>, instance: usize, message: Value) -> Option<Inbound> {
        let id = message.get("id")?.as_u64()?;
        let params = &message["params"];
        let answer = match message["method"].as_str()? {
            "initialize" => json!({ "result": {
                "protocolVersion": params["protocolVersion"], "capabilities": { "tools": {} },
                "serverInfo": { "name": "mock-server", "version": "1.0.0" },
            } }),
            "tools/list" => {
                let tool = |name: &&str| json!({ "name": name, "inputSchema": { "type": "object" } });
                json!({ "result": { "tools": self.tools.iter().map(tool).collect::<Vec<_>>() } })
            }
            "ping" => json!({ "result": {} }),
            "tools/call" => {
                let (tool, arguments) = (params["name"].as_str()?.to_owned(), params["arguments"].clone());
                let called = Called { instance, at: Instant::now(), tool, arguments };
                if self.remembers {
                    self.calls.lock().unwrap().push(called.clone());
                }
                let text = match (self.serve)(&called) {
                    Act::Say(text) => text,
                    Act::Later(pause, text) => {
                        sleep(pause).await;
                        text
                    }
                    Act::Lose => {
                        let failure = Failure::new(Code::NetLost, "the call was lost");
                        return Some(Inbound::Failed { id, failure, fate: Fate::Unknown });
                    }
                };
                json!({ "result": { "content": [{ "type": "text", "text": text }] } })
            }
            _ => json!({ "error": { "code": -32601, "message": "Method not found" } }),
        };
        let mut answer = answer;
        answer["jsonrpc"] = "2.0".into();
        answer["id"] = id.into();
        Some(Inbound::Message { text: answer.to_string().into(), about: Some(id) })
    }
}

impl std::fmt::Debug for Mock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mock").field("tools", &self.tools).finish_non_exhaustive()
    }
}

/// The way to a mock: each connection is an instance of it.
#[derive(Debug)]
struct ToMock(Arc<Mock>);

impl Transport for ToMock {
    fn connect(&self, _: Opening) -> BoxFuture<'_, Result<Connection, Failure>> {
        let mock = Arc::clone(&self.0);
        Box::pin(async move {
            let instance = mock.instances.fetch_add(1, Ordering::Relaxed) + 1;
            let (outgoing, mut requests) = mpsc::channel::<Bytes>(64);
            let (answers, incoming) = mpsc::channel(64);
            let task = tokio::spawn(async move {
                while let Some(request) = requests.recv().await {
                    let message = serde_json::from_slice(&request).unwrap();
                    let (mock, answers) = (Arc::clone(&mock), answers.clone());
                    tokio::spawn(async move {
                        if let Some(answer) = mock.answer(instance, message).await {
                            let _ = answers.send(answer).await;
                        }
                    });
                }
            });
            let peer = Box::new(Link(Some(task)));
            Ok(Connection { traffic: Traffic::Messages { outgoing, incoming }, peer })
        })
    }

    fn has_streams(&self) -> bool {
        true
    }
}

struct Link(Option<JoinHandle<()>>);

impl Peer for Link {
    fn over(&mut self) -> BoxFuture<'_, Over> {
        Box::pin(async {
            if let Some(task) = &mut self.0 {
                let _ = task.await;
                self.0 = None;
            }
            Over::Lost(Failure::new(Code::NetLost, "the connection has ended"))
        })
    }

    fn end(self: Box<Self>, _: Ending) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            self.0.inspect(JoinHandle::abort);
        })
    }
}

/// The way to a mock, to be handed over.
pub(crate) fn to(mock: &Arc<Mock>) -> Arc<dyn Transport> {
    Arc::new(ToMock(Arc::clone(mock)))
}

/// A client, and the Switchboard behind it.
pub(crate) struct World {
    output: tokio::sync::Mutex<WriteHalf<DuplexStream>>,
    open: Arc<Mutex<HashMap<u64, oneshot::Sender<Value>>>>,
    next: AtomicU64,
    pub(crate) registry: Arc<Registry>,
}

impl World {
    /// A Switchboard with this config, and a client that has introduced itself and seen its tools.
    pub(crate) async fn open(config: &str, furnish: impl FnOnce(Builder) -> Builder) -> Self {
        let path = Path::new("/switchboard.yaml");
        let loaded = config::load_text(config, Syntax::Yaml, path, &Environment::default());
        assert!(loaded.problems.is_empty(), "{:?}", loaded.problems);
        let switchboard = furnish(Switchboard::builder(loaded)).build();
        let registry = Arc::clone(switchboard.registry());
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        let (input, output) = tokio::io::split(theirs);
        tokio::spawn(async move { switchboard.serve(input, output, std::future::pending()).await });
        let (input, output) = tokio::io::split(ours);
        let open = Arc::<Mutex<HashMap<u64, oneshot::Sender<Value>>>>::default();
        tokio::spawn(hear(input, Arc::clone(&open)));
        let world = Self { output: output.into(), open, next: AtomicU64::new(1), registry };
        let hello = json!({
            "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "test", "version": "1" },
        });
        world.request("initialize", hello).await;
        world.send(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).await;
        world.request("tools/list", json!({})).await;
        world
    }

    /// With one server `a` that is this mock, and these keys in its entry.
    pub(crate) async fn of(mock: &Arc<Mock>, keys: &str) -> Self {
        let config = format!("servers: {{ a: {{ command: none, start: eager, {keys} }} }}");
        Self::open(&config, |builder| builder.transport("a", to(mock))).await
    }

    async fn send(&self, message: &Value) {
        let line = format!("{message}\n");
        self.output.lock().await.write_all(line.as_bytes()).await.unwrap();
    }

    /// The whole answer.
    pub(crate) async fn request(&self, method: &str, params: Value) -> Value {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = oneshot::channel();
        self.open.lock().unwrap().insert(id, sender);
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })).await;
        answer.await.expect("an answer")
    }

    /// The result of a tool.
    pub(crate) async fn result(&self, tool: &str, arguments: Value) -> Value {
        self.request("tools/call", json!({ "name": tool, "arguments": arguments })).await["result"].clone()
    }

    /// The text of a tool's result, whatever it says.
    pub(crate) async fn call(&self, tool: &str, arguments: Value) -> String {
        let result = self.result(tool, arguments).await;
        result["content"][0]["text"].as_str().unwrap_or_else(|| panic!("no text: {result}")).to_owned()
    }
}

async fn hear(input: ReadHalf<DuplexStream>, open: Arc<Mutex<HashMap<u64, oneshot::Sender<Value>>>>) {
    let mut lines = BufReader::new(input).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let message: Value = serde_json::from_str(&line).unwrap();
        let asker = message["id"].as_u64().and_then(|id| open.lock().unwrap().remove(&id));
        if let Some(asker) = asker {
            let _ = asker.send(message);
        }
    }
}
