//! Consul: services with the tag `mcp` that pass their checks. Several instances of a service are one server with several
//! `endpoints`.
//!
//! Source: Consul's HTTP API, "Catalog" (`/v1/catalog/services`) and "Health" (`/v1/health/service/:name`). What is said of a
//! service beyond its address stands in its metadata: `mcp_path` (`/mcp`), `mcp_transport` (`http`, `sse`, `websocket`),
//! `mcp_scheme` (`http`), `mcp_description`.

use reqwest::Url;
use serde_json::{Value, json};

use super::{Answer, Inquiry, MOST, at_usual_port, kind_of};
use crate::config::{RemoteKind, Secret};
use crate::discovery::entry::{literal, remote};
use crate::discovery::finder::Draft;
use crate::discovery::finding::{Source, Transport, one_line};
use crate::discovery::probe::Target;
use crate::failure::{Code, Failure};

/// The tag of services that are MCP servers.
const TAG: &str = "mcp";
/// More instances than this are not taken of one service.
const MOST_INSTANCES: usize = 32;

pub(super) async fn ask(url: &Url, inquiry: &Inquiry<'_>) -> Answer {
    let token = url.password().map(Secret::new);
    let base = bare(url);
    let get = async |at: &Url| inquiry.fetcher.get_with_token(at, token.as_ref(), inquiry.patience()).await;
    let services = get(&path(&base, &["v1", "catalog", "services"])?).await?;
    let Some(services) = services.as_object() else {
        return Err(Failure::new(Code::NetProtocol, "its list of services is none"));
    };
    let tagged = services.iter().filter(|(_, tags)| has_tag(tags)).map(|(name, _)| name).take(MOST);
    let mut drafts = Vec::new();
    for name in tagged {
        let mut at = path(&base, &["v1", "health", "service", name])?;
        at.query_pairs_mut().append_pair("passing", "1").append_pair("tag", TAG);
        drafts.extend(service(name, &get(&at).await?, inquiry.source));
    }
    Ok(drafts)
}

fn bare(url: &Url) -> Url {
    let mut bare = url.clone();
    let _ = bare.set_username("");
    let _ = bare.set_password(None);
    at_usual_port(&mut bare, 8500);
    bare
}

fn path(base: &Url, parts: &[&str]) -> Result<Url, Failure> {
    let mut url = base.clone();
    url.path_segments_mut()
        .map_err(|()| Failure::new(Code::ConfigValue, "its address has no path"))?
        .pop_if_empty()
        .extend(parts);
    Ok(url)
}

fn has_tag(tags: &Value) -> bool {
    tags.as_array().into_iter().flatten().any(|tag| tag.as_str() == Some(TAG))
}

/// The instances of a service as one draft.
fn service(name: &str, instances: &Value, source: &Source) -> Option<Draft> {
    let instances: Vec<&Value> = instances.as_array()?.iter().take(MOST_INSTANCES).collect();
    let targets: Vec<Target> = instances.iter().filter_map(|instance| target(instance)).collect();
    let first = targets.first()?.clone();
    let transport = match first.kind {
        RemoteKind::Sse => Transport::Sse,
        RemoteKind::WebSocket => Transport::WebSocket,
        _ => Transport::Http,
    };
    let mut entry = remote(&literal(&first.url), transport, serde_json::Map::new());
    if targets.len() > 1 {
        // Replicas are interchangeable, so their order must not make another server of them.
        let mut urls: Vec<String> = targets.iter().map(|target| literal(&target.url)).collect();
        urls.sort_unstable();
        urls.dedup();
        entry["url"] = urls.remove(0).into();
        if !urls.is_empty() {
            entry["endpoints"] = json!(urls);
        }
    }
    let description = instances.iter().find_map(|instance| meta(instance, "description"));
    let mut draft = Draft::new(entry, source.clone());
    draft.called = one_line(name);
    draft.description = description.and_then(one_line);
    draft.target = Some(first);
    Some(draft)
}

fn meta<'a>(instance: &'a Value, key: &str) -> Option<&'a str> {
    let meta = instance.get("Service")?.get("Meta")?;
    let value = meta.get(format!("mcp_{key}")).or_else(|| meta.get(format!("mcp-{key}")))?;
    value.as_str().filter(|text| !text.is_empty())
}

fn target(instance: &Value) -> Option<Target> {
    let text = |owner: &str| instance.get(owner)?.get("Address")?.as_str().filter(|text| !text.is_empty());
    let host = text("Service").or_else(|| text("Node"))?;
    let port = instance.get("Service")?.get("Port")?.as_u64().filter(|port| (1..=65535).contains(port))?;
    let kind = kind_of(meta(instance, "transport"));
    let scheme = match (meta(instance, "scheme"), kind) {
        (Some("https" | "wss"), RemoteKind::WebSocket) => "wss",
        (_, RemoteKind::WebSocket) => "ws",
        (Some("https"), _) => "https",
        _ => "http",
    };
    let usual = if kind == RemoteKind::Sse { "/sse" } else { "/mcp" };
    let path = meta(instance, "path").unwrap_or(usual);
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let url = Url::parse(&format!("{scheme}://{host}:{port}/{}", path.trim_start_matches('/'))).ok()?;
    Some(Target::new(url.as_str(), kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(port: u16, meta: Value) -> Value {
        json!({ "Node": { "Address": "10.0.0.1" }, "Service": { "Address": "", "Port": port, "Meta": meta } })
    }

    #[test]
    fn instances_of_a_service_are_one_server() {
        let one = service("files", &json!([instance(8001, json!({}))]), &Source::Network).unwrap();
        assert_eq!(one.entry, json!({ "url": "http://10.0.0.1:8001/mcp" }));
        let two = json!([instance(8002, json!({})), instance(8001, json!({}))]);
        let two = service("files", &two, &Source::Network).unwrap();
        assert_eq!(
            two.entry,
            json!({ "url": "http://10.0.0.1:8001/mcp", "endpoints": ["http://10.0.0.1:8002/mcp"] })
        );
        let sse = instance(
            9000,
            json!({ "mcp_transport": "sse", "mcp_scheme": "https", "mcp_description": "Old." }),
        );
        let sse = service("old", &json!([sse]), &Source::Network).unwrap();
        assert_eq!(sse.entry, json!({ "url": "https://10.0.0.1:9000/sse", "type": "sse" }));
        assert_eq!(sse.description.as_deref(), Some("Old."));
        assert!(service("none", &json!([]), &Source::Network).is_none());
        assert!(service("odd", &json!([{ "Service": { "Port": "x" } }, 5]), &Source::Network).is_none());
    }
}
