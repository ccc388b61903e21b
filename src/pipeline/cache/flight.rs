//! Calls that are at the server, for others that want the same: one goes, the others wait for its answer.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::kept::Landing;
use super::key::Key;
use super::store::Stamp;

/// What is the same, as long as nothing has changed.
type Wanted = (Key, Stamp);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Flights(Mutex<HashMap<Wanted, Arc<Flight>>>);

/// A call at the server, for those who wait for it.
#[derive(Debug)]
pub(super) struct Flight(watch::Sender<Option<End>>);

/// How a flight ends for those who wait.
#[derive(Clone, Debug)]
pub(super) enum End {
    /// With this.
    Landed(Landing),
    /// Whoever led has given up: another one must go.
    Vacant,
}

/// Who one is among those who want the same.
pub(super) enum Seat<'a> {
    /// The one who goes.
    Leader(Leader<'a>),
    /// One who waits.
    Follower(Follower),
}

/// Whoever goes. Others wait until it has landed or is dropped.
pub(super) struct Leader<'a> {
    /// Where the others find the flight; `None` if it is for nobody else.
    flights: Option<&'a Flights>,
    wanted: Wanted,
    flight: Arc<Flight>,
}

/// Whoever waits.
pub(super) struct Follower(watch::Receiver<Option<End>>);

impl Flights {
    fn open(&self) -> MutexGuard<'_, HashMap<Wanted, Arc<Flight>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.open().is_empty()
    }

    /// Takes a seat among those who want this.
    pub(super) fn seat(&self, key: Key, stamp: Stamp) -> Seat<'_> {
        let wanted = (key, stamp);
        match self.open().entry(wanted) {
            Entry::Occupied(entry) => Seat::Follower(Follower(entry.get().0.subscribe())),
            Entry::Vacant(entry) => {
                let leader = Leader::new(Some(self), wanted);
                entry.insert(Arc::clone(&leader.flight));
                Seat::Leader(leader)
            }
        }
    }
}

impl Flight {
    fn end(&self, end: End) {
        self.0.send_if_modified(|phase| {
            let is_open = phase.is_none();
            phase.get_or_insert(end);
            is_open
        });
    }

    /// The call turns out to concern the one who leads alone: nobody waits for it any longer.
    pub(super) fn part(&self) {
        self.end(End::Landed(Landing::Apart));
    }

    /// Whether that has happened.
    pub(super) fn has_parted(&self) -> bool {
        matches!(&*self.0.borrow(), Some(End::Landed(Landing::Apart)))
    }
}

impl<'a> Leader<'a> {
    fn new(flights: Option<&'a Flights>, wanted: Wanted) -> Self {
        Self { flights, wanted, flight: Arc::new(Flight(watch::Sender::new(None))) }
    }

    /// One who goes for nobody else.
    pub(super) fn alone(key: Key, stamp: Stamp) -> Self {
        Self::new(None, (key, stamp))
    }

    /// What is wanted.
    pub(super) fn key(&self) -> Key {
        self.wanted.0
    }

    /// What had changed when the call began.
    pub(super) fn stamp(&self) -> Stamp {
        self.wanted.1
    }

    /// The call that the others wait for.
    pub(super) fn flight(&self) -> &Arc<Flight> {
        &self.flight
    }

    /// Gives the others what they wait for.
    pub(super) fn land(self, landing: Landing) {
        self.flight.end(End::Landed(landing));
    }
}

impl Drop for Leader<'_> {
    fn drop(&mut self) {
        // Only now: whoever comes while the call is out must find it.
        if let Some(flights) = self.flights {
            flights.open().remove(&self.wanted);
        }
        self.flight.end(End::Vacant);
    }
}

impl Follower {
    /// Waits for the end. Cancel safe.
    pub(super) async fn end(mut self) -> End {
        match self.0.wait_for(Option::is_some).await {
            Ok(end) => end.clone().unwrap_or(End::Vacant),
            Err(_) => End::Vacant,
        }
    }
}
