//! What clients see of a tool's arguments where the owner decides about some of them.

use bytes::Bytes;

use crate::catalog::edit::{ObjectEdit, entries};
use crate::wire::json;

/// What the owner wants of one argument of a tool. It concerns what is shown; what is sent is somebody else's matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArgumentWish {
    /// It is not shown: its value is certain.
    Hidden,
    /// It is shown under this name, or with a value that counts if it is not there.
    Shown {
        /// The new name.
        name: Option<String>,
        /// The value, as JSON text.
        default: Option<Bytes>,
    },
}

/// The schema of arguments as clients see it; `None` if nothing changes.
pub(super) fn wished(schema: &[u8], wishes: &[(String, ArgumentWish)]) -> Option<Bytes> {
    let mut edit = ObjectEdit::open(schema);
    if let Some(properties) = edit.get("properties").map(<[u8]>::to_vec) {
        let mut changed = ObjectEdit::open(&properties);
        for (name, wish) in wishes {
            let Some(property) = changed.get(name).map(Bytes::copy_from_slice) else { continue };
            match wish {
                ArgumentWish::Hidden => changed.remove(name),
                ArgumentWish::Shown { name: new, default } => {
                    let property =
                        default.as_ref().and_then(|value| with_default(&property, value)).unwrap_or(property);
                    if new.is_some() {
                        changed.remove(name);
                    }
                    changed.set(new.as_deref().unwrap_or(name), property);
                }
            }
        }
        if let Some(changed) = changed.finish() {
            edit.set("properties", changed);
        }
    }
    if let Some(required) = edit.get("required").map(<[u8]>::to_vec) {
        let kept: Vec<Vec<u8>> =
            json::elements(&required).filter_map(|span| still_required(span.of(&required), wishes)).collect();
        let kept = [b"[", &kept.join(&b","[..])[..], b"]"].concat();
        edit.set("required", kept);
    }
    edit.finish()
}

/// The name of a required argument, if the client still has to give it.
fn still_required(quoted: &[u8], wishes: &[(String, ArgumentWish)]) -> Option<Vec<u8>> {
    let name = json::string(quoted)?;
    match wishes.iter().find(|(wished, _)| *wished == name) {
        None => Some(quoted.to_vec()),
        Some((_, ArgumentWish::Hidden | ArgumentWish::Shown { default: Some(_), .. })) => None,
        Some((_, ArgumentWish::Shown { name: Some(new), .. })) => Some(json::quote(new)),
        Some((_, ArgumentWish::Shown { name: None, .. })) => Some(quoted.to_vec()),
    }
}

fn with_default(property: &[u8], value: &Bytes) -> Option<Bytes> {
    if entries(property).next().is_none() && property.first() != Some(&b'{') {
        return None;
    }
    let mut edit = ObjectEdit::open(property);
    edit.set("default", value.clone());
    edit.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(schema: &str, wishes: &[(&str, ArgumentWish)], expected: Option<&str>) {
        let wishes: Vec<(String, ArgumentWish)> =
            wishes.iter().map(|(name, wish)| ((*name).to_owned(), wish.clone())).collect();
        let changed = wished(schema.as_bytes(), &wishes);
        assert_eq!(changed.as_deref().map(String::from_utf8_lossy).as_deref(), expected, "{schema}");
    }

    #[test]
    fn what_is_certain_is_not_shown() {
        let schema = r#"{"type":"object","properties":{"a":{"type":"string"},"b":{"x":1.10},"c":true},"required":["a","b"]}"#;
        check(
            schema,
            &[("a", ArgumentWish::Hidden)],
            Some(r#"{"type":"object","properties":{"b":{"x":1.10},"c":true},"required":["b"]}"#),
        );
        let shown = |name: Option<&str>, default: Option<&'static str>| ArgumentWish::Shown {
            name: name.map(str::to_owned),
            default: default.map(|text| Bytes::from_static(text.as_bytes())),
        };
        check(
            schema,
            &[("a", shown(Some("path"), None)), ("b", shown(None, Some("5"))), ("c", shown(None, Some("1")))],
            Some(
                r#"{"type":"object","properties":{"b":{"x":1.10,"default":5},"c":true,"path":{"type":"string"}},"required":["path"]}"#,
            ),
        );
        check(r#"{"type":"object"}"#, &[("a", ArgumentWish::Hidden)], None);
    }
}
