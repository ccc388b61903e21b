//! The HTTP faces: Streamable HTTP of both eras, and the transport of 2024-11-05.
//!
//! In: requests, and the `http` section of the script. Out: what a server of the specification answers, unless the
//! script says that this request meets a fault. The MCP part is the same as on stdin and stdout.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use self::body::{Broken, Pipe};
use self::legacy::LegacySession;
use self::settings::{Act, Cut, Fault, Place, Settings, Style};
use super::receive::Envelope;
use super::revision::code;
use super::serve::record_of;
use super::server::Server;

mod answer;
mod body;
mod bomb;
mod legacy;
mod log;
mod mirror;
mod modern;
pub(super) mod reading;
pub(super) mod settings;
mod sse;

/// Which HTTP transport is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Streamable,
    /// The one of 2024-11-05.
    Sse,
}

impl Transport {
    /// Where clients connect unless the script says otherwise.
    pub(super) fn default_path(self) -> &'static str {
        match self {
            Transport::Streamable => "/mcp",
            Transport::Sse => "/sse",
        }
    }
}

/// What all connections share.
pub(super) struct Http {
    server: Arc<Server>,
    transport: Transport,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    sessions: HashMap<String, Arc<LegacySession>>,
    /// How many requests each fault was about.
    matched: Vec<u64>,
    record: Option<std::fs::File>,
}

/// A request, read whole.
struct Asked {
    verb: Method,
    path: String,
    query: String,
    /// Names in small letters.
    headers: Arc<Vec<(String, String)>>,
    body: Bytes,
    /// The fault that it meets.
    fault: Option<Fault>,
}

type Answer = Result<Response<Pipe>, Broken>;

