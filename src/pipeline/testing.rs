//! What the tests of the stages share: requests of nobody, and a server that answers by a script.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::{Bottom, BoxFuture, Outcome, Request};
use crate::call::{
    Ask, AskKey, Audience, Call, Caller, CallerId, InFlight, Introduction, NotAsked, Notice, Progress, Reply,
    Ticket, TokenPlace,
};
use crate::effect::Effect;
use crate::failure::{Code, Failure};
use crate::names::{ExposedName, OriginalName, ServerName};
use crate::protocol::{Level, Method, Revision, Tasks};
use crate::wire::{Body, Span};

pub(super) fn server() -> ServerName {
    "s".into()
}

/// A client that keeps its answers.
#[derive(Debug)]
pub(super) struct Client {
    id: CallerId,
    principal: Option<Arc<str>>,
    pub(super) answers: Mutex<Vec<Result<String, Failure>>>,
}

impl Client {
    pub(super) fn new(principal: Option<&str>) -> Arc<Self> {
        let principal = principal.map(Arc::from);
        Arc::new(Self { id: CallerId::fresh(), principal, answers: Mutex::default() })
    }

    pub(super) fn answers(&self) -> Vec<Result<String, Failure>> {
        self.answers.lock().unwrap().clone()
    }
}

impl Caller for Client {
    fn id(&self) -> CallerId {
        self.id
    }

    fn introduction(&self) -> Introduction {
        Introduction { revision: Revision::newest_legacy(), capabilities: Bytes::from_static(b"{}") }
    }

    fn principal(&self) -> Option<Arc<str>> {
        self.principal.clone()
    }

    fn level(&self) -> Option<Level> {
        None
    }

    fn reply(&self, _: Ticket, reply: Reply<'_>) {
        let (Body::Result(span) | Body::Error(span)) = reply.body;
        let text = String::from_utf8_lossy(span.of(reply.line)).into_owned();
        self.answers.lock().unwrap().push(Ok(text));
    }

    fn fail(&self, _: Ticket, failure: Failure) {
        self.answers.lock().unwrap().push(Err(failure));
    }

    fn progress(&self, _: Ticket, _: Progress<'_>) {}

    fn log(&self, _: Ticket, _: &ServerName, _: Notice<'_>) {}

    fn ask(&self, _: Ticket, _: Ask<'_>) -> Result<(), NotAsked> {
        Err(NotAsked::Unsupported("nobody is there".to_owned()))
    }

    fn withdraw(&self, _: &AskKey, _: &str) {}
}

pub(super) fn call(client: &Arc<Client>, tool: &str) -> Call {
    Call {
        ticket: Ticket(1),
        caller: Arc::clone(client) as Arc<dyn Caller>,
        method: Method::ToolsCall,
        label: OriginalName::from(tool),
        line: Bytes::from_static(b"{}"),
        params: Some(Span { start: 0, end: 2 }),
        target: None,
        meta: None,
        token: TokenPlace::None,
    }
}

fn request_of(client: &Arc<Client>, tool: &str) -> Box<Request> {
    Box::new(Request {
        call: call(client, tool),
        exposed: ExposedName::from(tool),
        definition: Bytes::new(),
        effect: Effect::Unknown,
        attempt: 1,
        trace: None,
        deadline: Instant::now() + Duration::from_secs(1800),
    })
}

/// A call of this tool, of a client without a name.
pub(super) fn request(tool: &str) -> Box<Request> {
    request_of(&Client::new(None), tool)
}

/// A call of this client.
pub(super) fn request_for(principal: Option<&str>) -> Box<Request> {
    request_of(&Client::new(principal), "look")
}

pub(super) fn reply() -> Outcome {
    let line = Bytes::from_static(b"{}");
    let body = Body::Result(Span { start: 0, end: 2 });
    Outcome::Reply { line, body, revision: Revision::newest_legacy() }
}

pub(super) fn failed(code: Code) -> Outcome {
    Outcome::Failed(Failure::new(code, "a scripted failure"))
}

/// A server that does what is written, one thing after the other; then it answers, or hangs.
pub(super) struct Script {
    outcomes: Mutex<VecDeque<Outcome>>,
    hangs: bool,
    times: Mutex<Vec<Instant>>,
}

impl Script {
    pub(super) fn of(outcomes: impl IntoIterator<Item = Outcome>) -> Self {
        let outcomes = Mutex::new(outcomes.into_iter().collect());
        Self { outcomes, hangs: false, times: Mutex::default() }
    }

    pub(super) fn answers() -> Self {
        Self::of([])
    }

    pub(super) fn hangs() -> Self {
        Self { hangs: true, ..Self::of([]) }
    }

    /// How often it was called.
    pub(super) fn sent(&self) -> usize {
        self.times.lock().unwrap().len()
    }

    /// When it was called.
    pub(super) fn times(&self) -> Vec<Instant> {
        self.times.lock().unwrap().clone()
    }
}

impl Bottom for Script {
    fn send(&self, _: Box<Request>) -> BoxFuture<'_, Outcome> {
        self.times.lock().unwrap().push(Instant::now());
        let outcome = self.outcomes.lock().unwrap().pop_front();
        Box::pin(async move {
            match outcome {
                Some(outcome) => outcome,
                None if self.hangs => std::future::pending().await,
                None => reply(),
            }
        })
    }
}

/// Nobody behind us.
#[derive(Debug)]
pub(super) struct Nobody;

impl Audience for Nobody {
    fn introduction(&self) -> Introduction {
        Introduction { revision: Revision::newest_legacy(), capabilities: Bytes::from_static(b"{}") }
    }

    fn log(&self, _: &ServerName, _: Notice<'_>, _: &[InFlight]) {}

    fn say(&self, _: &ServerName, _: &str) {}

    fn updated(&self, _: &ServerName, _: Notice<'_>) {}

    fn elicitation_complete(&self, _: Notice<'_>) {}

    fn ask(&self, _: Ask<'_>) -> Result<(), NotAsked> {
        Err(NotAsked::Unsupported("nobody is there".to_owned()))
    }

    fn withdraw(&self, _: &AskKey, _: &str) {}

    fn owner_of_task(&self, _: &ServerName, _: &str) -> Option<Arc<dyn Caller>> {
        None
    }

    fn task_changed(&self, _: &ServerName, _: Tasks, _: Notice<'_>) {}

    fn is_full(&self) -> bool {
        false
    }

    fn room(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}
