//! The client's lines: what each one asks for, and where it goes.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::backend::Backend;
use crate::call::{Call, Client, Introduction, TokenPlace};
use crate::frontend::answer::{Answer, excerpt};
use crate::frontend::batch::Batch;
use crate::frontend::pending::Request;
use crate::frontend::session::{Greeted, Session};
use crate::names::OriginalName;
use crate::protocol::{IMPLEMENTATION, Level, ListKind, MODERN_META, Method, Revision, VERSION, codes};
use crate::registry::{Registry, digests};
use crate::status;
use crate::wire::outbox::render;
use crate::wire::{Fault, Id, Line, Message, Span, envelope, json};

/// How long a first list waits for servers that have never shown what they have.
const PATIENCE: Duration = Duration::from_secs(1);
/// The same for clients that never look at a list again (see `IMPATIENT`).
const LONG_PATIENCE: Duration = Duration::from_secs(8);
/// Clients (`clientInfo.name`) that ignore `list_changed`: what the first list lacks, they never use.
const IGNORE_CHANGES: [&str; 2] = ["claude-ai", "codex-mcp-client"];

/// A request as it came in: the line and the places in it.
struct Incoming<'a> {
    line: &'a Bytes,
    id: Span,
    params: Option<Span>,
    batch: Option<Arc<Batch>>,
}

impl Incoming<'_> {
    fn params(&self) -> &[u8] {
        self.params.map(|span| span.of(self.line)).unwrap_or_default()
    }

    /// A member of the parameters, placed in the line.
    fn member(&self, name: &str) -> Option<Span> {
        json::get(self.params(), name).map(|span| span.shifted(self.params.map_or(0, |params| params.start)))
    }

    fn string(&self, name: &str) -> Option<Cow<'_, str>> {
        json::string(self.member(name)?.of(self.line))
    }
}

impl Session {
    /// Takes one line of the client.
    pub fn line(self: &Arc<Self>, line: Line) {
        match line {
            Line::Whole(line) => self.whole(&line, None),
            Line::TooLong { head, tail, length } => {
                let id = envelope::recover_id(&head).or_else(|| envelope::recover_id(&tail));
                let text =
                    format!("the message has {length} bytes; at most {} are read", super::stdio::MAX_LINE);
                self.refuse(id.as_ref(), codes::INVALID_REQUEST, &text, None);
            }
        }
    }

    fn whole(self: &Arc<Self>, line: &Bytes, batch: Option<&Arc<Batch>>) {
        match envelope::from_client(line) {
            Ok(Message::Request { id, method, params }) => {
                self.request(Incoming { line, id, params, batch: batch.cloned() }, &method);
            }
            Ok(Message::Notification { method, params }) => self.notification(line, &method, params),
            Ok(Message::Response { id, body }) => self.answered(line, id, body),
            Err(Fault::Batch(span)) if batch.is_none() => self.batch(line, span),
            Err(Fault::Batch(_)) => {
                self.refuse(None, codes::INVALID_REQUEST, "a batch cannot hold a batch", batch)
            }
            Err(Fault::Syntax(what)) => {
                self.refuse(None, codes::PARSE_ERROR, &format!("Parse error: {what}"), batch);
            }
            Err(Fault::TooDeep(id)) => {
                let text = format!("Invalid request: nested deeper than {} levels", json::MAX_DEPTH);
                self.refuse(id.as_ref(), codes::INVALID_REQUEST, &text, batch);
            }
            Err(Fault::Invalid(id, what)) => {
                self.refuse(id.as_ref(), codes::INVALID_REQUEST, &format!("Invalid request: {what}"), batch);
            }
        }
    }

    /// Answers something that never became a request.
    fn refuse(&self, id: Option<&Id>, code: i32, message: &str, batch: Option<&Arc<Batch>>) {
        let answer = Answer::error(code, message);
        let id = id.map_or(&b"null"[..], Id::as_bytes);
        match batch {
            None => self.out.push(|line| answer.write(line, id)),
            Some(batch) => self.gather(batch, Some(&render(|line| answer.write(line, id)))),
        }
    }

