//! What a message is to this transport: of ours, what it needs to know to send them; of the server's, which request
//! they answer.

use bytes::Bytes;

use crate::wire::envelope::{self, Body, Fault, Message, own_id, recover_id};
use crate::wire::json::{self, Kind, Span};
use crate::wire::{Id, Splice};

/// The key in `params._meta` that makes a request a modern one (MCP 2026-07-28, base protocol).
const REVISION: &str = "io.modelcontextprotocol/protocolVersion";

/// A message of ours.
#[derive(Debug, PartialEq)]
pub(super) enum Outgoing {
    /// Something that is answered.
    Request(Request),
    /// `notifications/cancelled`: nobody waits for the answer to this request any more.
    Cancel {
        /// The request.
        id: u64,
    },
    /// `notifications/initialized`
    Initialized,
    /// Another notification, or an answer of ours.
    Other,
}

/// A request of ours.
#[derive(Debug, PartialEq)]
pub(super) struct Request {
    pub id: u64,
    pub method: String,
    pub params: Option<Span>,
    /// The revision that stands in the request itself, as it does from 2026-07-28 on.
    pub revision: Option<String>,
}

impl Request {
    pub(super) fn is_initialize(&self) -> bool {
        self.method == "initialize"
    }

    /// Whether it changes how the session's later requests are handled, so that those must not overtake it.
    pub(super) fn changes_session(&self) -> bool {
        !self.is_modern() && self.method == "logging/setLevel"
    }

    /// Whether the request stands for itself, without a session.
    pub(super) fn is_modern(&self) -> bool {
        self.revision.is_some()
    }
}

/// Reads a message of ours; `None` if it is none.
pub(super) fn read(text: &[u8]) -> Option<Outgoing> {
    Some(match envelope::from_server(text).ok()? {
        Message::Request { id, method, params } => {
            let revision = params.and_then(|params| {
                let params = params.of(text);
                json::string(json::get_path(params, &["_meta", REVISION])?.of(params))
                    .map(|text| text.into_owned())
            });
            Outgoing::Request(Request {
                id: own_id(id.of(text))?,
                method: method.into_owned(),
                params,
                revision,
            })
        }
        Message::Notification { method, params } => match &*method {
            "notifications/initialized" => Outgoing::Initialized,
            "notifications/cancelled" => {
                let params = params?.of(text);
                Outgoing::Cancel { id: own_id(json::get(params, "requestId")?.of(params))? }
            }
            _ => Outgoing::Other,
        },
        Message::Response { .. } => Outgoing::Other,
    })
}

/// What a message of the server is to a request of ours in whose answer it came.
#[derive(Debug, PartialEq)]
pub(super) enum Answer {
    /// It answers the request.
    Ours,
    /// An error that does not say what it answers; here it stands with the request's id.
    Nameless(Bytes),
    /// It answers another request, so it is not for us.
    Foreign,
    /// A request, a notification, or a batch of them.
    Other,
    /// It is no message.
    Nonsense,
}

/// Looks at a message that came in the answer to the request `id`.
pub(super) fn look(text: &Bytes, id: u64) -> Answer {
    match envelope::from_server(text) {
        Ok(Message::Response { id: Some(span), body }) => match (own_id(span.of(text)), body) {
            (Some(answered), _) if answered == id => Answer::Ours,
            (None, Body::Error(_)) if json::kind(span.of(text)) == Kind::Null => {
                Answer::Nameless(name(text, span, id.to_string()))
            }
            _ => Answer::Foreign,
        },
        Ok(Message::Response { id: None, body: Body::Error(_) }) => {
            let inside = json::skip_space(text, 0) + 1;
            Answer::Nameless(name(text, Span { start: inside, end: inside }, format!("\"id\":{id},")))
        }
        Ok(Message::Response { id: None, body: Body::Result(_) }) => Answer::Foreign,
        Ok(Message::Request { .. } | Message::Notification { .. }) => Answer::Other,
        Err(Fault::Batch(batch)) => {
            let batch = batch.of(text);
            let ours = json::elements(batch).any(|element| {
                matches!(envelope::from_server(element.of(batch)),
                    Ok(Message::Response { id: Some(span), .. }) if own_id(span.of(element.of(batch))) == Some(id))
            });
            if ours { Answer::Ours } else { Answer::Other }
        }
        // Whoever reads it says what is wrong with it, if only it is clear whose answer it is.
        Err(Fault::Invalid(found, _) | Fault::TooDeep(found)) => match found.as_ref().map(is(id)) {
            Some(true) => Answer::Ours,
            Some(false) => Answer::Foreign,
            None => Answer::Nonsense,
        },
        Err(Fault::Syntax(_)) => Answer::Nonsense,
    }
}

