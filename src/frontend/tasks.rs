//! Tasks: calls that go on after their answer, in the form of the core of 2025-11-25 and in that of the extension of the
//! modern era (SEP-2663).
//!
//! Where client and server have them in the same form they are relayed. Where the server has them in the other one the call
//! becomes a task of [ours](kept): we look after the server's task, and the client looks at ours. It lives as long as this process. A
//! client that knows no tasks gets none: the backend looks after what the server makes of its calls.
//!
//! A client knows a task by a name of ours, which holds the server and the server's own id, or our number, under seal: nobody
//! can guess or change one, and it means nothing in the other form.

mod core;
mod extension;
mod kept;
mod ledger;
mod list;
mod news;
mod question;

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::sync::watch;

use crate::backend::Backend;
use crate::bridge;
use crate::bridge::capabilities::offers_tasks;
use crate::call::{Call, Caller, CallerId, ClientInfo, TokenPlace};
use crate::failure::{Code, Failure};
use crate::frontend::answer::Answer;
use crate::frontend::hall::Hall;
use crate::frontend::incoming::Incoming;
use crate::frontend::incoming::places::Places;
use crate::frontend::modern::seal::{Bound, State};
use crate::frontend::route::{self, Miss, Way};
use crate::names::{OriginalName, ServerName};
use crate::pipeline::{Item, Lane};
use crate::protocol::{Method, Revision, TaskMethod, Tasks, codes};
use crate::registry::Registry;
use crate::wire::{Span, json};

pub(super) use core::with_support;
use kept::{CALL, Kept, Owner};
pub(super) use ledger::Ledger;
use news::as_clients_know_it;

/// How often a client should look at a task of ours, in milliseconds.
const POLL_MS: u64 = 500;
/// For so long after its latest end a task of ours can be looked at.
const AFTERWARDS: Duration = Duration::from_secs(10 * 60);
/// No task of ours is kept longer, whatever the client wants.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// What a name belongs to: a form, and whoever it was given to.
fn bound(form: Tasks, principal: Option<&str>) -> Bound<'_> {
    let method = if form == Tasks::Extension { TaskMethod::Update } else { TaskMethod::Result };
    Bound { method: Method::Task(method), digest: [0; 32], principal }
}

/// Whose a new task of ours is, and what that one understands.
struct Terms<'a> {
    owner: Owner,
    own: &'static Revision,
    declared: Bytes,
    principal: Option<&'a str>,
    client: Option<Arc<ClientInfo>>,
}

/// A new task, and its call, which has not been made yet.
struct Begun {
    kept: Arc<Kept>,
    call: Call,
    item: Option<Item>,
}

impl Begun {
    /// Makes the call.
    fn go(self) {
        self.kept.lane.call(self.call, self.item);
    }
}

impl Hall {
    /// Params or a result that tell of a server's task, with our name for it; `None` if they tell of none.
    pub(super) fn with_our_task(
        &self,
        server: &ServerName,
        form: Tasks,
        principal: Option<&str>,
        object: &[u8],
    ) -> Option<Bytes> {
        let id = match bridge::tasks::related(object) {
            Some(id) => id,
            None => bridge::tasks::read(object).ok()?.id,
        };
        let state = State::Task { server: server.to_string(), id };
        let name = self.seal.name(&state, bound(form, principal)).ok()?;
        let told = match form {
            Tasks::Extension => as_clients_know_it(self.catalog().as_deref(), server, object),
            Tasks::Core | Tasks::None => None,
        };
        bridge::tasks::with_id(told.as_deref().unwrap_or(object), &name)
    }

    /// Where a request about a task goes.
    pub(super) fn task_way(
        &self,
        registry: &Registry,
        incoming: &Incoming<'_>,
        form: Tasks,
        principal: Option<&str>,
    ) -> Result<Way, Miss> {
        let place =
            incoming.member("taskId").and_then(|span| Some((span, json::string(span.of(incoming.line))?)));
        let Some((span, name)) = place else {
            let text = "`taskId` must be a string";
            return Err(Miss::Invalid(Answer::error(codes::INVALID_PARAMS, text)));
        };
        let found = match self.seal.open(&name, bound(form, principal)) {
            Some(State::Task { server, id }) => {
                registry.now().servers.lane(&ServerName::from(server.as_str())).map(|lane| (lane.clone(), id))
            }
            _ => None,
        };
        let Some((lane, id)) = found else {
            return Err(Miss::Invalid(Answer::error(codes::INVALID_PARAMS, "Unknown task")));
        };
        let now = registry.now();
        let index = now.servers.index(&lane.config().name);
        Ok(Way {
            rewrites: index.is_some_and(|index| now.catalog.rewrites(index)),
            lane,
            item: None,
            label: OriginalName::from(id.as_str()),
            target: Some((span, Bytes::from(json::quote(&id)))),
            token: TokenPlace::None,
            uri: None,
        })
    }

    // === which form ===

    /// In which form a server offers tasks, as far as it has shown itself.
    fn tasks_of(&self, server: &ServerName) -> Tasks {
        let offering = self.registry().and_then(|registry| registry.offering(server));
        let Some(offering) = offering else { return Tasks::None };
        let theirs = offering.revision();
        if offers_tasks(&offering.initialize, theirs) { theirs.tasks } else { Tasks::None }
    }

