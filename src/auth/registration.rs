//! Who we are to an authorization server: the client from the config, else the address of our metadata document, else
//! what the authorization server registers (MCP 2026-07-28, "Client Registration").

use serde::Deserialize;
use serde_json::json;

use super::Target;
use super::discovery::AuthServer;
use super::http_client::HttpClient;
use super::login_remedy;
use super::record::{Client, ClientAuth, ClientOrigin};
use super::token::brief;
use crate::config::{ConfiguredClient, OauthConfig, Secret};
use crate::failure::{Code, Failure};

/// What authorization servers show to people who are asked whether they agree.
const CLIENT_NAME: &str = "Switchboard";

#[derive(Deserialize)]
struct Registered {
    client_id: String,
    client_secret: Option<String>,
    token_endpoint_auth_method: Option<String>,
}

/// The client for a login. `earlier` is who we were at this very authorization server before.
///
/// # Errors
/// There is no way to become a client without the user, or the authorization server refused.
pub(super) async fn client(
    http: &HttpClient,
    target: &Target,
    server: &AuthServer,
    config: &OauthConfig,
    earlier: Option<Client>,
    redirect_uri: &str,
) -> Result<Client, Failure> {
    if let Some(client) = &config.client {
        return Ok(configured(server, client, redirect_uri));
    }
    if let Some(url) = &config.client_metadata_url
        && server.client_id_metadata_document_supported
    {
        return Ok(Client {
            id: url.clone(),
            secret: None,
            method: ClientAuth::None,
            origin: ClientOrigin::MetadataDocument,
            redirect_uri: Some(redirect_uri.to_owned()),
        });
    }
    let is_same = |client: &Client| {
        client.origin == ClientOrigin::Registered && client.redirect_uri.as_deref() == Some(redirect_uri)
    };
    if let Some(earlier) = earlier.filter(is_same) {
        return Ok(earlier);
    }
    match &server.registration_endpoint {
        Some(endpoint) => register(http, target, server, endpoint, redirect_uri).await,
        None => {
            let cause = "the authorization server lets only clients log in that were registered by hand";
            let again = login_remedy(&target.server, "run");
            let remedy = format!(
                "Register one there, with a redirect address such as `http://127.0.0.1:8123/callback`; write \
                 `auth: {{ client_id: …, redirect_port: 8123 }}` into the config, and {again}"
            );
            Err(Failure::new(Code::AuthFailed, cause).of(&target.server).remedy(remedy))
        }
    }
}

/// A client of the config as it is at this authorization server.
pub(super) fn configured(server: &AuthServer, client: &ConfiguredClient, redirect_uri: &str) -> Client {
    Client {
        id: client.id.clone(),
        secret: None,
        method: method(server, client.secret.is_some()),
        origin: ClientOrigin::Configured,
        redirect_uri: Some(redirect_uri.to_owned()),
    }
}

/// How a client proves itself. RFC 8414 §2: who does not say what is supported supports the header.
pub(super) fn method(server: &AuthServer, has_secret: bool) -> ClientAuth {
    let supports = |method: &str| match &server.token_endpoint_auth_methods_supported {
        Some(methods) => methods.iter().any(|supported| supported == method),
        None => method == "client_secret_basic",
    };
    match has_secret {
        false => ClientAuth::None,
        true if supports("client_secret_basic") || !supports("client_secret_post") => {
            ClientAuth::ClientSecretBasic
        }
        true => ClientAuth::ClientSecretPost,
    }
}

async fn register(
    http: &HttpClient,
    target: &Target,
    server: &AuthServer,
    endpoint: &str,
    redirect_uri: &str,
) -> Result<Client, Failure> {
    let supported = server.token_endpoint_auth_methods_supported.as_deref().unwrap_or_default();
    let known = ["none", "client_secret_basic", "client_secret_post"];
    // A program on the user's machine keeps no secret from the user, so it should have none where that is possible.
    let wanted =
        known.iter().find(|known| supported.iter().any(|method| method == *known)).unwrap_or(&"none");
    let request = json!({
        "client_name": CLIENT_NAME,
        "redirect_uris": [redirect_uri],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": wanted,
        "application_type": "native",
    });
    let what = "the registration endpoint";
    let answer = http.post_json(target, endpoint, &request, what).await;
    let answer = answer.map_err(|failure| failure.of(&target.server))?;
    if !answer.status.is_success() {
        let said: Option<serde_json::Value> = serde_json::from_slice(&answer.body).ok();
        let field = |name: &str| said.as_ref().and_then(|said| said.get(name)?.as_str()).map(brief);
        let why = field("error_description").or_else(|| field("error"));
        let why = why.unwrap_or_else(|| format!("HTTP {}", answer.status.as_u16()));
        let cause = format!("the authorization server did not register us: {why}");
        let remedy = "Register a client there by hand, and write `auth: { client_id: … }` into the config";
        return Err(Failure::new(Code::AuthFailed, cause).of(&target.server).remedy(remedy));
    }
    // Parse errors may quote the secret, so they are not told.
    let registered: Registered = serde_json::from_slice(&answer.body).map_err(|_| {
        let cause = "the registration endpoint gave an answer without a client id";
        Failure::new(Code::AuthFailed, cause).of(&target.server)
    })?;
    let secret = registered.client_secret.filter(|secret| !secret.is_empty());
    let method = match registered.token_endpoint_auth_method.as_deref().unwrap_or(wanted) {
        "client_secret_basic" if secret.is_some() => ClientAuth::ClientSecretBasic,
        "client_secret_post" if secret.is_some() => ClientAuth::ClientSecretPost,
        "none" => ClientAuth::None,
        _ => method(server, secret.is_some()),
    };
    tracing::info!(server = %target.server, "registered with the authorization server");
    Ok(Client {
        id: registered.client_id,
        secret: secret.map(Secret::new),
        method,
        origin: ClientOrigin::Registered,
        redirect_uri: Some(redirect_uri.to_owned()),
    })
}
