//! What every MCP server does without being told: the handshake, lists and their pages, lookups, completion.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::lists::{complete, match_template, page, shown};
use super::modern::{Caller, discover, meta_of, unsupported};
use super::revision::{TASKS, WITH_TASKS, code};
use super::script::{Item, List, Plan};
use super::server::Server;
use super::session::Session;
use super::step::Reaction;
use super::template::Scope;

/// The log levels, least severe first.
pub(super) const LEVELS: &[&str] =
    &["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];

/// The body of a response, as JSON text.
#[derive(Debug)]
pub(super) enum Reply {
    Result(String),
    Error(String),
    /// An error for a request that is not even treated; over HTTP a status says so too.
    Refusal(String),
}

impl Reply {
    pub(super) fn result(value: &Value) -> Self {
        Reply::Result(value.to_string())
    }

    pub(super) fn error(code: i32, message: impl Into<String>) -> Self {
        Reply::Error(json!({"code": code, "message": message.into()}).to_string())
    }

    pub(super) fn refusal(code: i32, message: impl Into<String>, data: Option<Value>) -> Self {
        let mut error = json!({"code": code, "message": message.into()});
        if let Some(data) = data {
            error["data"] = data;
        }
        Reply::Refusal(error.to_string())
    }
}

/// What the script says about this request under `on`.
pub(super) fn moment(session: &Session, method: &str, modern: bool) -> Option<Arc<Reaction>> {
    let on = &session.server.plan.on;
    let group = if list_of(method).is_some() {
        "list"
    } else if is_known(method, modern) || is_about_tasks(session, method, modern) {
        method
    } else {
        "unknown"
    };
    // `ping` is allowed before the handshake, everything else is not.
    let is_early = !modern && !matches!(method, "initialize" | "ping") && session.state().revision.is_none();
    let first = on.get("first").filter(|_| is_early);
    on.get(method).or(first).or_else(|| on.get(group)).cloned()
}

fn is_known(method: &str, modern: bool) -> bool {
    let known = matches!(
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
    );
    known || modern && matches!(method, "server/discover" | "subscriptions/listen")
}

/// Whether the method is about tasks, and one that this caller may expect here.
pub(super) fn is_about_tasks(session: &Session, method: &str, modern: bool) -> bool {
    let known = match modern {
        true => matches!(method, "tasks/get" | "tasks/update" | "tasks/cancel"),
        false => {
            matches!(method, "tasks/get" | "tasks/result" | "tasks/cancel" | "tasks/list")
                && session.state().revision.as_deref() == Some(WITH_TASKS)
        }
    };
    known && session.server.plan.has_tasks()
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
pub(super) fn locate<'s>(
    server: &'s Server,
    method: &str,
    params: &str,
    scope: &mut Scope,
) -> Option<(List, &'s Item)> {
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
    scope.meta = meta_of(params);
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
    find(server, list, &target, scope)
}

/// Counts a call of the item; gives its number.
pub(super) fn count(server: &Server, list: List, item: &Item) -> u64 {
    let mut state = server.state();
    let call = state.calls.entry((list, item.name.clone())).or_default();
    *call += 1;
    *call
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

/// Answers a request that no item and no script answers; a modern one where `caller` says who sent it.
pub(super) fn builtin(session: &Session, method: &str, caller: Option<&Caller>, scope: &Scope) -> Reply {
    let server = &*session.server;
    if let Some(list) = list_of(method) {
        let with_tasks = caller.is_none() && session.state().revision.as_deref() == Some(WITH_TASKS);
        return page(server, list, &scope.args, with_tasks);
    }
    match (method, caller) {
        ("server/discover", Some(_)) => {
            Reply::Result(scope.json(&discover(&server.plan, capabilities(&server.plan, None))))
        }
        ("initialize", Some(caller)) if caller.version.is_empty() => {
            let asked = scope.args.get("protocolVersion").and_then(Value::as_str).unwrap_or_default();
            unsupported(&server.plan, asked)
        }
        ("initialize", None) => Reply::Result(scope.json(&initialize(session, &scope.args))),
        ("ping", None) => Reply::Result("{}".into()),
        ("tools/call", _) => missing("tool", scope),
        ("prompts/get", _) => missing("prompt", scope),
        ("resources/read", caller) => {
            let code = if caller.is_some() { code::INVALID_PARAMS } else { code::RESOURCE_NOT_FOUND };
            let error = json!({"code": code, "message": "Resource not found", "data": {"uri": scope.target}});
            Reply::Error(error.to_string())
        }
        ("resources/subscribe" | "resources/unsubscribe", None) => subscribe(session, method, &scope.args),
        ("completion/complete", _) => complete(&server.plan, &scope.args),
        ("logging/setLevel", None) => set_level(session, &scope.args),
        _ => Reply::error(code::METHOD_NOT_FOUND, format!("Method not found: {method}")),
    }
}

fn missing(what: &str, scope: &Scope) -> Reply {
    // Without a name the target is still the method.
    if scope.target.contains('/') && scope.args.get("name").is_none_or(|name| !name.is_string()) {
        return Reply::error(code::INVALID_PARAMS, format!("Invalid params: the {what}'s name is missing"));
    }
    Reply::error(code::INVALID_PARAMS, format!("Unknown {what}: {}", scope.target))
}

fn initialize(session: &Session, params: &Value) -> Value {
    let plan = &session.server.plan;
    let info = &plan.server;
    let asked = params.get("protocolVersion").and_then(Value::as_str);
    let revision = info.protocol.as_deref().unwrap_or_else(|| plan.revisions.negotiate(asked));
    {
        let mut state = session.state();
        state.revision = Some(revision.to_owned());
        state.capabilities = params.get("capabilities").cloned().unwrap_or(Value::Null);
    }
    let mut result = Map::new();
    result.insert("protocolVersion".into(), json!(revision));
    result.insert("capabilities".into(), capabilities(plan, Some(revision)));
    result.insert("serverInfo".into(), info.info().unwrap_or(Value::Null));
    if let Some(instructions) = &info.instructions {
        result.insert("instructions".into(), json!(instructions));
    }
    for (key, value) in &info.extra {
        result.insert(key.clone(), value.clone());
    }
    result.retain(|_, value| !value.is_null());
    Value::Object(result)
}

/// The capabilities that follow from what the script holds, and what the script says of them. `revision` is that of
/// the handshake, none in the modern era.
pub(super) fn capabilities(plan: &Plan, revision: Option<&str>) -> Value {
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
    if plan.has_tasks() {
        match revision {
            None => {
                capabilities.insert("extensions".into(), json!({TASKS: {}}));
            }
            Some(WITH_TASKS) => {
                let tasks = json!({"list": {}, "cancel": {}, "requests": {"tools": {"call": {}}}});
                capabilities.insert("tasks".into(), tasks);
            }
            Some(_) => {}
        }
    }
    let mut capabilities = Value::Object(capabilities);
    if let Some(own) = &plan.server.capabilities {
        merge(&mut capabilities, own);
    }
    capabilities
}

/// Lays `over` over `base`: objects merge, null removes, everything else replaces.
pub(super) fn merge(base: &mut Value, over: &Value) {
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

fn subscribe(session: &Session, method: &str, params: &Value) -> Reply {
    let Some(uri) = params.get("uri").and_then(Value::as_str) else {
        return Reply::error(code::INVALID_PARAMS, "Invalid params: `uri` is missing");
    };
    let mut state = session.state();
    match method {
        "resources/subscribe" => state.subscriptions.insert(uri.to_owned()),
        _ => state.subscriptions.remove(uri),
    };
    Reply::Result("{}".into())
}

fn set_level(session: &Session, params: &Value) -> Reply {
    let level = params.get("level").and_then(Value::as_str);
    match LEVELS.iter().position(|known| Some(*known) == level) {
        Some(rank) => {
            session.state().log_level = rank;
            Reply::Result("{}".into())
        }
        None => Reply::error(code::INVALID_PARAMS, "Invalid log level"),
    }
}
