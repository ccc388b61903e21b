//! Calls that go on after their answer, in both forms: the experimental core of 2025-11-25 (the caller asks for a task,
//! `tasks/result` waits for the end) and the extension `io.modelcontextprotocol/tasks` of the modern era (SEP-2663: the
//! server decides, `tasks/get` carries the end).

use bytes::Bytes;

use crate::bridge::edit::{Edit, member, text};
use crate::protocol::meta::{PROGRESS_TOKEN, RELATED_TASK};
use crate::wire::Span;
use crate::wire::json::{self, Kind};

/// How far a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It runs.
    Working,
    /// It waits for answers.
    InputRequired,
    /// It has a result.
    Completed,
    /// It has an error; in the core also a tool's result that says `isError`.
    Failed,
    /// It was cancelled.
    Cancelled,
}

const STATUSES: [(&str, Status); 5] = [
    ("working", Status::Working),
    ("input_required", Status::InputRequired),
    ("completed", Status::Completed),
    ("failed", Status::Failed),
    ("cancelled", Status::Cancelled),
];

impl Status {
    /// Reads the name of a status.
    pub fn parse(name: &str) -> Option<Status> {
        STATUSES.iter().find(|(known, _)| *known == name).map(|(_, status)| *status)
    }

    /// Its name on the wire, the same in both forms.
    pub fn name(self) -> &'static str {
        STATUSES[self as usize].0
    }

    /// Whether it changes no more.
    pub fn is_final(self) -> bool {
        matches!(self, Status::Completed | Status::Failed | Status::Cancelled)
    }
}

/// A task as either form tells of it. Places are relative to the text it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// The server's id for it.
    pub id: String,
    /// How far it is.
    pub status: Status,
    /// What it says of that, a string.
    pub status_message: Option<Span>,
    /// For how many milliseconds from its creation it is kept; `None` if for ever, or nothing was said.
    pub ttl_ms: Option<u64>,
    /// How many milliseconds to wait between two looks at it.
    pub poll_interval_ms: Option<u64>,
    /// Its result, in the extension, if it is completed.
    pub result: Option<Span>,
    /// Its error, in the extension, if it has failed.
    pub error: Option<Span>,
    /// What it waits for, in the extension; see [`input_required::read_requests`](crate::bridge::input_required::read_requests).
    pub input_requests: Option<Span>,
}

/// Reads a task: a `CreateTaskResult`, what `tasks/get` and `tasks/cancel` answer, or the params of a notification, of either
/// form.
///
/// # Errors
/// A sentence about the server.
pub fn read(object: &[u8]) -> Result<Task, String> {
    let at = json::get(object, "task").filter(|span| json::kind(span.of(object)) == Kind::Object);
    let at = at.unwrap_or(Span { start: 0, end: object.len() });
    let task = at.of(object);
    let place = |name| json::get(task, name).map(|span| span.shifted(at.start));
    let id = text(task, "taskId").ok_or("a task has no `taskId`")?.into_owned();
    let status = text(task, "status").unwrap_or_default();
    Ok(Task {
        id,
        status: Status::parse(&status).ok_or_else(|| format!("a task has the unknown status `{status}`"))?,
        status_message: place("statusMessage"),
        ttl_ms: milliseconds(task, "ttlMs").or_else(|| milliseconds(task, "ttl")),
        poll_interval_ms: milliseconds(task, "pollIntervalMs").or_else(|| milliseconds(task, "pollInterval")),
        result: place("result"),
        error: place("error"),
        input_requests: place("inputRequests"),
    })
}

fn milliseconds(task: &[u8], name: &str) -> Option<u64> {
    let number: f64 = std::str::from_utf8(member(task, name)?).ok()?.parse().ok()?;
    (number >= 0.0).then_some(number as u64)
}

/// Whether a result of `tools/call` by a server of 2025-11-25 is a task instead; a modern one says so by its type.
pub fn is_created(result: &[u8]) -> bool {
    member(result, "task").is_some_and(|task| text(task, "taskId").is_some())
}

/// How a tool takes being called as a task in the way of 2025-11-25 (`execution.taskSupport`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// Not at all.
    Forbidden,
    /// If the caller likes.
    Optional,
    /// In no other way.
    Required,
}

