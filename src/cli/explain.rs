//! `switchboard explain`: what a failure code means, or what a tool's name stands for.

mod chain;
mod live;
mod stages;
mod tool;

use std::sync::Arc;

use serde_json::json;

use crate::call::ClientInfo;
use crate::cli::Global;
use crate::cli::client::CLI_NAME;
use crate::cli::exit::{self, Exit};
use crate::cli::inside::{Inside, Selected, Setup};
use crate::cli::suggest::{did_you_mean, near};
use crate::cli::terminal::Paint;
use crate::config::{Config, Entry};
use crate::failure::Code;
use crate::names::slug;
use crate::policy::Client;
use crate::status::{self, STATUS_TOOL};

/// Arguments of `explain`.
#[derive(Debug, clap::Args)]
pub struct ExplainArgs {
    /// A code like SB-SPAWN-001, or a tool: its name as in `switchboard tools`, or its own
    #[arg(value_name = "CODE|TOOL")]
    what: String,
    /// For whom policies are asked: the name of a token, or what a client calls itself
    #[arg(long, value_name = "NAME", default_value = CLI_NAME)]
    client: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    selected: Selected,
}

/// How codes begin; no tool of a server is called so.
const CODE_PREFIX: &str = "SB-";

/// Explains a code or a tool.
pub fn run(global: &Global, args: ExplainArgs) -> Exit {
    if let Some(code) = Code::parse(&args.what) {
        return explain_code(code, args.json);
    }
    if args.what.get(..3).is_some_and(|start| start.eq_ignore_ascii_case(CODE_PREFIX)) {
        let near = did_you_mean(&near(&args.what, Code::ALL.iter().map(|code| code.id())));
        exit::print_err(&format!("error: there is no code `{}`{near}", args.what));
        return exit::NOT_FOUND;
    }
    if status::is_ours(&args.what) {
        return explain_ours(args.json);
    }
    let setup = Setup::read_for(global, &args.selected);
    if let Some(exit) = setup.refuse_empty() {
        return exit;
    }
    setup.mention_problems();
    let max_name = setup.loaded.config.expose.max_name;
    let client = client(&setup.loaded.config, &args.client);
    let live = live::Live::look(&setup.locations);
    setup.run(async move |inside| {
        inside.lists_complete(&[]).await;
        let mut found = tool::find(&inside, &args.what, max_name, &client);
        found.iter_mut().for_each(|tool| tool.meet(&live));
        if found.is_empty() {
            return unknown(&inside, &args.what, max_name, &client);
        }
        if args.json {
            let tools: Vec<_> = found.iter().map(tool::Explanation::to_json).collect();
            exit::print_json(&json!({ "schema": 1, "tools": tools }));
        } else {
            let pages: Vec<String> = found.iter().map(|tool| tool.render(Paint::stdout())).collect();
            exit::print_out(&pages.join("\n\n"));
        }
        exit::OK
    })
}

/// A client of this name, as it would come.
fn client(config: &Config, name: &str) -> Client {
    let has_token =
        config.http.as_ref().is_ok_and(|http| http.tokens.iter().any(|(token, _)| token.as_str() == name));
    let info = ClientInfo { name: name.to_owned(), version: None, over_http: has_token };
    let profile = config.profile_of(Some(name).filter(|_| has_token)).cloned();
    Client { token: has_token.then(|| name.into()), profile, info: Arc::new(info) }
}

fn explain_code(code: Code, as_json: bool) -> Exit {
    if as_json {
        let value = json!({
            "schema": 1,
            "code": code.id(),
            "title": code.title(),
            "explanation": code.explanation(),
        });
        exit::print_json(&value);
    } else {
        let id = Paint::stdout().bold(code.id());
        exit::print_out(&format!("{id}: {}\n\n{}", code.title(), code.explanation()));
    }
    exit::OK
}

fn explain_ours(as_json: bool) -> Exit {
    const TEXT: &str = "a tool of Switchboard itself: it says which servers are down, why, and what mends it";
    if as_json {
        let tool = json!({ "name": STATUS_TOOL, "shown": true, "server": null, "reasons": [TEXT] });
        exit::print_json(&json!({ "schema": 1, "tools": [tool] }));
    } else {
        exit::print_out(&format!("{}\n  {TEXT}", Paint::stdout().bold(STATUS_TOOL)));
    }
    exit::OK
}

fn unknown(inside: &Inside, name: &str, max_name: usize, client: &Client) -> Exit {
    if inside.entry(name).is_some() {
        exit::print_err(&format!(
            "error: `{name}` is a server, not a tool; see `switchboard check {name}` and `switchboard tools {name}`"
        ));
        return exit::NOT_FOUND;
    }
    let servers = inside.registry.servers();
    let left_out = servers.entries().iter().map(Entry::name).find(|server| {
        let rest = name.strip_prefix(&slug(server.as_str())).unwrap_or_default();
        rest.starts_with("__") && servers.config().left_out_by(server.as_str()).is_some()
    });
    if let Some((server, profile)) = left_out.zip(servers.config().profile.as_ref()) {
        exit::print_err(&format!("note: the profile `{}` leaves out the server `{server}`", profile.name));
    }
    let catalog = inside.registry.catalog();
    let mut names: Vec<String> = catalog.tools().iter().map(|tool| tool.exposed.to_string()).collect();
    for backend in inside.registry.backends() {
        names.extend(tool::originals(inside, &backend));
    }
    let near = near(name, names.iter().map(String::as_str));
    let alike = did_you_mean(&near);
    exit::print_err(&format!("error: there is no tool and no code `{name}`{alike}"));
    for name in &near {
        for tool in tool::find(inside, name, max_name, client) {
            if let Some(why) = tool.why_hidden() {
                exit::print_err(&format!("note: `{name}` is not shown: {why}"));
            }
        }
    }
    inside.note_missing();
    exit::NOT_FOUND
}