/// Whether what is left of a message that was too long says that it answers the request `id`.
pub(super) fn ends_answer(ends: [&Bytes; 2], id: u64) -> bool {
    let asks = memchr::memmem::find(ends[0], b"\"method\"").is_some();
    !asks && ends.into_iter().any(|end| recover_id(end).as_ref().is_some_and(is(id)))
}

/// The code of an error answer.
pub(super) fn error_code(text: &[u8]) -> Option<i64> {
    let Ok(Message::Response { body: Body::Error(error), .. }) = envelope::from_server(text) else {
        return None;
    };
    let error = error.of(text);
    std::str::from_utf8(json::get(error, "code")?.of(error)).ok()?.parse().ok()
}

/// The `protocolVersion` of an answer to `initialize`.
pub(super) fn negotiated(text: &[u8]) -> Option<String> {
    let Ok(Message::Response { body: Body::Result(result), .. }) = envelope::from_server(text) else {
        return None;
    };
    let result = result.of(text);
    json::string(json::get(result, "protocolVersion")?.of(result)).map(|text| text.into_owned())
}

fn is(id: u64) -> impl Fn(&Id) -> bool {
    move |found| own_id(found.as_bytes()) == Some(id)
}

fn name(text: &Bytes, at: Span, with: String) -> Bytes {
    let mut splice = Splice::new(text);
    splice.replace(at, with);
    splice.to_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_messages() {
        let text = br#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"a","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
        let Some(Outgoing::Request(request)) = read(text) else { panic!() };
        assert_eq!(
            (request.id, request.method.as_str(), request.revision.as_deref()),
            (7, "tools/call", Some("2026-07-28"))
        );
        let Some(Outgoing::Request(request)) = read(br#"{"jsonrpc":"2.0","id":0,"method":"ping"}"#) else {
            panic!()
        };
        assert!(!request.is_modern());
        for (text, expected) in [
            (
                r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":3}}"#,
                Some(Outgoing::Cancel { id: 3 }),
            ),
            (r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#, Some(Outgoing::Initialized)),
            (r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{}}"#, Some(Outgoing::Other)),
            (r#"{"jsonrpc":"2.0","id":"x","result":{}}"#, Some(Outgoing::Other)),
            (r#"{"jsonrpc":"2.0","method":"notifications/cancelled"}"#, None),
            ("nonsense", None),
        ] {
            assert_eq!(read(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn answers() {
        let check = |text: &'static str, expected: Answer| {
            assert_eq!(look(&Bytes::from_static(text.as_bytes()), 7), expected, "{text}");
        };
        check(r#"{"jsonrpc":"2.0","id":7,"result":{}}"#, Answer::Ours);
        check(r#"{"jsonrpc":"2.0","id":"7","error":{"code":1}}"#, Answer::Ours);
        check(r#"{"jsonrpc":"2.0","id":8,"result":{}}"#, Answer::Foreign);
        check(r#"{"jsonrpc":"2.0","id":"server-error","error":{"code":1}}"#, Answer::Foreign);
        check(r#"{"jsonrpc":"2.0","id":null,"result":{}}"#, Answer::Foreign);
        check(
            r#"{"jsonrpc":"2.0","error":{"code":1},"id":null}"#,
            Answer::Nameless(r#"{"jsonrpc":"2.0","error":{"code":1},"id":7}"#.into()),
        );
        check(r#" { "error":{"code":1}}"#, Answer::Nameless(r#" {"id":7, "error":{"code":1}}"#.into()));
        check(r#"{"jsonrpc":"2.0","method":"x"}"#, Answer::Other);
        check(r#"{"jsonrpc":"2.0","id":7,"method":"x"}"#, Answer::Other);
        check(r#"[{"jsonrpc":"2.0","method":"x"},{"jsonrpc":"2.0","id":7,"result":{}}]"#, Answer::Ours);
        check(r#"[{"jsonrpc":"2.0","id":8,"result":{}}]"#, Answer::Other);
        check(r#"{"jsonrpc":"2.0","id":7}"#, Answer::Ours);
        check(r#"{"x":1}"#, Answer::Nonsense);
        check("<html>", Answer::Nonsense);
    }

    #[test]
    fn what_an_initialize_result_says() {
        assert_eq!(
            negotiated(br#"{"id":1,"result":{"protocolVersion":"2025-03-26"}}"#).as_deref(),
            Some("2025-03-26")
        );
        assert_eq!(negotiated(br#"{"id":1,"error":{"code":-32022}}"#), None);
        assert_eq!(error_code(br#"{"id":1,"error":{"code":-32022}}"#), Some(-32022));
    }
}
