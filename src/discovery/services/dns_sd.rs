//! DNS-SD: who announces `_mcp._tcp` on the networks that this machine is in (RFC 6762, RFC 6763).
//!
//! No specification of MCP names the type or what stands beside it; `path` (`/mcp`), `transport` (`http`, `sse`) and `scheme`
//! (`http`) are what announcers use. Anybody in the network can announce anything: an announcement leads us to addresses of
//! local networks, which the announcer reaches as well, and never to what listens on this machine alone or somewhere far away.

use std::net::IpAddr;
use std::time::Duration;

use mdns_sd::{IfKind, ResolvedService, ScopedIp, ServiceDaemon, ServiceEvent};
use reqwest::Url;
use serde_json::Map;
use tokio::time::{Instant, timeout_at};

use super::{MOST, kind_of};
use crate::config::RemoteKind;
use crate::discovery::entry::{literal, remote};
use crate::discovery::finder::Draft;
use crate::discovery::finding::{Source, Transport, one_line};
use crate::discovery::probe::Target;
use crate::failure::{Code, Failure};

const TYPE: &str = "_mcp._tcp.local.";
/// The port of multicast DNS.
const PORT: u16 = 5353;
/// Announcers answer within a second; who asks longer hears the same again.
const LISTEN: Duration = Duration::from_secs(2);

pub(super) async fn ask(source: &Source, deadline: Instant) -> Result<Vec<Draft>, Failure> {
    browse(PORT, None, source, deadline.min(Instant::now() + LISTEN)).await
}

/// Collects announcements until then; on these interfaces alone, if some are named.
async fn browse(
    port: u16,
    interface: Option<IfKind>,
    source: &Source,
    until: Instant,
) -> Result<Vec<Draft>, Failure> {
    let failed = |error: mdns_sd::Error| {
        Failure::new(Code::NetUnreachable, format!("nobody can be asked by multicast here: {error}"))
    };
    let daemon = Daemon(ServiceDaemon::new_with_port(port).map_err(failed)?);
    if let Some(interface) = interface {
        daemon.0.disable_interface(IfKind::All).map_err(failed)?;
        daemon.0.enable_interface(interface).map_err(failed)?;
    }
    let events = daemon.0.browse(TYPE).map_err(failed)?;
    let mut drafts: Vec<(String, Draft)> = Vec::new();
    while let Ok(Ok(event)) = timeout_at(until, events.recv_async()).await {
        match event {
            ServiceEvent::ServiceResolved(service) => {
                drafts.retain(|(name, _)| *name != service.fullname);
                if let Some(draft) = draft(&service, source).filter(|_| drafts.len() <= MOST) {
                    drafts.push((service.fullname, draft));
                }
            }
            ServiceEvent::ServiceRemoved(_, fullname) => drafts.retain(|(name, _)| *name != fullname),
            _ => {}
        }
    }
    drafts.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(drafts.into_iter().map(|(_, draft)| draft).collect())
}

/// The thread that listens ends with the search, however that ends.
struct Daemon(ServiceDaemon);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.shutdown();
    }
}

fn draft(service: &ResolvedService, source: &Source) -> Option<Draft> {
    let text = |key: &str| service.get_property_val_str(key).filter(|text| !text.is_empty());
    let mut addresses: Vec<&ScopedIp> = service.addresses.iter().collect();
    addresses.sort_by_key(|address| (matches!(address, ScopedIp::V6(_)), address.to_string()));
    let host = match addresses.first()? {
        ScopedIp::V4(address) => address.addr().to_string(),
        ScopedIp::V6(address) => format!("[{}]", address.addr()),
        _ => return None,
    };
    let kind = kind_of(text("transport"));
    let scheme = if text("scheme") == Some("https") { "https" } else { "http" };
    let usual = if kind == RemoteKind::Sse { "/sse" } else { "/mcp" };
    let path = text("path").unwrap_or(usual).trim_start_matches('/');
    let url = Url::parse(&format!("{scheme}://{host}:{}/{path}", service.port)).ok()?;
    let transport = if kind == RemoteKind::Sse { Transport::Sse } else { Transport::Http };
    let target = may_ask(addresses.first()?.to_ip_addr()).then(|| Target::new(url.as_str(), kind));
    let mut draft = Draft::new(remote(&literal(url.as_str()), transport, Map::new()), source.clone());
    draft.called =
        service.fullname.strip_suffix(TYPE).map(|name| name.trim_end_matches('.')).and_then(one_line);
    draft.description = text("description").and_then(one_line);
    draft.target = target;
    Some(draft)
}

/// Whether an address is one of a local network.
fn may_ask(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_private() || address.is_link_local(),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(address) => may_ask(address.into()),
            None => address.is_unique_local() || address.is_unicast_link_local(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mdns_sd::ServiceInfo;

    #[tokio::test]
    async fn who_announces_himself_on_this_machine_is_found() {
        // Not the port of the system's own announcements, and not one of another test process.
        let port = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let announcer = ServiceDaemon::new_with_port(port).unwrap();
        announcer.disable_interface(IfKind::All).unwrap();
        announcer.enable_interface(IfKind::LoopbackV4).unwrap();
        let properties = [("path", "/tools"), ("transport", "sse"), ("description", "Somewhere\nelse")];
        let info =
            ServiceInfo::new(TYPE, "Kitchen Lights", "kitchen.local.", "127.0.0.1", 8123, &properties[..])
                .unwrap();
        announcer.register(info).unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        let source = Source::Service("mdns".to_owned());
        let found = loop {
            let until = Instant::now() + Duration::from_millis(1500);
            let found = browse(port, Some(IfKind::LoopbackV4), &source, until).await.unwrap();
            if !found.is_empty() || Instant::now() > deadline {
                break found;
            }
        };
        let _ = announcer.shutdown();
        let [draft] = &found[..] else { panic!("{found:?}") };
        assert_eq!(draft.entry, serde_json::json!({ "url": "http://127.0.0.1:8123/tools", "type": "sse" }));
        assert_eq!(draft.called.as_deref(), Some("Kitchen Lights"));
        assert_eq!(draft.description.as_deref(), Some("Somewhere"));
        assert!(draft.target.is_none(), "a stranger does not send us to our own machine");
    }

    #[test]
    fn announcements_lead_to_local_networks_alone() {
        for (address, expected) in [
            ("192.168.1.20", true),
            ("10.0.0.1", true),
            ("169.254.7.7", true),
            ("fe80::1", true),
            ("fd12::1", true),
            ("::ffff:10.0.0.1", true),
            ("127.0.0.1", false),
            ("::1", false),
            ("::ffff:127.0.0.1", false),
            ("0.0.0.0", false),
            ("93.184.216.34", false),
            ("2606:2800::1", false),
        ] {
            assert_eq!(may_ask(address.parse().unwrap()), expected, "{address}");
        }
    }
}
