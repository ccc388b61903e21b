//! An interceptor at an address: the question is posted as JSON, and the verdict is the answer.

use std::time::Duration;

use tokio::sync::Semaphore;

use super::outside::Outside;
use super::{CallView, Error, Moment, Rules, Verdict, words};
use crate::config::RemoteLaunch;
use crate::failure::Failure;
use crate::transport::Endpoint;

/// So many questions may be open at once; further ones wait.
const MAX_OPEN: usize = 64;

/// See the module.
#[derive(Debug)]
pub(super) struct Post {
    name: String,
    /// Why there is none, if its address or its headers cannot be used.
    endpoint: Result<Endpoint, Failure>,
    timeout: Duration,
    config: Option<String>,
    slots: Semaphore,
}

impl Post {
    pub(super) fn new(rules: &Rules, launch: &RemoteLaunch, config: Option<String>) -> Self {
        Self {
            name: rules.name.clone(),
            endpoint: Endpoint::new(launch),
            timeout: rules.timeout,
            config,
            slots: Semaphore::new(MAX_OPEN),
        }
    }
}

impl Outside for Post {
    async fn ask(&self, call: &CallView, moment: Moment) -> Result<Verdict, Error> {
        let endpoint = self.endpoint.as_ref().map_err(Failure::clone)?;
        let _slot = self.slots.acquire().await?;
        let question = words::question(&self.name, call, &moment, self.timeout, self.config.as_deref());
        let length = question.len();
        let answer = endpoint.post(question.into(), words::longest(length), self.timeout).await?;
        words::verdict(&answer, length, call, &moment)
    }

    /// It has a clock of its own, which should be the first to ring.
    fn warm_up(&self) -> Duration {
        Duration::from_secs(1)
    }
}
