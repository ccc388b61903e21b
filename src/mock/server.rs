//! The server: what all its sessions share.

use std::collections::{HashMap, HashSet};
use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use serde_json::json;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::listen::{Change, Listeners};
use super::modern;
use super::output::Kind;
use super::rounds::Rounds;
use super::script::{List, Plan};
use super::serve::{Hooks, Outcome};
use super::session::Session;
use super::tasks::Tasks;
use super::template::{Environment, Scope};

/// What the sessions and the running calls share.
pub(super) struct Server {
    pub(super) plan: Arc<Plan>,
    pub(super) environment: Environment,
    pub(super) start: u64,
    /// Whether to take the process's signals as the script says.
    pub(super) signals: bool,
    /// One call at a time holds this where the script says `serial`.
    pub(super) turn: Arc<tokio::sync::Mutex<()>>,
    /// Cancelled when the server ends.
    pub(super) stop: CancellationToken,
    pub(super) tasks: TaskTracker,
    /// Set when a step ends the process while other sessions live.
    pub(super) end: watch::Sender<Option<Outcome>>,
    /// Where the mock listens, once it does.
    pub(super) url: OnceLock<Arc<str>>,
    stderr: Mutex<Box<dyn Write + Send>>,
    state: Mutex<State>,
}

/// What changes while the server runs.
#[derive(Default)]
pub(super) struct State {
    /// How often each item was called.
    pub(super) calls: HashMap<(List, String), u64>,
    /// The items that are shown, where a step chose some.
    pub(super) shown: HashMap<List, Vec<String>>,
    /// How many endless cursors were made.
    pub(super) cursors: u64,
    pub(super) rounds: Rounds,
    pub(super) work: Tasks,
    /// Pages that somebody was sent to.
    pub(super) visited: HashSet<String>,
    pub(super) listeners: Listeners,
    /// Sessions that may be told something unasked.
    pub(super) sessions: Vec<Weak<Session>>,
    /// How many sessions were begun.
    pub(super) begun: u64,
}

impl Server {
    pub(super) fn new(plan: Arc<Plan>, hooks: Hooks) -> Arc<Self> {
        Arc::new(Self {
            plan,
            environment: hooks.environment,
            start: hooks.start,
            signals: hooks.signals,
            turn: Arc::default(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            end: watch::Sender::new(None),
            url: OnceLock::new(),
            stderr: Mutex::new(hooks.stderr),
            state: Mutex::default(),
        })
    }

    /// The changing state. A poisoned lock is used as it is: the mock has no invariant to protect.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes to stderr, and blocks as long as nobody reads it, as a server does.
    pub(super) fn write_stderr(&self, bytes: &[u8]) {
        let mut stderr = self.stderr.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = stderr.write_all(bytes).and_then(|()| stderr.flush());
    }

    pub(super) fn scope(&self) -> Scope {
        let mut scope = Scope::new(Arc::clone(&self.environment), self.start);
        if let Some(url) = self.url.get() {
            scope.url = Arc::clone(url);
        }
        scope
    }

    /// The path at which a face serves.
    pub(super) fn path<'s>(&'s self, default: &'s str) -> &'s str {
        self.plan.http.path.as_deref().unwrap_or(default)
    }

    fn sessions(&self) -> Vec<Arc<Session>> {
        let mut state = self.state();
        state.sessions.retain(|session| session.strong_count() > 0);
        state.sessions.iter().filter_map(Weak::upgrade).collect()
    }

    /// Tells of a change whoever is to hear of it: sessions with a handshake unasked (of a resource only if they
    /// subscribed), modern clients on the streams they opened.
    pub(super) async fn announce(&self, change: &Change<'_>) {
        for session in self.sessions() {
            let line = match change {
                Change::List(list) if session.may_speak() => {
                    format!(r#"{{"jsonrpc":"2.0","method":"{}"}}"#, list.changed())
                }
                Change::Resource(uri) if session.state().subscriptions.contains(*uri) => {
                    json!({"jsonrpc": "2.0", "method": "notifications/resources/updated", "params": {"uri": uri}})
                        .to_string()
                }
                _ => continue,
            };
            session.output.message(line, Kind::Other).await;
        }
        let listeners = self.state().listeners.who_want(change);
        for listener in listeners {
            match change {
                Change::List(list) => listener.tell(list.changed(), "").await,
                Change::Resource(uri) => {
                    let uri = json!(uri);
                    listener.tell("notifications/resources/updated", &format!(r#","uri":{uri}"#)).await;
                }
                Change::Task(_) => {}
            }
        }
    }

    /// Ends open streams of `subscriptions/listen` with their result, as a server does that is about to go: all, or
    /// those of one session.
    pub(super) async fn end_subscriptions(&self, session: Option<u64>) {
        let listeners = self.state().listeners.take(session);
        for listener in listeners {
            let result = modern::dress(&self.plan, "subscriptions/listen", "{}", Some(&listener.id));
            let line = format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, listener.id);
            listener.out.message(line, Kind::Response { status: 200 }).await;
            listener.ended.cancel();
        }
    }
}
