//! An entry of the config as JSON, with what may be secret hidden: for entries that nobody has resolved yet.

use serde_json::{Map, Value};

use super::interpolate::describe;
use super::secret::{MASK, hide_suspicious, names_a_secret};

/// The entry with `***` in the place of what may be secret: the values of `env` and `headers`, whatever stands under a key that
/// speaks of a secret, arguments behind such an option, the user, password and query of an address, and long runs of letters and
/// digits. References (`${VAR}`) stay.
pub fn hide_secrets(entry: &Value) -> Value {
    hide(entry, "", 0)
}

/// An address or a text without what may be secret in it.
pub fn hide_in_text(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return hide_suspicious(&describe(text)) };
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    format!("{scheme}://{host}{}", hide_suspicious(&describe(path)))
}

/// Entries are a few levels deep; what is deeper is a stranger's nonsense.
const DEEPEST: usize = 16;

fn hide(value: &Value, key: &str, depth: usize) -> Value {
    if depth > DEEPEST {
        return MASK.into();
    }
    let is_secret = names_a_secret(key);
    match value {
        Value::Object(members) if matches!(key, "env" | "headers") => {
            members.iter().map(|(name, value)| (name.clone(), masked(value))).collect::<Map<_, _>>().into()
        }
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), hide(value, name, depth + 1)))
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(elements) if matches!(key, "args" | "command") => arguments(elements),
        Value::Array(elements) => elements.iter().map(|element| hide(element, key, depth + 1)).collect(),
        // Such a key may name a secret instead of holding it.
        Value::String(_) if is_secret && !key.ends_with("_env_var") && key != "auth" => masked(value),
        Value::String(text) => hide_in_text(text).into(),
        other => other.clone(),
    }
}

/// A value that is a secret unless it only refers to one.
fn masked(value: &Value) -> Value {
    match value {
        Value::String(text) if text.contains("${") && !text.contains("$${") => {
            hide_suspicious(&describe(text)).into()
        }
        Value::String(text) if text.is_empty() => value.clone(),
        _ => MASK.into(),
    }
}

fn arguments(elements: &[Value]) -> Value {
    let mut follows_secret = false;
    let mut shown = Vec::with_capacity(elements.len());
    for element in elements {
        let Some(text) = element.as_str() else {
            shown.push(element.clone());
            continue;
        };
        let is_option = text.starts_with('-');
        shown.push(match text.split_once('=') {
            _ if follows_secret && !is_option => masked(element),
            Some((name, value)) if names_a_secret(name) => {
                let value = masked(&Value::from(value));
                format!("{name}={}", value.as_str().unwrap_or(MASK)).into()
            }
            _ => hide_in_text(text).into(),
        });
        follows_secret = is_option && !text.contains('=') && names_a_secret(text);
    }
    shown.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn secrets_are_hidden_and_the_rest_can_be_read() {
        let entry = json!({
            "command": "npx",
            "args": ["-y", "pkg", "--api-key", "hunter2", "--token=hunter2", "--url=https://u:hunter2@h/x?k=hunter2", "TOKEN=${T}"],
            "env": { "A": "hunter2", "B": "${B}", "C": "${C:-hunter2}" },
            "headers": { "Authorization": "Bearer ${T}" },
            "url": "https://u:hunter2@h.example:1/mcp?key=hunter2",
            "auth_token": "hunter2", "bearer_token_env_var": "MY_TOKEN", "timeout": 5,
        });
        let hidden = hide_secrets(&entry);
        assert!(!hidden.to_string().contains("hunter2"), "{hidden}");
        assert_eq!(hidden["url"], "https://h.example:1/mcp");
        assert_eq!(hidden["env"], json!({ "A": "***", "B": "${B}", "C": "${C:-***}" }));
        assert_eq!(hidden["headers"]["Authorization"], "Bearer ${T}");
        assert_eq!((&hidden["args"][1], &hidden["args"][6]), (&json!("pkg"), &json!("TOKEN=${T}")));
        assert_eq!(hidden["bearer_token_env_var"], "MY_TOKEN");
    }
}
