//! What the tests of this room share.

use proptest::prelude::*;
use serde_json::Value;

/// Any small JSON value.
pub(super) fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        "[a-z\"\\\\é ]{0,6}".prop_map(Into::into),
    ];
    leaf.prop_recursive(3, 20, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            members(inner).prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn members(inner: impl Strategy<Value = Value>) -> impl Strategy<Value = Vec<(String, Value)>> {
    let key = prop_oneof!["[a-c]", "x[a-z\"/.]{0,5}"];
    prop::collection::vec((key, inner), 0..5)
}

/// Any small object, some of whose keys are `a`, `b` or `c`; the others begin with `x`, or are of these.
pub(super) fn any_object() -> impl Strategy<Value = Value> {
    members(any_json()).prop_map(|members| Value::Object(members.into_iter().collect()))
}

/// The value of a text that must be valid JSON.
pub(super) fn parse(text: &[u8]) -> Value {
    assert!(crate::wire::json::check(text).is_ok(), "{} is JSON", String::from_utf8_lossy(text));
    serde_json::from_slice(text).unwrap()
}

/// The text of a value.
pub(super) fn text(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).unwrap()
}

/// The members of one object and of another, which wins.
pub(super) fn merged(mut value: Value, other: Value) -> Value {
    if let (Value::Object(object), Value::Object(other)) = (&mut value, other) {
        object.extend(other);
    }
    value
}

/// A revision by its name.
pub(super) fn revision(name: &str) -> &'static crate::protocol::Revision {
    crate::protocol::Revision::find(name).unwrap()
}
