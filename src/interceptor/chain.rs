//! All interceptors, in the order of SEP-2624 ("Execution Model"): before a call, those that change it one after the other, then those
//! that judge it all at once; the other way round when it comes back. Those that audit are asked beside it, and nobody waits
//! for them.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::gate::{Hook, HookTallies, Lack, Tally};
use super::once::Once;
use super::post::Post;
use super::program::Program;
use super::remote::Remote;
use super::{BoxFuture, CallError, CallView, Error, Event, Interceptor, Kind, Mode, Phase, Rules, Verdict};
use crate::backend::Backend;
use crate::config::{Fail, InterceptorConfig, InterceptorWay, Problem};
use crate::failure::Failure;
use crate::names::ExposedName;
use crate::supervisor::{Ending, Supervisor};

/// So many audits may be under way; further ones are left out, so that one that hangs does not fill our memory.
const MAX_AUDITS: usize = 256;

/// Checks what an interceptor has changed once more: new arguments ([`Phase::Before`]) against what the tool takes, a new result
/// ([`Phase::After`]) against what it promises. The error says what is wrong.
pub(crate) type Recheck = Arc<dyn Fn(&CallView, Phase, &[u8]) -> Result<(), String> + Send + Sync>;

/// A moment at which interceptors are asked, with what belongs to it.
#[derive(Clone, Debug)]
pub(crate) enum Moment {
    /// The call is about to go.
    Before,
    /// This is the result.
    After(Bytes),
    /// This is why there is none.
    Error(CallError),
}

/// What all of them together say.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ruling {
    /// Nothing changes.
    Pass,
    /// These are the new arguments, or this is the new result.
    Changed(Bytes),
    /// This is the result.
    Answered(Bytes),
}

/// What interceptors live on.
#[derive(Debug)]
pub struct Surroundings<'a> {
    /// Who starts programs.
    pub supervisor: Supervisor,
    /// Who owns the tasks that look after them.
    pub tasks: TaskTracker,
    /// Says when we end.
    pub shutdown: watch::Receiver<Option<Ending>>,
    /// Says when the state of a server has changed.
    pub changes: watch::Receiver<u64>,
    /// The servers.
    pub backends: &'a [Arc<Backend>],
}

/// All interceptors of a Switchboard.
pub struct Interceptors {
    sources: Vec<Source>,
    audits: Mutex<JoinSet<()>>,
}

/// Where interceptors come from.
enum Source {
    /// One.
    Hook(Hook),
    /// As many as a server has.
    Server { rules: Arc<Rules>, remote: Remote, tally: Arc<Tally> },
}

impl Interceptors {
    /// Those that are handed over, and those of the config; `None` if there are none. Nothing is started.
    pub fn new(
        own: Vec<(Rules, Arc<dyn Interceptor>)>,
        config: Vec<InterceptorConfig>,
        surroundings: &Surroundings<'_>,
    ) -> Option<Arc<Self>> {
        let own = own.into_iter().map(|(rules, interceptor)| Source::hook(rules, interceptor));
        let config = config.into_iter().map(|entry| Source::of(entry, surroundings));
        let sources: Vec<Source> = own.chain(config).collect();
        (!sources.is_empty()).then(|| Arc::new(Self { sources, audits: Mutex::default() }))
    }

    /// Whether anybody wants to hear of such a call.
    pub(crate) fn concern(&self, event: Event, exposed: &ExposedName) -> bool {
        self.sources.iter().any(|source| source.rules().concern(event, exposed))
    }

    /// Whether anybody wants to hear of such things, whatever their names are.
    pub(super) fn is_about(&self, event: Event) -> bool {
        self.sources.iter().any(|source| source.rules().is_about(event))
    }

    /// Whether somebody must see the result of such a call before the client does.
    pub(crate) fn must_see_results(&self, event: Event, exposed: &ExposedName) -> bool {
        self.sources.iter().any(|source| {
            let rules = source.rules();
            let counts = rules.mode != Some(Mode::Audit) && rules.fail != Some(Fail::Open);
            counts && rules.on.contains(&Phase::After) && rules.concern(event, exposed)
        })
    }

    /// The servers that must run so that interceptors can be asked.
    pub fn servers(&self) -> impl Iterator<Item = &Arc<Backend>> {
        self.sources.iter().filter_map(|source| match source {
            Source::Server { remote, .. } => remote.backend(),
            Source::Hook(_) => None,
        })
    }

