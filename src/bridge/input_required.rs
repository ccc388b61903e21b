//! Calls that need input before they go on: a modern server answers `input_required` and is asked again with the
//! answers (MCP 2026-07-28, "Multi Round-Trip Requests"); a server of 2025-11-25 may demand URLs by an error.
//!
//! A `requestState` is never looked into. It is absent or it is there, and then its bytes come back as they were, whatever
//! they are: a missing one, `null` and `""` are three things.

use std::borrow::Cow;

use bytes::Bytes;

use crate::bridge::edit::{Edit, member, text};
use crate::bridge::result::stamp;
use crate::call::AskKind;
use crate::wire::Span;
use crate::wire::json::{self, Kind};

/// One question in a result. Places are relative to the text it was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InputRequest {
    /// The server's key for it, with quotes: the answer goes under the same bytes.
    pub key: Span,
    /// What is asked.
    pub kind: AskKind,
    /// The params, if there are any.
    pub params: Option<Span>,
}

impl InputRequest {
    /// The key as a text.
    pub fn name<'a>(&self, text: &'a [u8]) -> Cow<'a, str> {
        json::string(self.key.of(text)).unwrap_or_default()
    }
}

/// What a modern server wants to know. Places are relative to the result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputRequired {
    /// The questions; none if the server only wants to be asked again (after a pause).
    pub requests: Vec<InputRequest>,
    /// The state to send back, raw.
    pub request_state: Option<Span>,
}

/// Reads a result whose type is `input_required`.
///
/// # Errors
/// A sentence about the server: it asks for nothing at all, or for something that no client does.
pub fn read(result: &[u8]) -> Result<InputRequired, String> {
    let requests = match json::get(result, "inputRequests") {
        Some(span) => Some(read_requests(result, span)?),
        None => None,
    };
    let request_state = json::get(result, "requestState");
    if requests.is_none() && request_state.is_none() {
        return Err("an `input_required` result needs `inputRequests` or `requestState`".to_owned());
    }
    Ok(InputRequired { requests: requests.unwrap_or_default(), request_state })
}

/// Reads the object `inputRequests` that stands at `span`; a task has one too.
///
/// # Errors
/// A sentence about the server.
pub fn read_requests(text: &[u8], span: Span) -> Result<Vec<InputRequest>, String> {
    let object = span.of(text);
    if json::kind(object) != Kind::Object {
        return Err("`inputRequests` must be an object".to_owned());
    }
    let mut requests: Vec<InputRequest> = Vec::new();
    for found in json::members(object) {
        let request = found.value.of(object);
        let method = self::text(request, "method").unwrap_or_default();
        let key = found.key.shifted(span.start);
        let read = InputRequest {
            key,
            kind: AskKind::parse(&method)
                .ok_or_else(|| format!("`inputRequests` asks for `{method}`, which no client answers"))?,
            params: json::get(request, "params").map(|at| at.shifted(found.value.start + span.start)),
        };
        if requests.iter().any(|other| other.name(text) == read.name(text)) {
            return Err(format!("`inputRequests` has the key `{}` twice", read.name(text)));
        }
        requests.push(read);
    }
    Ok(requests)
}

/// A question for [`write()`]: our key for it, what is asked, and the raw params.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The key under which the client answers.
    pub key: &'a str,
    /// What is asked.
    pub kind: AskKind,
    /// The params, in the words of the client's revision.
    pub params: Option<&'a [u8]>,
}

