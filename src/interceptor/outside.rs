//! Those outside of this process: whatever the moment is, they are asked one question.

use std::fmt::Debug;
use std::time::Duration;

use bytes::Bytes;

use super::{BoxFuture, CallError, CallView, Error, Interceptor, Moment, Verdict};

/// See the module.
pub(super) trait Outside: Send + Sync + Debug {
    /// Puts the question, and reads the verdict.
    fn ask(&self, call: &CallView, moment: Moment) -> impl Future<Output = Result<Verdict, Error>> + Send;

    /// See [`Interceptor::warm_up`].
    fn warm_up(&self) -> Duration {
        Duration::ZERO
    }
}

impl<O: Outside> Interceptor for O {
    fn before<'a>(&'a self, call: &'a CallView) -> BoxFuture<'a, Result<Verdict, Error>> {
        Box::pin(self.ask(call, Moment::Before))
    }

    fn after<'a>(&'a self, call: &'a CallView, result: &'a Bytes) -> BoxFuture<'a, Result<Verdict, Error>> {
        Box::pin(self.ask(call, Moment::After(result.clone())))
    }

    fn error<'a>(
        &'a self,
        call: &'a CallView,
        error: &'a CallError,
    ) -> BoxFuture<'a, Result<Verdict, Error>> {
        Box::pin(self.ask(call, Moment::Error(error.clone())))
    }

    fn warm_up(&self) -> Duration {
        Outside::warm_up(self)
    }
}
