//! While a server is well: what can happen stands in one enum, [`Event`]; what follows, in [`Lifecycle::serve`].

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ahash::HashMap;
use bytes::Bytes;
use tokio::time::{Instant, sleep_until};

use super::listen::{Listening, News};
use super::run::{Broken, Run, Sign};
use super::{LONGEST_PAUSE, Lifecycle, RunEnd, shutdown_ordered};
use crate::backend::handshake::{self, Greeting};
use crate::backend::link::Lost;
use crate::backend::listing::{self, Listed};
use crate::backend::{Changes, Extent, State, compose, lock, show_duration};
use crate::bridge::tasks::Support;
use crate::config::Start;
use crate::failure::{Code, Failure};
use crate::protocol::{ListKind, Tasks};
use crate::supervisor::Exit;
use crate::transport::Over;
use crate::wire::{Outbox, json};

/// Several notices of changed lists are one when they come within this time.
const REFRESH_PAUSE: Duration = Duration::from_millis(300);
/// The first notice after some quiet is looked at almost at once: somebody may have made what it is about and look for it.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// Tools wait so long for the server's other lists, which may be slow or never come.
const TOOLS_WAIT: Duration = Duration::from_millis(300);
/// A list that could not be fetched is asked for again after this pause, which doubles up to a minute.
const LIST_RETRY: Duration = Duration::from_secs(2);
/// A connection that was lost after this long may be opened again at once.
const LASTING: Duration = Duration::from_secs(5);
/// A server that takes no byte for this long although some wait has stopped reading.
const WEDGED_AFTER: Duration = Duration::from_secs(10);

/// Everything that can wake us while a server runs.
enum Event {
    Breaks(Sign),
    Ordered,
    Listening(News),
    RefreshDue,
    ToolsDue,
    Listed(Box<Listed>),
    Tick,
    Shutdown,
}

/// The first lists of a run. They are shown together, unless the others take so long that the tools go ahead.
#[derive(PartialEq)]
enum FirstLists {
    ToolsAsked,
    OthersAsked { tools_due: Instant },
    Shown,
}

impl FirstLists {
    fn due(&self) -> Option<Instant> {
        match self {
            FirstLists::OthersAsked { tools_due } => Some(*tools_due),
            FirstLists::ToolsAsked | FirstLists::Shown => None,
        }
    }
}

type Listing = Pin<Box<dyn Future<Output = Listed> + Send>>;

impl Lifecycle {
    /// Lives as long as the server is well.
    pub(super) async fn serve(&mut self, run: &mut Run, greeting: Greeting) -> RunEnd {
        let backend = Arc::clone(&self.backend);
        let greeting = Arc::new(greeting);
        self.welcome(run, &greeting);
        let mut listing: Option<Listing> = Some(self.list(&greeting, vec![ListKind::Tools]));
        let mut first = FirstLists::ToolsAsked;
        let mut lacking: Vec<ListKind> = Vec::new();
        let mut stale = Stale::default();
        let mut stall = Stall::default();
        let mut listening = Listening::default();
        if greeting.revision.is_modern() {
            listening.adjust(&backend, &greeting);
        }
        let tick =
            (backend.config().timeouts.call / 8).clamp(Duration::from_millis(50), Duration::from_secs(5));
        loop {
            let event = tokio::select! {
                sign = run.breaks() => Event::Breaks(sign),
                _ = shutdown_ordered(&mut self.shutdown) => Event::Shutdown,
                () = backend.orders.given() => Event::Ordered,
                news = listening.next() => Event::Listening(news),
                () = due(stale.due), if listing.is_none() => Event::RefreshDue,
                () = due(first.due()) => Event::ToolsDue,
                lists = listed(&mut listing) => Event::Listed(Box::new(lists)),
                () = tokio::time::sleep(tick) => Event::Tick,
            };
            match event {
                Event::Breaks(sign) => {
                    backend.link.closes(run.generation);
                    return match run.broken(sign).await {
                        Broken::Over(over) => {
                            run.read_last_lines().await;
                            self.left(run, over)
                        }
                        Broken::Mute(failure) => {
                            RunEnd::Fell(self.with_last_words(failure.of(backend.name())))
                        }
                    };
                }
                Event::Shutdown => return RunEnd::Shutdown,
                Event::Ordered => {
                    let orders = backend.orders.take();
                    if orders.renegotiate {
                        backend.link.closes(run.generation);
                        self.forget_era();
                        return RunEnd::Rests;
                    }
                    stale.told(&orders.refresh);
                    if let Some(id) = orders.acknowledged {
                        listening.acknowledged(&backend, id);
                    }
                    if orders.follow {
                        self.follow(&greeting, &mut listening);
                    }
                }
                Event::Listening(News::Ended(ended)) => {
                    tracing::info!(server = %backend.name(), ?ended, "a stream of changes ended");
                }
                Event::Listening(News::Due) => {
                    listening.adjust(&backend, &greeting);
                    // Nobody told of what has changed meanwhile.
                    backend.note_change(Changes::everything);
                    let kinds = ListKind::ALL.into_iter().filter(|kind| greeting.tells_of(*kind));
                    stale.add(&kinds.collect::<Vec<_>>(), REFRESH_PAUSE);
                }
                Event::RefreshDue => listing = Some(self.list(&greeting, stale.take())),
                Event::Listed(lists) => {
                    listing = None;
                    let Listed { offering, asked, failed, retry_after } = *lists;
                    let asked_for_tools = asked.contains(&ListKind::Tools);
                    stale.retry(&failed, retry_after.min(LONGEST_PAUSE));
                    lacking.retain(|kind| !asked.contains(kind));
                    lacking.extend(failed);
                    self.offering = Some(offering.clone());
                    if asked_for_tools {
                        if greeting.tasks && greeting.revision.tasks == Tasks::Core {
                            backend.link.learn_tasks(as_tasks(&offering.tools));
                        }
                        for (call, past) in std::mem::take(&mut *lock(&backend.after_listing)) {
                            backend.submit(call, past);
                        }
                    }
                    if first == FirstLists::ToolsAsked {
                        let others = ListKind::ALL.into_iter().filter(|kind| *kind != ListKind::Tools);
                        listing = Some(self.list(&greeting, others.collect()));
                        first = FirstLists::OthersAsked { tools_due: Instant::now() + TOOLS_WAIT };
                        continue;
                    }
                    first = FirstLists::Shown;
                    // Changes that were told of while these lists came are still to be looked at.
                    let is_stale = !stale.kinds.is_empty() || backend.orders.wants_refresh();
                    backend.is_stale.store(is_stale && lacking.is_empty(), Ordering::Relaxed);
                    let extent = if lacking.is_empty() { Extent::Whole } else { Extent::Lacking };
                    self.observer.offering(backend.name(), offering, extent);
                }
                Event::ToolsDue => {
                    first = FirstLists::Shown;
                    if let Some(offering) = self.offering.clone() {
                        self.observer.offering(backend.name(), offering, Extent::Tools);
                    }
                }
                Event::Tick => {
                    let now = Instant::now();
                    self.expire_calls(now);
                    if stall.lasts(&run.outbox, now) {
                        let cause = format!("it took no byte for {}", show_duration(WEDGED_AFTER));
                        return RunEnd::Fell(Failure::new(Code::ProcessWedged, cause).of(backend.name()));
                    }
                    if self.is_idle(run, now) && listing.is_none() {
                        return RunEnd::Rests;
                    }
                }
            }
        }
    }