    /// What each has done since we run.
    pub fn tallies(&self) -> Vec<HookTallies> {
        let tally = |source: &Source| match source {
            Source::Hook(hook) => hook.tally.read(&hook.rules.name),
            Source::Server { rules, tally, .. } => tally.read(&rules.name),
        };
        self.sources.iter().map(tally).collect()
    }

    /// Asks all whom it concerns.
    ///
    /// # Errors
    /// One of them says no, or has no verdict and must not be passed by.
    pub(crate) async fn ask(
        &self,
        call: &CallView,
        moment: Moment,
        deadline: Instant,
        recheck: Option<&Recheck>,
    ) -> Result<Ruling, Failure> {
        let phase = moment.phase();
        let hooks = self.hooks(call, phase).await?;
        if hooks.is_empty() {
            return Ok(Ruling::Pass);
        }
        let (audits, active): (Vec<Hook>, Vec<Hook>) =
            hooks.into_iter().partition(|hook| hook.mode() == Mode::Audit);
        let (judges, changers): (Vec<Hook>, Vec<Hook>) =
            active.into_iter().partition(|hook| hook.rules.kind == Kind::Validation && phase != Phase::Error);
        let mut chain = Chain { call: call.clone(), moment, deadline, recheck, is_changed: false };
        if phase == Phase::After {
            self.audit(audits, &chain);
            chain.judge(&judges).await?;
            return chain.change(&changers).await;
        }
        let ruling = chain.change(&changers).await?;
        if !matches!(ruling, Ruling::Answered(_)) {
            self.audit(audits, &chain);
            chain.judge(&judges).await?;
        }
        Ok(ruling)
    }

    /// Those whom it concerns, in their order.
    async fn hooks(&self, call: &CallView, phase: Phase) -> Result<Vec<Hook>, Failure> {
        let mut hooks = Vec::new();
        for source in &self.sources {
            let rules = source.rules();
            if !rules.on.contains(&phase) || !rules.concern(call.event, &call.exposed) {
                continue;
            }
            match source {
                Source::Hook(hook) => hooks.push(hook.clone()),
                Source::Server { remote, tally, .. } => match remote.hooks(call.event, phase, tally).await {
                    Ok(found) => hooks.extend(found),
                    Err(failure) => {
                        let cause = format!("what it has cannot be listed: {failure}");
                        if let Some(failure) = source.lacking(Lack::Failed(cause), call, phase) {
                            return Err(failure);
                        }
                    }
                },
            }
        }
        hooks.sort_by_key(Hook::priority);
        Ok(hooks)
    }

    fn audit(&self, hooks: Vec<Hook>, chain: &Chain<'_>) {
        if hooks.is_empty() {
            return;
        }
        let mut audits = self.audits.lock().unwrap_or_else(PoisonError::into_inner);
        while audits.try_join_next().is_some() {}
        for hook in hooks {
            if audits.len() >= MAX_AUDITS {
                tracing::warn!(
                    interceptor = hook.rules.name,
                    "an auditing interceptor is too slow and was left out"
                );
                continue;
            }
            let (call, moment) = (chain.call.clone(), chain.moment.clone());
            audits.spawn(async move { hook.audit(&call, &moment).await });
        }
    }
}

/// What is asked about, as the last one has left it.
struct Chain<'a> {
    call: CallView,
    moment: Moment,
    deadline: Instant,
    recheck: Option<&'a Recheck>,
    is_changed: bool,
}

impl Chain<'_> {
    /// One after the other, each with what the one before it has left.
    async fn change(&mut self, hooks: &[Hook]) -> Result<Ruling, Failure> {
        for hook in hooks {
            match hook.ask(&self.call, &self.moment, self.deadline, self.recheck).await? {
                // A result that replaces a result is a change of it: the others look at it too.
                Verdict::Change(new) | Verdict::Answer(new) if self.moment.phase() == Phase::After => {
                    (self.moment, self.is_changed) = (Moment::After(new), true);
                }
                Verdict::Change(new) => (self.call.arguments, self.is_changed) = (new, true),
                Verdict::Answer(result) => return Ok(Ruling::Answered(result)),
                Verdict::Pass | Verdict::Deny(_) | Verdict::Delay(_) => {}
            }
        }
        Ok(match (&self.moment, self.is_changed) {
            (_, false) | (Moment::Error(_), _) => Ruling::Pass,
            (Moment::Before, true) => Ruling::Changed(self.call.arguments.clone()),
            (Moment::After(result), true) => Ruling::Changed(result.clone()),
        })
    }

    /// All at once; every one of them is heard to its end.
    async fn judge(&self, hooks: &[Hook]) -> Result<(), Failure> {
        let asked = hooks.iter().map(|hook| hook.ask(&self.call, &self.moment, self.deadline, None));
        join_all(asked).await.into_iter().find_map(Result::err).map_or(Ok(()), Err)
    }
}

