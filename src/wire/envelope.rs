//! What we parse of a message: id, method, and where its payload stands.
//!
//! Source: JSON-RPC 2.0; MCP "Base protocol" of each revision. One pass over the line checks that the whole of it is
//! JSON, so that nothing invalid is ever passed on, and finds the members that route it.

use std::borrow::Cow;

use crate::wire::id::Id;
use crate::wire::json::{self, JsonError, Kind, Span};

/// The routing members of one JSON-RPC object.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Envelope {
    /// `jsonrpc`
    pub jsonrpc: Option<Span>,
    /// `id`
    pub id: Option<Span>,
    /// `method`
    pub method: Option<Span>,
    /// `params`; a `null` counts as absent.
    pub params: Option<Span>,
    /// `result`
    pub result: Option<Span>,
    /// `error`; a `null` counts as absent.
    pub error: Option<Span>,
}

/// Which half of a response it carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// The value of `result`.
    Result(Span),
    /// The value of `error`.
    Error(Span),
}

/// A message, told by which members it has.
#[derive(Debug, PartialEq)]
pub enum Message<'a> {
    /// Something that wants an answer.
    Request {
        /// Where the id stands.
        id: Span,
        /// The method, decoded.
        method: Cow<'a, str>,
        /// The raw parameters.
        params: Option<Span>,
    },
    /// Something that wants none.
    Notification {
        /// The method, decoded.
        method: Cow<'a, str>,
        /// The raw parameters.
        params: Option<Span>,
    },
    /// An answer.
    Response {
        /// Where the id stands; an error about an unreadable request has none.
        id: Option<Span>,
        /// The answer.
        body: Body,
    },
}

/// Why a line is no message, and the id that an answer about it can carry.
#[derive(Debug, PartialEq)]
pub enum Fault {
    /// Not JSON in UTF-8: answered with -32700.
    Syntax(String),
    /// A JSON array: a batch.
    Batch(Span),
    /// JSON that nests deeper than we pass on: answered with -32600.
    TooDeep(Option<Id>),
    /// JSON, but no JSON-RPC message: answered with -32600.
    Invalid(Option<Id>, &'static str),
}

impl Envelope {
    /// Notes a member; an error names one that stood there before.
    fn take(&mut self, line: &[u8], key: Span, value: Span) -> Result<(), &'static str> {
        let name = &line[key.start + 1..key.end - 1];
        // Nobody spells a key of JSON-RPC with escapes, so they are looked for last.
        self.put(name, value).unwrap_or_else(|| match name.contains(&b'\\') {
            true => {
                self.put(json::string(key.of(line)).unwrap_or_default().as_bytes(), value).unwrap_or(Ok(()))
            }
            false => Ok(()),
        })
    }

    /// `None` if no member of ours has this name.
    fn put(&mut self, name: &[u8], value: Span) -> Option<Result<(), &'static str>> {
        let (slot, name) = match name {
            b"jsonrpc" => (&mut self.jsonrpc, "jsonrpc"),
            b"id" => (&mut self.id, "id"),
            b"method" => (&mut self.method, "method"),
            b"params" => (&mut self.params, "params"),
            b"result" => (&mut self.result, "result"),
            b"error" => (&mut self.error, "error"),
            _ => return None,
        };
        Some(if slot.replace(value).is_some() { Err(name) } else { Ok(()) })
    }

    /// Checks `line` and finds its envelope, in one pass. The second value names a doubled member.
    fn read(line: &[u8]) -> Result<(Envelope, Option<&'static str>), Fault> {
        // Nearly all of them are ASCII, and that is seen faster.
        if !line.is_ascii()
            && let Err(error) = std::str::from_utf8(line)
        {
            return Err(Fault::Syntax(format!("invalid UTF-8 at offset {}", error.valid_up_to())));
        }
        let start = json::skip_space(line, 0);
        match line.get(start).map(|_| json::kind(&line[start..])) {
            Some(Kind::Object) => {}
            Some(Kind::Array) => {
                return Err(
                    json::check(line).map_or_else(|error| Fault::Syntax(error.to_string()), Fault::Batch)
                );
            }
            _ => {
                return Err(match json::check(line) {
                    Ok(_) => Fault::Invalid(None, "a message is a JSON object"),
                    Err(error) => Fault::Syntax(error.to_string()),
                });
            }
        }
        Self::one_pass(line, start).map_err(|error| match error {
            JsonError::TooDeep => Fault::TooDeep(recover_id(line)),
            JsonError::Truncated | JsonError::Unexpected { .. } => Fault::Syntax(error.to_string()),
        })
    }

    fn one_pass(line: &[u8], start: usize) -> Result<(Envelope, Option<&'static str>), JsonError> {
        let mut envelope = Envelope::default();
        let mut doubled = None;
        let mut at = json::skip_space(line, start + 1);
        if line.get(at) == Some(&b'}') {
            at += 1;
        } else {
            loop {
                if line.get(at) != Some(&b'"') {
                    return Err(place(line, at));
                }
                let key = Span { start: at, end: json::skip_string(line, at)? };
                let value_start = json::skip_colon(line, key.end)?;
                let value = Span { start: value_start, end: json::skip_value(line, value_start)? };
                if let Err(name) = envelope.take(line, key, value) {
                    doubled = Some(name);
                }
                at = json::skip_space(line, value.end);
                match line.get(at) {
                    Some(b',') => at = json::skip_space(line, at + 1),
                    Some(b'}') => break,
                    _ => return Err(place(line, at)),
                }
            }
            at += 1;
        }
        let end = json::skip_space(line, at);
        if end != line.len() {
            return Err(place(line, end));
        }
        Ok((envelope, doubled))
    }

    fn id_of(&self, line: &[u8]) -> Option<Id> {
        self.id.and_then(|span| Id::new(span.of(line)))
    }

    fn drop_nulls(&mut self, line: &[u8]) {
        let null = |span: &Span| json::kind(span.of(line)) == Kind::Null;
        self.params = self.params.filter(|span| !null(span));
        self.error = self.error.filter(|span| !null(span));
    }
}

