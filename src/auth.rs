//! Who we are to the servers that want to know.
//!
//! In comes a server's entry of the config and the folder where logins are kept; out goes an
//! [`AuthProvider`](crate::transport::AuthProvider) that the server's transport asks before each request and tells of each
//! refusal. Behind it stands OAuth 2.1 as MCP 2026-07-28 ("Authorization") has it: discovery, registration, PKCE, renewal,
//! step-up, revocation. [`Attempt`] is the login by a person, which only `switchboard auth login` begins: while we serve, no
//! browser is ever opened, and whoever needs one gets a failure with the command to run. A login is bound to one server, one
//! resource and one authorization server. The room never sees what clients prove to us, so it cannot pass it on.
//! Credentials that come from elsewhere are a provider that is handed to [`Builder::auth`](crate::app::Builder::auth), as
//! `examples/custom_auth.rs` does; this room then has nothing to do with that server.
//!
//! The SDK has an `AuthorizationManager` too. It is not used here, because what we need most lies outside of it: it keeps
//! no client secret, so a registered client cannot renew anything after a restart; it needs the network before it can use
//! what it kept; it does not get new tokens by client credentials when the old ones end; it has no lock across processes of
//! its own and no revocation; and its parts (challenges, the guard, metadata) cannot be had without the whole. The protocol
//! itself is a handful of forms and JSON documents, which `reqwest` and `serde` carry.

mod assertion;
mod callback;
pub mod challenge;
mod discovery;
mod flow;
mod guard;
mod held;
mod http_client;
mod login;
mod pkce;
mod probe;
mod provider;
mod record;
mod registration;
mod renewal;
mod status;
mod store;
mod token;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};

pub use http_client::install_tls_provider;
pub use login::{Attempt, logout};
pub use provider::provider_for;
pub use status::{AuthStatus, LoginState, status};
pub use store::AuthStore;

use crate::config::{AuthConfig, ClientProof, Launch, RemoteKind, Secret, ServerConfig};
use crate::names::ServerName;
use guard::Guard;
use http_client::HttpClient;
use record::{ClientOrigin, Login};

/// The server that a login is for.
#[derive(Clone)]
struct Target {
    server: ServerName,
    /// Its address as `http` or `https`, also where it speaks WebSocket.
    url: Url,
    /// Its address in the config.
    written: String,
    kind: RemoteKind,
    ca: Option<PathBuf>,
}

/// An address may hold secrets in its query.
impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Target").field("server", &self.server).finish_non_exhaustive()
    }
}

impl Target {
    /// The server of this entry, if it is one that speaks HTTP over a network.
    fn of(config: &ServerConfig) -> Option<Self> {
        let Launch::Remote(remote) = &config.launch else { return None };
        let (scheme, rest) = remote.url.split_once("://")?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" | "ws" => "http",
            "https" | "wss" => "https",
            _ => return None,
        };
        let url = Url::parse(&format!("{scheme}://{rest}")).ok().filter(Url::has_host)?;
        let (written, ca) = (remote.url.clone(), remote.ca.clone());
        Some(Self { server: config.name.clone(), url, written, kind: remote.kind, ca })
    }

    /// What the login is kept under.
    fn shelf_key(&self) -> &str {
        &self.written
    }

    /// The server as tokens name it, unless it says so itself (MCP 2026-07-28, "Canonical Server URI"). Its query is not
    /// part of that, and may be secret.
    fn resource(&self) -> String {
        let path = self.url.path();
        let path = if path == "/" { "" } else { path };
        format!("{}{path}", self.url.origin().ascii_serialization())
    }

    /// The headers that the config sets, as far as they are headers.
    fn headers(&self, config: &ServerConfig) -> Vec<(HeaderName, HeaderValue)> {
        let Launch::Remote(remote) = &config.launch else { return Vec::new() };
        let header = |(name, value): &(String, Secret)| {
            Some((name.parse().ok()?, HeaderValue::from_str(value.expose()).ok()?))
        };
        remote.headers.iter().filter_map(header).collect()
    }
}

/// The client for the logins at a server; `issuer` is the authorization server that is known to be meant.
fn http_client(target: &Target, issuer: Option<&str>) -> HttpClient {
    let issuer = issuer.and_then(|issuer| Url::parse(issuer).ok());
    HttpClient::new(Guard::new(&target.url, issuer.as_ref()))
}

/// Whether the config itself says how to authorize.
fn has_authorization(config: &ServerConfig) -> bool {
    let Launch::Remote(remote) = &config.launch else { return false };
    remote.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(AUTHORIZATION.as_str()))
}

/// How the client of a login proves itself: by what it was given, or by what the config says.
fn proof_of(config: &ServerConfig, login: &Login) -> Option<ClientProof> {
    match (&config.auth, login.client.origin) {
        (AuthConfig::ClientCredentials(own), ClientOrigin::Configured) => Some(own.proof.clone()),
        (AuthConfig::Oauth(oauth), ClientOrigin::Configured) => {
            oauth.client.as_ref()?.secret.clone().map(ClientProof::Secret)
        }
        _ => login.client.secret.clone().map(ClientProof::Secret),
    }
}

/// A command about a server's login, as one can paste it into a shell.
fn command(what: &str, server: &ServerName) -> String {
    let name = server.as_str();
    let before = if name.starts_with('-') { "-- " } else { "" };
    format!("switchboard auth {what} {before}{}", quoted(name))
}

/// A word for a shell. Names of permissions come from strangers, and people paste what we print.
fn quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "._:/-".contains(letter);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// "Run `switchboard auth login NAME`", with the first word as it is given.
fn login_remedy(server: &ServerName, run: &str) -> String {
    format!("{run} `{}`", command("login", server))
}

#[cfg(test)]
impl Target {
    fn test(url: &str) -> Self {
        Self {
            server: "test".into(),
            url: Url::parse(url).unwrap(),
            written: url.to_owned(),
            kind: RemoteKind::Auto,
            ca: None,
        }
    }
}

#[cfg(test)]
mod door {
    use super::*;
    use crate::config::RemoteLaunch;

    #[test]
    fn commands_can_be_pasted() {
        for (name, expected) in [
            ("files", "switchboard auth login files"),
            ("my server", "switchboard auth login 'my server'"),
            ("it's; rm", r"switchboard auth login 'it'\''s; rm'"),
            ("-x", "switchboard auth login -- -x"),
        ] {
            assert_eq!(command("login", &name.into()), expected);
        }
    }

    #[test]
    fn who_can_be_logged_in_to() {
        let resource = |url: &str| {
            let mut config = ServerConfig::stdio("a", "x", &[]);
            let url = url.to_owned();
            let remote = RemoteLaunch { url, kind: RemoteKind::Auto, headers: Vec::new(), ca: None };
            config.launch = Launch::Remote(remote);
            Target::of(&config).map(|target| target.resource())
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(resource("https://A.example/mcp?key=secret"), some("https://a.example/mcp"));
        assert_eq!(resource("https://a.example"), some("https://a.example"));
        assert_eq!(resource("HTTPS://a.example:443/"), some("https://a.example"));
        assert_eq!(resource("wss://a.example:8443/x/"), some("https://a.example:8443/x/"));
        for url in ["unix:///x", "http+unix://x/y", "https://", "nonsense"] {
            assert_eq!(resource(url), None, "{url}");
        }
        assert!(Target::of(&ServerConfig::stdio("a", "x", &[])).is_none());
    }
}
