//! The arguments of a call as a value of Cedar.
//!
//! They are a stranger's: bounded in size, and refused if they could be read in two ways. A policy must see what the server
//! will see.

use std::collections::HashSet;

use cedar_policy::RestrictedExpression;

use super::wanted::Picked;
use crate::wire::json::{self, Kind};

/// The largest arguments that policies look at, in bytes.
const MAX_BYTES: usize = 256 * 1024;
/// The most values in them.
const MAX_VALUES: usize = 10_000;
/// How deep they may be nested: Cedar goes through them by recursion.
const MAX_DEPTH: usize = 64;

/// Arguments as a record; no text stands for none.
///
/// - Text, truth values, records and sets are what they are; the order of an array is lost, which Cedar does not know.
/// - Whole numbers of 64 bits are numbers, others are texts, spelt as they came.
/// - `null` is absent.
///
/// # Errors
/// Why policies cannot look at them: a sentence without a period.
pub(super) fn record(picked: &Picked<'_>) -> Result<RestrictedExpression, String> {
    let bytes = match picked {
        Picked::These(arguments) => arguments.iter().map(|(_, value)| value.len()).sum(),
        Picked::All(raw) => raw.len(),
    };
    if bytes > MAX_BYTES {
        return Err(format!("its arguments have more than {} KiB", MAX_BYTES / 1024));
    }
    let mut left = MAX_VALUES;
    match picked {
        Picked::These(arguments) => {
            let mut members = Vec::with_capacity(arguments.len());
            for (name, value) in arguments {
                members.extend(
                    expression(value, MAX_DEPTH - 1, &mut left)?.map(|value| ((*name).to_owned(), value)),
                );
            }
            RestrictedExpression::new_record(members).map_err(|error| error.to_string())
        }
        Picked::All([]) => RestrictedExpression::new_record([]).map_err(|error| error.to_string()),
        Picked::All(raw) => {
            let value = expression(raw, MAX_DEPTH, &mut left)?;
            value.ok_or_else(|| "its arguments are null".to_owned())
        }
    }
}

fn expression(raw: &[u8], depth: usize, left: &mut usize) -> Result<Option<RestrictedExpression>, String> {
    *left = left.checked_sub(1).ok_or("its arguments hold too many values")?;
    let depth = depth.checked_sub(1).ok_or("its arguments are nested too deeply")?;
    let text = |raw| json::string(raw).ok_or("its arguments hold a text that is no Unicode");
    Ok(Some(match json::kind(raw) {
        Kind::String => RestrictedExpression::new_string(text(raw)?.into_owned()),
        Kind::Object => {
            let mut names = HashSet::new();
            let mut members = Vec::new();
            for member in json::members(raw) {
                let name = text(member.key.of(raw))?.into_owned();
                if !names.insert(name.clone()) {
                    // Which of them the server takes nobody knows.
                    return Err(format!("its arguments hold `{name}` twice"));
                }
                if let Some(value) = expression(member.value.of(raw), depth, left)? {
                    members.push((name, value));
                }
            }
            RestrictedExpression::new_record(members).map_err(|error| error.to_string())?
        }
        Kind::Array => {
            let mut values = Vec::new();
            for element in json::elements(raw) {
                values.extend(expression(element.of(raw), depth, left)?);
            }
            RestrictedExpression::new_set(values)
        }
        _ => match raw {
            b"true" => RestrictedExpression::new_bool(true),
            b"false" => RestrictedExpression::new_bool(false),
            b"null" => return Ok(None),
            number => {
                let number = String::from_utf8_lossy(number);
                match number.parse::<i64>() {
                    Ok(number) => RestrictedExpression::new_long(number),
                    Err(_) => RestrictedExpression::new_string(number.into_owned()),
                }
            }
        },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(picked: &Picked<'_>) -> String {
        let record = record(picked).unwrap();
        cedar_policy::Context::from_pairs([("a".to_owned(), record)]).unwrap().to_string()
    }

    #[test]
    fn values_are_what_they_are_and_numbers_that_do_not_fit_are_texts() {
        let text = br#"{"a":"x\u0041","b":[1,true,null,"c"],"n":null,"f":1.50,"big":9223372036854775808,"o":{"m":-3}}"#;
        let shown = shown(&Picked::All(text));
        for part in [r#"a: "xA""#, r#"f: "1.50""#, r#"big: "9223372036854775808""#, "-3", "true"] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
        assert!(!shown.contains("null") && !shown.contains("n:"), "{shown}");
        assert!(record(&Picked::All(b"")).is_ok() && record(&Picked::All(b"{}")).is_ok());
        let some = Picked::These([("b", &b"1"[..]), ("c", b"null"), ("d", b"[2]")].into_iter().collect());
        assert_eq!(self::shown(&some), self::shown(&Picked::All(br#"{"b":1,"d":[2]}"#)));
    }

    #[test]
    fn what_could_be_read_in_two_ways_or_is_too_much_is_refused() {
        let many = format!(r#"{{"a":[{}1]}}"#, "1,".repeat(MAX_VALUES));
        let deep = format!(r#"{{"a":{}1{}}}"#, "[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH));
        let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(MAX_BYTES));
        for (text, expected) in [
            (r#"{"a":1,"\u0061":2}"#, "`a` twice"),
            (&many, "too many"),
            (&deep, "too deeply"),
            (&long, "256 KiB"),
        ] {
            let error = record(&Picked::All(text.as_bytes())).unwrap_err();
            assert!(error.contains(expected), "{error}");
            if let Some(value) = text.strip_prefix(r#"{"a":"#).and_then(|text| text.strip_suffix('}')) {
                let some = record(&Picked::These([("a", value.as_bytes())].into_iter().collect()));
                assert!(some.is_err() || expected.contains("twice"), "{value:.20}");
            }
        }
    }
}
