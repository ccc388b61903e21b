//! Streamable HTTP as 2026-07-28 has it: every request for itself, and closing its stream cancels it.
//!
//! Source: MCP 2026-07-28 "Streamable HTTP".

use std::fmt::Display;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, StatusCode};

use super::accept::Accepted;
use super::desk::Desk;
use super::events::{self, Course, Event, Label, Source};
use super::first::{First, Inbox};
use super::house::{Exchange, Principal};
use super::message::{Outgoing, Posted, Request, bad};
use super::mirror::{check_arguments, check_names, header};
use super::reply::{self, PROTOCOL_VERSION, Refusal, Reply};
use crate::bridge;
use crate::frontend::answer::excerpt;
use crate::protocol::{MODERN_META, Revision, codes, meta};
use crate::wire::json::{self, Kind};

/// Whether a posted message is of the modern era: it carries the version itself, or its header does. `initialize` without
/// it is legacy whatever its header, because it is what clients fall back to.
pub(super) fn is_modern(headers: &HeaderMap, posted: &Posted<'_>) -> bool {
    let version = header(headers, PROTOCOL_VERSION.as_str()).ok().flatten();
    let by_header = version.and_then(Revision::find_modern).is_some();
    match posted {
        Posted::Request(request) => {
            request.meta(MODERN_META).is_some() || by_header && request.method != "initialize"
        }
        Posted::Notification { modern } => *modern || by_header,
        Posted::Response | Posted::Batch { .. } => by_header,
    }
}

impl Desk {
    /// A posted message of a modern client.
    pub(super) async fn modern_post(
        &self,
        request: &Parts,
        client: &Principal,
        body: &Bytes,
        posted: &Posted<'_>,
    ) -> Result<Reply, Refusal> {
        let asked = match posted {
            Posted::Request(asked) => asked,
            // The revision has no notification that a client could send over HTTP; one of an extension changes nothing for us.
            Posted::Notification { .. } => return Ok(reply::empty(StatusCode::ACCEPTED)),
            Posted::Response => {
                return Err(bad(codes::INVALID_REQUEST, "a client sends no responses in this revision"));
            }
            Posted::Batch { .. } => return Err(bad(codes::INVALID_REQUEST, "this revision has no batches")),
        };
        self.check(&request.headers, asked).map_err(|refusal| refusal.about(asked.id.clone()))?;
        let accepted = Accepted::of(&request.headers).events()?;

        let mut inbox = Inbox::new();
        let exchange = self.house.serve(body.clone(), client, inbox.mailbox());
        let first = match accepted.json {
            true => inbox.first(1, self.times.settle, &self.ending).await?,
            false => First::More(None),
        };
        let first = match first {
            First::Answer(kind, answer) => return Ok(reply::json(status(&kind), answer)),
            First::More(first) => first,
        };
        // Who waits for news, and not for an answer, is sent away at once when we end.
        let closing = if asked.method == "subscriptions/listen" { &self.closing } else { &self.ending };
        let course = Course {
            prime: None,
            keep_alive: self.times.keep_alive,
            closing: closing.clone(),
            resumable: false,
        };
        Ok(reply::events(events::stream(ModernEvents { first, inbox, _exchange: exchange }, course)))
    }

    /// Checks what every request must carry ("Base protocol", Per-request protocol fields) and that the headers say the same.
    fn check(&self, headers: &HeaderMap, request: &Request<'_>) -> Result<(), Refusal> {
        let mismatch = |message: String| bad(codes::HEADER_MISMATCH, format!("Header mismatch: {message}"));
        let missing = |key: &dyn Display| {
            bad(
                codes::INVALID_PARAMS,
                format!("Invalid params: `_meta` lacks `{key}`, or it has the wrong type"),
            )
        };
        let said = header(headers, PROTOCOL_VERSION.as_str()).map_err(mismatch)?;
        let version =
            request.meta(MODERN_META).and_then(json::string).ok_or_else(|| missing(&MODERN_META))?;
        match said {
            None => return Err(mismatch("the header MCP-Protocol-Version is missing".to_owned())),
            Some(said) if said != version => {
                let message =
                    format!("the header MCP-Protocol-Version says `{said}`, and the body `{version}`");
                return Err(mismatch(message));
            }
            Some(_) => {}
        }
        if Revision::find_modern(&version).is_none() {
            let error = bridge::error::unsupported_protocol_version(&excerpt(&version));
            return Err(Refusal::raw(StatusCode::BAD_REQUEST, error));
        }
        check_names(headers, request).map_err(mismatch)?;
        if request.meta(meta::CLIENT_CAPABILITIES).map(json::kind) != Some(Kind::Object) {
            return Err(missing(&meta::CLIENT_CAPABILITIES));
        }
        if request.method == "tools/call"
            && let Some(name) = request.param(&["name"]).and_then(json::string)
            && let Some(definition) = self.house.definition(&name)
        {
            check_arguments(headers, request, &definition).map_err(mismatch)?;
        }
        Ok(())
    }
}

/// The status that goes with an answer. The specification names one for the errors that tell what is wrong with the request as such;
/// all others are answers like any.
fn status(answer: &Outgoing) -> StatusCode {
    const BAD: [i32; 5] = [
        codes::PARSE_ERROR,
        codes::INVALID_REQUEST,
        codes::HEADER_MISMATCH,
        codes::MISSING_CLIENT_CAPABILITY,
        codes::UNSUPPORTED_PROTOCOL_VERSION,
    ];
    match answer {
        Outgoing::Error(code) if *code == i64::from(codes::METHOD_NOT_FOUND) => StatusCode::NOT_FOUND,
        Outgoing::Error(code) if BAD.iter().any(|bad| i64::from(*bad) == *code) => StatusCode::BAD_REQUEST,
        _ => StatusCode::OK,
    }
}

/// The messages of one request. Dropped when the client closes the stream, and the exchange with it.
struct ModernEvents {
    first: Option<Bytes>,
    inbox: Inbox,
    _exchange: Box<dyn Exchange>,
}

impl Source for ModernEvents {
    async fn next(&mut self) -> Option<Event> {
        let data = match self.first.take() {
            Some(message) => message,
            None => self.inbox.next().await?,
        };
        Some(Event { label: Label::Nothing, data })
    }
}