    /// Whether any server offers tasks. In which form does not matter: the other one we can tell of ourselves.
    pub(super) fn offers_tasks(&self) -> bool {
        let Some(registry) = self.registry() else { return false };
        registry.backends().iter().any(|backend| self.tasks_of(backend.name()) != Tasks::None)
    }

    /// What is added to our capabilities for clients of this revision if any server offers tasks: members, with a comma
    /// before them.
    pub(super) fn task_capabilities(&self, revision: &Revision) -> &'static str {
        match revision.tasks {
            Tasks::Core if self.offers_tasks() => {
                r#","tasks":{"list":{},"cancel":{},"requests":{"tools":{"call":{}}}}"#
            }
            Tasks::Extension if self.offers_tasks() => {
                r#","extensions":{"io.modelcontextprotocol/tasks":{}}"#
            }
            Tasks::Core | Tasks::Extension | Tasks::None => "",
        }
    }

    /// Whether clients of 2025-11-25 may call this tool as a task of ours.
    pub(super) fn keeps_tasks_of(&self, server: &ServerName) -> bool {
        self.tasks_of(server) == Tasks::Extension
    }

    // === tasks of ours ===

    /// The task of ours that a request names.
    fn kept_task(&self, incoming: &Incoming<'_>, form: Tasks, principal: Option<&str>) -> Option<Arc<Kept>> {
        self.kept_of_name(&incoming.string("taskId")?, form, principal)
    }

    fn kept_of_name(&self, name: &str, form: Tasks, principal: Option<&str>) -> Option<Arc<Kept>> {
        match self.seal.open(name, bound(form, principal))? {
            State::Kept(number) => self.ledger.find(number),
            _ => None,
        }
    }

    /// The tasks of servers among these names: which server, the server's id, and our name. What nobody knows is taken out of
    /// `names`.
    pub(super) fn followed_tasks(
        &self,
        names: &mut Vec<String>,
        principal: Option<&str>,
    ) -> Vec<(Arc<Backend>, String, String)> {
        let mut followed = Vec::new();
        names.retain(|name| match self.seal.open(name, bound(Tasks::Extension, principal)) {
            Some(State::Kept(number)) => self.ledger.find(number).is_some(),
            Some(State::Task { server, id }) => {
                let lane = self.registry().and_then(|registry| registry.lane(&server.as_str().into()));
                let known = lane.map(|lane| (Arc::clone(lane.holder_of_task(&id)), id, name.clone()));
                let is_known = known.is_some();
                followed.extend(known);
                is_known
            }
            _ => false,
        });
        followed
    }

    /// Makes a task of ours of a call. `through` gives the instance that serves this client.
    fn begin_task(
        self: &Arc<Self>,
        registry: &Registry,
        incoming: &Incoming<'_>,
        terms: Terms<'_>,
        through: impl FnOnce(&mut Lane),
    ) -> Result<Begun, Miss> {
        let busy = |what: &str| {
            let failure = Failure::new(Code::CallBusy, what).remedy("Call again later");
            Miss::Invalid(Answer::failure(Method::ToolsCall, &failure))
        };
        if !self.ledger.makes_room() {
            return Err(busy("too many tasks are under way"));
        }
        let line = bridge::tasks::in_background(incoming.params());
        let whole = Span { start: 0, end: line.len() };
        let params = Some(whole);
        let places = Places::of(&line, params);
        let forward = Incoming { line: &line, id: whole, params, places, back: incoming.back };
        let mut way = route::way(registry, &forward, Method::ToolsCall, terms.own)?;
        through(&mut way.lane);
        let lane = way.lane;
        let name = self.seal.number().and_then(|number| {
            let name = self.seal.name(&State::Kept(number), bound(terms.own.tasks, terms.principal))?;
            Ok((number, name))
        });
        let Ok((number, name)) = name else { return Err(busy("the system has no random numbers")) };
        let wanted = bridge::tasks::wanted_ttl(incoming.params()).map(Duration::from_millis);
        let ttl = wanted.unwrap_or(lane.backend().config().timeouts.total + AFTERWARDS).min(LONGEST);
        let created = SystemTime::now();
        let kept = Arc::new(Kept {
            id: CallerId::fresh(),
            name,
            hall: Arc::clone(self),
            owner: terms.owner,
            own: terms.own,
            declared: terms.declared,
            principal: terms.principal.map(Arc::from),
            client: terms.client,
            lane,
            rewrites: way.rewrites,
            created,
            ttl,
            state: Mutex::new(kept::State::new(created)),
            changed: watch::Sender::new(()),
        });
        self.ledger.keep(number, &kept);
        let (hall, ended) = (Arc::clone(self), self.ended.clone());
        self.tasks.spawn(async move {
            tokio::select! {
                () = tokio::time::sleep(ttl) => {}
                () = ended.cancelled() => {}
            }
            if let Some(kept) = hall.ledger.forget(number) {
                kept.cancel("the time of its task is over");
            }
        });
        let call = Call {
            ticket: CALL,
            caller: Arc::clone(&kept) as Arc<dyn Caller>,
            method: Method::ToolsCall,
            label: way.label,
            meta: places.meta,
            params,
            target: way.target,
            token: way.token,
            line,
        };
        Ok(Begun { kept, call, item: way.item })
    }
}
