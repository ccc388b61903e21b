//! The desk: every request comes by here, is checked, and is sent where it belongs.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::header;
use http::request::Parts;
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use tokio::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

use super::lock::Lock;
use super::query::Query;
use super::refusal::{Refusal, Success};
use super::route::{self, Action, Route};
use super::stats::Stats;
use super::{approve, call, discovery, events, health, logs, openapi, servers, stats, tools, view};
use crate::discovery::Scout;
use crate::frontend::Front;
use crate::manager::{Actor, Manager};
use crate::registry::Registry;
use crate::web::body::{self, Bounds};
use crate::web::door::Names;
use crate::web::reply::{self, Reply};

/// The largest body that is read, in bytes: as large as what clients may call a tool with.
const MAX_BODY: usize = 16 << 20;
/// For the next piece of a body, and for all of it.
const BODY_PAUSE: Duration = Duration::from_secs(20);
const BODY: Duration = Duration::from_secs(120);

/// The name under which policies and the audit log know whoever comes through the interface.
pub(super) const NAME: &str = "admin";

/// What stands around the interface.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// The folder of our state; `None` if nothing is kept.
    pub state: Option<PathBuf>,
    /// The config file, if there is one.
    pub config: Option<PathBuf>,
    /// Whether commands, and what else reads from this machine, may be registered.
    pub allow_stdio_register: bool,
}

/// Answers requests, whatever door they come through.
pub struct Desk {
    pub(super) manager: Arc<Manager>,
    pub(super) front: Arc<Front>,
    pub(super) scout: Arc<Scout>,
    pub(super) around: Surroundings,
    pub(super) stats: Stats,
    pub(super) started: SystemTime,
    pub(super) since: Instant,
    /// We are about to end: streams are closed.
    pub(super) closing: CancellationToken,
}

/// A way in.
pub(super) struct Door {
    /// The names that requests must be for; `None` on a Unix socket, which no page and no foreign name leads to.
    pub(super) names: Option<Names>,
    /// Asks for a token; `None` where the socket itself lets nobody else in.
    pub(super) lock: Option<Lock>,
    /// Whether nothing can be changed through it.
    pub(super) looks_only: bool,
}

/// A request that may be served.
pub(super) struct Asked {
    /// The name in its path.
    pub(super) name: String,
    pub(super) query: Query,
    pub(super) body: Bytes,
    pub(super) who: Actor,
}

impl Desk {
    /// For this Switchboard.
    pub fn new(
        manager: Arc<Manager>,
        front: Arc<Front>,
        scout: Arc<Scout>,
        around: Surroundings,
    ) -> Arc<Self> {
        Arc::new(Self {
            stats: Stats::new(manager.registry()),
            manager,
            front,
            scout,
            around,
            started: SystemTime::now(),
            since: Instant::now(),
            closing: CancellationToken::new(),
        })
    }

    pub(super) fn registry(&self) -> &Arc<Registry> {
        self.manager.registry()
    }

    /// Answers one request.
    pub(super) async fn answer(&self, door: &Door, request: Request<Incoming>) -> Reply {
        let (request, mut body) = request.into_parts();
        match self.serve(door, &request, &mut body).await {
            Ok(reply) => reply,
            Err(refusal) => {
                body::drain(&mut body).await;
                refusal.reply()
            }
        }
    }

    async fn serve(&self, door: &Door, request: &Parts, body: &mut Incoming) -> Result<Reply, Refusal> {
        if let Some(names) = &door.names {
            names.admit(request).map_err(Refusal::stranger)?;
        }
        let found = route::find(&request.method, request.uri.path());
        // Whoever may not come in does not learn what there is.
        let who = match (&door.lock, &found) {
            (Some(_), Ok((route, _))) if route.is_open() => NAME.into(),
            (Some(lock), _) => {
                let servers = self.registry().servers();
                lock.admit(servers.config(), &request.headers).map_err(Refusal::unknown)?
            }
            (None, _) => NAME.into(),
        };
        let (route, name) = found?;
        if door.looks_only && !route.only_looks() {
            return Err(Refusal::looking_only());
        }
        let query = Query::read(request.uri.query(), route.query)?;
        let asked = Asked {
            name: name.unwrap_or_default(),
            query,
            body: self.body(route, request, body).await?,
            who: Actor::new(&*who, "rest"),
        };
        self.act(route.action, &asked).await
    }

    async fn body(&self, route: &Route, request: &Parts, body: &mut Incoming) -> Result<Bytes, Refusal> {
        if matches!(route.method, Method::GET | Method::DELETE) {
            return Ok(Bytes::new());
        }
        let bounds = Bounds { size: MAX_BODY, pause: BODY_PAUSE, whole: BODY };
        let body = body::read(body, bounds).await.map_err(|unread| Refusal::unread(unread, MAX_BODY))?;
        if !body.is_empty() && !is_json(request) {
            return Err(Refusal::not_json());
        }
        Ok(body)
    }

    async fn act(&self, action: Action, asked: &Asked) -> Result<Reply, Refusal> {
        let success = match action {
            Action::ListServers => servers::list(self, asked)?,
            Action::Register => servers::register(self, asked).await?,
            Action::ShowServer => servers::show(self, asked)?,
            Action::Update => servers::update(self, asked).await?,
            Action::Unregister => servers::unregister(self, asked).await?,
            Action::Enable => servers::switch(self, asked, true).await?,
            Action::Disable => servers::switch(self, asked, false).await?,
            Action::Restart => servers::restart(self, asked).await?,
            Action::ResetBreaker => servers::reset_breaker(self, asked)?,
            Action::ClearCache => servers::clear_cache(self, asked)?,
            Action::Reload => servers::reload(self, asked).await?,
            Action::ShowHealth => health::show(self, asked)?,
            Action::CheckHealth => health::check(self, asked).await?,
            Action::Discover => discovery::discover(self, asked).await?,
            Action::ListDiscovered => discovery::list(self, asked)?,
            Action::ClearDiscovered => discovery::clear(self),
            Action::ListTools => tools::list(self, asked)?,
            Action::CallTool => call::call(self, asked).await?,
            Action::ShowStats => stats::show(self, asked)?,
            Action::ShowStatus => Success::new(view::whole(self), "status"),
            Action::ListWaiting => approve::list(self, asked).await?,
            Action::Approve => approve::approve(self, asked).await?,
            Action::Events => return events::follow(self, asked),
            Action::Logs => return logs::show(self, asked).await,
            Action::OpenApi => return Ok(reply::json(StatusCode::OK, openapi::DOCUMENT)),
            Action::Metrics => return openapi::metrics(self.registry()),
            Action::Alive => return Ok(reply::text(StatusCode::OK, "text/plain", "ok\n")),
            Action::Ready => return Ok(self.ready()),
        };
        Ok(success.reply())
    }

    /// Whether every server has shown what it has, or cannot.
    fn ready(&self) -> Reply {
        match self.registry().is_complete() {
            true => reply::text(StatusCode::OK, "text/plain", "ready\n"),
            false => reply::text(StatusCode::SERVICE_UNAVAILABLE, "text/plain", "servers are starting\n"),
        }
    }
}

fn is_json(request: &Parts) -> bool {
    let said = request.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = said.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let encoded = request.headers.get(header::CONTENT_ENCODING).is_some_and(|coding| coding != "identity");
    essence.eq_ignore_ascii_case("application/json") && !encoded
}