impl Support {
    /// Reads it out of a raw definition.
    pub fn of(tool: &[u8]) -> Support {
        match member(tool, "execution").and_then(|execution| text(execution, "taskSupport")).as_deref() {
            Some("optional") => Support::Optional,
            Some("required") => Support::Required,
            _ => Support::Forbidden,
        }
    }
}

/// A tool that may be called as a task, in the words of 2025-11-25.
pub fn with_optional_support(tool: &[u8]) -> Bytes {
    let mut edit = Edit::open(tool).unwrap_or_else(Edit::empty);
    let mut execution = edit.get("execution").and_then(Edit::open).unwrap_or_else(Edit::empty);
    execution.set("taskSupport", "\"optional\"");
    edit.set("execution", execution.into_bytes());
    edit.into_bytes()
}

/// Whether a client of 2025-11-25 asks for a task.
pub fn asks_for_task(params: &[u8]) -> bool {
    member(params, "task").is_some_and(|task| json::kind(task) == Kind::Object)
}

/// Params of a call that ask a server of 2025-11-25 for a task, kept for so many milliseconds if that is said.
pub fn ask_for_task(params: &[u8], ttl_ms: Option<u64>) -> Bytes {
    let mut edit = Edit::open(params).unwrap_or_else(Edit::empty);
    edit.set("task", ttl_ms.map_or("{}".to_owned(), |ttl| format!(r#"{{"ttl":{ttl}}}"#)));
    edit.into_bytes()
}

/// Params of `tasks/get`, `tasks/result` and `tasks/cancel`.
pub fn id_params(id: &str) -> Vec<u8> {
    let mut out = br#"{"taskId":"#.to_vec();
    json::push_string(&mut out, id);
    out.push(b'}');
    out
}

/// Params of `tasks/update`: `responses` is a raw object
/// ([`input_required::write_responses`](crate::bridge::input_required::write_responses)).
pub fn update_params(id: &str, responses: &[u8]) -> Vec<u8> {
    let mut out = id_params(id);
    out.pop();
    out.extend_from_slice(br#","inputResponses":"#);
    out.extend_from_slice(responses);
    out.push(b'}');
    out
}

/// Params or a result with another task id, wherever this one tells of its task: in `taskId`, in `task`, and in the
/// `_meta` that relates a message to a task. `None` if it tells of none.
pub fn with_id(object: &[u8], id: &str) -> Option<Bytes> {
    let quoted = Bytes::from(json::quote(id));
    let mut edit = Edit::open(object)?;
    if edit.get("taskId").is_some() {
        edit.set("taskId", quoted.clone());
    }
    if let Some(mut task) = edit.get("task").and_then(Edit::open)
        && task.get("taskId").is_some()
    {
        task.set("taskId", quoted.clone());
        edit.change("task", task.finish());
    }
    if let Some(mut own) = edit.get("_meta").and_then(Edit::open)
        && let Some(mut related) = own.get(RELATED_TASK).and_then(Edit::open)
    {
        related.set("taskId", quoted);
        own.change(RELATED_TASK, related.finish());
        edit.change("_meta", own.finish());
    }
    edit.finish()
}

/// Params or a result that say to which task they belong, whatever they said before (MCP 2025-11-25, "Associating
/// Task-Related Messages").
pub fn relate(object: &[u8], id: &str) -> Bytes {
    let mut edit = Edit::open(object).unwrap_or_else(Edit::empty);
    let mut own = edit.get("_meta").and_then(Edit::open).unwrap_or_else(Edit::empty);
    own.set(RELATED_TASK, id_params(id));
    edit.set("_meta", own.into_bytes());
    edit.into_bytes()
}

/// Params of a call that goes on without its client: they ask for no task, and for progress under a token of ours.
pub fn in_background(params: &[u8]) -> Bytes {
    let mut edit = Edit::open(params).unwrap_or_else(Edit::empty);
    edit.remove("task");
    let mut own = edit.get("_meta").and_then(Edit::open).unwrap_or_else(Edit::empty);
    own.set(PROGRESS_TOKEN, "0");
    edit.set("_meta", own.into_bytes());
    edit.into_bytes()
}

/// For how long a client of 2025-11-25 wants its task to be kept, in milliseconds.
pub fn wanted_ttl(params: &[u8]) -> Option<u64> {
    milliseconds(member(params, "task")?, "ttl")
}

/// The task that a message is related to.
pub fn related(object: &[u8]) -> Option<String> {
    let task = json::get_path(object, &["_meta", RELATED_TASK])?.of(object);
    text(task, "taskId").map(|id| id.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::testing::{merged, parse, text};
    use serde_json::{Value, json};

    fn core() -> Value {
        json!({"taskId": "t", "status": "working", "statusMessage": "m", "createdAt": "c", "lastUpdatedAt": "u", "ttl": 60000, "pollInterval": 500})
    }

    fn extension() -> Value {
        json!({"taskId": "t", "status": "working", "statusMessage": "m", "createdAt": "c", "lastUpdatedAt": "u", "ttlMs": 60000, "pollIntervalMs": 500})
    }

    #[test]
    fn both_forms_read_alike() {
        let expected = Task {
            id: "t".into(),
            status: Status::Working,
            status_message: None,
            ttl_ms: Some(60000),
            poll_interval_ms: Some(500),
            result: None,
            error: None,
            input_requests: None,
        };
        for given in
            [core(), extension(), json!({"task": core()}), merged(extension(), json!({"resultType": "task"}))]
        {
            let given = text(&given);
            let task = read(&given).unwrap();
            assert_eq!(task.status_message.map(|span| span.of(&given)), Some(&b"\"m\""[..]));
            assert_eq!(Task { status_message: None, ..task }, expected);
        }
        let done = br#"{"taskId":"t","status":"completed","ttlMs":null,"result":{"content":[]},"inputRequests":{},"error":{}}"#;
        let task = read(done).unwrap();
        assert_eq!((task.ttl_ms, task.poll_interval_ms), (None, None));
        assert_eq!(task.result.map(|span| span.of(done)), Some(&b"{\"content\":[]}"[..]));
        assert!(task.status.is_final() && task.error.is_some() && task.input_requests.is_some());
        assert!(read(br#"{"taskId":"t","status":"done"}"#).is_err());
        assert!(read(br#"{"status":"working"}"#).is_err());
        for (name, status) in STATUSES {
            assert_eq!((Status::parse(name), status.name()), (Some(status), name));
        }
    }

    #[test]
    fn calls_ask_for_tasks_and_stop_asking() {
        let asking = ask_for_task(br#"{"name":"a"}"#, Some(5));
        assert_eq!(asking, &br#"{"name":"a","task":{"ttl":5}}"#[..]);
        assert!(asks_for_task(&asking));
        assert_eq!(ask_for_task(b"{}", None), &br#"{"task":{}}"#[..]);
        assert_eq!(update_params("t\"", b"{}"), br#"{"taskId":"t\"","inputResponses":{}}"#);
        assert_eq!(Support::of(br#"{"execution":{"taskSupport":"required"}}"#), Support::Required);
        assert_eq!(Support::of(b"{}"), Support::Forbidden);
    }

    #[test]
    fn ids_are_replaced_wherever_they_stand() {
        let given = json!({"taskId": "a", "task": {"taskId": "a", "x": 1}, "_meta": {"y": 2, "io.modelcontextprotocol/related-task": {"taskId": "a"}}});
        let changed = with_id(&text(&given), "b").unwrap();
        let expected = json!({"taskId": "b", "task": {"taskId": "b", "x": 1}, "_meta": {"y": 2, "io.modelcontextprotocol/related-task": {"taskId": "b"}}});
        assert_eq!(parse(&changed), expected);
        assert_eq!(with_id(&changed, "b"), None);
        assert_eq!(related(&changed).as_deref(), Some("b"));
        assert_eq!(with_id(br#"{"task":{"ttl":1}}"#, "b"), None);
        assert_eq!(related(&relate(b"{}", "t")).as_deref(), Some("t"));
        let call = in_background(br#"{"name":"a","task":{"ttl":5},"_meta":{"progressToken":"x","v":1}}"#);
        assert_eq!(call, &br#"{"name":"a","_meta":{"progressToken":0,"v":1}}"#[..]);
        assert_eq!(wanted_ttl(br#"{"task":{"ttl":5}}"#), Some(5));
    }
}