    /// A batch is served where the revision has batches (2025-03-26), and refused as a whole elsewhere.
    fn batch(self: &Arc<Self>, line: &Bytes, array: Span) {
        let allowed =
            self.state().greeted.as_ref().is_some_and(|greeted| greeted.introduction.revision.batches);
        let parts: Vec<Bytes> = json::elements(array.of(line))
            .map(|element| line.slice(array.start + element.start..array.start + element.end))
            .collect();
        if !allowed || parts.is_empty() {
            let text = if allowed {
                "Invalid request: an empty batch"
            } else {
                "Invalid request: batches are not part of this protocol revision"
            };
            return self.refuse(None, codes::INVALID_REQUEST, text, None);
        }
        let wants_answer = |part: &Bytes| {
            !matches!(
                envelope::from_client(part),
                Ok(Message::Notification { .. } | Message::Response { .. })
            )
        };
        let batch = Arc::new(Batch::new(parts.iter().filter(|part| wants_answer(part)).count()));
        for part in &parts {
            self.whole(part, Some(&batch));
        }
    }

    // === requests ===

    fn request(self: &Arc<Self>, incoming: Incoming<'_>, method: &str) {
        let Some(id) = Id::new(incoming.id.of(incoming.line)) else { return };
        let refuse = |code, text: &str| self.refuse(Some(&id), code, text, incoming.batch.as_ref());
        let Some(method) = Method::parse(method) else {
            return refuse(codes::METHOD_NOT_FOUND, &format!("Method not found: {}", excerpt(method)));
        };
        if incoming.params.is_some_and(|span| json::kind(span.of(incoming.line)) != json::Kind::Object) {
            return refuse(codes::INVALID_PARAMS, "`params` must be an object");
        }
        let greeted = self.state().greeted.is_some();
        match method {
            Method::Initialize if incoming.batch.is_some() => {
                return refuse(codes::INVALID_REQUEST, "`initialize` must not be part of a batch");
            }
            Method::Initialize | Method::Ping => {}
            _ if !greeted && is_modern(&incoming) => {
                let text = format!("this server begins with `initialize` and speaks {}", known_revisions());
                return refuse(codes::METHOD_NOT_FOUND, &text);
            }
            _ if !greeted => {
                return refuse(codes::INVALID_REQUEST, "the first request must be `initialize`");
            }
            _ => {}
        }
        self.dispatch(id, incoming, method);
    }

    fn dispatch(self: &Arc<Self>, id: Id, incoming: Incoming<'_>, method: Method) {
        let Some(registry) = self.registry().cloned() else { return };
        match method {
            Method::ToolsCall => self.tools_call(&registry, id, incoming),
            Method::PromptsGet => self.prompts_get(&registry, id, incoming),
            Method::ResourcesRead | Method::Subscribe | Method::Unsubscribe => {
                self.resource(&registry, id, incoming, method);
            }
            Method::Complete => self.complete(&registry, id, incoming),
            Method::List(kind) => self.list(&registry, id, &incoming, kind),
            Method::SetLevel => self.set_level(&registry, id, &incoming),
            Method::Initialize => self.initialize(&registry, id, &incoming),
            Method::Ping => self.at_once(id, &incoming, method, &Answer::result("{}")),
        }
    }

    /// Notes a request and gives its ticket; refuses an id that is open.
    fn open(&self, request: Request) -> Option<crate::call::Ticket> {
        let (id, batch) = (request.id.clone(), request.batch.clone());
        let ticket = self.state().requests.open(request);
        if ticket.is_none() {
            self.refuse(Some(&id), codes::INVALID_REQUEST, "a request with this id is open", batch.as_ref());
        }
        ticket
    }

    fn local(&self, id: Id, incoming: &Incoming<'_>, method: Method) -> Option<crate::call::Ticket> {
        self.open(Request {
            id,
            method,
            token: None,
            server: None,
            rewrites: false,
            limit: usize::MAX,
            uri: None,
            batch: incoming.batch.clone(),
        })
    }

    /// Answers a request for something that nobody has. As long as first lists wait for new servers it waits too: one
    /// of them may show it.
    fn nobody_has(self: &Arc<Self>, id: Id, incoming: &Incoming<'_>, method: Method, answer: &Answer) {
        let Some((registry, deadline)) = self.waits_for_servers() else {
            return self.at_once(id, incoming, method, answer);
        };
        let Some(ticket) = self.local(id.clone(), incoming, method) else { return };
        let (session, line) = (Arc::clone(self), incoming.line.clone());
        let (place, params, batch) = (incoming.id, incoming.params, incoming.batch.clone());
        self.tasks.spawn(async move {
            tokio::select! {
                () = registry.complete_by(deadline) => {}
                () = session.ended.cancelled() => {}
            }
            // Cancelled meanwhile, or opened anew without anybody noticing.
            if session.state().requests.close(ticket).is_some() {
                session.dispatch(id, Incoming { line: &line, id: place, params, batch }, method);
            }
        });
    }

