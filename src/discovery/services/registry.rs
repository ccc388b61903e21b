//! MCP registries: `GET /v0.1/servers` (older ones: `/v0/servers`), page by page. A query in the address of the registry, such as
//! `?search=weather`, is passed on.
//!
//! Source: the MCP registry's generic API. What a registry lists is proposed, and greeted only if the user wants it: it may be
//! hundreds of servers, of strangers.

use reqwest::Url;
use serde_json::Value;

use super::{Answer, Inquiry, MOST};
use crate::discovery::identity::is_loopback;
use crate::discovery::probe::Target;
use crate::discovery::server_json;
use crate::failure::{Code, Failure};

const VERSIONS: [&str; 2] = ["v0.1", "v0"];
/// The registry's word on a server, beside what the server's owner says.
const OFFICIAL: &str = "io.modelcontextprotocol.registry/official";
/// More pages than this are not read.
const MOST_PAGES: usize = 20;

pub(super) async fn ask(url: &Url, asks_remotes: bool, inquiry: &Inquiry<'_>) -> Answer {
    let mut failure = None;
    for version in VERSIONS {
        match pages(&address(url, version), inquiry).await {
            Ok(mut drafts) => {
                let host = url.host_str().unwrap_or_default();
                for draft in &mut drafts {
                    draft.target = draft.target.take().filter(|target| asks_remotes && may_ask(host, target));
                }
                return Ok(drafts);
            }
            // One that does not know the newer form may know the older one.
            Err(error) if error.code == Code::NetStatus => drop(failure.get_or_insert(error)),
            Err(error) => return Err(error),
        }
    }
    Err(failure.unwrap_or_else(|| Failure::new(Code::NetProtocol, "it lists no servers")))
}

/// Where the list of a registry stands; an address that names it itself is taken as it is.
fn address(url: &Url, version: &str) -> Url {
    let mut url = url.clone();
    let path = url.path().trim_end_matches('/').to_owned();
    if !path.ends_with("/servers") {
        url.set_path(&format!("{path}/{version}/servers"));
    }
    url
}

async fn pages(url: &Url, inquiry: &Inquiry<'_>) -> Answer {
    let mut drafts = Vec::new();
    let mut cursor: Option<String> = None;
    for _ in 0..MOST_PAGES {
        let mut page = url.clone();
        let has = |name: &str| url.query_pairs().any(|(key, _)| key == name);
        {
            let mut query = page.query_pairs_mut();
            for (name, value) in [("limit", "100"), ("version", "latest")] {
                if !has(name) {
                    query.append_pair(name, value);
                }
            }
            if let Some(cursor) = &cursor {
                query.append_pair("cursor", cursor);
            }
        }
        let answer = inquiry.fetcher.get(&page, "application/json", inquiry.patience()).await?;
        let Some(servers) = answer.get("servers").and_then(Value::as_array) else {
            return Err(Failure::new(Code::NetProtocol, "it does not answer as an MCP registry does"));
        };
        drafts.extend(servers.iter().filter(|item| is_current(item)).filter_map(|item| {
            // Older registries list the servers themselves.
            server_json::proposal(item.get("server").unwrap_or(item), inquiry.source)
        }));
        let metadata = answer.get("metadata");
        let next =
            metadata.and_then(|metadata| metadata.get("nextCursor").or_else(|| metadata.get("next_cursor")));
        let next = next.and_then(Value::as_str).filter(|next| !next.is_empty()).map(str::to_owned);
        if next.is_none() || next == cursor || drafts.len() > MOST {
            break;
        }
        cursor = next;
    }
    Ok(drafts)
}

/// A registry elsewhere does not send us to what listens on this machine alone.
fn may_ask(registry: &str, target: &Target) -> bool {
    let host = Url::parse(&target.url).ok().and_then(|url| url.host_str().map(str::to_owned));
    host.is_some_and(|host| !is_loopback(&host) || is_loopback(registry))
}

/// Whether a server is neither gone nor an older version of one in the list.
fn is_current(item: &Value) -> bool {
    let official = item.get("_meta").and_then(|meta| meta.get(OFFICIAL));
    let status = official
        .and_then(|official| official.get("status"))
        .or_else(|| item.get("status"))
        .and_then(Value::as_str);
    let is_latest = official.and_then(|official| official.get("isLatest")).and_then(Value::as_bool);
    !matches!(status, Some("deleted" | "deprecated")) && is_latest != Some(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RemoteKind;

    #[test]
    fn a_registry_elsewhere_sends_nobody_to_this_machine() {
        let may = |registry: &str, url: &str| may_ask(registry, &Target::new(url, RemoteKind::Http));
        assert!(may("registry.example", "https://server.example/mcp"));
        assert!(may("127.0.0.1", "http://localhost:8001/mcp"));
        for local in ["http://localhost:8001/mcp", "http://127.0.0.2/mcp", "http://[::1]:1/mcp", "nonsense"] {
            assert!(!may("registry.example", local), "{local}");
        }
    }
}
