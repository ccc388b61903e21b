//! What our HTTP listeners have in common: connections whose other side must move, who may come in, bodies within bounds,
//! answers and streams of events.
//!
//! In comes a connection, TCP or a Unix socket, and a function that answers requests; out go its answers. The face toward
//! clients ([`frontend::http`](crate::frontend::http)) and the [administration interface](crate::admin) stand on it. It knows
//! HTTP and nothing of what is said over it.

pub(crate) mod body;
pub(crate) mod door;
pub(crate) mod events;
mod pipe;
pub(crate) mod reply;

use std::convert::Infallible;
use std::sync::Arc;

use http::Request;
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use pipe::Pipe;
use reply::Reply;

/// The most requests at once on one HTTP/2 connection.
const MAX_STREAMS: u32 = 256;
/// The longest head of a request, in bytes.
const MAX_HEAD: usize = 64 * 1024;

/// How long a connection may take for what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// For the head of a request, and for the next request.
    pub(crate) head: Duration,
    /// For reading anything of what is written to it.
    pub(crate) stalled: Duration,
    /// Between signs of life, on HTTP/2.
    pub(crate) keep_alive: Duration,
}

/// All connections of one listener, each a task that is waited for at the end.
pub(crate) struct Connections {
    tracker: TaskTracker,
    places: Arc<Semaphore>,
    server: Builder<Tasks>,
    pace: Pace,
    closing: CancellationToken,
    killed: CancellationToken,
}

impl Connections {
    /// At most `most` at once. From `closing` on, no further request is read from any.
    pub(crate) fn new(most: usize, pace: Pace, closing: CancellationToken) -> Self {
        let (tracker, killed) = (TaskTracker::new(), CancellationToken::new());
        let server = server(Tasks { tracker: tracker.clone(), killed: killed.clone() }, pace);
        Self { tracker, places: Arc::new(Semaphore::new(most)), server, pace, closing, killed }
    }

    /// Waits until there is room for another one. Cancel safe. `None` never happens while this lives.
    pub(crate) async fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).acquire_owned().await.ok()
    }

    /// Serves one connection to its end, in a task.
    pub(crate) fn serve<S, F>(
        &self,
        stream: S,
        place: Option<OwnedSemaphorePermit>,
        answer: impl Fn(Request<Incoming>) -> F + Send + Sync + 'static,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        F: Future<Output = Reply> + Send + 'static,
    {
        let pipe = Pipe::new(stream, self.pace.head, self.pace.stalled);
        let (server, closing, killed) = (self.server.clone(), self.closing.clone(), self.killed.clone());
        self.tracker.spawn(async move {
            let service = service_fn(|request| {
                let answered = answer(request);
                async move { Ok::<_, Infallible>(answered.await) }
            });
            let connection = server.serve_connection(TokioIo::new(pipe), service);
            tokio::pin!(connection);
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = closing.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    killed.run_until_cancelled(connection).await.unwrap_or(Ok(()))
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "an HTTP connection ended");
            }
            drop(place);
        });
    }

    /// Waits for all to end, but not longer than this. No more are taken.
    pub(crate) async fn end_within(&self, patience: Duration) {
        self.tracker.close();
        let _ = tokio::time::timeout(patience, self.tracker.wait()).await;
    }

    /// Ends those that are left at once, and waits for that.
    pub(crate) async fn kill(&self) {
        self.killed.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }

    /// Tells those that are left to end at once.
    pub(crate) fn tell_to_end(&self) {
        self.killed.cancel();
    }
}

/// Runs the tasks of HTTP/2 connections where they are waited for.
#[derive(Clone)]
struct Tasks {
    tracker: TaskTracker,
    killed: CancellationToken,
}

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for Tasks {
    fn execute(&self, task: F) {
        let killed = self.killed.clone();
        self.tracker.spawn(async move { killed.run_until_cancelled(task).await });
    }
}

fn server(tasks: Tasks, pace: Pace) -> Builder<Tasks> {
    let mut server = Builder::new(tasks);
    server.http1().timer(TokioTimer::new()).header_read_timeout(pace.head).max_buf_size(MAX_HEAD);
    server
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEAD as u32)
        .keep_alive_interval(pace.keep_alive)
        .keep_alive_timeout(pace.head);
    server
}
