//! `switchboard call`: one call through everything that a client's call goes through.

mod arguments;
mod content;

use std::io::{IsTerminal, Write};

use bytes::Bytes;

use crate::cli::Global;
use crate::cli::client::Answer;
use crate::cli::exit::{self, Exit};
use crate::cli::inside::{Inside, Selected, Setup, why_missing};
use crate::cli::suggest::{did_you_mean, near};
use crate::cli::terminal;
use crate::config::Entry;
use crate::failure::Code;
use crate::protocol::{ListKind, Method};
use crate::status;
use crate::wire::json;

/// Arguments of `call`.
#[derive(Debug, clap::Args)]
#[command(after_help = "key=value   a text, or what the tool's schema says (number, boolean, array, …)\n\
    key:=json   JSON, whatever the schema says\n\
    key=@file   the value stands in a file\n\n\
    Exit codes: 0 ok, 1 the tool failed, 2 wrong arguments, 4 a login is wanted, 5 no such tool,\n\
    6 timeout or not available.")]
pub struct CallArgs {
    /// The tool: its name as in `switchboard tools`, or its own name if only one server has it
    tool: String,
    /// Its arguments: key=value, key:=json, key=@file
    #[arg(value_name = "KEY=VALUE")]
    pairs: Vec<String>,
    /// All arguments as a JSON object, `@file`, or `-` for stdin
    #[arg(long, value_name = "JSON", conflicts_with = "pairs")]
    args: Option<String>,
    /// Print the raw result
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    selected: Selected,
}

/// Calls a tool and prints its answer.
pub fn run(global: &Global, args: CallArgs) -> Exit {
    let setup = Setup::read_for(global, &args.selected);
    if let Some(exit) = setup.refuse_empty() {
        return exit;
    }
    let whole = match args.args.as_deref().map(arguments::from_json).transpose() {
        Ok(whole) => whole,
        Err(wrong) => return refuse(&wrong),
    };
    setup.mention_problems();
    setup.run(async move |mut inside| {
        let Some(tool) = find(&inside, &args.tool).await else { return unknown(&inside, &args.tool) };
        let given = match whole {
            Some(whole) => Ok(whole),
            None => arguments::from_pairs(&args.pairs, &tool.schema()),
        };
        match given {
            Ok(given) => call(&mut inside, &tool, &given, args.json).await,
            Err(wrong) => refuse(&wrong),
        }
    })
}

fn refuse(wrong: &str) -> Exit {
    exit::print_err(&format!("error: {wrong}"));
    exit::USAGE
}

/// A tool that can be called.
struct Tool {
    exposed: String,
    definition: Bytes,
}

impl Tool {
    fn schema(&self) -> Bytes {
        let schema = json::get(&self.definition, "inputSchema");
        schema.map(|span| self.definition.slice(span.start..span.end)).unwrap_or_default()
    }
}

/// An exposed name is taken as soon as it is known; whether another one is unambiguous can only be said when every
/// server has shown what it has.
async fn find(inside: &Inside, name: &str) -> Option<Tool> {
    if status::is_ours(name) {
        // The state of servers that are just starting says little.
        inside.lists_complete(&[]).await;
        return Some(Tool { exposed: name.to_owned(), definition: status::tool_definition().into() });
    }
    let exposed = || {
        let catalog = inside.registry.catalog();
        let target = catalog.tools().iter().find(|target| target.exposed.as_str() == name)?;
        Some(Tool { exposed: target.exposed.to_string(), definition: target.definition.clone() })
    };
    let complete = async {
        inside.lists_complete(&[]).await;
        let catalog = inside.registry.catalog();
        let target = catalog.tool(name)?;
        Some(Tool { exposed: target.exposed.to_string(), definition: target.definition.clone() })
    };
    let mut changes = inside.registry.changes();
    let early = changes.wait_for(|_| exposed().is_some());
    tokio::select! {
        biased;
        Ok(_) = early => exposed(),
        found = complete => found,
    }
}

