//! Who may come in, in the words of MCP: what [`door`](crate::web::door) says is turned into its refusals.

use std::net::SocketAddr;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, StatusCode};

use super::house::Principal;
use super::reply::{Refusal, Reply, empty};
use crate::config::HttpFace;
use crate::failure::{Code, Failure};
use crate::protocol::codes;
use crate::web::door::{Names, Stranger, Tokens, is_loopback};

/// How long a browser may remember what it may send, in seconds.
const PREFLIGHT: &str = "7200";

/// The rules of one face.
pub(super) struct Guard {
    names: Names,
    tokens: Tokens,
}

impl Guard {
    /// The rules for a face at this address.
    ///
    /// # Errors
    /// Others than this machine could reach it, and no token is asked for; or the system gives no randomness.
    pub(super) fn new(address: SocketAddr, config: &HttpFace) -> Result<Self, Failure> {
        let loopback = is_loopback(address);
        if !loopback && config.tokens.is_empty() {
            let cause = format!("`{address}` can be reached by others, and no token is configured");
            return Err(Failure::new(Code::HttpOpen, cause).remedy(
                "Add `http: { tokens: { NAME: \"${env:TOKEN}\" } }` to the config, or listen on 127.0.0.1",
            ));
        }
        let tokens = Tokens::new(config.tokens.iter().map(|(name, token)| (name.as_str(), token)))
            .map_err(|_| Failure::new(Code::HttpListen, "the system gives no random numbers"))?;
        let (hosts, origins) = (config.allowed_hosts.clone(), config.allowed_origins.clone());
        Ok(Self { names: Names { loopback, hosts, origins }, tokens })
    }

    /// Checks under which name the request came and from which page. Gives the page's origin, if it comes from one.
    pub(super) fn admit(&self, request: &Parts) -> Result<Option<HeaderValue>, Refusal> {
        self.names.admit(request).map_err(|stranger| {
            let message = match stranger {
                Stranger::Host(name) => {
                    format!("the host `{name}` is not one of ours; if it is meant to be, add it to `http.allowed_hosts`")
                }
                Stranger::Nameless => "the request does not say for which host it is".to_owned(),
                Stranger::Origin(page) => format!(
                    "pages of `{page}` may not talk to Switchboard; if they are meant to, add it to `http.allowed_origins`"
                ),
            };
            Refusal::new(StatusCode::FORBIDDEN, codes::INVALID_REQUEST, message)
        })
    }

    /// Who the client is.
    pub(super) fn principal(&self, headers: &HeaderMap) -> Result<Principal, Refusal> {
        if self.tokens.is_empty() {
            return Ok(Principal::default());
        }
        match self.tokens.bearer(headers) {
            Ok(name) => Ok(Principal { name: Some(name) }),
            Err(unknown) => {
                Err(Refusal::new(StatusCode::UNAUTHORIZED, codes::INVALID_REQUEST, unknown.message())
                    .header(header::WWW_AUTHENTICATE, unknown.challenge()))
            }
        }
    }
}

/// Answers a browser that asks whether a page may send a request. The page has been checked.
pub(super) fn preflight(request: &Parts) -> Reply {
    let mut reply = empty(StatusCode::NO_CONTENT);
    let headers = reply.headers_mut();
    headers.insert(header::ALLOW, ALLOWED);
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, ALLOWED);
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(PREFLIGHT));
    // The headers that mirror parameters have any name, and a wildcard would not cover `Authorization`.
    if let Some(asked) = request.headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
    }
    if request.headers.contains_key("access-control-request-private-network") {
        let name = HeaderName::from_static("access-control-allow-private-network");
        headers.insert(name, HeaderValue::from_static("true"));
    }
    reply
}

const ALLOWED: HeaderValue = HeaderValue::from_static("GET, POST, DELETE, OPTIONS");

