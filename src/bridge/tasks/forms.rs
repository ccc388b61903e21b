//! One form of a task as the other.

use bytes::Bytes;

use super::Status;
use crate::bridge::edit::{Edit, member, text};
use crate::bridge::meta;
use crate::protocol::Tasks;
use crate::wire::json;

/// What has come of a task, raw, to be told with its status in the extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// The result that `tasks/result` gave, also one that says `isError`.
    Result(&'a [u8]),
    /// The error that `tasks/result` gave.
    Error(&'a [u8]),
    /// The questions it waits for, as an object `inputRequests`.
    InputRequests(&'a [u8]),
}

/// A `CreateTaskResult` in the other form; `None` if `to` has no tasks or the text is no such result.
pub fn created_for(result: &[u8], to: Tasks) -> Option<Bytes> {
    match (to, member(result, "task")) {
        (Tasks::Extension, Some(task)) => {
            let mut edit = Edit::open(task)?;
            to_extension_words(&mut edit);
            edit.set("resultType", "\"task\"");
            carry_meta(&mut edit, member(result, "_meta"));
            Some(edit.into_bytes())
        }
        (Tasks::Core, None) => {
            let mut task = Edit::open(result)?;
            let own = task.get("_meta");
            for name in ["resultType", "_meta", "result", "error", "inputRequests"] {
                task.remove(name);
            }
            to_core_words(&mut task);
            let mut edit = Edit::empty();
            edit.set("task", task.into_bytes());
            carry_meta(&mut edit, own);
            Some(edit.into_bytes())
        }
        _ => None,
    }
}

fn carry_meta(edit: &mut Edit<'_>, incoming: Option<&[u8]>) {
    let Some(incoming) = incoming else { return };
    let crossing = meta::strip(incoming).unwrap_or_else(|| Bytes::copy_from_slice(incoming));
    if json::members(&crossing).next().is_some() {
        edit.set("_meta", crossing);
    }
}

/// What `tasks/get` of a server of 2025-11-25 answered, in the form of the extension. `outcome` is what the extension tells
/// in the same breath; a task whose call ended with a result is completed there, even if the tool says `isError`.
pub fn status_for_extension(task: &[u8], outcome: Option<Outcome<'_>>) -> Option<Bytes> {
    let mut edit = Edit::open(task)?;
    meta::strip_member(&mut edit);
    to_extension_words(&mut edit);
    edit.set("resultType", "\"complete\"");
    match outcome {
        Some(Outcome::Result(result)) => {
            edit.set("status", json::quote(Status::Completed.name()));
            edit.set("result", result.to_vec());
        }
        Some(Outcome::Error(error)) => {
            edit.set("status", json::quote(Status::Failed.name()));
            edit.set("error", error.to_vec());
        }
        Some(Outcome::InputRequests(requests)) => {
            edit.set("status", json::quote(Status::InputRequired.name()));
            edit.set("inputRequests", requests.to_vec());
        }
        None => {}
    }
    Some(edit.into_bytes())
}

/// What `tasks/get` of a modern server answered, in the form of 2025-11-25: without the end, which `tasks/result` tells
/// there ([`Task::result`](super::Task::result), [`Task::error`](super::Task::error)). A completed task whose result says `isError` has failed in those words.
pub fn status_for_core(task: &[u8]) -> Option<Bytes> {
    let mut edit = Edit::open(task)?;
    let is_error = edit.get("result").and_then(|result| member(result, "isError")) == Some(b"true");
    if is_error && text(task, "status").is_some_and(|status| status == Status::Completed.name()) {
        edit.set("status", json::quote(Status::Failed.name()));
    }
    for name in ["resultType", "result", "error", "inputRequests"] {
        edit.remove(name);
    }
    meta::strip_member(&mut edit);
    to_core_words(&mut edit);
    Some(edit.into_bytes())
}

fn to_extension_words(edit: &mut Edit<'_>) {
    rename(edit, "ttl", "ttlMs");
    rename(edit, "pollInterval", "pollIntervalMs");
    if edit.get("ttlMs").or(edit.get("ttl")).is_none() {
        // The extension demands the member; `null` is unlimited.
        edit.set("ttlMs", "null");
    }
}

fn to_core_words(edit: &mut Edit<'_>) {
    rename(edit, "ttlMs", "ttl");
    rename(edit, "pollIntervalMs", "pollInterval");
    if edit.get("ttlMs").or(edit.get("ttl")).is_none() {
        edit.set("ttl", "null");
    }
}

fn rename(edit: &mut Edit<'_>, from: &str, to: &'static str) {
    if let Some(value) = edit.get(from) {
        edit.remove(from);
        edit.set(to, value.to_vec());
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{core, extension};
    use super::*;
    use crate::bridge::tasks::is_created;
    use crate::bridge::testing::{any_object, merged, parse, text};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    #[test]
    fn created_tasks_change_their_form() {
        let meta = json!({"_meta": {"v/a": 1, "io.modelcontextprotocol/model-immediate-response": "soon"}});
        let old = merged(json!({"task": core()}), meta.clone());
        let new = merged(extension(), merged(json!({"resultType": "task"}), meta));
        assert_eq!(created_for(&text(&old), Tasks::Extension).map(|bytes| parse(&bytes)), Some(new.clone()));
        let foreign = json!({"_meta": {"v/a": 1, "io.modelcontextprotocol/model-immediate-response": "soon", "io.modelcontextprotocol/serverInfo": {}}});
        let told = merged(new, foreign);
        assert_eq!(created_for(&text(&told), Tasks::Core).map(|bytes| parse(&bytes)), Some(old.clone()));
        assert_eq!(created_for(&text(&old), Tasks::Core), None);
        assert_eq!(created_for(&text(&old), Tasks::None), None);
        assert!(is_created(&text(&old)) && !is_created(&text(&told)));
    }

    #[test]
    fn the_end_is_told_where_each_form_tells_it() {
        let failed = text(&merged(core(), json!({"status": "failed"})));
        let told = |outcome: Option<Outcome<'_>>| parse(&status_for_extension(&failed, outcome).unwrap());
        let base = merged(extension(), json!({"resultType": "complete"}));
        let result = json!({"content": [], "isError": true});
        let completed = merged(base.clone(), json!({"status": "completed", "result": result}));
        assert_eq!(told(Some(Outcome::Result(&text(&result)))), completed);
        assert_eq!(
            told(Some(Outcome::Error(b"{\"code\":1}"))),
            merged(base.clone(), json!({"status": "failed", "error": {"code": 1}}))
        );
        assert_eq!(
            told(Some(Outcome::InputRequests(b"{}"))),
            merged(base.clone(), json!({"status": "input_required", "inputRequests": {}}))
        );
        assert_eq!(told(None), merged(base, json!({"status": "failed"})));
        assert_eq!(parse(&status_for_core(&text(&completed)).unwrap()), parse(&failed));
        let fine = merged(completed, json!({"result": {"content": []}}));
        assert_eq!(parse(&status_for_core(&text(&fine)).unwrap())["status"], "completed");
        let timeless = br#"{"taskId":"t","status":"working"}"#;
        assert_eq!(parse(&status_for_core(timeless).unwrap())["ttl"], Value::Null);
        assert_eq!(parse(&status_for_extension(timeless, None).unwrap())["ttlMs"], Value::Null);
    }

    proptest! {
        #[test]
        fn there_and_back_is_the_same(others in any_object()) {
            let (old, new) = (merged(others.clone(), core()), merged(others, extension()));
            let told = status_for_extension(&text(&old), None).unwrap();
            prop_assert_eq!(parse(&told), merged(new, json!({"resultType": "complete"})));
            prop_assert_eq!(status_for_extension(&told, None).map(|bytes| parse(&bytes)), Some(parse(&told)));
            let back = status_for_core(&told).unwrap();
            prop_assert_eq!(parse(&back), old.clone());
            prop_assert_eq!(status_for_core(&back).map(|bytes| parse(&bytes)), Some(old.clone()));
            let created = created_for(&text(&json!({"task": old})), Tasks::Extension).unwrap();
            prop_assert_eq!(parse(&created_for(&created, Tasks::Core).unwrap()), json!({"task": old}));
        }
    }
}
