//! The lists, for modern clients. They wait for new servers as those of legacy clients do, once in the life of a hall.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use memchr::memmem;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::bridge::definition;
use crate::bridge::result::to_modern;
use crate::frontend::answer::Answer;
use crate::frontend::hall::Hall;
use crate::frontend::hooked;
use crate::frontend::incoming::Incoming;
use crate::frontend::incoming::local::{FOLLOW, cursor};
use crate::frontend::modern::scope::{Open, Responder};
use crate::frontend::modern::server_info;
use crate::policy::Client;
use crate::protocol::{ListKind, Method, Revision, codes};
use crate::registry::Registry;
use crate::wire::{Span, Splice, json};

impl Hall {
    /// Until when first lists wait for servers that have not shown anything; `None` if they do not.
    pub(super) fn waits_for_servers(&self) -> Option<(Arc<Registry>, Instant)> {
        let deadline = self.patience()?;
        let registry = self.registry().filter(|registry| !registry.is_complete())?;
        (Instant::now() < deadline && !self.ended.is_cancelled()).then(|| (Arc::clone(registry), deadline))
    }

    pub(super) fn modern_list(
        self: &Arc<Self>,
        incoming: &Incoming<'_>,
        kind: ListKind,
        client: Client,
        responder: Responder,
    ) {
        let Some(registry) = self.registry().cloned() else { return };
        let cursor = match cursor(incoming) {
            Ok(cursor) => cursor,
            Err(answer) => return responder.answer(&answer),
        };
        let first = self.waits_for_servers().map(|(_, deadline)| deadline);
        let must_follow = cursor.is_none() && !registry.is_current();
        let hooks = hooked::of_list(&registry, kind);
        if first.is_none() && !must_follow && hooks.is_none() {
            let page = self.page(&registry, kind, cursor.as_deref(), client);
            return answer_list(&registry, kind, page, responder);
        }
        let given_up = CancellationToken::new();
        if !responder.watch(Arc::new(Waiting(given_up.clone()))) {
            return;
        }
        let (hall, ended) = (Arc::clone(self), self.ended.clone());
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
                () = ended.cancelled() => {}
                () = given_up.cancelled() => return,
            }
            let (cursor, principal) = (cursor.as_deref(), client.token.clone());
            let page = || hall.page(&registry, kind, cursor, client);
            let page = match hooks {
                Some(hooks) => tokio::select! {
                    page = hooked::page(&hooks, kind, principal, cursor, &ended, page) => page,
                    () = given_up.cancelled() => return,
                },
                None => page(),
            };
            answer_list(&registry, kind, page, responder);
        });
    }

    fn page(
        &self,
        registry: &Registry,
        kind: ListKind,
        cursor: Option<&str>,
        client: Client,
    ) -> Result<Bytes, Answer> {
        let page = self.view(registry, || client).page(kind, cursor);
        page.map_err(|error| Answer::error(codes::INVALID_PARAMS, &error.to_string()))
    }
}

fn answer_list(registry: &Registry, kind: ListKind, page: Result<Bytes, Answer>, responder: Responder) {
    match page {
        Ok(page) => {
            let own = Revision::newest_legacy();
            let hints = Some(registry.cache_hints(kind));
            let page = without_task_support(kind, &page).unwrap_or(page);
            let text = to_modern(Method::List(kind), &page, own, &server_info(), hints);
            let text = text.ok().flatten().unwrap_or(page);
            let whole = Span { start: 0, end: text.len() };
            responder.relay("result", &text, whole);
        }
        Err(refusal) => responder.answer(&refusal),
    }
}

/// How long a first list waits for servers that have never shown what they have.
pub(in crate::frontend) const PATIENCE: Duration = Duration::from_secs(1);

/// The same where many clients share the servers: none of them was waiting when the servers were started.
pub(in crate::frontend) const SHARED_PATIENCE: Duration = Duration::from_secs(5);

struct Waiting(CancellationToken);

impl Open for Waiting {
    fn cancelled(&self, _: Option<&str>) {
        self.0.cancel();
    }
}

/// The tools without what says how they can be called as tasks in the way of 2025-11-25: in this era the server decides, and
/// clients of both eras might refuse to call a tool that demands a task.
fn without_task_support(kind: ListKind, page: &Bytes) -> Option<Bytes> {
    if kind != ListKind::Tools || memmem::find(page, b"\"taskSupport\"").is_none() {
        return None;
    }
    let list = json::get(page, kind.key())?;
    let mut splice = Splice::new(page);
    for item in json::elements(list.of(page)) {
        let item = item.shifted(list.start);
        if let Some(text) = definition::for_revision(kind, item.of(page), Revision::newest_modern(), false) {
            splice.replace(item, text);
        }
    }
    Some(splice.to_bytes())
}
