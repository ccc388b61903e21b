//! The tools that clients see, with the servers that have them.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::desk::{Asked, Desk};
use super::refusal::{Refusal, Success};
use super::servers::has_category;
use super::view;
use crate::catalog::Target;
use crate::manager::ServerInfo;
use crate::meter::{Counts, Ending, ToolCounts};
use crate::names::ServerName;

pub(super) fn list(desk: &Desk, asked: &Asked) -> Result<Success, Refusal> {
    let servers = desk.manager.list();
    let wanted = asked.query.text("server_id");
    if let Some(server) = wanted {
        desk.manager.info(server)?;
    }
    let category = asked.query.text("category");
    let search = asked.query.text("search").map(str::to_lowercase);
    let fits = |info: &ServerInfo| {
        wanted.is_none_or(|wanted| info.name.as_str() == wanted)
            && category.is_none_or(|category| has_category(info, category))
    };
    let counts: HashMap<ServerName, Counts> = desk.registry().meters().counts().into_iter().collect();
    let tools: Vec<Value> = desk
        .registry()
        .catalog()
        .tools()
        .iter()
        .filter_map(|target| {
            let info = servers.iter().find(|info| info.name == target.server).filter(|info| fits(info))?;
            Some(tool(target, info, counts.get(&target.server)))
        })
        .filter(|tool| search.as_ref().is_none_or(|search| mentions(tool, search)))
        .collect();
    let message = format!("{} tools", tools.len());
    Ok(Success::new(tools.into(), message))
}

fn tool(target: &Target, info: &ServerInfo, counts: Option<&Counts>) -> Value {
    // A definition in the catalog has been read before.
    let definition: Value = serde_json::from_slice(&target.definition).unwrap_or_default();
    let categories = info.config.as_ref().map(|config| config.categories.clone()).unwrap_or_default();
    json!({
        "name": target.exposed.as_str(),
        "original_name": target.original.as_str(),
        "description": definition["description"].as_str().unwrap_or_default(),
        "server_id": target.server.as_str(),
        "server_name": target.server.as_str(),
        "categories": categories,
        "input_schema": definition["inputSchema"],
        "annotations": definition["annotations"],
        "calls": counts.map(|counts| calls(target, counts)),
    })
}

/// What became of its calls, and how long they took.
fn calls(target: &Target, counts: &Counts) -> Value {
    let own = counts.tools.iter().find(|(name, _)| *name == target.original);
    let counts = own.map(|(_, counts)| *counts).unwrap_or_default();
    let failed = [Ending::ToolError, Ending::Error, Ending::Failed].map(|ending| counts.ended(ending));
    let total = Ending::ALL.map(|ending| counts.ended(ending));
    let ToolCounts { took, .. } = counts;
    json!({
        "total": total.iter().sum::<u64>(),
        "failed": failed.iter().sum::<u64>(),
        "avg_response_time": view::seconds(took.average()),
        "p50": view::seconds(took.quantile(0.5)),
        "p95": view::seconds(took.quantile(0.95)),
    })
}

/// Whether the words stand in the tool's names or description, in any case.
fn mentions(tool: &Value, search: &str) -> bool {
    ["name", "original_name", "description"]
        .iter()
        .any(|key| tool[key].as_str().is_some_and(|text| text.to_lowercase().contains(search)))
}
