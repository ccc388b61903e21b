//! Fetching what a server shows: every page of every list (MCP "Pagination").

use std::collections::HashSet;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::backend::{Backend, freshness, handshake::Greeting};
use crate::bridge::mirror;
use crate::bridge::result::{CacheHints, check_final};
use crate::catalog::Offering;
use crate::failure::{Code, Failure};
use crate::protocol::{ListKind, Method, codes};
use crate::wire::{Body, json};

/// How long one page may take.
const PAGE_TIMEOUT: Duration = Duration::from_secs(30);
/// A server that has more pages than this is going round in circles.
const MAX_PAGES: usize = 1000;
/// More items than this in one list are cut off, with a warning.
const MAX_ITEMS: usize = 10_000;

/// What a server shows, as far as it could be fetched.
pub(super) struct Listed {
    /// The lists. One that could not be fetched has the items known before.
    pub(super) offering: Offering,
    /// The lists that were asked for.
    pub(super) asked: Vec<ListKind>,
    /// Those of them that could not be fetched.
    pub(super) failed: Vec<ListKind>,
    /// How long the server wants to be left alone before it is asked again.
    pub(super) retry_after: Duration,
}

/// Fetches those of `kinds` that the server declares; the other lists stay as they are `known`.
///
/// With `mirrors`, arguments of tools travel in headers too: a tool that says so in a way that cannot be done is left out
/// (MCP 2026-07-28, "Streamable HTTP", Schema Extension).
pub(super) async fn fetch(
    backend: &Backend,
    greeting: &Greeting,
    kinds: &[ListKind],
    known: Option<&Offering>,
    mirrors: bool,
) -> Listed {
    let mut offering = known.cloned().unwrap_or_default();
    offering.initialize = greeting.result.clone();
    let mut failed = Vec::new();
    let mut retry_after = Duration::ZERO;
    for &kind in kinds {
        let since = Instant::now();
        if !greeting.has(kind) {
            offering.list_mut(kind).clear();
            let hints = greeting.revision.is_modern().then(freshness::of_nothing);
            backend.freshness.note(kind, hints, since);
            continue;
        }
        let mut hints = greeting.revision.is_modern().then(freshness::of_nothing);
        match list(backend, greeting, kind, &mut hints).await {
            Ok(mut items) => {
                backend.freshness.note(kind, hints, since);
                if kind == ListKind::Tools && mirrors {
                    items.retain(|tool| has_usable_marks(backend, tool));
                }
                *offering.list_mut(kind) = items;
            }
            Err(failure) => {
                backend.freshness.note(kind, None, since);
                tracing::warn!(event = "list.failed", server = %backend.name(), %failure, "a list could not be fetched");
                failed.push(kind);
                retry_after = retry_after.max(failure.retry_after.unwrap_or_default());
            }
        }
    }
    Listed { offering, asked: kinds.to_vec(), failed, retry_after }
}

/// Fetches all pages of one list. What they say of how long they may be kept narrows `hints`.
async fn list(
    backend: &Backend,
    greeting: &Greeting,
    kind: ListKind,
    hints: &mut Option<CacheHints>,
) -> Result<Vec<Bytes>, Failure> {
    let method = Method::List(kind).name();
    let mut items = Vec::new();
    let mut seen = HashSet::new();
    let mut params: Option<Vec<u8>> = None;
    for _ in 0..MAX_PAGES {
        let (line, body) = backend.ask_server(method, params.as_deref(), PAGE_TIMEOUT).await?;
        let span = match body {
            Body::Result(span) => span,
            Body::Error(span) if is_method_not_found(span.of(&line)) => return Ok(items),
            Body::Error(span) => {
                let text: String = String::from_utf8_lossy(span.of(&line)).chars().take(200).collect();
                let failure = Failure::new(
                    Code::CallMalformed,
                    format!("it answered `{method}` with an error: {text}"),
                );
                return Err(failure.of(backend.name()));
            }
        };
        let result = span.of(&line);
        if greeting.revision.is_modern() && check_final(result).is_err() {
            let cause = format!("it answered `{method}` with something that is no list");
            return Err(Failure::new(Code::CallMalformed, cause).of(backend.name()));
        }
        *hints = hints.and_then(|hints| Some(hints.and(CacheHints::of(result)?)));
        if let Some(list) = json::get(result, kind.key()) {
            let list = list.of(result);
            // Copied, so that a small item does not keep a large read buffer alive.
            items.extend(json::elements(list).map(|item| Bytes::copy_from_slice(item.of(list))));
        }
        if items.len() > MAX_ITEMS {
            tracing::warn!(server = %backend.name(), method, "more than {MAX_ITEMS} items; the rest is cut off");
            items.truncate(MAX_ITEMS);
            return Ok(items);
        }
        // An empty cursor is a cursor; only its absence (or null) ends the list.
        let cursor = json::get(result, "nextCursor")
            .map(|place| place.of(result))
            .filter(|raw| raw.starts_with(b"\""));
        let Some(cursor) = cursor else { return Ok(items) };
        if !seen.insert(cursor.to_vec()) {
            tracing::warn!(server = %backend.name(), method, "the server repeats a cursor; the list ends here");
            return Ok(items);
        }
        params = Some([br#"{"cursor":"#, cursor, b"}"].concat());
    }
    tracing::warn!(server = %backend.name(), method, "more than {MAX_PAGES} pages; the rest is cut off");
    Ok(items)
}

/// A tool whose marks for headers break the rules must not be used (MCP 2026-07-28, "Streamable HTTP", Custom Headers).
fn has_usable_marks(backend: &Backend, tool: &[u8]) -> bool {
    let Some(why) = mirror::invalid(tool) else { return true };
    let name = json::get(tool, "name").and_then(|span| json::string(span.of(tool))).unwrap_or_default();
    tracing::warn!(server = %backend.name(), tool = %name, why, "a tool was left out: its `x-mcp-header` marks are invalid");
    false
}

fn is_method_not_found(error: &[u8]) -> bool {
    json::get(error, "code")
        .is_some_and(|code| code.of(error) == codes::METHOD_NOT_FOUND.to_string().as_bytes())
}
