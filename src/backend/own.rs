//! Requests of our own to a server.

use std::time::Duration;

use bytes::Bytes;

use super::{Backend, handshake, show_duration};
use crate::failure::{Code, Failure};
use crate::wire::Body;

impl Backend {
    pub(super) fn unavailable(&self, method: &str) -> Failure {
        let cause = format!("it ended before it answered `{method}`");
        Failure::new(Code::CallUnavailable, cause).of(self.name())
    }

    /// Sends a request of our own and waits for its answer.
    pub(super) async fn ask_server(
        &self,
        method: &str,
        params: Option<&[u8]>,
        patience: Duration,
    ) -> Result<(Bytes, Body), Failure> {
        let revision = self.link.revision().ok_or_else(|| self.unavailable(method))?;
        let modern = revision
            .is_modern()
            .then(|| handshake::modern_params(&self.audience.introduction(), revision, params));
        self.ask_server_as_is(method, modern.as_deref().or(params), patience).await
    }

    /// The same with parameters that are complete.
    pub(super) async fn ask_server_as_is(
        &self,
        method: &str,
        params: Option<&[u8]>,
        patience: Duration,
    ) -> Result<(Bytes, Body), Failure> {
        let (id, answer) = self.link.request(method, params).ok_or_else(|| self.unavailable(method))?;
        match tokio::time::timeout(patience, answer).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(_)) => Err(self.unavailable(method)),
            Err(_) => {
                self.link.forget(id);
                let cause = format!("it did not answer `{method}` within {}", show_duration(patience));
                Err(Failure::new(Code::CallTimeout, cause).of(self.name()))
            }
        }
    }
}
