//! What only modern servers say: results that are no answers yet, errors that are for us, notifications of a subscription.

use bytes::Bytes;

use super::Reader;
use crate::backend::link::Flown;
use crate::backend::lock;
use crate::backend::round::Round;
use crate::backend::task::Errand;
use crate::bridge::capabilities::takes_tasks;
use crate::bridge::error::{self, HopLocal};
use crate::bridge::meta;
use crate::bridge::result::{NotFinal, check_final, may_need_input};
use crate::call::{Notice, Reply};
use crate::failure::{Code, Failure};
use crate::protocol::meta::SUBSCRIPTION_ID;
use crate::protocol::{ListKind, Method, Revision};
use crate::wire::{Body, Span, Splice, envelope, json};

impl Reader {
    /// Passes a result on, or begins what has to be done before there is one. Modern clients get all results as they are:
    /// they, or whoever speaks for them, know what to do with each.
    pub(super) fn modern_result(
        &self,
        line: &Bytes,
        span: Span,
        mut call: Flown,
        revision: &'static Revision,
    ) {
        let kind = match check_final(span.of(line)) {
            Ok(()) => None,
            Err(NotFinal::Task) if !takes_tasks(&call.caller.introduction().capabilities) => {
                return self.begin_errand(line, span, call, revision);
            }
            Err(NotFinal::InputRequired) if call.caller.hears_questions() && may_need_input(call.method) => {
                Some(NotFinal::InputRequired)
            }
            Err(_) if call.caller.introduction().revision.is_modern() => None,
            Err(kind) => Some(kind),
        };
        let failure = match kind {
            None => {
                return call.caller.reply(call.ticket, Reply { line, body: Body::Result(span), revision });
            }
            Some(NotFinal::InputRequired) if may_need_input(call.method) => {
                let Some(whole) = call.whole.take() else { return };
                let before = call.past.round.take();
                let round = before.unwrap_or_else(|| Round::new(&self.backend, *whole, revision));
                return round.asked(self.generation, &line.slice(span.start..span.end), call.progress);
            }
            Some(NotFinal::InputRequired) => {
                "it asks for input where the specification does not allow it".to_owned()
            }
            Some(NotFinal::Task) => "it answered with a task that this client cannot follow".to_owned(),
            Some(NotFinal::Unknown(kind)) => format!("its result has the unknown `resultType` {kind}"),
        };
        self.fail(&call, Code::CallMalformed, failure);
    }

    /// Passes an error on, unless it is about our own hop and says that nothing has run.
    pub(super) fn modern_error(&self, line: &Bytes, span: Span, call: Flown, revision: &'static Revision) {
        let backend = &self.backend;
        let call = match error::recognise(span.of(line), revision) {
            Some(HopLocal::UnsupportedProtocolVersion) => {
                let left = backend.link.wait_again(call);
                if left.is_none() {
                    backend.orders.give(|pending| pending.renegotiate = true);
                }
                left
            }
            Some(HopLocal::HeaderMismatch) => self.list_first(call),
            Some(HopLocal::MissingClientCapability) if needs_tasks(span.of(line)) => self.make_task(call),
            Some(HopLocal::MissingClientCapability) if !call.caller.introduction().revision.is_modern() => {
                return self.fail(&call, Code::BridgeUnsupported, lacks(&call, span.of(line)));
            }
            _ => Some(call),
        };
        if let Some(call) = call {
            call.caller.reply(call.ticket, Reply { line, body: Body::Error(span), revision });
        }
    }

    /// The server knows other marks of its tools than we do: they are listed anew before the call is sent again, once.
    fn list_first(&self, mut call: Flown) -> Option<Flown> {
        let Some(whole) = call.whole.take().filter(|_| !call.past.again) else { return Some(call) };
        lock(&self.backend.after_listing).push((*whole, call.past.sent_again()));
        self.backend.refresh(ListKind::Tools);
        None
    }

    /// The server goes on with the call, and the client does not know how to follow that.
    pub(super) fn begin_errand(
        &self,
        line: &Bytes,
        span: Span,
        mut call: Flown,
        revision: &'static Revision,
    ) {
        match call.whole.take().filter(|_| call.method == Method::ToolsCall) {
            Some(whole) => {
                Errand::begin(&self.backend, *whole, span.of(line), revision, self.generation);
            }
            None => {
                let cause = "it answered with a task where the specification does not allow it";
                self.fail(&call, Code::CallMalformed, cause.to_owned());
            }
        }
    }

