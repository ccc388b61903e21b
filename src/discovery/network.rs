//! Hosts and ports that somebody named: who is there, and does he speak MCP?

use std::collections::HashSet;
use std::io::ErrorKind;
use std::time::Duration;

use reqwest::Url;
use serde_json::Map;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::card;
use super::entry;
use super::fetch::Fetcher;
use super::finder::{Draft, Looked};
use super::finding::{Failed, Source, Transport};
use super::identity::{is_loopback, plain_url};
use super::probe::{self, Refused, Shown, Target};
use super::wishes::Wishes;
use crate::config::{RemoteKind, hide_in_text};
use crate::failure::{Code, Failure};

/// More addresses than this are not tried in one search.
const MOST: usize = 70_000;
/// Where servers usually speak, and how.
const PLACES: [(&str, RemoteKind); 3] =
    [("/mcp", RemoteKind::Http), ("/", RemoteKind::Http), ("/sse", RemoteKind::Sse)];

/// The addresses that the wishes name, each once, and what is no address.
pub(super) fn candidates(wishes: &Wishes) -> (Vec<Url>, Vec<Failed>) {
    let mut urls = Vec::new();
    let mut failed = Vec::new();
    for base in &wishes.base_urls {
        match parse(base) {
            Ok(url) if url.port().is_some() || wishes.ports.is_empty() => urls.push(url),
            Ok(url) => urls.extend(wishes.ports.iter().take(MOST).filter_map(|port| {
                let mut url = url.clone();
                url.set_port(Some(*port)).ok().map(|()| url)
            })),
            Err(failure) => {
                failed.push(Failed { place: hide_in_text(base), source: Source::Network, failure })
            }
        }
    }
    for text in &wishes.urls {
        match parse(text) {
            Ok(url) => urls.push(url),
            Err(failure) => {
                failed.push(Failed { place: hide_in_text(text), source: Source::Network, failure })
            }
        }
    }
    // `localhost` reaches what listens on either address of this machine.
    urls.sort_by_key(|url| {
        is_loopback(url.host_str().unwrap_or_default()) && url.host_str() != Some("localhost")
    });
    let mut seen = HashSet::new();
    urls.retain(|url| seen.insert(plain_url(url.as_str())));
    urls.truncate(MOST);
    (urls, failed)
}

fn parse(text: &str) -> Result<Url, Failure> {
    let wrong = |why: String| {
        Failure::new(Code::ConfigValue, format!("`{}` is no address: {why}", hide_in_text(text)))
    };
    let whole = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let url = Url::parse(&whole).map_err(|error| wrong(error.to_string()))?;
    match url.scheme() {
        "http" | "https" if url.host_str().is_some() => Ok(url),
        _ => Err(wrong("it must begin with http:// or https://".to_owned())),
    }
}

/// Looks at one address: the path that it names, or else the usual ones, and what its host publishes.
pub(super) async fn look(url: &Url, fetcher: &Fetcher, patience: Duration) -> Looked {
    let deadline = Instant::now() + patience;
    let place = hide_in_text(url.as_str().trim_end_matches('/'));
    let fail =
        |failure: Failure| Looked::failed(Failed { place: place.clone(), source: Source::Network, failure });
    match reach(url, deadline).await {
        Ok(true) => {}
        Ok(false) => return Looked::default(),
        Err(failure) => return fail(failure),
    }
    let has_path = url.path() != "/" || url.query().is_some();
    let targets: Vec<Target> = match has_path {
        true => vec![Target::new(url.as_str(), RemoteKind::Auto)],
        false => {
            PLACES.iter().filter_map(|(path, kind)| Some(Target::new(url.join(path).ok()?, *kind))).collect()
        }
    };
    let mut looked = Looked::default();
    let mut first = None;
    for target in targets {
        match probe::greet(&target, left(deadline)).await {
            Ok(shown) => {
                looked.drafts.push(draft(&target, shown));
                break;
            }
            Err(Refused::WantsLogin) => {
                looked.drafts.push(locked(&target));
                break;
            }
            Err(Refused::Failure(failure)) => {
                let ends = ends_all(&failure) || left(deadline).is_zero();
                first.get_or_insert(failure);
                if ends {
                    break;
                }
            }
        }
    }
    if first.as_ref().is_none_or(|failure| !ends_all(failure)) && !has_path {
        looked.append(card::look(url, fetcher, deadline, !looked.drafts.is_empty()).await);
    }
    match first {
        Some(failure) if looked.drafts.is_empty() && looked.failed.is_empty() => fail(failure),
        _ => looked,
    }
}

/// What is left of the time, never quite nothing.
pub(super) fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

/// Whether somebody listens there. Nobody can tell where a proxy stands between.
async fn reach(url: &Url, deadline: Instant) -> Result<bool, Failure> {
    let proxies = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
    let is_remote = !is_loopback(url.host_str().unwrap_or_default());
    if is_remote && proxies.iter().any(|name| std::env::var_os(name).is_some_and(|proxy| !proxy.is_empty())) {
        return Ok(true);
    }
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
    let port = url.port_or_known_default().unwrap_or(80);
    match timeout_at(deadline, TcpStream::connect((host.as_str(), port))).await {
        Ok(Ok(_)) => Ok(true),
        Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => Ok(false),
        Ok(Err(error)) => Err(Failure::new(Code::NetUnreachable, format!("it cannot be reached: {error}"))),
        Err(_) => Err(Failure::new(Code::NetTimeout, "it did not take the connection in time")),
    }
}

/// Whether a failure at one path says that no other path of the host is worth a try.
fn ends_all(failure: &Failure) -> bool {
    matches!(
        failure.code,
        Code::NetTimeout
            | Code::HandshakeTimeout
            | Code::NetUnreachable
            | Code::NetLost
            | Code::NetTls
            | Code::AuthRefused
            | Code::AuthNeedsLogin
    )
}

/// A server that has shown itself.
pub(super) fn draft(target: &Target, shown: Shown) -> Draft {
    let mut draft = at(target);
    draft.called = shown.name.clone();
    draft.shown = Some(shown);
    draft
}

/// A server that shows nothing before somebody logs in.
pub(super) fn locked(target: &Target) -> Draft {
    Draft {
        problem: Some("it wants a login: `switchboard auth login NAME` once it is in the config".to_owned()),
        ..at(target)
    }
}

fn at(target: &Target) -> Draft {
    let transport = if target.kind == RemoteKind::Sse { Transport::Sse } else { Transport::Http };
    Draft::new(entry::remote(&entry::literal(&target.url), transport, Map::new()), Source::Network)
}
