//! What we answer ourselves: `initialize`, lists, log levels.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::Incoming;
use crate::bridge::definition;
use crate::call::{ClientInfo, Introduction, Ticket};
use crate::catalog::Catalog;
use crate::frontend::Hall;
use crate::frontend::answer::Answer;
use crate::frontend::hooked;
use crate::frontend::session::{Greeted, Session};
use crate::frontend::tasks::with_support;
use crate::protocol::{IMPLEMENTATION, Level, ListKind, Method, Revision, Tasks, VERSION, codes};
use crate::registry::Registry;
use crate::wire::{Id, Splice, json};

/// How long a first list waits for servers that have never shown what they have.
const PATIENCE: Duration = Duration::from_secs(1);
/// The same for clients that never look at a list again ([`IGNORE_CHANGES`]).
const LONG_PATIENCE: Duration = Duration::from_secs(8);
/// How long a list waits for a server that has just told of a change.
pub(in crate::frontend) const FOLLOW: Duration = Duration::from_secs(1);
/// Clients (`clientInfo.name`) that ignore `list_changed`: what the first list lacks, they never use.
const IGNORE_CHANGES: [&str; 2] = ["claude-ai", "codex-mcp-client"];

impl Session {
    pub(super) fn initialize(self: &Arc<Self>, registry: &Arc<Registry>, id: Id, incoming: &Incoming<'_>) {
        let Some(asked) = incoming.string("protocolVersion") else {
            let answer = Answer::error(codes::INVALID_PARAMS, "`protocolVersion` must be a string");
            return self.at_once(id, incoming, Method::Initialize, &answer);
        };
        let revision = Revision::negotiated(&asked);
        let capabilities =
            incoming.member("capabilities").map(|span| span.of(incoming.line)).unwrap_or(b"{}");
        let info = incoming.member("clientInfo").map(|span| span.of(incoming.line)).unwrap_or_default();
        let client = Arc::new(ClientInfo::read(info, self.out.is_http()));
        let wait = if IGNORE_CHANGES.contains(&client.name.as_str()) { LONG_PATIENCE } else { PATIENCE };
        tracing::info!(event = "client.connected", client = %client.name, asked = %asked, revision = revision.name, "client introduced itself");
        let introduction = Introduction { revision, capabilities: relayed_capabilities(capabilities) };
        let greeted = Greeted {
            client,
            introduction: introduction.clone(),
            patience: Instant::now() + wait,
            tasks: revision.tasks == Tasks::Core && self.hall.offers_tasks(),
        };
        let first = self.greet(greeted);
        self.hall.begin(introduction);
        let catalog = registry.catalog();
        if first {
            let shown = self.view(registry).digests();
            self.state().announced = shown;
            self.tasks.spawn(Arc::clone(self).announce(Arc::clone(registry)));
        }
        let view = self.view(registry);
        let result = initialize_result(&self.hall, revision, registry, &catalog, view.instructions());
        self.at_once(id, incoming, Method::Initialize, &Answer::result(result));
    }

