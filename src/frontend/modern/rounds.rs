//! What is changed in a server's demand for input on its way to a modern client, and in the client's answer on its way back.

use bytes::Bytes;

use crate::bridge;
use crate::bridge::error::HopLocal;
use crate::call::AskKind;
use crate::frontend::modern::seal::State;
use crate::frontend::modern::server_info;
use crate::names::ServerName;
use crate::protocol::Revision;
use crate::wire::{Span, Splice, json};

/// An elicitation that says which server asks; `None` if there is no place to say it.
pub(in crate::frontend) fn name_server(kind: AskKind, server: &ServerName, params: &[u8]) -> Option<Bytes> {
    let mut splice = Splice::new(params);
    let (at, name) = naming(kind, server, params)?;
    splice.replace(Span { start: at, end: at }, name);
    Some(splice.to_bytes())
}

fn naming(kind: AskKind, server: &ServerName, params: &[u8]) -> Option<(usize, Vec<u8>)> {
    if kind != AskKind::Elicitation {
        return None;
    }
    let message = json::get(params, "message")?;
    if json::kind(message.of(params)) != json::Kind::String {
        return None;
    }
    let mut name = json::quote(&format!("[{server}] "));
    name.pop();
    name.remove(0);
    Some((message.start + 1, name))
}

/// The edits that make questions say which server asks. `requests` is where the object `inputRequests` stands.
fn namings(result: &[u8], requests: Span, server: &ServerName) -> Vec<(Span, Vec<u8>)> {
    let mut edits = Vec::new();
    let raw = requests.of(result);
    for member in json::members(raw) {
        let request = member.value.shifted(requests.start);
        let Some(params) = json::get(request.of(result), "params").map(|span| span.shifted(request.start))
        else {
            continue;
        };
        let method = json::get(request.of(result), "method");
        let method = method.and_then(|span| json::string(span.shifted(request.start).of(result)));
        let Some(kind) = method.as_deref().and_then(AskKind::parse) else { continue };
        if let Some((at, name)) = naming(kind, server, params.of(result)) {
            let at = params.start + at;
            edits.push((Span { start: at, end: at }, name));
        }
    }
    edits
}

/// What a modern server tells of a task, with questions that say which server asks; `None` if there are none to be changed.
pub(in crate::frontend) fn named_requests(task: &[u8], server: &ServerName) -> Option<Bytes> {
    let requests = json::get(task, "inputRequests").filter(|span| is_object(span.of(task)))?;
    let mut splice = Splice::new(task);
    for (span, with) in namings(task, requests, server) {
        splice.replace(span, with);
    }
    (!splice.is_noop()).then(|| splice.to_bytes())
}

/// An `input_required` result of a modern server for a modern client: its questions say whose they are, and its state is
/// sealed. A server that gives no state gets none back. `None` if it has neither questions nor state.
pub(super) fn relayed(
    result: &[u8],
    server: &ServerName,
    seal: impl FnOnce(&State) -> Option<String>,
) -> Option<Bytes> {
    let requests = json::get(result, "inputRequests").filter(|span| is_object(span.of(result)));
    let state = json::get(result, "requestState");
    if requests.is_none() && state.is_none() {
        return None;
    }
    let mut edits = requests.map(|requests| namings(result, requests, server)).unwrap_or_default();
    if let Some(state) = state {
        edits.push((state, json::quote(&seal(&State::Relayed(state.of(result).to_vec()))?)));
    }
    let mut splice = Splice::new(result);
    for (span, with) in edits {
        splice.replace(span, with);
    }
    let sealed = splice.to_bytes();
    Some(bridge::result::as_ours(&sealed, &server_info()).unwrap_or(sealed))
}

/// The error of a legacy server that wants URLs to be opened first, as a demand for input without a state yet; `None` if
/// the error is any other, or the client does not open URLs.
pub(super) fn required_urls(
    error: &[u8],
    from: &Revision,
    declared: &[u8],
    server: &ServerName,
) -> Option<Bytes> {
    if bridge::error::recognise(error, from) != Some(HopLocal::UrlElicitationRequired) {
        return None;
    }
    let list = json::get_path(error, &["data", "elicitations"])?.of(error);
    let mut text = br#"{"resultType":"input_required","inputRequests":{"#.to_vec();
    let mut count = 0;
    for (index, elicitation) in json::elements(list).enumerate() {
        let raw = elicitation.of(list);
        let own = Revision::newest_modern();
        let params = bridge::elicitation::params(raw, from, own, declared, "").ok()?;
        let params = params.unwrap_or_else(|| Bytes::copy_from_slice(raw));
        let params = name_server(AskKind::Elicitation, server, &params).unwrap_or(params);
        if index > 0 {
            text.push(b',');
        }
        text.extend_from_slice(
            format!(r#""url-{}":{{"method":"elicitation/create","params":"#, index + 1).as_bytes(),
        );
        text.extend_from_slice(&params);
        text.push(b'}');
        count += 1;
    }
    text.extend_from_slice(br#"},"_meta":{"io.modelcontextprotocol/serverInfo":"#);
    text.extend_from_slice(&server_info());
    text.extend_from_slice(b"}}");
    (count > 0).then(|| text.into())
}

/// A result with this `requestState`.
pub(super) fn with_state(result: &[u8], sealed: &str) -> Bytes {
    let mut splice = Splice::new(result);
    let mut member = br#""requestState":"#.to_vec();
    json::push_string(&mut member, sealed);
    member.push(b',');
    splice.replace(Span { start: 1, end: 1 }, member);
    splice.to_bytes()
}

/// The params of a retry as the server is to see them: with its own state, and, where the client answered questions that the
/// server never asked in this way, without the answers. `state` is raw JSON.
pub(super) fn retried(params: &[u8], state: Option<&[u8]>, drops_responses: bool) -> Bytes {
    let mut text = b"{".to_vec();
    for member in json::members(params) {
        let value = if member.is(params, "requestState") {
            match state {
                Some(state) => state,
                None => continue,
            }
        } else if drops_responses && member.is(params, "inputResponses") {
            continue;
        } else {
            member.value.of(params)
        };
        if text.len() > 1 {
            text.push(b',');
        }
        text.extend_from_slice(member.key.of(params));
        text.push(b':');
        text.extend_from_slice(value);
    }
    text.push(b'}');
    text.into()
}

fn is_object(raw: &[u8]) -> bool {
    json::kind(raw) == json::Kind::Object
}
