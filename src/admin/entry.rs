//! What a request wants to register, as one value of the config's `servers:`.
//!
//! In come the mission's fields (`endpoint`, `transport`, `auth_token`, …), or `config` with an entry as the config file has it. What
//! comes over a network is not the owner's word: unless the config allows it, an entry may not name a command, nor read
//! anything of this machine.

use serde_json::{Map, Value, json};

use super::code::ApiCode;
use super::fields::Fields;
use super::refusal::Refusal;
use crate::config::seconds_as_duration;
use crate::manager::Keep;

/// The mission's words for how a server is reached.
const TRANSPORTS: [&str; 4] = ["http", "websocket", "stdio", "sse"];
const LEVELS: [&str; 3] = ["low", "medium", "high"];
/// What only stands beside `endpoint`.
const MISSIONS: [&str; 8] = [
    "transport",
    "auth_required",
    "auth_token",
    "timeout",
    "retry_attempts",
    "security_level",
    "categories",
    "endpoint",
];
/// The longest timeout: a day.
const LONGEST: f64 = 86_400.0;
/// The longest name.
const MAX_NAME: usize = 100;

/// A server that somebody wants to have.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Wanted {
    pub(super) name: String,
    pub(super) entry: Value,
    pub(super) keep: Keep,
}

/// Reads a body. `id` is the name in the path, for a server that is there already. `trusts` says that commands and the like may be
/// registered.
pub(super) fn read(body: &[u8], id: Option<&str>, trusts: bool) -> Result<Wanted, Refusal> {
    let mut fields = Fields::read(body, ApiCode::InvalidConfig)?;
    let name = name(&mut fields, id);
    let keep = keep(fields.flag("persist"));
    let config = fields.object("config");
    let mut entry = match config {
        Some(config) => {
            for field in MISSIONS {
                fields.refuse(field, "cannot stand beside `config`, which says everything");
            }
            config
        }
        None => of_mission(&mut fields),
    };
    if let Some(description) = fields.text("description") {
        entry.insert("description".into(), description.into());
    }
    if let Some(metadata) = fields.object("metadata") {
        entry.insert("metadata".into(), metadata.into());
    }
    fields.finish()?;
    let entry = Value::Object(entry);
    if !trusts {
        foreign(&entry)?;
    }
    Ok(Wanted { name, entry, keep })
}

/// Whether the change is to be kept.
pub(super) fn keep(persist: Option<bool>) -> Keep {
    if persist == Some(true) { Keep::Config } else { Keep::Running }
}

fn name(fields: &mut Fields, id: Option<&str>) -> String {
    let name = match id {
        None => fields.needed("name"),
        Some(id) => {
            let said = fields.text("name");
            if said.is_some_and(|said| said != id) {
                fields.wrong("name", format!("must be `{id}`, as in the path: servers are not renamed"));
            }
            id.to_owned()
        }
    };
    if name.chars().count() > MAX_NAME || name.chars().any(char::is_control) {
        fields.wrong(
            "name",
            format!("must have at most {MAX_NAME} characters, and none that controls anything"),
        );
    }
    name
}

/// The mission's fields, with its defaults.
fn of_mission(fields: &mut Fields) -> Map<String, Value> {
    let endpoint = fields.needed("endpoint");
    let transport = fields.word("transport", &TRANSPORTS).unwrap_or("http");
    let mut entry = Map::new();
    let mut set = |key: &str, value: Value| drop(entry.insert(key.to_owned(), value));
    match transport {
        "stdio" => {
            let mut words = words(&endpoint).into_iter();
            set("command", words.next().unwrap_or_default().into());
            set("args", words.collect());
        }
        // What an address turns out to speak is found out.
        "http" => set("url", endpoint.clone().into()),
        _ => {
            set("type", transport.into());
            set("url", endpoint.clone().into());
        }
    }
    let needs_token = fields.flag("auth_required").unwrap_or(false);
    match fields.text("auth_token").filter(|token| !token.is_empty()) {
        Some(_) if transport == "stdio" => {
            fields.wrong(
                "auth_token",
                "is for servers at an address; a command gets secrets by `env`, see `config`",
            );
        }
        Some(token) => set("auth_token", token.into()),
        None if needs_token => {
            fields.wrong("auth_token", "is missing, and `auth_required` says that it is needed")
        }
        None => {}
    }
    let timeout = fields.seconds("timeout", LONGEST).unwrap_or(30.0);
    set("timeouts", json!({ "call": seconds_as_duration(&timeout.to_string()) }));
    let attempts = fields.whole("retry_attempts", 0, 100).unwrap_or(3).max(1);
    set("retry", json!({ "max_attempts": attempts }));
    set("security_level", fields.word("security_level", &LEVELS).unwrap_or("medium").into());
    if let Some(categories) = fields.texts("categories") {
        set("categories", categories.into());
    }
    entry
}

