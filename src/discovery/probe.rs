//! Greeting one address as a client greets a server: the same handshake and lists that a server of the config gets, over the
//! same transports, in the words of either era. Nothing is called, and the session is ended.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use serde_json::Value;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinSet;

use super::finding::{FoundTool, one_line};
use crate::backend::{Backend, Extent, Lifecycle, Observer, Verdicts, Way};
use crate::call::{Ask, AskKey, Audience, Caller, InFlight, Introduction, NotAsked, Notice};
use crate::catalog::Offering;
use crate::config::{Launch, RemoteKind, RemoteLaunch, Secret, ServerConfig};
use crate::failure::{Code, Failure};
use crate::names::ServerName;
use crate::protocol::{Revision, Tasks};
use crate::supervisor::{Ending, Supervisor, SupervisorOptions};
use crate::transport::{self, AuthProvider, BoxFuture, Challenge, Patience};

/// The largest message of a stranger that is read, in bytes.
const LARGEST: usize = 4 << 20;
/// More tools than this are not kept of one server.
const MOST_TOOLS: usize = 500;
/// The goodbye to a server, and the end of what is left of a connection.
const GOODBYE: Duration = Duration::from_millis(300);

/// What is to be greeted.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) url: String,
    pub(super) kind: RemoteKind,
    pub(super) headers: Vec<(String, Secret)>,
}

impl Target {
    pub(super) fn new(url: impl Into<String>, kind: RemoteKind) -> Self {
        Self { url: url.into(), kind, headers: Vec::new() }
    }
}

/// What a server showed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Shown {
    pub(super) name: Option<String>,
    pub(super) description: Option<String>,
    pub(super) revision: Option<String>,
    pub(super) tools: Vec<FoundTool>,
    /// Its tools could not be listed.
    pub(super) is_lacking: bool,
}

/// Why a server did not show anything.
#[derive(Clone, Debug)]
pub(super) enum Refused {
    /// It is an MCP server, and wants somebody to log in (RFC 9728 as MCP uses it).
    WantsLogin,
    /// Anything else.
    Failure(Failure),
}

/// Greets a target and says what it showed within `patience`.
pub(super) async fn greet(target: &Target, patience: Duration) -> Result<Shown, Refused> {
    let name = ServerName::new("discovery");
    let launch = RemoteLaunch {
        url: target.url.clone(),
        kind: target.kind,
        headers: target.headers.clone(),
        ca: None,
    };
    let auth = Arc::new(Onlooker::default());
    let way = Patience {
        connect: patience,
        head: patience,
        quiet: patience,
        body: patience,
        answer: patience,
        goodbye: GOODBYE,
        ..Patience::default()
    };
    let transport = transport::remote(&launch, Arc::clone(&auth) as Arc<dyn AuthProvider>, way);
    let transport = transport.map_err(Refused::Failure)?;
    let mut config = ServerConfig::stdio(name.as_str(), "", &[]);
    config.launch = Launch::Remote(launch);
    config.timeouts.start = patience;
    config.limits.message = LARGEST;
    let backend = Backend::new(config, Arc::new(Nobody) as Arc<dyn Audience>);
    let witness = Arc::new(Witness::default());
    let (shutdown, ended) = watch::channel(None);
    let lifecycle = Lifecycle::new(
        Arc::clone(&backend),
        Way::over(transport, Supervisor::new(SupervisorOptions::default())),
        Verdicts::default(),
        Arc::new(Semaphore::new(1)),
        Arc::clone(&witness) as Arc<dyn Observer>,
        ended,
        None,
    );
    let mut tasks = JoinSet::new();
    tasks.spawn(lifecycle.run());
    backend.start();
    let said = tokio::time::timeout(patience, witness.verdict(&backend)).await;
    shutdown.send_replace(Some(Ending { term_after: GOODBYE, kill_after: 2 * GOODBYE }));
    // The goodbye is polite, not necessary.
    let _ = tokio::time::timeout(3 * GOODBYE, tasks.join_next()).await;
    match said {
        Ok(Ok(shown)) => Ok(shown),
        Ok(Err(_)) if auth.wants_login() => Err(Refused::WantsLogin),
        Ok(Err(failure)) => Err(Refused::Failure(Failure { server: None, ..failure })),
        Err(_) => Err(Refused::Failure(late(patience))),
    }
}

