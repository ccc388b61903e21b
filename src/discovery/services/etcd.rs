//! etcd: every key below a prefix is a server; its value is an address, or an entry of the config as JSON.
//!
//! Source: etcd v3, "gRPC gateway": `POST /v3/kv/range` with keys and values in Base64. The prefix is the path of the address,
//! `/mcp/servers/` without one; the rest of a key is the server's name.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Url;
use serde_json::{Map, Value, json};

use super::{Answer, Inquiry, MOST, at_usual_port, kind_of};
use crate::discovery::entry::literal;
use crate::discovery::finder::Draft;
use crate::discovery::finding::{Source, one_line};
use crate::discovery::probe::Target;
use crate::failure::{Code, Failure};

const PREFIX: &str = "/mcp/servers/";
/// What of a stranger's entry is taken over: how the server is reached, and what it is.
const KEYS: [&str; 10] =
    ["url", "endpoints", "type", "headers", "command", "args", "env", "cwd", "description", "categories"];

pub(super) async fn ask(url: &Url, inquiry: &Inquiry<'_>) -> Answer {
    let prefix = match url.path() {
        "" | "/" => PREFIX.to_owned(),
        path => percent_encoding::percent_decode_str(path).decode_utf8_lossy().into_owned(),
    };
    let mut gateway = url.clone();
    gateway.set_path("/v3/kv/range");
    gateway.set_query(None);
    at_usual_port(&mut gateway, 2379);
    let wish = json!({
        "key": STANDARD.encode(&prefix),
        "range_end": STANDARD.encode(behind(prefix.as_bytes())),
        "limit": MOST + 1,
    });
    let answer = inquiry.fetcher.post(&gateway, &wish, inquiry.patience()).await?;
    if answer.get("header").is_none() {
        return Err(Failure::new(Code::NetProtocol, "it does not answer as etcd does"));
    }
    let pairs = answer.get("kvs").and_then(Value::as_array).into_iter().flatten();
    Ok(pairs.filter_map(|pair| server(pair, &prefix, inquiry.source)).collect())
}

/// The first key that does not begin with the prefix.
fn behind(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < 0xff {
            end.push(last + 1);
            return end;
        }
    }
    vec![0]
}

fn server(pair: &Value, prefix: &str, source: &Source) -> Option<Draft> {
    let decode = |key: &str| String::from_utf8(STANDARD.decode(pair.get(key)?.as_str()?).ok()?).ok();
    let (key, value) = (decode("key")?, decode("value")?);
    let mut draft = draft(value.trim(), source)?;
    draft.called = one_line(key.strip_prefix(prefix)?);
    Some(draft)
}

/// The server that a value describes.
fn draft(value: &str, source: &Source) -> Option<Draft> {
    let said = match serde_json::from_str::<Value>(value) {
        Ok(Value::Object(said)) => said,
        Ok(Value::String(url)) => Map::from_iter([("url".to_owned(), url.into())]),
        _ => Map::from_iter([("url".to_owned(), value.into())]),
    };
    let mut entry = Map::new();
    for (key, value) in said {
        let key = match key.as_str() {
            "endpoint" => "url",
            "transport" => "type",
            other => other,
        };
        if KEYS.contains(&key) {
            entry.insert(key.to_owned(), escaped(value));
        }
    }
    let text = |key: &str| entry.get(key).and_then(Value::as_str).map(str::to_owned);
    let (url, command) = (text("url"), entry.contains_key("command"));
    let target = match &url {
        Some(url) if Url::parse(url).is_ok_and(|url| url.has_host()) && !entry.contains_key("headers") => {
            Some(Target::new(url.clone(), kind_of(text("type").as_deref())))
        }
        Some(url) if Url::parse(url).is_ok_and(|url| url.has_host()) => None,
        _ if command => None,
        _ => return None,
    };
    let description = text("description").as_deref().and_then(one_line);
    let mut draft = Draft::new(entry.into(), source.clone());
    draft.description = description;
    draft.target = target.filter(|_| !command);
    Some(draft)
}

/// No reference of a stranger's reaches our variables and files.
fn escaped(value: Value) -> Value {
    match value {
        Value::String(text) => literal(&text).into(),
        Value::Array(elements) => elements.into_iter().map(escaped).collect(),
        Value::Object(members) => {
            members.into_iter().map(|(key, value)| (key, escaped(value))).collect::<Map<_, _>>().into()
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_addresses_or_entries() {
        let entry =
            |value: &str| draft(value, &Source::Network).map(|draft| (draft.entry, draft.target.is_some()));
        let url = json!({ "url": "http://10.0.0.1:8001/mcp" });
        assert_eq!(entry("http://10.0.0.1:8001/mcp"), Some((url.clone(), true)));
        assert_eq!(entry("\"http://10.0.0.1:8001/mcp\""), Some((url, true)));
        assert_eq!(
            entry(
                r#"{"endpoint":"http://a:1/sse","transport":"sse","description":"D","tools":{},"start":"eager"}"#
            ),
            Some((json!({ "url": "http://a:1/sse", "type": "sse", "description": "D" }), true))
        );
        assert_eq!(
            entry(r#"{"command":"npx","args":["${file:/etc/passwd}"]}"#),
            Some((json!({ "command": "npx", "args": ["$${file:/etc/passwd}"] }), false))
        );
        for wrong in ["", "nonsense", "{}", "[1]", "5", r#"{"url":5}"#] {
            assert_eq!(entry(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_range_ends_behind_its_prefix() {
        assert_eq!(behind(b"/mcp/"), b"/mcp0");
        assert_eq!(behind(&[0x61, 0xff]), [0x62]);
        assert_eq!(behind(&[0xff, 0xff]), [0]);
    }
}
