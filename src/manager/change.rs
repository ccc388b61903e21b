//! One change: the config is made anew with it, judged, and put in force as a whole.

use std::sync::PoisonError;

use serde_json::Value;

use super::watch;
use super::{Actor, Event, Fault, Keep, Manager, write};
use crate::config::{Config, Entry, Loaded, Problem, Recipe, Severity};
use crate::failure::Code;
use crate::names::ServerName;
use crate::policy::Policies;
use crate::registry::Changes;

/// What somebody wants of a server.
#[derive(Debug)]
pub(super) enum Wish {
    Register(Value),
    Update(Value),
    Unregister,
    Switch(bool),
}

impl Wish {
    /// The word for it in logs.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Wish::Register(_) => "register",
            Wish::Update(_) => "update",
            Wish::Unregister => "unregister",
            Wish::Switch(true) => "enable",
            Wish::Switch(false) => "disable",
        }
    }
}

impl Manager {
    /// Makes a change, and notes it whatever comes of it.
    pub(super) async fn make(
        &self,
        who: &Actor,
        name: &str,
        keep: Keep,
        wish: Wish,
    ) -> Result<Changes, Fault> {
        let word = wish.word();
        let made = self.try_make(name, keep, wish).await;
        self.note(who, word, name, made.as_ref().map(drop));
        if let Ok(changes) = &made {
            self.tell(changes);
        }
        made
    }

    async fn try_make(&self, name: &str, keep: Keep, wish: Wish) -> Result<Changes, Fault> {
        let mut turn = self.recipe.lock().await;
        self.expect(name, &wish)?;
        let needs_server = !matches!(wish, Wish::Unregister | Wish::Switch(false));
        let recipe = turn.clone();
        let is_written = keep == Keep::Config && write::concerns(&recipe, name, &wish);
        let (loaded, edited) = {
            let name = name.to_owned();
            blocking(move || match is_written {
                true => {
                    write::edited(&recipe, &name, &wish).map(|(recipe, draft)| (recipe.load(), Some(draft)))
                }
                false => Ok((said(recipe, &name, wish).load(), None)),
            })
            .await??
        };
        if edited.is_some() {
            self.judge_file(&loaded)?;
        }
        if needs_server {
            judge_entry(name, &loaded)?;
        }
        if let Some(draft) = edited {
            let path = loaded.recipe.path().map(ToOwned::to_owned);
            blocking(move || write::save(path.as_deref(), &draft)).await??;
        }
        Ok(self.put_in_force(&mut turn, loaded))
    }

    /// Whether there is such a server, as the wish needs it.
    fn expect(&self, name: &str, wish: &Wish) -> Result<(), Fault> {
        let known = self.entry(&self.registry().servers(), name).map(drop);
        match wish {
            Wish::Register(_) if known.is_ok() => Err(Fault::exists(name)),
            Wish::Register(_) => Ok(()),
            _ => known,
        }
    }

    /// Reads the file anew; see [`Manager::reload`].
    pub(super) async fn read_anew(&self, who: &Actor) -> Result<Changes, Fault> {
        let mut turn = self.recipe.lock().await;
        let recipe = turn.clone();
        let loaded = blocking(move || recipe.reread().load()).await?;
        self.watch_files(&loaded);
        if let Err(fault) = self.judge_file(&loaded) {
            self.note(who, "reload", "", Err(&fault));
            self.refuse(&fault);
            return Err(fault);
        }
        self.registry().set_refused(Vec::new());
        let changes = self.put_in_force(&mut turn, loaded);
        if !changes.is_empty() {
            self.note(who, "reload", "", Ok(()));
            self.tell(&changes);
            self.send(Event::Reloaded { changes: changes.clone() });
        }
        Ok(changes)
    }

    /// Lets whoever looks know what is wrong with the file.
    fn refuse(&self, fault: &Fault) {
        for problem in &fault.problems {
            tracing::error!(
                event = "config.refused",
                "config: {}; what was in force stays",
                problem.one_line()
            );
        }
        self.registry().set_refused(fault.problems.clone());
        self.send(Event::Refused { problems: fault.problems.clone() });
    }

    /// See [`Manager::restart`].
    pub(super) async fn start_anew(&self, who: &Actor, name: &str) -> Result<(), Fault> {
        let _turn = self.recipe.lock().await;
        let done = self.try_start_anew(name);
        self.note(who, "restart", name, done.as_ref().map(drop));
        self.send(Event::Restarted { server: done? });
        Ok(())
    }

    fn try_start_anew(&self, name: &str) -> Result<ServerName, Fault> {
        match self.entry(&self.registry().servers(), name)? {
            Entry::Ready(server) => match self.registry().restart(&server.name) {
                true => Ok(server.name.clone()),
                false => Err(Fault::ending()),
            },
            Entry::Disabled { .. } => {
                let problem = Problem::new(Severity::Error, Code::ManageInvalid, "it is switched off");
                Err(Fault::invalid(&format!("server `{name}`"), vec![problem.suggest("enable it first")]))
            }
            Entry::LeftOut { .. } => Err(Fault::invalid(
                &format!("server `{name}`"),
                vec![left_out(self.registry().servers().config())],
            )),
            Entry::NeedsConfig { problem, .. } | Entry::Broken { problem, .. } => {
                Err(Fault::invalid(&format!("server `{name}`"), vec![problem.clone()]))
            }
        }
    }

