//! What a transport brings that carries messages one by one.

use bytes::Bytes;

use super::Reader;
use crate::backend::link::{Addressee, Flown};
use crate::failure::{Code, Failure};
use crate::transport::{Fate, Inbound};

impl Reader {
    pub(super) fn inbound(&mut self, inbound: Inbound) {
        match inbound {
            Inbound::Message { text, about } => {
                self.about = about;
                if self.wants_login && about.is_some() {
                    self.note_login(None);
                }
                self.whole(one_line(text));
            }
            Inbound::Failed { id, failure, fate } => self.failed(id, failure, fate),
            Inbound::TooLong { about, ends: [head, tail], length } => {
                self.about = about;
                self.too_long([&head, &tail], length);
            }
        }
    }

    fn note_login(&mut self, failure: Option<Failure>) {
        self.wants_login = failure.is_some();
        self.backend.set_wants_login(failure);
    }

    /// The transport says that a request of ours gets no answer.
    fn failed(&mut self, id: u64, failure: Failure, fate: Fate) {
        if failure.code == Code::AuthNeedsLogin {
            self.note_login(Some(failure.clone()));
        }
        let addressee = match fate {
            Fate::SendAgain => self.backend.link.refused(self.generation, id),
            Fate::NotRun | Fate::Unknown => self.backend.link.landed(self.generation, id),
        };
        match addressee {
            Some(Addressee::Client(call, _)) => {
                let failure = match fate {
                    Fate::NotRun | Fate::SendAgain => not_run(&call, failure),
                    Fate::Unknown => Failure::new(
                        Code::CallOutcomeUnknown,
                        format!("the outcome of `{}` is unknown: {}", call.label, failure.cause),
                    )
                    .remedy("Look whether it took effect before you repeat it"),
                };
                self.backend.tally(|tallies| tallies.failures += 1);
                call.caller.fail(call.ticket, failure.of(self.backend.name()));
            }
            Some(Addressee::Own(sender)) => drop(sender.send(Err(failure.of(self.backend.name())))),
            None => self.backend.waits.notify_one(),
        }
    }
}

/// What the transport says of a call that did not run. What mends it is left as it is, if the transport knows.
fn not_run(call: &Flown, failure: Failure) -> Failure {
    let remedy = failure.remedy.unwrap_or_else(|| "It did not run; call again".to_owned());
    let cause = format!("`{}` did not run: {}", call.label, failure.cause);
    Failure { cause, remedy: Some(remedy), ..failure }
}

/// The message without line ends: no string in it can hold one, so a space means the same, and on pipes a message is a
/// line.
fn one_line(text: Bytes) -> Bytes {
    if memchr::memchr2(b'\n', b'\r', &text).is_none() {
        return text;
    }
    text.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }).collect()
}
