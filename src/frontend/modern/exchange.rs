//! One request of a modern client on its way through a server, over as many rounds as it takes.
//!
//! To the backend an exchange is a caller with one call. What the client sees of it depends on the server: a modern one asks
//! for input by its result, which is passed on sealed; a legacy one asks in the middle of its work, so its call is *parked*
//! here, the client gets an `input_required` of ours, and its retry wakes the call (MCP 2026-07-28, "Multi Round-Trip
//! Requests").

mod answer;
mod caller;
mod parking;
mod question;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;

use crate::bridge;
use crate::call::{Call, Caller, CallerId, ClientInfo, Introduction, Ticket, TokenPlace};
use crate::frontend::MAX_MESSAGE;
use crate::frontend::answer::Answer;
use crate::frontend::hall::Hall;
use crate::frontend::modern::scope::Responder;
use crate::frontend::modern::seal::{Bound, digest};
use crate::frontend::modern::server_info;
use crate::frontend::route::{self, Way};
use crate::names::ServerName;
use crate::pipeline::Lane;
use crate::policy;
use crate::protocol::{Level, Method, Revision};
use crate::wire::Span;

use parking::Watch;
use question::Question;

/// See the module.
pub(super) struct Exchange {
    /// Itself: what it is called with is a reference, what it starts has to hold on to it.
    me: Weak<Exchange>,
    id: CallerId,
    hall: Arc<Hall>,
    method: Method,
    introduction: Introduction,
    client: Option<Arc<ClientInfo>>,
    level: Option<Level>,
    principal: Option<Arc<str>>,
    /// What is asked for, to know it again.
    digest: [u8; 32],
    lane: Lane,
    rewrites: bool,
    limit: usize,
    state: Mutex<State>,
}

/// What a client says of itself and of how it wants to be served, in one request.
pub(in crate::frontend) struct Terms {
    pub(in crate::frontend) introduction: Introduction,
    /// What it says of itself, where policies want to know.
    pub(in crate::frontend) client: Option<Arc<ClientInfo>>,
    pub(super) level: Option<Level>,
    pub(in crate::frontend) principal: Option<Arc<str>>,
}

impl Terms {
    /// Who the client is, for policies.
    pub(super) fn client(&self, hall: &Hall) -> policy::Client {
        policy::Client {
            token: self.principal.clone(),
            profile: hall.profile_of(self.principal.as_deref()),
            info: self.client.clone().unwrap_or_default(),
        }
    }
}

/// The text of a request, as it goes to the server but for the names in it.
pub(super) struct Sent {
    /// The text that holds the params.
    pub(super) line: Bytes,
    pub(super) params: Span,
    /// Where the object `_meta` stands.
    pub(super) meta: Option<Span>,
}

/// An exchange has one call, and one name for it.
const CALL: Ticket = Ticket(0);

struct State {
    phase: Phase,
    /// What the server wants to know and has not been told.
    questions: Vec<Question>,
    /// What the server wanted to ask and the client does not take: a raw capabilities object.
    missing: Option<&'static [u8]>,
    /// How many `input_required` there were.
    round: u32,
    /// By which number its retry finds it.
    handle: Option<u128>,
}

enum Phase {
    /// The client waits for an answer.
    Open(Client),
    /// The client has been asked for input, and has not come back yet.
    Parked,
    /// The same, and the server has answered meanwhile.
    Answered(&'static str, Bytes),
    /// It is over.
    Closed,
}

/// The client, as long as it waits.
struct Client {
    responder: Responder,
    token: Option<Bytes>,
    /// Questions are being put together for it.
    gathers: bool,
}

impl Exchange {
    /// Sends a request on its way. `params` may differ from those that came in: what belongs to a round has been looked at.
    pub(super) fn begin(
        hall: &Arc<Hall>,
        method: Method,
        terms: Terms,
        responder: Responder,
        request: Sent,
        way: Way,
    ) {
        let Sent { line, params, meta } = request;
        let token = match way.token {
            TokenPlace::Client(span) => Some(Bytes::copy_from_slice(span.of(&line))),
            TokenPlace::None | TokenPlace::Own { .. } => None,
        };
        let exchange = Arc::new_cyclic(|me| Self {
            me: Weak::clone(me),
            id: CallerId::fresh(),
            hall: Arc::clone(hall),
            method,
            introduction: terms.introduction,
            client: terms.client,
            level: terms.level,
            principal: terms.principal,
            digest: digest(params.of(&line)),
            limit: route::limit(&way.lane, method).min(MAX_MESSAGE - 4096),
            rewrites: way.rewrites,
            lane: way.lane,
            state: Mutex::new(State {
                phase: Phase::Closed,
                questions: Vec::new(),
                missing: None,
                round: 0,
                handle: None,
            }),
        });
        if !exchange.wait_on(responder, token) {
            return;
        }
        let call = Call {
            ticket: CALL,
            caller: Arc::clone(&exchange) as Arc<dyn Caller>,
            method,
            label: way.label,
            line,
            params: Some(params),
            target: way.target,
            meta,
            token: way.token,
        };
        exchange.lane.call(call, way.item);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on the client of this responder waits. False if it has given up already.
    #[must_use]
    fn wait_on(&self, responder: Responder, token: Option<Bytes>) -> bool {
        let watched = Arc::new(Watch(Weak::clone(&self.me)));
        let mut state = self.state();
        let is_open = responder.watch(watched);
        if is_open {
            state.phase = Phase::Open(Client { responder, token, gathers: false });
        }
        is_open
    }

    /// What seals of this request are bound to.
    fn bound(&self) -> Bound<'_> {
        Bound { method: self.method, digest: self.digest, principal: self.principal.as_deref() }
    }

    fn server(&self) -> &ServerName {
        self.lane.backend().name()
    }

    /// Takes the client if it waits. If it does not, the answer is kept for it, or nobody wants it.
    fn finish(&self, member: &'static str, text: Bytes) {
        let mut state = self.state();
        state.questions.clear();
        match std::mem::replace(&mut state.phase, Phase::Closed) {
            Phase::Open(client) => {
                let handle = state.handle.take();
                drop(state);
                if let Some(handle) = handle {
                    self.hall.parked.forget(handle);
                }
                let whole = Span { start: 0, end: text.len() };
                client.responder.relay(member, &text, whole);
            }
            Phase::Parked => state.phase = Phase::Answered(member, text),
            phase @ (Phase::Answered(..) | Phase::Closed) => state.phase = phase,
        }
    }

    fn finish_with(&self, answer: &Answer) {
        let (member, text) = answer.parts();
        let text =
            if member == "result" { own_result(self.method, text) } else { Bytes::copy_from_slice(text) };
        self.finish(member, text);
    }
}

/// A result of ours, as the modern era has results.
pub(in crate::frontend) fn own_result(method: Method, text: &[u8]) -> Bytes {
    let ours = bridge::result::to_modern(method, text, Revision::newest_legacy(), &server_info(), None);
    ours.ok().flatten().unwrap_or_else(|| Bytes::copy_from_slice(text))
}

impl std::fmt::Debug for Exchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exchange")
            .field("id", &self.id)
            .field("server", self.server())
            .finish_non_exhaustive()
    }
}
