//! Which addresses a stranger may send us to.
//!
//! Discovery follows addresses that a server and its authorization server name. Without care either could make us talk to
//! this machine, to the network behind it, or to the metadata service of a cloud. So such an address must be `https` and
//! public, unless the config itself named its host, or the server's own address is of the same class. Names are judged by
//! what they resolve to, at the moment of connecting; the spelling of a number (`0x7f.1`, `[::ffff:127.0.0.1]`) makes no
//! difference.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// The environment variables that name proxies. Their hosts are our user's choice.
const PROXIES: [&str; 6] =
    ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];

/// What an address is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Public,
    Loopback,
    Private,
    LinkLocal,
    /// Nothing that a server could have.
    Reserved,
}

/// Decides for one server.
#[derive(Clone, Debug)]
pub(super) struct Guard {
    /// The server's address: everything at its origin is allowed.
    server: Url,
    /// Hosts that the config or the environment names.
    trusted: Arc<[String]>,
    /// The class that is allowed beside the public one, if the server's own address is of it.
    class: Option<Class>,
}

/// A name resolved to addresses that are not allowed.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` resolves to an address of this machine or of a private network")]
pub(super) struct Forbidden(String);

impl Guard {
    /// A guard for the server at this address, and the authorization server that the config names for it.
    pub(super) fn new(server: &Url, issuer: Option<&Url>) -> Self {
        let class = host_ip(server).map(class_of).or_else(|| is_localhost(server).then_some(Class::Loopback));
        let proxies = PROXIES.iter().filter_map(|name| std::env::var(name).ok());
        let proxies = proxies.filter_map(|proxy| Url::parse(&proxy).ok());
        let own = [Some(server.clone()), issuer.cloned()];
        let trusted = own.into_iter().flatten().chain(proxies).filter_map(|url| host(&url)).collect();
        Self { server: server.clone(), trusted, class: class.filter(|class| *class != Class::Public) }
    }

    /// Whether this address may be asked, as far as it can be told without resolving its name.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn check(&self, url: &Url) -> Result<(), String> {
        if url.origin() == self.server.origin() {
            return Ok(());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("it contains credentials".to_owned());
        }
        let Some(name) = host(url) else { return Err("it has no host".to_owned()) };
        let trusted = self.trusted.contains(&name);
        let class = host_ip(url).map(class_of).or_else(|| is_localhost(url).then_some(Class::Loopback));
        let near = class == Some(Class::Loopback);
        match class {
            Some(class) if !trusted && !self.allows(class) => {
                return Err("it is an address of this machine or of a private network".to_owned());
            }
            _ => {}
        }
        match url.scheme() {
            "https" => Ok(()),
            "http" if near => Ok(()),
            scheme => Err(format!("it begins with `{scheme}://`; only `https://` is safe")),
        }
    }

    fn allows(&self, class: Class) -> bool {
        class == Class::Public || (self.class == Some(class) && class != Class::Reserved)
    }
}

