//! One run of the server, under the lock of the table.

use std::sync::Arc;

use tokio::time::Instant;

use super::{Answer, Flight, Flown, Lost, OUTBOX_LIMIT, Owner, Past, Run, Submitted, Whose};
use crate::backend::compose;
use crate::backend::gate::Held;
use crate::call::{Call, CallerId, InFlight, Ticket, TokenPlace};
use crate::effect::Ran;
use crate::failure::{Code, Failure};
use crate::protocol::Method;
use crate::wire::{Body, Id};

impl Run {
    pub(super) fn fly(&mut self, owner: Owner, now: Instant) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.own += usize::from(matches!(owner, Owner::Own(_)));
        let position = self.outbox.pushed();
        self.flights
            .insert(id, Flight { owner, sent: now, alive: now, position, rests: false, is_check: false });
        id
    }

    /// Sends a request of our own whose answer does not matter.
    pub(super) fn tell(&mut self, method: &str, params: &[u8]) {
        let (sender, _) = tokio::sync::oneshot::channel();
        let id = self.fly(Owner::Own(sender), Instant::now());
        self.outbox.push(|line| compose::own_request(line, id, method, Some(params)));
    }

    /// Sends a call, or lets it wait for those that it must not meet.
    pub(super) fn submit(&mut self, mut call: Call, past: Past, now: Instant) -> Submitted {
        if self.words.to.is_modern()
            && matches!(
                call.method,
                Method::Subscribe | Method::Unsubscribe | Method::SetLevel | Method::Ping
            )
        {
            return Submitted::Ours(Box::new(call));
        }
        if !self.words.to.is_modern()
            && let Some(round) = &past.round
        {
            // The server came back as one that asks in other ways: it gets the call as it first was.
            call = round.first().clone();
        }
        if !is_about_task(&call)
            && let Err(party) = self.gate.enter(&*call.caller)
        {
            self.gate.hold(party, call);
            return Submitted::Sent;
        }
        self.send(call, past, now)
    }

    pub(super) fn send(&mut self, call: Call, past: Past, now: Instant) -> Submitted {
        let relay_progress = matches!(call.token, TokenPlace::Client(_));
        let id = self.next_id;
        self.next_id += 1;
        self.lower_level(id, &call);
        let position = self.outbox.pushed();
        let is_task = self.words.makes_task(&call);
        let rests = is_about_task(&call);
        let words = self.words.params(&call, id);
        if self.outbox.try_push(|line| compose::request(line, id, &call, words.as_ref())).is_err() {
            let failure = Failure::new(
                Code::CallBusy,
                format!("{} MiB wait for `{}` to read them", OUTBOX_LIMIT >> 20, self.server),
            )
            .remedy("Call again later; if it stays so, the server does not read its input");
            if !is_about_task(&call) {
                self.gate.leave();
            }
            self.restore_level(id);
            return Submitted::Refused(Box::new(call), failure.of(&self.server).ran(past.ran()));
        }
        let whole = (self.keeps_calls || is_task).then(|| Box::new(call.clone()));
        let Call { ticket, caller, label, method, .. } = call;
        let progress = Flown::NO_PROGRESS;
        let owner = Owner::Client(Flown {
            ticket,
            caller,
            label,
            method,
            whole,
            past,
            is_task,
            relay_progress,
            progress,
        });
        self.flights.insert(id, Flight { owner, sent: now, alive: now, position, rests, is_check: false });
        Submitted::Sent
    }

    pub(super) fn id_of(&self, caller: CallerId, ticket: Ticket) -> Option<u64> {
        let is_it = |flight: &Flight| matches!(&flight.owner, Owner::Client(call) if call.ticket == ticket && call.caller.id() == caller);
        self.flights.iter().find(|(_, flight)| is_it(flight)).map(|(id, _)| *id)
    }

    /// Takes a flight out, and lets in who waited for that.
    #[inline]
    pub(super) fn take(&mut self, id: u64) -> Option<Flight> {
        let flight = self.flights.remove(&id)?;
        match flight.owner {
            Owner::Own(_) => self.own -= 1,
            Owner::Client(_) => self.restore_level(id),
        }
        if matches!(flight.owner, Owner::Client(_)) && !flight.rests {
            self.gate.leave();
            self.admit();
        }
        Some(flight)
    }

    pub(super) fn admit(&mut self) {
        while let Some(held) = self.gate.next() {
            match held {
                Held::Call(call) => {
                    if let Submitted::Refused(call, failure) =
                        self.send(*call, Past::default(), Instant::now())
                    {
                        call.caller.fail(call.ticket, failure);
                    }
                }
                Held::Answer { flight, answer } => match self.flights.get_mut(&flight) {
                    Some(flight) if flight.rests => {
                        flight.rests = false;
                        self.send_answer(&answer);
                    }
                    // Another answer has woken the call already, or the call is over.
                    Some(_) => {
                        self.gate.leave();
                        self.send_answer(&answer);
                    }
                    // The call is over, but its server may still wait for the answer.
                    None => {
                        self.gate.leave();
                        self.send_answer(&answer);
                    }
                },
            }
        }
    }

    pub(super) fn caller_of(&self, flight: u64) -> Option<InFlight> {
        match &self.flights.get(&flight)?.owner {
            Owner::Client(call) => Some((call.ticket, Arc::clone(&call.caller))),
            Owner::Own(_) => None,
        }
    }

    /// Who must be meant when the server does not say so: the only caller at work, else the only one who rests.
    pub(super) fn only_caller(&self) -> Whose {
        let only = |rests: bool| {
            let mut found = Whose::Nobodys;
            for (id, flight) in self.flights.iter().filter(|(_, flight)| flight.rests == rests) {
                let Owner::Client(call) = &flight.owner else { continue };
                match &found {
                    Whose::Nobodys => found = Whose::Ones(*id, call.ticket, Arc::clone(&call.caller)),
                    Whose::Ones(_, _, caller) if caller.id() == call.caller.id() => {}
                    Whose::Ones(..) | Whose::Unclear => return Whose::Unclear,
                }
            }
            found
        };
        match only(false) {
            Whose::Nobodys => only(true),
            found => found,
        }
    }

    pub(super) fn close_ask(&mut self, id: &Id) -> Option<Option<u64>> {
        let place = self.asks.iter().position(|open| open.id == *id)?;
        Some(self.asks.swap_remove(place).whose)
    }

    pub(super) fn rest(&mut self, flight: u64) {
        if !self.lets_rest {
            return;
        }
        if let Some(flight) = self.flights.get_mut(&flight).filter(|flight| !flight.rests) {
            flight.rests = true;
            self.gate.leave();
            self.admit();
        }
    }

    pub(super) fn answer_in_turn(&mut self, flight: u64, answer: Answer) {
        let rests = self.flights.get(&flight).is_some_and(|flight| flight.rests);
        let caller = self.caller_of(flight).map(|(_, caller)| caller);
        let answer = match caller.filter(|_| rests) {
            Some(caller) => self.gate.return_with(&*caller, flight, answer),
            None => Some(answer),
        };
        if let Some(answer) = answer {
            if let Some(flight) = self.flights.get_mut(&flight) {
                flight.rests = false;
            }
            self.send_answer(&answer);
        }
    }

    pub(super) fn send_answer(&mut self, answer: &Answer) {
        if self.close_ask(&answer.id).is_none() {
            return;
        }
        let (member, span) = match answer.body {
            Body::Result(span) => ("result", span),
            Body::Error(span) => ("error", span),
        };
        let Answer { id, text, .. } = answer;
        self.outbox.push(|line| compose::answer(line, id.as_bytes(), member, text, span));
    }

    pub(super) fn cancel(&self, id: u64, reason: Option<&str>) {
        let params = compose::cancelled_params(id, reason);
        self.outbox.push(|line| compose::notification(line, "notifications/cancelled", Some(&params)));
    }
}

/// Requests about tasks pass the gate: what a server asks for a task names it, and one may wait for the task's end.
fn is_about_task(call: &Call) -> bool {
    matches!(call.method, Method::Task(_))
}

impl Flight {
    pub(super) fn lost(self, now: Instant, taken: u64) -> Option<Lost> {
        let Owner::Client(call) = self.owner else { return None };
        Some(Lost {
            was_written: self.position < taken || call.past.ran() == Ran::Unknown,
            ticket: call.ticket,
            caller: call.caller,
            label: call.label,
            after: now - self.sent,
        })
    }
}
