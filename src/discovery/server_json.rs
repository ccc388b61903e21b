//! `server.json`, the format of MCP registries, and server cards, whose `remotes` are the same: made into entries of the config.
//!
//! Source: the registry's schema of 2025-12-11 (older ones in `snake_case` are read too). A remote becomes an entry with `url`; a
//! package becomes the command that its kind is usually run with. What the user has to provide becomes a reference
//! (`${API_KEY}`), so that an entry says what is missing. The command of a package is never the registry's own choice.

mod inputs;
mod packages;

use reqwest::Url;
use serde_json::{Map, Value};

use super::entry;
use super::finder::Draft;
use super::finding::{Source, Transport, one_line};
use super::probe::Target;
use crate::config::RemoteKind;
use inputs::Inputs;

/// The longest list that is read of one server.
const MOST: usize = 20;

/// The server of a `server.json` as a proposal: its first remote, or else the first package that can be run; `None` if it has
/// neither.
pub(super) fn proposal(server: &Value, source: &Source) -> Option<Draft> {
    let remote = remotes(server, source).into_iter().next();
    remote.or_else(|| packages::proposal(server, source))
}

/// What a server or card says of where it can be reached.
pub(super) fn remotes(server: &Value, source: &Source) -> Vec<Draft> {
    list(server, "remotes").filter_map(|one| remote(server, one, source)).collect()
}

fn remote(server: &Value, remote: &Value, source: &Source) -> Option<Draft> {
    let kind = match text(remote, "type").or_else(|| text(remote, "transportType"))? {
        "streamable-http" | "http" => RemoteKind::Http,
        "sse" => RemoteKind::Sse,
        _ => return None,
    };
    let template = text(remote, "url")?;
    let mut inputs = Inputs::of(remote);
    let url = inputs.fill(template);
    // An address without its variables must still be one.
    let bare = template.replace(['{', '}'], "x");
    Url::parse(&bare).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    let mut headers = Map::new();
    for header in list(remote, "headers") {
        if let (Some(name), Some(value)) = (text(header, "name"), inputs.value(header)) {
            headers.insert(name.to_owned(), value.into());
        }
    }
    let transport = if kind == RemoteKind::Sse { Transport::Sse } else { Transport::Http };
    // Whoever needs something from the user first has nothing to show before.
    let target = (url == template && headers.is_empty()).then(|| Target::new(template, kind));
    let draft = Draft::new(entry::remote(&url, transport, headers), source.clone());
    Some(Draft { target, ..described(draft, server) })
}

/// With what the server is called, and what it says of itself.
fn described(draft: Draft, server: &Value) -> Draft {
    Draft {
        called: text(server, "name").and_then(one_line),
        description: text(server, "description").and_then(one_line),
        ..draft
    }
}

/// A member under its name, or under the same in `snake_case`.
fn get<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    value.get(name).or_else(|| {
        let snake: String = name
            .chars()
            .flat_map(|letter| match letter.is_ascii_uppercase() {
                true => vec!['_', letter.to_ascii_lowercase()],
                false => vec![letter],
            })
            .collect();
        value.get(snake)
    })
}

fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    get(value, name).and_then(Value::as_str).filter(|text| !text.is_empty())
}

fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    get(value, name).and_then(Value::as_array).into_iter().flatten().take(MOST)
}

#[cfg(test)]
mod tests;
