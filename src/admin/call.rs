//! One call of a tool, as a client named `admin` would make it: policies, limits and the audit log know it by that name.

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Map, Value, json};
use tokio::time::{Duration, Instant};

use super::code::ApiCode;
use super::desk::{Asked, Desk, NAME};
use super::fields::Fields;
use super::refusal::{Refusal, Success, excerpt};
use crate::catalog::Catalog;
use crate::failure::Code;
use crate::frontend::http::{House, Principal};
use crate::protocol::{Revision, VERSION, codes};
use crate::wire::Mailbox;

/// How much of an answer may wait for us.
const ANSWER: usize = 16 << 20;
/// How long a tool that nobody has seen yet is waited for, while servers show what they have.
const SHOWING: Duration = Duration::from_secs(10);

pub(super) async fn call(desk: &Desk, asked: &Asked) -> Result<Success, Refusal> {
    let mut fields = Fields::read_or_empty(&asked.body, ApiCode::InvalidRequest)?;
    let arguments = fields.object("arguments");
    let server = fields.text("server_id");
    fields.finish()?;
    if let Some(server) = &server {
        desk.manager.info(server)?;
    }
    // Nobody may have needed a server yet.
    desk.front.open_doors();
    let found = |catalog: &Catalog| find(catalog, &asked.name, server.as_deref());
    let registry = desk.registry();
    if found(&registry.catalog()).is_none() {
        registry.complete_by(Instant::now() + SHOWING).await;
    }
    let catalog = registry.catalog();
    let Some((exposed, server)) = found(&catalog) else {
        return Err(nobody_has(&catalog, &asked.name, server.as_deref()));
    };
    let began = Instant::now();
    let answer = request(desk, &exposed, arguments.unwrap_or_default()).await;
    let took = began.elapsed().as_secs_f64();
    let result = match answer {
        Some(Answer::Result(result)) => result,
        Some(Answer::Error(error)) => return Err(of_error(&error, &server)),
        None => {
            let message = "the call was given up: Switchboard is ending";
            return Err(Refusal::call(Code::CallShutdown, message, &server));
        }
    };
    if let Some(failure) = result["_meta"].get("switchboard/error") {
        let code = failure["code"].as_str().and_then(Code::parse).unwrap_or(Code::CallUnavailable);
        let message = result["content"][0]["text"].as_str().unwrap_or_default().to_owned();
        return Err(Refusal::call(code, &message, &server));
    }
    let is_error = result["isError"] == true;
    let data = json!({
        "result": result,
        "server_id": server,
        "execution_time": took,
        "status": if is_error { "error" } else { "success" },
    });
    let message = if is_error { "the tool says that it failed" } else { "the tool has run" };
    Ok(Success::new(data, message))
}

/// The exposed name of a tool, and its server: by the name that clients see, or by the server's own.
fn find(catalog: &Catalog, name: &str, server: Option<&str>) -> Option<(String, String)> {
    let is_servers = |of: &str| server.is_none_or(|server| server == of);
    let mut tools = catalog.tools().iter().filter(|target| is_servers(target.server.as_str()));
    let target = tools
        .clone()
        .find(|target| target.exposed.as_str() == name)
        .or_else(|| tools.find(|target| server.is_some() && target.original.as_str() == name))
        .or_else(|| catalog.tool(name).filter(|target| is_servers(target.server.as_str())))?;
    Some((target.exposed.to_string(), target.server.to_string()))
}

fn nobody_has(catalog: &Catalog, name: &str, server: Option<&str>) -> Refusal {
    let name = excerpt(name);
    let near: Vec<String> = catalog.nearest_tools(&name, 3).iter().map(ToString::to_string).collect();
    let place = server.map(|server| format!(" of server `{server}`")).unwrap_or_default();
    let help = match near.as_slice() {
        [] => "GET /proxy/tools lists them".to_owned(),
        near => format!("did you mean {}?", near.join(", ")),
    };
    Refusal::new(
        StatusCode::NOT_FOUND,
        ApiCode::ToolNotFound,
        format!("there is no tool `{name}`{place}; {help}"),
    )
    .details(json!({ "tool": name, "nearest": near }))
}

enum Answer {
    Result(Value),
    Error(Value),
}

/// Calls the tool. Dropping the future cancels the call.
async fn request(desk: &Desk, tool: &str, arguments: Map<String, Value>) -> Option<Answer> {
    let revision = Revision::newest_modern();
    let message = json!({
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {
            "name": tool,
            "arguments": arguments,
            "_meta": {
                "io.modelcontextprotocol/protocolVersion": revision.name,
                "io.modelcontextprotocol/clientInfo": { "name": NAME, "version": VERSION },
                "io.modelcontextprotocol/clientCapabilities": {},
            },
        },
    });
    let answers = Arc::new(Mailbox::new(ANSWER));
    let client = Principal { name: Some(NAME.into()) };
    let exchange = desk.front.serve(message.to_string().into(), &client, Arc::clone(&answers));
    let answer = loop {
        // What is not JSON is nothing of ours; what has no id does not answer.
        let message: Value = serde_json::from_slice(&answers.next().await?).ok()?;
        let Value::Object(mut message) = message else { continue };
        if let Some(result) = message.remove("result") {
            break Answer::Result(plain(result));
        }
        if let Some(error) = message.remove("error") {
            break Answer::Error(error);
        }
    };
    drop(exchange);
    Some(answer)
}

/// A result without what only the protocol wants to know.
fn plain(mut result: Value) -> Value {
    if let Value::Object(members) = &mut result {
        members.shift_remove("resultType");
        if let Some(Value::Object(meta)) = members.get_mut("_meta") {
            meta.shift_remove("io.modelcontextprotocol/serverInfo");
            if meta.is_empty() {
                members.shift_remove("_meta");
            }
        }
    }
    result
}

/// The server has answered with an error, or its answer could not be passed on.
fn of_error(error: &Value, server: &str) -> Refusal {
    let message = error["message"].as_str().unwrap_or("the server answered with an error");
    if let Some(code) = error["data"]["code"].as_str().and_then(Code::parse) {
        return Refusal::call(code, message, server);
    }
    let status = match error["code"].as_i64() {
        Some(code) if code == i64::from(codes::INVALID_PARAMS) => StatusCode::UNPROCESSABLE_ENTITY,
        _ => StatusCode::BAD_GATEWAY,
    };
    Refusal::new(status, ApiCode::ToolExecutionFailed, message)
        .details(json!({ "server_id": server, "error": error }))
}
