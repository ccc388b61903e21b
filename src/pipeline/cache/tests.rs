//! What the tests of the cache share: wishes, a server that counts, and the stage between them.

mod flights;
mod identity;
mod keeping;

use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::*;
use crate::call::{Ask, AskKey, AskKind, Asker, Call, Ticket};
use crate::effect::Effect;
use crate::names::ExposedName;
use crate::pipeline::Bottom;
use crate::pipeline::testing::{Client, call, server};
use crate::protocol::Revision;
use crate::wire::{Body, Id, Span, json as raw};

const TTL: Duration = Duration::from_secs(60);

fn rules() -> CacheRules {
    CacheRules { ttl: TTL, ..CacheRules::default() }
}

fn cache_with(rules: CacheRules) -> Arc<Cache> {
    Arc::new(Cache::new(server(), rules, Arc::default()))
}

fn cache() -> Arc<Cache> {
    cache_with(rules())
}

/// A call of something that only reads, with these parameters.
fn wish(principal: Option<&str>, method: Method, label: &str, params: &str) -> Box<Request> {
    let client = Client::new(principal);
    let line = Bytes::from(params.to_owned());
    let whole = Span { start: 0, end: line.len() };
    let meta = raw::get(&line, "_meta");
    Box::new(Request {
        call: Call { method, params: Some(whole), meta, line, ..call(&client, label) },
        exposed: ExposedName::from(label),
        definition: Bytes::new(),
        effect: Effect::Read,
        attempt: 1,
        trace: None,
        deadline: Instant::now() + Duration::from_secs(1800),
    })
}

fn look(params: &str) -> Box<Request> {
    wish(None, Method::ToolsCall, "look", params)
}

fn read(uri: &str) -> Box<Request> {
    wish(None, Method::ResourcesRead, uri, &format!("{{\"uri\":{uri:?}}}"))
}

fn says(text: &str, is_error: bool, revision: &'static Revision) -> Outcome {
    let line = Bytes::from(text.to_owned());
    let whole = Span { start: 0, end: line.len() };
    let body = if is_error { Body::Error(whole) } else { Body::Result(whole) };
    Outcome::Reply { line, body, revision }
}

fn result(text: &str) -> Outcome {
    says(text, false, Revision::newest_legacy())
}

fn modern(text: &str) -> Outcome {
    says(text, false, Revision::newest_modern())
}

type Answer = Box<dyn Fn(&Request, usize) -> Outcome + Send + Sync>;

/// A server that takes a second, counts what it gets, and answers as it is told.
struct Server {
    answer: Answer,
    calls: AtomicUsize,
    asks: bool,
    seen: Mutex<Vec<String>>,
}

impl Server {
    fn new(answer: impl Fn(&Request, usize) -> Outcome + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            answer: Box::new(answer),
            calls: AtomicUsize::new(0),
            asks: false,
            seen: Mutex::default(),
        })
    }

    /// It answers with the number of the call.
    fn counting() -> Arc<Self> {
        Self::new(|_, count| result(&format!(r#"{{"count":{count}}}"#)))
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
struct Unheard;

impl Asker for Unheard {
    fn answer(&self, _: &AskKey, _: &Bytes, _: Body) {}
}

/// Asks the client something in the middle of its call.
fn ask(request: &Request) {
    let ask = Ask {
        key: AskKey { server: server(), generation: 1, id: Id::new(b"1").unwrap() },
        asker: Arc::new(Unheard),
        revision: Revision::newest_legacy(),
        kind: AskKind::Roots,
        line: &Bytes::new(),
        params: None,
    };
    let _ = request.call.caller.ask(Ticket(1), ask);
}

impl Bottom for Server {
    fn send(&self, request: Box<Request>) -> BoxFuture<'_, Outcome> {
        Box::pin(async move {
            let count = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
            self.seen.lock().unwrap().push(String::from_utf8_lossy(&request.call.line).into_owned());
            tokio::time::sleep(Duration::from_millis(500)).await;
            if self.asks {
                ask(&request);
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
            (self.answer)(&request, count)
        })
    }
}

async fn get(cache: &Cache, server: &Server, request: Box<Request>) -> Outcome {
    cache.around(request, Next::new(&[], server)).await
}

fn value(outcome: &Outcome) -> Value {
    match outcome {
        Outcome::Reply { line, body: Body::Result(span) | Body::Error(span), .. } => {
            serde_json::from_slice(span.of(line)).unwrap()
        }
        Outcome::Failed(failure) => json!(failure.code.id()),
    }
}

/// Which call of the server the answer is from, and how old it says that it is.
async fn count(cache: &Cache, server: &Server, request: Box<Request>) -> (u64, Option<u64>) {
    let value = value(&get(cache, server, request).await);
    let mark = &value["_meta"]["switchboard/cache"];
    assert_eq!(mark.is_null(), mark["hit"] != json!(true));
    (value["count"].as_u64().unwrap(), mark["age_ms"].as_u64())
}

fn spawn(cache: &Arc<Cache>, server: &Arc<Server>, request: Box<Request>) -> JoinHandle<Outcome> {
    let (cache, server) = (Arc::clone(cache), Arc::clone(server));
    tokio::spawn(async move { get(&cache, &server, request).await })
}
