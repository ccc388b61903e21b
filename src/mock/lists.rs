//! What a server shows: its lists and their pages, URI templates, completions.

use serde_json::{Map, Value, json};

use super::answers::Reply;
use super::revision::code;
use super::script::{Cursor, Item, List, Plan};
use super::server::Server;

/// The most values that a completion may hold.
const MAX_COMPLETIONS: usize = 100;

/// The items of a list that the server shows now.
pub(super) fn shown(server: &Server, list: List) -> Vec<&Item> {
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
pub(super) fn match_template(template: &str, uri: &str) -> Option<Map<String, Value>> {
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

/// One page of a list. `with_tasks` says whether tools tell how they can be called as tasks, as 2025-11-25 has it.
pub(super) fn page(server: &Server, list: List, params: &Value, with_tasks: bool) -> Reply {
    let items = shown(server, list);
    let pages = &server.plan.pages;
    let size = pages.size.unwrap_or(usize::MAX).min(items.len().max(1));
    let start = match (params.get("cursor"), pages.cursor) {
        (None | Some(Value::Null), _) => 0,
        (Some(_), Cursor::Same | Cursor::Endless) => 0,
        (Some(cursor), _) => {
            match cursor.as_str().and_then(|cursor| cursor.strip_prefix("item-")?.parse().ok()) {
                Some(start) if start < items.len() => start,
                _ => return Reply::error(code::INVALID_PARAMS, format!("Invalid cursor: {cursor}")),
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
    let shown = items.get(start..end).unwrap_or_default();
    let definitions = shown.iter().map(|item| definition(item, with_tasks)).collect();
    result.insert(list.member().into(), Value::Array(definitions));
    if let Some(next) = next {
        result.insert("nextCursor".into(), json!(next));
    }
    Reply::result(&Value::Object(result))
}

fn definition(item: &Item, with_tasks: bool) -> Value {
    let mut definition = item.definition.clone();
    if let (true, Some(task), Value::Object(members)) = (with_tasks, &item.task, &mut definition) {
        let support = if task.required { "required" } else { "optional" };
        members.entry("execution").or_insert_with(|| json!({"taskSupport": support}));
    }
    definition
}

/// The values that fit what was typed so far.
pub(super) fn complete(plan: &Plan, params: &Value) -> Reply {
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
