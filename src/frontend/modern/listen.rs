//! `subscriptions/listen` (MCP 2026-07-28, "Subscriptions"): what a client asked to hear, until it has heard enough.

mod filter;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::backend::Backend;
use crate::bridge;
use crate::bridge::capabilities::{REQUIRED_TASKS, takes_tasks};
use crate::call::{
    Ask, AskKey, Call, Caller, CallerId, Introduction, NotAsked, Notice, Progress, Reply, Ticket, TokenPlace,
};
use crate::failure::Failure;
use crate::frontend::answer::Answer;
use crate::frontend::hall::{Hall, anybody};
use crate::frontend::incoming::Incoming;
use crate::frontend::modern::exchange::Terms;
use crate::frontend::modern::scope::{Open, Responder};
use crate::frontend::modern::server_info;
use crate::names::ServerName;
use crate::policy::{Action, Client};
use crate::protocol::{Level, ListKind, Method, TaskMethod, meta};
use crate::registry::Registry;
use crate::wire::{Body, Span, json};

use filter::Filter;

/// How long the acknowledgement waits for servers to agree to subscriptions. Those that start first take longer; what they
/// have declared before counts then.
const AGREEMENT: Duration = Duration::from_millis(400);
/// Changes of lists within this time are one.
const PAUSE: Duration = Duration::from_millis(100);

/// One stream of notifications.
pub(in crate::frontend) struct Listener {
    responder: Mutex<Option<Responder>>,
    id: Vec<u8>,
    filter: Filter,
    given_up: CancellationToken,
    /// What is followed at servers: to be ended with the stream.
    followed: Mutex<Vec<(ServerName, String)>>,
    /// The same of tasks of servers: the server's id, and our name.
    tasks: Mutex<Vec<(Arc<Backend>, String, String)>>,
    /// Who listens, by its token.
    principal: Option<Arc<str>>,
}

impl Hall {
    pub(super) fn listen(self: &Arc<Self>, incoming: &Incoming<'_>, terms: &Terms, responder: Responder) {
        let Some(registry) = self.registry().cloned() else { return };
        let mut filter = match Filter::read(incoming) {
            Ok(filter) => filter,
            Err(answer) => return responder.answer(&answer),
        };
        if !filter.tasks.is_empty() && !takes_tasks(&terms.introduction.capabilities) {
            let text = "tasks can be followed by clients that declare them";
            let error = bridge::error::missing_client_capability(text, REQUIRED_TASKS);
            return responder.answer(&Answer::raw_error(error));
        }
        let tasks = self.followed_tasks(&mut filter.tasks, terms.principal.as_deref());
        let given_up = CancellationToken::new();
        if !responder.watch(Arc::new(Watch(given_up.clone()))) {
            return;
        }
        let client = terms.client();
        let known = self.view(&registry, || client.clone()).digests();
        let (hall, principal) = (Arc::clone(self), terms.principal.clone());
        self.tasks.spawn(async move {
            hall.stream(registry, (filter, tasks), responder, given_up, (client, principal, known)).await;
        });
    }

    async fn stream(
        self: Arc<Self>,
        registry: Arc<Registry>,
        (mut filter, tasks): (Filter, Vec<(Arc<Backend>, String, String)>),
        responder: Responder,
        given_up: CancellationToken,
        (client, principal, known): (Client, Option<Arc<str>>, [u64; 4]),
    ) {
        self.keep_permitted(&registry, &client, &mut filter.uris);
        let followed = follow(&registry, &mut filter.uris).await;
        let listener = Arc::new(Listener {
            id: responder.id().as_bytes().to_vec(),
            responder: Mutex::new(Some(responder)),
            filter,
            given_up,
            followed: Mutex::new(followed),
            tasks: Mutex::new(tasks),
            principal,
        });
        listener.send("notifications/subscriptions/acknowledged", |params| {
            params.extend_from_slice(br#","notifications":"#);
            params.extend_from_slice(listener.filter.to_json().as_bytes());
        });
        self.listeners().push(Arc::downgrade(&listener));
        listener.tasks().iter().for_each(|(backend, id, _)| backend.task_followed(id.clone()));
        tokio::select! {
            () = listener.announce(&registry, || self.view(&registry, || client.clone()).digests(), known) => {}
            () = listener.given_up.cancelled() => {}
            () = self.ended.cancelled() => listener.finish(),
        }
        listener.unfollow(&registry);
    }
}

impl Hall {
    /// Takes out what policies do not let the client follow.
    fn keep_permitted(&self, registry: &Registry, client: &Client, uris: &mut Vec<String>) {
        let now = registry.now();
        let Some(policies) = now.servers.policies() else { return };
        uris.retain(|uri| {
            let Some(route) = now.catalog.route_uri(uri) else { return true };
            let Some(lane) = now.lane_at(route.index) else { return true };
            policies.shows(client, &lane.thing(Action::ReadResource, &route.original, &route.original, &[]))
        });
    }
}

impl Listener {
    /// Tells of changed lists, for ever.
    async fn announce(&self, registry: &Registry, shown: impl Fn() -> [u64; 4], mut known: [u64; 4]) {
        let mut changes = registry.changes();
        changes.mark_changed();
        while changes.changed().await.is_ok() {
            if shown() == known {
                continue;
            }
            registry.settled().await;
            tokio::time::sleep(PAUSE).await;
            let now = shown();
            let mut methods: Vec<&str> = ListKind::ALL
                .iter()
                .filter(|kind| now[**kind as usize] != known[**kind as usize] && self.filter.wants(**kind))
                .map(|kind| kind.changed_notification())
                .collect();
            methods.dedup();
            known = now;
            for method in methods {
                self.send(method, |_| {});
            }
        }
    }

