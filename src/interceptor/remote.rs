//! Interceptors of a server that speaks SEP-2624: what it has is listed once for every run of it, and each of them is invoked over
//! the connection that the server has anyway.
//!
//! The draft has changed more than once. `hooks` and the older `hook`, the modes `active` and `enforce`, and the phase `both`
//! are all understood.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::timeout;

use super::gate::{Hook, Tally};
use super::{
    BoxFuture, CallView, Error, Event, Interceptor, Kind, Mode, Moment, Phase, Rules, Surroundings, Verdict,
    words,
};
use crate::backend::{Backend, State, show_duration};
use crate::config::{Fail, Glob};
use crate::failure::{Code, Failure};
use crate::names::ServerName;
use crate::protocol::{ListKind, Method};
use crate::wire::{Body, json};

/// The most pages of a list that are asked for.
const MAX_PAGES: usize = 16;

/// The interceptors of one server.
#[derive(Debug)]
pub(super) struct Remote {
    server: ServerName,
    /// `None` if the server cannot be started at all.
    backend: Option<Arc<Backend>>,
    changes: watch::Receiver<u64>,
    rules: Arc<Rules>,
    config: Option<String>,
    /// What the server has listed, and in which run.
    listed: Mutex<Option<(u64, Arc<[Listed]>)>>,
}

/// One interceptor, as its server describes it.
#[derive(Clone, Debug)]
struct Listed {
    name: String,
    kind: Kind,
    mode: Mode,
    fails_open: bool,
    hooks: Vec<(Vec<Glob>, Option<Phase>)>,
    /// Before and after.
    priorities: [i32; 2],
}

impl Remote {
    pub(super) fn new(
        server: &ServerName,
        rules: Arc<Rules>,
        config: Option<String>,
        surroundings: &Surroundings<'_>,
    ) -> Self {
        Self {
            server: server.clone(),
            backend: surroundings.backends.iter().find(|backend| backend.name() == server).cloned(),
            changes: surroundings.changes.clone(),
            rules,
            config,
            listed: Mutex::default(),
        }
    }

    pub(super) fn backend(&self) -> Option<&Arc<Backend>> {
        self.backend.as_ref()
    }

    /// Those that want to be asked about such a call, in the order of their names.
    ///
    /// # Errors
    /// The server is not there, or does not say what it has.
    pub(super) async fn hooks(
        &self,
        event: Event,
        phase: Phase,
        tally: &Arc<Tally>,
    ) -> Result<Vec<Hook>, Failure> {
        let Some(backend) = &self.backend else {
            return Err(Failure::new(Code::CallUnavailable, "it cannot be started").of(&self.server));
        };
        let start = backend.config().timeouts.start;
        let run = timeout(start, self.running(backend)).await.map_err(|_| {
            let cause = format!("it was not ready within {}", show_duration(start));
            Failure::new(Code::CallUnavailable, cause).of(&self.server)
        })??;
        let known = self.listed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let listed = match known {
            Some((of, listed)) if of == run => listed,
            _ => {
                let listed: Arc<[Listed]> = self.list(backend).await?.into();
                *self.listed.lock().unwrap_or_else(PoisonError::into_inner) =
                    Some((run, Arc::clone(&listed)));
                listed
            }
        };
        let wanted = listed.iter().filter(|listed| listed.wants(event, phase));
        Ok(wanted.map(|listed| self.hook(backend, listed, phase, tally)).collect())
    }

    /// Starts the server if need be, and waits until it is there: the number of its run.
    async fn running(&self, backend: &Backend) -> Result<u64, Failure> {
        let mut changes = self.changes.clone();
        let mut is_asked = false;
        loop {
            changes.borrow_and_update();
            match backend.state() {
                State::Ready { generation, .. } => return Ok(generation),
                State::Ended => {
                    return Err(Failure::new(Code::CallShutdown, "it has ended").of(&self.server));
                }
                State::Idle if !is_asked => {
                    backend.start();
                    is_asked = true;
                }
                State::Idle | State::Starting { .. } => {}
                state => {
                    backend.start();
                    let failure = state.failure().cloned();
                    return Err(failure.unwrap_or_else(|| {
                        Failure::new(Code::CallUnavailable, "it is not running").of(&self.server)
                    }));
                }
            }
            if changes.changed().await.is_err() {
                return Err(Failure::new(Code::CallShutdown, "Switchboard is ending"));
            }
        }
    }

