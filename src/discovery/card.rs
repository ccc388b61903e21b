//! What a host publishes of its servers: catalogs, and cards of single servers.
//!
//! Source: the MCP extension "Server Cards" (SEP-2127) as drafted: `/.well-known/mcp/catalog.json` lists cards, in the shape of
//! the AI Catalog (`/.well-known/ai-catalog.json`); a card's `remotes` say where its server is. Before, cards stood at
//! `/.well-known/mcp/server-card.json` and `/.well-known/mcp.json` (SEP-1649), which many hosts still serve. What a card says is
//! advice: its server is greeted like any other, and only on the host that was asked.

use reqwest::Url;
use serde_json::Value;
use tokio::time::Instant;

use super::fetch::Fetcher;
use super::finder::{Draft, Looked};
use super::finding::{Source, one_line};
use super::identity::same_origin;
use super::network::{draft, left, locked};
use super::probe::{self, Refused, Target};
use super::server_json;
use crate::config::RemoteKind;

const CARD: &str = "application/mcp-server-card+json, application/json;q=0.9";
const CATALOGS: [&str; 2] = ["/.well-known/mcp/catalog.json", "/.well-known/ai-catalog.json"];
const CARDS: [&str; 2] = ["/.well-known/mcp/server-card.json", "/.well-known/mcp.json"];
/// More cards than this are not read of one host.
const MOST: usize = 50;

/// Looks for what the host of an address publishes. Where a server was found already, only catalogs are asked for: they may
/// name further ones.
pub(super) async fn look(host: &Url, fetcher: &Fetcher, deadline: Instant, is_found: bool) -> Looked {
    let mut cards = Vec::new();
    for path in CATALOGS {
        let Some(catalog) = fetch(host, path, fetcher, deadline).await else { continue };
        for entry in catalog.get("entries").and_then(Value::as_array).into_iter().flatten().take(MOST) {
            cards.extend(card_of(entry, host, fetcher, deadline).await);
        }
        break;
    }
    if cards.is_empty() && !is_found {
        for path in CARDS {
            if let Some(card) = fetch(host, path, fetcher, deadline).await {
                cards.push(card);
                break;
            }
        }
    }
    let mut looked = Looked::default();
    for card in cards {
        looked.drafts.extend(server(&card, host, deadline).await);
    }
    looked
}

async fn fetch(host: &Url, path: &str, fetcher: &Fetcher, deadline: Instant) -> Option<Value> {
    let url = host.join(path).ok()?;
    fetcher.get(&url, CARD, left(deadline)).await.ok().filter(Value::is_object)
}

/// The card of a catalog's entry: inside of it, or at an address on the same host.
async fn card_of(entry: &Value, host: &Url, fetcher: &Fetcher, deadline: Instant) -> Option<Value> {
    let kind = entry.get("type").or_else(|| entry.get("mediaType")).and_then(Value::as_str)?;
    if !kind.starts_with("application/mcp-server") {
        return None;
    }
    if let Some(card) = entry.get("data").or_else(|| entry.get("inline")).filter(|card| card.is_object()) {
        return Some(card.clone());
    }
    let url = host.join(entry.get("url").and_then(Value::as_str)?).ok()?;
    if !same_origin(&url, host) {
        tracing::debug!(host = %host.origin().ascii_serialization(), "a catalog names a card of another host, which is not fetched");
        return None;
    }
    fetcher.get(&url, CARD, left(deadline)).await.ok().filter(Value::is_object)
}

/// The server of a card. One on the same host is greeted; one elsewhere is only proposed.
async fn server(card: &Value, host: &Url, deadline: Instant) -> Option<Draft> {
    let source = Source::Card(host.origin().ascii_serialization());
    let mut proposal = match server_json::remotes(card, &source).into_iter().next() {
        Some(proposal) => proposal,
        // The older shape names its endpoint alone.
        None => {
            let text = |path: [&str; 2]| {
                card.get(path[0]).and_then(|below| below.get(path[1])).and_then(Value::as_str)
            };
            let endpoint = text(["transport", "endpoint"]).or_else(|| text(["transport", "url"]))?;
            let target = Target::new(host.join(endpoint).ok()?, RemoteKind::Auto);
            let mut proposal = locked(&target);
            proposal.problem = None;
            proposal.called = text(["serverInfo", "name"])
                .or_else(|| card.get("name").and_then(Value::as_str))
                .and_then(one_line);
            proposal.target = Some(target);
            proposal.source = source;
            proposal
        }
    };
    let Some(target) = proposal.target.take() else { return Some(proposal) };
    let is_here = Url::parse(&target.url).is_ok_and(|url| same_origin(&url, host));
    if !is_here {
        proposal.problem = Some("it was not asked, because it is on another host than the card".to_owned());
        return Some(proposal);
    }
    match probe::greet(&target, left(deadline)).await {
        Ok(shown) => Some(Draft { entry: proposal.entry, source: proposal.source, ..draft(&target, shown) }),
        Err(Refused::WantsLogin) => {
            Some(Draft { called: proposal.called, source: proposal.source, ..locked(&target) })
        }
        Err(Refused::Failure(failure)) => {
            proposal.problem =
                Some(format!("its card names it, but it could not be asked: {}", failure.cause));
            Some(proposal)
        }
    }
}