    /// The server serves this call as a task alone: it is sent again as one, and so is every later call of this tool.
    fn make_task(&self, mut call: Flown) -> Option<Flown> {
        if call.method != Method::ToolsCall {
            return Some(call);
        }
        let Some(whole) = call.whole.take().filter(|_| !call.is_task && !call.past.again) else {
            return Some(call);
        };
        self.backend.link.learn_task(call.label.as_str());
        self.backend.submit(*whole, call.past.sent_again());
        None
    }

    /// A notification that belongs to a subscription counts only as long as that is open; what speaks of our hop ends here.
    pub(super) fn modern_notification(&mut self, line: &Bytes, method: &str, params: Option<Span>) {
        let named = params.and_then(|params| json::get_path(params.of(line), &["_meta", SUBSCRIPTION_ID]));
        let named = named.zip(params).and_then(|(id, params)| envelope::own_id(id.of(params.of(line))));
        if named.is_some_and(|id| !self.backend.link.is_open(self.generation, id)) {
            return tracing::debug!(server = %self.backend.name(), method, "a notification of no subscription was dropped");
        }
        match method {
            "notifications/subscriptions/acknowledged" => {
                self.backend.orders.give(|pending| pending.acknowledged = named);
            }
            // The end of a subscription. Nothing else of ours can be cancelled by a server.
            "notifications/cancelled" => {
                let id = params.and_then(|params| {
                    let request = json::get(params.of(line), "requestId")?;
                    envelope::own_id(request.of(params.of(line)))
                });
                let cause = Failure::new(Code::CallUnavailable, "it ended the subscription");
                if let Some(id) = id {
                    self.backend.link.end_own(self.generation, id, cause);
                }
            }
            _ => match params.and_then(|params| meta::strip_in(params.of(line))) {
                Some(stripped) => {
                    let whole = Span { start: 0, end: stripped.len() };
                    self.take_notification(&stripped, method, Some(whole));
                }
                None => self.take_notification(line, method, params),
            },
        }
    }
}

/// What the client would have to declare, for one of an era that has no error for that.
fn lacks(call: &Flown, error: &[u8]) -> String {
    let required = error::required_capabilities(error).unwrap_or_default();
    let names: Vec<String> = json::members(required)
        .filter_map(|member| json::string(member.key.of(required)).map(|name| format!("`{name}`")))
        .collect();
    let said = json::get(error, "message").and_then(|place| json::string(place.of(error)));
    let said = said.map(|said| format!(": {said}")).unwrap_or_default();
    match names.is_empty() {
        true => format!("`{}` needs something of the client that it did not declare{said}", call.label),
        false => format!("`{}` needs a client that declares {}{said}", call.label, names.join(", ")),
    }
}

/// Whether an error demands the extension "tasks" of the client.
fn needs_tasks(error: &[u8]) -> bool {
    error::required_capabilities(error).is_some_and(takes_tasks)
}

/// Progress on a call that was sent again, counted on from where it was.
pub(super) fn raised(line: &Bytes, params: Span, before: f64, pass: impl FnOnce(Notice<'_>, Span)) {
    let raw = params.of(line);
    let mut edited = Splice::new(raw);
    for name in ["progress", "total"] {
        let number = json::get(raw, name)
            .and_then(|span| Some((span, std::str::from_utf8(span.of(raw)).ok()?.parse::<f64>().ok()?)));
        if let Some((span, number)) = number {
            edited.replace(span, Bytes::from((number + before).to_string()));
        }
    }
    let text = edited.to_bytes();
    let whole = Span { start: 0, end: text.len() };
    if let Some(token) = json::get(&text, "progressToken") {
        pass(Notice { line: &text, params: whole }, token);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_goes_on_from_where_it_was() {
        let line =
            Bytes::from_static(br#"{"params":{"progress":1,"total":3.5,"message":"m","progressToken":7}}"#);
        let params = json::get(&line, "params").unwrap();
        raised(&line, params, 3.0, |notice, token| {
            assert_eq!(token.of(notice.line), b"7");
            assert_eq!(
                notice.params.of(notice.line),
                br#"{"progress":4,"total":6.5,"message":"m","progressToken":7}"#
            );
        });
    }
}