/// Writes an `input_required` result. At least one of questions and state must be given.
pub fn write<'a>(
    questions: impl IntoIterator<Item = Question<'a>>,
    request_state: Option<&str>,
    server_info: &[u8],
) -> Bytes {
    let mut requests = Vec::new();
    for question in questions {
        requests.push(if requests.is_empty() { b'{' } else { b',' });
        json::push_string(&mut requests, question.key);
        requests.extend_from_slice(br#":{"method":""#);
        requests.extend_from_slice(question.kind.method().as_bytes());
        requests.push(b'"');
        if let Some(params) = question.params {
            requests.extend_from_slice(br#","params":"#);
            requests.extend_from_slice(params);
        }
        requests.push(b'}');
    }
    let mut edit = Edit::empty();
    edit.set("resultType", "\"input_required\"");
    if !requests.is_empty() {
        requests.push(b'}');
        edit.set("inputRequests", requests);
    }
    if let Some(state) = request_state {
        edit.set("requestState", json::quote(state));
    }
    stamp(&mut edit, server_info);
    edit.into_bytes()
}

/// A modern server's `input_required` result for a modern client: the questions as they are, with our `serverInfo` and a
/// state of ours in the place of the server's; without one the server's own stays, bytes and all.
pub fn relay(result: &[u8], request_state: Option<&str>, server_info: &[u8]) -> Bytes {
    let mut edit = Edit::open(result).unwrap_or_else(Edit::empty);
    // Interim results carry no cache hints (2026-07-28, "Caching").
    edit.remove("ttlMs");
    edit.remove("cacheScope");
    if let Some(state) = request_state {
        edit.set("requestState", json::quote(state));
    }
    stamp(&mut edit, server_info);
    edit.into_bytes()
}

/// Writes the object `inputResponses`: answers under the raw keys of their questions.
pub fn write_responses<'a>(answers: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> Vec<u8> {
    let mut out = vec![b'{'];
    for (key, answer) in answers {
        if out.len() > 1 {
            out.push(b',');
        }
        out.extend_from_slice(key);
        out.push(b':');
        out.extend_from_slice(answer);
    }
    out.push(b'}');
    out
}

/// The params with which a modern server is asked again: those of the first request, with these raw `inputResponses` and
/// this raw `requestState` in the place of any others. Without either they are the params of a first request. `None` if
/// they already are.
pub fn retry(params: &[u8], responses: Option<&[u8]>, request_state: Option<&[u8]>) -> Option<Bytes> {
    let mut edit = Edit::open(params).unwrap_or_else(Edit::empty);
    for (name, value) in [("inputResponses", responses), ("requestState", request_state)] {
        match value {
            Some(value) => edit.set(name, value.to_vec()),
            None => edit.remove(name),
        }
    }
    edit.finish()
}

/// What a modern client sends along when it asks again. Places are relative to the params.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retry {
    /// The answers: key with quotes, and value. Those under keys nobody asked for are to be ignored.
    pub responses: Vec<(Span, Span)>,
    /// The state, raw; to be taken as an attacker's input.
    pub request_state: Option<Span>,
}

impl Retry {
    /// The answer under this key; the last one if there are several.
    pub fn response<'a>(&self, params: &'a [u8], key: &str) -> Option<&'a [u8]> {
        let named = |(name, _): &&(Span, Span)| json::string(name.of(params)).as_deref() == Some(key);
        self.responses.iter().rfind(named).map(|(_, value)| value.of(params))
    }
}

/// Reads the params of a request as a retry; `None` if it is a first request.
///
/// # Errors
/// A sentence for [`INVALID_PARAMS`](crate::protocol::codes::INVALID_PARAMS).
pub fn read_retry(params: &[u8]) -> Result<Option<Retry>, String> {
    let responses = json::get(params, "inputResponses");
    let request_state = json::get(params, "requestState");
    let mut retry = Retry { responses: Vec::new(), request_state };
    if let Some(span) = responses {
        let object = span.of(params);
        if json::kind(object) != Kind::Object {
            return Err("`inputResponses` must be an object".to_owned());
        }
        let at = |place: Span| place.shifted(span.start);
        retry.responses = json::members(object).map(|found| (at(found.key), at(found.value))).collect();
    }
    Ok((responses.is_some() || request_state.is_some()).then_some(retry))
}

/// The params of the elicitations in the `data` of an error
/// [`URL_ELICITATION_REQUIRED`](crate::protocol::codes::URL_ELICITATION_REQUIRED), each ready for
/// [`elicitation::params`](crate::bridge::elicitation::params). Places are relative to the error; none if it makes no sense.
pub fn url_elicitations(error: &[u8]) -> Vec<Span> {
    let Some(list) = json::get_path(error, &["data", "elicitations"]) else { return Vec::new() };
    let by_url = |span: &Span| text(span.of(error), "mode").is_some_and(|mode| mode == "url");
    json::elements(list.of(error)).map(|span| span.shifted(list.start)).filter(by_url).collect()
}

