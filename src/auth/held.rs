//! What we know of a server's login: a copy of its file.
//!
//! The copy is read again whenever the file has changed, so a login in a terminal, a logout, and a renewal by another
//! process are all noticed with the next request.

use std::sync::{Mutex, MutexGuard, PoisonError};

use http::HeaderValue;

use super::record::{Asked, Grant, Login, Record, now};
use super::status;
use super::store::{Lock, Shelf, Stamp};
use crate::config::ServerConfig;
use crate::failure::Failure;

/// See the module.
#[derive(Debug)]
pub(super) struct Held {
    config: ServerConfig,
    shelf: Shelf,
    memory: Mutex<Memory>,
}

#[derive(Debug, Default)]
struct Memory {
    record: Record,
    /// Of the file that the record was read from; `None` before the first look.
    stamp: Option<Stamp>,
    header: Option<HeaderValue>,
}

/// How the login stands.
#[derive(Debug)]
pub(super) enum Standing {
    /// There is none.
    Nothing,
    /// This header proves who we are.
    Good(HeaderValue),
    /// It should be renewed; until then this header may do.
    Stale(Option<HeaderValue>),
    /// It has ended, and only a person can begin another one.
    Over,
}

impl Held {
    pub(super) fn new(config: &ServerConfig, shelf: Shelf) -> Self {
        Self { config: config.clone(), shelf, memory: Mutex::default() }
    }

    pub(super) fn config(&self) -> &ServerConfig {
        &self.config
    }

    /// How the login stands now.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn standing(&self) -> Result<Standing, Failure> {
        let memory = self.look()?;
        let Some(login) = &memory.record.login else { return Ok(Standing::Nothing) };
        let header = memory.header.clone();
        Ok(match (&login.tokens, login.grant) {
            (None, Grant::ClientCredentials) => Standing::Stale(None),
            (None, Grant::AuthorizationCode) => Standing::Over,
            (Some(tokens), grant) => {
                let (stale, over) = (tokens.is_stale(now()), tokens.is_over(now()));
                let renewable = tokens.refresh.is_some() || grant == Grant::ClientCredentials;
                match (header, renewable) {
                    (Some(header), _) if !stale => Standing::Good(header),
                    (Some(header), false) if !over => Standing::Good(header),
                    (header, true) => Standing::Stale(header.filter(|_| !over)),
                    (_, false) => Standing::Over,
                }
            }
        })
    }

    /// The header of the login as it was last read.
    pub(super) fn header(&self) -> Option<HeaderValue> {
        self.memory().header.clone()
    }

    /// The login as it was last read.
    pub(super) fn login(&self) -> Option<Login> {
        self.memory().record.login.clone()
    }

    /// Waits until nobody else changes the login.
    ///
    /// # Errors
    /// That takes too long, or cannot be told.
    pub(super) async fn lock(&self) -> Result<Lock, Failure> {
        self.shelf.lock().await
    }

    /// Keeps what the server asked for, so that the next login asks for it.
    ///
    /// # Errors
    /// What is kept cannot be read.
    pub(super) async fn note(&self, asked: Asked) -> Result<(), Failure> {
        if self.memory().record.asked.as_ref() == Some(&asked) {
            return Ok(());
        }
        let lock = self.shelf.lock().await?;
        let mut record = self.shelf.load()?;
        record.asked = Some(asked);
        self.keep(&lock, record);
        Ok(())
    }

    /// Writes a record and remembers it. If it cannot be written, it is good for this process all the same.
    pub(super) fn keep(&self, lock: &Lock, record: Record) {
        if let Err(failure) = self.shelf.save(lock, &record) {
            tracing::warn!(%failure, "the login cannot be kept");
        }
        let record = self.fitting(record);
        let mut memory = self.memory();
        memory.stamp = Some(self.shelf.stamp());
        memory.accept(record);
    }

    /// What we know, after a look at whether the file has changed.
    fn look(&self) -> Result<MutexGuard<'_, Memory>, Failure> {
        let mut memory = self.memory();
        let stamp = self.shelf.stamp();
        if memory.stamp.as_ref() != Some(&stamp) {
            let record = self.shelf.load()?;
            memory.stamp = Some(stamp);
            memory.accept(self.fitting(record));
        }
        Ok(memory)
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A login that the config no longer wants, for example because its client is another one, is none.
    fn fitting(&self, mut record: Record) -> Record {
        record.login = record.login.filter(|login| status::fits(&self.config, login));
        record
    }
}

impl Memory {
    fn accept(&mut self, record: Record) {
        self.header = record.login.as_ref().and_then(|login| login.tokens.as_ref()).and_then(|tokens| {
            let mut header = HeaderValue::from_str(&format!("Bearer {}", tokens.access.expose())).ok()?;
            header.set_sensitive(true);
            Some(header)
        });
        self.record = record;
    }
}
