//! `switchboard serve`: what an AI client runs.

use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;

use crate::admin::{Surroundings, Tending};
use crate::app::{Builder, Clients, Ended, Switchboard, serve_http, serve_stdio};
use crate::cli::inside::{Selected, policy_problems};
use crate::cli::{Global, exit, runtime};
use crate::config::{self, Environment};
use crate::failure::Failure;
use crate::frontend::http::{Face, Settings};
use crate::frontend::stdio::{Stdio, is_held};
use crate::telemetry::{self, LogOptions};

/// Arguments of `serve`.
#[derive(Debug, Default, clap::Args)]
pub struct ServeArgs {
    /// End with code 78 if anything in the config is wrong, instead of serving what is right
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    selected: Selected,
    /// Serve over HTTP at this address instead of on stdin and stdout [default: `http.listen` of the config]
    #[arg(long, value_name = "ADDR", num_args = 0..=1, value_parser = config::parse_listen)]
    pub http: Option<Option<SocketAddr>>,
}

/// Serves until the client leaves or a signal comes.
pub fn run(global: &Global, args: &ServeArgs) -> ExitCode {
    let environment = Environment::process();
    let locations = config::locate(global.config.as_deref(), &environment);
    locations.make_state();
    let logs = telemetry::start(&LogOptions {
        filter: log_filter(global, &environment),
        stderr_default: "warn",
        folder: Some(&locations.state.join("logs")),
    });
    let mut loaded = config::load_for(&locations, &environment, args.selected.name());
    if args.strict {
        loaded.problems.extend(policy_problems(&loaded.config));
    }
    if args.strict && loaded.has_errors() {
        for problem in &loaded.problems {
            exit::print_err(&problem.render(false));
        }
        return exit::BAD_CONFIG.into();
    }
    // A face whose rules cannot be read is not opened with others.
    let face = match (args.http, loaded.config.http.clone()) {
        (None, _) => None,
        (Some(listen), Ok(config)) => Some(Settings { config, listen, ..Settings::default() }),
        (Some(_), Err(problem)) => {
            exit::print_err(&problem.render(false));
            return exit::BAD_CONFIG.into();
        }
    };
    let runtime = match runtime::start() {
        Ok(runtime) => runtime,
        Err(exit) => return exit.into(),
    };
    // A block that cannot be read opens nothing; what is wrong with it is among the problems of the config.
    let admin = loaded.config.admin.clone().unwrap_or_default();
    let around = Surroundings {
        state: Some(locations.state.clone()),
        config: locations.config.clone(),
        allow_stdio_register: admin.allow_stdio_register,
    };
    let tend = |switchboard: &Switchboard| {
        let opened = |place: &str| exit::print_err(&format!("administration at {place}"));
        switchboard.tend(admin, around, opened)
    };
    let ended = runtime.block_on(async {
        let builder = Switchboard::builder(loaded).state(locations.state.clone()).follow_config();
        match face {
            Some(settings) => over_http(builder, settings, tend).await,
            None => {
                let stdio = Stdio::take()?;
                let switchboard = builder.build();
                let tending = tend(&switchboard);
                serve_stdio(switchboard, stdio, tending).await.map(Ok)
            }
        }
    });
    // A thread may be stuck reading a terminal; nobody waits for it.
    runtime.shutdown_background();
    drop(logs);
    match ended {
        Ok(Ok(Ended::ClientLeft)) => ExitCode::SUCCESS,
        Ok(Ok(Ended::Signal(2))) => ExitCode::from(130),
        Ok(Ok(Ended::Signal(_))) => ExitCode::SUCCESS,
        Ok(Err(failure)) => {
            exit::print_err(&format!("error: {failure}"));
            exit::FAILED.into()
        }
        Err(error) => {
            exit::print_err(&format!("error: stdin or stdout cannot be used: {error}"));
            exit::FAILED.into()
        }
    }
}

/// Over HTTP many clients are served, and beside them the one on our stdin, if somebody holds its other end.
async fn over_http(
    builder: Builder,
    settings: Settings,
    tend: impl FnOnce(&Switchboard) -> Tending,
) -> io::Result<Result<Ended, Failure>> {
    let stdio = if is_held(&io::stdin()) { Some(Stdio::take()?) } else { None };
    let switchboard = builder.clients(Clients::Many).build();
    let face = match Face::bind(settings, switchboard.front()).await {
        Ok(face) => face,
        Err(failure) => return Ok(Err(failure)),
    };
    exit::print_err(&format!("serving MCP at http://{}/mcp", face.local_addr()));
    let tending = tend(&switchboard);
    serve_http(switchboard, face, stdio, tending).await.map(Ok)
}

/// The logs of a command that says itself what is wrong: nothing of them is shown unless somebody asks for it.
pub fn quiet_logs(global: &Global, environment: &Environment) -> telemetry::Logs {
    telemetry::start(&LogOptions {
        filter: log_filter(global, environment),
        stderr_default: "off",
        folder: None,
    })
}

/// The flag, else our variable, else everybody's.
fn log_filter(global: &Global, environment: &Environment) -> Option<String> {
    let named = |name| environment.get(name).filter(|value| !value.is_empty()).map(str::to_owned);
    global.log_level.clone().or_else(|| named("SWITCHBOARD_LOG")).or_else(|| named("RUST_LOG"))
}
