//! A login by a person, as `switchboard auth login` runs it; and its end.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::callback::Callback;
use super::discovery::{Discovered, discover};
use super::flow::{Flow, Response, Verdict};
use super::http_client::HttpClient;
use super::probe::probe;
use super::record::{Asked, ClientOrigin, Login, Record, union};
use super::store::{AuthStore, Shelf};
use super::token::Asker;
use super::{Target, registration};
use crate::config::{AuthConfig, ClientProof, OauthConfig, ServerConfig};
use crate::failure::{Code, Failure};

/// How long a person has.
const PATIENCE: Duration = Duration::from_secs(10 * 60);

/// A login that waits for the browser.
#[derive(Debug)]
pub struct Attempt {
    target: Target,
    http: HttpClient,
    shelf: Shelf,
    proof: Option<ClientProof>,
    flow: Arc<Flow>,
    callback: Callback,
}

impl Attempt {
    /// Finds out where to log in, becomes a client there if need be, and opens the redirect address. `scopes` are
    /// asked for besides those that the config or the server names.
    ///
    /// # Errors
    /// The server is not one to log in to, or something on the way to the login page failed.
    pub async fn begin(config: &ServerConfig, store: &AuthStore, scopes: &[String]) -> Result<Self, Failure> {
        let refused = |cause: &str, remedy: &str| {
            Err(Failure::new(Code::AuthFailed, cause).of(&config.name).remedy(remedy))
        };
        let Some(target) = Target::of(config) else {
            return refused(
                "it is not reached over HTTP",
                "Give it its credentials in its own entry of the config",
            );
        };
        let oauth = match &config.auth {
            _ if super::has_authorization(config) => {
                return refused(
                    "it has an `Authorization` header in the config",
                    "Remove the header to log in",
                );
            }
            AuthConfig::Oauth(oauth) => oauth,
            AuthConfig::ClientCredentials(_) => {
                return refused("Switchboard logs in there by itself", "Nothing needs to be done");
            }
            AuthConfig::None => return refused("the config says `auth: none`", "Remove it to log in"),
        };
        let of = |failure: Failure| failure.of(&target.server);
        let http = super::http_client(&target, oauth.issuer.as_deref());
        let shelf = store.shelf(&target.server, target.shelf_key());
        let earlier = shelf.load()?;
        let probed = probe(&http, &target, config).await?;
        let asked = joined(probed.asked, earlier.asked.as_ref());
        let discovered =
            discover(&http, &target, &asked, oauth.issuer.as_deref()).await.map_err(|failure| {
                // A server that answers without a login says so by answering.
                let open = probed.open && earlier.asked.is_none();
                let cause = format!("the server does not ask for a login; {}", failure.cause);
                if open { Failure { cause, ..failure } } else { failure }
            })?;
        let issuer = discovered.server.issuer.as_str();
        refuse_moved(&target, oauth, &earlier, issuer)?;
        let earlier = earlier.login.filter(|login| login.issuer == issuer);
        let callback = open(oauth, earlier.as_ref()).await.map_err(of)?;
        let requested = requested(oauth, earlier.as_ref(), &asked, &discovered, scopes);
        let known = earlier.map(|login| login.client);
        let redirect_uri = callback.uri();
        let client =
            registration::client(&http, &target, &discovered.server, oauth, known, &redirect_uri).await?;
        let flow = Flow::begin(&discovered, client, &redirect_uri, requested).map_err(of)?;
        let proof = super::proof_of(config, &flow.login);
        Ok(Self { target, http, shelf, proof, flow: Arc::new(flow), callback })
    }

    /// The address to open in a browser: `http` or `https`, and nothing that a shell or an option parser could take
    /// for something else.
    pub fn url(&self) -> &str {
        self.flow.url.as_str()
    }

    /// Waits for the browser, or for somebody to paste the address that it was sent to; then gets the tokens and keeps
    /// them. `pasted` brings lines; `refused` is called for each that is not such an address.
    ///
    /// # Errors
    /// The person said no, or the authorization server did, or nobody came.
    pub async fn finish(
        self,
        pasted: &mut mpsc::Receiver<String>,
        mut refused: impl FnMut(),
    ) -> Result<(), Failure> {
        let Self { target, http, shelf, proof, flow, callback } = self;
        let by_hand = async {
            while let Some(line) = pasted.recv().await {
                match flow.judge(Response::of_pasted(&line)) {
                    Verdict::Foreign => refused(),
                    Verdict::Code(code) => return Ok(code),
                    Verdict::Failed(failure) => return Err(failure),
                }
            }
            // Nobody types: the browser may still come.
            std::future::pending().await
        };
        let code = tokio::select! {
            code = callback.wait(&flow) => code,
            code = by_hand => code,
            () = tokio::time::sleep(PATIENCE) => {
                Err(Failure::new(Code::AuthFailed, "nobody finished the login within ten minutes"))
            }
        };
        let code = code.map_err(|failure| failure.of(&target.server))?;
        let asker = Asker { http: &http, target: &target, proof: proof.as_ref() };
        let tokens = flow.redeem(&asker, &code).await?;
        let login = Login { tokens: Some(tokens), ..flow.login.clone() };
        let lock = shelf.lock().await?;
        shelf.save(&lock, &Record { asked: None, login: Some(login) })
    }
}

