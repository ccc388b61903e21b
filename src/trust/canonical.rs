//! One text for all JSON that means the same: members sorted, no space, strings and numbers in one spelling.
//!
//! Numbers are compared as decimals of any size, never through floating point: `1`, `1.0` and `10e-1` are one number,
//! and two that differ in their fortieth digit are two.

use serde_json::{Number, Value};
use sha2::{Digest, Sha256};

use crate::wire::json;

/// The canonical text of a value.
pub(crate) fn text(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    push(&mut out, value);
    out
}

/// The SHA-256 of the canonical text, as 64 hexadecimal digits.
pub(crate) fn digest(value: &Value) -> String {
    hex(&text(value))
}

/// The SHA-256 of a text, as 64 hexadecimal digits.
pub(crate) fn hex(text: &[u8]) -> String {
    crate::wire::hex(&Sha256::digest(text))
}

/// The depth is that of the value, which its parser has bounded.
fn push(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
        Value::Number(number) => out.extend_from_slice(decimal(number).as_bytes()),
        Value::String(text) => json::push_string(out, text),
        Value::Array(elements) => {
            out.push(b'[');
            for (index, element) in elements.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                push(out, element);
            }
            out.push(b']');
        }
        Value::Object(members) => {
            let mut members: Vec<(&String, &Value)> = members.iter().collect();
            members.sort_unstable_by_key(|(key, _)| *key);
            out.push(b'{');
            for (index, (key, value)) in members.into_iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                json::push_string(out, key);
                out.push(b':');
                push(out, value);
            }
            out.push(b'}');
        }
    }
}

/// A number as its digits without zeros around them and a power of ten: `110`, `1.10e2` and `1100e-1` are `11e1`.
fn decimal(number: &Number) -> String {
    let text = number.to_string();
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.as_str()),
    };
    let (mantissa, exponent) = rest.split_once(['e', 'E']).unwrap_or((rest, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    let significant = digits.trim_end_matches('0');
    if significant.is_empty() {
        return "0".to_owned();
    }
    // An exponent beyond these bounds is compared by its text: nobody writes one for a reason.
    let Ok(exponent) = exponent.parse::<i32>() else { return text };
    let exponent = i64::from(exponent) - fraction.len() as i64 + (digits.len() - significant.len()) as i64;
    match exponent {
        0 => format!("{sign}{significant}"),
        _ => format!("{sign}{significant}e{exponent}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(one: &str, other: &str) -> bool {
        let read = |text: &str| digest(&serde_json::from_str(text).unwrap());
        read(one) == read(other)
    }

    #[test]
    fn spelling_does_not_matter() {
        for (one, other) in [
            (r#"{"a":1,"b":[true,null]}"#, "{ \"b\" : [ true ,\n null ], \"a\": 1 }"),
            (r#"{"a":"é"}"#, r#"{"\u0061":"\u00e9"}"#),
            ("[1,100,0.5,0]", "[1.0,1e2,5E-1,-0.000]"),
            ("[12345678901234567890123]", "[1.2345678901234567890123e22]"),
        ] {
            assert!(same(one, other), "{one} {other}");
        }
    }

    #[test]
    fn meaning_does() {
        for (one, other) in [
            ("[1,2]", "[2,1]"),
            ("1", "-1"),
            ("1", "\"1\""),
            ("10", "1"),
            ("0.10000000000000000000001", "0.1"),
            (r#"{"a":null}"#, "{}"),
            (r#"{"a":"b"}"#, r#"{"a":"b\u200b"}"#),
            ("1e999999999999", "1"),
        ] {
            assert!(!same(one, other), "{one} {other}");
        }
    }
}
