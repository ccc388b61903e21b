//! What the server has answered, as a modern client reads it.

use bytes::Bytes;

use super::Exchange;
use crate::bridge;
use crate::failure::{Code, Failure};
use crate::frontend::answer::Answer;
use crate::frontend::modern::seal::State as Sealed;
use crate::frontend::modern::{rounds, server_info};
use crate::frontend::session::{fits, too_large};
use crate::protocol::{Method, Revision, Tasks};
use crate::wire::json;

impl Exchange {
    pub(super) fn result(&self, result: &[u8], from: &'static Revision) {
        if is_error(result) && self.lacks_capability() {
            return;
        }
        let rewritten =
            self.rewrites.then(|| self.hall.catalog()?.rewrite_result(self.server(), result)).flatten();
        let result = rewritten.as_deref().unwrap_or(result);
        if result.len() > self.limit {
            let failure = too_large(Some(self.server()), result.len());
            return self.finish_with(&Answer::failure(self.method, &failure));
        }
        let ours = match bridge::result::to_modern(self.method, result, from, &server_info(), None) {
            Ok(ours) => ours.unwrap_or_else(|| Bytes::copy_from_slice(result)),
            Err(bridge::result::NotFinal::InputRequired) if bridge::result::may_need_input(self.method) => {
                let seal = |state: &Sealed| {
                    self.hall
                        .seal
                        .seal(state, self.bound(), self.lane.backend().config().timeouts.question)
                        .ok()
                };
                match rounds::relayed(result, self.server(), seal) {
                    Some(ours) => ours,
                    None => {
                        return self.malformed("asks for input in a way that is not in the specification");
                    }
                }
            }
            Err(bridge::result::NotFinal::InputRequired) => {
                return self.malformed("asks for input where the specification does not allow it");
            }
            Err(bridge::result::NotFinal::Task) => {
                let takes = bridge::capabilities::takes_tasks(&self.introduction.capabilities);
                match self.with_our_task(result).filter(|_| takes) {
                    Some(ours) => bridge::result::as_ours(&ours, &server_info()).unwrap_or(ours),
                    None => return self.malformed("is a task that nobody asked for"),
                }
            }
            Err(bridge::result::NotFinal::Unknown(kind)) => {
                return self.malformed(&format!("has the unknown `resultType` {kind}"));
            }
        };
        let task = matches!(self.method, Method::Task(_)).then(|| self.with_our_task(&ours)).flatten();
        self.finish("result", task.unwrap_or(ours));
    }

    fn with_our_task(&self, result: &[u8]) -> Option<Bytes> {
        self.hall.with_our_task(self.server(), Tasks::Extension, self.principal.as_deref(), result)
    }

    fn malformed(&self, what: &str) {
        let failure = Failure::new(Code::CallMalformed, format!("its result {what}"));
        self.finish_with(&Answer::failure(self.method, &failure.of(self.server())));
    }

    /// Says what the client would have to declare, if the server failed for want of that. A server that helped itself
    /// otherwise has not failed.
    fn lacks_capability(&self) -> bool {
        let Some(missing) = self.state().missing else { return false };
        let text = format!("`{}` needs to ask the client something that it did not declare", self.server());
        self.finish("error", bridge::error::missing_client_capability(&text, missing).into());
        true
    }

    pub(super) fn error(&self, error: &[u8], from: &'static Revision) {
        if self.lacks_capability() {
            return;
        }
        if !fits(error.len()) {
            let failure = too_large(Some(self.server()), error.len());
            return self.finish_with(&Answer::failure(self.method, &failure));
        }
        if let Some(urls) = rounds::required_urls(error, from, &self.introduction.capabilities, self.server())
        {
            let life = self.lane.backend().config().timeouts.question;
            if let Ok(sealed) = self.hall.seal.seal(&Sealed::Again, self.bound(), life) {
                return self.finish("result", rounds::with_state(&urls, &sealed));
            }
        }
        // The server was told what this client declared, so what it misses the client lacks.
        if bridge::error::recognise(error, from) == Some(bridge::error::HopLocal::MissingClientCapability) {
            return self.finish("error", Bytes::copy_from_slice(error));
        }
        let own = Revision::newest_modern();
        let ours = bridge::error::relay(self.method, error, from, own, &self.introduction.capabilities);
        self.finish("error", ours.unwrap_or_else(|| Bytes::copy_from_slice(error)));
    }
}

fn is_error(result: &[u8]) -> bool {
    json::get(result, "isError").is_some_and(|span| span.of(result) == b"true")
}
