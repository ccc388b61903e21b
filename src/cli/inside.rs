//! A Switchboard inside this process, with a client of our own on it: how `tools`, `call`, `check` and `explain` see
//! exactly what an AI client would.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::app::Switchboard;
use crate::backend::Backend;
use crate::cli::client::Client;
use crate::cli::exit::{self, Exit};
use crate::cli::suggest::{did_you_mean, near};
use crate::cli::terminal::Paint;
use crate::cli::{Global, runtime, serve};
use crate::config::{self, Config, Entry, Environment, Loaded, Locations, Problem, Settings, Severity};
use crate::policy::Policies;
use crate::registry::Registry;
use crate::status::{self, Level, Report};
use crate::telemetry::Logs;

/// How much the pipe between us and the Switchboard holds, in bytes.
const PIPE: usize = 64 * 1024;
/// What fetching the lists may take after a handshake.
const LISTING: Duration = Duration::from_secs(10);
/// Nothing is said about waiting before this.
const QUIET: Duration = Duration::from_secs(1);

/// The config and everything else that is known before anything runs.
pub struct Setup {
    /// The config and its problems.
    pub loaded: Loaded,
    /// Where it was found.
    pub locations: Locations,
    logs: Logs,
}

/// By which profile a command sees the servers.
#[derive(Debug, Default, clap::Args)]
pub struct Selected {
    /// See only the servers and tools of this profile of the config
    #[arg(long, value_name = "PROFILE")]
    profile: Option<String>,
}

impl Selected {
    /// The name of the profile, if one is wanted.
    pub fn name(&self) -> Option<&str> {
        self.profile.as_deref()
    }
}

/// A running Switchboard.
pub struct Inside {
    /// The client on it; the handshake is done.
    pub client: Client,
    /// Its servers.
    pub registry: Arc<Registry>,
    /// Every setting with its place.
    pub settings: Settings,
}

impl Setup {
    /// Reads the config. What servers and rooms log stays quiet: the commands say themselves what is wrong.
    pub fn read(global: &Global) -> Self {
        Self::read_for(global, &Selected::default())
    }

    /// The same as a client with this profile sees it.
    pub fn read_for(global: &Global, selected: &Selected) -> Self {
        let environment = Environment::process();
        let locations = config::locate(global.config.as_deref(), &environment);
        let logs = serve::quiet_logs(global, &environment);
        let mut loaded = config::load_for(&locations, &environment, selected.name());
        loaded.problems.extend(policy_problems(&loaded.config));
        Self { loaded, locations, logs }
    }

    /// Says what is wrong with a config that leaves nothing to work with, or lacks the profile that is wanted; `None` if there is
    /// something.
    pub fn refuse_empty(&self) -> Option<Exit> {
        let config = &self.loaded.config;
        let lacks_profile =
            config.profile.as_ref().is_some_and(|profile| config.profile_named(&profile.name).is_none());
        let nothing =
            config.servers.is_empty() && (self.loaded.has_errors() || self.locations.config.is_none());
        if !nothing && !lacks_profile {
            return None;
        }
        for problem in &self.loaded.problems {
            exit::print_err(&problem.render(Paint::stderr().is_on()));
        }
        if nothing {
            exit::print_err("\nTo see Switchboard at work without a config: switchboard demo");
        }
        Some(exit::BAD_CONFIG)
    }

    /// Says on stderr what is wrong with the config as a whole; what concerns one server is told with that server.
    pub fn mention_problems(&self) {
        let errors = self.loaded.problems.iter().filter(|problem| problem.severity == Severity::Error);
        for problem in errors.filter(|problem| problem.server.is_none()) {
            exit::print_err(&problem.to_string());
        }
    }

    /// Refuses names that no entry of the config has.
    pub fn refuse_unknown(&self, names: &[String]) -> Option<Exit> {
        let config = &self.loaded.config;
        for name in names {
            if let Some(profile) = config.left_out_by(name) {
                exit::print_err(&format!(
                    "error: the profile `{}` leaves out the server `{name}`",
                    profile.name
                ));
                return Some(exit::NOT_FOUND);
            }
        }
        let mut unknown = names.iter().filter(|name| config.entry(name).is_none()).peekable();
        unknown.peek()?;
        for name in unknown {
            let known = config.servers.iter().map(|entry| entry.name().as_str());
            let near = did_you_mean(&near(name, known));
            exit::print_err(&format!("error: there is no server `{name}` in the config{near}"));
        }
        Some(exit::NOT_FOUND)
    }

    /// Leaves out all servers but these, so that no other is started; without names, all stay.
    ///
    /// Names of tools depend on their own server alone, unless a server without prefix takes part: then all stay.
    pub fn keep_only(&mut self, names: &[String]) {
        let config = &mut self.loaded.config;
        if names.is_empty() || config.ready().any(|server| server.prefix.is_empty()) {
            return;
        }
        config.servers.retain(|entry| names.iter().any(|name| entry.name().as_str() == name));
    }