/// A command line: words between spaces; quotes keep a word together. Nothing else means anything, as no shell sees it.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let (mut word, mut quote) = (None::<String>, None);
    for letter in line.chars() {
        match (quote, letter) {
            (Some(open), letter) if letter == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, letter) if letter.is_whitespace() => words.extend(word.take()),
            (_, letter) => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

/// Refuses what runs or reads on this machine.
fn foreign(entry: &Value) -> Result<(), Refusal> {
    let Value::Object(members) = entry else { return Ok(()) };
    let refused = |what: &str| {
        let message = format!(
            "{what} cannot be registered over the network; if it shall be, write `admin: {{ allow_stdio_register: true }}` into the \
             config, or add the server there (`switchboard add`)"
        );
        Err(Refusal::forbidden(message))
    };
    if is_command(members) {
        return refused("a command");
    }
    if any_text(entry, &|text| text.contains("${")) {
        return refused("a reference (`${…}`), which reads variables and files of this machine,");
    }
    let is_local = |text: &str| {
        let text = text.trim().to_ascii_lowercase();
        text.starts_with("unix:") || text.starts_with("http+unix:")
    };
    if any_text(entry, &is_local) {
        return refused("a Unix socket of this machine");
    }
    const READING: [&str; 5] = ["tls", "env_http_headers", "bearer_token_env_var", "inherit_env", "envFile"];
    match READING.into_iter().find(|key| members.contains_key(*key)) {
        Some(key) => refused(&format!("`{key}`, which reads from this machine,")),
        None => Ok(()),
    }
}

/// Whether an entry runs a program, under any name that the config knows for that: for the server itself, or for a part of it
/// such as a health check.
fn is_command(members: &Map<String, Value>) -> bool {
    let is_word = |key: &str| {
        members.get(key).and_then(Value::as_str).is_some_and(|word| matches!(word, "stdio" | "local"))
    };
    names_a_program(members)
        || ["args", "cwd", "working_dir", "workingDirectory"].iter().any(|key| members.contains_key(*key))
        || ["type", "transport", "transportType"].iter().any(|key| is_word(key))
}

/// Whether a key here or below is one of a program. Below some keys stand names that their owner chose.
fn names_a_program(members: &Map<String, Value>) -> bool {
    const NAMES: [&str; 3] = ["command", "cmd", "executable"];
    const CHOSEN: [&str; 5] = ["metadata", "_meta", "headers", "effects", "tools"];
    members.iter().any(|(key, value)| {
        NAMES.contains(&key.as_str())
            || !CHOSEN.contains(&key.as_str()) && value.as_object().is_some_and(names_a_program)
    })
}

/// Whether any text in a value, keys included, is so.
fn any_text(value: &Value, is_so: &impl Fn(&str) -> bool) -> bool {
    match value {
        Value::String(text) => is_so(text),
        Value::Array(elements) => elements.iter().any(|element| any_text(element, is_so)),
        Value::Object(members) => members.iter().any(|(key, value)| is_so(key) || any_text(value, is_so)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(body: Value) -> Value {
        read(body.to_string().as_bytes(), None, true).unwrap().entry
    }

    fn refused(body: Value, trusts: bool) -> String {
        format!("{:?}", read(body.to_string().as_bytes(), None, trusts).unwrap_err())
    }

    #[test]
    fn the_missions_fields_become_ours() {
        assert_eq!(
            entry(json!({ "name": "a", "endpoint": "http://localhost:8001" })),
            json!({
                "url": "http://localhost:8001", "timeouts": { "call": "30s" }, "retry": { "max_attempts": 3 },
                "security_level": "medium",
            })
        );
        assert_eq!(
            entry(json!({
                "name": "a", "endpoint": "ws://x/y", "transport": "websocket", "auth_required": true, "auth_token": "t",
                "timeout": 1.5, "retry_attempts": 0, "security_level": "high", "categories": ["c"], "description": "d",
                "metadata": { "owner": "me" },
            })),
            json!({
                "type": "websocket", "url": "ws://x/y", "auth_token": "t", "timeouts": { "call": "1500ms" },
                "retry": { "max_attempts": 1 }, "security_level": "high", "categories": ["c"], "description": "d",
                "metadata": { "owner": "me" },
            })
        );
        let stdio = entry(json!({ "name": "a", "endpoint": "npx -y 'a b' \"\" c\\d", "transport": "stdio" }));
        assert_eq!((&stdio["command"], &stdio["args"]), (&json!("npx"), &json!(["-y", "a b", "", "c\\d"])));
        assert_eq!(
            entry(json!({ "name": "a", "config": { "url": "http://x" } })),
            json!({ "url": "http://x" })
        );
        let body = json!({ "name": "a", "endpoint": "http://x", "persist": true }).to_string();
        assert_eq!(read(body.as_bytes(), Some("a"), false).unwrap().keep, Keep::Config);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (body, said) in [
            (json!({}), "`name` is missing"),
            (json!({ "name": "a" }), "`endpoint` is missing"),
            (json!({ "name": "a", "endpoint": 5 }), "must be a string, found a number"),
            (
                json!({ "name": "a", "endpoint": "x", "transport": "smoke" }),
                "one of http, websocket, stdio, sse",
            ),
            (json!({ "name": "a", "endpoint": "x", "timeout": 0 }), "number of seconds"),
            (json!({ "name": "a", "endpoint": "x", "timeot": 1 }), "did you mean `timeout`"),
            (json!({ "name": "a", "endpoint": "x", "auth_required": true }), "`auth_token` is missing"),
            (json!({ "name": "a", "endpoint": "x", "config": {} }), "cannot stand beside `config`"),
            (json!({ "name": "a\n", "endpoint": "x" }), "at most 100 characters"),
            (json!({ "name": "x".repeat(101), "endpoint": "x" }), "at most 100 characters"),
        ] {
            let refusal = refused(body.clone(), true);
            assert!(refusal.contains(said) && refusal.contains("status: 422"), "{body}: {refusal}");
        }
        assert!(format!("{:?}", read(b"[]", None, true).unwrap_err()).contains("must be a JSON object"));
        assert!(read(br#"{"name":"b","endpoint":"http://x"}"#, Some("a"), true).is_err());
    }

    #[test]
    fn nothing_of_this_machine_is_registered_over_the_network() {
        for config in [
            json!({ "command": "sh" }),
            json!({ "cmd": ["sh"] }),
            json!({ "executable": "sh", "url": "http://x" }),
            json!({ "type": "stdio" }),
            json!({ "url": "http://x", "health_check": { "command": ["sh", "-c", "true"] } }),
            json!({ "transportType": "local" }),
            json!({ "url": "http://x", "headers": { "A": "${env:HOME}" } }),
            json!({ "url": "http://x", "auth_token": "${file:/etc/passwd}" }),
            json!({ "url": " Unix:///run/docker.sock" }),
            json!({ "endpoints": ["http://x", "http+unix://%2Frun%2Fdocker.sock/"] }),
            json!({ "url": "http://x", "tls": { "ca": "/etc/shadow" } }),
            json!({ "url": "http://x", "bearer_token_env_var": "SECRET" }),
        ] {
            let refusal = refused(json!({ "name": "a", "config": config }), false);
            assert!(refusal.contains("status: 403") && refusal.contains("allow_stdio_register"), "{refusal}");
            assert!(
                read(json!({ "name": "a", "config": config }).to_string().as_bytes(), None, true).is_ok()
            );
        }
        assert!(
            refused(json!({ "name": "a", "endpoint": "sh -c true", "transport": "stdio" }), false)
                .contains("a command")
        );
        assert!(refused(json!({ "name": "a", "endpoint": "http://${HOST}/" }), false).contains("reference"));
        let chosen =
            json!({ "url": "http://x", "effects": { "command": "read" }, "metadata": { "command": "x" } });
        assert!(read(json!({ "name": "a", "config": chosen }).to_string().as_bytes(), None, false).is_ok());
        let body = json!({ "name": "a", "endpoint": "https://x/mcp", "auth_token": "$t" }).to_string();
        assert!(read(body.as_bytes(), None, false).is_ok());
    }
}