    /// The moment of change. Nothing waits in it.
    fn put_in_force(&self, turn: &mut Recipe, loaded: Loaded) -> Changes {
        self.watch_files(&loaded);
        for problem in &loaded.problems {
            tracing::debug!("config: {}", problem.one_line());
        }
        let Loaded { config, problems, recipe, .. } = loaded;
        let is_said = |entry: &&Entry| recipe.said_entry(entry.name().as_str()).is_some();
        let running = config.servers.iter().filter(is_said).map(|entry| entry.name().clone()).collect();
        *turn = recipe;
        let changes = self.registry().apply(config, problems);
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        changes.added.iter().for_each(|server| memory.registered(server));
        let changed = changes.restarted.iter().chain(&changes.adjusted);
        let changed = changed.chain(&changes.enabled).chain(&changes.disabled);
        changed.for_each(|server| memory.changed(server));
        changes.removed.iter().for_each(|server| memory.removed(server));
        memory.set_running(running);
        changes
    }

    fn watch_files(&self, loaded: &Loaded) {
        let mut files = watch::files(&loaded.recipe, loaded.files.clone());
        // Policies that are missing or wrong keep a config from being put in force.
        let policy = loaded.config.policy.as_ref().ok().and_then(Option::as_ref);
        files.extend(policy.map(|policy| policy.path.clone()));
        *self.watched.lock().unwrap_or_else(PoisonError::into_inner) = files;
    }

    /// A file with a new error is not put in force. What only waits for a variable or a file to appear is none, as long as no
    /// server that is served now would be lost by it; nor is what has been wrong, and left out, since it was put in force.
    fn judge_file(&self, loaded: &Loaded) -> Result<(), Fault> {
        let servers = self.registry().servers();
        let is_served = |name: &ServerName| servers.lane(name).is_some();
        let is_grave = |problem: &&Problem| {
            let only_waits = problem.code == Code::ConfigUnset
                && problem.server.as_ref().is_some_and(|server| !is_served(server));
            let is_known = || {
                let same = |known: &Problem| {
                    (known.code, &known.server) == (problem.code, &problem.server)
                        && known.message == problem.message
                };
                servers.problems().iter().any(same)
            };
            problem.severity == Severity::Error && !only_waits && !is_known()
        };
        let mut grave: Vec<Problem> = loaded.problems.iter().filter(is_grave).cloned().collect();
        if loaded.config.policy.as_ref().ok() != servers.config().policy.as_ref().ok() {
            let policies = Policies::open(&loaded.config);
            let problems = policies.map(|policies| policies.problems()).unwrap_or_default();
            grave.extend(problems.into_iter().filter(|problem| problem.severity == Severity::Error));
        }
        if grave.is_empty() { Ok(()) } else { Err(Fault::invalid("the config file", grave)) }
    }

    /// Tells of every server that has changed.
    fn tell(&self, changes: &Changes) {
        for server in &changes.added {
            self.send(Event::Registered { server: server.clone() });
        }
        for (servers, restarts) in [(&changes.restarted, true), (&changes.adjusted, false)] {
            for server in servers {
                self.send(Event::Changed { server: server.clone(), restarts });
            }
        }
        for server in &changes.enabled {
            self.send(Event::Enabled { server: server.clone() });
        }
        for server in &changes.disabled {
            self.send(Event::Disabled { server: server.clone() });
        }
        for server in &changes.removed {
            self.send(Event::Removed { server: server.clone() });
        }
    }

    pub(super) fn send(&self, event: Event) {
        // Nobody may be there to hear it.
        let _ = self.events.send(event);
    }
}

/// The recipe with what was said, for this run.
fn said(mut recipe: Recipe, name: &str, wish: Wish) -> Recipe {
    match wish {
        Wish::Register(entry) | Wish::Update(entry) => recipe.say(name, entry),
        Wish::Unregister => recipe.say_removed(name),
        Wish::Switch(on) => recipe.say_enabled(name, on),
    }
    recipe
}

/// Whether the server of this name can be served, or is switched off by its own word.
fn judge_entry(name: &str, loaded: &Loaded) -> Result<(), Fault> {
    let is_usable = matches!(loaded.config.entry(name), Some(Entry::Ready(_) | Entry::Disabled { .. }));
    if is_usable {
        return Ok(());
    }
    if loaded.config.left_out_by(name).is_some() {
        return Err(Fault::invalid(&format!("the entry of `{name}`"), vec![left_out(&loaded.config)]));
    }
    let is_its = |problem: &&Problem| problem.server.as_ref().is_some_and(|server| server.as_str() == name);
    let problems = loaded.problems.iter().filter(is_its).cloned().collect();
    Err(Fault::invalid(&format!("the entry of `{name}`"), problems))
}

/// Why a server that the profile in force leaves out is not served.
fn left_out(config: &Config) -> Problem {
    let profile = config.profile.as_ref().map(|profile| profile.name.to_string()).unwrap_or_default();
    let message = format!("the profile in force, `{profile}`, leaves it out");
    Problem::new(Severity::Error, Code::ManageInvalid, message)
        .suggest("name it, or one of its categories, in the profile")
}

/// Does what blocks on another thread.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Fault> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Fault::ending())
}