impl Moment {
    /// About how many bytes a question about it has more than its arguments.
    pub(super) fn length(&self) -> usize {
        match self {
            Self::Before => 0,
            Self::After(text) | Self::Error(CallError::Answer(text)) => text.len(),
            Self::Error(CallError::Failure(failure)) => failure.cause.len(),
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        match self {
            Self::Before => Phase::Before,
            Self::After(_) => Phase::After,
            Self::Error(_) => Phase::Error,
        }
    }
}

impl Rules {
    fn concern(&self, event: Event, exposed: &ExposedName) -> bool {
        self.is_about(event)
            && (event.is_list() || self.matches.iter().any(|glob| glob.matches(exposed.as_str())))
    }

    pub(super) fn is_about(&self, event: Event) -> bool {
        match &self.events {
            Some(events) => events.iter().any(|glob| glob.matches(event.name())),
            None => Event::CALLS.contains(&event),
        }
    }
}

impl Source {
    fn hook(rules: Rules, interceptor: Arc<dyn Interceptor>) -> Self {
        Self::Hook(Hook { rules: Arc::new(rules), interceptor, tally: Arc::default() })
    }

    fn of(entry: InterceptorConfig, surroundings: &Surroundings<'_>) -> Self {
        let InterceptorConfig { rules, way } = entry;
        let interceptor: Arc<dyn Interceptor> = match way {
            InterceptorWay::Command { launch, once: false, config } => {
                Arc::new(Program::new(&rules, launch, config, surroundings))
            }
            InterceptorWay::Command { launch, once: true, config } => {
                Arc::new(Once::new(&rules, launch, config, &surroundings.supervisor))
            }
            InterceptorWay::Url { launch, config } => Arc::new(Post::new(&rules, &launch, config)),
            InterceptorWay::Deny(reason) => Arc::new(Deny(reason)),
            InterceptorWay::Broken(problem) => Arc::new(Broken(problem)),
            InterceptorWay::Server { name, config } => {
                let rules = Arc::new(rules);
                let remote = Remote::new(&name, Arc::clone(&rules), config, surroundings);
                return Self::Server { rules, remote, tally: Arc::default() };
            }
        };
        Self::hook(rules, interceptor)
    }

    fn rules(&self) -> &Arc<Rules> {
        match self {
            Self::Hook(hook) => &hook.rules,
            Self::Server { rules, .. } => rules,
        }
    }

    /// What it means that a server could not be asked what it has.
    fn lacking(&self, lack: Lack, call: &CallView, phase: Phase) -> Option<Failure> {
        let Self::Server { rules, tally, .. } = self else { return None };
        let interceptor: Arc<dyn Interceptor> = Arc::new(Deny(String::new()));
        let hook = Hook { rules: Arc::clone(rules), interceptor, tally: Arc::clone(tally) };
        hook.lacking(&lack, call, phase)
    }
}

/// Refuses, with this reason.
#[derive(Debug)]
struct Deny(String);

impl Interceptor for Deny {
    fn before<'a>(&'a self, _: &'a CallView) -> BoxFuture<'a, Result<Verdict, Error>> {
        self.no()
    }

    fn after<'a>(&'a self, _: &'a CallView, _: &'a Bytes) -> BoxFuture<'a, Result<Verdict, Error>> {
        self.no()
    }
}

impl Deny {
    fn no<'a>(&self) -> BoxFuture<'a, Result<Verdict, Error>> {
        Box::pin(std::future::ready(Ok(Verdict::Deny(self.0.clone()))))
    }
}

/// Stands for an entry of the config that is wrong.
#[derive(Debug)]
struct Broken(Box<Problem>);

impl Interceptor for Broken {
    fn before<'a>(&'a self, _: &'a CallView) -> BoxFuture<'a, Result<Verdict, Error>> {
        self.fail()
    }

    fn after<'a>(&'a self, _: &'a CallView, _: &'a Bytes) -> BoxFuture<'a, Result<Verdict, Error>> {
        self.fail()
    }
}

impl Broken {
    fn fail<'a>(&self) -> BoxFuture<'a, Result<Verdict, Error>> {
        let why = format!("its entry in the config cannot be used: {}", self.0.failure());
        Box::pin(std::future::ready(Err(why.into())))
    }
}

impl fmt::Debug for Interceptors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.sources.iter().map(|source| &source.rules().name);
        f.debug_list().entries(names).finish()
    }
}
