//! Requests of modern clients: each one says by itself in which revision it speaks and what its client can do (MCP
//! 2026-07-28, "Base protocol"), and is served without regard to any other.
//!
//! The same code serves them on pipes, beside a legacy session on the same process, and over HTTP.

mod discover;
pub(super) mod exchange;
pub(super) mod listen;
pub(super) mod lists;
pub(super) mod parked;
pub(super) mod rounds;
pub(super) mod scope;
pub(super) mod seal;

use std::sync::Arc;

use bytes::Bytes;

use crate::bridge;
use crate::call::{ClientInfo, Introduction};
use crate::frontend::answer::{Answer, excerpt};
use crate::frontend::hall::{Hall, anybody};
use crate::frontend::incoming::Incoming;
use crate::frontend::incoming::places::Places;
use crate::frontend::route::{self, Miss};
use crate::protocol::{Era, Method, Revision, Tasks, codes};
use crate::status;
use crate::wire::{Id, Span, json};

use exchange::{Exchange, Sent, Terms};
pub(in crate::frontend) use exchange::{Terms as Asked, own_result};
use scope::{Responder, Scope};
use seal::{Bound, State, digest};

/// Our own name and version, as they stand on every result.
pub(super) fn server_info() -> Vec<u8> {
    bridge::meta::implementation()
}

impl Hall {
    /// Serves one request. Its answer, and what belongs to it, goes onto the request's own way back.
    pub(super) fn serve_modern(
        self: &Arc<Self>,
        incoming: &Incoming<'_>,
        id: Id,
        method: &str,
        scope: &Arc<Scope>,
        principal: Option<Arc<str>>,
    ) {
        let refuse = |answer: &Answer| incoming.back.send(|line| answer.write(line, id.as_bytes()));
        let (terms, method) = match self.terms(incoming, method, principal) {
            Ok(found) => found,
            Err(answer) => return refuse(&answer),
        };
        let Some(responder) = scope.open(id.clone(), incoming.back.out.clone()) else {
            return refuse(&Answer::error(codes::INVALID_REQUEST, "a request with this id is open"));
        };
        if method == Method::Discover {
            return self.discover(terms.client(self), responder);
        }
        self.begin(anybody());
        match method {
            Method::List(kind) => self.modern_list(incoming, kind, terms.client(self), responder),
            Method::Listen => self.listen(incoming, &terms, responder),
            _ => self.relay_modern(incoming, method, terms, responder),
        }
    }

    /// What the request says of itself.
    fn terms(
        &self,
        incoming: &Incoming<'_>,
        method: &str,
        principal: Option<Arc<str>>,
    ) -> Result<(Terms, Method), Answer> {
        let params = incoming.params();
        let meta = bridge::meta::read(params).map_err(|text| Answer::error(codes::INVALID_PARAMS, &text))?;
        let version = json::string(meta.protocol_version.of(params)).unwrap_or_default();
        let Some(revision) = Revision::find(&version).filter(|revision| revision.is_modern()) else {
            return Err(Answer::raw_error(bridge::error::unsupported_protocol_version(&excerpt(&version))));
        };
        let Some(method) = Method::parse(method).filter(|method| method.is_of(Era::Modern)) else {
            let text = format!("Method not found: {}", excerpt(method));
            return Err(Answer::error(codes::METHOD_NOT_FOUND, &text));
        };
        let declared = meta.client_capabilities.of(params);
        let tasks = bridge::capabilities::takes_tasks(declared);
        let capabilities = bridge::capabilities::for_server(declared, revision, revision, tasks);
        let introduction = Introduction { revision, capabilities };
        // Only policies want to know.
        let client = self.registry().filter(|registry| registry.has_policies()).map(|_| {
            let info = meta.client_info.map(|span| span.of(params)).unwrap_or_default();
            Arc::new(ClientInfo::read(info, incoming.back.out.is_http()))
        });
        Ok((Terms { client, introduction, level: meta.log_level, principal }, method))
    }

    fn relay_modern(
        self: &Arc<Self>,
        incoming: &Incoming<'_>,
        method: Method,
        terms: Terms,
        responder: Responder,
    ) {
        let Some(registry) = self.registry().cloned() else { return };
        if method == Method::ToolsCall
            && let Ok((_, name)) = route::name(incoming)
            && status::is_ours(&name)
        {
            let arguments = incoming.member("arguments").map(|span| span.of(incoming.line));
            let result =
                status::tool_result(&registry, arguments.unwrap_or_default(), terms.principal.as_deref());
            return respond(responder, method, &Answer::result(result));
        }
        let (revision, principal) = (terms.introduction.revision, terms.principal.as_deref());
        if let Some(answer) = route::kept_result(&registry, incoming, method, revision, principal) {
            return respond(responder, method, &answer);
        }
        match self.kept_modern(&registry, incoming, method, &terms) {
            Some(Ok(text)) => {
                let whole = Span { start: 0, end: text.len() };
                return responder.relay("result", &text, whole);
            }
            Some(Err(answer)) => return respond(responder, method, &answer),
            None => {}
        }
        let (retry, line) = match self.retry(incoming, method, &terms) {
            Ok(retry) => retry.split(incoming),
            Err(answer) => return responder.answer(&answer),
        };
        if let Some((handle, round)) = retry {
            return self.resume(incoming, method, handle, round, responder);
        }
        // What is sent on may be other than what came in: its places are found anew.
        let whole = Span { start: 0, end: line.len() };
        let params = if std::ptr::eq(line.as_ptr(), incoming.line.as_ptr()) {
            incoming.params.unwrap_or(whole)
        } else {
            whole
        };
        let places = Places::of(&line, Some(params));
        let forward =
            Incoming { line: &line, id: incoming.id, params: Some(params), places, back: incoming.back };
        let way = match method {
            Method::Task(_) => {
                self.task_way(&registry, &forward, Tasks::Extension, terms.principal.as_deref())
            }
            _ => route::way(&registry, &forward, method, revision, principal),
        };
        match way {
            Ok(way) => {
                let meta = places.meta.filter(|span| json::kind(span.of(&line)) == json::Kind::Object);
                Exchange::begin(
                    self,
                    method,
                    terms,
                    responder,
                    Sent { line: line.clone(), params, meta },
                    way,
                );
            }
            Err(Miss::Invalid(answer)) => respond(responder, method, &answer),
            Err(Miss::Unknown(answer)) => self.nobody_has(&forward, method, terms, responder, answer),
        }
    }