impl Http {
    pub(super) fn new(server: &Arc<Server>, transport: Transport) -> Arc<Self> {
        let state = State { record: record_of(server), ..State::default() };
        Arc::new(Self { server: Arc::clone(server), transport, state: Mutex::new(state) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self) -> &str {
        self.server.path(self.transport.default_path())
    }

    fn settings(&self) -> &Settings {
        &self.server.plan.http
    }

    /// Serves one connection until it ends.
    pub(super) async fn connection(self: Arc<Self>, stream: TcpStream) {
        let service = hyper::service::service_fn(move |request| {
            let http = Arc::clone(&self);
            async move { http.handle(request).await }
        });
        let mut builder = hyper::server::conn::http1::Builder::new();
        // Requests of a client that goes away are dropped, which is how the modern era cancels.
        builder.half_close(false);
        // A broken connection is what some scripts want.
        let _ = builder.serve_connection(TokioIo::new(stream), service).await;
    }

    async fn handle(self: Arc<Self>, request: Request<Incoming>) -> Answer {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let headers = head.headers.iter();
        let headers = headers.map(|(name, value)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        });
        let mut asked = Asked {
            verb: head.method,
            path: head.uri.path().to_owned(),
            query: head.uri.query().unwrap_or_default().to_owned(),
            headers: Arc::new(headers.collect()),
            body,
            fault: None,
        };
        self.record(&asked);
        if let Some((_, canned)) = self.settings().paths.iter().find(|(path, _)| *path == asked.path) {
            return Ok(self.canned(&asked, canned));
        }
        asked.fault = self.fault(&asked);
        let mut answer = self.serve(&asked).await?;
        let added = asked.fault.iter().flat_map(|fault| &fault.headers);
        for (name, value) in self.settings().headers.iter().chain(added) {
            self.add_header(&asked, answer.headers_mut(), name, value);
        }
        if let Some(Fault { act: Act::ContentType(kind), .. }) = &asked.fault {
            answer.headers_mut().remove(http::header::CONTENT_TYPE);
            self.add_header(&asked, answer.headers_mut(), "Content-Type", kind);
        }
        Ok(answer)
    }

    /// Answers, once it is known which fault the request meets.
    async fn serve(self: &Arc<Self>, asked: &Asked) -> Answer {
        if let Some(fault) = &asked.fault {
            if !fault.delay.is_zero() {
                tokio::time::sleep(fault.delay).await;
            }
            match &fault.act {
                Act::Answer(canned) => return Ok(self.canned(asked, canned)),
                Act::Cut(Cut { place: Place::Unread, .. }) => return Err(Broken),
                Act::Endless => return Ok(bomb::endless()),
                Act::Huge(bytes) => return Ok(bomb::huge(asked.id().as_deref(), *bytes)),
                Act::Bomb(bytes) => return Ok(bomb::compressed(asked.id().as_deref(), *bytes)),
                Act::Nothing | Act::Cut(_) | Act::ContentType(_) | Act::Id(_) => {}
            }
        }
        if let Some(refusal) = self.at_the_door(asked) {
            return Ok(refusal);
        }
        match self.transport {
            Transport::Sse => self.serve_sse(asked).await,
            Transport::Streamable if asked.path != self.path() => {
                Ok(self.plain(StatusCode::NOT_FOUND, "no such path"))
            }
            Transport::Streamable if self.is_modern(asked) => self.serve_modern(asked).await,
            Transport::Streamable => self.serve_legacy(asked).await,
        }
    }

    /// What is refused whatever it says: strangers from a browser, and who shows no token.
    fn at_the_door(&self, asked: &Asked) -> Option<Response<Pipe>> {
        if let Some(origin) = asked.header("origin") {
            let host = origin.split_once("://").map_or(origin, |(_, host)| host);
            let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
            if !matches!(host, "127.0.0.1" | "localhost" | "[::1]") {
                return Some(self.error(
                    StatusCode::FORBIDDEN,
                    None,
                    code::INVALID_REQUEST,
                    "this origin may not",
                ));
            }
        }
        if let Some(bearer) = &self.settings().bearer
            && asked.header("authorization") != Some(&format!("Bearer {bearer}"))
        {
            let mut answer = self.plain(StatusCode::UNAUTHORIZED, "a token is needed");
            self.add_header(asked, answer.headers_mut(), "WWW-Authenticate", &self.settings().challenge);
            return Some(answer);
        }
        None
    }

    /// The fault that this request meets, if any; counts it.
    fn fault(&self, asked: &Asked) -> Option<Fault> {
        let (method, name) = asked.names();
        let faults = &self.settings().faults;
        let mut state = self.state();
        state.matched.resize(faults.len(), 0);
        let mut met = None;
        for (fault, matched) in faults.iter().zip(&mut state.matched) {
            if fault.matches(asked.verb.as_str(), method.as_deref(), name.as_deref()) {
                *matched += 1;
                if met.is_none() && fault.meets(*matched) {
                    met = Some(fault.clone());
                }
            }
        }
        met
    }

    fn style<'a>(&'a self, asked: &'a Asked) -> &'a Style {
        asked.fault.as_ref().and_then(|fault| fault.style.as_ref()).unwrap_or(&self.settings().style)
    }

    fn record(&self, asked: &Asked) {
        use std::io::Write as _;
        let mut state = self.state();
        if let Some(file) = &mut state.record
            && !asked.body.is_empty()
        {
            // A record that cannot be written is missed by whoever reads it.
            let _ = file.write_all(&[&asked.body[..], b"\n"].concat());
        }
        drop(state);
        let Some(path) = &self.settings().requests else { return };
        let path = self.server.scope().text(path);
        if !path.is_empty()
            && let Ok(mut file) = std::fs::OpenOptions::new().create(true).append(true).open(path)
        {
            let _ = writeln!(file, "{}", asked.to_json());
        }
    }

    fn session(&self, id: &str) -> Option<Arc<LegacySession>> {
        self.state().sessions.get(id).cloned()
    }

    /// Forgets a session: what runs in it stops, its streams end.
    fn forget(&self, id: &str) {
        if let Some(session) = self.state().sessions.remove(id) {
            session.stop().cancel();
        }
    }
}

impl Asked {
    /// The values of a header, joined.
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn accepts(&self, kind: &str) -> bool {
        let accepted = self.headers.iter().filter(|(name, _)| name == "accept");
        accepted.flat_map(|(_, value)| value.split(',')).any(|accepted| {
            let accepted = accepted.split(';').next().unwrap_or_default().trim();
            accepted == "*/*" || accepted.eq_ignore_ascii_case(kind)
        })
    }

    fn envelope(&self) -> Result<Envelope<'_>, serde_json::Error> {
        serde_json::from_slice(&self.body)
    }

    fn id(&self) -> Option<String> {
        self.envelope().ok()?.id.map(|id| id.get().to_owned())
    }

    /// The method, and the tool, prompt, URI or task that the body names.
    fn names(&self) -> (Option<String>, Option<String>) {
        let Ok(envelope) = self.envelope() else { return (None, None) };
        let method = envelope.method.as_deref().map(str::to_owned);
        let name = method.as_deref().and_then(|method| mirror::named(method, envelope.params()));
        (method, name)
    }

    fn cut(&self) -> Option<Cut> {
        match self.fault {
            Some(Fault { act: Act::Cut(cut), .. }) => Some(cut),
            _ => None,
        }
    }

    fn to_json(&self) -> serde_json::Value {
        let headers = self.headers.iter().map(|(name, value)| (name.clone(), value.as_str().into()));
        serde_json::json!({
            "method": self.verb.as_str(),
            "path": self.path,
            "query": self.query,
            "headers": serde_json::Value::Object(headers.collect()),
            "body": String::from_utf8_lossy(&self.body),
        })
    }
}

/// A token that is never cancelled.
fn never() -> CancellationToken {
    CancellationToken::new()
}
