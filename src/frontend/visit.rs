//! Clients that come over HTTP, shown into the hall.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;

use crate::call::Caller;
use crate::frontend::hall::Hall;
use crate::frontend::http::{Exchange, House, Principal, Visitor};
use crate::frontend::incoming::Incoming;
use crate::frontend::incoming::places::Places;
use crate::frontend::modern::scope::Scope;
use crate::frontend::pending::Back;
use crate::frontend::{Outlet, Session};
use crate::protocol::Revision;
use crate::wire::{Id, Line, Mailbox, Message, envelope, json};

/// How many bytes may wait for a client that does not read its stream.
const STREAM_LIMIT: usize = 8 << 20;

/// The hall, as the HTTP face sees it.
pub struct Front(pub Arc<Hall>);

impl Front {
    /// Sets the servers going, if nobody has needed them yet.
    pub fn open_doors(&self) {
        self.0.open_doors();
    }
}

struct Visit {
    session: Arc<Session>,
    stream: Arc<Mailbox>,
}

/// A request of the modern era: a connection with one request.
struct One(Arc<Scope>);

impl House for Front {
    fn begin(&self, client: &Principal) -> Arc<dyn Visitor> {
        let stream = Arc::new(Mailbox::new(STREAM_LIMIT));
        let session = Session::new(&self.0, Outlet::from(Arc::clone(&stream)), client.name.clone());
        Arc::new(Visit { session, stream })
    }

    fn serve(&self, message: Bytes, client: &Principal, answers: Arc<Mailbox>) -> Box<dyn Exchange> {
        let scope = Arc::<Scope>::default();
        let line = message;
        let back = Back { out: Outlet::from(answers), batch: None };
        if let Ok(Message::Request { id: place, method, params }) = envelope::from_client(&line)
            && let Some(id) = Id::new(place.of(&line))
        {
            let places =
                Places::of(&line, params.filter(|span| json::kind(span.of(&line)) == json::Kind::Object));
            let incoming = Incoming { line: &line, id: place, params, places, back: &back };
            self.0.serve_modern(&incoming, id, &method, &scope, client.name.clone());
        }
        Box::new(One(scope))
    }

    fn definition(&self, tool: &str) -> Option<Bytes> {
        Some(self.0.catalog()?.tool(tool)?.definition.clone())
    }

    fn traces(&self) -> bool {
        self.0.registry().is_some_and(|registry| registry.tracer().is_some())
    }
}

impl Visitor for Visit {
    fn take(&self, message: Bytes, answers: Arc<Mailbox>) {
        self.session.message(message, Outlet::from(answers));
    }

    fn take_on_stream(&self, message: Bytes) {
        self.session.line(Line::Whole(message));
    }

    fn stream(&self) -> Arc<Mailbox> {
        Arc::clone(&self.stream)
    }

    fn revision(&self) -> Option<&'static Revision> {
        self.session.revision()
    }

    fn drained(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.session.drained())
    }

    fn end(&self) {
        let session = Arc::clone(&self.session);
        tracing::debug!(session = ?session.id(), "a session has ended");
        session.leave();
        let hall = Arc::clone(&session.hall);
        hall.tasks.spawn(async move { session.end().await });
        self.stream.close();
    }
}

impl Exchange for One {}

impl Drop for One {
    fn drop(&mut self) {
        self.0.cancel_all("the client closed the connection");
    }
}
