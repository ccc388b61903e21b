//! A house that does what the method of a request says.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use switchboard::frontend::http::{Exchange, House, Principal, Visitor};
use switchboard::protocol::Revision;
use switchboard::wire::Mailbox;
use tokio::sync::Notify;

#[derive(Default)]
pub(crate) struct Cardboard {
    pub(crate) shared: Arc<Shared>,
    pub(crate) visitors: Mutex<Vec<Arc<Guest>>>,
}

#[derive(Default)]
pub(crate) struct Shared {
    /// Lets `wait` answer.
    pub(crate) gate: Notify,
    /// Exchanges that were dropped.
    pub(crate) dropped: AtomicUsize,
    /// Messages of `flood` that were written.
    pub(crate) flooded: AtomicUsize,
    /// What came, and from whom.
    pub(crate) seen: Mutex<Vec<(Option<String>, Value)>>,
    pub(crate) raw: Mutex<Vec<Bytes>>,
    /// The mailbox of the last request.
    pub(crate) last: Mutex<Option<Arc<Mailbox>>>,
}

pub(crate) struct Guest {
    pub(crate) standing: Arc<Mailbox>,
    pub(crate) ended: AtomicUsize,
    pub(crate) client: Principal,
    /// What was agreed upon.
    pub(crate) revision: Mutex<Option<&'static Revision>>,
    /// Messages of a client with one stream that are not answered.
    open: Arc<AtomicUsize>,
    shared: Arc<Shared>,
}

struct Going(Arc<Shared>);

impl Exchange for Going {}

impl Drop for Going {
    fn drop(&mut self) {
        self.0.dropped.fetch_add(1, Ordering::SeqCst);
    }
}

impl Cardboard {
    pub(crate) fn visitor(&self, at: usize) -> Arc<Guest> {
        Arc::clone(&self.visitors.lock().unwrap()[at])
    }

    pub(crate) fn seen(&self) -> Vec<(Option<String>, Value)> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// How many sessions were ended, none of them twice.
    pub(crate) fn ended(&self) -> usize {
        let visitors = self.visitors.lock().unwrap();
        assert!(visitors.iter().all(|visitor| visitor.ended.load(Ordering::SeqCst) < 2), "ended twice");
        visitors.iter().filter(|visitor| visitor.ended.load(Ordering::SeqCst) == 1).count()
    }
}

impl House for Cardboard {
    fn begin(&self, client: &Principal) -> Arc<dyn Visitor> {
        let guest = Arc::new(Guest {
            standing: Arc::new(Mailbox::new(1 << 20)),
            ended: AtomicUsize::new(0),
            client: client.clone(),
            revision: Mutex::default(),
            open: Arc::default(),
            shared: Arc::clone(&self.shared),
        });
        self.visitors.lock().unwrap().push(Arc::clone(&guest));
        guest
    }

    fn serve(&self, message: Bytes, client: &Principal, answers: Arc<Mailbox>) -> Box<dyn Exchange> {
        perform(&self.shared, client, &message, answers);
        Box::new(Going(Arc::clone(&self.shared)))
    }

    fn definition(&self, tool: &str) -> Option<Bytes> {
        let definition = r#"{"name":"mirrored","inputSchema":{"type":"object","properties":{
            "region":{"type":"string","x-mcp-header":"Region"}}}}"#;
        (tool == "mirrored").then(|| definition.into())
    }
}

impl Visitor for Guest {
    fn take(&self, message: Bytes, answers: Arc<Mailbox>) {
        perform(&self.shared, &self.client, &message, answers);
    }

    fn take_on_stream(&self, message: Bytes) {
        let (answers, standing) = (Arc::new(Mailbox::new(1 << 20)), Arc::clone(&self.standing));
        if serde_json::from_slice::<Value>(&message).unwrap().get("id").is_none() {
            answers.close();
        }
        perform(&self.shared, &self.client, &message, Arc::clone(&answers));
        self.open.fetch_add(1, Ordering::SeqCst);
        let open = Arc::clone(&self.open);
        tokio::spawn(async move {
            while let Some(answer) = answers.next().await {
                standing.push_whole(answer);
            }
            open.fetch_sub(1, Ordering::SeqCst);
        });
    }