    /// Until when first lists wait for servers that have not shown anything; `None` if they do not.
    fn waits_for_servers(&self) -> Option<(Arc<Registry>, Instant)> {
        let deadline = self.state().greeted.as_ref().map(|greeted| greeted.patience)?;
        let registry = self.registry().filter(|registry| !registry.is_complete())?;
        (Instant::now() < deadline && !self.ended.is_cancelled()).then(|| (Arc::clone(registry), deadline))
    }

    fn at_once(&self, id: Id, incoming: &Incoming<'_>, method: Method, answer: &Answer) {
        if let Some(ticket) = self.local(id, incoming, method) {
            self.answer(ticket, answer);
        }
    }

    fn initialize(self: &Arc<Self>, registry: &Arc<Registry>, id: Id, incoming: &Incoming<'_>) {
        let Some(asked) = incoming.string("protocolVersion") else {
            let answer = Answer::error(codes::INVALID_PARAMS, "`protocolVersion` must be a string");
            return self.at_once(id, incoming, Method::Initialize, &answer);
        };
        let revision = Revision::negotiated(&asked);
        let capabilities =
            incoming.member("capabilities").map(|span| span.of(incoming.line)).unwrap_or(b"{}");
        let client = incoming
            .member("clientInfo")
            .and_then(|info| json::get(info.of(incoming.line), "name").map(|span| span.shifted(info.start)))
            .and_then(|span| json::string(span.of(incoming.line)))
            .unwrap_or_default();
        let wait = if IGNORE_CHANGES.contains(&&*client) { LONG_PATIENCE } else { PATIENCE };
        tracing::info!(client = %client, asked = %asked, revision = revision.name, "client introduced itself");
        let introduction = Introduction { revision, capabilities: relayed_capabilities(capabilities) };
        let greeted = Greeted { introduction: introduction.clone(), patience: Instant::now() + wait };
        let first = self.state().greeted.replace(greeted).is_none();
        registry.begin(&introduction);
        let catalog = registry.catalog();
        if first {
            self.state().announced = digests(&catalog);
            self.tasks.spawn(Arc::clone(self).announce(Arc::clone(registry)));
        }
        let result = initialize_result(revision, registry, &catalog);
        self.at_once(id, incoming, Method::Initialize, &Answer::result(result));
    }

    fn set_level(&self, registry: &Registry, id: Id, incoming: &Incoming<'_>) {
        let answer = match incoming.string("level").as_deref().and_then(Level::parse) {
            Some(level) => {
                self.state().level = Some(level);
                registry.set_level(level);
                Answer::result("{}")
            }
            None => Answer::error(
                codes::INVALID_PARAMS,
                "`level` must be one of debug, info, notice, warning, error, critical, alert, emergency",
            ),
        };
        self.at_once(id, incoming, Method::SetLevel, &answer);
    }

    // === lists ===

    /// A list is served from the catalog. Only a first one waits, in a task of its own, for servers that are new.
    fn list(self: &Arc<Self>, registry: &Arc<Registry>, id: Id, incoming: &Incoming<'_>, kind: ListKind) {
        let method = Method::List(kind);
        let cursor = match incoming.member("cursor").map(|span| span.of(incoming.line)) {
            None | Some(b"null") => None,
            Some(raw) => match json::string(raw) {
                Some(cursor) => Some(cursor.into_owned()),
                None => {
                    let answer = Answer::error(codes::INVALID_PARAMS, "`cursor` must be a string");
                    return self.at_once(id, incoming, method, &answer);
                }
            },
        };
        let Some(ticket) = self.local(id, incoming, method) else { return };
        match self.waits_for_servers() {
            None => self.page(registry, ticket, kind, cursor.as_deref()),
            Some((registry, deadline)) => {
                let session = Arc::clone(self);
                self.tasks.spawn(async move {
                    tokio::select! {
                        () = registry.complete_by(deadline) => {}
                        () = session.ended.cancelled() => {}
                    }
                    session.page(&registry, ticket, kind, cursor.as_deref());
                });
            }
        }
    }

    fn page(&self, registry: &Registry, ticket: crate::call::Ticket, kind: ListKind, cursor: Option<&str>) {
        let catalog = registry.catalog();
        let answer = match catalog.page(kind, cursor) {
            Ok(page) => {
                self.has_seen(kind, catalog.digest(kind));
                Answer::result(page)
            }
            Err(error) => Answer::error(codes::INVALID_PARAMS, &error.to_string()),
        };
        self.answer(ticket, &answer);
    }

