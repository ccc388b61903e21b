//! The credentials of one server, as its transport asks for them.

use std::sync::Arc;

use http::{HeaderName, HeaderValue};

use super::held::Standing;
use super::renewal::Renewal;
use super::store::AuthStore;
use super::{Target, challenge, has_authorization, login_remedy};
use crate::config::{AuthConfig, ServerConfig};
use crate::failure::{Code, Failure};
use crate::names::ServerName;
use crate::transport::{AuthProvider, BoxFuture, Challenge};

type Headers = Vec<(HeaderName, HeaderValue)>;

/// The credentials for a server, as its entry of the config wants them: by OAuth, unless the config sets an
/// `Authorization` header or says `auth: { type: none }`. Nothing is read or asked before the server's first request.
pub fn provider_for(config: &ServerConfig, store: &AuthStore) -> Arc<dyn AuthProvider> {
    let by_config = config.auth == AuthConfig::None || has_authorization(config);
    match Target::of(config) {
        Some(target) if !by_config => Arc::new(Oauth { renewal: Renewal::new(target, config, store) }),
        _ => Arc::new(Fixed { server: config.name.clone(), header: has_authorization(config) }),
    }
}

/// Nothing beyond the headers that the transport sends anyway.
#[derive(Debug)]
struct Fixed {
    server: ServerName,
    header: bool,
}

impl AuthProvider for Fixed {
    fn authorize<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Headers, Failure>> {
        Box::pin(async { Ok(Headers::new()) })
    }

    fn challenged<'a>(&'a self, challenge: &'a Challenge) -> BoxFuture<'a, Result<(), Failure>> {
        let refused = refused(&self.server, challenge);
        let remedy = match self.header {
            true => "Correct the `Authorization` header in the config, or remove it to log in",
            false => {
                "Set the headers that it needs in the config, or remove `auth: { type: none }` to log in"
            }
        };
        Box::pin(async move { Err(refused.remedy(remedy)) })
    }
}

/// By OAuth. Without a login nothing is sent: many servers want none.
#[derive(Debug)]
struct Oauth {
    renewal: Arc<Renewal>,
}

impl AuthProvider for Oauth {
    fn authorize<'a>(&'a self, url: &'a str) -> BoxFuture<'a, Result<Headers, Failure>> {
        Box::pin(async move {
            if !self.renewal.is_for(url) {
                return Ok(Headers::new());
            }
            let header = match self.renewal.held().standing()? {
                Standing::Nothing => None,
                Standing::Good(header) => Some(header),
                Standing::Stale(rest) => match (self.renewal.freshen().await, rest) {
                    (Ok(()), _) => self.renewal.held().header(),
                    (Err(failure), None) => return Err(failure),
                    (Err(failure), Some(_)) if failure.code == Code::AuthNeedsLogin => return Err(failure),
                    (Err(failure), Some(header)) => {
                        tracing::warn!(%failure, "the login could not be renewed yet");
                        Some(header)
                    }
                },
                Standing::Over => return Err(self.renewal.needs_login("the login has ended")),
            };
            Ok(header.into_iter().map(|header| (http::header::AUTHORIZATION, header)).collect())
        })
    }

    fn challenged<'a>(&'a self, challenge: &'a Challenge) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            let renewal = &self.renewal;
            if !renewal.is_for(&challenge.url) {
                return Err(refused(renewal.server(), challenge));
            }
            // Somebody else may have logged in, or renewed the login, since the request was made.
            let current = match renewal.held().standing()? {
                Standing::Good(header) => Some(header),
                _ => renewal.held().header(),
            };
            if current.is_some() && current != challenge.sent {
                return Ok(());
            }
            let bearer = challenge::bearer(&challenge.www_authenticate);
            match (challenge.status, bearer.error.as_deref()) {
                (401, _) => renewal.unauthorized(current.as_ref(), bearer.asked).await,
                (403, Some("insufficient_scope")) => renewal.step_up(current.as_ref(), bearer.asked).await,
                _ => Err(refused(renewal.server(), challenge)),
            }
        })
    }
}

fn refused(server: &ServerName, challenge: &Challenge) -> Failure {
    let cause = format!("the server refused our credentials (HTTP {})", challenge.status);
    Failure::new(Code::AuthRefused, cause).of(server)
}

/// A failure that a login by a person mends.
pub(super) fn needs_login(server: &ServerName, cause: &str) -> Failure {
    Failure::new(Code::AuthNeedsLogin, cause).of(server).remedy(login_remedy(server, "Run"))
}