    pub(super) fn set_level(&self, id: Id, incoming: &Incoming<'_>) {
        let answer = match incoming.string("level").as_deref().and_then(Level::parse) {
            Some(level) => {
                self.state().level = Some(level);
                self.level_changed();
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

    /// A list is served from the catalog. It waits, in a task of its own, only for servers that are new, if it is a first
    /// one, and for servers that have just told of a change.
    pub(super) fn list(
        self: &Arc<Self>,
        registry: &Arc<Registry>,
        id: Id,
        incoming: &Incoming<'_>,
        kind: ListKind,
    ) {
        let method = Method::List(kind);
        let cursor = match cursor(incoming) {
            Ok(cursor) => cursor,
            Err(answer) => return self.at_once(id, incoming, method, &answer),
        };
        let Some(ticket) = self.local(id, incoming, method) else { return };
        let first = self.waits_for_servers().map(|(_, deadline)| deadline);
        // A client that makes something and then looks for it is to find it, as it would at the server itself.
        let must_follow = cursor.is_none() && !registry.is_current() && !self.ended.is_cancelled();
        let hooks = hooked::of_list(registry, kind);
        if first.is_none() && !must_follow && hooks.is_none() {
            let page = self.page(registry, kind, cursor.as_deref());
            return self.answer_list(registry, ticket, kind, page);
        }
        let (session, registry) = (Arc::clone(self), Arc::clone(registry));
        self.tasks.spawn(async move {
            let ready = async {
                if let Some(deadline) = first {
                    registry.complete_by(deadline).await;
                }
                if must_follow {
                    registry.current_by(Instant::now() + FOLLOW).await;
                }
            };
            tokio::select! {
                () = ready => {}
                () = session.ended.cancelled() => {}
            }
            let cursor = cursor.as_deref();
            let page = || session.page(&registry, kind, cursor);
            let page = match hooks {
                Some(hooks) => {
                    let principal = session.principal().map(Arc::from);
                    hooked::page(&hooks, kind, principal, cursor, &session.ended, page).await
                }
                None => page(),
            };
            session.answer_list(&registry, ticket, kind, page);
        });
    }

    /// A page as a client of this revision can read it: definitions of modern servers may hold what it does not know.
    fn in_own_revision(&self, registry: &Registry, kind: ListKind, page: Bytes) -> Bytes {
        let Some(own) = self.revision().filter(|_| kind == ListKind::Tools && registry.has_modern()) else {
            return page;
        };
        let catalog = registry.catalog();
        let tasks = self.state().greeted.as_ref().is_some_and(|greeted| greeted.tasks);
        // What a server of the other form has no word for: its tools may be called as tasks.
        let supports = |item: &[u8]| {
            let name = json::get(item, "name").and_then(|span| json::string(span.of(item)))?;
            let target = catalog.tool(&name).filter(|_| tasks)?;
            self.hall.keeps_tasks_of(&target.server).then(|| with_support(item)).flatten()
        };
        let Some(list) = json::get(&page, kind.key()) else { return page };
        let mut splice = Splice::new(&page);
        for item in json::elements(list.of(&page)) {
            let item = item.shifted(list.start);
            let told = definition::for_revision(kind, item.of(&page), own, true);
            let supported = supports(told.as_deref().unwrap_or_else(|| item.of(&page)));
            if let Some(text) = supported.or(told) {
                splice.replace(item, text);
            }
        }
        if splice.is_noop() { page.clone() } else { splice.to_bytes() }
    }

    /// What the client is shown of a list now.
    fn page(&self, registry: &Registry, kind: ListKind, cursor: Option<&str>) -> Result<Bytes, Answer> {
        let view = self.view(registry);
        let page = view.page(kind, cursor);
        let page = page.map_err(|error| Answer::error(codes::INVALID_PARAMS, &error.to_string()))?;
        self.has_seen(kind, view.digest(kind));
        Ok(page)
    }

    fn answer_list(&self, registry: &Registry, ticket: Ticket, kind: ListKind, page: Result<Bytes, Answer>) {
        let result = page.map(|page| Answer::result(self.in_own_revision(registry, kind, page)));
        self.answer(ticket, &result.unwrap_or_else(|refusal| refusal));
    }
}

/// Where the client wants a list to go on.
pub(in crate::frontend) fn cursor(incoming: &Incoming<'_>) -> Result<Option<String>, Answer> {
    match incoming.member("cursor").map(|span| span.of(incoming.line)) {
        None | Some(b"null") => Ok(None),
        Some(raw) => match json::string(raw) {
            Some(cursor) => Ok(Some(cursor.into_owned())),
            None => Err(Answer::error(codes::INVALID_PARAMS, "`cursor` must be a string")),
        },
    }
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

/// What we can do, from memory. As long as some server has never shown what it can do, everything is declared that one
/// might: a client's view of our capabilities is frozen here.
pub(in crate::frontend) fn capabilities(
    hall: &Hall,
    revision: &Revision,
    registry: &Registry,
    catalog: &Catalog,
) -> String {
    let known = catalog.capabilities();
    let open = !registry.is_complete();
    let mut capabilities = String::from(r#"{"tools":{"listChanged":true}"#);
    if known.logging || open {
        capabilities.push_str(r#","logging":{}"#);
    }
    if known.prompts || open {
        capabilities.push_str(r#","prompts":{"listChanged":true}"#);
    }
    // What is too large is kept as a resource.
    if known.resources || open || registry.results().is_some() {
        let subscribe = if known.subscribe || open { r#""subscribe":true,"# } else { "" };
        capabilities.push_str(&format!(r#","resources":{{{subscribe}"listChanged":true}}"#));
    }
    if known.completions || open {
        capabilities.push_str(r#","completions":{}"#);
    }
    capabilities.push_str(hall.task_capabilities(revision));
    capabilities.push('}');
    capabilities
}

/// Our answer to `initialize`.
fn initialize_result(
    hall: &Hall,
    revision: &Revision,
    registry: &Registry,
    catalog: &Catalog,
    instructions: &str,
) -> Vec<u8> {
    let capabilities = capabilities(hall, revision, registry, catalog);
    let mut result = format!(
        r#"{{"protocolVersion":"{}","capabilities":{capabilities},"serverInfo":{{"name":"{IMPLEMENTATION}","title":"Switchboard","version":"{VERSION}"}}"#,
        revision.name
    )
    .into_bytes();
    if !instructions.is_empty() {
        result.extend_from_slice(br#","instructions":"#);
        json::push_string(&mut result, instructions);
    }
    result.push(b'}');
    result
}
