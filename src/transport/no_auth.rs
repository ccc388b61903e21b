//! The credentials of a server that has none but what the config says.

use http::{HeaderName, HeaderValue};

use super::{AuthProvider, BoxFuture, Challenge};
use crate::failure::{Code, Failure};

/// Adds nothing to a request and has no remedy for a refusal.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoAuth;

impl AuthProvider for NoAuth {
    fn authorize<'a>(
        &'a self,
        _url: &'a str,
    ) -> BoxFuture<'a, Result<Vec<(HeaderName, HeaderValue)>, Failure>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn challenged<'a>(&'a self, challenge: &'a Challenge) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async { Err(refused(challenge.status)) })
    }
}

/// The server wants other credentials than it got.
pub(super) fn refused(status: u16) -> Failure {
    let cause = match status {
        403 => "the server answered 403: the credentials do not permit this",
        _ => "the server answered 401: it wants credentials, or others",
    };
    Failure::new(Code::AuthRefused, cause).remedy("Check the token or header under `headers` of this server")
}
