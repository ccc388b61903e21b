//! What interceptors look at besides calls: pages of lists, and questions that servers ask outside of calls. Where none wants to see
//! them, nothing here is on their way.

use std::sync::Arc;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use crate::call::{Ask, Caller, NotAsked};
use crate::failure::{Code, Failure};
use crate::frontend::answer::Answer;
use crate::frontend::session::Session;
use crate::interceptor::{CallView, Interceptors, Overheard};
use crate::names::ServerName;
use crate::protocol::{ListKind, Method};
use crate::registry::Registry;
use crate::wire::Span;

/// Those who want to see such a list.
pub(super) fn of_list(registry: &Registry, kind: ListKind) -> Option<Arc<Interceptors>> {
    registry.hooks().filter(|hooks| hooks.concern_list(kind))
}

/// A page as interceptors leave it. `page` is what the client would be shown.
///
/// # Errors
/// The answer that the client gets instead.
pub(super) async fn page(
    hooks: &Interceptors,
    kind: ListKind,
    principal: Option<Arc<str>>,
    cursor: Option<&str>,
    ended: &CancellationToken,
    page: impl FnOnce() -> Result<Bytes, Answer>,
) -> Result<Bytes, Answer> {
    let method = Method::List(kind);
    let seen = tokio::select! {
        biased;
        seen = hooks.page(kind, principal, cursor, page) => seen?,
        () = ended.cancelled() => {
            let cause = format!("Switchboard is ending, and an interceptor was looking at `{}`", method.name());
            Err(Failure::new(Code::CallShutdown, cause))
        }
    };
    seen.map_err(|failure| Answer::failure(method, &failure))
}

impl Session {
    /// Puts a question that belongs to no call.
    pub(super) fn put_outside(&self, ask: Ask<'_>) -> Result<(), NotAsked> {
        let told = ask.params.and_then(|params| self.hall.unhidden(&ask.key.server, params.of(ask.line)));
        let ask = match &told {
            Some(text) => Ask { line: text, params: Some(Span { start: 0, end: text.len() }), ..ask },
            None => ask,
        };
        let (Some(hooks), Some(me)) = (self.question_hooks(), self.me()) else { return self.put(ask, None) };
        let call = CallView::outside(&ask.key.server, self.principal().map(Arc::from));
        let put = Box::new(move |ask: Ask<'_>| me.put(ask, None));
        self.asks.pass(&hooks, call, ask, put)
    }

    /// The session as one who is asked about a task of this server.
    pub(super) fn asked_about_task(self: Arc<Self>, server: &ServerName) -> Arc<dyn Caller> {
        let Some(hooks) = self.question_hooks() else { return self };
        let call = CallView::outside(server, self.principal().map(Arc::from));
        let asks = Arc::clone(&self.asks);
        Arc::new(Overheard::new(self, call, &hooks, asks))
    }

    fn question_hooks(&self) -> Option<Arc<Interceptors>> {
        self.registry()?.hooks().filter(|hooks| hooks.hear_questions())
    }
}
