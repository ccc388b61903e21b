//! What every MCP server does without being told: the handshake, lists and their pages, lookups, completion.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::script::{Cursor, Item, List, Plan, Reaction};
use super::serve::Server;
use super::template::Scope;

/// The revisions that an `initialize` may name, oldest first.
const REVISIONS: &[&str] = &["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];

/// The log levels, least severe first.
pub(super) const LEVELS: &[&str] =
    &["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];

/// The most values that a completion may hold.
const MAX_COMPLETIONS: usize = 100;

/// The body of a response, as JSON text.
pub(super) enum Reply {
    Result(String),
    Error(String),
}

impl Reply {
    fn result(value: &Value) -> Self {
        Reply::Result(value.to_string())
    }

    fn error(code: i32, message: impl Into<String>) -> Self {
        Reply::Error(json!({"code": code, "message": message.into()}).to_string())
    }
}

/// What the script says about this method under `on`.
pub(super) fn moment(plan: &Plan, method: &str) -> Option<Arc<Reaction>> {
    let group = if list_of(method).is_some() {
        "list"
    } else if is_known(method) {
        method
    } else {
        "unknown"
    };
    plan.on.get(method).or_else(|| plan.on.get(group)).cloned()
}

fn is_known(method: &str) -> bool {
    matches!(
        method,
        "initialize"
            | "ping"
            | "tools/call"
            | "prompts/get"
            | "resources/read"
            | "resources/subscribe"
            | "resources/unsubscribe"
            | "completion/complete"
            | "logging/setLevel"
    )
}

fn list_of(method: &str) -> Option<List> {
    match method {
        "tools/list" => Some(List::Tools),
        "prompts/list" => Some(List::Prompts),
        "resources/list" => Some(List::Resources),
        "resources/templates/list" => Some(List::Templates),
        _ => None,
    }
}

/// Fills the scope from the params and finds the item that is called, if one is.
pub(super) fn resolve(
    server: &Server,
    method: &str,
    params: &str,
    scope: &mut Scope,
) -> Option<Arc<Reaction>> {
    #[derive(Default, Deserialize)]
    struct Params<'p> {
        name: Option<String>,
        uri: Option<String>,
        #[serde(borrow)]
        arguments: Option<&'p RawValue>,
        #[serde(borrow, rename = "_meta")]
        meta: Option<Meta<'p>>,
    }
    #[derive(Default, Deserialize)]
    struct Meta<'p> {
        #[serde(borrow, rename = "progressToken")]
        token: Option<&'p RawValue>,
    }
    let parsed: Params<'_> = serde_json::from_str(params).unwrap_or_default();
    scope.token = parsed.meta.and_then(|meta| meta.token).map(|token| token.get().to_owned());
    let (list, target, arguments) = match (method, parsed.name, parsed.uri) {
        ("tools/call", Some(name), _) => (List::Tools, name, parsed.arguments),
        ("prompts/get", Some(name), _) => (List::Prompts, name, parsed.arguments),
        ("resources/read", _, Some(uri)) => (List::Resources, uri, None),
        _ => {
            params.clone_into(&mut scope.args_text);
            scope.args = serde_json::from_str(params).unwrap_or(Value::Null);
            return None;
        }
    };
    let arguments = arguments.map_or("{}", RawValue::get);
    arguments.clone_into(&mut scope.args_text);
    scope.args = serde_json::from_str(arguments).unwrap_or(Value::Null);
    scope.target.clone_from(&target);
    let (list, item) = find(server, list, &target, scope)?;
    let call = {
        let mut state = server.state();
        let call = state.calls.entry((list, item.name.clone())).or_default();
        *call += 1;
        *call
    };
    scope.call = call;
    Some(item.reaction(call))
}

fn find<'s>(server: &'s Server, list: List, target: &str, scope: &mut Scope) -> Option<(List, &'s Item)> {
    if let Some(item) = shown(server, list).into_iter().find(|item| item.name == target) {
        return Some((list, item));
    }
    if list != List::Resources {
        return None;
    }
    shown(server, List::Templates).into_iter().find_map(|item| {
        scope.args = Value::Object(match_template(&item.name, target)?);
        scope.args_text = scope.args.to_string();
        Some((List::Templates, item))
    })
}

