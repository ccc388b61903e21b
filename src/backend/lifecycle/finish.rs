//! The end of a run: everybody who waits learns of it, and nothing of the server's process or connection is left.

use std::sync::atomic::Ordering;

use super::run::Run;
use super::{Lifecycle, RunEnd, shutdown_ordered};
use crate::backend::link::{Lost, Past};
use crate::backend::{lock, show_duration};
use crate::failure::{Code, Failure};
use crate::supervisor::Ending;

impl Lifecycle {
    /// Answers what was in flight, ends the connection and, if there is one, the process and everything below it.
    pub(super) async fn finish(&mut self, run: Run, end: RunEnd) -> RunEnd {
        let remains = self.backend.link.detach();
        self.backend.is_stale.store(false, Ordering::Relaxed);
        self.backend.set_wants_login(None);
        for lost in remains.lost {
            self.fail_lost(lost, &end);
        }
        for (key, caller) in remains.asks {
            let why = "the server that asked has ended";
            match caller {
                Some(caller) => caller.withdraw(&key, why),
                None => self.backend.audience.withdraw(&key, why),
            }
        }
        // They were never sent, so they may just as well wait for the next run.
        let unlisted = std::mem::take(&mut *lock(&self.backend.after_listing));
        for call in remains.held {
            self.backend.call_again(call, Past::default());
        }
        for (call, past) in unlisted {
            self.backend.call_again(call, past);
        }
        run.outbox.close();
        let mut shutdown = self.shutdown.clone();
        let ending = match &end {
            RunEnd::Shutdown => shutdown.borrow_and_update().unwrap_or(Ending::SHUTDOWN),
            RunEnd::Rests => Ending::RELOAD,
            RunEnd::Fell(failure) => match failure.code {
                Code::ProcessWedged | Code::ProcessExited | Code::ProcessExitedEarly | Code::NetLost => {
                    Ending::NOW
                }
                _ => Ending::SHUTDOWN,
            },
        };
        let is_shutdown = matches!(end, RunEnd::Shutdown);
        let hurry = async {
            // A graceful end that meets the shutdown has to hurry like the others; so has one that was told to end in peace.
            if is_shutdown && shutdown.changed().await.is_err() {
                return std::future::pending().await;
            }
            let ending = shutdown_ordered(&mut shutdown).await;
            tokio::time::sleep(ending.kill_after).await;
        };
        tokio::select! {
            () = run.peer.end(ending) => {}
            () = hurry => {}
        }
        run.reader.abort();
        run.writer.abort();
        end
    }

    fn fail_lost(&self, lost: Lost, end: &RunEnd) {
        self.backend.tally(|tallies| tallies.failures += 1);
        let farewell = self.backend.farewell();
        let (why, code) = match end {
            RunEnd::Fell(failure) => (failure.cause.as_str(), failure.code),
            RunEnd::Rests => ("the connection was ended", Code::ProcessExited),
            RunEnd::Shutdown => (farewell.cause.as_str(), farewell.code),
        };
        let Lost { ticket, caller, label, after, was_written } = lost;
        let after = show_duration(after);
        let failure = if !was_written {
            Failure::new(Code::CallUnavailable, format!("`{label}` was not sent: {why}"))
                .remedy("It did not run; call again")
                .not_run()
        } else if code == Code::CallShutdown {
            Failure::new(code, format!("`{label}` had been running for {after}: {why}"))
        } else {
            let cause = format!("the outcome of `{label}` is unknown: {after} after it was sent, {why}");
            Failure::new(Code::CallOutcomeUnknown, cause)
                .remedy("Look whether it took effect before you repeat it")
        };
        caller.fail(ticket, failure.of(self.backend.name()));
    }
}