    /// What of earlier rounds the request brings back.
    fn retry(&self, incoming: &Incoming<'_>, method: Method, terms: &Terms) -> Result<Retry, Answer> {
        let Some(span) = incoming.member("requestState").filter(|_| bridge::result::may_need_input(method))
        else {
            return Ok(Retry::None);
        };
        let refused = || {
            let text = "`requestState` is not one of ours for this request, or its time is over (SB-BRIDGE-002); call again without it";
            Answer::error(codes::INVALID_PARAMS, text)
        };
        let sealed = json::string(span.of(incoming.line)).ok_or_else(refused)?;
        let bound =
            Bound { method, digest: digest(incoming.params()), principal: terms.principal.as_deref() };
        match self.seal.open(&sealed, bound).ok_or_else(refused)? {
            State::Parked { handle, round } => Ok(Retry::Parked(handle, round)),
            State::Relayed(state) => {
                Ok(Retry::Rewritten(rounds::retried(incoming.params(), Some(&state), false)))
            }
            State::Again => Ok(Retry::Rewritten(rounds::retried(incoming.params(), None, true))),
            State::Task { .. } | State::Kept(_) => Err(refused()),
        }
    }

    fn resume(
        &self,
        incoming: &Incoming<'_>,
        method: Method,
        handle: u128,
        round: u32,
        responder: Responder,
    ) {
        let token = match incoming.token() {
            crate::call::TokenPlace::Client(span) => Some(Bytes::copy_from_slice(span.of(incoming.line))),
            _ => None,
        };
        let responses = incoming.member("inputResponses").map(|span| span.of(incoming.line));
        let resumed = match self.parked.find(handle) {
            Some(call) => call.resume(round, responder, token, responses),
            None => Err(responder),
        };
        if let Err(responder) = resumed {
            let text =
                "the interaction is over: it was answered before, it took too long, or the server has ended";
            let failure = crate::failure::Failure::new(crate::failure::Code::BridgeExpired, text)
                .remedy("Call again, without `requestState`");
            respond(responder, method, &Answer::failure(method, &failure));
        }
    }

    /// Answers a request for something that nobody has. As long as servers are new it waits: one of them may show it.
    fn nobody_has(
        self: &Arc<Self>,
        incoming: &Incoming<'_>,
        method: Method,
        terms: Terms,
        responder: Responder,
        answer: Answer,
    ) {
        let Some((registry, deadline)) = self.waits_for_servers() else {
            return respond(responder, method, &answer);
        };
        let (hall, line) = (Arc::clone(self), incoming.line.clone());
        let (place, params, places) = (incoming.id, incoming.params, incoming.places);
        let back = incoming.back.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = registry.complete_by(deadline) => {}
                () = hall.ended.cancelled() => {}
            }
            let incoming = Incoming { line: &line, id: place, params, places, back: &back };
            let principal = terms.principal.as_deref();
            match route::way(&registry, &incoming, method, terms.introduction.revision, principal) {
                Ok(way) => {
                    let meta = places.meta.filter(|span| json::kind(span.of(&line)) == json::Kind::Object);
                    let params = params.unwrap_or(Span { start: 0, end: 0 });
                    Exchange::begin(
                        &hall,
                        method,
                        terms,
                        responder,
                        Sent { line: line.clone(), params, meta },
                        way,
                    );
                }
                Err(Miss::Invalid(answer) | Miss::Unknown(answer)) => respond(responder, method, &answer),
            }
        });
    }
}

/// What a request brings back from an earlier round.
enum Retry {
    /// Nothing of ours.
    None,
    /// A call that waits here: its number, and the round.
    Parked(u128, u32),
    /// These are the params for the server.
    Rewritten(Bytes),
}

impl Retry {
    /// The parked call, if it is one, and the text that holds the params for the server.
    fn split(self, incoming: &Incoming<'_>) -> (Option<(u128, u32)>, Bytes) {
        match self {
            Retry::None => (None, incoming.line.clone()),
            Retry::Parked(handle, round) => (Some((handle, round)), incoming.line.clone()),
            Retry::Rewritten(params) => (None, params),
        }
    }
}

/// Answers a request with something of ours.
fn respond(responder: Responder, method: Method, answer: &Answer) {
    match answer.parts() {
        ("result", text) => {
            let text = exchange::own_result(method, text);
            let whole = Span { start: 0, end: text.len() };
            responder.relay("result", &text, whole);
        }
        _ => responder.answer(answer),
    }
}
