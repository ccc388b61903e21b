//! Streamable HTTP of the modern era: every request stands alone.

use std::sync::Arc;

use http::{Method, StatusCode};

use super::answer::Source;
use super::log::Log;
use super::settings::Shape;
use super::{Answer, Asked, Http, mirror};
use crate::mock::output::Output;
use crate::mock::receive::{Origin, parse_error, receive_quiet};
use crate::mock::revision::{code, is_modern, meta};
use crate::mock::run::Job;
use crate::mock::session::{Session, begin};

impl Http {
    /// Whether a request is treated by the rules of the modern era.
    pub(super) fn is_modern(&self, asked: &Asked) -> bool {
        let revisions = &self.server.plan.revisions;
        if !revisions.has_modern() {
            return false;
        }
        if !revisions.has_legacy() {
            return true;
        }
        // Where both eras are served, sessions belong to the older one.
        let named = asked.header("mcp-protocol-version").is_some_and(is_modern);
        let shaped = || {
            let body: serde_json::Value = serde_json::from_slice(&asked.body).unwrap_or_default();
            body["params"]["_meta"].get(meta::VERSION).is_some()
        };
        asked.verb == Method::POST && (named || shaped())
    }

    pub(super) async fn serve_modern(&self, asked: &Asked) -> Answer {
        if asked.verb != Method::POST {
            return Ok(self.only("POST"));
        }
        if !(asked.accepts("application/json") && asked.accepts("text/event-stream")) {
            return Ok(
                self.plain(StatusCode::NOT_ACCEPTABLE, "accept application/json and text/event-stream")
            );
        }
        let envelope = match asked.envelope() {
            Ok(envelope) => envelope,
            Err(error) => return Ok(self.error_text(StatusCode::BAD_REQUEST, parse_error(&error))),
        };
        let log = Log::new(1);
        let is_stream = envelope.method.as_deref() == Some("subscriptions/listen");
        // A single JSON object has no room for anything but the response.
        let single = self.settings().answer == Shape::Json && !is_stream;
        let out = log.fill(&self.server, single.then(Output::nowhere));
        let session = Session::passing(&self.server, Output::nowhere());
        let origin = Origin { out, headers: Arc::clone(&asked.headers) };
        let (Some(id), Some(method)) = (envelope.id, &envelope.method) else {
            if envelope.method.is_none() {
                let message = "a client writes no responses in this revision";
                return Ok(self.error(StatusCode::BAD_REQUEST, None, code::INVALID_REQUEST, message));
            }
            receive_quiet(&session, &origin, &envelope).await;
            return Ok(self.accepted());
        };
        if let Err(reply) = mirror::examine(&self.server, asked, method, envelope.params()) {
            return Ok(self.refuse(id.get(), &reply));
        }
        let job = Job::request(&session, origin, id.get(), method, envelope.params());
        let leaving = begin(&session, job);
        let source = Source { log, resumable: false, leaving: Some(leaving), stop: super::never() };
        self.answer(asked, source).await
    }
}
