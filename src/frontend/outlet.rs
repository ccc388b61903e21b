//! Where a message to a client goes: onto its one stream, or into the answer of the HTTP request it belongs to.

use std::sync::Arc;

use crate::wire::{LineWriter, Mailbox, Outbox};

/// See the module. Cheap to clone.
#[derive(Clone)]
pub enum Outlet {
    /// The stream of a client on pipes.
    Stream(Arc<Outbox>),
    /// Messages that leave one by one, over HTTP.
    Mail(Arc<Answers>),
}

/// The mailbox of one HTTP answer. It is closed when the last request that it belongs to is done, and with it the last
/// outlet that leads there.
pub struct Answers(Arc<Mailbox>);

impl Drop for Answers {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl From<Arc<Mailbox>> for Outlet {
    fn from(mailbox: Arc<Mailbox>) -> Self {
        Outlet::Mail(Arc::new(Answers(mailbox)))
    }
}

impl Outlet {
    /// Whether messages leave over HTTP.
    pub(super) fn is_http(&self) -> bool {
        matches!(self, Outlet::Mail(_))
    }

    /// Appends one message.
    #[inline]
    pub fn push(&self, write: impl FnOnce(&mut LineWriter<'_>)) {
        match self {
            Outlet::Stream(outbox) => outbox.push(write),
            Outlet::Mail(answers) => answers.0.push(write),
        }
    }

    /// How many bytes wait.
    pub fn waiting(&self) -> usize {
        match self {
            Outlet::Stream(outbox) => outbox.waiting(),
            Outlet::Mail(answers) => answers.0.waiting(),
        }
    }

    /// Whether as much waits as may.
    pub fn is_full(&self) -> bool {
        match self {
            Outlet::Stream(outbox) => outbox.is_full(),
            Outlet::Mail(answers) => answers.0.is_full(),
        }
    }

    /// Resolves when there is room again. Cancel safe.
    pub async fn room(&self) {
        match self {
            Outlet::Stream(outbox) => outbox.room().await,
            Outlet::Mail(answers) => answers.0.room().await,
        }
    }
}