fn unknown(inside: &Inside, name: &str) -> Exit {
    let missing = inside.missing();
    // A tool of a server that did not come up is not unknown: it is not there now.
    let owner = missing.iter().find(|report| match inside.entry(&report.server) {
        Some(Entry::Ready(server)) if !server.prefix.is_empty() => {
            name.strip_prefix(&server.prefix).is_some_and(|rest| rest.starts_with("__"))
        }
        _ => false,
    });
    if let Some(report) = owner {
        exit::print_err(&format!("error: {}", why_missing(report)));
        let code = report.failure.as_ref().map(|failure| failure.code);
        return if code == Some(Code::AuthNeedsLogin) { exit::NEEDS_LOGIN } else { exit::TRANSIENT };
    }
    let catalog = inside.registry.catalog();
    if let Some(held) = catalog.held(ListKind::Tools, name) {
        exit::print_err(&format!("error: {}", held.failure()));
        return exit::FAILED;
    }
    let owners: Vec<&str> = catalog
        .tools()
        .iter()
        .filter(|target| target.original.as_str() == name)
        .map(|target| target.exposed.as_str())
        .collect();
    let hint = if owners.len() > 1 {
        format!(": several servers have it; write {}", owners.join(" or "))
    } else {
        let names = catalog.tools().iter().flat_map(|tool| [tool.exposed.as_str(), tool.original.as_str()]);
        did_you_mean(&near(name, names))
    };
    exit::print_err(&format!("error: there is no tool `{name}`{hint}"));
    inside.note_missing();
    exit::NOT_FOUND
}

async fn call(inside: &mut Inside, tool: &Tool, arguments: &[u8], as_json: bool) -> Exit {
    let watched = std::io::stderr().is_terminal();
    let mut params = br#"{"name":"#.to_vec();
    json::push_string(&mut params, &tool.exposed);
    params.extend_from_slice(br#","arguments":"#);
    params.extend_from_slice(arguments);
    if watched {
        params.extend_from_slice(br#","_meta":{"progressToken":1}"#);
    }
    params.push(b'}');
    let mut line = ProgressLine::default();
    let answer = inside.client.request(Method::ToolsCall, &params, |method, params| {
        if watched && method == "notifications/progress" {
            line.show(params);
        }
    });
    let answer = answer.await;
    drop(line);
    match answer {
        Ok(Answer::Result(result)) => print_result(&result, as_json),
        Ok(Answer::Error(error)) => print_error(&error, as_json),
        Err(error) => {
            exit::print_err(&format!("error: the answer did not come: {error}"));
            exit::FAILED
        }
    }
}

fn print_result(result: &[u8], as_json: bool) -> Exit {
    let failed = json::get(result, "isError").is_some_and(|span| span.of(result) == b"true");
    let ours = json::get_path(result, &["_meta", "switchboard/error", "code"])
        .filter(|_| failed)
        .and_then(|span| Code::parse(&json::string(span.of(result))?));
    if as_json {
        exit::print_raw_json(result);
    } else if ours.is_some() {
        exit::print_err(&format!("error: {}", content::render(result, true)));
    } else if std::io::stdout().is_terminal() {
        exit::print_out(&content::render(result, true));
    } else {
        // A file or another program gets every byte.
        exit::print_bytes(content::render(result, false).as_bytes());
    }
    match ours {
        Some(Code::CallTimeout | Code::CallUnavailable | Code::CallBusy | Code::HandshakeTimeout) => {
            exit::TRANSIENT
        }
        Some(Code::AuthNeedsLogin) => exit::NEEDS_LOGIN,
        _ if failed => exit::FAILED,
        _ => exit::OK,
    }
}

fn print_error(error: &[u8], as_json: bool) -> Exit {
    if as_json {
        exit::print_raw_json(&[br#"{"error":"#, error, b"}"].concat());
        return exit::FAILED;
    }
    let message = json::get(error, "message").and_then(|span| json::string(span.of(error)));
    let code = json::get(error, "code").map(|span| String::from_utf8_lossy(span.of(error)));
    let message = terminal::tame(&message.unwrap_or_default());
    exit::print_err(&format!("error: {message} (JSON-RPC {})", code.unwrap_or_default()));
    exit::FAILED
}

/// The last progress of the call, on a terminal. It is gone when it is dropped.
#[derive(Default)]
struct ProgressLine {
    shown: bool,
}

impl ProgressLine {
    fn show(&mut self, params: &[u8]) {
        let member = |name| json::get(params, name).map(|span| span.of(params));
        let number = |name| member(name).map(|raw| String::from_utf8_lossy(raw).into_owned());
        let message = member("message").and_then(json::string).unwrap_or_default();
        let total = number("total").map(|total| format!("/{total}")).unwrap_or_default();
        let text =
            format!("… {}{total} {}", number("progress").unwrap_or_default(), terminal::one_line(&message));
        let _ = write!(std::io::stderr(), "\r\x1b[K{}", terminal::cut(&text, terminal::width().or(Some(80))));
        self.shown = true;
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        if self.shown {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
