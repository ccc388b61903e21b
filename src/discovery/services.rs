//! Service registries: who is said to be where.
//!
//! In comes the address of a registry; out go drafts. What a registry names at an address is greeted before it is proposed: that of
//! an MCP registry, which lists strangers, only if the user wants it. What it names as a package or command is only proposed.

mod consul;
#[cfg(feature = "mdns")]
mod dns_sd;
mod etcd;
mod registry;

use std::time::Duration;

use reqwest::Url;
use tokio::time::Instant;

use super::fetch::Fetcher;
use super::finder::{Draft, Looked};
use super::finding::{Failed, Source};
use super::network::left;
use crate::config::{RemoteKind, hide_in_text};
use crate::failure::{Code, Failure};

/// More servers than this are not taken from one registry.
const MOST: usize = 500;

/// A registry that the user names.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Registry {
    /// Consul's HTTP API; the password of the address is the token.
    Consul(Url),
    /// The JSON gateway of etcd v3; the path of the address is the prefix of the keys.
    Etcd(Url),
    /// An MCP registry.
    Mcp(Url),
    /// DNS-SD over multicast.
    Mdns,
}

impl Registry {
    fn parse(text: &str) -> Option<Self> {
        if text == "mdns" {
            return Some(Self::Mdns);
        }
        let (scheme, rest) = text.split_once("://")?;
        let url = |scheme: &str| Url::parse(&format!("{scheme}://{rest}")).ok().filter(Url::has_host);
        Some(match scheme {
            "consul" => Self::Consul(url("http")?),
            "consul+https" => Self::Consul(url("https")?),
            "etcd" => Self::Etcd(url("http")?),
            "etcd+https" => Self::Etcd(url("https")?),
            "http" | "https" => Self::Mcp(url(scheme)?),
            _ => return None,
        })
    }
}

/// How a registry is asked.
struct Inquiry<'a> {
    fetcher: &'a Fetcher,
    /// The registry, as its drafts name it.
    source: &'a Source,
    deadline: Instant,
}

/// What a registry names, or why nothing is known of it.
type Answer = Result<Vec<Draft>, Failure>;

impl Inquiry<'_> {
    /// How long the next request may take.
    fn patience(&self) -> Duration {
        left(self.deadline)
    }
}

/// Asks one registry. Its servers are not greeted yet.
pub(super) async fn ask(endpoint: &str, ask_remotes: bool, fetcher: &Fetcher, deadline: Instant) -> Looked {
    let place = hide_in_text(endpoint);
    let source = Source::Service(place.clone());
    let inquiry = Inquiry { fetcher, source: &source, deadline };
    let asked = match Registry::parse(endpoint) {
        Some(Registry::Consul(url)) => consul::ask(&url, &inquiry).await,
        Some(Registry::Etcd(url)) => etcd::ask(&url, &inquiry).await,
        Some(Registry::Mcp(url)) => registry::ask(&url, ask_remotes, &inquiry).await,
        Some(Registry::Mdns) => mdns(&source, deadline).await,
        None => Err(Failure::new(Code::ConfigValue, format!("`{place}` is no registry that is known here"))
            .remedy(
                "Write `consul://host:8500`, `etcd://host:2379`, the address of an MCP registry, or `mdns`",
            )),
    };
    match asked {
        Ok(mut drafts) => {
            let is_partial = drafts.len() > MOST;
            drafts.truncate(MOST);
            Looked { drafts, is_partial, ..Looked::default() }
        }
        Err(failure) => Looked::failed(Failed { place, source, failure }),
    }
}

#[cfg(feature = "mdns")]
async fn mdns(source: &Source, deadline: Instant) -> Answer {
    dns_sd::ask(source, deadline).await
}

#[cfg(not(feature = "mdns"))]
async fn mdns(_: &Source, _: Instant) -> Answer {
    Err(Failure::new(Code::ConfigValue, "this program was built without DNS-SD")
        .remedy("Build it with `--features mdns`, or leave `mdns` out"))
}

/// Asks at the port that such a registry usually has, if the address names none.
fn at_usual_port(url: &mut Url, port: u16) {
    if url.port().is_none() && url.scheme() == "http" {
        // It has a host, so it can have a port.
        let _ = url.set_port(Some(port));
    }
}

/// How a registry's word for a transport is meant.
fn kind_of(word: Option<&str>) -> RemoteKind {
    match word {
        Some("sse") => RemoteKind::Sse,
        Some("websocket" | "ws") => RemoteKind::WebSocket,
        Some("http" | "streamable-http" | "streamable_http" | "streamableHttp") => RemoteKind::Http,
        _ => RemoteKind::Auto,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_are_told_apart_by_their_schemes() {
        let url = |text: &str| Url::parse(text).unwrap();
        assert_eq!(Registry::parse("consul://h:8500"), Some(Registry::Consul(url("http://h:8500"))));
        assert_eq!(Registry::parse("etcd+https://h/mcp/"), Some(Registry::Etcd(url("https://h/mcp/"))));
        assert_eq!(
            Registry::parse("https://r.example?search=x"),
            Some(Registry::Mcp(url("https://r.example?search=x")))
        );
        assert_eq!(Registry::parse("mdns"), Some(Registry::Mdns));
        for wrong in ["", "h:8500", "ftp://h", "consul://", "file:///etc/passwd"] {
            assert_eq!(Registry::parse(wrong), None, "{wrong}");
        }
    }
}
