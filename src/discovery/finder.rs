//! One search: everything that the wishes name, looked at side by side, and put in order.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use reqwest::Url;
use serde_json::Value;
use tokio::time::Instant;

use super::fetch::Fetcher;
use super::files;
use super::finding::{Failed, Finding, Findings, Source};
use super::identity;
use super::names;
use super::network;
use super::probe::{self, Refused, Shown, Target};
use super::progress::{Outcome, Progress};
use super::services;
use super::wishes::Wishes;
use crate::config::{Entry, Environment, hide_in_text};
use crate::failure::{Code, Failure};
use crate::names::RESERVED_SLUG;

/// More servers than this are not kept of one search.
const MOST: usize = 1000;

/// Looks for servers.
#[derive(Clone, Debug)]
pub struct Finder {
    environment: Environment,
    /// The servers of the config, by the way in which they are reached.
    known: HashMap<String, String>,
    /// Names that are taken.
    taken: HashSet<String>,
}

/// A server on its way to a [`Finding`].
#[derive(Debug)]
pub(super) struct Draft {
    /// What it is called where it was found.
    pub(super) called: Option<String>,
    pub(super) entry: Value,
    pub(super) source: Source,
    pub(super) description: Option<String>,
    /// Where it can be asked, if it has not been asked and may be.
    pub(super) target: Option<Target>,
    pub(super) shown: Option<Shown>,
    pub(super) problem: Option<String>,
}

/// What came of looking at one place.
#[derive(Debug, Default)]
pub(super) struct Looked {
    pub(super) drafts: Vec<Draft>,
    pub(super) failed: Vec<Failed>,
    /// Something was left out.
    pub(super) is_partial: bool,
}

/// One thing to look at.
enum Errand {
    Address(Url),
    Greeting(Box<Draft>),
}

impl Finder {
    /// A finder that knows the servers of a config, so that it can say what is new.
    pub fn new<'a>(environment: Environment, entries: impl IntoIterator<Item = &'a Entry>) -> Self {
        let mut known = HashMap::new();
        let mut taken = HashSet::new();
        for entry in entries {
            taken.insert(entry.name().to_string());
            if let Entry::Ready(server) = entry {
                for launch in std::iter::once(&server.launch).chain(&server.others) {
                    known.entry(identity::key_of(launch)).or_insert_with(|| server.name.to_string());
                }
            }
        }
        Self { environment, known, taken }
    }

    /// Looks everywhere that the wishes name. `progress` is told of every place that has been looked at.
    pub async fn run(&self, wishes: &Wishes, progress: impl Fn(Progress<'_>)) -> Findings {
        let mut search = Search { progress: &progress, done: 0, all: 0, findings: Gathered::default() };
        let fetcher = Fetcher::default();
        let (addresses, failed) =
            if wishes.network { network::candidates(wishes) } else { Default::default() };
        search.findings.failed.extend(failed);
        let registries: &[String] = if wishes.services { &wishes.service_endpoints } else { &[] };
        search.all = addresses.len() + registries.len();
        let deadline = Instant::now() + wishes.total(addresses.len() + registries.len());
        let in_time = |patience: Duration| (Instant::now() + patience).min(deadline);

        let mut found = Vec::new();
        if wishes.files {
            found = self.read_files(wishes, &mut search).await;
        }
        let asked = stream::iter(registries.to_vec())
            .map(|endpoint| {
                let (fetcher, until) = (&fetcher, in_time(wishes.timeout));
                async move {
                    let looked = services::ask(&endpoint, wishes.ask_remotes, fetcher, until).await;
                    (endpoint, looked)
                }
            })
            .buffered(wishes.max_concurrent.max(1))
            .collect::<Vec<_>>()
            .await;
        let mut errands: Vec<Errand> = addresses.into_iter().map(Errand::Address).collect();
        for (endpoint, looked) in asked {
            search.all += looked.drafts.iter().filter(|draft| draft.target.is_some()).count();
            search.count(&hide_in_text(&endpoint), &looked);
            search.findings.failed.extend(looked.failed);
            search.findings.is_partial |= looked.is_partial;
            errands.extend(looked.drafts.into_iter().map(|draft| Errand::Greeting(Box::new(draft))));
        }
        let mut looks = stream::iter(errands.into_iter().enumerate())
            .map(|(at, errand)| {
                let fetcher = &fetcher;
                async move {
                    let place = errand.place();
                    let patience = network::left(in_time(wishes.timeout));
                    let looked = match patience.is_zero() {
                        true => Looked { is_partial: true, ..Looked::default() },
                        false => errand.run(fetcher, patience).await,
                    };
                    (at, place, looked)
                }
            })
            .buffer_unordered(wishes.max_concurrent.max(1));
        let mut looked_at = Vec::new();
        while let Some((at, place, looked)) = looks.next().await {
            if let Some(place) = place {
                search.count(&place, &looked);
            }
            looked_at.push((at, looked));
        }
        drop(looks);
        // In the order of the wishes, whoever answered first.
        looked_at.sort_by_key(|(at, _)| *at);
        for (_, looked) in looked_at {
            search.findings.failed.extend(looked.failed);
            search.findings.is_partial |= looked.is_partial;
            search.findings.drafts.extend(looked.drafts);
        }
        search.findings.drafts.append(&mut found);
        // Every entry is read as a config is, files that it refers to among it.
        let (finder, gathered, looked_at) = (self.clone(), search.findings, search.done);
        let concluded = tokio::task::spawn_blocking(move || finder.conclude(gathered, looked_at)).await;
        concluded.unwrap_or_else(|_| Findings { is_partial: true, ..Findings::default() })
    }

    /// Reads the configs that the wishes name. Their servers come last, whatever was ready first.
    async fn read_files<P: Fn(Progress<'_>)>(
        &self,
        wishes: &Wishes,
        search: &mut Search<'_, P>,
    ) -> Vec<Draft> {
        let (environment, clients, paths) =
            (self.environment.clone(), wishes.clients.clone(), wishes.config_paths.clone());
        let reading = tokio::task::spawn_blocking(move || files::read(&clients, &paths, &environment));
        let Ok(Ok(read)) = tokio::time::timeout(wishes.timeout, reading).await else {
            let failure = Failure::new(Code::ConfigFile, "the files could not be read in time");
            let source = Source::File { client: None, path: String::new() };
            search.findings.failed.push(Failed { place: "files".to_owned(), source, failure });
            return Vec::new();
        };
        search.all += read.len();
        let mut drafts = Vec::new();
        for (place, looked) in read {
            search.count(&place, &looked);
            search.findings.failed.extend(looked.failed);
            search.findings.is_partial |= looked.is_partial;
            drafts.extend(looked.drafts);
        }
        drafts
    }

    /// One finding per server, with its name.
    fn conclude(&self, gathered: Gathered, looked_at: usize) -> Findings {
        let Gathered { drafts, failed, mut is_partial } = gathered;
        let mut servers: Vec<Finding> = Vec::new();
        let mut by_key: HashMap<String, usize> = HashMap::new();
        for draft in drafts {
            let finding = self.finding(draft);
            match by_key.get(&finding.key) {
                Some(at) => servers[*at].also.extend(std::iter::once(finding.source).chain(finding.also)),
                None if servers.len() == MOST => is_partial = true,
                None => {
                    by_key.insert(finding.key.clone(), servers.len());
                    servers.push(finding);
                }
            }
        }
        for finding in &mut servers {
            finding.also.dedup();
        }
        names::assign(&mut servers, &self.taken);
        Findings { servers, failed, looked_at, is_partial }
    }

    fn finding(&self, draft: Draft) -> Finding {
        let looked = identity::look(&draft.entry, &self.environment);
        let is_ourselves =
            draft.shown.as_ref().and_then(|shown| shown.name.as_deref()) == Some(RESERVED_SLUG);
        let circle = is_ourselves
            .then(|| "it is a Switchboard: one behind itself would go round in circles".to_owned());
        let (revision, description, tools, lacking) = match draft.shown {
            Some(shown) => {
                let lacking = shown.is_lacking.then(|| "its tools could not be listed".to_owned());
                (shown.revision, shown.description, Some(shown.tools), lacking)
            }
            None => (None, None, None, None),
        };
        Finding {
            name: draft.called.unwrap_or_default(),
            known_as: self.known.get(&looked.key).cloned(),
            key: looked.key,
            entry: draft.entry,
            source: draft.source,
            also: Vec::new(),
            endpoint: looked.endpoint,
            transport: looked.transport,
            description: description.or(draft.description),
            revision,
            tools,
            problem: circle.or(draft.problem).or(lacking).or(looked.problem),
        }
    }
}

