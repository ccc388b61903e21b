//! What we say ourselves: results of our own, and failures as protocol answers.
//!
//! A failure of `tools/call` is a tool result with `isError`, because that is what a model gets to read and can act on
//! (MCP "Tools", Error Handling); on every other method it is a JSON-RPC error.

use std::borrow::Cow;

use crate::bridge::error::{failed_tool, failure_data};
use crate::effect::Ran;
use crate::failure::Failure;
use crate::names::ServerName;
use crate::protocol::{Method, Revision, codes};
use crate::wire::{LineWriter, json};

/// How much of a client's own words is quoted back to it, in characters.
const EXCERPT: usize = 200;

/// The body of an answer: the name of the member and its text.
pub(super) struct Answer {
    member: &'static str,
    text: Vec<u8>,
}

impl Answer {
    /// A result of our own, as JSON text.
    pub(super) fn result(text: impl Into<Vec<u8>>) -> Self {
        Self { member: "result", text: text.into() }
    }

    /// An error.
    pub(super) fn error(code: i32, message: &str) -> Self {
        Self::error_with(code, message, None)
    }

    /// An error with data, as JSON text.
    pub(super) fn error_with(code: i32, message: &str, data: Option<&[u8]>) -> Self {
        let mut text = format!(r#"{{"code":{code},"message":"#).into_bytes();
        json::push_string(&mut text, message);
        if let Some(data) = data {
            text.extend_from_slice(br#","data":"#);
            text.extend_from_slice(data);
        }
        text.push(b'}');
        Self { member: "error", text }
    }

    /// An error whose object is there already, as JSON text.
    pub(super) fn raw_error(text: Vec<u8>) -> Self {
        Self { member: "error", text }
    }

    /// The member's name and its text.
    pub(super) fn parts(&self) -> (&'static str, &[u8]) {
        (self.member, &self.text)
    }

    /// A failure, in the form that fits the method.
    pub(super) fn failure(method: Method, failure: &Failure) -> Self {
        log(method, failure);
        if method != Method::ToolsCall {
            let data = failure_data(failure);
            return Self::error_with(codes::INTERNAL_ERROR, &failure.to_string(), Some(&data));
        }
        // What the modern era adds is added to all results of ours alike.
        Self::result(failed_tool(failure, Revision::newest_legacy()))
    }

    /// The answer to a call of a tool or prompt that nobody has.
    pub(super) fn unknown(what: &str, name: &str, near: &[String]) -> Self {
        let mut message = format!("Unknown {what}: {}", excerpt(name));
        if !near.is_empty() {
            message.push_str(&format!(". Did you mean {}?", near.join(", ")));
        }
        Self::error(codes::INVALID_PARAMS, &message)
    }

    /// Writes the whole answer as one line.
    pub(super) fn write(&self, line: &mut LineWriter<'_>, id: &[u8]) {
        line.copy(br#"{"jsonrpc":"2.0","id":"#);
        line.copy(id);
        line.copy(b",\"");
        line.copy(self.member.as_bytes());
        line.copy(b"\":");
        line.copy(&self.text);
        line.copy(b"}");
    }
}

/// The beginning of what a client said, for texts that quote it: an answer must not grow with its question.
pub(super) fn excerpt(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(EXCERPT) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

/// What was refused before it ran may be refused a thousand times a second, and is counted besides: that is for those who look for
/// it.
fn log(method: Method, failure: &Failure) {
    let (code, method) = (failure.code.id(), method.name());
    let server = failure.server.as_ref().map(ServerName::as_str);
    match failure.ran {
        Ran::No => tracing::debug!(event = "call.refused", code, server, method, "a call was refused"),
        Ran::Unknown => {
            tracing::info!(
                event = "call.failed",
                code,
                server,
                method,
                cause = failure.cause,
                "a call failed"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Code;

    fn text(answer: &Answer) -> String {
        assert!(json::check(&answer.text).is_ok(), "{}", String::from_utf8_lossy(&answer.text));
        String::from_utf8_lossy(&answer.text).into_owned()
    }

    #[test]
    fn a_failed_tool_call_is_a_result_for_the_model() {
        let failure = Failure::new(Code::CallTimeout, "it said \"no\"").of(&"files".into());
        let answer = Answer::failure(Method::ToolsCall, &failure);
        assert_eq!(answer.member, "result");
        let text = text(&answer);
        assert!(text.contains(r#""isError":true"#) && text.contains("SB-CALL-001"), "{text}");
    }

    #[test]
    fn other_failures_are_errors() {
        let failure = Failure::new(Code::CallTimeout, "x");
        let answer = Answer::failure(Method::PromptsGet, &failure);
        assert_eq!(answer.member, "error");
        assert!(text(&answer).starts_with(r#"{"code":-32603,"#));
        assert!(text(&Answer::unknown("tool", "a", &["b".into()])).contains("Did you mean b?"));
    }
}
