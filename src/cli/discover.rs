//! `switchboard discover`: looks for servers that are not in the config, shows them, and takes those that are named.

mod page;
pub(super) mod take;

use std::io::{IsTerminal, Write};
use std::time::Duration;

use serde_json::json;

use crate::cli::exit::{self, Exit};
use crate::cli::terminal::{self, Paint};
use crate::cli::{Global, runtime, serve};
use crate::config::{self, CLIENT_NAMES, Environment, parse_duration};
use crate::discovery::{Failed, Finder, Finding, Findings, Outcome, Progress, Wishes};

/// Arguments of `discover`.
#[derive(Debug, Default, clap::Args)]
#[command(
    after_help = "Without --network, --services, --files, --url or --port: what `discovery:` in the config says, else the \
    usual ports of this machine and the configs of all known programs.\n\
    Nothing that is found is run or served before you take it with --add.\n\
    Exit codes: 0 looked everywhere, 1 nothing could be written, 2 usage, 5 --add names something that was not found."
)]
pub struct DiscoverArgs {
    /// Try hosts and ports: those of the config, else ports 8001 to 8005 of this machine
    #[arg(long)]
    network: bool,
    /// Ask service registries: those of the config, and those named by --service
    #[arg(long)]
    services: bool,
    /// Read the configs of other programs: those of the config, else of all that are known
    #[arg(long)]
    files: bool,
    /// A port of this machine to try, instead of the usual ones
    #[arg(long = "port", value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    ports: Vec<u16>,
    /// An address to try: of a host, or of a server
    #[arg(long = "url", value_name = "URL")]
    urls: Vec<String>,
    /// A registry to ask: consul://HOST:8500, etcd://HOST:2379, the https:// address of an MCP registry, or mdns
    #[arg(long = "service", value_name = "REGISTRY")]
    registries: Vec<String>,
    /// A config to read: of a program, by its name (cursor, claude-desktop, …), or a path
    #[arg(long = "file", value_name = "NAME|PATH")]
    paths: Vec<String>,
    /// Ask servers at addresses that an MCP registry lists what they have, too: they are strangers'
    #[arg(long)]
    ask_remotes: bool,
    /// How long one address, registry or file may take
    #[arg(long, value_name = "TIME", value_parser = duration)]
    timeout: Option<Duration>,
    /// Write these servers to the config
    #[arg(long, value_name = "NAME", num_args = 1.., conflicts_with = "add_all")]
    add: Vec<String>,
    /// Write all servers to the config that are new and have no problem
    #[arg(long)]
    add_all: bool,
    /// Print everything as JSON; secrets are hidden
    #[arg(long)]
    json: bool,
}

fn duration(text: &str) -> Result<Duration, String> {
    let fits = |duration: &Duration| !duration.is_zero();
    parse_duration(text).filter(fits).ok_or_else(|| "write a time such as 500ms or 5s".to_owned())
}

/// Looks, shows, and takes what is named.
pub fn run(global: &Global, args: &DiscoverArgs) -> Exit {
    let environment = Environment::process();
    let locations = config::locate(global.config.as_deref(), &environment);
    let logs = serve::quiet_logs(global, &environment);
    let loaded = config::load(&locations, &environment);
    let of_discovery =
        |problem: &&config::Problem| problem.server.is_none() && problem.message.contains("discovery");
    for problem in loaded.problems.iter().filter(of_discovery) {
        exit::print_err(&problem.render(Paint::stderr().is_on()));
    }
    let wishes = wishes(args, loaded.config.discovery.as_ref().map(Wishes::from));
    let finder = Finder::new(environment.clone(), &loaded.config.servers);
    let findings = match search(&finder, &wishes) {
        Ok(findings) => findings,
        Err(exit) => return exit,
    };
    drop(logs);
    let taken = match take::chosen(&args.add, args.add_all, &findings) {
        Ok(chosen) => take::write(&chosen, &locations),
        Err(exit) => return exit,
    };
    match taken {
        Ok(taken) if args.json => exit::print_json(&as_json(&findings, &taken)),
        Ok(taken) => exit::print_out(&page::render(&findings, &taken, &again(), Paint::stdout())),
        Err(exit) => return exit,
    }
    exit::OK
}

/// Looks, and says on stderr how far it is.
///
/// # Errors
/// The search could not begin, or was interrupted.
pub(super) fn search(finder: &Finder, wishes: &Wishes) -> Result<Findings, Exit> {
    let runtime = runtime::start()?;
    let findings = runtime.block_on(async {
        let line = ProgressLine::new();
        tokio::select! {
            findings = finder.run(wishes, |progress| line.show(&progress)) => Some(findings),
            _ = tokio::signal::ctrl_c() => None,
        }
    });
    runtime.shutdown_background();
    findings.ok_or(exit::INTERRUPTED)
}

