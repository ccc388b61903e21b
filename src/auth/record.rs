//! What is kept of a login, so that it can be used and renewed after a restart without asking anybody again.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::config::Secret;

/// Everything that is kept about one server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// What the server asked for when it last refused us: the next login asks for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Asked>,
    /// The login, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<Login>,
}

/// What a refusal told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Where the server describes itself (RFC 9728).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_metadata: Option<String>,
    /// The scopes that the request needed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
}

/// A login with one authorization server for one resource. Nothing of it is ever used with another of either.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    /// The authorization server.
    pub issuer: String,
    /// The server, as tokens name it (RFC 8707).
    pub resource: String,
    /// How we came by the tokens.
    pub grant: Grant,
    /// Who we are to the authorization server.
    pub client: Client,
    /// Where tokens come from.
    pub token_endpoint: String,
    /// Where tokens are given back, if the authorization server takes them back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocation_endpoint: Option<String>,
    /// The scopes we asked for.
    #[serde(default)]
    pub requested: Vec<String>,
    /// What we were given. Without it the login is over, and only the registration is left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Tokens>,
}

/// How tokens are had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grant {
    /// A person agreed in a browser.
    AuthorizationCode,
    /// We asked on our own behalf.
    ClientCredentials,
}

/// Who we are to an authorization server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// The client id.
    pub id: String,
    /// The secret that the authorization server gave us. One from the config is not kept here.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_secret")]
    pub secret: Option<Secret>,
    /// How the client proves itself.
    pub method: ClientAuth,
    /// Where the id comes from.
    pub origin: ClientOrigin,
    /// The redirect address that the client was registered with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect_uri: Option<String>,
}

/// How a client proves itself at the token endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuth {
    /// Not at all: it only says its id.
    None,
    /// With its secret in the `Authorization` header.
    ClientSecretBasic,
    /// With its secret in the body.
    ClientSecretPost,
    /// With its signature.
    PrivateKeyJwt,
}

/// Where a client id comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientOrigin {
    /// The config.
    Configured,
    /// It is the address of a metadata document.
    MetadataDocument,
    /// The authorization server registered us (RFC 7591).
    Registered,
}

/// What an authorization server gave us.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    /// Goes to the server.
    #[serde(with = "secret")]
    pub access: Secret,
    /// Gets the next access token.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_secret")]
    pub refresh: Option<Secret>,
    /// When we got them, in seconds since 1970.
    pub obtained_at: u64,
    /// When the access token ends, in seconds since 1970, if that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<u64>,
    /// The scopes that were granted.
    #[serde(default)]
    pub scopes: Vec<String>,
}

/// No access token is used in its last minute, or in its last tenth if it lives shorter.
const LAST_MINUTE: u64 = 60;

impl Tokens {
    /// Whether the access token has ended.
    pub fn is_over(&self, now: u64) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }

    /// Whether the access token has ended or is about to.
    pub fn is_stale(&self, now: u64) -> bool {
        self.expires_at.is_some_and(|end| {
            let margin = (end.saturating_sub(self.obtained_at) / 10).min(LAST_MINUTE);
            end <= now.saturating_add(margin)
        })
    }
}

/// The time, in seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// What `scopes` has and what it lacks of `more`, in this order.
pub(super) fn union(scopes: &[String], more: &[String]) -> Vec<String> {
    let mut all = Vec::with_capacity(scopes.len() + more.len());
    for scope in scopes.iter().chain(more) {
        if !all.contains(scope) {
            all.push(scope.clone());
        }
    }
    all
}

/// The one place where secrets become text again: the file with mode 0600.
mod secret {
    use super::Secret;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(secret.expose())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
        String::deserialize(deserializer).map(Secret::new)
    }
}

mod optional_secret {
    use super::Secret;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(
        secret: &Option<Secret>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        secret.as_ref().map(Secret::expose).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Secret>, D::Error> {
        Ok(Option::<String>::deserialize(deserializer)?.map(Secret::new))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(obtained_at: u64, expires_at: Option<u64>) -> Tokens {
        Tokens { access: Secret::new("a"), refresh: None, obtained_at, expires_at, scopes: Vec::new() }
    }

    #[test]
    fn tokens_are_renewed_before_their_end() {
        let hour = tokens(1000, Some(4600));
        assert!(!hour.is_stale(4539) && hour.is_stale(4540) && !hour.is_over(4599) && hour.is_over(4600));
        let short = tokens(1000, Some(1030));
        assert!(!short.is_stale(1026) && short.is_stale(1027));
        assert!(!tokens(1000, None).is_stale(u64::MAX));
    }

    #[test]
    fn scopes_are_joined_without_doubles() {
        let of = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(union(&of("a b"), &of("b c c")), of("a b c"));
    }
}