/// The items of a list that the server shows now.
fn shown(server: &Server, list: List) -> Vec<&Item> {
    let plan = &server.plan;
    let items = match list {
        List::Tools => &plan.tools,
        List::Prompts => &plan.prompts,
        List::Resources => &plan.resources,
        List::Templates => &plan.templates,
    };
    match server.state().shown.get(&list) {
        Some(names) => items.iter().filter(|item| names.contains(&item.name)).collect(),
        None => items.iter().collect(),
    }
}

/// The variables of a URI that fits the template. `{x}` takes characters other than `/`, `{+x}` takes any.
fn match_template(template: &str, uri: &str) -> Option<Map<String, Value>> {
    let Some((before, rest)) = template.split_once('{') else {
        return (template == uri).then(Map::new);
    };
    let (variable, after) = rest.split_once('}')?;
    let uri = uri.strip_prefix(before)?;
    let any = variable.starts_with(['+', '#']);
    let name = variable.trim_matches(['+', '#', '*']);
    let ends = uri.char_indices().map(|(at, _)| at).chain([uri.len()]);
    for end in ends.skip(1) {
        let value = &uri[..end];
        if !any && value.contains('/') {
            return None;
        }
        if let Some(mut variables) = match_template(after, &uri[end..]) {
            variables.insert(name.to_owned(), json!(value));
            return Some(variables);
        }
    }
    None
}

/// Answers a request that no item and no script answers.
pub(super) fn builtin(server: &Server, method: &str, scope: &Scope) -> Reply {
    if let Some(list) = list_of(method) {
        return page(server, list, &scope.args);
    }
    match method {
        "initialize" => Reply::Result(scope.json(&initialize(server, &scope.args))),
        "ping" => Reply::Result("{}".into()),
        "tools/call" => missing("tool", scope),
        "prompts/get" => missing("prompt", scope),
        "resources/read" => {
            let error =
                json!({"code": -32002, "message": "Resource not found", "data": {"uri": scope.target}});
            Reply::Error(error.to_string())
        }
        "resources/subscribe" | "resources/unsubscribe" => subscribe(server, method, &scope.args),
        "completion/complete" => complete(&server.plan, &scope.args),
        "logging/setLevel" => set_level(server, &scope.args),
        _ => Reply::error(-32601, format!("Method not found: {method}")),
    }
}

fn missing(what: &str, scope: &Scope) -> Reply {
    // Without a name the target is still the method.
    if scope.target.contains('/') && scope.args.get("name").is_none_or(|name| !name.is_string()) {
        return Reply::error(-32602, format!("Invalid params: the {what}'s name is missing"));
    }
    Reply::error(-32602, format!("Unknown {what}: {}", scope.target))
}

fn initialize(server: &Server, params: &Value) -> Value {
    let plan = &server.plan;
    let info = &plan.server;
    let asked = params.get("protocolVersion").and_then(Value::as_str);
    let known = asked.filter(|asked| REVISIONS.contains(asked)).or(REVISIONS.last().copied());
    let revision = info.protocol.as_deref().or(known).unwrap_or_default();

    let mut capabilities = capabilities(plan);
    if let Some(own) = &info.capabilities {
        merge(&mut capabilities, own);
    }
    let mut server_info = Map::new();
    server_info.insert("name".into(), json!(info.name));
    if let Some(title) = &info.title {
        server_info.insert("title".into(), json!(title));
    }
    server_info.insert("version".into(), json!(info.version));

    let mut result = Map::new();
    result.insert("protocolVersion".into(), json!(revision));
    result.insert("capabilities".into(), capabilities);
    result.insert("serverInfo".into(), Value::Object(server_info));
    if let Some(instructions) = &info.instructions {
        result.insert("instructions".into(), json!(instructions));
    }
    for (key, value) in &info.extra {
        result.insert(key.clone(), value.clone());
    }
    result.retain(|_, value| !value.is_null());
    Value::Object(result)
}

/// The capabilities that follow from what the script holds.
fn capabilities(plan: &Plan) -> Value {
    let mut capabilities = Map::new();
    capabilities.insert("logging".into(), json!({}));
    if !plan.tools.is_empty() {
        capabilities.insert("tools".into(), json!({"listChanged": true}));
    }
    if !plan.prompts.is_empty() {
        capabilities.insert("prompts".into(), json!({"listChanged": true}));
    }
    if !plan.resources.is_empty() || !plan.templates.is_empty() {
        capabilities.insert("resources".into(), json!({"subscribe": true, "listChanged": true}));
    }
    if !plan.completions.is_empty() {
        capabilities.insert("completions".into(), json!({}));
    }
    Value::Object(capabilities)
}

