//! Keeps one server's login fresh: one renewal at a time, in all processes together.
//!
//! What we know of the login is a copy of its file. The copy is read again whenever the file has changed, so a login in a
//! terminal, a logout, and a renewal by another process are all noticed with the next request. A renewal is a task of its
//! own: an authorization server that hands out a new refresh token takes the old one back, so the answer must be kept even
//! if nobody waits for it any more.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::HeaderValue;
use reqwest::Url;
use tokio::time::Instant;

use super::discovery::discover;
use super::http_client::HttpClient;
use super::provider::needs_login;
use super::record::{Asked, Client, ClientOrigin, Grant, Login, Record, Tokens, now, union};
use super::registration::method;
use super::store::{AuthStore, Lock, Shelf, Stamp};
use super::token::{Asker, Refusal};
use super::{Target, command, secret_of};
use crate::config::{AuthConfig, ClientCredentialsConfig, ServerConfig};
use crate::failure::{Code, Failure};
use crate::names::ServerName;

/// A server that refuses even new tokens gets no more than this many of them in a minute.
const DEMANDS: usize = 3;
const DEMANDS_IN: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Debug)]
pub(super) struct Renewal {
    target: Target,
    config: ServerConfig,
    shelf: Shelf,
    http: HttpClient,
    memory: Mutex<Memory>,
    /// Held by whoever renews in this process.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Memory {
    record: Record,
    /// Of the file that the record was read from; `None` before the first look.
    stamp: Option<Stamp>,
    header: Option<HeaderValue>,
    /// When the server last made us get new tokens.
    demands: Vec<Instant>,
    /// How the last renewal failed. Whoever waited for it does not try again.
    failed: Option<(Instant, Failure)>,
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

/// Why new tokens are wanted.
#[derive(Clone, Debug)]
struct Wanted {
    /// The header that is no good any more. Any other one is good enough.
    instead_of: Option<HeaderValue>,
    /// What the server asked for.
    asked: Asked,
}

impl Renewal {
    pub(super) fn new(target: Target, config: &ServerConfig, store: &AuthStore) -> Arc<Self> {
        let issuer = match &config.auth {
            AuthConfig::Oauth(oauth) => oauth.issuer.as_deref(),
            AuthConfig::ClientCredentials(own) => own.issuer.as_deref(),
            AuthConfig::None => None,
        };
        Arc::new(Self {
            shelf: store.shelf(&target.server, target.shelf_key()),
            http: super::http_client(&target, issuer),
            target,
            config: config.clone(),
            memory: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        })
    }

    pub(super) fn server(&self) -> &ServerName {
        &self.target.server
    }

    /// Whether a request to this address may carry our credentials.
    pub(super) fn is_for(&self, url: &str) -> bool {
        if url == self.target.written {
            return true;
        }
        // `wss` and `https` of one host are one origin here, as they were when the login was made.
        let url = match url.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("ws") => format!("http://{rest}"),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("wss") => format!("https://{rest}"),
            _ => url.to_owned(),
        };
        Url::parse(&url).is_ok_and(|url| url.origin() == self.target.url.origin())
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

    /// The server wants credentials, or other ones than this header.
    ///
    /// # Errors
    /// None can be had without a person.
    pub(super) async fn unauthorized(
        self: &Arc<Self>,
        sent: Option<&HeaderValue>,
        asked: Asked,
    ) -> Result<(), Failure> {
        let renewable = match (&self.config.auth, &self.memory().record.login) {
            (AuthConfig::ClientCredentials(_), _) => true,
            (_, Some(Login { tokens: Some(tokens), .. })) => tokens.refresh.is_some(),
            _ => false,
        };
        if !renewable {
            let cause = match sent {
                Some(_) => "the server no longer accepts the login",
                None => "the server wants you to log in",
            };
            self.note(asked).await?;
            return Err(self.needs_login(cause));
        }
        self.renew(Some(Wanted { instead_of: sent.cloned(), asked })).await
    }

