//! What a client of 2026-07-28 gets otherwise than one of an older revision, where the server is one of the older: the same
//! outcome with the words of the other era taken out, so that the two can be compared.

use serde_json::{Map, Value, json};

use crate::blur;

/// Whether the newer revision has the request at all.
pub(crate) fn has(method: &str) -> bool {
    !matches!(method, "ping" | "logging/setLevel" | "resources/subscribe" | "resources/unsubscribe")
}

/// What stands in the place of an outcome of a request that there is not.
pub(crate) fn gone() -> Value {
    json!({ "answer": {}, "seen": [] })
}

/// An outcome without what only one of the eras has.
pub(crate) fn outcome(outcome: &mut Value) {
    // The models of the SDKs for the newer revision have their keys in another order, and only some know `execution`, with which
    // servers say whether they take tasks.
    blur::key_order(outcome);
    for tool in
        outcome.pointer_mut("/answer/result/tools").and_then(Value::as_array_mut).into_iter().flatten()
    {
        tool.as_object_mut().map(|tool| tool.remove("execution"));
    }
    // A page that the user is sent to has no id there: that it is done with is said by the retry.
    for question in outcome["seen"].as_array_mut().into_iter().flatten() {
        question["params"].as_object_mut().map(|params| params.remove("elicitationId"));
    }
    if let Some(result) = outcome.pointer_mut("/answer/result").and_then(Value::as_object_mut) {
        for key in ["resultType", "ttlMs", "cacheScope"] {
            result.remove(key);
        }
        without_meta(result, "io.modelcontextprotocol/serverInfo");
    }
}

fn without_meta(object: &mut Map<String, Value>, key: &str) {
    let Some(meta) = object.get_mut("_meta").and_then(Value::as_object_mut) else { return };
    meta.remove(key);
    if meta.is_empty() {
        object.remove("_meta");
    }
}
