//! How a server's login stands, for people. Nothing secret is in it.

use std::path::PathBuf;
use std::time::Duration;

use super::record::{ClientAuth, Grant, Login, now};
use super::store::AuthStore;
use super::{Target, has_authorization};
use crate::config::{AuthConfig, ClientProof, ServerConfig};
use crate::failure::Failure;
use crate::names::ServerName;

/// How we prove to a server who we are, and how that stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthStatus {
    /// In a word: `none`, `header`, `oauth`, `client_credentials`.
    pub kind: &'static str,
    /// How it stands.
    pub state: LoginState,
    /// The authorization server.
    pub issuer: Option<String>,
    /// The scopes that were granted, or are asked for if nothing was granted yet.
    pub scopes: Vec<String>,
    /// How long the access token is still good, if that is known.
    pub expires_in: Option<Duration>,
    /// Whether it is renewed without a person.
    pub renewable: bool,
    /// Where the login is kept.
    pub stored: Option<PathBuf>,
}

/// How a login stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginState {
    /// There is nothing to log in to: the config says all, or the server is not reached over HTTP.
    NotNeeded,
    /// There is no login, and the server has not asked for one yet.
    Never,
    /// There is a login.
    LoggedIn,
    /// A person has to log in: the server asked for it, or the login has ended.
    NeedsLogin,
}

impl LoginState {
    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::NotNeeded => "not-needed",
            Self::Never => "no-login",
            Self::LoggedIn => "logged-in",
            Self::NeedsLogin => "needs-login",
        }
    }
}

impl AuthStatus {
    /// The command that logs in.
    pub fn command(&self, server: &ServerName) -> String {
        super::command("login", server)
    }
}

/// How the login at a server stands, by what is kept of it. Nobody is asked.
///
/// # Errors
/// What is kept cannot be read.
pub fn status(config: &ServerConfig, store: &AuthStore) -> Result<AuthStatus, Failure> {
    let kind = match &config.auth {
        _ if has_authorization(config) => "header",
        AuthConfig::None => "none",
        AuthConfig::Oauth(_) => "oauth",
        AuthConfig::ClientCredentials(_) => "client_credentials",
    };
    let mut status = AuthStatus {
        kind,
        state: LoginState::NotNeeded,
        issuer: None,
        scopes: Vec::new(),
        expires_in: None,
        renewable: false,
        stored: None,
    };
    let Some(target) = Target::of(config) else { return Ok(AuthStatus { kind: "none", ..status }) };
    if matches!(kind, "header" | "none") {
        return Ok(status);
    }
    let own = matches!(config.auth, AuthConfig::ClientCredentials(_));
    let shelf = store.shelf(&target.server, target.shelf_key());
    let record = shelf.load()?;
    status.renewable = own;
    let Some(login) = record.login.filter(|login| fits(config, login)) else {
        status.scopes = record.asked.iter().flat_map(|asked| asked.scopes.clone()).collect();
        status.state = match record.asked {
            _ if own => LoginState::NotNeeded,
            Some(_) => LoginState::NeedsLogin,
            None => LoginState::Never,
        };
        return Ok(status);
    };
    status.state = LoginState::NeedsLogin;
    status.stored = shelf.path().map(PathBuf::from);
    status.scopes.clone_from(&login.requested);
    if let Some(tokens) = &login.tokens {
        let left = tokens.expires_at.map(|end| Duration::from_secs(end.saturating_sub(now())));
        status.renewable |= tokens.refresh.is_some();
        status.expires_in = left;
        status.scopes.clone_from(&tokens.scopes);
        if !tokens.is_over(now()) || status.renewable {
            status.state = LoginState::LoggedIn;
        }
    } else if own {
        status.state = LoginState::LoggedIn;
    }
    // Since this login was made or renewed, the server has refused it or asked for more than it has.
    if record.asked.is_some() && !own {
        status.state = LoginState::NeedsLogin;
    }
    status.issuer = Some(login.issuer);
    Ok(status)
}

/// Whether a login is the one that the config wants.
pub(super) fn fits(config: &ServerConfig, login: &Login) -> bool {
    let (grant, issuer, client) = match &config.auth {
        AuthConfig::Oauth(oauth) => {
            let client = oauth.client.as_ref().map(|client| client.id.as_str());
            (Grant::AuthorizationCode, oauth.issuer.as_deref(), client)
        }
        AuthConfig::ClientCredentials(own) => {
            (Grant::ClientCredentials, own.issuer.as_deref(), Some(own.client_id.as_str()))
        }
        AuthConfig::None => return false,
    };
    let configured = login.client.origin == super::ClientOrigin::Configured;
    let same_client = match client {
        Some(id) => configured && login.client.id == id,
        // A client that was configured once and is no more has lost its secret.
        None => !configured,
    };
    let has_key = matches!(&config.auth, AuthConfig::ClientCredentials(own) if matches!(own.proof, ClientProof::Key(_)));
    let same_proof = has_key == (login.client.method == ClientAuth::PrivateKeyJwt);
    login.grant == grant && same_client && same_proof && issuer.is_none_or(|issuer| issuer == login.issuer)
}
