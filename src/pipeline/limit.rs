//! Hands a client no larger result of a tool, no larger prompt and no larger resource than it can use: of what is larger it gets the beginning, and a resource of ours from
//! which the rest can be read in parts ([`Results`]).

mod parts;
mod shorten;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;

use super::payload::{LastWord, elsewhere};
use super::results::{Data, Piece, Results};
use super::{BoxFuture, Next, Outcome, Request, Stage};
use crate::failure::{Code, Failure};
use crate::names::ServerName;
use crate::protocol::Method;

/// Whether results of this method are cut. What is said of a task may hold the result of its tool.
pub(super) fn is_cut(method: Method) -> bool {
    match method {
        Method::ToolsCall | Method::PromptsGet | Method::ResourcesRead | Method::Task(_) => true,
        Method::Initialize
        | Method::Ping
        | Method::List(_)
        | Method::Subscribe
        | Method::Unsubscribe
        | Method::Complete
        | Method::SetLevel
        | Method::Discover
        | Method::Listen => false,
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Limit {
    server: ServerName,
    /// The largest result, in bytes.
    limit: usize,
    results: Arc<Results>,
}

impl Limit {
    pub(super) fn new(server: ServerName, limit: usize, results: Arc<Results>) -> Self {
        Self { server, limit, results }
    }

    async fn run(&self, request: Box<Request>, next: Next<'_>) -> Outcome {
        let method = request.call.method;
        let (definition, caller) = (request.definition.clone(), Arc::clone(&request.call.caller));
        let outcome = next.run(request).await;
        let Some(word) = LastWord::of(&outcome, method).filter(|_| is_cut(method)) else { return outcome };
        let (result, revision) = (word.result(), word.revision);
        if result.len() <= self.limit {
            return outcome;
        }
        let (size, limit) = (result.len(), self.limit);
        tracing::info!(event = "result.shortened", server = %self.server, bytes = size, limit, "a result was shortened");
        let (result, results, principal) =
            (Bytes::copy_from_slice(result), Arc::clone(&self.results), caller.principal());
        let shortened = elsewhere(move || {
            let mut keep = |data: Data, mime: &str| {
                let piece = Piece { principal: principal.clone(), mime: mime.to_owned(), data, limit };
                results.keep(piece, Instant::now())
            };
            match method {
                Method::ResourcesRead => parts::contents(&result, limit, &mut keep).map(Bytes::from),
                Method::PromptsGet => parts::messages(&result, limit, &mut keep).map(Bytes::from),
                _ => Some(shorten::shorten(&result, &definition, limit, revision, &mut keep)),
            }
        });
        match shortened.await {
            Ok(Some(shortened)) => word.replaced(shortened),
            Ok(None) | Err(_) => {
                let cause = format!("the answer has {size} bytes; `limits.result` is {limit}");
                Outcome::Failed(Failure::new(Code::CallTooLarge, cause).of(&self.server))
            }
        }
    }
}

impl Stage for Limit {
    fn around<'a>(&'a self, request: Box<Request>, next: Next<'a>) -> BoxFuture<'a, Outcome> {
        Box::pin(self.run(request, next))
    }
}
