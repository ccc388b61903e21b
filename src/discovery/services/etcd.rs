//! etcd: every key below a prefix is a server; its value is an address, or an entry of the config as JSON.
//!
//! Source: etcd v3, "gRPC gateway": `POST /v3/kv/range` with keys and values in Base64. The prefix is the path of the address,
//! `/mcp/servers/` without one; the rest of a key is the server's name. The user and password of the address are shown to
//! `POST /v3/auth/authenticate` alone, for a token that the request carries.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::{StatusCode, Url};
use serde_json::{Map, Value, json};

use super::{Answer, Inquiry, MOST, at_usual_port, kind_of};
use crate::config::Secret;
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
    let token = log_in(url, inquiry).await?;
    let wish = json!({
        "key": STANDARD.encode(&prefix),
        "range_end": STANDARD.encode(behind(prefix.as_bytes())),
        "limit": MOST + 1,
    });
    let place = gateway(url, "/v3/kv/range");
    let answer = inquiry.fetcher.post(&place, &wish, token.as_ref(), inquiry.patience()).await?;
    let answer = answer.map_err(|status| refused(status, token.is_some(), &prefix))?;
    if answer.get("header").is_none() {
        return Err(Failure::new(Code::NetProtocol, "it does not answer as etcd does"));
    }
    let pairs = answer.get("kvs").and_then(Value::as_array).into_iter().flatten();
    Ok(pairs.filter_map(|pair| server(pair, &prefix, inquiry.source)).collect())
}

/// An address of the gateway, without what the registry's own address has besides its host.
fn gateway(url: &Url, path: &str) -> Url {
    let mut gateway = url.clone();
    gateway.set_path(path);
    gateway.set_query(None);
    let _ = gateway.set_username("");
    let _ = gateway.set_password(None);
    at_usual_port(&mut gateway, 2379);
    gateway
}

/// A token for the user of the address; `None` if it names none, or if etcd asks nobody who he is.
async fn log_in(url: &Url, inquiry: &Inquiry<'_>) -> Result<Option<Secret>, Failure> {
    let Some(password) = url.password() else { return Ok(None) };
    let plain = |text| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
    let user = plain(url.username());
    let wish = json!({ "name": user, "password": plain(password) });
    let place = gateway(url, "/v3/auth/authenticate");
    match inquiry.fetcher.post(&place, &wish, None, inquiry.patience()).await? {
        Ok(answer) => match answer.get("token").and_then(Value::as_str) {
            Some(token) => Ok(Some(Secret::new(token))),
            None => Err(Failure::new(Code::NetProtocol, "it does not answer as etcd does")),
        },
        Err(StatusCode::PRECONDITION_FAILED) => Ok(None),
        Err(status) => {
            let cause = format!("it does not let in the user `{}` ({status})", name(&user));
            Err(Failure::new(Code::AuthRefused, cause)
                .remedy("Look at the user and the password of its address"))
        }
    }
}

/// Why etcd does not tell what it has.
fn refused(status: StatusCode, has_token: bool, prefix: &str) -> Failure {
    let prefix = name(prefix);
    match status {
        StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED if !has_token => {
            Failure::new(Code::AuthRefused, format!("it wants to know who asks ({status})"))
                .remedy("Write `etcd://USER:${PASSWORD}@host:2379`; characters such as `@` and `/` in a password as `%40` and `%2F`")
        }
        StatusCode::FORBIDDEN => {
            Failure::new(Code::AuthRefused, format!("its user may not read `{prefix}`"))
                .remedy("Grant a role of the user the permission to read this prefix")
        }
        _ => Failure::new(Code::NetStatus, format!("it answered {status} for `{prefix}`")),
    }
}

/// A name for a sentence.
fn name(text: &str) -> String {
    one_line(text).unwrap_or_default()
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
