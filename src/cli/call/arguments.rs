//! `key=value` on the command line becomes the arguments of a call, guided by the tool's `inputSchema`.

use crate::wire::json::{self, Kind};

/// The arguments as a JSON object.
///
/// `key=value` is a text unless the schema says that the property is something else; then the value is read as JSON.
/// `key:=json` is JSON whatever the schema says, `key=@file` takes the value from a file. Numbers stay as written.
///
/// # Errors
/// A sentence about the first pair that cannot be used.
pub(super) fn from_pairs(pairs: &[String], schema: &[u8]) -> Result<Vec<u8>, String> {
    let mut object = b"{".to_vec();
    let mut seen: Vec<&str> = Vec::new();
    for pair in pairs {
        let Some((left, right)) = pair.split_once('=') else {
            return Err(format!("`{pair}` is not `key=value`"));
        };
        let (key, is_json) = left.strip_suffix(':').map_or((left, false), |key| (key, true));
        if seen.contains(&key) {
            return Err(format!("`{key}` is given twice"));
        }
        seen.push(key);
        if object.len() > 1 {
            object.push(b',');
        }
        json::push_string(&mut object, key);
        object.push(b':');
        object.extend_from_slice(&value(key, right, is_json, schema)?);
    }
    object.push(b'}');
    Ok(object)
}

/// The value of `--args`: a JSON object, `@file`, or `-` for stdin.
///
/// # Errors
/// A sentence about why it cannot be used.
pub(super) fn from_json(text: &str) -> Result<Vec<u8>, String> {
    let text = match text.strip_prefix('@') {
        Some(path) => read(path)?,
        None if text == "-" => std::io::read_to_string(std::io::stdin())
            .map_err(|error| format!("stdin cannot be read: {error}"))?,
        None => text.to_owned(),
    };
    let value = raw(&text).map_err(|error| format!("`--args` is not JSON: {error}"))?;
    match json::kind(&value) {
        Kind::Object => Ok(value),
        _ => Err("`--args` must be a JSON object".to_owned()),
    }
}

fn value(key: &str, text: &str, is_json: bool, schema: &[u8]) -> Result<Vec<u8>, String> {
    if is_json {
        return raw(text).map_err(|error| format!("the value of `{key}` is not JSON: {error}"));
    }
    let from_file;
    let text = match text.strip_prefix('@') {
        Some(path) => {
            from_file = read(path)?;
            &from_file
        }
        None => text,
    };
    let types = types(key, schema);
    if types.is_empty() || types.iter().any(|kind| kind == "string") {
        return Ok(json::quote(text));
    }
    let wanted = types.join(" or ");
    let value =
        raw(text).map_err(|_| format!("`{key}` must be of type {wanted}, and `{text}` is not JSON"))?;
    if !types.iter().any(|kind| fits(kind, &value)) {
        return Err(format!("`{key}` must be of type {wanted}, not `{text}`"));
    }
    Ok(value)
}

/// What types the schema allows for a property; empty if it does not say.
fn types(key: &str, schema: &[u8]) -> Vec<String> {
    let Some(span) = json::get_path(schema, &["properties", key, "type"]) else { return Vec::new() };
    let kind = span.of(schema);
    let text = |raw: &[u8]| json::string(raw).map(|text| text.into_owned());
    match json::kind(kind) {
        Kind::Array => json::elements(kind).filter_map(|element| text(element.of(kind))).collect(),
        _ => text(kind).into_iter().collect(),
    }
}

fn fits(wanted: &str, value: &[u8]) -> bool {
    match (wanted, json::kind(value)) {
        ("number" | "integer", Kind::Number)
        | ("boolean", Kind::Bool)
        | ("array", Kind::Array)
        | ("object", Kind::Object)
        | ("null", Kind::Null) => true,
        // A type that we do not know may be anything.
        ("number" | "integer" | "boolean" | "array" | "object" | "null", _) => false,
        _ => true,
    }
}

/// One JSON value without the space around it; line breaks inside become spaces, because a message is one line.
fn raw(text: &str) -> Result<Vec<u8>, json::JsonError> {
    let span = json::check(text.as_bytes())?;
    let value = span.of(text.as_bytes());
    Ok(value.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }).collect())
}

fn read(path: &str) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("the file `{path}` cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &[u8] = br#"{"properties":{"n":{"type":"number"},"b":{"type":"boolean"},"l":{"type":"array"},
        "s":{"type":"string"},"either":{"type":["integer","string"]},"maybe":{"type":["integer","null"]},"x":{}}}"#;

    fn check(pairs: &[&str], expected: Result<&str, &str>) {
        let pairs: Vec<String> = pairs.iter().map(|pair| (*pair).to_owned()).collect();
        let found = from_pairs(&pairs, SCHEMA).map(|object| String::from_utf8(object).unwrap());
        assert_eq!(found.as_deref().map_err(String::as_str), expected, "{pairs:?}");
    }

    #[test]
    fn the_schema_decides_what_a_value_is() {
        check(&[], Ok("{}"));
        check(&["s=1", "x=2", "new=3"], Ok(r#"{"s":"1","x":"2","new":"3"}"#));
        check(&["n=1.10", "b=true", "l=[1, 2]"], Ok(r#"{"n":1.10,"b":true,"l":[1, 2]}"#));
        check(&["either=1", "maybe=null"], Ok(r#"{"either":"1","maybe":null}"#));
        check(&["s=a=b", "x="], Ok(r#"{"s":"a=b","x":""}"#));
    }

    #[test]
    fn json_can_be_forced() {
        check(&["s:={\"a\":\n1e400}"], Ok("{\"s\":{\"a\": 1e400}}"));
        check(&["s:=x"], Err("the value of `s` is not JSON: unexpected byte at offset 0"));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        check(&["n=ten"], Err("`n` must be of type number, and `ten` is not JSON"));
        check(&["n=true"], Err("`n` must be of type number, not `true`"));
        check(&["maybe=1.5x"], Err("`maybe` must be of type integer or null, and `1.5x` is not JSON"));
        check(&["n"], Err("`n` is not `key=value`"));
        check(&["s=1", "s=2"], Err("`s` is given twice"));
    }

    #[test]
    fn values_come_from_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        std::fs::write(&path, "two\nlines").unwrap();
        let pair = format!("s=@{}", path.display());
        check(&[&pair], Ok(r#"{"s":"two\nlines"}"#));
        assert!(
            from_pairs(&["s=@/does/not/exist".to_owned()], SCHEMA).unwrap_err().contains("cannot be read")
        );
    }

    #[test]
    fn whole_arguments() {
        assert_eq!(from_json(" {\"a\": 1.0} ").unwrap(), br#"{"a": 1.0}"#);
        assert!(from_json("[1]").unwrap_err().contains("object"));
        assert!(from_json("{").unwrap_err().contains("not JSON"));
    }
}