/// Lays `over` over `base`: objects merge, null removes, everything else replaces.
fn merge(base: &mut Value, over: &Value) {
    let (Value::Object(members), Value::Object(changes)) = (&mut *base, over) else {
        base.clone_from(over);
        return;
    };
    for (key, change) in changes {
        match change {
            Value::Null => {
                members.shift_remove(key);
            }
            _ => merge(members.entry(key.clone()).or_insert_with(|| json!({})), change),
        }
    }
}

fn page(server: &Server, list: List, params: &Value) -> Reply {
    let items = shown(server, list);
    let pages = &server.plan.pages;
    let size = pages.size.unwrap_or(usize::MAX).min(items.len().max(1));
    let start = match (params.get("cursor"), pages.cursor) {
        (None | Some(Value::Null), _) => 0,
        (Some(_), Cursor::Same | Cursor::Endless) => 0,
        (Some(cursor), _) => {
            match cursor.as_str().and_then(|cursor| cursor.strip_prefix("item-")?.parse().ok()) {
                Some(start) if start < items.len() => start,
                _ => return Reply::error(-32602, format!("Invalid cursor: {cursor}")),
            }
        }
    };
    let end = start.saturating_add(size).min(items.len());
    let next = match pages.cursor {
        _ if end < items.len() && pages.cursor != Cursor::Same && pages.cursor != Cursor::Endless => {
            Some(format!("item-{end}"))
        }
        Cursor::Plain => None,
        Cursor::Loop => Some("item-0".into()),
        Cursor::Same => Some("same".into()),
        Cursor::Endless => {
            let mut state = server.state();
            state.cursors += 1;
            Some(format!("endless-{}", state.cursors))
        }
    };
    let mut result = Map::new();
    let definitions =
        items.get(start..end).unwrap_or_default().iter().map(|item| item.definition.clone()).collect();
    result.insert(list.member().into(), Value::Array(definitions));
    if let Some(next) = next {
        result.insert("nextCursor".into(), json!(next));
    }
    Reply::result(&Value::Object(result))
}

fn subscribe(server: &Server, method: &str, params: &Value) -> Reply {
    let Some(uri) = params.get("uri").and_then(Value::as_str) else {
        return Reply::error(-32602, "Invalid params: `uri` is missing");
    };
    let mut state = server.state();
    match method {
        "resources/subscribe" => state.subscriptions.insert(uri.to_owned()),
        _ => state.subscriptions.remove(uri),
    };
    Reply::Result("{}".into())
}

fn set_level(server: &Server, params: &Value) -> Reply {
    let level = params.get("level").and_then(Value::as_str);
    match LEVELS.iter().position(|known| Some(*known) == level) {
        Some(rank) => {
            server.state().log_level = rank;
            Reply::Result("{}".into())
        }
        None => Reply::error(-32602, "Invalid log level"),
    }
}

fn complete(plan: &Plan, params: &Value) -> Reply {
    let reference = params.get("ref");
    let of = reference.and_then(|reference| reference.get("name").or_else(|| reference.get("uri")));
    let argument = |member: &str| {
        params.pointer(&format!("/argument/{member}")).and_then(Value::as_str).unwrap_or_default()
    };
    let completion = plan.completions.iter().find(|completion| of == Some(&json!(completion.of)));
    let known = completion
        .and_then(|completion| completion.arguments.iter().find(|(name, _)| name == argument("name")))
        .map(|(_, values)| values.as_slice())
        .unwrap_or_default();
    let values: Vec<&String> = known.iter().filter(|value| value.starts_with(argument("value"))).collect();
    let more = values.len() > MAX_COMPLETIONS;
    let first = &values[..values.len().min(MAX_COMPLETIONS)];
    Reply::result(&json!({"completion": {"values": first, "total": values.len(), "hasMore": more}}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_match_uris() {
        let check = |template: &str, uri: &str, expected: Option<Value>| {
            assert_eq!(match_template(template, uri).map(Value::Object), expected, "{template} {uri}");
        };
        check("note://{id}", "note://7", Some(json!({"id": "7"})));
        check("note://{id}", "note://7/8", None);
        check("note://{id}", "note://", None);
        check("file:///{+path}", "file:///a/b", Some(json!({"path": "a/b"})));
        check("x://{a}/y/{b}.md", "x://1/y/2.md", Some(json!({"b": "2", "a": "1"})));
        check("x://plain", "x://plain", Some(json!({})));
    }
}
