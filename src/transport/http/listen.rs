//! The stream for what belongs to no request: a GET that stays open (legacy revisions only).

use std::sync::Arc;

use tokio::sync::oneshot;

use super::link::{Link, Way};
use super::streams::{Cursor, Events};
use crate::wire::Line;

/// Listens until the connection ends or the server says that it has no such stream. `asked` is dropped once the server has
/// said whether it has one.
pub(super) async fn listen(link: Arc<Link>, asked: oneshot::Sender<()>) {
    let Way::Streamable(session) = link.way() else { return };
    let server = &link.opening.server;
    let mut cursor = Cursor::default();
    let mut was_open = false;
    let mut asked = Some(asked);
    loop {
        let mut at_least = None;
        let stream = link.listen(&session, &cursor).await;
        asked.take();
        match stream {
            Ok(events) => {
                was_open = true;
                hand_on(&link, events, &mut cursor).await;
            }
            // Before the stream was ever open, 404 may as well mean that there is none.
            Err(refusal) if was_open && link.says_forgotten(&refusal, None) => {
                link.forget();
                return;
            }
            Err(refusal) if refusal.is_passing() => at_least = refusal.retry_after,
            Err(refusal) => {
                tracing::debug!(%server, failure = %refusal.failure, "no stream to listen on");
                return;
            }
        }
        cursor.wait(&link.client.patience, at_least).await;
    }
}

async fn hand_on(link: &Link, mut events: Events, cursor: &mut Cursor) {
    loop {
        match events.next().await {
            Ok(Some(event)) => {
                cursor.note(&event);
                if !event.is("message") {
                    continue;
                }
                match event.data {
                    Line::Whole(text) if text.is_empty() => {}
                    Line::Whole(text) => link.hand_on(text, None).await,
                    Line::TooLong { head, tail, length } => {
                        link.hand_on_ends([head, tail], length, None).await
                    }
                }
            }
            Ok(None) => return,
            Err(failure) => {
                tracing::debug!(server = %link.opening.server, %failure, "the stream to listen on broke");
                return;
            }
        }
    }
}