/// Ends a login: gives the tokens back if the authorization server takes them, and forgets them in any case. `false` if
/// there was none; the inner error says why they were not given back.
///
/// # Errors
/// They cannot be forgotten.
pub async fn logout(
    config: &ServerConfig,
    store: &AuthStore,
) -> Result<Option<Result<(), Failure>>, Failure> {
    let Some(target) = Target::of(config) else { return Ok(None) };
    let shelf = store.shelf(&target.server, target.shelf_key());
    let lock = shelf.lock().await?;
    let login = shelf.load()?.login;
    shelf.remove(&lock)?;
    let Some(login) = login else { return Ok(None) };
    Ok(Some(give_back(config, &target, &login).await))
}

/// The refresh token first: with it goes, at most authorization servers, everything that came from it.
async fn give_back(config: &ServerConfig, target: &Target, login: &Login) -> Result<(), Failure> {
    let Some(tokens) = &login.tokens else { return Ok(()) };
    let Some(endpoint) = &login.revocation_endpoint else {
        let cause = "the authorization server takes no tokens back: they end by themselves";
        return Err(Failure::new(Code::AuthFailed, cause).of(&target.server));
    };
    let http = super::http_client(target, Some(&login.issuer));
    let proof = super::proof_of(config, login);
    let asker = Asker { http: &http, target, proof: proof.as_ref() };
    if let Some(refresh) = &tokens.refresh {
        asker.revoke(login, endpoint, refresh, "refresh_token").await?;
    }
    asker.revoke(login, endpoint, &tokens.access, "access_token").await
}

/// What the server asks for now, and what it asked for when it refused a request.
fn joined(now: Asked, earlier: Option<&Asked>) -> Asked {
    let Some(earlier) = earlier else { return now };
    Asked {
        scopes: union(&now.scopes, &earlier.scopes),
        resource_metadata: now.resource_metadata.or_else(|| earlier.resource_metadata.clone()),
    }
}

/// A client that was registered by hand belongs to one authorization server. If the server suddenly names another one,
/// somebody should know before that one sees the client.
fn refuse_moved(target: &Target, oauth: &OauthConfig, earlier: &Record, issuer: &str) -> Result<(), Failure> {
    let Some(login) = &earlier.login else { return Ok(()) };
    let by_hand = login.client.origin == ClientOrigin::Configured && oauth.client.is_some();
    if !by_hand || oauth.issuer.is_some() || login.issuer == issuer {
        return Ok(());
    }
    let cause = format!(
        "the server now names the authorization server `{issuer}`, but the configured client belongs to `{}`",
        login.issuer
    );
    let logout = super::command("logout", &target.server);
    let remedy = format!("If that is right, correct `auth.client_id`, run `{logout}`, and log in again");
    Err(Failure::new(Code::AuthFailed, cause).of(&target.server).remedy(remedy))
}

/// A client that the authorization server registered is known there under its redirect address, so the port of the last
/// time is tried first.
async fn open(oauth: &OauthConfig, earlier: Option<&Login>) -> Result<Callback, Failure> {
    if oauth.redirect_port.is_some() {
        return Callback::open(oauth.redirect_port).await;
    }
    let known = earlier.filter(|login| login.client.origin == ClientOrigin::Registered);
    let known =
        known.and_then(|login| reqwest::Url::parse(login.client.redirect_uri.as_deref()?).ok()?.port());
    match known {
        Some(port) => match Callback::open(Some(port)).await {
            Ok(callback) => Ok(callback),
            Err(_) => Callback::open(None).await,
        },
        None => Callback::open(None).await,
    }
}

/// MCP 2026-07-28, "Scope Selection Strategy": what the config says, else what the refusal asked for, else what the
/// server says it needs; and what we had before, so that nothing is lost.
fn requested(
    oauth: &OauthConfig,
    earlier: Option<&Login>,
    asked: &Asked,
    discovered: &Discovered,
    more: &[String],
) -> Vec<String> {
    if !oauth.scopes.is_empty() {
        return union(&oauth.scopes, more);
    }
    let before = earlier.map(|login| login.requested.as_slice()).unwrap_or_default();
    let wanted = if asked.scopes.is_empty() { &discovered.scopes } else { &asked.scopes };
    let mut scopes = union(&union(before, wanted), more);
    let offline = "offline_access".to_owned();
    // Without it, some authorization servers give out nothing to renew a login with.
    if !scopes.is_empty() && discovered.server.scopes_supported.contains(&offline) {
        scopes = union(&scopes, &[offline]);
    }
    scopes
}
