//! Questions of servers on their way to a client past the interceptors, and the answers on their way back.
//!
//! A server's question comes by a function that does not wait, so it is kept here while interceptors look at it. What is said at
//! once of a question that cannot be put is then said by an answer. Servers see no difference: a question is answered once,
//! by the client, by an interceptor or by an error.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::{CallError, CallView, Event, Interceptors, Moment, Ruling};
use crate::call::{Ask, AskKey, AskKind, Asker, Between, Caller, NotAsked, Ticket};
use crate::failure::Failure;
use crate::protocol::{Revision, codes};
use crate::wire::{Body, Span, json};

/// A question may be made to wait so long.
const LONGEST_DELAY: Duration = Duration::from_secs(60);

/// Hands a question to the client.
pub(crate) type Put = Box<dyn Fn(Ask<'_>) -> Result<(), NotAsked> + Send + Sync>;

/// Questions that interceptors are looking at. Dropping it answers them all with an error.
#[derive(Default)]
pub(crate) struct Asks(Mutex<HashMap<AskKey, AbortHandle>>);

impl Interceptors {
    /// Whether anybody wants to see what servers ask.
    pub(crate) fn hear_questions(&self) -> bool {
        Event::ASKS.iter().any(|event| self.is_about(*event))
    }
}

impl Asks {
    fn open(&self) -> MutexGuard<'_, HashMap<AskKey, AbortHandle>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows a question to the interceptors, and puts it to the client if they let it. `call` is the one in whose middle it is
    /// asked.
    ///
    /// # Errors
    /// The client cannot be asked this, and nobody wants to see it.
    pub(crate) fn pass(
        self: &Arc<Self>,
        interceptors: &Arc<Interceptors>,
        call: CallView,
        ask: Ask<'_>,
        put: Put,
    ) -> Result<(), NotAsked> {
        let params = ask.params.map(|span| ask.line.slice(span.start..span.end));
        let call = CallView {
            event: Event::Ask(ask.kind),
            arguments: params.clone().unwrap_or_else(|| Bytes::from_static(b"{}")),
            server: ask.key.server.clone(),
            ..call
        };
        if !interceptors.concern(call.event, &call.exposed) {
            return put(ask);
        }
        let Ask { key, asker, revision, kind, .. } = ask;
        let (interceptors, asks) = (Arc::clone(interceptors), Arc::downgrade(self));
        let question = Question(Arc::new(Inner { interceptors, asks, call, asker, key }));
        question.clone().begin(async move { question.go(revision, kind, params, put).await });
        Ok(())
    }

    /// The server no longer wants the answer. Whether the question was still here.
    pub(crate) fn withdraw(&self, key: &AskKey) -> bool {
        let task = self.open().remove(key);
        task.inspect(AbortHandle::abort).is_some()
    }
}

impl Drop for Asks {
    fn drop(&mut self) {
        self.open().values().for_each(AbortHandle::abort);
    }
}

impl fmt::Debug for Asks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asks").field("open", &self.open().len()).finish()
    }
}

/// A question of a server.
#[derive(Clone)]
struct Question(Arc<Inner>);

struct Inner {
    interceptors: Arc<Interceptors>,
    asks: Weak<Asks>,
    call: CallView,
    /// Who wants the answer.
    asker: Arc<dyn Asker>,
    key: AskKey,
}

impl Question {
    /// Runs a part of its way as a task, which is kept with the others.
    fn begin(self, way: impl Future<Output = ()> + Send + 'static) {
        let given_up = GivenUp(Some(self.clone()));
        let Some(asks) = self.0.asks.upgrade() else { return };
        // Locked until the task stands in the table: it takes itself out at its end.
        let mut open = asks.open();
        let key = self.0.key.clone();
        let task = tokio::spawn(async move {
            let mut given_up = given_up;
            way.await;
            given_up.0 = None;
            if let Some(asks) = self.0.asks.upgrade() {
                asks.open().remove(&self.0.key);
            }
        });
        open.insert(key, task.abort_handle());
    }