    // === what goes to a server ===

    fn tools_call(self: &Arc<Self>, registry: &Registry, id: Id, incoming: Incoming<'_>) {
        let places = CallPlaces::of(&incoming);
        let Some((span, name)) =
            places.name.and_then(|span| Some((span, json::string(span.of(incoming.line))?)))
        else {
            let answer = Answer::error(codes::INVALID_PARAMS, "`name` must be a string");
            return self.at_once(id, &incoming, Method::ToolsCall, &answer);
        };
        if status::is_ours(&name) {
            let arguments =
                incoming.member("arguments").map(|span| span.of(incoming.line)).unwrap_or_default();
            let answer = Answer::result(status::tool_result(registry, arguments));
            return self.at_once(id, &incoming, Method::ToolsCall, &answer);
        }
        let catalog = registry.catalog();
        let found = catalog.tool(&name).and_then(|target| Some((target, registry.backend_at(target.index)?)));
        let Some((target, backend)) = found else {
            let near: Vec<String> = catalog.nearest_tools(&name, 3).iter().map(ToString::to_string).collect();
            return self.nobody_has(id, &incoming, Method::ToolsCall, &Answer::unknown("tool", &name, &near));
        };
        let rewrites = catalog.rewrites_at(target.index);
        let edit = Some((span, target.original_quoted.clone()));
        let way = Way {
            method: Method::ToolsCall,
            backend,
            label: target.original.clone(),
            target: edit,
            rewrites,
        };
        self.forward(id, &incoming, way, places.token_or_ours(&incoming), None);
    }

    fn prompts_get(self: &Arc<Self>, registry: &Registry, id: Id, incoming: Incoming<'_>) {
        let places = CallPlaces::of(&incoming);
        let Some((span, name)) =
            places.name.and_then(|span| Some((span, json::string(span.of(incoming.line))?)))
        else {
            let answer = Answer::error(codes::INVALID_PARAMS, "`name` must be a string");
            return self.at_once(id, &incoming, Method::PromptsGet, &answer);
        };
        let catalog = registry.catalog();
        let found =
            catalog.prompt(&name).and_then(|target| Some((target, registry.backend_at(target.index)?)));
        let Some((target, backend)) = found else {
            let near: Vec<String> =
                catalog.nearest_prompts(&name, 3).iter().map(ToString::to_string).collect();
            return self.nobody_has(
                id,
                &incoming,
                Method::PromptsGet,
                &Answer::unknown("prompt", &name, &near),
            );
        };
        let rewrites = catalog.rewrites_at(target.index);
        let edit = Some((span, target.original_quoted.clone()));
        let way = Way {
            method: Method::PromptsGet,
            backend,
            label: target.original.clone(),
            target: edit,
            rewrites,
        };
        self.forward(id, &incoming, way, places.token(&incoming), None);
    }

    fn resource(self: &Arc<Self>, registry: &Registry, id: Id, incoming: Incoming<'_>, method: Method) {
        let Some((span, uri)) =
            incoming.member("uri").and_then(|span| Some((span, json::string(span.of(incoming.line))?)))
        else {
            let answer = Answer::error(codes::INVALID_PARAMS, "`uri` must be a string");
            return self.at_once(id, &incoming, method, &answer);
        };
        let catalog = registry.catalog();
        let found =
            catalog.route_uri(&uri).and_then(|route| Some((registry.backend_at(route.index)?, route)));
        let Some((backend, route)) = found else {
            let uri = excerpt(&uri);
            let mut data = br#"{"uri":"#.to_vec();
            json::push_string(&mut data, &uri);
            data.push(b'}');
            let message = format!("Resource not found: {uri}");
            let answer = Answer::error_with(codes::RESOURCE_NOT_FOUND, &message, Some(&data));
            return self.nobody_has(id, &incoming, method, &answer);
        };
        let original: &str = &route.original;
        let edit = (original != uri).then(|| (span, Bytes::from(json::quote(original))));
        if method == Method::Unsubscribe {
            backend.unsubscribed(original);
        }
        let subscription = (method != Method::ResourcesRead).then(|| original.to_owned());
        let rewrites = catalog.rewrites_at(route.index);
        let way = Way { method, backend, label: original.into(), target: edit, rewrites };
        self.forward(id, &incoming, way, CallPlaces::of(&incoming).token(&incoming), subscription);
    }

