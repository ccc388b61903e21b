//! `switchboard auth …`: logs in to servers, out of them, and says how that stands.

mod browser;
mod page;

use std::io::BufRead;
use std::process::ExitCode;

use serde_json::json;
use tokio::sync::mpsc;

use crate::auth::{self, Attempt, AuthStatus, AuthStore, LoginState};
use crate::cli::exit::{self, Exit};
use crate::cli::inside::Setup;
use crate::cli::terminal::Paint;
use crate::cli::{Global, runtime};
use crate::config::{Entry, ServerConfig};
use crate::failure::{Code, Failure};

/// What to do about logins.
#[derive(Debug, clap::Subcommand)]
pub enum AuthCommand {
    /// Log in to a server in your browser
    Login(LoginArgs),
    /// Give a server's login back and forget it
    Logout {
        /// The server
        name: String,
    },
    /// Say how the logins stand; nobody is asked, and no token is shown
    Status(StatusArgs),
}

/// Arguments of `auth login`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 logged in, 1 failed, 5 no such server, 6 not reached, 78 bad config.")]
pub struct LoginArgs {
    /// The server
    name: String,
    /// Do not open a browser, only print the address
    #[arg(long)]
    no_browser: bool,
    /// Ask for this permission too; may be given several times
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
}

/// Arguments of `auth status`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 all well, 4 a login is needed, 5 no such server, 78 bad config.")]
pub struct StatusArgs {
    /// Only this server
    name: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs a command about logins.
pub fn run(global: &Global, command: AuthCommand) -> ExitCode {
    let setup = Setup::read(global);
    let name = match &command {
        AuthCommand::Login(LoginArgs { name, .. }) | AuthCommand::Logout { name } => Some(name.clone()),
        AuthCommand::Status(args) => args.name.clone(),
    };
    let names: Vec<String> = name.into_iter().collect();
    if let Some(exit) = setup.refuse_empty().or_else(|| setup.refuse_unknown(&names)) {
        return exit.into();
    }
    let store = AuthStore::new(&setup.locations.state);
    let exit = match command {
        AuthCommand::Login(args) => {
            with_server(&setup, &args.name, async |server| login(server, &store, &args).await)
        }
        AuthCommand::Logout { name } => {
            with_server(&setup, &name, async |server| logout(server, &store).await)
        }
        AuthCommand::Status(args) => status(&setup, &store, &args),
    };
    exit.into()
}

/// Runs what needs a runtime and a server that can be used.
fn with_server(setup: &Setup, name: &str, work: impl AsyncFnOnce(&ServerConfig) -> Exit) -> Exit {
    let server = match setup.loaded.config.entry(name) {
        Some(Entry::Ready(server)) => server,
        Some(Entry::NeedsConfig { problem, .. } | Entry::Broken { problem, .. }) => {
            exit::print_err(&problem.render(Paint::stderr().is_on()));
            return exit::BAD_CONFIG;
        }
        Some(Entry::Disabled { .. } | Entry::LeftOut { .. }) | None => {
            exit::print_err(&format!("error: the server `{name}` is switched off in the config"));
            return exit::FAILED;
        }
    };
    let runtime = match runtime::start() {
        Ok(runtime) => runtime,
        Err(exit) => return exit,
    };
    let exit = runtime.block_on(async {
        tokio::select! {
            exit = work(server) => exit,
            Ok(()) = tokio::signal::ctrl_c() => exit::INTERRUPTED,
        }
    });
    runtime.shutdown_background();
    exit
}

async fn login(server: &ServerConfig, store: &AuthStore, args: &LoginArgs) -> Exit {
    let attempt = match Attempt::begin(server, store, &args.scopes).await {
        Ok(attempt) => attempt,
        Err(failure) => return failed(&failure),
    };
    let opened = !args.no_browser && browser::open(attempt.url());
    let first = if opened { "Your browser opens this page:" } else { "Open this page in a browser:" };
    exit::print_err(first);
    exit::print_out(attempt.url());
    exit::print_err(
        "If the browser runs on another machine, it ends at a page that it cannot show: paste that page's address here.",
    );
    let mut pasted = lines();
    let refused =
        || exit::print_err("That is not the address of a page of this login; it contains `state=…`.");
    match attempt.finish(&mut pasted, refused).await {
        Ok(()) => match auth::status(server, store) {
            Ok(status) => {
                exit::print_err(&format!("Logged in to `{}`{}.", server.name, page::terms(&status)));
                exit::OK
            }
            Err(failure) => failed(&failure),
        },
        Err(failure) => failed(&failure),
    }
}

async fn logout(server: &ServerConfig, store: &AuthStore) -> Exit {
    match auth::logout(server, store).await {
        Ok(None) => exit::print_err(&format!("There is no login at `{}`.", server.name)),
        Ok(Some(Ok(()))) => exit::print_err(&format!("Logged out of `{}`.", server.name)),
        Ok(Some(Err(failure))) => {
            let why = failure.cause;
            exit::print_err(&format!("Forgot the login at `{}`. It was not given back: {why}.", server.name));
        }
        Err(failure) => return failed(&failure),
    }
    exit::OK
}

fn status(setup: &Setup, store: &AuthStore, args: &StatusArgs) -> Exit {
    let wanted = |server: &&ServerConfig| match &args.name {
        Some(name) => server.name.as_str() == name,
        None => true,
    };
    let mut rows: Vec<(&ServerConfig, Result<AuthStatus, Failure>)> = Vec::new();
    for server in setup.loaded.config.ready().filter(wanted) {
        rows.push((server, auth::status(server, store)));
    }
    if args.json {
        let servers: Vec<_> = rows.iter().map(|(server, status)| page::as_json(server, status)).collect();
        exit::print_json(&json!({ "schema": 1, "servers": servers }));
    } else {
        exit::print_out(&page::render(&rows, args.name.is_some(), Paint::stdout()));
    }
    let states = || rows.iter().filter_map(|(_, status)| status.as_ref().ok()).map(|status| status.state);
    if rows.iter().any(|(_, status)| status.is_err()) {
        exit::FAILED
    } else if states().any(|state| state == LoginState::NeedsLogin)
        || (args.name.is_some() && states().any(|state| state == LoginState::Never))
    {
        exit::NEEDS_LOGIN
    } else {
        exit::OK
    }
}

/// What somebody types. Its thread may wait for ever; nobody waits for it.
fn lines() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if !line.trim().is_empty() && sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

fn failed(failure: &Failure) -> Exit {
    exit::print_err(&format!("error: {failure}"));
    match failure.code {
        Code::NetUnreachable | Code::NetTimeout => exit::TRANSIENT,
        Code::AuthNeedsLogin => exit::NEEDS_LOGIN,
        _ => exit::FAILED,
    }
}