    /// Tells a new generation what the one before knew, and lets calls pass.
    fn welcome(&mut self, run: &Run, greeting: &Arc<Greeting>) {
        let backend = &self.backend;
        backend.note_change(Changes::run);
        if !greeting.revision.is_modern() {
            run.outbox.push(|line| compose::notification(line, "notifications/initialized", None));
            let wanted = backend.wanted();
            if let Some(level) = wanted.level.filter(|_| greeting.logging) {
                backend.link.tell("logging/setLevel", &handshake::level_params(level));
            }
            for uri in wanted.subscriptions.keys() {
                backend.link.tell("resources/subscribe", &uri_params(uri));
            }
            // What was left before this start was never asked for.
            backend.take_left();
        }
        let level = backend.wanted().level;
        for submitted in backend.link.open(Arc::clone(greeting), level, self.way.has_streams()) {
            backend.settle(submitted);
        }
        self.policy.ready(std::time::Instant::now());
        self.login = None;
        self.set_state(State::Ready {
            since: Instant::now(),
            pid: run.peer.pid(),
            generation: run.generation,
        });
    }

    /// Other resources are followed than before: a modern server is asked anew; a legacy one was asked by the client itself,
    /// but is not told when it goes without a word.
    fn follow(&self, greeting: &Greeting, listening: &mut Listening) {
        let left = self.backend.take_left();
        if greeting.revision.is_modern() {
            return listening.adjust(&self.backend, greeting);
        }
        for uri in left {
            self.backend.link.tell("resources/unsubscribe", &uri_params(&uri));
        }
    }

    /// Fetches the lists of these kinds and keeps the others.
    fn list(&self, greeting: &Arc<Greeting>, kinds: Vec<ListKind>) -> Listing {
        let (backend, greeting, known) =
            (Arc::clone(&self.backend), Arc::clone(greeting), self.offering.clone());
        let mirrors = self.way.has_streams() && greeting.revision.is_modern();
        let header_params = Arc::clone(&self.header_params);
        Box::pin(async move {
            let listed = listing::fetch(&backend, &greeting, &kinds, known.as_ref(), mirrors).await;
            header_params.learn(&listed.offering.tools);
            listed
        })
    }

