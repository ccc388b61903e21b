//! An address that is no MCP server: a body is posted, and a body comes back.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};

use super::body::{self, Unread};
use super::client::{Client, Request};
use super::errors::Refusal;
use crate::config::RemoteLaunch;
use crate::failure::{Code, Failure};
use crate::transport::{NoAuth, Patience};

/// A receipt that is longer than this costs the connection.
const LONGEST_RECEIPT: usize = 64 << 10;

/// What was posted and not taken.
#[derive(Debug)]
pub struct Undelivered {
    /// Why.
    pub failure: Failure,
    /// Whether it may be taken later.
    pub may_pass: bool,
}

/// See the module. Redirects and credentials stay within its origin, as those of servers do.
pub struct Endpoint(Client);

impl Endpoint {
    /// Prepares to reach the address; connects to nothing.
    ///
    /// # Errors
    /// The address, a header or the file of authorities cannot be used.
    pub fn new(launch: &RemoteLaunch) -> Result<Self, Failure> {
        Client::new(launch, Arc::new(NoAuth), Patience::default()).map(Self)
    }

    /// Posts JSON to somebody whose answer says nothing but that he has taken it.
    ///
    /// # Errors
    /// It was not taken within `patience`, and whether it might be later.
    pub async fn deliver(&self, json: Bytes, patience: Duration) -> Result<(), Undelivered> {
        let sent = self.send(json, patience).await;
        let response = sent.map_err(|refusal| {
            let may_pass = refusal.is_passing();
            Undelivered { failure: refusal.failure, may_pass }
        })?;
        // It is read only so that the connection can be used again.
        let _ = body::read(response, LONGEST_RECEIPT, &self.0.patience, &self.0.place).await;
        Ok(())
    }

    async fn send(&self, json: Bytes, patience: Duration) -> Result<reqwest::Response, Refusal> {
        let Self(client) = self;
        let is_json = HeaderValue::from_static("application/json");
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, is_json.clone()), (ACCEPT, is_json)]);
        let request =
            Request { method: Method::POST, url: &client.url, headers, body: Some(json), head: patience };
        client.send(request).await
    }

    /// Posts JSON and gives the answer, once, of at most `limit` bytes.
    ///
    /// # Errors
    /// There is no answer within `patience`, it is an HTTP error, or it is too long.
    pub async fn post(&self, json: Bytes, limit: usize, patience: Duration) -> Result<Bytes, Failure> {
        let Self(client) = self;
        let response = self.send(json, patience).await.map_err(|refusal| refusal.failure)?;
        body::read(response, limit, &client.patience, &client.place).await.map_err(|unread| match unread {
            Unread::Broken(failure) => failure,
            Unread::TooLarge(length) => {
                let cause =
                    format!("{} answered with {length} bytes or more, and {limit} are allowed", client.place);
                Failure::new(Code::CallTooLarge, cause)
            }
        })
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Endpoint").field(&self.0.place).finish()
    }
}
