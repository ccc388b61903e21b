//! The manager: puts servers in, changes them, takes them out, and follows the config file, while calls are in flight.
//!
//! In come wishes of people and programs, each from an [`Actor`]; out goes what has changed, as an answer, an [`Event`], a line
//! of the log and an entry of the audit log. Every face (REST, discovery, a program of one's own) uses this one interface. A
//! change is always made in the same way: the whole config is made anew from its [recipe](crate::config::Recipe), and the
//! registry gets it as a whole, so that an entry means the same wherever it comes from. It never looks at a call.

mod change;
mod event;
mod fault;
mod health;
mod herald;
mod info;
mod note;
mod watch;
mod write;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};

use serde_json::Value;
use tokio::sync::{Mutex as Turn, broadcast};

use crate::config::Recipe;
use crate::names::ServerName;
use crate::registry::{Changes, Registry};

pub use event::Event;
pub use fault::Fault;
pub use health::Health;
pub use info::ServerInfo;

use change::Wish;
use info::Memory;

/// So many events are kept for whoever reads them too slowly; the oldest are lost to him.
const EVENTS: usize = 256;

/// Who wants something, as the audit log tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// The name: of a token, a user, a program.
    pub name: String,
    /// Through what he came: `rest`, `config file`, `discovery`, `program`.
    pub via: &'static str,
}

impl Actor {
    /// This one.
    pub fn new(name: impl Into<String>, via: &'static str) -> Self {
        Self { name: name.into(), via }
    }
}

/// For how long a change counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// As long as this Switchboard runs. The config file stays as it is.
    Running,
    /// For good: it is written into the config file too, whose comments and layout stay.
    Config,
}

/// See the module. Changes are made one after the other, each whole or not at all. Whoever drops the future of one does not know which; a
/// change that stands in the config file already is put in force by the next reload then.
#[derive(Debug)]
pub struct Manager {
    registry: Arc<Registry>,
    /// What the config in force is made of. Whoever has it makes a change; the others wait.
    recipe: Turn<Recipe>,
    /// The files to be watched: as many as the config that was tried last was made of.
    watched: Mutex<Vec<PathBuf>>,
    memory: Mutex<Memory>,
    events: broadcast::Sender<Event>,
    /// Whether somebody tells of states.
    tells_states: OnceLock<()>,
}

impl Manager {
    /// Manages the servers of this registry, which were made of this recipe.
    pub(crate) fn new(registry: Arc<Registry>, recipe: Recipe, files: Vec<PathBuf>) -> Arc<Self> {
        let watched = Mutex::new(watch::files(&recipe, files));
        let (events, _) = broadcast::channel(EVENTS);
        Arc::new(Self {
            registry,
            recipe: Turn::new(recipe),
            watched,
            memory: Mutex::new(Memory::new()),
            events,
            tells_states: OnceLock::new(),
        })
    }

    /// The live set of servers.
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// What changes from now on. Who reads too slowly loses the oldest ([`broadcast::error::RecvError::Lagged`]).
    pub fn events(self: &Arc<Self>) -> broadcast::Receiver<Event> {
        self.tell_states();
        self.events.subscribe()
    }

    /// Adds a server. `entry` is what would stand under its name in `servers:` of the config file, with all the same keys.
    ///
    /// # Errors
    /// [`ManageExists`](crate::failure::Code::ManageExists), [`ManageInvalid`](crate::failure::Code::ManageInvalid), or
    /// [`ManageUnwritable`](crate::failure::Code::ManageUnwritable).
    pub async fn register(
        &self,
        who: &Actor,
        name: &str,
        entry: Value,
        keep: Keep,
    ) -> Result<ServerName, Fault> {
        self.make(who, name, keep, Wish::Register(entry)).await?;
        Ok(name.into())
    }

    /// Gives a server another entry. It is started anew if that is needed; calls in flight are answered by the one that was.
    ///
    /// # Errors
    /// [`ManageUnknown`](crate::failure::Code::ManageUnknown), or as [`register`](Self::register).
    pub async fn update(
        &self,
        who: &Actor,
        name: &str,
        entry: Value,
        keep: Keep,
    ) -> Result<ServerName, Fault> {
        self.make(who, name, keep, Wish::Update(entry)).await?;
        Ok(name.into())
    }

    /// Takes a server out. Its tools are gone at once; calls in flight are answered.
    ///
    /// # Errors
    /// [`ManageUnknown`](crate::failure::Code::ManageUnknown), [`ManageUnwritable`](crate::failure::Code::ManageUnwritable).
    pub async fn unregister(&self, who: &Actor, name: &str, keep: Keep) -> Result<(), Fault> {
        self.make(who, name, keep, Wish::Unregister).await.map(drop)
    }

    /// Switches a server on.
    ///
    /// # Errors
    /// [`ManageUnknown`](crate::failure::Code::ManageUnknown), or as [`register`](Self::register).
    pub async fn enable(&self, who: &Actor, name: &str, keep: Keep) -> Result<(), Fault> {
        self.make(who, name, keep, Wish::Switch(true)).await.map(drop)
    }

    /// Switches a server off: it shows nothing and is not started, but is still known.
    ///
    /// # Errors
    /// As [`enable`](Self::enable).
    pub async fn disable(&self, who: &Actor, name: &str, keep: Keep) -> Result<(), Fault> {
        self.make(who, name, keep, Wish::Switch(false)).await.map(drop)
    }

    /// Ends a server in order and starts it anew. Calls in flight are answered by the one that was.
    ///
    /// # Errors
    /// [`ManageUnknown`](crate::failure::Code::ManageUnknown); [`ManageInvalid`](crate::failure::Code::ManageInvalid) if it is
    /// switched off or its entry cannot be used.
    pub async fn restart(&self, who: &Actor, name: &str) -> Result<(), Fault> {
        self.start_anew(who, name).await
    }

    /// Reads the config file anew and does what has changed in it. What was registered for this run stays.
    ///
    /// # Errors
    /// [`ManageInvalid`](crate::failure::Code::ManageInvalid): the file cannot be used as it is; nothing has changed. The
    /// [problems](Fault::problems) say what and where.
    pub async fn reload(&self, who: &Actor) -> Result<Changes, Fault> {
        self.read_anew(who).await
    }

    /// Follows the config file, and the files that its values come from, until the end.
    pub(crate) fn follow(self: &Arc<Self>) {
        watch::begin(self);
    }
}