/// Resolves names for the HTTP client and leaves out what is not allowed.
impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        let host = name.as_str().trim_end_matches('.').to_ascii_lowercase();
        Box::pin(async move {
            let asked = host.clone();
            let found = tokio::task::spawn_blocking(move || (asked.as_str(), 0).to_socket_addrs()).await??;
            let all: Vec<SocketAddr> = found.collect();
            if guard.trusted.contains(&host) {
                return Ok(Box::new(all.into_iter()) as Addrs);
            }
            let allowed: Vec<SocketAddr> =
                all.into_iter().filter(|address| guard.allows(class_of(address.ip()))).collect();
            if allowed.is_empty() {
                return Err(Forbidden(host).into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// The host in one spelling.
fn host(url: &Url) -> Option<String> {
    let host = url.host_str()?.trim_end_matches('.').to_ascii_lowercase();
    (!host.is_empty()).then_some(host)
}

/// The address that a host is written as. The parser has turned every spelling of an IPv4 address into the usual one.
fn host_ip(url: &Url) -> Option<IpAddr> {
    host(url)?.trim_matches(['[', ']']).parse().ok()
}

fn is_localhost(url: &Url) -> bool {
    host(url).is_some_and(|host| host == "localhost" || host.ends_with(".localhost"))
}

fn class_of(address: IpAddr) -> Class {
    match address {
        IpAddr::V4(address) => class_of_v4(address),
        IpAddr::V6(address) => embedded(address).map_or_else(|| class_of_v6(address), class_of_v4),
    }
}

fn class_of_v4(address: Ipv4Addr) -> Class {
    match address.octets() {
        [127, ..] => Class::Loopback,
        [169, 254, ..] => Class::LinkLocal,
        [10, ..] | [192, 168, ..] | [172, 16..=31, ..] | [100, 64..=127, ..] | [198, 18 | 19, ..] => {
            Class::Private
        }
        [0, ..] | [192, 0, 0 | 2, _] | [198, 51, 100, _] | [203, 0, 113, _] | [224..=255, ..] => {
            Class::Reserved
        }
        _ => Class::Public,
    }
}

fn class_of_v6(address: Ipv6Addr) -> Class {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => Class::Loopback,
        [first, ..] if first & 0xffc0 == 0xfe80 => Class::LinkLocal,
        [first, ..] if first & 0xfe00 == 0xfc00 || first & 0xffc0 == 0xfec0 => Class::Private,
        // What is handed out to the world begins with the bits 001.
        [0x2001, 0xdb8, ..] => Class::Reserved,
        [first, ..] if first & 0xe000 == 0x2000 => Class::Public,
        _ => Class::Reserved,
    }
}

/// The IPv4 address inside of an IPv6 one that only stands for it: mapped, compatible, NAT64, 6to4.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0xffff | 0, high, low] => Some(v4(high, low)),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(v4(high, low)),
        [0x2002, high, low, ..] => Some(v4(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn allowed(server: &str, address: &str) -> bool {
        Guard::new(&url(server), None).check(&url(address)).is_ok()
    }

    #[test]
    fn a_public_server_sends_us_nowhere_inside() {
        // faults.md K2, and further spellings of the same.
        for address in [
            "http://169.254.169.254/latest",
            "https://169.254.169.254/latest",
            "https://[::ffff:169.254.169.254]/",
            "http://[::ffff:127.0.0.1]/",
            "https://[::ffff:127.0.0.1]/",
            "https://[::ffff:7f00:1]/",
            "https://[::127.0.0.1]/",
            "https://[64:ff9b::7f00:1]/",
            "https://[2002:7f00:1::]/",
            "https://0x7f.1/",
            "http://0x7f.1/",
            "https://2130706433/",
            "https://017700000001/",
            "https://127.1/",
            "https://0/",
            "https://0.0.0.0/",
            "https://localhost/",
            "https://localhost./",
            "https://LOCALHOST/",
            "https://a.localhost/",
            "https://[::1]/",
            "https://[::]/",
            "https://10.0.0.1/",
            "https://172.16.0.1/",
            "https://192.168.1.1/",
            "https://100.64.0.1/",
            "https://[fd00::1]/",
            "https://[fe80::1]/",
            "https://224.0.0.1/",
            "https://255.255.255.255/",
            "http://localhost.evil/",
            "http://login.example/",
            "https://me:pw@login.example/",
            "ftp://login.example/",
            "file:///etc/passwd",
            "data:text/plain,x",
        ] {
            assert!(!allowed("https://mcp.example/mcp", address), "{address}");
        }
        for address in ["https://login.example/", "https://93.184.216.34/", "https://[2606:4700::1]/"] {
            assert!(allowed("https://mcp.example/mcp", address), "{address}");
        }
    }

    #[test]
    fn the_servers_own_class_is_open() {
        assert!(allowed("http://localhost:3000/mcp", "http://127.0.0.1:9000/x"));
        assert!(allowed("http://127.0.0.1:3000/mcp", "http://[::1]:9000/x"));
        assert!(!allowed("http://127.0.0.1:3000/mcp", "http://10.0.0.1/x"));
        assert!(!allowed("http://127.0.0.1:3000/mcp", "https://169.254.169.254/x"));
        assert!(allowed("https://10.0.0.1/mcp", "https://10.9.9.9/x"));
        assert!(!allowed("https://10.0.0.1/mcp", "http://10.9.9.9/x"));
        assert!(!allowed("https://10.0.0.1/mcp", "https://127.0.0.1/x"));
        assert!(!allowed("https://0.0.0.0/mcp", "https://0.0.0.1/x"));
        // Where the server itself is spoken to without TLS, its own metadata cannot be had otherwise.
        assert!(allowed("http://mcp:3000/mcp", "http://mcp:3000/.well-known/oauth-protected-resource"));
        assert!(!allowed("http://mcp:3000/mcp", "http://mcp:3001/x"));
    }

    #[test]
    fn a_configured_authorization_server_may_be_private() {
        let issuer = url("https://10.0.0.9/realm");
        let guard = Guard::new(&url("https://mcp.example/mcp"), Some(&issuer));
        assert!(guard.check(&url("https://10.0.0.9/.well-known/x")).is_ok());
        assert!(guard.check(&url("https://10.0.0.8/")).is_err());
        assert!(guard.check(&url("http://10.0.0.9/")).is_err());
    }

    #[tokio::test]
    async fn names_are_judged_by_what_they_resolve_to() {
        let resolve = async |server: &str| {
            let name: Name = "localhost".parse().unwrap();
            Guard::new(&url(server), None).resolve(name).await.map(Iterator::count)
        };
        assert!(resolve("https://mcp.example/mcp").await.is_err_and(|error| error.is::<Forbidden>()));
        assert!(resolve("http://127.0.0.1:1/mcp").await.unwrap() > 0);
        assert!(resolve("http://localhost:1/mcp").await.unwrap() > 0);
    }
}
