//! What a client hears of a task that it knows nothing of.

use bytes::Bytes;

use crate::call::{Call, Notice, TokenPlace};
use crate::protocol::meta::RELATED_TASK;
use crate::wire::{Span, Splice, json};

/// A result that does not name its task: the client knows of none. `None` if it does not anyway.
pub(super) fn without_task(result: &[u8]) -> Option<Bytes> {
    let place = json::get(result, "_meta")?;
    let object = place.of(result);
    let is_it = |found: &json::Member| found.is(object, RELATED_TASK);
    json::members(object).find(is_it)?;
    let kept: Vec<&[u8]> = json::members(object)
        .filter(|found| !is_it(found))
        .map(|found| &object[found.key.start..found.value.end])
        .collect();
    let mut edited = Splice::new(result);
    edited.replace(place, [b"{", &kept.join(&b","[..])[..], b"}"].concat());
    Some(edited.to_bytes())
}

/// What a task has said of itself, as progress on the call.
#[derive(Default)]
pub(super) struct Said {
    last: Vec<u8>,
    count: u32,
}

impl Said {
    /// `message` is a JSON string.
    pub(super) fn pass(&mut self, call: &Call, message: &[u8]) {
        if !matches!(call.token, TokenPlace::Client(_))
            || self.last == message
            || json::kind(message) != json::Kind::String
        {
            return;
        }
        self.last = message.to_vec();
        self.count += 1;
        let mut params = format!(r#"{{"progressToken":0,"progress":{},"message":"#, self.count).into_bytes();
        params.extend_from_slice(message);
        params.push(b'}');
        let line = Bytes::from(params);
        let Some(token) = json::get(&line, "progressToken") else { return };
        let whole = Span { start: 0, end: line.len() };
        call.caller.progress(call.ticket, Notice { line: &line, params: whole }, token);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_does_not_name_a_task_that_the_client_knows_nothing_of() {
        let result = br#"{"content":[1.0],"_meta":{"a":1,"io.modelcontextprotocol/related-task":{"taskId":"t"},"b":2}}"#;
        assert_eq!(without_task(result).unwrap(), &br#"{"content":[1.0],"_meta":{"a":1,"b":2}}"#[..]);
        let alone = br#"{"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"t"}}}"#;
        assert_eq!(without_task(alone).unwrap(), &br#"{"_meta":{}}"#[..]);
        assert_eq!(without_task(br#"{"_meta":{"a":1}}"#), None);
    }
}
