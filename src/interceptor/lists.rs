//! Lists on their way to a client past the interceptors. They see one page at a time, as it is sent.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::{CallError, CallView, Event, Interceptors, Moment, Ruling};
use crate::effect::Effect;
use crate::failure::Failure;
use crate::protocol::{ListKind, Method};
use crate::wire::json;

/// A list may be made to wait so long ([`Verdict::Delay`](super::Verdict::Delay)): clients wait for it at their start.
const LONGEST_DELAY: Duration = Duration::from_secs(5);

impl Interceptors {
    /// Whether anybody wants to see such a list.
    pub(crate) fn concern_list(&self, kind: ListKind) -> bool {
        self.is_about(Event::Request(Method::List(kind)))
    }

    /// Shows a page of a list to the interceptors: what is left of it for the client. `page` gives the page, and is asked only if
    /// nobody refuses it before.
    ///
    /// # Errors
    /// `Err` of `page`, if it has none; a failure within if the list is refused.
    pub(crate) async fn page<E>(
        &self,
        kind: ListKind,
        principal: Option<Arc<str>>,
        cursor: Option<&str>,
        page: impl FnOnce() -> Result<Bytes, E>,
    ) -> Result<Result<Bytes, Failure>, E> {
        let call = view(kind, principal, cursor);
        let deadline = Instant::now() + LONGEST_DELAY;
        let ask = |moment| self.ask(&call, moment, deadline, None);
        let came = match ask(Moment::Before).await {
            Ok(Ruling::Answered(result)) => Ok(result),
            Ok(Ruling::Pass | Ruling::Changed(_)) => Ok(page()?),
            Err(failure) => Err(failure),
        };
        let moment = match &came {
            Ok(page) => Moment::After(page.clone()),
            Err(failure) => Moment::Error(CallError::Failure(failure.clone())),
        };
        Ok(match ask(moment).await {
            Ok(Ruling::Pass) => came,
            Ok(Ruling::Changed(result) | Ruling::Answered(result)) => Ok(result),
            Err(failure) => Err(failure),
        })
    }
}

fn view(kind: ListKind, principal: Option<Arc<str>>, cursor: Option<&str>) -> CallView {
    let event = Event::Request(Method::List(kind));
    let arguments = match cursor {
        Some(cursor) => [br#"{"cursor":"#, &json::quote(cursor)[..], b"}"].concat().into(),
        None => Bytes::from_static(b"{}"),
    };
    CallView {
        event,
        exposed: event.name().into(),
        original: event.name().into(),
        server: "switchboard".into(),
        arguments,
        definition: Bytes::new(),
        principal,
        effect: Effect::Read,
        attempt: 1,
        trace: None,
    }
}
