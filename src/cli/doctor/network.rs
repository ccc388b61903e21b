//! Ports that we would listen on, and the variables that decide how the network is reached.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::Patient;
use super::finding::{Area, Finding, Level};
use crate::config::{Launch, Setting, parse_listen};

/// No clock that is right shows less: the first of January 2025. Certificates and logins are refused by one that is wrong.
const BEFORE: Duration = Duration::from_secs(1_735_689_600);

pub(super) fn examine(patient: &Patient) -> Vec<Finding> {
    let mut findings = Vec::new();
    for key in ["http", "admin"] {
        findings.extend(address(patient, key).and_then(|address| port(key, address)));
    }
    findings.extend(proxy(patient));
    for variable in ["SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE"] {
        let missing = patient.environment.get(variable).filter(|path| !Path::new(path).exists());
        findings.extend(missing.map(|path| {
            let what = format!("`{variable}` names `{path}`, which does not exist");
            Finding::new(Area::Network, Level::Warning, what)
                .remedy(format!("correct it, or: unset {variable}"))
        }));
    }
    if SystemTime::now().duration_since(UNIX_EPOCH).is_ok_and(|now| now < BEFORE) {
        let what =
            "the clock of this machine is years behind: certificates look as if they were not valid yet";
        findings.push(Finding::new(Area::Network, Level::Error, what).remedy("set the clock"));
    }
    findings
}

/// Where a face listens, if the config says so.
fn address(patient: &Patient, key: &str) -> Option<SocketAddr> {
    let find = |settings: &[Setting], key: &str| settings.iter().find(|setting| setting.key == key).cloned();
    let face = find(patient.loaded.settings.of(None)?, key)?;
    let listen = find(&face.below, "listen")?;
    (listen.origin != "built in").then(|| parse_listen(listen.value.as_ref()?.as_str()?).ok()).flatten()
}

fn port(key: &str, address: SocketAddr) -> Option<Finding> {
    let finding = |level, what: String| Finding::new(Area::Network, level, what);
    let error = match TcpListener::bind(address) {
        Ok(_) => return Some(finding(Level::Well, format!("`{key}.listen`: {address} is free"))),
        Err(error) => error,
    };
    Some(match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            let what = format!("`{key}.listen`: {address} is in use");
            finding(Level::Note, what).remedy("if that is not your running Switchboard, choose another port")
        }
        _ => finding(Level::Error, format!("`{key}.listen`: nobody can listen on {address}: {error}"))
            .remedy("choose an address of this machine and a port from 1024 on"),
    })
}

/// A proxy that cannot be understood, or that local servers would be looked for behind.
fn proxy(patient: &Patient) -> Vec<Finding> {
    let get = |name: &str| {
        let lower = name.to_ascii_lowercase();
        patient
            .environment
            .get(&lower)
            .map(|value| (lower, value))
            .or_else(|| Some((name.to_owned(), patient.environment.get(name)?)))
    };
    let mut findings = Vec::new();
    let mut any = None;
    for name in ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"] {
        let Some((name, value)) = get(name) else { continue };
        let address = if value.contains("://") { value.to_owned() } else { format!("http://{value}") };
        match reqwest::Url::parse(&address) {
            Ok(url) if url.has_host() => any = any.or(Some(name)),
            _ => findings.push(
                Finding::new(Area::Network, Level::Warning, format!("`{name}` is no address"))
                    .remedy(format!("write it as http://host:port, or: unset {name}")),
            ),
        }
    }
    let Some(name) = any else { return findings };
    let exceptions = get("NO_PROXY").map(|(_, value)| value).unwrap_or_default();
    let excepts = |host: &str| {
        exceptions == "*" || exceptions.split(',').any(|one| one.trim().trim_start_matches('.') == host)
    };
    for server in patient.loaded.config.ready() {
        let Launch::Remote(remote) = &server.launch else { continue };
        let Some(host) =
            reqwest::Url::parse(&remote.url).ok().and_then(|url| url.host_str().map(str::to_owned))
        else {
            continue;
        };
        let is_local = host == "localhost" || host == "[::1]" || host.starts_with("127.");
        if is_local && !excepts(&host) {
            let what = format!("`{name}` is set, so `{host}` would be looked for behind the proxy");
            let finding = Finding::new(Area::Network, Level::Warning, what).of(server.name.as_str());
            findings.push(finding.remedy("NO_PROXY=localhost,127.0.0.1"));
        }
    }
    findings
}
