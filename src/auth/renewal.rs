//! Keeps one server's login fresh: one renewal at a time, in all processes together.
//!
//! A renewal is a task of its own: an authorization server that hands out a new refresh token takes the old one back, so the
//! answer must be kept even if nobody waits for it any more.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use reqwest::Url;
use tokio::time::Instant;

use super::discovery::discover;
use super::held::{Held, Standing};
use super::http_client::HttpClient;
use super::provider::needs_login;
use super::record::{Asked, Client, ClientAuth, ClientOrigin, Grant, Login, Record, Tokens, union};
use super::registration;
use super::store::{AuthStore, Lock};
use super::token::{Asker, Refusal, brief};
use super::{Target, command, proof_of, quoted};
use crate::config::{AuthConfig, ClientCredentialsConfig, ClientProof, ServerConfig};
use crate::failure::{Code, Failure};
use crate::names::ServerName;

/// A server that refuses even new tokens gets no more than this many of them in a minute.
const DEMANDS: usize = 3;
const DEMANDS_IN: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Debug)]
pub(super) struct Renewal {
    target: Target,
    http: HttpClient,
    held: Held,
    /// Held by whoever renews in this process.
    turn: tokio::sync::Mutex<Turn>,
}

/// What those who renew one after the other tell each other.
#[derive(Debug, Default)]
struct Turn {
    /// When the server last made us get new tokens.
    demands: Vec<Instant>,
    /// How the last renewal failed. Whoever waited for it does not try again.
    failed: Option<(Instant, Failure)>,
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
            held: Held::new(config, store.shelf(&target.server, target.shelf_key())),
            http: super::http_client(&target, issuer),
            target,
            turn: tokio::sync::Mutex::default(),
        })
    }

    /// The login as we know it.
    pub(super) fn held(&self) -> &Held {
        &self.held
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

    /// The server wants credentials, or other ones than this header.
    ///
    /// # Errors
    /// None can be had without a person.
    pub(super) async fn unauthorized(
        self: &Arc<Self>,
        sent: Option<&HeaderValue>,
        asked: Asked,
    ) -> Result<(), Failure> {
        let renewable = match (self.auth(), self.held.login()) {
            (AuthConfig::ClientCredentials(_), _) => true,
            (_, Some(Login { tokens: Some(tokens), .. })) => tokens.refresh.is_some(),
            _ => false,
        };
        if !renewable {
            let cause = match sent {
                Some(_) => "the server no longer accepts the login",
                None => "the server wants you to log in",
            };
            self.held.note(asked).await?;
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
        let scopes = brief(&asked.scopes.join(" "));
        let before = self.held.login().map(|login| login.requested).unwrap_or_default();
        if asked.scopes.is_empty() || union(&before, &asked.scopes).len() == before.len() {
            let cause =
                format!("the server refused for want of the scopes `{scopes}`, which were asked for already");
            return Err(Failure::new(Code::AuthRefused, cause).of(self.server()));
        }
        match self.auth() {
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
        let configured = matches!(self.auth(), AuthConfig::Oauth(oauth) if !oauth.scopes.is_empty());
        self.held.note(asked.clone()).await?;
        let failure = self.needs_login(&format!("the server wants further permission (`{scopes}`)"));
        if !configured {
            return Err(failure);
        }
        // The config says which scopes to ask for, so the command has to say more.
        let more: String = asked.scopes.iter().map(|scope| format!(" --scope {}", quoted(scope))).collect();
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

    fn auth(&self) -> &AuthConfig {
        &self.held.config().auth
    }

    pub(super) fn needs_login(&self, cause: &str) -> Failure {
        needs_login(self.server(), cause)
    }

    async fn renew_in_turn(&self, wanted: Option<Wanted>, asked_at: Instant) -> Result<(), Failure> {
        let mut turn = self.turn.lock().await;
        if let Some((at, failure)) = &turn.failed
            && *at >= asked_at
        {
            return Err(failure.clone());
        }
        if self.is_done(wanted.as_ref())? {
            return Ok(());
        }
        let lock = self.held.lock().await?;
        // While we waited, the other process has done it.
        if self.is_done(wanted.as_ref())? {
            return Ok(());
        }
        let allowed = if wanted.is_some() { self.count_demand(&mut turn) } else { Ok(()) };
        let renewed = match allowed {
            Ok(()) => self.get_tokens(&lock, wanted).await,
            Err(failure) => Err(failure),
        };
        turn.failed = renewed.as_ref().err().map(|failure| (Instant::now(), failure.clone()));
        renewed
    }

    /// Whether the login is as it is wanted. Only the clock is asked where nothing else is said.
    fn is_done(&self, wanted: Option<&Wanted>) -> Result<bool, Failure> {
        let standing = self.held.standing()?;
        let Standing::Good(header) = standing else { return Ok(false) };
        Ok(wanted.is_none_or(|wanted| wanted.instead_of.as_ref() != Some(&header)))
    }

    async fn get_tokens(&self, lock: &Lock, wanted: Option<Wanted>) -> Result<(), Failure> {
        let login = match (self.auth(), self.held.login()) {
            (AuthConfig::ClientCredentials(own), login) => {
                let asked = wanted.map(|wanted| wanted.asked).unwrap_or_default();
                self.by_client_credentials(own, login, asked).await?
            }
            (_, Some(login)) => self.by_refresh(lock, login).await?,
            (_, None) => return Err(self.needs_login("the server wants you to log in")),
        };
        tracing::info!(event = "login.renewed", server = %self.server(), "the login was renewed");
        self.held.keep(lock, Record { asked: None, login: Some(login) });
        Ok(())
    }

    async fn by_refresh(&self, lock: &Lock, login: Login) -> Result<Login, Failure> {
        let refresh = login.tokens.as_ref().and_then(|tokens| tokens.refresh.clone());
        let Some(refresh) = refresh else { return Err(self.needs_login("the login has ended")) };
        let proof = proof_of(self.held.config(), &login);
        let asker = Asker { http: &self.http, target: &self.target, proof: proof.as_ref() };
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
                self.held.keep(lock, Record { asked, login });
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
        let asker = Asker { http: &self.http, target: &self.target, proof: Some(&own.proof) };
        let key = match own.proof {
            ClientProof::Secret(_) => "client_secret",
            ClientProof::Key(_) => "private_key",
        };
        let tokens = asker.ask(&login, &fields, &login.requested).await.map_err(|refusal| {
            let remedy = format!("Correct `auth.client_id` and `auth.{key}` in the config");
            refusal.into_failure().remedy(remedy)
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
            method: match own.proof {
                ClientProof::Secret(_) => registration::method(&discovered.server, true),
                ClientProof::Key(_) => ClientAuth::PrivateKeyJwt,
            },
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

    /// At most so many new tokens because the server was not content with those it got.
    fn count_demand(&self, turn: &mut Turn) -> Result<(), Failure> {
        turn.demands.retain(|at| at.elapsed() < DEMANDS_IN);
        if turn.demands.len() < DEMANDS {
            turn.demands.push(Instant::now());
            return Ok(());
        }
        let cause = "the server is not content even with new credentials";
        Err(match self.auth() {
            AuthConfig::ClientCredentials(_) => Failure::new(Code::AuthRefused, cause).of(self.server()),
            _ => self.needs_login(cause),
        })
    }
}
