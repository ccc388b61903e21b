//! Questions to a user: `elicitation/create` between the levels of the revisions (MCP "Elicitation").

use bytes::Bytes;

use crate::bridge::capabilities::{Mode, check};
use crate::bridge::edit::{Edit, change_elements, member, text};
use crate::bridge::{meta, question};
use crate::call::{AskKind, NotAsked};
use crate::protocol::{Elicitation, Revision};
use crate::wire::json::{self, Kind};

/// The params of an elicitation of a server of revision `from`, for a client of revision `to` with these raw
/// capabilities; `None` if they pass unchanged. `id` is given to an elicitation by URL that has none and needs one; it
/// must be unique among ours.
///
/// # Errors
/// A sentence for the server: the client did not declare this, its revision cannot express it, or the URL is not one to
/// send a user to. A URL is never made into a form.
pub fn params(
    params: &[u8],
    from: &Revision,
    to: &Revision,
    declared: &[u8],
    id: &str,
) -> Result<Option<Bytes>, NotAsked> {
    check(AskKind::Elicitation, params, declared, to)?;
    let mode = Mode::of(params)?;
    if mode == Mode::Url {
        check_url(params)?;
    }
    if from == to {
        return Ok(None);
    }
    let Some(mut edit) = Edit::open(params) else { return Ok(None) };
    question::strip(&mut edit, to);
    match mode {
        Mode::Url if !to.elicitation_id => edit.remove("elicitationId"),
        Mode::Url if edit.get("elicitationId").is_none() => edit.set("elicitationId", json::quote(id)),
        Mode::Url => {}
        Mode::Form => {
            if to.elicitation == Elicitation::Form {
                edit.remove("mode");
            }
            if from.elicitation != to.elicitation
                && let Some(schema) = edit.get("requestedSchema")
            {
                let schema = schema_for(schema, to)?;
                edit.change("requestedSchema", schema);
            }
        }
    }
    Ok(edit.finish())
}

fn check_url(params: &[u8]) -> Result<(), NotAsked> {
    let url = text(params, "url").unwrap_or_default().to_ascii_lowercase();
    if url.starts_with("https://") || url.starts_with("http://") {
        return Ok(());
    }
    Err(NotAsked::Unacceptable("a URL for the user must begin with https:// or http://".to_owned()))
}

fn schema_for(schema: &[u8], to: &Revision) -> Result<Option<Bytes>, NotAsked> {
    let Some(mut properties) = member(schema, "properties").and_then(Edit::open) else { return Ok(None) };
    match to.elicitation {
        Elicitation::Form => properties.change_each(|name, field| plain_field(name, field, to))?,
        _ => properties.change_each(|_, field| Ok::<_, NotAsked>(titled_field(field)))?,
    }
    let Some(properties) = properties.finish() else { return Ok(None) };
    let Some(mut edit) = Edit::open(schema) else { return Ok(None) };
    edit.set("properties", properties);
    Ok(edit.finish())
}

/// A field in the words of 2025-06-18.
fn plain_field(name: &str, field: &[u8], to: &Revision) -> Result<Option<Bytes>, NotAsked> {
    let refuse = |what: &str| {
        let why = format!("field `{name}` {what}, which clients of revision {} cannot show", to.name);
        Err(NotAsked::Unacceptable(why))
    };
    let kind = text(field, "type");
    if kind.as_deref() == Some("array") {
        return refuse("takes several choices");
    }
    let Some(mut edit) = Edit::open(field) else { return Ok(None) };
    if let Some(choices) = edit.get("oneOf") {
        let Some((values, names)) = choices_of(choices) else { return refuse("has choices without a value") };
        edit.remove("oneOf");
        edit.set("enum", values);
        edit.set("enumNames", names);
    }
    if kind.as_deref() != Some("boolean") {
        edit.remove("default");
    }
    Ok(edit.finish())
}

