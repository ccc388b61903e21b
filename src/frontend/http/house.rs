//! What the HTTP face asks of the rooms behind it.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;

use crate::protocol::Revision;
use crate::wire::Mailbox;

/// Who a client is, as far as its token tells. All that is ever known of a token behind the face.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Principal {
    /// The name under which the token stands in the config; none where no token is asked for.
    pub name: Option<Arc<str>>,
}

/// What stands behind the HTTP face.
///
/// Nothing here may block. Every message that goes in is one JSON value in UTF-8 that has been checked, without line breaks; of its
/// parameters nothing has been looked at but what the methods below name.
pub trait House: Send + Sync + 'static {
    /// A legacy client has sent `initialize`, which follows as the first message: a session for it.
    fn begin(&self, client: &Principal) -> Arc<dyn Visitor>;

    /// One request of the modern era, whose version we speak, with all the metadata that it must carry. The answer and
    /// everything that belongs to it goes into `answers`, which the house closes behind the last message. Dropping the
    /// exchange before that means that the client has closed the stream, which cancels the request.
    fn serve(&self, message: Bytes, client: &Principal, answers: Arc<Mailbox>) -> Box<dyn Exchange>;

    /// The definition of a tool under its exposed name, so that the headers that mirror its parameters (`x-mcp-header`) can be
    /// compared with the call (2026-07-28, "Streamable HTTP", Server Behavior for Custom Headers). `None` compares nothing.
    fn definition(&self, tool: &str) -> Option<Bytes> {
        let _ = tool;
        None
    }

    /// Whether calls are traced: then a context in the headers of a request is looked at.
    fn traces(&self) -> bool {
        false
    }
}

/// One legacy session.
pub trait Visitor: Send + Sync {
    /// Takes one message, or a batch of them. Answers, and what belongs to their requests, go into `answers`, which is closed
    /// behind the last one. What holds no request gets a mailbox that is closed.
    fn take(&self, message: Bytes, answers: Arc<Mailbox>);

    /// The same for a client that has one stream for everything: answers go where [`stream`](Self::stream) leads.
    fn take_on_stream(&self, message: Bytes);

    /// Messages that belong to no request: what a GET stream carries. The same mailbox every time.
    fn stream(&self) -> Arc<Mailbox>;

    /// What was agreed upon by `initialize`; `None` before it.
    fn revision(&self) -> Option<&'static Revision>;

    /// Resolves when no request of the client is open. Cancel safe.
    fn drained(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;

    /// The session is over: the client has ended it, was gone for too long, or Switchboard ends. Comes once.
    fn end(&self);
}

/// A modern request that is being served. See [`House::serve`].
pub trait Exchange: Send {}