    /// To the client, or back.
    async fn go(self, revision: &'static Revision, kind: AskKind, params: Option<Bytes>, put: Put) {
        let params = match self.ask(&self.0.call, Moment::Before).await {
            Ok(Ruling::Pass) => params,
            Ok(Ruling::Changed(params)) => Some(params),
            Ok(Ruling::Answered(result)) => return self.end(Ok(result)).await,
            Err(failure) => return self.end(Err(CallError::Failure(failure))).await,
        };
        let line = params.clone().unwrap_or_default();
        let ask = Ask {
            key: self.0.key.clone(),
            asker: Arc::new(self.clone()),
            revision,
            kind,
            line: &line,
            params: params.map(|params| whole(&params)),
        };
        if let Err(why) = put(ask) {
            let (code, why) = match why {
                NotAsked::Unsupported(why) => (codes::METHOD_NOT_FOUND, why),
                NotAsked::Unacceptable(why) => (codes::INVALID_PARAMS, why),
            };
            self.end(Err(CallError::Answer(error(code, &why)))).await;
        }
    }

    /// From the client, or from whoever answered in its place, to the server.
    async fn end(&self, came: Result<Bytes, CallError>) {
        let moment = match &came {
            Ok(result) => Moment::After(result.clone()),
            Err(error) => Moment::Error(error.clone()),
        };
        let goes = match self.ask(&self.0.call, moment).await {
            Ok(Ruling::Pass) => came,
            Ok(Ruling::Changed(result) | Ruling::Answered(result)) => Ok(result),
            Err(failure) => Err(CallError::Failure(failure)),
        };
        match goes {
            Ok(result) => self.0.asker.answer(&self.0.key, &result, Body::Result(whole(&result))),
            Err(CallError::Answer(error)) => self.fail(&error),
            Err(CallError::Failure(failure)) => {
                self.fail(&error(codes::INTERNAL_ERROR, &failure.to_string()));
            }
        }
    }

    fn fail(&self, error: &Bytes) {
        self.0.asker.answer(&self.0.key, error, Body::Error(whole(error)));
    }

    async fn ask(&self, call: &CallView, moment: Moment) -> Result<Ruling, Failure> {
        self.0.interceptors.ask(call, moment, Instant::now() + LONGEST_DELAY, None).await
    }
}

impl Asker for Question {
    fn answer(&self, _: &AskKey, line: &Bytes, body: Body) {
        let came = match body {
            Body::Result(span) => Ok(line.slice(span.start..span.end)),
            Body::Error(span) => Err(CallError::Answer(line.slice(span.start..span.end))),
        };
        let question = self.clone();
        self.clone().begin(async move { question.end(came).await });
    }

    fn progress(&self, key: &AskKey, params: &[u8]) {
        self.0.asker.progress(key, params);
    }

    fn rests(&self, key: &AskKey) {
        self.0.asker.rests(key);
    }
}

impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Question").field(&self.0.key).finish()
    }
}

/// A question that comes to no end by itself has one all the same: the server must not wait for ever.
struct GivenUp(Option<Question>);

impl Drop for GivenUp {
    fn drop(&mut self) {
        if let Some(question) = self.0.take() {
            question.fail(&error(codes::INTERNAL_ERROR, "the call that this belongs to is over"));
        }
    }
}

/// The client of a call, with somebody in front of it who looks at questions.
#[derive(Debug)]
pub(crate) struct Overheard {
    client: Arc<dyn Caller>,
    call: CallView,
    interceptors: Arc<Interceptors>,
    asks: Arc<Asks>,
}

impl Overheard {
    /// `call` is the one in whose middle questions come.
    pub(crate) fn new(
        client: Arc<dyn Caller>,
        call: CallView,
        interceptors: &Arc<Interceptors>,
        asks: Arc<Asks>,
    ) -> Self {
        Self { client, call, interceptors: Arc::clone(interceptors), asks }
    }
}

impl Between for Overheard {
    fn client(&self) -> &Arc<dyn Caller> {
        &self.client
    }

    fn hears_questions(&self) -> bool {
        true
    }

    fn ask(&self, ticket: Ticket, ask: Ask<'_>) -> Result<(), NotAsked> {
        let client = Arc::clone(&self.client);
        let put = Box::new(move |ask: Ask<'_>| client.ask(ticket, ask));
        self.asks.pass(&self.interceptors, self.call.clone(), ask, put)
    }

    fn withdraw(&self, key: &AskKey, reason: &str) {
        if !self.asks.withdraw(key) {
            self.client.withdraw(key, reason);
        }
    }
}

fn whole(text: &Bytes) -> Span {
    Span { start: 0, end: text.len() }
}

fn error(code: i32, message: &str) -> Bytes {
    let mut text = format!(r#"{{"code":{code},"message":"#).into_bytes();
    json::push_string(&mut text, message);
    text.push(b'}');
    text.into()
}
