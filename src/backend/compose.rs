//! Writing our own lines to a server: small texts around raw payloads.

use bytes::Bytes;

use crate::call::{Call, TokenPlace};
use crate::wire::{LineWriter, Span};

/// Decimal digits of an id, without an allocation.
pub(super) struct Digits {
    bytes: [u8; 20],
    from: usize,
}

impl Digits {
    pub(super) fn of(mut number: u64) -> Self {
        let mut digits = Digits { bytes: [b'0'; 20], from: 20 };
        loop {
            digits.from -= 1;
            digits.bytes[digits.from] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                return digits;
            }
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[self.from..]
    }
}

/// Writes a call as a request with our id. The id is the progress token too: both are unique in a generation. `words`
/// are its parameters where they differ from those that came in.
pub(super) fn request(line: &mut LineWriter<'_>, id: u64, call: &Call, words: Option<&Bytes>) {
    let id = Digits::of(id);
    line.copy(br#"{"jsonrpc":"2.0","id":"#);
    line.copy(id.as_bytes());
    line.copy(br#","method":""#);
    line.copy(call.method.name().as_bytes());
    match (words, call.params) {
        (Some(words), _) => {
            line.copy(br#"","params":"#);
            line.part(words, 0, words.len());
            line.copy(b"}");
        }
        (None, Some(params)) => {
            line.copy(br#"","params":"#);
            edited_params(line, call, params, id.as_bytes());
            line.copy(b"}");
        }
        (None, None) => line.copy(br#""}"#),
    }
}

/// Writes the parameters with the server's name for what is called and our token for progress.
pub(super) fn edited_params(line: &mut LineWriter<'_>, call: &Call, params: Span, token: &[u8]) {
    edited(line, call, params, Some(token));
}

/// The same; without a token, the client's own stays where it is.
pub(super) fn edited(line: &mut LineWriter<'_>, call: &Call, params: Span, token: Option<&[u8]>) {
    let token_span = token.and(match call.token {
        TokenPlace::None => None,
        TokenPlace::Client(span) => Some(span),
        TokenPlace::Own { at, .. } => Some(Span { start: at, end: at }),
    });
    let token = token.unwrap_or_default();
    let target = call.target.as_ref().map(|(span, text)| (*span, text));
    let mut from = params.start;
    let mut put = |line: &mut LineWriter<'_>, span: Span, with: &dyn Fn(&mut LineWriter<'_>)| {
        line.part(&call.line, from, span.start);
        with(line);
        from = span.end;
    };
    let write_token = |line: &mut LineWriter<'_>| {
        let (before, after) = match call.token {
            TokenPlace::Own { with, .. } => (with.before(), with.after()),
            _ => ("", ""),
        };
        line.copy(before.as_bytes());
        line.copy(token);
        line.copy(after.as_bytes());
    };
    match (target, token_span) {
        (Some((name, text)), Some(token)) if token.start < name.start => {
            put(line, token, &write_token);
            put(line, name, &|line| line.copy(text));
        }
        (target, token) => {
            if let Some((name, text)) = target {
                put(line, name, &|line| line.copy(text));
            }
            if let Some(token) = token {
                put(line, token, &write_token);
            }
        }
    }
    line.part(&call.line, from, params.end);
}

/// Writes a request of our own.
pub(super) fn own_request(line: &mut LineWriter<'_>, id: u64, method: &str, params: Option<&[u8]>) {
    line.copy(br#"{"jsonrpc":"2.0","id":"#);
    line.copy(Digits::of(id).as_bytes());
    line.copy(br#","method":""#);
    rest(line, method, params);
}

/// Writes a notification.
pub(super) fn notification(line: &mut LineWriter<'_>, method: &str, params: Option<&[u8]>) {
    line.copy(br#"{"jsonrpc":"2.0","method":""#);
    rest(line, method, params);
}

fn rest(line: &mut LineWriter<'_>, method: &str, params: Option<&[u8]>) {
    line.copy(method.as_bytes());
    line.copy(b"\"");
    if let Some(params) = params {
        line.copy(br#","params":"#);
        line.copy(params);
    }
    line.copy(b"}");
}

/// Writes an answer to a request of the server; `member` is `result` or `error`.
pub(super) fn answer(line: &mut LineWriter<'_>, id: &[u8], member: &str, text: &Bytes, span: Span) {
    line.copy(br#"{"jsonrpc":"2.0","id":"#);
    line.copy(id);
    line.copy(b",\"");
    line.copy(member.as_bytes());
    line.copy(b"\":");
    line.part(text, span.start, span.end);
    line.copy(b"}");
}

/// The parameters of `notifications/cancelled` for a request of ours.
pub(super) fn cancelled_params(id: u64, reason: Option<&str>) -> Vec<u8> {
    let mut params = br#"{"requestId":"#.to_vec();
    params.extend_from_slice(Digits::of(id).as_bytes());
    if let Some(reason) = reason {
        params.extend_from_slice(br#","reason":"#);
        crate::wire::json::push_string(&mut params, reason);
    }
    params.push(b'}');
    params
}
