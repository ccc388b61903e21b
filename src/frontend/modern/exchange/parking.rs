//! Calls that wait for their clients to come back: how they are parked, woken and let go.

use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;

use super::question::{Question, input_required, sort_out};
use super::{CALL, Exchange, Phase};
use crate::call::{AskKey, Asker};
use crate::frontend::modern::scope::{Open, Responder};
use crate::frontend::modern::seal::State as Sealed;
use crate::wire::Span;

impl Exchange {
    /// Asks the client for what the server wants to know.
    pub(super) fn park(&self) {
        let mut state = self.state();
        let Phase::Open(client) = &mut state.phase else { return };
        client.gathers = false;
        if state.questions.is_empty() {
            return;
        }
        state.round += 1;
        let life = self.lane.backend().config().timeouts.question;
        let (handle, is_new) = match state.handle {
            Some(handle) => (handle, false),
            None => match self.hall.seal.number() {
                Ok(handle) => (handle, true),
                Err(_) => return,
            },
        };
        let parked = Sealed::Parked { handle, round: state.round };
        let Ok(sealed) = self.hall.seal.seal(&parked, self.bound(), life) else { return };
        state.handle = Some(handle);
        let text = input_required(&state.questions, &sealed);
        let keys: Vec<(Arc<dyn Asker>, AskKey)> =
            state.questions.iter().map(|asked| (Arc::clone(&asked.asker), asked.key.clone())).collect();
        let Phase::Open(client) = std::mem::replace(&mut state.phase, Phase::Parked) else { return };
        let round = state.round;
        drop(state);
        if is_new {
            self.hall.parked.keep(handle, &self.me);
        }
        self.let_go_after(life, round);
        let whole = Span { start: 0, end: text.len() };
        client.responder.relay("result", &text, whole);
        for (asker, key) in keys {
            asker.rests(&key);
        }
    }

    /// Gives the call up if nobody comes back in time.
    fn let_go_after(&self, life: Duration, round: u32) {
        let (Some(exchange), ended) = (self.me.upgrade(), self.hall.ended.clone()) else { return };
        self.hall.tasks.spawn(async move {
            tokio::select! {
                () = tokio::time::sleep(life) => exchange.let_go(round),
                () = ended.cancelled() => {}
            }
        });
    }

    fn let_go(&self, round: u32) {
        let mut state = self.state();
        let is_waiting = matches!(state.phase, Phase::Parked | Phase::Answered(..));
        if state.round != round || !is_waiting {
            return;
        }
        tracing::info!(event = "call.abandoned", server = %self.server(), "a parked call was given up: nobody came back to answer");
        state.phase = Phase::Closed;
        let questions = std::mem::take(&mut state.questions);
        let handle = state.handle.take();
        drop(state);
        if let Some(handle) = handle {
            self.hall.parked.forget(handle);
        }
        self.lane.cancel(self.id, CALL, Some("nobody came back to answer the server's question"));
        // After that, so that the answer need not wait for the call's turn: it only closes the question.
        questions.iter().for_each(Question::give_up);
    }

    /// The client has come back to a parked call.
    ///
    /// # Errors
    /// It was answered before, or is over: the responder is given back.
    pub(in crate::frontend::modern) fn resume(
        &self,
        round: u32,
        responder: Responder,
        token: Option<Bytes>,
        responses: Option<&[u8]>,
    ) -> Result<(), Responder> {
        let mut state = self.state();
        if state.round != round {
            return Err(responder);
        }
        match std::mem::replace(&mut state.phase, Phase::Closed) {
            Phase::Answered(member, text) => {
                let handle = state.handle.take();
                drop(state);
                if let Some(handle) = handle {
                    self.hall.parked.forget(handle);
                }
                let whole = Span { start: 0, end: text.len() };
                responder.relay(member, &text, whole);
                return Ok(());
            }
            Phase::Parked => {}
            phase @ (Phase::Open(_) | Phase::Closed) => {
                state.phase = phase;
                return Err(responder);
            }
        }
        // A second retry with the same state meets another round.
        state.round += 1;
        let (answered, left) = sort_out(std::mem::take(&mut state.questions), responses);
        state.questions = left;
        let asks_again = !state.questions.is_empty();
        drop(state);
        if !self.wait_on(responder, token) {
            self.lane.cancel(self.id, CALL, Some("the client has given up"));
            return Ok(());
        }
        for (question, answer) in answered {
            question.deliver(&answer);
        }
        // What was left out is asked for once more.
        if asks_again {
            self.park();
        }
        Ok(())
    }
}

/// Whoever gives up the client's request gives up the call.
pub(super) struct Watch(pub(super) Weak<Exchange>);

impl Open for Watch {
    fn cancelled(&self, reason: Option<&str>) {
        let Some(exchange) = self.0.upgrade() else { return };
        let mut state = exchange.state();
        if !matches!(state.phase, Phase::Open(_)) {
            return;
        }
        state.phase = Phase::Closed;
        let questions = std::mem::take(&mut state.questions);
        let handle = state.handle.take();
        drop(state);
        if let Some(handle) = handle {
            exchange.hall.parked.forget(handle);
        }
        exchange.lane.cancel(exchange.id, CALL, reason);
        questions.iter().for_each(Question::give_up);
    }
}
