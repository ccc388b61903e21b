//! What a client of 2026-07-28 gets otherwise than one of an older revision, where the server is one of the older: the same
//! outcome with the words of the other era taken out, so that the two can be compared.

use serde_json::{Map, Value, json};

use crate::blur;
use crate::case::Case;

/// Whether the newer revision has what the case is about. Subscriptions are streams there, and a server that sends its user to a
/// page by an error asks for it by a result, which the client then takes to the user.
pub(crate) fn has(case: &Case) -> bool {
    let is_about_news = case.name.ends_with("(subscribed)");
    let is_error = case.name.ends_with("(by error)");
    let is_removed =
        matches!(case.method, "logging/setLevel" | "resources/subscribe" | "resources/unsubscribe");
    !(is_about_news || is_error || is_removed)
}

/// What stands in the place of an outcome of a request that there is not.
pub(crate) fn gone() -> Value {
    json!({ "answer": {}, "seen": [] })
}

/// An outcome without what only one of the eras has.
pub(crate) fn outcome(outcome: &mut Value) {
    // Only some of the SDKs' models know `execution` in the newer revision, with which servers say whether they take tasks. And
    // all have their keys in another order.
    for tool in
        outcome.pointer_mut("/answer/result/tools").and_then(Value::as_array_mut).into_iter().flatten()
    {
        tool.as_object_mut().map(|tool| tool.remove("execution"));
    }
    for question in outcome["seen"].as_array_mut().into_iter().flatten() {
        let Some(params) = question["params"].as_object_mut() else { continue };
        // A page that the user is sent to has no id: that it is done with is said by the retry.
        params.remove("elicitationId");
        // Only clients that declare it are asked for it; the older ones could not.
        params.remove("includeContext");
    }
    if let Some(result) = outcome.pointer_mut("/answer/result").and_then(Value::as_object_mut) {
        for key in ["resultType", "ttlMs", "cacheScope"] {
            result.remove(key);
        }
        without_meta(result, "io.modelcontextprotocol/serverInfo");
    }
    // Last: what is taken out of an object leaves the rest in another order.
    blur::key_order(outcome);
}

fn without_meta(object: &mut Map<String, Value>, key: &str) {
    let Some(meta) = object.get_mut("_meta").and_then(Value::as_object_mut) else { return };
    meta.remove(key);
    if meta.is_empty() {
        object.remove("_meta");
    }
}
