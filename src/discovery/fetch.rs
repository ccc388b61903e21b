//! Fetching documents of strangers: bounded in size and time, and no redirect leads to another origin.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use reqwest::{RequestBuilder, StatusCode, Url, redirect};
use serde_json::Value;

use super::identity::is_loopback;
use crate::config::{Secret, hide_in_text};
use crate::failure::{Code, Failure};
use crate::transport::tls::{self, Trust};

/// The largest document that is read, in bytes.
const LARGEST: usize = 4 << 20;
/// How many redirects within one origin are followed.
const MOST_REDIRECTS: usize = 3;

/// Fetches documents. Cheap to make: nothing is set up before it is needed.
#[derive(Debug, Default)]
pub(super) struct Fetcher {
    /// By whether TLS is spoken, and whether it is with this machine.
    clients: Mutex<HashMap<(bool, bool), reqwest::Client>>,
}

/// A document, or why there is none.
pub(super) type Fetched = Result<Value, Failure>;

impl Fetcher {
    /// Fetches a JSON document.
    pub(super) async fn get(&self, url: &Url, accept: &str, patience: Duration) -> Fetched {
        let client = self.client(url).await?;
        read(client.get(url.clone()).header("accept", accept), url, patience).await
    }

    /// Fetches a JSON document of Consul, with its token if there is one.
    pub(super) async fn get_with_token(
        &self,
        url: &Url,
        token: Option<&Secret>,
        patience: Duration,
    ) -> Fetched {
        let mut request = self.client(url).await?.get(url.clone()).header("accept", "application/json");
        if let Some(token) = token {
            request = request.header("x-consul-token", token.expose());
        }
        read(request, url, patience).await
    }

    /// Sends a JSON document, with this `Authorization` if there is one, and reads the answer: a document, or the status of a
    /// refusal, which the asker understands better than we.
    pub(super) async fn post(
        &self,
        url: &Url,
        body: &Value,
        authorization: Option<&Secret>,
        patience: Duration,
    ) -> Result<Result<Value, StatusCode>, Failure> {
        let client = self.client(url).await?;
        let mut request = client.post(url.clone()).header("content-type", "application/json");
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization.expose());
        }
        answer(request.header("accept", "application/json").body(body.to_string()), url, patience).await
    }

    async fn client(&self, url: &Url) -> Result<reqwest::Client, Failure> {
        let kind = (url.scheme() == "https", is_loopback(url.host_str().unwrap_or_default()));
        if let Some(client) = self.known(kind) {
            return Ok(client);
        }
        // Reading the system's certificates takes a while.
        let built = tokio::task::spawn_blocking(move || build(kind)).await;
        let client = built.map_err(|error| Failure::new(Code::NetTls, error.to_string()))??;
        self.clients.lock().unwrap_or_else(PoisonError::into_inner).insert(kind, client.clone());
        Ok(client)
    }

    fn known(&self, kind: (bool, bool)) -> Option<reqwest::Client> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner).get(&kind).cloned()
    }
}

fn build((secure, local): (bool, bool)) -> Result<reqwest::Client, Failure> {
    let tls = tls::client_config(if secure { Trust::System } else { Trust::Nothing })?;
    let mut builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .user_agent(concat!("switchboard/", env!("CARGO_PKG_VERSION")))
        .referer(false)
        .redirect(redirect::Policy::custom(|attempt| {
            let same_origin =
                attempt.previous().last().is_some_and(|from| from.origin() == attempt.url().origin());
            if same_origin && attempt.previous().len() <= MOST_REDIRECTS {
                attempt.follow()
            } else {
                attempt.stop()
            }
        }));
    // What runs on this machine is never reached through a proxy: the proxy would look for it on its own.
    if local {
        builder = builder.no_proxy();
    }
    builder
        .build()
        .map_err(|error| Failure::new(Code::NetTls, format!("no HTTP client can be made: {error}")))
}

async fn read(request: RequestBuilder, url: &Url, patience: Duration) -> Fetched {
    answer(request, url, patience).await?.map_err(|status| {
        let code = if status == StatusCode::UNAUTHORIZED { Code::AuthRefused } else { Code::NetStatus };
        Failure::new(code, format!("{} answered {status}", hide_in_text(url.as_str())))
    })
}

/// The document, or the status that says that there is none.
async fn answer(
    request: RequestBuilder,
    url: &Url,
    patience: Duration,
) -> Result<Result<Value, StatusCode>, Failure> {
    let place = hide_in_text(url.as_str());
    let reading = async {
        let mut response = request.send().await.map_err(|error| failed(&error, &place))?;
        let status = response.status();
        if status.is_redirection() {
            let cause = format!("{place} leads to another address, which is not followed");
            return Err(Failure::new(Code::NetStatus, cause).remedy("Name the other address if it is right"));
        }
        if !status.is_success() {
            return Ok(Err(status));
        }
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| failed(&error, &place))? {
            if body.len() + chunk.len() > LARGEST {
                let cause = format!("the answer of {place} is larger than {} MiB", LARGEST >> 20);
                return Err(Failure::new(Code::NetProtocol, cause));
            }
            body.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&body)
            .map(Ok)
            .map_err(|_| Failure::new(Code::NetProtocol, format!("{place} did not answer with JSON")))
    };
    match tokio::time::timeout(patience, reading).await {
        Ok(read) => read,
        Err(_) => {
            let cause = format!("{place} did not answer within {} s", patience.as_secs_f64());
            Err(Failure::new(Code::NetTimeout, cause))
        }
    }
}

/// The innermost reason; the outer ones repeat the address with its query.
fn failed(error: &reqwest::Error, place: &str) -> Failure {
    let mut source: &dyn std::error::Error = error;
    while let Some(inner) = source.source() {
        source = inner;
    }
    let code = if error.is_connect() { Code::NetUnreachable } else { Code::NetLost };
    Failure::new(code, format!("{place} cannot be read: {source}"))
}
