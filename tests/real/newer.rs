//! What a client of 2026-07-28 gets otherwise than one of an older revision, where the server is one of the older: the same
//! outcome with the words of the other era taken out, so that the two can be compared.

use serde_json::{Map, Value, json};

/// Whether the newer revision has the request at all.
pub(crate) fn has(method: &str) -> bool {
    !matches!(method, "ping" | "logging/setLevel" | "resources/subscribe" | "resources/unsubscribe")
}

/// What stands in the place of an outcome of a request that there is not.
pub(crate) fn gone() -> Value {
    json!({ "answer": {}, "seen": [] })
}

/// A direct outcome without what the newer revision does not have.
pub(crate) fn without_what_is_gone(outcome: &mut Value) {
    let items = outcome.pointer_mut("/answer/result/tools").and_then(Value::as_array_mut);
    items.into_iter().flatten().for_each(definition);
}

/// A definition as the newer revision has it: tasks are an extension there, which these clients do not take.
fn definition(item: &mut Value) {
    if let Some(item) = item.as_object_mut() {
        item.remove("execution");
    }
}

/// An outcome of the newer revision without what the older one does not have.
pub(crate) fn outcome(outcome: &mut Value) {
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