    /// Runs a Switchboard while `work` uses it, and ends it in order.
    pub fn run(self, work: impl AsyncFnOnce(Inside) -> Exit) -> Exit {
        let Self { loaded, locations, logs } = self;
        locations.make_state();
        let runtime = match runtime::start() {
            Ok(runtime) => runtime,
            Err(exit) => return exit,
        };
        let exit = runtime.block_on(async {
            let settings = loaded.settings.clone();
            let switchboard = Switchboard::builder(loaded).state(locations.state).build();
            let registry = Arc::clone(switchboard.registry());
            let (ours, theirs) = tokio::io::duplex(PIPE);
            let (input, output) = tokio::io::split(theirs);
            let (interrupt, interrupted) = oneshot::channel::<i32>();
            let signal = async move {
                match interrupted.await {
                    Ok(signal) => signal,
                    Err(_) => std::future::pending().await,
                }
            };
            let serving = tokio::spawn(switchboard.serve(input, output, signal));
            let work = async {
                let mut client = Client::new(ours);
                match client.introduce().await {
                    Ok(()) => work(Inside { client, registry, settings }).await,
                    Err(error) => {
                        exit::print_err(&format!("error: Switchboard did not answer: {error}"));
                        exit::FAILED
                    }
                }
            };
            let exit = tokio::select! {
                exit = work => exit,
                Ok(()) = tokio::signal::ctrl_c() => {
                    let _ = interrupt.send(2);
                    exit::INTERRUPTED
                }
            };
            let _ = serving.await;
            exit
        });
        runtime.shutdown_background();
        drop(logs);
        exit
    }
}

impl Inside {
    /// Waits until every server of these (all, if there are none) has shown what it has, now or earlier, or cannot.
    pub async fn lists_complete(&self, only: &[String]) {
        let wanted = |backend: &&Arc<Backend>| {
            only.is_empty() || only.iter().any(|name| backend.name().as_str() == name)
        };
        let backends = self.registry.backends();
        let servers: Vec<&Arc<Backend>> = backends.iter().filter(wanted).collect();
        let unknown = servers.iter().filter(|backend| !self.registry.is_settled(backend.name()));
        let patience = unknown.map(|backend| backend.config().timeouts.start).max().unwrap_or_default();
        let settled = |backend: &Backend| settled(&self.registry, backend);
        self.wait(&servers, Instant::now() + patience + LISTING, settled).await;
    }

    /// Waits until `done` is true of all these servers, or until the deadline; says so if somebody watches.
    pub async fn wait(&self, servers: &[&Arc<Backend>], deadline: Instant, done: impl Fn(&Backend) -> bool) {
        let mut changes = self.registry.changes();
        let mut line = WaitingLine::new();
        let mut tick = tokio::time::interval(Duration::from_millis(100));
        loop {
            let count = servers.iter().filter(|backend| done(backend)).count();
            if count == servers.len() || Instant::now() >= deadline {
                return;
            }
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                _ = tick.tick() => line.show(count, servers.len()),
                () = tokio::time::sleep_until(deadline) => {}
            }
        }
    }

    /// The servers that have nothing to show although they should, and why.
    pub fn missing(&self) -> Vec<Report> {
        let is_missing = |report: &Report| {
            report.level != Level::Disabled
                && self.registry.offering(&report.server.as_str().into()).is_none()
        };
        status::reports(&self.registry).into_iter().filter(is_missing).collect()
    }

    /// Says on stderr which servers of these (all, if there are none) are missing; true if any is.
    pub fn mention_missing(&self, only: &[String]) -> bool {
        let missing = self.missing();
        let mut any = false;
        for report in missing.iter().filter(|report| only.is_empty() || only.contains(&report.server)) {
            exit::print_err(&format!("warning: {}", why_missing(report)));
            any = true;
        }
        any
    }

    /// Says on stderr, in one line, of which servers nothing is known: what was not found may be theirs.
    pub fn note_missing(&self) {
        let missing = self.missing();
        if !missing.is_empty() {
            let names: Vec<&str> = missing.iter().map(|report| report.server.as_str()).collect();
            let names = names.join(", ");
            exit::print_err(&format!("note: nothing is known of {names}; `switchboard check` says why"));
        }
    }

    /// The entry of the config with this name.
    pub fn entry(&self, server: &str) -> Option<Entry> {
        self.registry.servers().config().entry(server).cloned()
    }
}

/// What is wrong with the policies that the config names.
pub fn policy_problems(config: &Config) -> Vec<Problem> {
    Policies::open(config).map(|policies| policies.problems()).unwrap_or_default()
}

/// Why a server has nothing to show, as one line.
pub fn why_missing(report: &Report) -> String {
    match &report.failure {
        Some(failure) => failure.clone().of(&report.server.as_str().into()).to_string(),
        None => format!("server `{}`: it has not shown what it has yet ({})", report.server, report.state),
    }
}

/// Whether a server has shown what it has, now or earlier, or cannot.
fn settled(registry: &Registry, backend: &Backend) -> bool {
    registry.is_settled(backend.name()) || registry.has_given_up(backend.name())
}

/// A line on a terminal that says what we wait for. It is gone when it is dropped.
struct WaitingLine {
    since: Instant,
    watched: bool,
    turns: usize,
}

impl WaitingLine {
    const FRAMES: [&str; 4] = ["⠋", "⠙", "⠸", "⠴"];

    fn new() -> Self {
        Self { since: Instant::now(), watched: std::io::stderr().is_terminal(), turns: 0 }
    }

    fn show(&mut self, done: usize, all: usize) {
        if !self.watched || self.since.elapsed() < QUIET {
            return;
        }
        let frame = Self::FRAMES[self.turns % Self::FRAMES.len()];
        self.turns += 1;
        let seconds = self.since.elapsed().as_secs();
        let left = all - done;
        let _ = write!(std::io::stderr(), "\r\x1b[K{frame} starting {left} of {all} servers… {seconds} s");
    }
}

impl Drop for WaitingLine {
    fn drop(&mut self) {
        if self.turns > 0 {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