    /// The server wants more scopes than the login has.
    ///
    /// # Errors
    /// They cannot be had without a person, or we have them already.
    pub(super) async fn step_up(
        self: &Arc<Self>,
        sent: Option<&HeaderValue>,
        asked: Asked,
    ) -> Result<(), Failure> {
        let scopes = asked.scopes.join(" ");
        let before =
            self.memory().record.login.as_ref().map(|login| login.requested.clone()).unwrap_or_default();
        if asked.scopes.is_empty() || union(&before, &asked.scopes).len() == before.len() {
            let cause =
                format!("the server refused for want of the scopes `{scopes}`, which were asked for already");
            return Err(Failure::new(Code::AuthRefused, cause).of(self.server()));
        }
        match &self.config.auth {
            AuthConfig::ClientCredentials(own) if own.scopes.is_empty() => {
                return self.renew(Some(Wanted { instead_of: sent.cloned(), asked })).await;
            }
            AuthConfig::ClientCredentials(_) => {
                let cause = format!("the server wants further permission (`{scopes}`)");
                let failure = Failure::new(Code::AuthRefused, cause).of(self.server());
                return Err(failure.remedy("Add it to `auth.scopes` in the config"));
            }
            _ => {}
        }
        let configured = matches!(&self.config.auth, AuthConfig::Oauth(oauth) if !oauth.scopes.is_empty());
        self.note(asked.clone()).await?;
        let failure = self.needs_login(&format!("the server wants further permission (`{scopes}`)"));
        if !configured {
            return Err(failure);
        }
        // The config says which scopes to ask for, so the command has to say more.
        let more: String = asked.scopes.iter().map(|scope| format!(" --scope '{scope}'")).collect();
        Err(failure.remedy(format!("Run `{}{more}`", command("login", self.server()))))
    }

    /// Renews a login that is about to end, unless somebody else does.
    ///
    /// # Errors
    /// That is not possible now, or only by a person.
    pub(super) async fn freshen(self: &Arc<Self>) -> Result<(), Failure> {
        self.renew(None).await
    }

    async fn renew(self: &Arc<Self>, wanted: Option<Wanted>) -> Result<(), Failure> {
        let this = Arc::clone(self);
        let asked_at = Instant::now();
        let renewing = tokio::spawn(async move { this.renew_in_turn(wanted, asked_at).await });
        renewing.await.unwrap_or_else(|error| {
            Err(Failure::new(Code::AuthFailed, format!("the renewal broke off: {error}")).of(self.server()))
        })
    }

    pub(super) fn needs_login(&self, cause: &str) -> Failure {
        needs_login(self.server(), cause)
    }

    async fn renew_in_turn(&self, wanted: Option<Wanted>, asked_at: Instant) -> Result<(), Failure> {
        let _turn = self.turn.lock().await;
        if let Some((at, failure)) = &self.memory().failed
            && *at >= asked_at
        {
            return Err(failure.clone());
        }
        if self.is_done(wanted.as_ref())? {
            return Ok(());
        }
        let lock = self.shelf.lock().await?;
        // While we waited, the other process has done it.
        if self.is_done(wanted.as_ref())? {
            return Ok(());
        }
        let renewed = self.get_tokens(&lock, wanted).await;
        if let Err(failure) = &renewed {
            self.memory().failed = Some((Instant::now(), failure.clone()));
        }
        renewed
    }

    /// Whether the login is as it is wanted. Only the clock is asked where nothing else is said.
    fn is_done(&self, wanted: Option<&Wanted>) -> Result<bool, Failure> {
        let standing = self.standing()?;
        let Standing::Good(header) = standing else { return Ok(false) };
        Ok(wanted.is_none_or(|wanted| wanted.instead_of.as_ref() != Some(&header)))
    }

    async fn get_tokens(&self, lock: &Lock, wanted: Option<Wanted>) -> Result<(), Failure> {
        if wanted.is_some() {
            self.demand()?;
        }
        let record = self.memory().record.clone();
        let login = match (&self.config.auth, record.login) {
            (AuthConfig::ClientCredentials(own), login) => {
                let asked = wanted.map(|wanted| wanted.asked).unwrap_or_default();
                self.by_client_credentials(own, login, asked).await?
            }
            (_, Some(login)) => self.by_refresh(lock, login).await?,
            (_, None) => return Err(self.needs_login("the server wants you to log in")),
        };
        tracing::info!(server = %self.server(), "the login was renewed");
        self.keep(lock, Record { asked: None, login: Some(login) });
        Ok(())
    }