    fn stream(&self) -> Arc<Mailbox> {
        Arc::clone(&self.standing)
    }

    fn revision(&self) -> Option<&'static Revision> {
        *self.revision.lock().unwrap()
    }

    fn drained(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async {
            while self.open.load(Ordering::SeqCst) > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
    }

    fn end(&self) {
        self.ended.fetch_add(1, Ordering::SeqCst);
    }
}

pub(crate) fn note(text: &str) -> Bytes {
    json!({"jsonrpc": "2.0", "method": "notifications/test", "params": {"text": text}}).to_string().into()
}

fn perform(shared: &Arc<Shared>, client: &Principal, message: &Bytes, answers: Arc<Mailbox>) {
    shared.raw.lock().unwrap().push(message.clone());
    let message: Value = serde_json::from_slice(message).unwrap();
    shared.seen.lock().unwrap().push((client.name.as_deref().map(str::to_owned), message.clone()));
    *shared.last.lock().unwrap() = Some(Arc::clone(&answers));
    if let Value::Array(batch) = &message {
        let results: Vec<Value> = batch.iter().filter(|one| one.get("id").is_some()).map(answer).collect();
        if !results.is_empty() {
            answers.push_whole(Value::from(results).to_string().into());
        }
        answers.close();
        return;
    }
    let shared = Arc::clone(shared);
    let say = move |answers: &Mailbox, value: Value| {
        answers.push(|line| line.copy(value.to_string().as_bytes()));
    };
    let method = message["method"].as_str().unwrap_or_default().to_owned();
    match method.as_str() {
        "" => {}
        "wait" => drop(tokio::spawn(async move {
            shared.gate.notified().await;
            say(&answers, answer(&message));
            answers.close();
        })),
        // A note, and the answer when the gate opens.
        "note-wait" => drop(tokio::spawn(async move {
            answers.push_whole(note("first"));
            shared.gate.notified().await;
            answers.push_whole(note("second"));
            say(&answers, answer(&message));
            answers.close();
        })),
        "note" => {
            answers.push_whole(note("n"));
            say(&answers, answer(&message));
            answers.close();
        }
        "ask" => {
            say(&answers, json!({"jsonrpc": "2.0", "id": 77, "method": "ping"}));
            say(&answers, answer(&message));
            answers.close();
        }
        "pretty" => {
            let text = serde_json::to_string_pretty(&answer(&message)).unwrap();
            answers.push_whole(note("n"));
            answers.push_whole(text.into());
            answers.close();
        }
        "silent" => answers.close(),
        "hang" => {}
        "initialize" if message["params"]["wait"] == true => {}
        "subscriptions/listen" => answers.push_whole(note("acknowledged")),
        "flood" => drop(tokio::spawn(async move {
            let text = "x".repeat(64 * 1024);
            for _ in 0..400 {
                answers.room().await;
                if answers.is_closed() {
                    return;
                }
                answers.push_whole(note(&text));
                shared.flooded.fetch_add(1, Ordering::SeqCst);
            }
            say(&answers, answer(&message));
            answers.close();
        })),
        _ => {
            say(&answers, answer(&message));
            answers.close();
        }
    }
}

fn answer(message: &Value) -> Value {
    let params = &message["params"];
    let id = &message["id"];
    if let Some(code) = params["fail"].as_i64() {
        return json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": "asked for"}});
    }
    let result = match params["big"].as_u64() {
        Some(size) => json!("x".repeat(usize::try_from(size).unwrap())),
        None => json!({"method": message["method"], "text": params["text"]}),
    };
    json!({"jsonrpc": "2.0", "id": id, "result": result})
}
