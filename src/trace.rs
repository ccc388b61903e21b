//! Traces: a span for each request of a client, and one for each attempt at a server, under the context that the client sent
//! (W3C Trace Context, in `_meta` as SEP-414 has it).
//!
//! In comes each call as it enters its lane ([`Tracer::begin`]), and again as it leaves for a server ([`Trace::attempt`]); out go
//! finished [`Span`]s through a bounded queue, to whoever sends them on. Nothing in here waits or knows how spans are sent,
//! and none of them holds arguments, results or URIs.
//!
//! Attributes follow the conventions of OpenTelemetry for MCP:
//! <https://github.com/open-telemetry/semantic-conventions-genai/blob/main/docs/gen-ai/mcp.md>.

mod caller;
mod context;
mod header;
mod span;
mod stamp;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;

use crate::backend::Backend;
use crate::call::Call;
use crate::config::{Launch, RemoteKind};
use crate::names::ExposedName;
use crate::protocol::Method;
use crate::wire::json;

pub use context::{Context, SpanId};
pub use header::carried;
pub use span::{Kind, Span, Value};

use caller::Spanned;

/// How many finished spans may wait to be sent.
const QUEUE: usize = 2048;

/// Makes spans.
#[derive(Debug)]
pub struct Tracer {
    finished: mpsc::Sender<Span>,
    dropped: AtomicU64,
}

/// The trace of one request of a client, for its attempts.
#[derive(Debug)]
pub struct Trace {
    tracer: Arc<Tracer>,
    /// The request's own span.
    context: Context,
    state: Option<Arc<str>>,
}

impl Tracer {
    /// A tracer, and the other end of its queue.
    pub fn new() -> (Arc<Self>, mpsc::Receiver<Span>) {
        let (finished, spans) = mpsc::channel(QUEUE);
        (Arc::new(Self { finished, dropped: AtomicU64::new(0) }), spans)
    }

    /// How many spans were lost because nobody took them.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Counts spans that could not be handed on.
    pub fn drop_more(&self, count: usize) {
        self.dropped.fetch_add(count as u64, Ordering::Relaxed);
    }

    fn finish(&self, span: Span) {
        if self.finished.try_send(span).is_err() {
            self.drop_more(1);
        }
    }

    /// The same call with a caller who notes how it ends, and what its attempts need. A client that says that it does not record its
    /// trace has none here: the call goes on as it came.
    pub fn begin(
        self: &Arc<Self>,
        call: Call,
        exposed: Option<&ExposedName>,
        server: &Backend,
    ) -> (Call, Option<Arc<Trace>>) {
        let meta = call.meta.map(|span| span.of(&call.line)).unwrap_or_default();
        let text = |key| json::get(meta, key).and_then(|span| json::string(span.of(meta)));
        let parent = text("traceparent").and_then(|text| Context::parse(&text));
        if parent.is_some_and(|parent| !parent.is_sampled) {
            return (call, None);
        }
        // What stands beside no parent, or is longer than the standard asks for, is nobody's.
        let state = text("tracestate").filter(|state| parent.is_some() && state.len() <= 512);
        let state: Option<Arc<str>> = state.map(|state| state.as_ref().into());
        let context = parent.map_or_else(Context::fresh, Context::child);
        let name = exposed.map_or(call.label.as_str(), ExposedName::as_str);
        let mut span = named(Kind::Server, &call, name, context, parent);
        span.state = state.clone();
        span.note("switchboard.server", server.name().to_string());
        span.note("mcp.protocol.version", call.caller.introduction().revision.name);
        if let Some(client) = call.caller.client() {
            span.note("network.transport", if client.over_http { "tcp" } else { "pipe" });
        }
        let trace = Trace { tracer: Arc::clone(self), context, state };
        (Spanned::put_before(call, Arc::clone(self), span), Some(Arc::new(trace)))
    }
}

impl Trace {
    /// The same call as this attempt sends it to `server`: with a span of its own, of which the server is told.
    pub fn attempt(&self, call: Call, attempt: u32, server: &Backend) -> Call {
        let context = self.context.child();
        let mut span = named(Kind::Client, &call, call.label.as_str(), context, Some(self.context));
        span.state = self.state.clone();
        span.note("switchboard.server", server.name().to_string());
        span.note("switchboard.attempt", u64::from(attempt));
        match &server.config().launch {
            Launch::Stdio(_) => span.note("network.transport", "pipe"),
            Launch::Remote(remote) => {
                let transport = match remote.kind {
                    RemoteKind::Unix => "unix",
                    _ if remote.url.starts_with("http+unix:") => "unix",
                    _ => "tcp",
                };
                span.note("network.transport", transport);
                if let Some((host, port)) = place(&remote.url) {
                    span.note("server.address", host);
                    port.into_iter().for_each(|port| span.note("server.port", u64::from(port)));
                }
            }
        }
        let mut call = Spanned::put_before(call, Arc::clone(&self.tracer), span);
        stamp::stamp(&mut call, context);
        call
    }
}

/// The host and port of an address, and nothing else of it: the rest may hold secrets.
fn place(url: &str) -> Option<(String, Option<u16>)> {
    let uri: http::Uri = url.parse().ok()?;
    let is_host = matches!(uri.scheme_str(), Some("http" | "https" | "ws" | "wss"));
    is_host.then(|| Some((uri.host()?.to_owned(), uri.port_u16())))?
}

/// A span of a call, with what the conventions want of both kinds.
fn named(kind: Kind, call: &Call, name: &str, context: Context, parent: Option<Context>) -> Span {
    let method = call.method.name();
    let (title, key) = match call.method {
        Method::ToolsCall => (format!("{method} {name}"), Some("gen_ai.tool.name")),
        Method::PromptsGet => (format!("{method} {name}"), Some("gen_ai.prompt.name")),
        // URIs are many, and may hold what is nobody's business.
        _ => (method.to_owned(), None),
    };
    let mut span = Span::begin(kind, title, context, parent.map(|parent| parent.span));
    span.note("mcp.method.name", method);
    key.into_iter().for_each(|key| span.note(key, name.to_owned()));
    if call.method == Method::ToolsCall {
        span.note("gen_ai.operation.name", "execute_tool");
    }
    span
}