    async fn by_refresh(&self, lock: &Lock, login: Login) -> Result<Login, Failure> {
        let refresh = login.tokens.as_ref().and_then(|tokens| tokens.refresh.clone());
        let Some(refresh) = refresh else { return Err(self.needs_login("the login has ended")) };
        let secret = secret_of(&self.config, &login);
        let asker = Asker { http: &self.http, target: &self.target, secret: secret.as_ref() };
        let granted = login.tokens.as_ref().map(|tokens| tokens.scopes.clone()).unwrap_or_default();
        let fields = [("grant_type", "refresh_token"), ("refresh_token", refresh.expose())];
        match asker.ask(&login, &fields, &granted).await {
            Ok(tokens) => {
                // RFC 6749 §6: without a new refresh token, the old one goes on.
                let refresh = tokens.refresh.clone().or(Some(refresh));
                Ok(Login { tokens: Some(Tokens { refresh, ..tokens }), ..login })
            }
            Err(Refusal::Trouble(failure)) => Err(failure),
            Err(Refusal::Unknown(failure)) if login.client.origin == ClientOrigin::Configured => {
                Err(failure.remedy("Correct `auth.client_id` and `auth.client_secret` in the config"))
            }
            Err(refusal) => {
                // A client that is not known any more must be registered anew, so nothing of it is kept.
                let is_known = matches!(refusal, Refusal::Over(_));
                let login = is_known.then_some(Login { tokens: None, ..login });
                let asked = (!is_known).then(Asked::default);
                self.keep(lock, Record { asked, login });
                let why = refusal.into_failure().cause;
                Err(self.needs_login(&format!("the login has ended: {why}")))
            }
        }
    }

    /// There is nothing to renew these with but ourselves.
    async fn by_client_credentials(
        &self,
        own: &ClientCredentialsConfig,
        login: Option<Login>,
        asked: Asked,
    ) -> Result<Login, Failure> {
        let mut login = match login {
            Some(login) => login,
            None => self.find(own, &asked).await?,
        };
        if own.scopes.is_empty() {
            login.requested = union(&login.requested, &asked.scopes);
        }
        let scope = login.requested.join(" ");
        let mut fields = vec![("grant_type", "client_credentials")];
        if !scope.is_empty() {
            fields.push(("scope", &scope));
        }
        let asker = Asker { http: &self.http, target: &self.target, secret: Some(&own.client_secret) };
        let tokens = asker.ask(&login, &fields, &login.requested).await.map_err(|refusal| {
            refusal.into_failure().remedy("Correct `auth.client_id` and `auth.client_secret` in the config")
        })?;
        login.tokens = Some(tokens);
        Ok(login)
    }

    /// A login on our own behalf, still without tokens.
    async fn find(&self, own: &ClientCredentialsConfig, asked: &Asked) -> Result<Login, Failure> {
        let discovered = discover(&self.http, &self.target, asked, own.issuer.as_deref()).await?;
        let wanted = if asked.scopes.is_empty() { &discovered.scopes } else { &asked.scopes };
        let requested = if own.scopes.is_empty() { wanted } else { &own.scopes };
        let client = Client {
            id: own.client_id.clone(),
            secret: None,
            method: method(&discovered.server, true),
            origin: ClientOrigin::Configured,
            redirect_uri: None,
        };
        Ok(Login {
            issuer: discovered.server.issuer,
            resource: discovered.resource,
            grant: Grant::ClientCredentials,
            client,
            token_endpoint: discovered.server.token_endpoint,
            revocation_endpoint: discovered.server.revocation_endpoint,
            requested: requested.clone(),
            tokens: None,
        })
    }

    /// Keeps what the server asked for, so that the next login asks for it.
    async fn note(&self, asked: Asked) -> Result<(), Failure> {
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
    fn keep(&self, lock: &Lock, record: Record) {
        if let Err(failure) = self.shelf.save(lock, &record) {
            tracing::warn!(%failure, "the login cannot be kept");
        }
        let record = self.fitting(record);
        let mut memory = self.memory();
        memory.stamp = Some(self.shelf.stamp());
        memory.accept(record);
    }

    /// At most so many new tokens because the server was not content with those it got.
    fn demand(&self) -> Result<(), Failure> {
        let mut memory = self.memory();
        memory.demands.retain(|at| at.elapsed() < DEMANDS_IN);
        if memory.demands.len() < DEMANDS {
            memory.demands.push(Instant::now());
            return Ok(());
        }
        let cause = "the server is not content even with new credentials";
        Err(match self.config.auth {
            AuthConfig::ClientCredentials(_) => Failure::new(Code::AuthRefused, cause).of(self.server()),
            _ => self.needs_login(cause),
        })
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
        record.login = record.login.filter(|login| super::status::fits(&self.config, login));
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