    /// Tells of a changed resource, if it is one of those that are followed, or a part of one.
    pub(in crate::frontend) fn updated(&self, uri: &str) {
        if self.filter.uris.iter().any(|followed| uri.starts_with(followed.as_str())) {
            self.send("notifications/resources/updated", |params| {
                params.extend_from_slice(br#","uri":"#);
                json::push_string(params, uri);
            });
        }
    }

    fn tasks(&self) -> MutexGuard<'_, Vec<(Arc<Backend>, String, String)>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Our name for a task of a server, if it is one of those that are followed.
    fn name_of_task(&self, server: &ServerName, id: &str) -> Option<String> {
        let tasks = self.tasks();
        let followed = tasks.iter().find(|(backend, its, _)| backend.name() == server && its == id);
        followed.map(|(_, _, name)| name.clone())
    }

    /// Whether a task of a server is one of those that are followed.
    pub(in crate::frontend) fn follows_task(&self, server: &ServerName, id: &str) -> bool {
        self.name_of_task(server, id).is_some()
    }

    /// How its client would ask for a task of a server, by the server's id.
    pub(in crate::frontend) fn about_task(&self, id: &str) -> Call {
        let params = bridge::tasks::id_params(id);
        let caller = Subscriber::of(self.principal.clone(), None);
        caller.request(Method::Task(TaskMethod::Get), id, params)
    }

    /// Tells of a task of a server, if it is one of those that are followed. `params` are those of the server.
    pub(in crate::frontend) fn task_changed(&self, server: &ServerName, id: &str, params: &[u8]) {
        let Some(name) = self.name_of_task(server, id) else { return };
        let Some(told) = bridge::tasks::with_id(params, &name) else { return };
        self.send("notifications/tasks", |text| {
            for member in json::members(&told).filter(|member| !member.is(&told, "_meta")) {
                text.push(b',');
                text.extend_from_slice(&told[member.key.start..member.value.end]);
            }
        });
    }

    /// Tells of a task of ours, if it is one of those that are followed.
    pub(in crate::frontend) fn kept_changed(&self, name: &str, members: impl FnOnce() -> Vec<u8>) {
        if self.filter.tasks.iter().any(|followed| followed == name) {
            self.send("notifications/tasks", |params| {
                params.push(b',');
                params.extend(members());
            });
        }
    }

    fn send(&self, method: &str, rest: impl FnOnce(&mut Vec<u8>)) {
        let mut params = br#"{"_meta":"#.to_vec();
        self.push_meta(&mut params, false);
        rest(&mut params);
        params.push(b'}');
        if let Some(responder) = &*self.responder.lock().unwrap_or_else(PoisonError::into_inner) {
            responder.send(|out| {
                out.copy(br#"{"jsonrpc":"2.0","method":""#);
                out.copy(method.as_bytes());
                out.copy(br#"","params":"#);
                out.copy(&params);
                out.copy(b"}");
            });
        }
    }

    fn push_meta(&self, text: &mut Vec<u8>, with_server: bool) {
        text.extend_from_slice(format!("{{\"{}\":", meta::SUBSCRIPTION_ID).as_bytes());
        text.extend_from_slice(&self.id);
        if with_server {
            text.extend_from_slice(format!(",\"{}\":", meta::SERVER_INFO).as_bytes());
            text.extend_from_slice(&server_info());
        }
        text.push(b'}');
    }

    /// Ends the stream from our side.
    fn finish(&self) {
        let responder = self.responder.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(responder) = responder else { return };
        let mut text = br#"{"resultType":"complete","_meta":"#.to_vec();
        self.push_meta(&mut text, true);
        text.push(b'}');
        let whole = Span { start: 0, end: text.len() };
        responder.relay("result", &text.into(), whole);
    }

    fn unfollow(&self, registry: &Registry) {
        for (server, uri) in self.followed.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            // With the last one who follows it, the server is told.
            if let Some(backend) = registry.backend(&server) {
                backend.unsubscribed(&uri);
            }
        }
        for (backend, id, _) in self.tasks().drain(..) {
            backend.task_left(&id);
        }
    }
}

struct Watch(CancellationToken);

impl Open for Watch {
    fn cancelled(&self, _: Option<&str>) {
        self.0.cancel();
    }

    fn is_lasting(&self) -> bool {
        true
    }
}

/// Asks the servers of these resources for news of them. What cannot be followed is taken out of `uris`.
async fn follow(registry: &Registry, uris: &mut Vec<String>) -> Vec<(ServerName, String)> {
    let deadline = Instant::now() + AGREEMENT;
    let now = registry.now();
    let mut asked = Vec::new();
    for uri in std::mem::take(uris) {
        let Some(route) = now.catalog.route_uri(&uri) else { continue };
        let Some(lane) = now.lane_at(route.index) else { continue };
        let (subscriber, agreed) = Subscriber::new();
        let original = route.original.into_owned();
        subscriber.call(lane.backend(), Method::Subscribe, &original);
        asked.push((uri, lane.config().name.clone(), original, agreed));
    }
    let mut followed = Vec::new();
    for (uri, server, original, agreed) in asked {
        // One that has not answered yet is starting; it will be asked.
        let agrees = timeout_at(deadline, agreed).await.map_or(true, |agreed| agreed == Ok(true));
        // Another backend may have taken the place of the one that was asked.
        if agrees && let Some(backend) = registry.backend(&server) {
            backend.subscribed(original.clone());
            followed.push((server, original));
            uris.push(uri);
        }
    }
    followed
}

/// Calls a server for a stream, and wants to know at most whether it agreed.
#[derive(Debug)]
struct Subscriber {
    id: CallerId,
    principal: Option<Arc<str>>,
    agreed: Mutex<Option<oneshot::Sender<bool>>>,
}

impl Subscriber {
    fn new() -> (Arc<Self>, oneshot::Receiver<bool>) {
        let (sender, receiver) = oneshot::channel();
        (Self::of(None, Some(sender)), receiver)
    }

    fn of(principal: Option<Arc<str>>, agreed: Option<oneshot::Sender<bool>>) -> Arc<Self> {
        Arc::new(Self { id: CallerId::fresh(), principal, agreed: Mutex::new(agreed) })
    }

    fn call(self: Arc<Self>, backend: &Backend, method: Method, uri: &str) {
        let mut params = br#"{"uri":"#.to_vec();
        json::push_string(&mut params, uri);
        params.push(b'}');
        backend.call(self.request(method, uri, params));
    }

    fn request(self: Arc<Self>, method: Method, label: &str, params: Vec<u8>) -> Call {
        let whole = Span { start: 0, end: params.len() };
        Call {
            ticket: Ticket(0),
            caller: self,
            method,
            label: label.into(),
            line: Bytes::from(params),
            params: Some(whole),
            target: None,
            meta: None,
            token: TokenPlace::None,
        }
    }

    fn tell(&self, agreed: bool) {
        let sender = self.agreed.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(sender) = sender {
            // Whoever asked may have stopped waiting.
            let _ = sender.send(agreed);
        }
    }
}

impl Caller for Subscriber {
    fn id(&self) -> CallerId {
        self.id
    }

    fn introduction(&self) -> Introduction {
        Introduction { capabilities: Bytes::from_static(b"{}"), ..anybody() }
    }

    fn principal(&self) -> Option<Arc<str>> {
        self.principal.clone()
    }

    fn level(&self) -> Option<Level> {
        None
    }

    fn reply(&self, _: Ticket, reply: Reply<'_>) {
        self.tell(matches!(reply.body, Body::Result(_)));
    }

    fn fail(&self, _: Ticket, _: Failure) {
        self.tell(false);
    }

    fn progress(&self, _: Ticket, _: Progress<'_>) {}

    fn log(&self, _: Ticket, _: &ServerName, _: Notice<'_>) {}

    fn ask(&self, _: Ticket, _: Ask<'_>) -> Result<(), NotAsked> {
        Err(NotAsked::Unsupported("nobody can be asked in the middle of a subscription".to_owned()))
    }

    fn withdraw(&self, _: &AskKey, _: &str) {}
}
