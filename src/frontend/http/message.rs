//! What a posted body is, and what an answer is: no more of them than the face needs.

use std::borrow::Cow;

use bytes::Bytes;
use http::StatusCode;

use super::reply::Refusal;
use crate::protocol::{MODERN_META, codes};
use crate::wire::{Fault, Id, Message, envelope, json};

/// A posted body.
pub(super) enum Posted<'a> {
    /// One request.
    Request(Request<'a>),
    /// One notification, and whether it says to be of the modern era.
    Notification { modern: bool },
    /// One response.
    Response,
    /// A batch, and how many of its elements want an answer.
    Batch { answers: usize },
}

/// A request.
pub(super) struct Request<'a> {
    pub(super) id: Option<Id>,
    pub(super) method: Cow<'a, str>,
    /// The raw parameters; empty if there are none.
    pub(super) params: &'a [u8],
}

impl<'a> Request<'a> {
    /// A raw member of the parameters.
    pub(super) fn param(&self, path: &[&str]) -> Option<&'a [u8]> {
        json::get_path(self.params, path).map(|span| span.of(self.params))
    }

    /// A member of `_meta`, raw.
    pub(super) fn meta(&self, key: &str) -> Option<&'a [u8]> {
        self.param(&["_meta", key])
    }
}

/// Reads a posted body.
pub(super) fn read(body: &[u8]) -> Result<Posted<'_>, Refusal> {
    match envelope::from_client(body) {
        Ok(Message::Request { id, method, params }) => {
            let params = params.map(|span| span.of(body)).unwrap_or_default();
            Ok(Posted::Request(Request { id: Id::new(id.of(body)), method, params }))
        }
        Ok(Message::Notification { params, .. }) => {
            let params = params.map(|span| span.of(body)).unwrap_or_default();
            Ok(Posted::Notification { modern: json::get_path(params, &["_meta", MODERN_META]).is_some() })
        }
        Ok(Message::Response { .. }) => Ok(Posted::Response),
        Err(Fault::Batch(span)) => {
            let batch = span.of(body);
            let wants_answer = |element: &[u8]| {
                !matches!(
                    envelope::from_client(element),
                    Ok(Message::Notification { .. } | Message::Response { .. })
                )
            };
            let mut elements = json::elements(batch).peekable();
            if elements.peek().is_none() {
                return Err(bad(codes::INVALID_REQUEST, "the batch is empty"));
            }
            let answers = elements.filter(|element| wants_answer(element.of(batch))).count();
            Ok(Posted::Batch { answers })
        }
        Err(Fault::Syntax(what)) => Err(bad(codes::PARSE_ERROR, format!("Parse error: {what}"))),
        Err(Fault::TooDeep(id)) => {
            let message = format!("Invalid request: nested deeper than {} levels", json::MAX_DEPTH);
            Err(bad(codes::INVALID_REQUEST, message).about(id))
        }
        Err(Fault::Invalid(id, what)) => {
            Err(bad(codes::INVALID_REQUEST, format!("Invalid request: {what}")).about(id))
        }
    }
}

/// The same message in one line. A body may be broken into lines, and a line that is passed on to a server is a message: whatever
/// is behind the break would be another one, of the client's making.
pub(super) fn in_one_line(body: Bytes) -> Bytes {
    // In checked JSON a break is white space; in anything else it may be part of what is wrong, and is refused as it is.
    if memchr::memchr2(b'\n', b'\r', &body).is_none() || json::check(&body).is_err() {
        return body;
    }
    let spaced = |byte: &u8| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte };
    body.iter().map(spaced).collect()
}

/// A refusal with status 400.
pub(super) fn bad(code: i32, message: impl AsRef<str>) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, code, message)
}

/// What one of our messages is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outgoing {
    /// An answer with a result.
    Result,
    /// An answer with an error of this code; 0 if it has none.
    Error(i64),
    /// An array of answers.
    Batch,
    /// A request or a notification.
    Other,
}

/// Tells what one of our messages is by its first telling key: the result, which may be megabytes, is not walked through.
pub(super) fn outgoing(message: &[u8]) -> Outgoing {
    let start = json::skip_space(message, 0);
    if message.get(start) == Some(&b'[') {
        return Outgoing::Batch;
    }
    let mut at = json::skip_space(message, start + 1);
    while let Ok(end) = json::skip_string(message, at) {
        let Ok(value) = json::skip_colon(message, end) else { break };
        match &message[at..end] {
            b"\"method\"" => return Outgoing::Other,
            b"\"result\"" => return Outgoing::Result,
            b"\"error\"" => {
                let code = json::get(&message[value..], "code").map(|span| span.of(&message[value..]));
                let code = code.and_then(|code| std::str::from_utf8(code).ok()?.parse().ok());
                return Outgoing::Error(code.unwrap_or_default());
            }
            _ => {}
        }
        let Ok(end) = json::skip_value(message, value) else { break };
        at = json::skip_space(message, end);
        if message.get(at) != Some(&b',') {
            break;
        }
        at = json::skip_space(message, at + 1);
    }
    Outgoing::Other
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_messages_are_told_apart() {
        for (message, expected) in [
            (r#"{"jsonrpc":"2.0","id":1,"result":{"method":1}}"#, Outgoing::Result),
            (r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":""}}"#, Outgoing::Error(-32601)),
            (r#"{"error":{"message":""}}"#, Outgoing::Error(0)),
            (r#"{"jsonrpc":"2.0","method":"x","params":{"result":1}}"#, Outgoing::Other),
            (r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#, Outgoing::Other),
            (r#" [{"id":1}]"#, Outgoing::Batch),
            ("{}", Outgoing::Other),
            ("", Outgoing::Other),
        ] {
            assert_eq!(outgoing(message.as_bytes()), expected, "{message}");
        }
    }

    #[test]
    fn a_message_is_one_line() {
        let line = |text: &'static str| in_one_line(Bytes::from_static(text.as_bytes()));
        assert_eq!(line("{\r\n  \"a\\n\": 1\n}\n"), r#"{    "a\n": 1 } "#);
        assert_eq!(line("{\"a\":1}"), r#"{"a":1}"#);
        let broken = "{\"a\": \"b\nc\"}";
        assert_eq!(line(broken), broken, "a break in a string is a fault, and stays one");
    }

    #[test]
    fn batches_tell_how_many_answers_they_want() {
        let answers = |text: &str| match read(text.as_bytes()) {
            Ok(Posted::Batch { answers }) => Some(answers),
            _ => None,
        };
        let call = r#"{"jsonrpc":"2.0","id":1,"method":"x"}"#;
        let notice = r#"{"jsonrpc":"2.0","method":"x"}"#;
        assert_eq!(answers(&format!("[{call},{notice}, 5]")), Some(2), "what is no message is answered too");
        assert_eq!(answers(&format!("[{notice}]")), Some(0));
        assert_eq!(answers("[]"), None);
    }
}