fn place(line: &[u8], at: usize) -> JsonError {
    if at >= line.len() { JsonError::Truncated } else { JsonError::Unexpected { at } }
}

/// Reads a message from a client, by the book.
pub fn from_client(line: &[u8]) -> Result<Message<'_>, Fault> {
    let (mut envelope, doubled) = Envelope::read(line)?;
    envelope.drop_nulls(line);
    let id = envelope.id_of(line);
    match doubled {
        Some("id") => return Err(Fault::Invalid(None, "the message has two ids")),
        Some(_) => return Err(Fault::Invalid(id, "the message has a doubled member")),
        None => {}
    }
    if envelope.jsonrpc.map(|span| span.of(line)) != Some(br#""2.0""#) {
        return Err(Fault::Invalid(id, "`jsonrpc` must be \"2.0\""));
    }
    if let Some(method) = envelope.method {
        let Some(method) = json::string(method.of(line)) else {
            return Err(Fault::Invalid(id, "`method` must be a string"));
        };
        return match (envelope.id, id) {
            (Some(span), Some(_)) => Ok(Message::Request { id: span, method, params: envelope.params }),
            (Some(_), None) => Err(Fault::Invalid(None, "`id` must be a string or a number")),
            (None, _) => Ok(Message::Notification { method, params: envelope.params }),
        };
    }
    match (envelope.result, envelope.error) {
        (Some(result), None) => Ok(Message::Response { id: envelope.id, body: Body::Result(result) }),
        (None, Some(error)) => Ok(Message::Response { id: envelope.id, body: Body::Error(error) }),
        _ => Err(Fault::Invalid(id, "the message has neither a method nor exactly one of result and error")),
    }
}

/// Reads a message from a server, forgiving what real servers get wrong: a missing `jsonrpc`, `error: null` beside a
/// result, a doubled member (the last one counts).
pub fn from_server(line: &[u8]) -> Result<Message<'_>, Fault> {
    let (mut envelope, _) = Envelope::read(line)?;
    envelope.drop_nulls(line);
    if let Some(method) = envelope.method.and_then(|span| json::string(span.of(line))) {
        return Ok(match envelope.id.filter(|span| Id::new(span.of(line)).is_some()) {
            Some(id) => Message::Request { id, method, params: envelope.params },
            None => Message::Notification { method, params: envelope.params },
        });
    }
    match (envelope.result, envelope.error) {
        (_, Some(error)) => Ok(Message::Response { id: envelope.id, body: Body::Error(error) }),
        (Some(result), None) => Ok(Message::Response { id: envelope.id, body: Body::Result(result) }),
        (None, None) => {
            Err(Fault::Invalid(envelope.id_of(line), "the answer has neither a result nor an error"))
        }
    }
}

/// Looks for the id of a line that cannot be parsed as a whole: among the members before the fault, else in the
/// form that ends a line (`"id":12}`), which is how SDKs that write the id last spell it.
pub fn recover_id(line: &[u8]) -> Option<Id> {
    let start = json::skip_space(line, 0);
    let object = line.get(start..)?;
    for member in json::members(object) {
        if member.is(object, "id") {
            return Id::new(member.value.of(object));
        }
    }
    let end = line.trim_ascii_end().strip_suffix(b"}")?.trim_ascii_end();
    let key = memchr::memmem::rfind(end, b"\"id\"")?;
    let colon = json::skip_space(end, key + 4);
    let value = json::skip_space(end, colon + 1);
    let raw = end.get(value..)?;
    (end.get(colon) == Some(&b':') && json::check(raw).is_ok()).then(|| Id::new(raw)).flatten()
}