/// A search that is under way.
struct Search<'a, P> {
    progress: &'a P,
    done: usize,
    all: usize,
    findings: Gathered,
}

#[derive(Default)]
struct Gathered {
    drafts: Vec<Draft>,
    failed: Vec<Failed>,
    is_partial: bool,
}

impl<P: Fn(Progress<'_>)> Search<'_, P> {
    fn count(&mut self, place: &str, looked: &Looked) {
        self.done += 1;
        self.all = self.all.max(self.done);
        let outcome = match (looked.drafts.len(), looked.failed.is_empty()) {
            (0, true) => Outcome::Nothing,
            (0, false) => Outcome::Failed,
            (count, _) => Outcome::Found(count),
        };
        (self.progress)(Progress { done: self.done, all: self.all, place, outcome });
    }
}

impl Errand {
    /// The place that is looked at; `None` for a server that needs no look.
    fn place(&self) -> Option<String> {
        match self {
            Errand::Address(url) => Some(hide_in_text(url.as_str())),
            Errand::Greeting(draft) => draft.target.as_ref().map(|target| hide_in_text(&target.url)),
        }
    }

    async fn run(self, fetcher: &Fetcher, patience: Duration) -> Looked {
        match self {
            Errand::Address(url) => network::look(&url, fetcher, patience).await,
            Errand::Greeting(draft) => {
                Looked { drafts: vec![asked(*draft, patience).await], ..Looked::default() }
            }
        }
    }
}

/// A server that a registry names, after it was greeted if that may be.
async fn asked(mut draft: Draft, patience: Duration) -> Draft {
    let Some(target) = draft.target.take() else { return draft };
    match probe::greet(&target, patience).await {
        // The registry's name is what its owner calls the server.
        Ok(shown) => draft.shown = Some(shown),
        Err(Refused::WantsLogin) => draft.problem = network::locked(&target).problem,
        Err(Refused::Failure(failure)) => {
            draft.problem = Some(format!("it could not be asked: {}", failure.cause))
        }
    }
    draft
}

impl Draft {
    pub(super) fn new(entry: Value, source: Source) -> Self {
        Self { called: None, entry, source, description: None, target: None, shown: None, problem: None }
    }
}

impl Looked {
    pub(super) fn failed(failed: Failed) -> Self {
        Self { failed: vec![failed], ..Self::default() }
    }

    pub(super) fn append(&mut self, other: Looked) {
        self.drafts.extend(other.drafts);
        self.failed.extend(other.failed);
        self.is_partial |= other.is_partial;
    }
}