/// The values and the names of titled choices, as two arrays.
fn choices_of(choices: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let (mut values, mut names) = (vec![b'['], vec![b'[']);
    for span in json::elements(choices) {
        let choice = span.of(choices);
        let value = member(choice, "const").filter(|value| json::kind(value) == Kind::String)?;
        if values.len() > 1 {
            values.push(b',');
            names.push(b',');
        }
        values.extend_from_slice(value);
        names.extend_from_slice(member(choice, "title").unwrap_or(value));
    }
    values.push(b']');
    names.push(b']');
    Some((values, names))
}

/// A field in the words since 2025-11-25: `enumNames`, which JSON Schema does not know, become titled choices.
fn titled_field(field: &[u8]) -> Option<Bytes> {
    let (values, names) = (member(field, "enum")?, member(field, "enumNames")?);
    let mut titles = json::elements(names);
    let titled = |value: &[u8]| {
        let title = titles.next()?;
        let mut out = br#"{"const":"#.to_vec();
        out.extend_from_slice(value);
        out.extend_from_slice(br#","title":"#);
        out.extend_from_slice(title.of(names));
        out.push(b'}');
        Some(Bytes::from(out))
    };
    // Names that do not fit the values are left as they are: newer clients read them too.
    if json::elements(values).count() != json::elements(names).count() {
        return None;
    }
    let mut titled = titled;
    let choices =
        change_elements(values, |value| Ok::<_, std::convert::Infallible>(titled(value))).ok()??;
    let mut edit = Edit::open(field)?;
    edit.remove("enumNames");
    edit.remove("enum");
    edit.set("oneOf", choices);
    edit.finish()
}

/// A client's answer for the server; `None` if it passes unchanged, as it nearly always does.
///
/// # Errors
/// A sentence: it is no answer to an elicitation.
pub fn answer(answer: &[u8]) -> Result<Option<Bytes>, String> {
    match text(answer, "action").as_deref() {
        Some("accept" | "decline" | "cancel") => Ok(meta::strip_in(answer)),
        _ => {
            Err("the answer to an elicitation must have an `action` of accept, decline or cancel".to_owned())
        }
    }
}

/// The answer to a question that nobody will answer any more.
pub const CANCEL: &[u8] = br#"{"action":"cancel"}"#;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::testing::{any_object, merged, parse, revision, text};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    const BOTH: &[u8] = br#"{"elicitation":{"form":{},"url":{}}}"#;

    fn asked(given: &Value, from: &str, to: &str) -> Result<Option<Value>, NotAsked> {
        let asked = params(&text(given), revision(from), revision(to), BOTH, "e-1")?;
        Ok(asked.map(|bytes| parse(&bytes)))
    }

    fn form(fields: Value) -> Value {
        json!({"message": "m", "requestedSchema": {"type": "object", "properties": fields, "required": ["a"]}})
    }

    #[test]
    fn forms_are_told_in_the_words_of_2025_06_18() {
        let given = merged(
            form(json!({
                "a": {"type": "string", "title": "A", "oneOf": [{"const": "x", "title": "X"}, {"const": "y"}], "default": "x"},
                "b": {"type": "boolean", "default": true},
                "c": {"type": "integer", "minimum": 1.0, "default": 2},
                "d": {"type": "string", "enum": ["p"]},
            })),
            json!({"mode": "form", "vendor": 1}),
        );
        let expected = merged(
            form(json!({
                "a": {"type": "string", "title": "A", "enum": ["x", "y"], "enumNames": ["X", "y"]},
                "b": {"type": "boolean", "default": true},
                "c": {"type": "integer", "minimum": 1.0},
                "d": {"type": "string", "enum": ["p"]},
            })),
            json!({"vendor": 1}),
        );
        for from in ["2025-11-25", "2026-07-28"] {
            assert_eq!(asked(&given, from, "2025-06-18"), Ok(Some(expected.clone())));
            assert_eq!(asked(&expected, from, "2025-06-18"), Ok(None));
        }
    }

    #[test]
    fn what_2025_06_18_cannot_show_is_refused() {
        for field in [
            json!({"type": "array", "items": {"type": "string", "enum": ["x"]}}),
            json!({"type": "string", "oneOf": [{"title": "X"}]}),
        ] {
            let refused = asked(&form(json!({"a": field})), "2026-07-28", "2025-06-18");
            assert!(
                matches!(&refused, Err(NotAsked::Unacceptable(why)) if why.contains("field `a`")),
                "{refused:?}"
            );
        }
        let several = form(json!({"a": {"type": "array", "items": {"anyOf": []}}}));
        assert_eq!(asked(&several, "2026-07-28", "2025-11-25"), Ok(None));
    }

    #[test]
    fn old_names_of_choices_become_titles() {
        let given = form(
            json!({"a": {"type": "string", "enum": ["x", "y"], "enumNames": ["X", "Y"]}, "b": {"type": "string"}}),
        );
        let expected = form(
            json!({"a": {"type": "string", "oneOf": [{"const": "x", "title": "X"}, {"const": "y", "title": "Y"}]}, "b": {"type": "string"}}),
        );
        for to in ["2025-11-25", "2026-07-28"] {
            assert_eq!(asked(&given, "2025-06-18", to), Ok(Some(expected.clone())));
        }
        assert_eq!(asked(&given, "2025-11-25", "2026-07-28"), Ok(None));
        let uneven = form(json!({"a": {"enum": ["x"], "enumNames": []}}));
        assert_eq!(asked(&uneven, "2025-06-18", "2026-07-28"), Ok(None));
    }

    #[test]
    fn urls_keep_their_id_where_there_is_one() {
        let url = json!({"mode": "url", "message": "m", "url": "https://a.example/"});
        let with_id = merged(url.clone(), json!({"elicitationId": "theirs"}));
        assert_eq!(asked(&with_id, "2025-11-25", "2026-07-28"), Ok(Some(url.clone())));
        assert_eq!(asked(&with_id, "2025-11-25", "2025-11-25"), Ok(None));
        let given = merged(url.clone(), json!({"elicitationId": "e-1"}));
        assert_eq!(asked(&url, "2026-07-28", "2025-11-25"), Ok(Some(given.clone())));
        assert_eq!(asked(&given, "2026-07-28", "2025-11-25"), Ok(None));
        assert!(asked(&url, "2026-07-28", "2025-06-18").is_err());
        for bad in ["javascript:alert(1)", "file:///etc/passwd", ""] {
            let refused = asked(&merged(url.clone(), json!({"url": bad})), "2025-11-25", "2025-11-25");
            assert!(matches!(refused, Err(NotAsked::Unacceptable(_))));
        }
    }

    #[test]
    fn clients_without_elicitation_are_not_asked() {
        for to in ["2024-11-05", "2025-03-26"] {
            assert!(matches!(asked(&form(json!({})), "2025-11-25", to), Err(NotAsked::Unsupported(_))));
        }
    }

    #[test]
    fn answers_pass() {
        assert_eq!(answer(br#"{"action":"accept","content":{"a":1.0}}"#), Ok(None));
        assert_eq!(answer(CANCEL), Ok(None));
        assert!(answer(br#"{"action":"maybe"}"#).is_err());
        assert!(answer(b"null").is_err());
        let stripped = answer(br#"{"action":"decline","_meta":{"io.modelcontextprotocol/x":1}}"#);
        assert_eq!(stripped, Ok(Some(Bytes::from_static(br#"{"action":"decline"}"#))));
    }

    proptest! {
        #[test]
        fn the_rest_is_untouched_and_twice_is_once(others in any_object(), field in any_object()) {
            let field = merged(field, json!({"type": "string"}));
            let schema = |field: Value| json!({"requestedSchema": {"properties": {"f": field}}});
            let named = merged(field.clone(), json!({"enum": ["x"], "enumNames": ["X"]}));
            let titled = merged(field, json!({"oneOf": [{"const": "x", "title": "X"}]}));
            let (old, new) = (merged(others.clone(), schema(named)), merged(others, schema(titled)));
            prop_assert_eq!(asked(&old, "2025-06-18", "2025-11-25"), Ok(Some(new.clone())));
            prop_assert_eq!(asked(&new, "2025-11-25", "2025-06-18"), Ok(Some(old.clone())));
            prop_assert_eq!(asked(&old, "2025-11-25", "2025-06-18"), Ok(None));
            prop_assert_eq!(asked(&new, "2025-06-18", "2025-11-25"), Ok(None));
        }
    }
}
