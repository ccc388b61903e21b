//! What can be asked: every path with its methods, what each does and which parameters it knows.

use http::Method;

use super::path;
use super::refusal::Refusal;

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Action {
    ListServers,
    Register,
    ShowServer,
    Update,
    Unregister,
    Enable,
    Disable,
    Restart,
    ResetBreaker,
    ClearCache,
    ShowHealth,
    CheckHealth,
    Discover,
    ListDiscovered,
    ClearDiscovered,
    ListTools,
    CallTool,
    ShowStats,
    ShowStatus,
    Events,
    Logs,
    ListWaiting,
    Approve,
    Reload,
    OpenApi,
    Metrics,
    Alive,
    Ready,
}

/// One row.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) method: Method,
    /// With `{}` for a name.
    pub(super) path: &'static str,
    pub(super) action: Action,
    /// The parameters behind the question mark.
    pub(super) query: &'static [&'static str],
}

impl Route {
    const fn new(method: Method, path: &'static str, action: Action) -> Self {
        Self { method, path, action, query: &[] }
    }

    const fn query(mut self, query: &'static [&'static str]) -> Self {
        self.query = query;
        self
    }

    /// Whether it changes nothing.
    pub(super) fn only_looks(&self) -> bool {
        self.method == Method::GET
    }

    /// Whether anybody may ask, because the answer tells nothing.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.action, Action::Alive | Action::Ready)
    }
}

/// Every route.
pub(super) const ROUTES: &[Route] = &[
    Route::new(Method::GET, "/proxy/servers", Action::ListServers).query(&[
        "status",
        "transport",
        "category",
    ]),
    Route::new(Method::POST, "/proxy/servers", Action::Register),
    Route::new(Method::GET, "/proxy/servers/{}", Action::ShowServer),
    Route::new(Method::PUT, "/proxy/servers/{}", Action::Update),
    Route::new(Method::DELETE, "/proxy/servers/{}", Action::Unregister).query(&["persist"]),
    Route::new(Method::POST, "/proxy/servers/{}/enable", Action::Enable).query(&["persist"]),
    Route::new(Method::POST, "/proxy/servers/{}/disable", Action::Disable).query(&["persist"]),
    Route::new(Method::POST, "/proxy/servers/{}/restart", Action::Restart),
    Route::new(Method::POST, "/proxy/servers/{}/breaker/reset", Action::ResetBreaker),
    Route::new(Method::POST, "/proxy/servers/{}/cache/clear", Action::ClearCache),
    Route::new(Method::GET, "/proxy/health", Action::ShowHealth).query(&["server_id"]),
    Route::new(Method::POST, "/proxy/health", Action::CheckHealth),
    Route::new(Method::POST, "/proxy/discovery", Action::Discover),
    Route::new(Method::GET, "/proxy/discovery/servers", Action::ListDiscovered).query(&["status"]),
    Route::new(Method::DELETE, "/proxy/discovery/servers", Action::ClearDiscovered),
    Route::new(Method::GET, "/proxy/tools", Action::ListTools).query(&["server_id", "category", "search"]),
    Route::new(Method::POST, "/proxy/tools/{}", Action::CallTool),
    Route::new(Method::GET, "/proxy/stats", Action::ShowStats).query(&["period"]),
    Route::new(Method::GET, "/proxy/status", Action::ShowStatus),
    Route::new(Method::GET, "/proxy/events", Action::Events).query(&["server_id"]),
    Route::new(Method::GET, "/proxy/logs", Action::Logs).query(&["server_id", "lines", "follow"]),
    Route::new(Method::GET, "/proxy/approve", Action::ListWaiting).query(&["server_id"]),
    Route::new(Method::POST, "/proxy/approve", Action::Approve),
    Route::new(Method::POST, "/proxy/reload", Action::Reload),
    Route::new(Method::GET, "/proxy/openapi.json", Action::OpenApi),
    Route::new(Method::GET, "/metrics", Action::Metrics),
    Route::new(Method::GET, "/healthz", Action::Alive),
    Route::new(Method::GET, "/readyz", Action::Ready),
];

/// The route of a request, and the name in its path. Who may GET may ask for the HEAD alone.
pub(super) fn find(method: &Method, path: &str) -> Result<(&'static Route, Option<String>), Refusal> {
    let at_path = || ROUTES.iter().filter_map(|route| Some((route, path::matches(route.path, path)?)));
    let wanted = if method == Method::HEAD { &Method::GET } else { method };
    if let Some(found) = at_path().find(|(route, _)| route.method == *wanted) {
        return Ok(found);
    }
    let mut allowed: Vec<&str> = at_path().map(|(route, _)| route.method.as_str()).collect();
    if allowed.is_empty() {
        return Err(Refusal::nothing_here());
    }
    if allowed.contains(&"GET") {
        allowed.push("HEAD");
    }
    Err(Refusal::method(method, &allowed.join(", ")))
}
