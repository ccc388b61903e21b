//! One text for all that means the same: JSON as RFC 8785 writes it, but for numbers.
//!
//! Members stand in the order of their names, there is no space, and strings are spelt in one way. Numbers keep their text:
//! `1` and `1.0` are the same to that RFC but not to every server. What cannot be told apart safely has no such form: doubled
//! names, of which parsers take one or the other, and halves of surrogate pairs.

use crate::wire::json::{self, Kind};

/// Deeper arguments have no canonical form: every level is walked through once for each level above it.
const MAX_DEPTH: usize = 64;

/// Appends the canonical form of a checked object without the members of these names; `None` if there is none.
pub(in crate::pipeline) fn push_object(out: &mut Vec<u8>, object: &[u8], without: &[&str]) -> Option<()> {
    push_members(out, object, without, 0)
}

fn push(out: &mut Vec<u8>, value: &[u8], depth: usize) -> Option<()> {
    if depth > MAX_DEPTH {
        return None;
    }
    match json::kind(value) {
        Kind::Object => push_members(out, value, &[], depth)?,
        Kind::Array => {
            out.push(b'[');
            for (place, element) in json::elements(value).enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                push(out, element.of(value), depth + 1)?;
            }
            out.push(b']');
        }
        Kind::String => json::push_string(out, &text(value)?),
        Kind::Number | Kind::Bool | Kind::Null => out.extend_from_slice(value),
    }
    Some(())
}

fn push_members(out: &mut Vec<u8>, object: &[u8], without: &[&str], depth: usize) -> Option<()> {
    let mut members = Vec::new();
    for member in json::members(object) {
        let name = text(member.key.of(object))?;
        if !without.contains(&&*name) {
            members.push((name, member.value));
        }
    }
    members.sort_by(|(one, _), (other, _)| one.encode_utf16().cmp(other.encode_utf16()));
    if members.windows(2).any(|pair| matches!(pair, [(one, _), (other, _)] if one == other)) {
        return None;
    }
    out.push(b'{');
    for (place, (name, value)) in members.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        json::push_string(out, name);
        out.push(b':');
        push(out, value.of(object), depth + 1)?;
    }
    out.push(b'}');
    Some(())
}

/// The text of a string; `None` if an escape in it stands for half a character, or for what decoding makes of those.
fn text(value: &[u8]) -> Option<std::borrow::Cow<'_, str>> {
    let text = json::string(value)?;
    let may_be_half = value.contains(&b'\\') && text.contains(char::REPLACEMENT_CHARACTER);
    (!may_be_half).then_some(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn form(text: &str) -> Option<String> {
        let mut out = Vec::new();
        push(&mut out, text.as_bytes(), 0)?;
        Some(String::from_utf8(out).unwrap())
    }

    #[test]
    fn order_space_and_spelling_do_not_matter() {
        let one = r#"{"b":[1,{"y":"é\n","x":null}],"a":"/"}"#;
        let other = " { \"a\" : \"\\/\",\t\"\\u0062\": [ 1 , { \"x\":null , \"y\" :\"\\u00e9\\u000a\" } ] } ";
        assert_eq!(form(one), form(other.trim()));
        assert_eq!(form(one).unwrap(), r#"{"a":"/","b":[1,{"x":null,"y":"é\n"}]}"#);
        // RFC 8785, 3.2.3: the order is that of UTF-16 code units.
        assert_eq!(form("{\"\u{fb33}\":1,\"😀\":2}").unwrap(), "{\"😀\":2,\"\u{fb33}\":1}");
    }

    #[test]
    fn what_servers_may_tell_apart_differs() {
        let forms: std::collections::HashSet<_> =
            ["1", "1.0", "\"1\"", "1e0", "-0", "0", "null", "\"null\"", "[]", "{}", "[[]]", "\"\"", "10e-1"]
                .iter()
                .map(|text| form(text).unwrap())
                .collect();
        assert_eq!(forms.len(), 13);
    }

    #[test]
    fn what_parsers_read_in_different_ways_has_no_form() {
        assert_eq!(form(r#"{"a":1,"\u0061":2}"#), None);
        assert_eq!(form(r#"["\ud800"]"#), None);
        assert_eq!(form(r#"{"\ud800":1}"#), None);
        assert!(form("\"\u{fffd}\"").is_some());
        let deep = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(form(&deep(MAX_DEPTH)).is_some());
        assert_eq!(form(&deep(MAX_DEPTH + 2)), None);
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_map(|float| serde_json::json!(float)),
            ".*".prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
                prop::collection::vec(("[a-c]{0,2}|.*", inner), 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    /// The same with the members of every object the other way round.
    fn turned(value: &Value) -> Value {
        match value {
            Value::Object(members) => Value::Object(
                members.iter().rev().map(|(name, value)| (name.clone(), turned(value))).collect(),
            ),
            Value::Array(elements) => Value::Array(elements.iter().map(turned).collect()),
            other => other.clone(),
        }
    }

    proptest! {
        #[test]
        fn the_same_value_has_one_form_however_it_is_written(value in any_value()) {
            let compact = form(&serde_json::to_string(&value).unwrap());
            prop_assert_eq!(&compact, &form(&serde_json::to_string_pretty(&turned(&value)).unwrap()));
            if let Some(text) = compact {
                let read: Value = serde_json::from_str(&text).unwrap();
                prop_assert_eq!(&read, &value);
                prop_assert_eq!(form(&text), Some(text), "it is its own form");
            }
        }

        #[test]
        fn different_values_have_different_forms(one in any_value(), other in any_value()) {
            let form = |value: &Value| form(&serde_json::to_string(value).unwrap());
            if let (Some(first), Some(second)) = (form(&one), form(&other)) {
                prop_assert_eq!(first == second, one == other);
            }
        }
    }
}