    fn expire_calls(&self, now: Instant) {
        let timeouts = &self.backend.config().timeouts;
        for (key, caller) in self.backend.link.expire_asks(now, timeouts.question) {
            let why = "nobody has answered in time";
            match caller {
                Some(caller) => caller.withdraw(&key, why),
                None => self.backend.audience.withdraw(&key, why),
            }
        }
        for Lost { ticket, caller, label, after, .. } in
            self.backend.link.expire(now, timeouts.call, timeouts.total)
        {
            self.backend.tally(|tallies| tallies.failures += 1);
            let cause = if after >= timeouts.total {
                format!(
                    "`{label}` was not done within {} (`timeouts.total`) and was cancelled",
                    show_duration(timeouts.total)
                )
            } else {
                format!(
                    "`{label}` gave no sign of life for {} (`timeouts.call`) and was cancelled",
                    show_duration(timeouts.call)
                )
            };
            let failure = Failure::new(Code::CallTimeout, cause).of(self.backend.name());
            caller.fail(ticket, failure.remedy("It may still have taken effect; look before you repeat it"));
        }
    }

    fn is_idle(&self, run: &Run, now: Instant) -> bool {
        let config = self.backend.config();
        let Some(patience) = config.timeouts.idle_stop.filter(|_| config.start == Start::Lazy) else {
            return false;
        };
        let since = self.backend.link.last_used().map_or(run.started, |used| used.max(run.started));
        now - since >= patience && self.backend.open_calls() == 0 && !self.backend.has_subscriptions()
    }

    /// What an end means: a server that leaves in peace, with nothing to do, comes back when it is needed. So does one
    /// at the other end of a network that has forgotten us after a while; what it refused meanwhile is sent again.
    fn left(&self, run: &Run, over: Over) -> RunEnd {
        let backend = &self.backend;
        let in_peace = match &over {
            Over::Exited(exit) => *exit == Exit::Code(0) && backend.open_calls() == 0,
            Over::Lost(failure) => failure.code == Code::NetLost && run.started.elapsed() >= LASTING,
        };
        if in_peace && backend.config().start == Start::Lazy && !backend.has_subscriptions() {
            return RunEnd::Rests;
        }
        let failure = match over {
            Over::Exited(exit) => {
                let after = show_duration(run.started.elapsed());
                Failure::new(Code::ProcessExited, format!("it {exit}, {after} after its start"))
            }
            Over::Lost(failure) => failure,
        };
        RunEnd::Fell(self.with_last_words(failure.of(backend.name())))
    }
}

/// The tools that can be called as tasks (MCP 2025-11-25, "Tasks").
fn as_tasks(tools: &[Bytes]) -> HashMap<String, Support> {
    let name = |tool: &Bytes| {
        let name = json::get(tool, "name").and_then(|span| json::string(span.of(tool)))?;
        let support = Support::of(tool);
        (support != Support::Forbidden).then(|| (name.into_owned(), support))
    };
    tools.iter().filter_map(name).collect()
}

fn uri_params(uri: &str) -> Vec<u8> {
    let mut params = br#"{"uri":"#.to_vec();
    json::push_string(&mut params, uri);
    params.push(b'}');
    params
}

/// The lists that have to be fetched again, and when.
#[derive(Default)]
struct Stale {
    kinds: Vec<ListKind>,
    /// When they were fetched last.
    looked: Option<Instant>,
    due: Option<Instant>,
    /// How often in a row something could not be fetched.
    failures: u32,
}

impl Stale {
    fn add(&mut self, kinds: &[ListKind], pause: Duration) {
        for kind in kinds {
            if !self.kinds.contains(kind) {
                self.kinds.push(*kind);
            }
        }
        if !kinds.is_empty() {
            self.due.get_or_insert_with(|| Instant::now() + pause);
        }
    }

    /// The server has told of changes.
    fn told(&mut self, kinds: &[ListKind]) {
        let is_first = self.looked.is_none_or(|looked| looked.elapsed() > 2 * REFRESH_PAUSE);
        self.add(kinds, if is_first { FIRST_PAUSE } else { REFRESH_PAUSE });
    }

    fn take(&mut self) -> Vec<ListKind> {
        self.due = None;
        self.looked = Some(Instant::now());
        std::mem::take(&mut self.kinds)
    }

    /// A list that could not be fetched is asked for again, with growing pauses.
    fn retry(&mut self, failed: &[ListKind], at_least: Duration) {
        self.failures = if failed.is_empty() { 0 } else { (self.failures + 1).min(6) };
        self.add(failed, at_least.max(LIST_RETRY * 2u32.pow(self.failures.saturating_sub(1))));
    }
}

/// Notices that a server takes nothing although something waits for it.
#[derive(Default)]
struct Stall {
    taken: u64,
    since: Option<Instant>,
}

impl Stall {
    fn lasts(&mut self, outbox: &Outbox, now: Instant) -> bool {
        let taken = outbox.taken();
        if outbox.waiting() == 0 || taken != self.taken {
            self.taken = taken;
            self.since = None;
            return false;
        }
        now - *self.since.get_or_insert(now) >= WEDGED_AFTER
    }
}

async fn due(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

async fn listed(listing: &mut Option<Listing>) -> Listed {
    match listing {
        Some(listing) => listing.as_mut().await,
        None => std::future::pending().await,
    }
}
