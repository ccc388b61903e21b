//! Who may come in: the names that we answer to, the pages whose scripts may talk to us, and tokens.
//!
//! Source: MCP "Streamable HTTP", Security Warning (2025-03-26 and later). A page that some browser shows may send requests
//! to this machine: under a name of its own that it lets point here (DNS rebinding; told by `Host`), or openly
//! (told by `Origin`).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::header::{self, HeaderMap, HeaderValue};
use http::request::Parts;
use http::uri::Authority;
use ring::hmac;
use ring::rand::SystemRandom;

use crate::config::Secret;

/// Whether only this machine reaches an address.
pub(crate) fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

/// The names that we answer to, and the pages whose scripts may talk to us.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    /// Whether only this machine reaches us.
    pub(crate) loopback: bool,
    /// Further names (`host` or `host:port`), in lower case.
    pub(crate) hosts: Vec<String>,
    /// Further pages (`scheme://host[:port]`), in lower case.
    pub(crate) origins: Vec<String>,
}

/// Why a request may not come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stranger {
    /// It is for a name that is none of ours.
    Host(String),
    /// It does not say for which name it is.
    Nameless,
    /// It is sent by a page that we do not know.
    Origin(String),
}

impl Names {
    /// Checks under which name the request came and from which page. Gives the page's origin, if it comes from one.
    pub(crate) fn admit(&self, request: &Parts) -> Result<Option<HeaderValue>, Stranger> {
        let mut host = None;
        let named = request.headers.get_all(header::HOST).iter().map(|value| value.to_str().ok());
        let target = request.uri.authority().map(|authority| Some(authority.as_str()));
        for spelling in named.chain(target) {
            let authority =
                spelling.and_then(|spelling| spelling.to_ascii_lowercase().parse::<Authority>().ok());
            match authority {
                Some(authority) if self.answers_to(&authority) => host = Some(authority),
                _ => return Err(Stranger::Host(spelling.unwrap_or_default().to_owned())),
            }
        }
        let host = host.ok_or(Stranger::Nameless)?;
        let mut origins = request.headers.get_all(header::ORIGIN).iter();
        let Some(origin) = origins.next() else { return Ok(None) };
        let text = origin.to_str().unwrap_or_default().to_ascii_lowercase();
        let page = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
        let known = page.is_some_and(|page| page == host.as_str()) || self.origins.contains(&text);
        match known && origins.next().is_none() {
            true => Ok(Some(origin.clone())),
            false => Err(Stranger::Origin(text)),
        }
    }

    /// Whether this is a name of ours. An address in figures cannot be made to point here by a stranger's name server.
    fn answers_to(&self, authority: &Authority) -> bool {
        let name = authority.host();
        if authority.as_str().contains('@') {
            return false;
        }
        let figures = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        let ours = match figures {
            Ok(ip) => !self.loopback || ip.to_canonical().is_loopback(),
            Err(_) => name == "localhost",
        };
        ours || self.hosts.iter().any(|host| host == name || host == authority.as_str())
    }
}

/// The bearer tokens that open a door. They are compared by their keyed hashes, which takes the same time whatever they share,
/// and whatever their length.
pub(crate) struct Tokens {
    key: hmac::Key,
    tags: Vec<(Arc<str>, hmac::Tag)>,
}

/// Why nobody is known by the token of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// There is no token, or more than one.
    Missing,
    /// It is none of ours.
    Wrong,
}

/// The system gives no random numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NoRandomness;

impl Unknown {
    /// What `WWW-Authenticate` says (RFC 6750, section 3).
    pub(crate) fn challenge(self) -> &'static str {
        match self {
            Self::Missing => "Bearer",
            Self::Wrong => "Bearer error=\"invalid_token\"",
        }
    }

    /// The same for people.
    pub(crate) fn message(self) -> &'static str {
        match self {
            Self::Missing => "a token is needed: `Authorization: Bearer …`",
            Self::Wrong => "the token is none of ours",
        }
    }
}

impl Tokens {
    /// These tokens, with the names of those who have them.
    pub(crate) fn new<'a>(
        tokens: impl IntoIterator<Item = (&'a str, &'a Secret)>,
    ) -> Result<Self, NoRandomness> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).map_err(|_| NoRandomness)?;
        let tag =
            |(name, token): (&str, &Secret)| (Arc::from(name), hmac::sign(&key, token.expose().as_bytes()));
        let tags = tokens.into_iter().map(tag).collect();
        Ok(Self { key, tags })
    }

    /// Whether nobody is asked for one.
    pub(crate) fn is_empty(&self) -> bool {
        self.tags.is_empty()
    }

    /// Whose token a request shows. A token counts in the header alone: addresses end up in logs.
    pub(crate) fn bearer(&self, headers: &HeaderMap) -> Result<Arc<str>, Unknown> {
        let token = bearer(headers).ok_or(Unknown::Missing)?;
        let mut name = None;
        for (known, tag) in &self.tags {
            if hmac::verify(&self.key, token, tag.as_ref()).is_ok() {
                name = Some(known);
            }
        }
        name.cloned().ok_or(Unknown::Wrong)
    }
}

/// The one bearer token of a request.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (value, None) = (values.next()?.as_bytes(), values.next()) else { return None };
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}
