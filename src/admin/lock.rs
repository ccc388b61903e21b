//! What requests must show at a door: the token of the config in force.

use std::sync::{Arc, Mutex, PoisonError};

use http::HeaderMap;

use super::desk::NAME;
use crate::config::{Config, Secret};
use crate::failure::{Code, Failure};
use crate::web::door::{Tokens, Unknown};

/// See the module.
pub(super) struct Lock(Mutex<Key>);

struct Key {
    token: Secret,
    tokens: Arc<Tokens>,
}

impl Lock {
    /// One that this token opens.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub(super) fn new(token: &Secret) -> Result<Self, Failure> {
        Ok(Self(Mutex::new(Key { token: token.clone(), tokens: Arc::new(tokens(token)?) })))
    }

    /// Whose token a request shows. A token that is another one in the config in force opens from the next request on, and the old one
    /// does not any more. A config without any token takes no lock away: that is for the next start.
    pub(super) fn admit(&self, config: &Config, headers: &HeaderMap) -> Result<Arc<str>, Unknown> {
        let tokens = {
            let mut key = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let wanted = config.admin.as_ref().ok().and_then(|admin| admin.token());
            if let Some(wanted) = wanted.filter(|wanted| **wanted != key.token)
                && let Ok(tokens) = tokens(wanted)
            {
                *key = Key { token: wanted.clone(), tokens: Arc::new(tokens) };
            }
            Arc::clone(&key.tokens)
        };
        tokens.bearer(headers)
    }
}

fn tokens(token: &Secret) -> Result<Tokens, Failure> {
    Tokens::new([(NAME, token)])
        .map_err(|_| Failure::new(Code::AdminListen, "the system gives no random numbers"))
}
