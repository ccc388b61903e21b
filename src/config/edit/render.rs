//! Values as text: on one line in any syntax, in lines for JSON and YAML.

use serde_json::{Map, Value};

use super::text::quoted;
use crate::config::Syntax;

/// What is longer than this is spread over lines, in characters.
const WIDTH: usize = 90;

/// A value on one line, which may stand between brackets: JSON, a YAML flow collection, a TOML value.
pub(super) fn one_line(value: &Value, syntax: Syntax) -> String {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) if syntax == Syntax::Yaml => word(text, true),
        Value::String(text) => quoted(text),
        Value::Array(elements) => {
            let elements: Vec<String> = elements.iter().map(|element| one_line(element, syntax)).collect();
            format!("[{}]", elements.join(", "))
        }
        Value::Object(members) if members.is_empty() => "{}".to_owned(),
        Value::Object(members) => {
            let members: Vec<String> =
                members.iter().map(|(key, value)| member(key, &one_line(value, syntax), syntax)).collect();
            format!("{{ {} }}", members.join(", "))
        }
    }
}

/// A key and its value.
pub(super) fn member(key: &str, value: &str, syntax: Syntax) -> String {
    let separator = if syntax == Syntax::Toml { " = " } else { ": " };
    format!("{}{separator}{value}", self::key(key, syntax))
}

/// A key as it may stand everywhere.
pub(super) fn key(key: &str, syntax: Syntax) -> String {
    let bare = |character: char| character.is_ascii_alphanumeric() || matches!(character, '_' | '-');
    match syntax {
        Syntax::Json => quoted(key),
        Syntax::Yaml => word(key, true),
        Syntax::Toml if !key.is_empty() && key.chars().all(bare) => key.to_owned(),
        Syntax::Toml => quoted(key),
    }
}

/// A JSON value in lines. The first line is not indented; `indent` is that of the line it begins in.
pub(super) fn json_lines(value: &Value, indent: &str, unit: &str, newline: &str) -> String {
    let inner = format!("{indent}{unit}");
    let (brackets, items): (_, Vec<String>) = match value {
        Value::Object(members) if !members.is_empty() => {
            let item = |(key, value): (&String, &Value)| {
                member(key, &json_lines(value, &inner, unit, newline), Syntax::Json)
            };
            (('{', '}'), members.iter().map(item).collect())
        }
        Value::Array(elements) if !is_short_list(elements, Syntax::Json) => {
            (('[', ']'), elements.iter().map(|element| json_lines(element, &inner, unit, newline)).collect())
        }
        _ => return one_line(value, Syntax::Json),
    };
    let items = items.join(&format!(",{newline}{inner}"));
    format!("{}{newline}{inner}{items}{newline}{indent}{}", brackets.0, brackets.1)
}

/// The members of a YAML mapping, one or more lines each, indented by `column` spaces.
pub(super) fn yaml_members(
    members: &Map<String, Value>,
    column: usize,
    unit: usize,
    newline: &str,
) -> String {
    let lines: Vec<String> = members
        .iter()
        .map(|(key, value)| {
            let key = word(key, false);
            format!("{:column$}{key}:{}", "", yaml_value(value, column, unit, newline))
        })
        .collect();
    lines.join(newline)
}

/// What follows a key's colon: a space and the value, or the lines of a mapping or list below a key in this column.
pub(super) fn yaml_value(value: &Value, column: usize, unit: usize, newline: &str) -> String {
    let inner = column + unit;
    match value {
        Value::Object(members) if !members.is_empty() => {
            format!("{newline}{}", yaml_members(members, inner, unit, newline))
        }
        Value::Array(elements) if !is_short_list(elements, Syntax::Yaml) => {
            let items: Vec<String> =
                elements.iter().map(|element| yaml_element(element, inner, unit, newline)).collect();
            format!("{newline}{}", items.join(newline))
        }
        Value::String(text) => format!(" {}", word(text, false)),
        _ => format!(" {}", one_line(value, Syntax::Yaml)),
    }
}

/// An element of a YAML list with its dash in this column.
pub(super) fn yaml_element(value: &Value, column: usize, unit: usize, newline: &str) -> String {
    match value {
        Value::Object(members) if !members.is_empty() => {
            let lines = yaml_members(members, column + 2, unit, newline);
            format!("{:column$}- {}", "", lines.trim_start())
        }
        _ => format!("{:column$}- {}", "", one_line(value, Syntax::Yaml)),
    }
}

/// Whether a list reads best on one line.
fn is_short_list(elements: &[Value], syntax: Syntax) -> bool {
    let is_plain = |element: &Value| !matches!(element, Value::Array(_) | Value::Object(_));
    elements.iter().all(is_plain)
        && one_line(&Value::Array(elements.to_vec()), syntax).chars().count() <= WIDTH
}

/// A YAML string: bare where nobody can take it for something else, YAML 1.1 included.
fn word(text: &str, in_flow: bool) -> String {
    let safe = |character: char| {
        character.is_ascii_alphanumeric()
            || matches!(character, '_' | '-' | '.' | '/' | '@' | '+' | '=' | ':' | '%')
    };
    let first =
        |character: char| character.is_ascii_alphabetic() || matches!(character, '_' | '/' | '.' | '-');
    let rest = text.trim_start_matches(['-', '.']);
    let looks_like_a_number = rest.starts_with(|character: char| character.is_ascii_digit());
    let is_word = text.chars().all(|character| safe(character) || (!in_flow && character == ' '))
        && text.starts_with(first)
        && !rest.is_empty()
        && !rest.starts_with(' ')
        && !looks_like_a_number
        && !text.ends_with([':', ' '])
        && !text.contains(": ")
        && !(in_flow && text.contains(':') && !text.contains("://"));
    let means_something = matches!(
        text.to_ascii_lowercase().as_str(),
        "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n" | ".inf" | "-.inf" | ".nan"
    );
    if is_word && !means_something { text.to_owned() } else { quoted(text) }
}
