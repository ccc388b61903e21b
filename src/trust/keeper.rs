//! The pins of a running Switchboard: looks at what servers show, remembers it, and says what the catalog should say.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::definition::Definition;
use super::detect::{Finding, Neighbours, Severity, Word, detect, words};
use super::pins::{Pins, Standing};
use super::review::{self, Reason, gives_orders};
use super::store::{Found, PinStore, Stamp};
use super::{diff, identity};
use crate::catalog::{Offering, Part, Remark};
use crate::config::{Answer, DefinitionRules, ServerConfig};
use crate::failure::Code;
use crate::names::ServerName;

/// Names in one line of the log.
const NAMED: usize = 8;

/// Watches over the servers whose config asks for it.
#[derive(Debug)]
pub struct Keeper {
    /// Where pins are kept; without it they last as long as the process.
    store: Option<PinStore>,
    servers: HashMap<ServerName, Arc<Watched>>,
}

#[derive(Debug)]
struct Watched {
    rules: DefinitionRules,
    identity: String,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    pins: Pins,
    /// Of the file that the pins were last compared with; `None` before the first look.
    stamp: Option<Stamp>,
    judged: Vec<Judged>,
    /// Something waits, as far as the last remarks said.
    waits: bool,
    /// What the log has been told.
    told: HashSet<String>,
}

/// An item of a list, as far as it does not depend on other servers.
#[derive(Debug)]
struct Judged {
    index: usize,
    definition: Definition,
    findings: Vec<Finding>,
    words: Vec<Word>,
}

impl Keeper {
    /// Watches those of these servers that ask for it. Nothing is read yet.
    pub fn new<'a>(servers: impl Iterator<Item = &'a ServerConfig>, state: Option<&Path>) -> Self {
        Self { store: state.map(PinStore::new), servers: HashMap::new() }.next(servers)
    }

    /// Watches those of these servers that ask for it. What is known of those that are watched already, by the same rules, stays
    /// known, to both.
    pub fn next<'a>(&self, servers: impl Iterator<Item = &'a ServerConfig>) -> Self {
        let watched = |config: &ServerConfig| {
            let new =
                Watched { rules: config.definitions?, identity: identity(config), state: Mutex::default() };
            let known = self.servers.get(&config.name);
            let known = known.filter(|known| (known.rules, &known.identity) == (new.rules, &new.identity));
            Some((config.name.clone(), known.cloned().unwrap_or_else(|| Arc::new(new))))
        };
        Self { store: self.store.clone(), servers: servers.filter_map(watched).collect() }
    }

    /// Whether both know the same of a server.
    pub fn watches_alike(&self, other: &Self, server: &ServerName) -> bool {
        self.servers.get(server).map(Arc::as_ptr) == other.servers.get(server).map(Arc::as_ptr)
    }

    /// Whether no server asks for anything.
    pub fn is_idle(&self) -> bool {
        self.servers.is_empty()
    }

    /// Whether any server wants findings.
    pub fn wants_neighbours(&self) -> bool {
        self.servers.values().any(|watched| watched.rules.findings != Answer::Allow)
    }

    /// Whether anything waits for somebody, as the last [`remarks`](Self::remarks) said.
    pub fn waits(&self) -> bool {
        self.servers.values().any(|watched| watched.state().waits)
    }

    /// Looks at what a server shows, and pins what was not seen before; true if that is to be [`save`](Self::save)d. Lists
    /// that may be missing (`is_whole` is false) are not taken for empty ones.
    ///
    /// Reads the server's file the first time.
    pub fn look(&self, server: &ServerName, offering: &Offering, is_whole: bool) -> bool {
        let Some(watched) = self.servers.get(server) else { return false };
        let mut state = watched.state();
        if state.stamp.is_none() {
            self.read(server, watched, &mut state);
        }
        let State { pins, judged, .. } = &mut *state;
        let mut gone: HashSet<(Part, String)> =
            judged.drain(..).map(|one| (one.definition.kind, one.definition.name)).collect();
        for kind in Part::ALL {
            for (index, item) in offering.part(kind).enumerate() {
                let Some(definition) = Definition::read(kind, item) else { continue };
                let wanted = watched.rules.findings != Answer::Allow;
                let findings = if wanted { detect(&definition) } else { Vec::new() };
                let words = if wanted { words(&definition) } else { Vec::new() };
                judged.push(Judged { index, definition, findings, words });
            }
        }
        for one in judged.iter() {
            gone.remove(&(one.definition.kind, one.definition.name.clone()));
        }
        if is_whole && !gone.is_empty() {
            let definitions: Vec<String> =
                gone.iter().take(NAMED).map(|(kind, name)| review::title(*kind, name)).collect();
            tracing::info!(event = "definitions.gone", %server, count = gone.len(), definitions = definitions.join(", "), "definitions are gone");
        }
        let asks = watched.rules.changes != Answer::Allow;
        let mut news = false;
        for kind in Part::ALL {
            let list: Vec<&Definition> =
                judged.iter().map(|judged| &judged.definition).filter(|one| one.kind == kind).collect();
            if is_whole || !list.is_empty() {
                news |= pins.see(kind, &list, asks);
            }
        }
        news
    }

    /// Puts on disk what was pinned; true if another process has noted something that makes a difference. Blocks.
    pub fn save(&self, server: &ServerName) -> bool {
        let (Some(store), Some(watched)) = (&self.store, self.servers.get(server)) else { return false };
        let ours = watched.state().pins.clone();
        let kept = store.update(server, &watched.identity, |kept| {
            let before = kept.clone();
            kept.absorb(&ours);
            *kept != before
        });
        let kept = match kept {
            Ok(kept) => kept,
            Err(error) => {
                tracing::warn!(%server, %error, "pinned definitions could not be stored");
                return false;
            }
        };
        let mut state = watched.state();
        state.stamp = Some(store.stamp(server));
        adopt(&mut state, kept)
    }

    /// Looks whether files have changed, as `switchboard approve` changes them; true if that makes a difference.
    pub fn refresh(&self) -> bool {
        let Some(store) = &self.store else { return false };
        let mut differs = false;
        for (server, watched) in &self.servers {
            let mut state = watched.state();
            if state.stamp.as_ref().is_some_and(|known| *known != store.stamp(server)) {
                differs |= self.read(server, watched, &mut state);
            }
        }
        differs
    }

    fn read(&self, server: &ServerName, watched: &Watched, state: &mut State) -> bool {
        let Some(store) = &self.store else {
            state.stamp = Some(Stamp::default());
            return false;
        };
        // The stamp comes first: what is replaced in between is read again.
        state.stamp = Some(store.stamp(server));
        match store.load(server, &watched.identity) {
            Found::Pins(kept) => adopt(state, kept),
            Found::Nothing => false,
            Found::Unknown(reason) => {
                tracing::warn!(%server, %reason, "pinned definitions cannot be read");
                false
            }
        }
    }

    /// Whether somebody has approved this very definition.
    pub fn is_approved(&self, server: &ServerName, definition: &Definition) -> bool {
        let watched = self.servers.get(server);
        watched.is_some_and(|watched| watched.state().pins.standing(definition) == Standing::Approved)
    }

    /// What is to be said of the items of a server, and of which. Tells the log what it has not told before.
    pub fn remarks(
        &self,
        server: &ServerName,
        neighbours: &Neighbours,
    ) -> HashMap<(Part, usize), Vec<Remark>> {
        let Some(watched) = self.servers.get(server) else { return HashMap::new() };
        let mut guard = watched.state();
        let state = &mut *guard;
        let mut remarks = HashMap::new();
        let mut news = Vec::new();
        state.waits = false;
        for judged in &state.judged {
            let findings = judged.findings(server, neighbours);
            let Some(remark) = remark(server, watched.rules, &state.pins, &judged.definition, &findings)
            else {
                continue;
            };
            let Definition { kind, name, digest, .. } = &judged.definition;
            let asks = remark.code != Code::TrustSuspicious
                || findings.iter().any(|finding| finding.severity == Severity::Grave);
            state.waits |= asks;
            if asks && state.told.insert(format!("{} {name} {digest} {}", kind.key(), remark.code)) {
                news.push(format!("{} ({})", review::title(*kind, name), remark.code));
            }
            remarks.insert((*kind, judged.index), vec![remark]);
        }
        if !news.is_empty() {
            let more = news.len().saturating_sub(NAMED);
            news.truncate(NAMED);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let definitions = format!("{}{more}", news.join(", "));
            tracing::warn!(event = "definitions.held", %server, %definitions, "definitions wait for somebody to look at them: `switchboard approve`");
        }
        remarks
    }
}