    async fn list(&self, backend: &Backend) -> Result<Vec<Listed>, Failure> {
        let wrong = |cause: String| Failure::new(Code::CallMalformed, cause).of(&self.server);
        let mut listed = Vec::new();
        let mut params = b"{}".to_vec();
        for _ in 0..MAX_PAGES {
            let (line, body) = backend.ask("interceptors/list", &params, self.rules.timeout).await?;
            let result = match body {
                Body::Result(span) => span.of(&line),
                Body::Error(span) => {
                    let error = words::shorten(&String::from_utf8_lossy(span.of(&line)));
                    return Err(wrong(format!("`interceptors/list` was answered with the error {error}")));
                }
            };
            let page: Value = serde_json::from_slice(result).map_err(|error| wrong(error.to_string()))?;
            let Some(interceptors) = page["interceptors"].as_array() else {
                return Err(wrong("its answer to `interceptors/list` has no list `interceptors`".to_owned()));
            };
            for interceptor in interceptors {
                match Listed::read(interceptor) {
                    Some(found) => {
                        self.check_events(&found);
                        listed.push(found);
                    }
                    None => {
                        let description = words::shorten(&interceptor.to_string());
                        tracing::warn!(server = %self.server, description, "an interceptor of an unknown kind is not asked");
                    }
                }
            }
            match page["nextCursor"].as_str() {
                Some(cursor) => params = [br#"{"cursor":"#, &json::quote(cursor)[..], b"}"].concat(),
                None => break,
            }
        }
        listed.sort_by(|one, other| one.name.cmp(&other.name));
        tracing::info!(server = %self.server, count = listed.len(), "interceptors were listed");
        Ok(listed)
    }

    /// Lists and questions are shown to nobody without the owner's word: what an interceptor expects to see and does not is said.
    fn check_events(&self, listed: &Listed) {
        let lists = ListKind::ALL.map(|kind| Event::Request(Method::List(kind)));
        for event in lists.into_iter().chain(Event::ASKS).filter(|event| !self.rules.is_about(*event)) {
            let wants = |(globs, _): &(Vec<Glob>, _)| globs.iter().any(|glob| glob.as_str() == event.name());
            if listed.hooks.iter().any(wants) {
                let (interceptor, event) = (&listed.name, event.name());
                tracing::warn!(server = %self.server, interceptor, event, "an interceptor wants to see what `events` in its entry does not name");
            }
        }
    }

    /// What the config says counts before what the server says.
    fn hook(&self, backend: &Arc<Backend>, listed: &Listed, phase: Phase, tally: &Arc<Tally>) -> Hook {
        let priority = listed.priorities[usize::from(phase != Phase::Before)];
        let rules = Rules {
            name: listed.name.clone(),
            kind: listed.kind,
            mode: self.rules.mode.or(Some(listed.mode)),
            fail: self.rules.fail.or(listed.fails_open.then_some(Fail::Open)),
            priority: self.rules.priority.or(Some(priority)),
            ..(*self.rules).clone()
        };
        let interceptor = Arc::new(Invoked {
            backend: Arc::clone(backend),
            name: listed.name.clone(),
            timeout: self.rules.timeout,
            config: self.config.clone(),
        });
        Hook { rules: Arc::new(rules), interceptor, tally: Arc::clone(tally) }
    }
}

impl Listed {
    /// `None` for what is of no kind that we know.
    fn read(described: &Value) -> Option<Self> {
        let hooks: Vec<_> = match described.get("hooks").or(described.get("hook"))? {
            Value::Array(hooks) => hooks.iter().filter_map(hook).collect(),
            one => hook(one).into_iter().collect(),
        };
        let hint = &described["priorityHint"];
        let priority = |phase: &str| {
            let number = hint.get(phase).unwrap_or(hint).as_i64().unwrap_or_default();
            i32::try_from(number.clamp(i32::MIN.into(), i32::MAX.into())).unwrap_or_default()
        };
        Some(Self {
            name: described["name"].as_str()?.to_owned(),
            kind: match described["type"].as_str()? {
                "validation" => Kind::Validation,
                "mutation" => Kind::Mutation,
                _ => return None,
            },
            mode: if described["mode"] == "audit" { Mode::Audit } else { Mode::Active },
            fails_open: described["failOpen"] == true,
            hooks,
            priorities: [priority("request"), priority("response")],
        })
    }

    fn wants(&self, event: Event, phase: Phase) -> bool {
        let word = words::word(phase);
        self.hooks.iter().any(|(events, of)| {
            of.is_none_or(|of| of == phase)
                && events.iter().any(|glob| match glob.as_str().strip_prefix("*/") {
                    Some("request" | "response") => glob.as_str().ends_with(word),
                    _ => glob.matches(event.name()),
                })
        })
    }
}

/// What an interceptor wants to see; at all moments without a phase.
fn hook(described: &Value) -> Option<(Vec<Glob>, Option<Phase>)> {
    let events = described["events"].as_array()?.iter().filter_map(Value::as_str).map(Glob::new).collect();
    let phase = match described["phase"].as_str()? {
        "request" => Some(Phase::Before),
        "response" => Some(Phase::After),
        "both" => None,
        _ => return None,
    };
    Some((events, phase))
}

/// One interceptor of a server.
#[derive(Debug)]
struct Invoked {
    backend: Arc<Backend>,
    name: String,
    timeout: Duration,
    config: Option<String>,
}

impl Invoked {
    async fn invoke(&self, call: &CallView, moment: Moment) -> Result<Verdict, Error> {
        let question = words::question(&self.name, call, &moment, self.timeout, self.config.as_deref());
        let (line, body) = self.backend.ask("interceptor/invoke", &question, self.timeout).await?;
        match body {
            Body::Result(span) => {
                words::verdict(&line.slice(span.start..span.end), question.len(), call, &moment)
            }
            Body::Error(span) => {
                let error = String::from_utf8_lossy(span.of(&line)).into_owned();
                Err(format!("it answered with the error {}", words::shorten(&error)).into())
            }
        }
    }
}

impl Interceptor for Invoked {
    fn before<'a>(&'a self, call: &'a CallView) -> BoxFuture<'a, Result<Verdict, Error>> {
        Box::pin(self.invoke(call, Moment::Before))
    }

    fn after<'a>(&'a self, call: &'a CallView, result: &'a Bytes) -> BoxFuture<'a, Result<Verdict, Error>> {
        Box::pin(self.invoke(call, Moment::After(result.clone())))
    }

    /// It has a clock of its own, which should be the first to ring.
    fn warm_up(&self) -> Duration {
        Duration::from_secs(1)
    }
}
