//! The token endpoint: asks for tokens, and gives them back (RFC 6749, RFC 7009).

use serde::Deserialize;

use super::http_client::{Answer, HttpClient};
use super::record::{ClientAuth, Login, Tokens, now};
use super::{Target, assertion, challenge};
use crate::config::{ClientProof, Secret};
use crate::failure::{Code, Failure};

/// A token that is said to live longer than this is asked for anew all the same, in seconds: a year.
const MAX_LIFE: u64 = 365 * 24 * 3600;

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker<'a> {
    pub(super) http: &'a HttpClient,
    pub(super) target: &'a Target,
    /// How the client proves itself, wherever that comes from.
    pub(super) proof: Option<&'a ClientProof>,
}

/// Why no tokens came.
#[derive(Clone, Debug)]
pub(super) enum Refusal {
    /// The authorization server does not want to know what we showed any more: only a new login helps.
    Over(Failure),
    /// It does not know us as a client any more: only a new registration helps.
    Unknown(Failure),
    /// Something else, which may pass.
    Trouble(Failure),
}

impl Refusal {
    pub(super) fn into_failure(self) -> Failure {
        match self {
            Self::Over(failure) | Self::Unknown(failure) | Self::Trouble(failure) => failure,
        }
    }
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    token_type: String,
    #[serde(default)]
    expires_in: Option<serde_json::Value>,
    refresh_token: Option<String>,
    scope: Option<String>,
}

#[derive(Deserialize)]
struct Refused {
    error: String,
    error_description: Option<String>,
}

impl Asker<'_> {
    /// Asks with these fields besides `resource` (RFC 8707) and the client's own. `fallback` is what was granted if the
    /// answer does not say it.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub(super) async fn ask(
        &self,
        login: &Login,
        fields: &[(&str, &str)],
        fallback: &[String],
    ) -> Result<Tokens, Refusal> {
        let what = "the token endpoint";
        let mut form = fields.to_vec();
        form.push(("resource", &login.resource));
        let answer = self.post(login, &login.token_endpoint, form, what).await.map_err(Refusal::Trouble)?;
        if !answer.status.is_success() {
            return Err(self.refused(&answer));
        }
        self.granted(&answer, fallback).map_err(Refusal::Trouble)
    }

    /// Gives a token back. `hint` says which kind it is.
    ///
    /// # Errors
    /// The authorization server did not take it.
    pub(super) async fn revoke(
        &self,
        login: &Login,
        endpoint: &str,
        token: &Secret,
        hint: &str,
    ) -> Result<(), Failure> {
        let form = vec![("token", token.expose()), ("token_type_hint", hint)];
        let answer = self.post(login, endpoint, form, "the revocation endpoint").await?;
        if answer.status.is_success() { Ok(()) } else { Err(self.refused(&answer).into_failure()) }
    }

    async fn post(
        &self,
        login: &Login,
        url: &str,
        mut form: Vec<(&str, &str)>,
        what: &str,
    ) -> Result<Answer, Failure> {
        let client = &login.client;
        let assertion;
        let mut basic = None;
        match (client.method, self.proof) {
            (ClientAuth::ClientSecretBasic, Some(ClientProof::Secret(secret))) => {
                basic = Some((client.id.as_str(), secret));
            }
            (ClientAuth::ClientSecretPost, Some(ClientProof::Secret(secret))) => {
                form.extend([("client_id", client.id.as_str()), ("client_secret", secret.expose())]);
            }
            // The assertion says which client it is of, so nothing else does.
            (ClientAuth::PrivateKeyJwt, Some(ClientProof::Key(key))) => {
                assertion = assertion::sign(key, &client.id, &login.issuer)
                    .map_err(|failure| failure.of(&self.target.server))?;
                form.push(("client_assertion_type", assertion::TYPE));
                form.push(("client_assertion", &assertion));
            }
            _ => form.push(("client_id", &client.id)),
        }
        let sent = self.http.post_form(self.target, url, &form, basic, what).await;
        sent.map_err(|failure| failure.of(&self.target.server))
    }

    /// Parse errors may quote a token, so they are not told.
    fn granted(&self, answer: &Answer, fallback: &[String]) -> Result<Tokens, Failure> {
        let unusable = |why: &str| {
            let cause = format!("the token endpoint gave an answer that cannot be used: {why}");
            Failure::new(Code::AuthFailed, cause).of(&self.target.server)
        };
        let granted: Granted =
            serde_json::from_slice(&answer.body).map_err(|_| unusable("it has no access token"))?;
        if !granted.token_type.eq_ignore_ascii_case("bearer") {
            return Err(unusable("it is not a bearer token"));
        }
        let is_sendable =
            |token: &str| !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_sendable(&granted.access_token) {
            return Err(unusable("its access token cannot stand in a header"));
        }
        let obtained_at = now();
        let life = granted.expires_in.as_ref().and_then(seconds);
        Ok(Tokens {
            access: Secret::new(granted.access_token),
            refresh: granted.refresh_token.filter(|token| !token.is_empty()).map(Secret::new),
            obtained_at,
            expires_at: life.map(|life| obtained_at + life.min(MAX_LIFE)),
            scopes: granted.scope.map_or_else(|| fallback.to_vec(), |scope| challenge::scopes(&scope)),
        })
    }

    fn refused(&self, answer: &Answer) -> Refusal {
        let refused: Option<Refused> = serde_json::from_slice(&answer.body).ok();
        let status = answer.status.as_u16();
        let said = match &refused {
            Some(Refused { error, error_description: Some(more) }) => {
                format!("`{}` ({})", brief(error), brief(more))
            }
            Some(Refused { error, .. }) => format!("`{}`", brief(error)),
            None => format!("HTTP {status}"),
        };
        let cause = format!("the authorization server refused: {said}");
        let failure = Failure::new(Code::AuthFailed, cause).of(&self.target.server);
        match refused.as_ref().map(|refused| refused.error.as_str()) {
            Some("invalid_grant") => Refusal::Over(failure),
            Some("invalid_client" | "unauthorized_client") => Refusal::Unknown(failure),
            _ => Refusal::Trouble(failure),
        }
    }
}

/// Some authorization servers write the number as a string.
fn seconds(value: &serde_json::Value) -> Option<u64> {
    let number = value.as_u64().or_else(|| value.as_f64().map(|number| number as u64));
    number.or_else(|| value.as_str()?.trim().parse().ok())
}

/// What a stranger says, for people: one short line.
pub(super) fn brief(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn lifetimes() {
        let seconds = |text: &str| super::seconds(&serde_json::from_str(text).unwrap());
        assert_eq!(seconds("3600"), Some(3600));
        assert_eq!(seconds("3600.0"), Some(3600));
        assert_eq!(seconds("\"3600\""), Some(3600));
        assert_eq!(seconds("null"), None);
        assert_eq!(seconds("\"soon\""), None);
    }
}