    /// A completion goes where its prompt or template is (MCP "Completion").
    fn complete(self: &Arc<Self>, registry: &Registry, id: Id, incoming: Incoming<'_>) {
        let catalog = registry.catalog();
        let place = incoming.member("ref");
        let part = |name| {
            let place = place?;
            let span = json::get(place.of(incoming.line), name)?.shifted(place.start);
            Some((span, json::string(span.of(incoming.line))?))
        };
        let prompt = part("name").and_then(|(span, name)| {
            let target = catalog.prompt(&name)?;
            Some((target.index, span, target.original.clone(), Some(target.original_quoted.clone())))
        });
        let found = prompt.or_else(|| {
            let (span, uri) = part("uri")?;
            let route = catalog.route_uri(&uri)?;
            let edit = (route.original != uri).then(|| Bytes::from(json::quote(&route.original)));
            Some((route.index, span, OriginalName::from(&*route.original), edit))
        });
        let Some((index, span, label, edit)) = found else {
            let answer = Answer::error(
                codes::INVALID_PARAMS,
                "`ref` names no prompt or resource template that is known",
            );
            return self.nobody_has(id, &incoming, Method::Complete, &answer);
        };
        let Some(backend) = registry.backend_at(index) else { return };
        let target = edit.map(|text| (span, text));
        let way = Way { method: Method::Complete, backend, label, target, rewrites: false };
        self.forward(id, &incoming, way, CallPlaces::of(&incoming).token(&incoming), None);
    }

    fn forward(
        self: &Arc<Self>,
        id: Id,
        incoming: &Incoming<'_>,
        way: Way<'_>,
        token: TokenPlace,
        uri: Option<String>,
    ) {
        let client_token = match token {
            TokenPlace::Client(span) => Some(Bytes::copy_from_slice(span.of(incoming.line))),
            TokenPlace::None | TokenPlace::Own { .. } => None,
        };
        let request = Request {
            id,
            method: way.method,
            token: client_token,
            server: Some(way.backend.name().clone()),
            rewrites: way.rewrites,
            limit: way.backend.config().limits.result.unwrap_or(usize::MAX),
            uri,
            batch: incoming.batch.clone(),
        };
        let Some(ticket) = self.open(request) else { return };
        let client: Arc<dyn Client> = Arc::clone(self) as Arc<dyn Client>;
        way.backend.call(Call {
            ticket,
            client,
            method: way.method,
            label: way.label,
            line: incoming.line.clone(),
            params: incoming.params,
            target: way.target,
            token,
        });
    }

    // === notifications ===

    fn notification(&self, line: &Bytes, method: &str, params: Option<Span>) {
        match method {
            "notifications/cancelled" => self.cancelled(line, params),
            "notifications/progress" => {
                if let Some(params) = params {
                    self.question_progress(line, params);
                }
            }
            "notifications/roots/list_changed" => {
                if let Some(registry) = self.registry() {
                    registry.notify_all(method, params.map(|span| span.of(line)));
                }
            }
            "notifications/initialized" => {}
            _ => tracing::debug!(method, "an unknown notification of the client was ignored"),
        }
    }

    /// MCP "Cancellation": unknown and finished requests are ignored, and no answer follows.
    fn cancelled(&self, line: &Bytes, params: Option<Span>) {
        let Some(params) = params.map(|span| span.of(line)) else { return };
        let Some(id) = json::get(params, "requestId").and_then(|span| Id::new(span.of(params))) else {
            return;
        };
        let ticket = {
            let state = self.state();
            let ticket = state.requests.ticket(&id);
            ticket.filter(|ticket| {
                state.requests.get(*ticket).is_some_and(|open| open.method != Method::Initialize)
            })
        };
        let Some((ticket, request)) = ticket.and_then(|ticket| Some((ticket, self.drop_request(ticket)?)))
        else {
            return;
        };
        let reason = json::get(params, "reason").and_then(|span| json::string(span.of(params)));
        if let Some(backend) = request.server.and_then(|server| self.registry()?.backend(&server).cloned()) {
            backend.cancel(ticket, reason.as_deref());
        }
    }
}

/// Where a request goes and what changes on the way.
struct Way<'a> {
    method: Method,
    backend: &'a Arc<Backend>,
    label: OriginalName,
    target: Option<(Span, Bytes)>,
    rewrites: bool,
}

/// The members of a call's parameters that we look at, found in one walk. They may be of any kind.
#[derive(Default)]
struct CallPlaces {
    name: Option<Span>,
    meta: Option<Span>,
    token: Option<Span>,
}

