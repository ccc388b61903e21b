//! How long a transport waits for what.

use std::time::Duration;

/// How long a transport waits for what. Callers have clocks of their own for calls; these here find connections that
/// are dead and servers that play dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For a connection, with the look-up of its name and TLS.
    pub connect: Duration,
    /// For the head of an answer that needs no work: to a notification, an answer of ours, a stream to listen on.
    pub head: Duration,
    /// For the head of the answer to a request. A server that answers in JSON sends it only when the work is done,
    /// so this is longer than any call may take: whoever calls gives up sooner and cancels, and this only keeps a
    /// forgotten request from waiting for ever. Dead connections are found by probes of TCP and HTTP/2.
    pub answer: Duration,
    /// For the next byte of an event stream. Comments count, so servers that send them keep a stream open.
    pub quiet: Duration,
    /// For the next byte of any other body.
    pub body: Duration,
    /// For the goodbye to a server when a connection ends.
    pub goodbye: Duration,
    /// Before a stream that broke is opened again, if the server named no time. It doubles with every attempt that
    /// brought nothing, up to [`Patience::retry_most`].
    pub retry: Duration,
    /// The longest pause before a stream is opened again.
    pub retry_most: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            head: Duration::from_secs(30),
            answer: Duration::from_secs(60 * 60),
            quiet: Duration::from_secs(300),
            body: Duration::from_secs(30),
            goodbye: Duration::from_secs(1),
            retry: Duration::from_secs(1),
            retry_most: Duration::from_secs(60),
        }
    }
}

impl Patience {
    /// The same patience with a server whose calls may take this long: an event stream that waits for an answer may be
    /// as quiet as the call.
    pub fn for_calls_of(mut self, call: Duration, total: Duration) -> Self {
        self.quiet = self.quiet.max(call.saturating_add(Duration::from_secs(5)));
        self.answer = self.answer.max(total.saturating_add(Duration::from_secs(5)));
        self
    }

    /// How long to wait before attempt number `fruitless` (from zero) to open a stream again. Jitter keeps the clients
    /// of a server that was restarted from coming back all at once.
    pub(super) fn pause(&self, fruitless: u32) -> Duration {
        let doubled = self.retry.saturating_mul(1 << fruitless.min(16)).min(self.retry_most);
        doubled.mul_f64(0.75 + fastrand::f64() / 4.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_bound() {
        let patience = Patience::default();
        for (fruitless, most) in [(0, 1), (1, 2), (5, 32), (6, 60), (1000, 60)] {
            let pause = patience.pause(fruitless);
            let most = Duration::from_secs(most);
            assert!(pause <= most && pause >= most / 2, "{fruitless}: {pause:?}");
        }
    }
}