/// Lets the scripts of a page that has been checked read the answer.
pub(super) fn expose(reply: &mut Reply, origin: HeaderValue) {
    let headers = reply.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    let exposed = HeaderValue::from_static("Mcp-Session-Id, MCP-Protocol-Version, WWW-Authenticate");
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
}

/// Whether this is such a question.
pub(super) fn is_preflight(request: &Parts) -> bool {
    request.method == Method::OPTIONS && request.headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    fn guard(address: &str, edit: impl FnOnce(&mut HttpFace)) -> Result<Guard, Failure> {
        let mut config = HttpFace::default();
        edit(&mut config);
        Guard::new(address.parse().unwrap(), &config)
    }

    fn token(config: &mut HttpFace) {
        config.tokens.push(("alice".to_owned(), Secret::new("open-sesame-1234")));
    }

    fn admits(guard: &Guard, host: &str, origin: Option<&str>) -> bool {
        let mut request = http::Request::builder().uri("/mcp").header("host", host);
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        guard.admit(&request.body(()).unwrap().into_parts().0).is_ok()
    }

    #[test]
    fn hosts_and_origins() {
        let guard = guard("127.0.0.1:80", |config| {
            config.allowed_hosts = vec!["box.example".to_owned(), "gate.example:8443".to_owned()];
            config.allowed_origins = vec!["https://app.example".to_owned()];
        })
        .unwrap();
        for host in
            ["localhost", "LocalHost:9", "127.0.0.1:80", "[::1]:80", "box.example:1", "gate.example:8443"]
        {
            assert!(admits(&guard, host, None), "{host}");
        }
        for host in
            ["evil.example", "localhost.evil.example", "10.0.0.1", "a@localhost", "", "gate.example", "x y"]
        {
            assert!(!admits(&guard, host, None), "{host}");
        }
        for origin in
            ["http://localhost:80", "https://localhost:80", "https://app.example", "HTTPS://APP.example"]
        {
            assert!(admits(&guard, "localhost:80", Some(origin)), "{origin}");
        }
        for origin in [
            "null",
            "http://evil.example",
            "http://localhost:81",
            "http://app.example",
            "https://app.example.evil",
            "",
        ] {
            assert!(!admits(&guard, "localhost:80", Some(origin)), "{origin}");
        }
        let nobody = http::Request::builder().uri("/mcp").body(()).unwrap().into_parts().0;
        assert!(guard.admit(&nobody).is_err());
        let other = http::Request::builder().uri("http://evil.example/mcp").header("host", "localhost");
        assert!(guard.admit(&other.body(()).unwrap().into_parts().0).is_err(), "both spellings count");
    }

    #[test]
    fn an_address_of_others_needs_a_token_and_answers_to_figures() {
        assert_eq!(guard("0.0.0.0:80", |_| {}).err().unwrap().code, Code::HttpOpen);
        assert!(guard("[::ffff:127.0.0.1]:80", |_| {}).is_ok());
        let guard = guard("0.0.0.0:80", token).unwrap();
        assert!(admits(&guard, "10.0.0.1:80", None) && !admits(&guard, "evil.example", None));
    }

    #[test]
    fn tokens() {
        let guard = guard("127.0.0.1:80", token).unwrap();
        let name = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::AUTHORIZATION, value.parse().unwrap());
            }
            guard.principal(&headers).ok().map(|principal| principal.name.unwrap().to_string())
        };
        assert_eq!(name(&["Bearer open-sesame-1234"]).as_deref(), Some("alice"));
        assert_eq!(name(&["bearer  open-sesame-1234"]).as_deref(), Some("alice"));
        for wrong in [
            &[][..],
            &["Bearer open-sesame-123"],
            &["Bearer open-sesame-12345"],
            &["Basic open-sesame-1234"],
            &["open-sesame-1234"],
            &["Bearer"],
            &["Bearer "],
            &["Bearer open-sesame-1234", "Bearer open-sesame-1234"],
        ] {
            assert_eq!(name(wrong), None, "{wrong:?}");
        }
    }
}