/// What is looked for: what the arguments say, over what the config says, over what is usual.
fn wishes(args: &DiscoverArgs, config: Option<Wishes>) -> Wishes {
    let names_place = !args.ports.is_empty() || !args.urls.is_empty();
    let names_registry = !args.registries.is_empty();
    let names_file = !args.paths.is_empty();
    let is_bare =
        !(args.network || args.services || args.files || names_place || names_registry || names_file);
    let usual = Wishes { clients: CLIENT_NAMES.map(str::to_owned).into(), ..Wishes::default() };
    let said = config.clone();
    let mut wishes = match (is_bare, config) {
        (true, Some(config)) => config,
        (true, None) => usual.clone(),
        (false, config) => {
            let config = config.unwrap_or_else(Wishes::nothing);
            Wishes {
                network: args.network || names_place,
                services: args.services || names_registry,
                files: args.files || names_file,
                ..config
            }
        }
    };
    if names_place {
        // Whoever names an address means that one.
        wishes.base_urls =
            if args.ports.is_empty() { Vec::new() } else { vec!["http://localhost".to_owned()] };
        wishes.ports.clone_from(&args.ports);
        wishes.urls.clone_from(&args.urls);
    } else if args.network && wishes.base_urls.is_empty() {
        wishes.base_urls.clone_from(&usual.base_urls);
        wishes.ports.clone_from(&usual.ports);
    }
    wishes.service_endpoints.extend(args.registries.iter().cloned());
    if names_file {
        let (clients, paths) =
            args.paths.iter().cloned().partition(|path| CLIENT_NAMES.contains(&path.as_str()));
        wishes.clients = clients;
        wishes.config_paths = Vec::<String>::into_iter(paths).map(Into::into).collect();
    } else if args.files && said.is_none_or(|said| !said.files) {
        wishes.clients = usual.clients;
        wishes.config_paths = usual.config_paths;
    }
    wishes.ask_remotes |= args.ask_remotes;
    if let Some(timeout) = args.timeout {
        wishes.timeout = timeout;
    }
    wishes
}

/// The command that looks at the same places again: what was typed, without what is to be done with the findings.
fn again() -> String {
    let mut words = vec!["switchboard".to_owned()];
    let mut is_name = false;
    for word in std::env::args().skip(1) {
        is_name = word == "--add" || (is_name && !word.starts_with('-'));
        if is_name || word.starts_with("--add") || word == "--json" {
            continue;
        }
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:=@+,%".contains(letter);
        words.push(match word.chars().all(is_plain) && !word.is_empty() {
            true => word,
            false => format!("'{}'", word.replace('\'', "'\\''")),
        });
    }
    words.join(" ")
}

fn as_json(findings: &Findings, taken: &[take::Taken]) -> serde_json::Value {
    json!({
        "schema": 1,
        "servers": findings.servers.iter().map(Finding::to_json).collect::<Vec<_>>(),
        "failed": findings.failed.iter().map(Failed::to_json).collect::<Vec<_>>(),
        "looked_at": findings.looked_at,
        "partial": findings.is_partial,
        "added": taken.iter().map(|taken| &taken.name).collect::<Vec<_>>(),
    })
}

/// How far the search is, on stderr: one line that changes on a terminal; elsewhere a line per place where something is.
struct ProgressLine {
    is_watched: bool,
}

impl ProgressLine {
    fn new() -> Self {
        Self { is_watched: std::io::stderr().is_terminal() }
    }

    fn show(&self, progress: &Progress<'_>) {
        let place = terminal::one_line(progress.place);
        let what = match progress.outcome {
            Outcome::Found(count) => terminal::counted(count, "server"),
            Outcome::Nothing => "nobody".to_owned(),
            Outcome::Failed => "no server that can be used".to_owned(),
        };
        if self.is_watched {
            let line = terminal::cut(
                &format!("[{}/{}] {place}: {what}", progress.done, progress.all),
                terminal::width(),
            );
            let _ = write!(std::io::stderr(), "\r\x1b[K{line}");
        } else if progress.outcome != Outcome::Nothing {
            exit::print_err(&format!("[{}/{}] {place}: {what}", progress.done, progress.all));
        }
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        if self.is_watched {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_go_over_the_config_and_that_over_what_is_usual() {
        let args = DiscoverArgs::default;
        let usual = wishes(&args(), None);
        assert!(usual.network && usual.files && !usual.services && usual.clients.len() == CLIENT_NAMES.len());
        let config = Wishes {
            ports: vec![9000],
            service_endpoints: vec!["mdns".into()],
            services: true,
            ..Wishes::default()
        };
        assert_eq!(wishes(&args(), Some(config.clone())), config);

        let ports = wishes(&DiscoverArgs { ports: vec![1, 2], ..args() }, Some(config.clone()));
        assert!(ports.network && !ports.files && !ports.services);
        assert_eq!((ports.ports, ports.base_urls), (vec![1, 2], vec!["http://localhost".to_owned()]));

        let url = wishes(&DiscoverArgs { urls: vec!["http://a.example".into()], ..args() }, None);
        assert!(url.base_urls.is_empty() && url.urls.len() == 1 && !url.files);

        let network = wishes(&DiscoverArgs { network: true, ..args() }, Some(config.clone()));
        assert_eq!((network.ports, network.files), (vec![9000], false));
        assert_eq!(
            wishes(&DiscoverArgs { network: true, ..args() }, None).ports,
            [8001, 8002, 8003, 8004, 8005]
        );

        let services =
            wishes(&DiscoverArgs { registries: vec!["consul://h".into()], ..args() }, Some(config));
        assert_eq!(services.service_endpoints, ["mdns", "consul://h"]);
        assert!(!services.network);

        let files = wishes(&DiscoverArgs { paths: vec!["cursor".into(), "./x.json".into()], ..args() }, None);
        assert_eq!((files.clients, files.config_paths), (vec!["cursor".to_owned()], vec!["./x.json".into()]));
        assert!(!files.network);
    }
}
