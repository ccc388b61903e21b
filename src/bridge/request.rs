//! Requests of clients and notifications of servers, for the other side's revision.

use bytes::Bytes;

use crate::bridge::edit::Edit;
use crate::bridge::meta;
use crate::protocol::{Method, Revision, Tasks};

/// The params of a client's request for a legacy server; `None` if they pass unchanged, as they do between equal
/// revisions. For a modern server see [`meta::Own::params`](crate::bridge::meta::Own::params), which goes on top.
///
/// Out goes what belongs to the client's hop (reserved `_meta`; answers and state of a retry, which are for us), what the
/// client's revision does not mean (`task` asks for a task in 2025-11-25 alone), and what an old server does not know
/// (`context` of a completion).
pub fn params(method: Method, params: &[u8], from: &Revision, to: &Revision) -> Option<Bytes> {
    if from == to {
        return None;
    }
    let mut edit = Edit::open(params)?;
    if from.is_modern() {
        edit.remove("inputResponses");
        edit.remove("requestState");
        meta::strip_member(&mut edit);
    }
    match method {
        Method::ToolsCall if from.tasks != Tasks::Core || to.tasks != Tasks::Core => edit.remove("task"),
        Method::Complete if !to.completion_context => edit.remove("context"),
        _ => {}
    }
    edit.finish()
}

/// The params of a server's notification for a client of revision `to`; `None` if they pass unchanged. `progress` says
/// that it reports progress, which had no `message` in the first revision.
pub fn notification(params: &[u8], progress: bool, to: &Revision) -> Option<Bytes> {
    let mut edit = Edit::open(params)?;
    meta::strip_member(&mut edit);
    if progress && !to.progress_message {
        edit.remove("message");
    }
    edit.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::testing::{any_object, merged, parse, revision, text};
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn requests_leave_their_hop_behind() {
        let given = br#"{"name":"t","task":{},"inputResponses":{},"requestState":"s","context":{},
            "_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","traceparent":"00-1"},"n":1e400}"#;
        let told = |method, from, to| params(method, given, revision(from), revision(to));
        let legacy = told(Method::ToolsCall, "2026-07-28", "2025-11-25").unwrap();
        assert_eq!(
            legacy,
            &br#"{"name":"t","context":{},
            "_meta":{"traceparent":"00-1"},"n":1e400}"#[..]
        );
        assert_eq!(told(Method::ToolsCall, "2025-11-25", "2025-11-25"), None);
        let old = told(Method::Complete, "2025-06-18", "2024-11-05").unwrap();
        assert!(parse(&old).get("context").is_none() && parse(&old).get("task").is_some());
        let asks = told(Method::ToolsCall, "2025-06-18", "2025-11-25").unwrap();
        assert!(parse(&asks).get("task").is_none());
    }

    #[test]
    fn the_first_revision_knows_no_words_of_progress() {
        let given = br#"{"progressToken":1,"progress":0.50,"message":"half","_meta":{"io.modelcontextprotocol/subscriptionId":1}}"#;
        let told = |to| notification(given, true, revision(to)).unwrap();
        assert_eq!(told("2024-11-05"), &br#"{"progressToken":1,"progress":0.50}"#[..]);
        assert_eq!(told("2025-03-26"), &br#"{"progressToken":1,"progress":0.50,"message":"half"}"#[..]);
        assert_eq!(notification(br#"{"message":"m"}"#, false, revision("2024-11-05")), None);
    }

    proptest! {
        #[test]
        fn the_rest_is_untouched_and_twice_is_once(others in any_object()) {
            let (new, old) = (revision("2026-07-28"), revision("2024-11-05"));
            let given = merged(others.clone(), json!({"task": {}, "requestState": "s"}));
            let once = params(Method::ToolsCall, &text(&given), new, old).unwrap();
            prop_assert_eq!(parse(&once), others);
            prop_assert_eq!(params(Method::ToolsCall, &once, new, old), None);
        }
    }
}
