//! The HTTP client of logins: no redirects, short limits, small answers, no address that the guard forbids.

use std::path::Path;
use std::sync::{Once, OnceLock};
use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Certificate, RequestBuilder, StatusCode, Url, redirect};

use super::Target;
use super::guard::{Forbidden, Guard};
use crate::config::Secret;
use crate::failure::{Code, Failure};

const CONNECT: Duration = Duration::from_secs(10);
/// A whole request. Several of them must fit into the time that others wait for a renewal.
const WHOLE: Duration = Duration::from_secs(20);
/// Metadata and token answers are a few kilobytes.
const MAX_BODY: usize = 256 << 10;

/// Makes `ring` what does TLS in this process. Every place that builds a TLS client calls this first; the first call
/// counts.
pub fn install_tls_provider() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Somebody who uses us as a library may have chosen another one.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

/// A client for the logins at one server. Nothing is loaded before it is used.
#[derive(Debug)]
pub(super) struct HttpClient {
    guard: Guard,
    client: OnceLock<Result<reqwest::Client, Failure>>,
}

/// An answer, as far as we read it.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: reqwest::header::HeaderMap,
    pub(super) body: Vec<u8>,
}

impl HttpClient {
    pub(super) fn new(guard: Guard) -> Self {
        Self { guard, client: OnceLock::new() }
    }

    /// Whether an address that a stranger named may be used: what `what` is, for the failure.
    ///
    /// # Errors
    /// It may not.
    pub(super) fn check(&self, url: &str, what: &str) -> Result<Url, Failure> {
        let refused = |why: &str| {
            let remedy = "If it is right, name its authorization server in the config: `auth: { issuer: … }`";
            Failure::new(
                Code::AuthFailed,
                format!("the address of {what}, `{}`, is not used: {why}", shorten(url)),
            )
            .remedy(remedy)
        };
        let parsed = Url::parse(url).map_err(|error| refused(&error.to_string()))?;
        self.guard.check(&parsed).map_err(|why| refused(&why))?;
        Ok(parsed)
    }

    /// Fetches a JSON document.
    ///
    /// # Errors
    /// The address is not allowed, or nothing came.
    pub(super) async fn get(&self, target: &Target, url: &str, what: &str) -> Result<Answer, Failure> {
        let url = self.check(url, what)?;
        self.send(target, self.client(target)?.get(url).header(ACCEPT, "application/json"), what).await
    }