/// Nobody knows more than that it took too long.
pub(super) fn late(patience: Duration) -> Failure {
    let cause = format!("it takes connections and did not answer within {} s", patience.as_secs_f64());
    Failure::new(Code::NetTimeout, cause)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

// === what comes of it ===

/// Waits for the server's first word that counts.
#[derive(Default)]
struct Witness {
    shown: Mutex<Option<Shown>>,
    news: Notify,
}

impl Witness {
    async fn verdict(&self, backend: &Backend) -> Result<Shown, Failure> {
        loop {
            if let Some(shown) = lock(&self.shown).take() {
                return Ok(shown);
            }
            // A first failure is the answer: nobody here waits for a second try.
            if let Some(failure) = backend.state().failure() {
                return Err(failure.clone());
            }
            self.news.notified().await;
        }
    }
}

impl Observer for Witness {
    fn offering(&self, _: &ServerName, offering: Offering, extent: Extent) {
        *lock(&self.shown) = Some(shown(&offering, extent));
        self.news.notify_one();
    }

    fn state_changed(&self, _: &ServerName) {
        self.news.notify_one();
    }
}

fn shown(offering: &Offering, extent: Extent) -> Shown {
    let tools: Vec<FoundTool> = offering.tools.iter().take(MOST_TOOLS).filter_map(found_tool).collect();
    Shown {
        name: offering.server_name().as_deref().and_then(one_line),
        description: offering.instructions().as_deref().and_then(one_line),
        revision: offering.protocol_version().as_deref().and_then(one_line),
        is_lacking: extent == Extent::Lacking && tools.is_empty() && offering.capabilities().tools,
        tools,
    }
}

/// A tool's definition, read as far as a proposal needs it.
fn found_tool(definition: &Bytes) -> Option<FoundTool> {
    let value: Value = serde_json::from_slice(definition).ok()?;
    let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    let input_schema =
        value.get("inputSchema").cloned().unwrap_or_else(|| Value::Object(serde_json::Map::new()));
    Some(FoundTool {
        name: text("name")?,
        description: text("description").unwrap_or_default(),
        input_schema,
    })
}

// === who asks ===

/// Has no credentials, and notes whether the server says where to get some.
#[derive(Debug, Default)]
struct Onlooker {
    metadata: Mutex<bool>,
}

impl Onlooker {
    fn wants_login(&self) -> bool {
        *lock(&self.metadata)
    }
}

impl AuthProvider for Onlooker {
    fn authorize<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Vec<(HeaderName, HeaderValue)>, Failure>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn challenged<'a>(&'a self, challenge: &'a Challenge) -> BoxFuture<'a, Result<(), Failure>> {
        if challenge.www_authenticate.iter().any(|words| words.contains("resource_metadata")) {
            *lock(&self.metadata) = true;
        }
        let cause = format!("it answered {}: it wants credentials", challenge.status);
        let remedy = "If it is an MCP server of yours, add it with its token under `headers`";
        Box::pin(async move { Err(Failure::new(Code::AuthRefused, cause).remedy(remedy)) })
    }
}

/// The audience of a server that is only looked at: nobody can be asked anything, and what it says is not heard.
#[derive(Debug)]
struct Nobody;

impl Nobody {
    fn not_asked() -> NotAsked {
        NotAsked::Unsupported("nobody is here who could be asked".to_owned())
    }
}

impl Audience for Nobody {
    fn introduction(&self) -> Introduction {
        Introduction { revision: Revision::newest_legacy(), capabilities: Bytes::from_static(b"{}") }
    }

    fn log(&self, _: &ServerName, _: Notice<'_>, _: &[InFlight]) {}

    fn say(&self, _: &ServerName, _: &str) {}

    fn updated(&self, _: &ServerName, _: Notice<'_>) {}

    fn owner_of_task(&self, _: &ServerName, _: &str) -> Option<Arc<dyn Caller>> {
        None
    }

    fn task_changed(&self, _: &ServerName, _: Tasks, _: Notice<'_>) {}

    fn elicitation_complete(&self, _: Notice<'_>) {}

    fn ask(&self, _: Ask<'_>) -> Result<(), NotAsked> {
        Err(Self::not_asked())
    }

    fn withdraw(&self, _: &AskKey, _: &str) {}

    fn is_full(&self) -> bool {
        false
    }

    fn room(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(std::future::ready(()))
    }
}