impl Watched {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes over what a file says, and adds what was not written to it yet; true if any item stands differently now.
fn adopt(state: &mut State, mut kept: Pins) -> bool {
    kept.absorb(&state.pins);
    let stands = |pins: &Pins| -> Vec<Standing> {
        state.judged.iter().map(|judged| pins.standing(&judged.definition)).collect()
    };
    let differs = stands(&state.pins) != stands(&kept);
    state.pins = kept;
    differs
}

impl Judged {
    fn findings(&self, server: &ServerName, neighbours: &Neighbours) -> Vec<Finding> {
        let mut findings = self.findings.clone();
        findings.extend(neighbours.look(server, &self.words, gives_orders(&self.findings)));
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        findings
    }
}

fn remark(
    server: &ServerName,
    rules: DefinitionRules,
    pins: &Pins,
    definition: &Definition,
    findings: &[Finding],
) -> Option<Remark> {
    let pin = pins.pin(definition.kind, &definition.name);
    let before = pin.and_then(|pin| pin.last_good()).filter(|good| good.digest != definition.digest);
    let (reason, answer) = review::reason(rules, pins.standing(definition), before.is_some(), findings)?;
    let holds = answer == Answer::Hold;
    let what = match (reason, before) {
        (Reason::Changed, Some(before)) => {
            format!(
                "it changed: {}",
                diff::changed_members(&before.definition, &definition.members).join(", ")
            )
        }
        (Reason::Changed | Reason::New, _) => "it is new".to_owned(),
        // Models read this as well: the words that were found are for people alone.
        (Reason::Suspicious, _) => {
            let mut ids: Vec<&str> = findings.iter().map(|finding| finding.id).collect();
            ids.dedup();
            format!("it looks dishonest: {}", ids.join(", "))
        }
    };
    let is_note = findings.iter().all(|finding| finding.severity == Severity::Note);
    let text = match (holds, reason) {
        // A note asks for nothing.
        (false, Reason::Suspicious) if is_note => what.replace("it looks dishonest", "worth a look"),
        (false, _) => format!("{what}; see `switchboard approve`"),
        (true, _) => format!("{what}; `{}` releases it", review::command(server, &definition.name)),
    };
    let code = match (holds, reason) {
        (true, _) => Code::TrustHeld,
        (false, Reason::Suspicious) => Code::TrustSuspicious,
        (false, _) => Code::TrustChanged,
    };
    Some(Remark { code, text, holds })
}