    /// Sends a form, with a client's id and secret in the header if they belong there (RFC 6749 §2.3.1).
    ///
    /// # Errors
    /// As in `get`.
    pub(super) async fn post_form(
        &self,
        target: &Target,
        url: &str,
        fields: &[(&str, &str)],
        basic: Option<(&str, &Secret)>,
        what: &str,
    ) -> Result<Answer, Failure> {
        let url = self.check(url, what)?;
        let mut request = self.client(target)?.post(url).header(ACCEPT, "application/json");
        if let Some((id, secret)) = basic {
            request = request.basic_auth(encode(id), Some(encode(secret.expose())));
        }
        let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form(fields));
        self.send(target, request, what).await
    }

    /// Sends a JSON document.
    ///
    /// # Errors
    /// As in `get`.
    pub(super) async fn post_json(
        &self,
        target: &Target,
        url: &str,
        body: &serde_json::Value,
        what: &str,
    ) -> Result<Answer, Failure> {
        let url = self.check(url, what)?;
        let request = self.client(target)?.post(url).header(ACCEPT, "application/json");
        let request = request.header(CONTENT_TYPE, "application/json").body(body.to_string());
        self.send(target, request, what).await
    }

    /// The client itself, for requests to the server, whose address the config names.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub(super) fn client(&self, target: &Target) -> Result<reqwest::Client, Failure> {
        self.client.get_or_init(|| build(&self.guard, target)).clone()
    }

    /// Sends a request and reads the answer to its end.
    ///
    /// # Errors
    /// Nothing came, or too much.
    pub(super) async fn send(
        &self,
        target: &Target,
        request: RequestBuilder,
        what: &str,
    ) -> Result<Answer, Failure> {
        let failed = |error: &reqwest::Error| failure(error, what).of(&target.server);
        let mut response = request.send().await.map_err(|error| failed(&error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let mut body = Vec::new();
        // What follows an event stream's head never ends; nobody here wants it.
        let stream =
            headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
        while let Some(chunk) =
            if stream { None } else { response.chunk().await.map_err(|error| failed(&error))? }
        {
            if body.len() + chunk.len() > MAX_BODY {
                let cause = format!("the answer of {what} is larger than {} KiB", MAX_BODY >> 10);
                return Err(Failure::new(Code::AuthFailed, cause).of(&target.server));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, headers, body })
    }
}

fn build(guard: &Guard, target: &Target) -> Result<reqwest::Client, Failure> {
    install_tls_provider();
    let builder = || {
        reqwest::Client::builder()
            .user_agent(concat!("switchboard/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT)
            .timeout(WHOLE)
            .dns_resolver(guard.clone())
    };
    let failed = |why: &dyn std::fmt::Display| {
        Failure::new(Code::NetTls, format!("TLS cannot be set up: {why}")).of(&target.server)
    };
    let extra = match &target.ca {
        Some(file) => certificates(file).map_err(|why| failed(&why))?,
        None => Vec::new(),
    };
    match builder().tls_certs_merge(extra).build() {
        Ok(client) => Ok(client),
        // A machine without any certificate authority can still talk to itself.
        Err(error) => builder().tls_certs_only([]).build().map_err(|_| failed(&error)),
    }
}

fn certificates(file: &Path) -> Result<Vec<Certificate>, String> {
    let wrong = |why: String| format!("`tls.ca`, {}: {why}", file.display());
    let text = std::fs::read(file).map_err(|error| wrong(error.to_string()))?;
    Certificate::from_pem_bundle(&text).map_err(|error| wrong(error.to_string()))
}

/// What a failed request means. reqwest's own text may contain the address with its query, so it is not used.
fn failure(error: &reqwest::Error, what: &str) -> Failure {
    let mut source = std::error::Error::source(error);
    let mut innermost = String::new();
    while let Some(error) = source {
        if let Some(forbidden) = error.downcast_ref::<Forbidden>() {
            let cause = format!("the address of {what} is not used: {forbidden}");
            return Failure::new(Code::AuthFailed, cause).remedy(
                "If it is right, name its authorization server in the config: `auth: { issuer: … }`",
            );
        }
        if error.downcast_ref::<rustls::Error>().is_some() {
            return Failure::new(Code::NetTls, format!("no safe connection to {what}: {error}"));
        }
        innermost = error.to_string();
        // What an `io::Error` wraps is not among its sources, but one level further.
        source = match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    if error.is_timeout() {
        return Failure::new(Code::NetTimeout, format!("{what} did not answer in time"));
    }
    Failure::new(Code::NetUnreachable, format!("{what} cannot be reached: {innermost}"))
}

/// An address for people: without query, and not longer than they read.
pub(super) fn shorten(url: &str) -> String {
    let bare = url.split(['?', '#']).next().unwrap_or_default();
    bare.chars().take(200).collect()
}

/// Fields as `application/x-www-form-urlencoded`.
pub(super) fn form(fields: &[(&str, &str)]) -> String {
    let pair = |(name, value): &(&str, &str)| format!("{}={}", encode(name), encode(value));
    fields.iter().map(pair).collect::<Vec<_>>().join("&")
}

fn encode(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut encoded, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'*' => {
                encoded.push(char::from(byte))
            }
            b' ' => encoded.push('+'),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_read_back_as_they_were() {
        let fields = [("resource", "https://a.example/mcp?x=1&y"), ("scope", "a b+c ä"), ("", "=")];
        let url = Url::parse(&format!("http://x/?{}", form(&fields))).unwrap();
        let read: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        let written: Vec<_> = fields.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        assert_eq!(read, written);
    }

    #[test]
    fn addresses_are_shown_without_what_may_be_secret() {
        assert_eq!(shorten("https://a.example/x?token=hunter2#y"), "https://a.example/x");
    }
}
