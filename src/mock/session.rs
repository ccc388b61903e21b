//! One session: a connection, or what a legacy HTTP client calls a session.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::output::Output;
use super::run::Job;
use super::server::Server;
use super::step::Reaction;
use super::template::Scope;

/// What one client and the server have in common.
pub(super) struct Session {
    pub(super) server: Arc<Server>,
    /// From 1; 0 for a modern HTTP request, which belongs to no session.
    pub(super) number: u64,
    /// Where the server says what belongs to no request.
    pub(super) output: Output,
    pub(super) gate: watch::Sender<Gate>,
    /// Cancelled when the session ends.
    pub(super) stop: CancellationToken,
    state: Mutex<State>,
}

/// What changes while the session lives.
#[derive(Default)]
pub(super) struct State {
    /// Requests in the works, by the text of their id.
    pub(super) running: HashMap<String, CancellationToken>,
    /// Questions to the client that wait for an answer, by the text of their id.
    pub(super) asks: HashMap<String, oneshot::Sender<Value>>,
    /// How many questions were put.
    pub(super) asked: u64,
    pub(super) subscriptions: BTreeSet<String>,
    /// The least log level that the client wants, as an index into `LEVELS`.
    pub(super) log_level: usize,
    /// The revision that the handshake agreed on.
    pub(super) revision: Option<String>,
    /// What the client declared in the handshake.
    pub(super) capabilities: Value,
}

/// Whether the server reads its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    Open,
    Stopped,
    Closed,
}

impl Session {
    /// Begins a session that may be told something unasked.
    pub(super) fn begin(server: &Arc<Server>, output: Output) -> Arc<Self> {
        let number = {
            let mut state = server.state();
            state.begun += 1;
            state.begun
        };
        let session = Self::with_number(server, output, number);
        server.state().sessions.push(Arc::downgrade(&session));
        session
    }

    /// What stands for a session where there is none: one request of a modern HTTP client.
    pub(super) fn passing(server: &Arc<Server>, output: Output) -> Arc<Self> {
        Self::with_number(server, output, 0)
    }

    fn with_number(server: &Arc<Server>, output: Output, number: u64) -> Arc<Self> {
        Arc::new(Self {
            server: Arc::clone(server),
            number,
            output,
            gate: watch::Sender::new(Gate::Open),
            stop: server.stop.child_token(),
            state: Mutex::default(),
        })
    }

    /// The changing state.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the server may write what nobody asked for: never to a client of the modern era.
    pub(super) fn may_speak(&self) -> bool {
        !self.server.plan.revisions.has_modern() || self.state().revision.is_some()
    }

    /// The scope of a moment in this session.
    pub(super) fn scope(&self) -> Scope {
        let mut scope = self.server.scope();
        scope.session = self.number;
        let state = self.state();
        scope.revision = state.revision.clone().unwrap_or_default();
        scope.capabilities = state.capabilities.clone();
        scope
    }
}

/// Runs a reaction that answers no request, in place.
pub(super) async fn react(session: &Arc<Session>, reaction: &Arc<Reaction>) {
    let scope = session.scope();
    Job::event(session, Arc::clone(reaction), session.output.clone(), scope).run().await;
}

/// Runs a job: at once where that takes no time, else beside the others.
pub(super) async fn start(session: &Arc<Session>, job: Job) {
    if job.is_immediate() && !session.server.plan.serial {
        return job.run().await;
    }
    begin(session, job);
}

/// Runs a job beside the others. The token cancels it as its client would.
pub(super) fn begin(session: &Arc<Session>, mut job: Job) -> CancellationToken {
    let (id, cancel) = (job.id().map(str::to_owned), job.cancellation());
    if let Some(id) = &id {
        session.state().running.insert(id.clone(), cancel.clone());
    }
    // A modern call may go on over another connection.
    let stop = if job.is_modern() { session.server.stop.clone() } else { session.stop.clone() };
    let session = Arc::clone(session);
    let tasks = session.server.tasks.clone();
    tasks.spawn(async move {
        let work = async {
            job.take_turn().await;
            job.run_until_cancelled().await;
        };
        tokio::select! {
            () = work => {}
            () = stop.cancelled() => {}
        }
        if let Some(id) = id {
            session.state().running.remove(&id);
        }
    });
    cancel
}