/// Reads one of our own ids back from a server's answer: `12`, and also `"12"` and `12.0`, which some servers make of it.
pub fn own_id(raw: &[u8]) -> Option<u64> {
    let text = raw.strip_prefix(b"\"").and_then(|raw| raw.strip_suffix(b"\"")).unwrap_or(raw);
    let text = text.strip_suffix(b".0").unwrap_or(text);
    if text.is_empty() || text.len() > 19 {
        return None;
    }
    text.iter().try_fold(0u64, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + u64::from(byte - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(text: &str) -> Result<Message<'_>, Fault> {
        from_client(text.as_bytes())
    }

    fn invalid(text: &str, id: Option<&str>) {
        match client(text) {
            Err(Fault::Invalid(found, _)) => {
                assert_eq!(found, id.map(|id| Id::new(id.as_bytes()).unwrap()), "{text}");
            }
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn tells_messages_apart() {
        let text = r#" {"jsonrpc":"2.0","id":"a","method":"tools\/call","params":{"x":1},"extra":[{}]} "#;
        let Ok(Message::Request { id, method, params }) = client(text) else { panic!() };
        assert_eq!((id.of(text.as_bytes()), &*method), (&b"\"a\""[..], "tools/call"));
        assert_eq!(params.unwrap().of(text.as_bytes()), br#"{"x":1}"#);
        assert!(matches!(
            client(r#"{"jsonrpc":"2.0","method":"x","params":null}"#),
            Ok(Message::Notification { params: None, .. })
        ));
        assert!(matches!(
            client(r#"{"jsonrpc":"2.0","id":1,"result":null}"#),
            Ok(Message::Response { body: Body::Result(_), .. })
        ));
        assert!(matches!(
            client(r#"{"jsonrpc":"2.0","id":1,"error":{"code":1}}"#),
            Ok(Message::Response { body: Body::Error(_), .. })
        ));
    }

    #[test]
    fn faults_of_clients_are_told_apart() {
        for text in ["hello", "{\"a\":", "{\"a\":1}}", "{\"a\":NaN}", "{\"jsonrpc\":\"2.0\" \"id\":1}", "{,}"]
        {
            assert!(matches!(client(text), Err(Fault::Syntax(_))), "{text}");
        }
        assert!(matches!(from_client(b"{\"a\":\"\xff\"}"), Err(Fault::Syntax(_))));
        assert!(matches!(client("[{}]"), Err(Fault::Batch(_))));
        invalid("5", None);
        invalid("{}", None);
        invalid(r#"{"jsonrpc":"2.0","id":null,"method":"x"}"#, None);
        invalid(r#"{"jsonrpc":"2.0","id":true,"method":"x"}"#, None);
        invalid(r#"{"jsonrpc":"2.0","id":{},"method":"x"}"#, None);
        invalid(r#"{"jsonrpc":"1.0","id":3,"method":"x"}"#, Some("3"));
        invalid(r#"{"id":3,"method":"x"}"#, Some("3"));
        invalid(r#"{"jsonrpc":"2.0","id":3,"method":5}"#, Some("3"));
        invalid(r#"{"jsonrpc":"2.0","id":3,"method":"x","method":"y"}"#, Some("3"));
        invalid(r#"{"jsonrpc":"2.0","id":3,"id":4,"method":"x"}"#, None);
        invalid(r#"{"jsonrpc":"2.0","id":3,"result":1,"error":{}}"#, Some("3"));
    }

    #[test]
    fn depth_is_a_fault_of_its_own() {
        let deep = format!(
            r#"{{"jsonrpc":"2.0","id":4,"method":"x","params":{}{}}}"#,
            "[".repeat(5000),
            "]".repeat(5000)
        );
        assert_eq!(client(&deep), Err(Fault::TooDeep(Id::new(b"4"))));
    }

    #[test]
    fn servers_are_forgiven() {
        assert!(matches!(
            from_server(br#"{"id":1,"result":5,"error":null}"#),
            Ok(Message::Response { body: Body::Result(_), .. })
        ));
        assert!(matches!(
            from_server(br#"{"id":1,"result":5,"error":"E1"}"#),
            Ok(Message::Response { body: Body::Error(_), .. })
        ));
        assert!(matches!(from_server(br#"{"jsonrpc":"2.0","id":1}"#), Err(Fault::Invalid(Some(_), _))));
        assert!(matches!(from_server(br#"{"level":"info"}"#), Err(Fault::Invalid(None, _))));
    }

    #[test]
    fn ids_are_recovered_from_wrecks() {
        let id = |text: &str| {
            recover_id(text.as_bytes()).map(|id| String::from_utf8_lossy(id.as_bytes()).into_owned())
        };
        assert_eq!(id(r#"{"jsonrpc":"2.0","id":12,"result":{"x":NaN}}"#).as_deref(), Some("12"));
        assert_eq!(id(r#"{"result":{"x":NaN},"jsonrpc":"2.0","id":12}"#).as_deref(), Some("12"));
        assert_eq!(id(r#"{"jsonrpc":"2.0","id":"a","result":"cut"#).as_deref(), Some("\"a\""));
        assert_eq!(id(r#"…cut","jsonrpc":"2.0","id": 7 }"#).as_deref(), Some("7"));
        assert_eq!(id("nothing"), None);
    }

    #[test]
    fn own_ids_come_back_in_three_spellings() {
        assert_eq!([own_id(b"12"), own_id(b"\"12\""), own_id(b"12.0")], [Some(12); 3]);
        assert_eq!(
            [own_id(b"1.5"), own_id(b"\"\""), own_id(b"-1"), own_id(b"99999999999999999999")],
            [None; 4]
        );
    }
}