impl CallPlaces {
    fn of(incoming: &Incoming<'_>) -> Self {
        let mut places = Self::default();
        let Some(params) = incoming.params else { return places };
        let raw = params.of(incoming.line);
        for member in json::members(raw) {
            if member.is(raw, "name") {
                places.name = Some(member.value.shifted(params.start));
            } else if member.is(raw, "_meta") {
                places.meta = Some(member.value.shifted(params.start));
            }
        }
        places.token = places
            .meta
            .and_then(|meta| Some(json::get(meta.of(incoming.line), "progressToken")?.shifted(meta.start)));
        places
    }

    /// The client's token, if it gave a proper one.
    fn token(&self, incoming: &Incoming<'_>) -> TokenPlace {
        let kind = |span: &Span| json::kind(span.of(incoming.line));
        let proper = self.token.filter(|span| matches!(kind(span), json::Kind::String | json::Kind::Number));
        proper.map_or(TokenPlace::None, TokenPlace::Client)
    }

    /// The client's token, or else a place for one of ours. Where something stands that is no token, or no `_meta`
    /// object, it stays alone: beside it ours would be a doubled key.
    fn token_or_ours(&self, incoming: &Incoming<'_>) -> TokenPlace {
        match (self.token, self.meta, incoming.params) {
            (Some(_), _, _) => self.token(incoming),
            (None, Some(meta), _) if json::kind(meta.of(incoming.line)) == json::Kind::Object => {
                let empty = json::members(meta.of(incoming.line)).next().is_none();
                let after = if empty { "" } else { "," };
                TokenPlace::Own { at: meta.start + 1, before: r#""progressToken":"#, after }
            }
            // There is at least the name before it.
            (None, None, Some(params)) => {
                TokenPlace::Own { at: params.end - 1, before: r#","_meta":{"progressToken":"#, after: "}" }
            }
            (None, Some(_), _) | (None, None, None) => TokenPlace::None,
        }
    }
}

/// A request of the modern era names its revision in every request (MCP 2026-07-28, "Base protocol").
fn is_modern(incoming: &Incoming<'_>) -> bool {
    json::get_path(incoming.params(), &["_meta", MODERN_META]).is_some()
}

fn known_revisions() -> String {
    let names: Vec<&str> =
        crate::protocol::revision::REVISIONS.iter().map(|revision| revision.name).collect();
    names.join(", ")
}

/// What servers may know of the client's capabilities: those that we relay end to end.
fn relayed_capabilities(raw: &[u8]) -> Bytes {
    let mut out = b"{".to_vec();
    for member in json::members(raw) {
        let relayed = ["roots", "sampling", "elicitation"].iter().any(|name| member.is(raw, name));
        if relayed && json::kind(member.value.of(raw)) == json::Kind::Object {
            if out.len() > 1 {
                out.push(b',');
            }
            out.extend_from_slice(member.key.of(raw));
            out.push(b':');
            out.extend_from_slice(member.value.of(raw));
        }
    }
    out.push(b'}');
    out.into()
}

/// Our answer to `initialize`, from memory. As long as some server has never shown what it can do, everything is
/// declared that one might: a client's view of our capabilities is frozen here.
fn initialize_result(revision: &Revision, registry: &Registry, catalog: &crate::catalog::Catalog) -> Vec<u8> {
    let known = catalog.capabilities();
    let open = !registry.is_complete();
    let mut capabilities = String::from(r#""tools":{"listChanged":true}"#);
    if known.logging || open {
        capabilities.push_str(r#","logging":{}"#);
    }
    if known.prompts || open {
        capabilities.push_str(r#","prompts":{"listChanged":true}"#);
    }
    if known.resources || open {
        let subscribe = if known.subscribe || open { r#""subscribe":true,"# } else { "" };
        capabilities.push_str(&format!(r#","resources":{{{subscribe}"listChanged":true}}"#));
    }
    if known.completions || open {
        capabilities.push_str(r#","completions":{}"#);
    }
    let mut result = format!(
        r#"{{"protocolVersion":"{}","capabilities":{{{capabilities}}},"serverInfo":{{"name":"{IMPLEMENTATION}","title":"Switchboard","version":"{VERSION}"}}"#,
        revision.name
    )
    .into_bytes();
    if !catalog.instructions().is_empty() {
        result.extend_from_slice(br#","instructions":"#);
        json::push_string(&mut result, catalog.instructions());
    }
    result.push(b'}');
    result
}