/// Whether the params of a request carry what a retry carries; results of such are never cached.
pub fn is_retry(params: &[u8]) -> bool {
    member(params, "inputResponses").is_some() || member(params, "requestState").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::testing::{any_object, merged, parse, text};
    use proptest::prelude::*;
    use serde_json::json;

    const INFO: &[u8] = br#"{"name":"switchboard"}"#;

    #[test]
    fn reads_what_is_asked() {
        let result = br#"{"resultType":"input_required","inputRequests":{ "a\u0062" : {"method":"elicitation/create","params":{"message":"m"}},
            "r":{"method":"roots/list"}},"requestState":""}"#;
        let read = read(result).unwrap();
        assert_eq!(read.request_state.map(|span| span.of(result)), Some(&b"\"\""[..]));
        let [question, roots] = read.requests[..] else { panic!("two questions") };
        assert_eq!((question.kind, roots.kind), (AskKind::Elicitation, AskKind::Roots));
        assert_eq!((question.key.of(result), question.name(result).as_ref()), (&br#""a\u0062""#[..], "ab"));
        assert_eq!(question.params.map(|span| span.of(result)), Some(&br#"{"message":"m"}"#[..]));
        assert_eq!(roots.params, None);
    }

    #[test]
    fn state_is_absent_or_there() {
        let state =
            |text: &[u8]| read(text).map(|read| read.request_state.map(|span| span.of(text).to_vec()));
        assert_eq!(state(br#"{"requestState":null}"#), Ok(Some(b"null".to_vec())));
        assert_eq!(state(br#"{"requestState":"a\/b"}"#), Ok(Some(br#""a\/b""#.to_vec())));
        assert_eq!(state(br#"{"inputRequests":{}}"#), Ok(None));
        assert!(state(b"{}").is_err());
    }

    #[test]
    fn what_no_client_does_is_refused() {
        for requests in [
            r#"{"a":{"method":"tools/call"}}"#,
            r#"{"a":1}"#,
            "[]",
            r#"{"a":{"method":"roots/list"},"\u0061":{"method":"roots/list"}}"#,
        ] {
            assert!(read(format!(r#"{{"inputRequests":{requests}}}"#).as_bytes()).is_err(), "{requests}");
        }
    }

    #[test]
    fn writes_what_it_reads() {
        let questions = [
            Question { key: "q\"1", kind: AskKind::Sampling, params: Some(b"{\"maxTokens\":1.0}") },
            Question { key: "2", kind: AskKind::Roots, params: None },
        ];
        let written = write(questions, Some("s"), INFO);
        assert_eq!(
            parse(&written),
            json!({"resultType": "input_required", "requestState": "s", "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "switchboard"}},
                "inputRequests": {"q\"1": {"method": "sampling/createMessage", "params": {"maxTokens": 1.0}}, "2": {"method": "roots/list"}}})
        );
        let read = read(&written).unwrap();
        let kinds: Vec<_> = read.requests.iter().map(|request| request.kind).collect();
        assert_eq!(kinds, [AskKind::Sampling, AskKind::Roots]);
        assert_eq!(json::get(&write([], Some("s"), INFO), "inputRequests"), None);
        assert_eq!(json::get(&write(questions, None, INFO), "requestState"), None);

        let relayed = relay(&written, Some("wrapped"), b"{}");
        assert_eq!(parse(&relayed)["requestState"], "wrapped");
        assert_eq!(parse(&relayed)["inputRequests"], parse(&written)["inputRequests"]);
        assert_eq!(relay(&written, None, INFO), written);
    }

    #[test]
    fn a_retry_has_the_answers_and_the_very_state() {
        let first = br#"{"name":"t","arguments":{"n":1e400},"requestState":"old"}"#;
        let answers = write_responses([
            (&br#""a\u0062""#[..], &b"{\"action\":\"accept\"}"[..]),
            (&b"\"c\""[..], &b"{}"[..]),
        ]);
        let again = retry(first, Some(&answers), Some(br#""\u0073""#)).unwrap();
        assert_eq!(
            again,
            &br#"{"name":"t","arguments":{"n":1e400},"requestState":"\u0073","inputResponses":{"a\u0062":{"action":"accept"},"c":{}}}"#[..]
        );
        let read = read_retry(&again).unwrap().unwrap();
        assert_eq!(read.request_state.map(|span| span.of(&again)), Some(&br#""\u0073""#[..]));
        assert_eq!(read.response(&again, "ab"), Some(&b"{\"action\":\"accept\"}"[..]));
        assert_eq!(read.response(&again, "d"), None);
        let plain = retry(&again, None, None).unwrap();
        assert_eq!(plain, &br#"{"name":"t","arguments":{"n":1e400}}"#[..]);
        assert_eq!(retry(&plain, None, None), None);
        assert!(is_retry(&again) && !is_retry(&plain));
        assert_eq!(read_retry(&plain), Ok(None));
        assert!(read_retry(br#"{"inputResponses":[]}"#).is_err());
        assert_eq!(read_retry(br#"{"requestState":null}"#).unwrap().unwrap().responses, []);
    }

    #[test]
    fn urls_are_read_out_of_an_error() {
        let error = br#"{"code":-32042,"message":"m","data":{"elicitations":[{"mode":"url","url":"https://a"},{"mode":"form"},1]}}"#;
        let found: Vec<_> = url_elicitations(error).iter().map(|span| span.of(error)).collect();
        assert_eq!(found, [br#"{"mode":"url","url":"https://a"}"#]);
        assert_eq!(url_elicitations(br#"{"data":7}"#), []);
    }

    proptest! {
        #[test]
        fn a_retry_changes_nothing_else_and_twice_is_once(params in any_object(), answers in any_object(), state in ".*") {
            let (raw, state) = (text(&answers), json::quote(&state));
            let again = retry(&text(&params), Some(&raw), Some(&state)).unwrap();
            let expected = merged(params.clone(), json!({"inputResponses": answers, "requestState": parse(&state)}));
            prop_assert_eq!(parse(&again), expected);
            prop_assert_eq!(retry(&again, Some(&raw), Some(&state)), None);
            prop_assert_eq!(parse(&retry(&again, None, None).unwrap()), params);
            let read = read_retry(&again).unwrap().unwrap();
            prop_assert_eq!(read.request_state.unwrap().of(&again), &state[..]);
            prop_assert_eq!(read.responses.len(), json::members(&raw).count());
        }
    }
}
