//! Who gives out tokens for a server: from the server's description of itself (RFC 9728) to that of its authorization
//! server (RFC 8414, OpenID Connect Discovery), as MCP 2026-07-28, "Authorization Server Discovery", orders it.

use reqwest::Url;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Target;
use super::challenge;
use super::http_client::{Answer, HttpClient, shorten};
use super::record::Asked;
use crate::failure::{Code, Failure};

/// What was found.
#[derive(Clone, Debug)]
pub(super) struct Discovered {
    /// The server, as tokens name it.
    pub(super) resource: String,
    /// The scopes that the server says it needs.
    pub(super) scopes: Vec<String>,
    /// Its authorization server.
    pub(super) server: AuthServer,
}

/// An authorization server's description of itself, as far as we use it. Its addresses were checked.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct AuthServer {
    pub(super) issuer: String,
    pub(super) authorization_endpoint: Option<String>,
    pub(super) token_endpoint: String,
    pub(super) registration_endpoint: Option<String>,
    pub(super) revocation_endpoint: Option<String>,
    #[serde(default)]
    pub(super) scopes_supported: Vec<String>,
    pub(super) token_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    pub(super) code_challenge_methods_supported: Vec<String>,
    #[serde(default)]
    pub(super) authorization_response_iss_parameter_supported: bool,
    #[serde(default)]
    pub(super) client_id_metadata_document_supported: bool,
}

#[derive(Deserialize)]
struct Resource {
    resource: String,
    #[serde(default)]
    authorization_servers: Vec<String>,
    #[serde(default)]
    scopes_supported: Vec<String>,
}

/// Asks the server and its authorization server about themselves.
///
/// # Errors
/// They say nothing, what they say does not fit together, or they point to where we do not go.
pub(super) async fn discover(
    http: &HttpClient,
    target: &Target,
    asked: &Asked,
    configured: Option<&str>,
) -> Result<Discovered, Failure> {
    let (resource, scopes, issuer) = match resource(http, target, asked).await? {
        Some(found) => {
            let issuer = choose(target, &found.authorization_servers, configured)?;
            (found.resource, found.scopes_supported, issuer)
        }
        // Servers of 2025-03-26 do not describe themselves: there, the authorization server is at the server's origin.
        None => {
            let origin = target.url.origin().ascii_serialization();
            (target.resource(), Vec::new(), configured.map_or(origin, str::to_owned))
        }
    };
    let server = auth_server(http, target, &issuer).await?;
    let scopes = scopes.iter().flat_map(|scope| challenge::scopes(scope)).collect();
    Ok(Discovered { resource, scopes, server })
}

/// The server's description of itself: where its refusal says, else at the well-known places.
async fn resource(http: &HttpClient, target: &Target, asked: &Asked) -> Result<Option<Resource>, Failure> {
    let mut failure = None;
    let named = asked.resource_metadata.iter().cloned();
    for url in named.chain(well_known(&target.url)) {
        let what = "the server's metadata";
        let found = match http.get(target, &url, what).await {
            Ok(answer) if answer.status.is_success() => parse::<Resource>(target, &answer, &url),
            Ok(answer) => Err(not_found(target, what, &url, &answer)),
            Err(failure) => Err(failure.of(&target.server)),
        };
        match found.and_then(|found| covers(target, &found.resource).map(|()| found)) {
            Ok(found) => return Ok(Some(found)),
            // Behind a proxy that it does not know of, a server names an address of its own that is no good.
            Err(this) => {
                tracing::debug!(server = %target.server, %this, "no metadata");
                // What was found and is wrong is worth telling; that nothing is at a place is not.
                let is_told = asked.resource_metadata.as_deref() == Some(&url) || this.cause.contains("says");
                failure = failure.or(is_told.then_some(this));
            }
        }
    }
    failure.map_or(Ok(None), Err)
}

fn well_known(server: &Url) -> Vec<String> {
    let origin = server.origin().ascii_serialization();
    let root = format!("{origin}/.well-known/oauth-protected-resource");
    match server.path().trim_end_matches('/') {
        "" => vec![root],
        path => vec![format!("{root}{path}"), root],
    }
}

/// RFC 9728 §3.3 wants the described resource to be the one we talk to; in practice it may also be a part of the site
/// above it. Tokens for anything else would be tokens for somebody else.
fn covers(target: &Target, resource: &str) -> Result<(), Failure> {
    let fits = Url::parse(resource).is_ok_and(|resource| {
        let above = resource.path().trim_end_matches('/');
        let rest = target.url.path().strip_prefix(above);
        resource.origin() == target.url.origin()
            && resource.fragment().is_none()
            && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    });
    if fits {
        return Ok(());
    }
    let cause = format!(
        "the server's metadata says that it is about `{}`, which is not this server (`{}`)",
        shorten(resource),
        shorten(target.url.as_str())
    );
    Err(Failure::new(Code::AuthFailed, cause).of(&target.server))
}

fn choose(target: &Target, offered: &[String], configured: Option<&str>) -> Result<String, Failure> {
    let failed = |cause: String, remedy: &str| {
        Err(Failure::new(Code::AuthFailed, cause).of(&target.server).remedy(remedy))
    };
    match (configured, offered.first()) {
        (Some(issuer), Some(_)) if !offered.iter().any(|offered| offered == issuer) => {
            let offered: Vec<String> =
                offered.iter().map(|issuer| format!("`{}`", shorten(issuer))).collect();
            let cause =
                format!("the server does not trust the configured issuer, only {}", offered.join(", "));
            failed(cause, "Correct `auth.issuer` in the config")
        }
        (Some(issuer), _) => Ok(issuer.to_owned()),
        (None, Some(first)) => Ok(first.clone()),
        (None, None) => failed(
            "the server's metadata names no authorization server".to_owned(),
            "If you know it, write `auth: { issuer: … }` into the config",
        ),
    }
}

/// The description of an authorization server, from the places where it may stand.
async fn auth_server(http: &HttpClient, target: &Target, issuer: &str) -> Result<AuthServer, Failure> {
    let what = "the authorization server's metadata";
    let url = http.check(issuer, "the authorization server").map_err(|failure| failure.of(&target.server))?;
    let mut last = None;
    for place in places(&url) {
        let answer = http.get(target, &place, what).await.map_err(|failure| failure.of(&target.server))?;
        if answer.status.is_success() {
            let server = parse::<AuthServer>(target, &answer, &place)?;
            return check(http, target, issuer, server);
        }
        last = Some(not_found(target, what, &place, &answer));
    }
    let none = || Failure::new(Code::AuthFailed, format!("no place for {what}")).of(&target.server);
    Err(last.unwrap_or_else(none))
}

fn places(issuer: &Url) -> Vec<String> {
    let origin = issuer.origin().ascii_serialization();
    match issuer.path().trim_end_matches('/') {
        "" => vec![
            format!("{origin}/.well-known/oauth-authorization-server"),
            format!("{origin}/.well-known/openid-configuration"),
        ],
        path => vec![
            format!("{origin}/.well-known/oauth-authorization-server{path}"),
            format!("{origin}/.well-known/openid-configuration{path}"),
            format!("{origin}{path}/.well-known/openid-configuration"),
        ],
    }
}

/// RFC 8414 §3.3: a description that is not of the very issuer we asked about is not used.
fn check(
    http: &HttpClient,
    target: &Target,
    issuer: &str,
    server: AuthServer,
) -> Result<AuthServer, Failure> {
    if server.issuer != issuer {
        let (found, issuer) = (shorten(&server.issuer), shorten(issuer));
        let cause = format!("the metadata of the authorization server `{issuer}` says that it is `{found}`");
        return Err(Failure::new(Code::AuthFailed, cause).of(&target.server));
    }
    let endpoints = [
        (&server.authorization_endpoint, "the login page"),
        (&Some(server.token_endpoint.clone()), "the token endpoint"),
        (&server.registration_endpoint, "the registration endpoint"),
        (&server.revocation_endpoint, "the revocation endpoint"),
    ];
    for (endpoint, what) in endpoints {
        if let Some(url) = endpoint {
            http.check(url, what).map_err(|failure| failure.of(&target.server))?;
        }
    }
    Ok(server)
}

fn parse<T: DeserializeOwned>(target: &Target, answer: &Answer, url: &str) -> Result<T, Failure> {
    serde_json::from_slice(&answer.body).map_err(|error| {
        let cause = format!("`{}` says nothing that can be used: {error}", shorten(url));
        Failure::new(Code::AuthFailed, cause).of(&target.server)
    })
}

fn not_found(target: &Target, what: &str, url: &str, answer: &Answer) -> Failure {
    let cause = format!("{what} is not at `{}` (HTTP {})", shorten(url), answer.status.as_u16());
    Failure::new(Code::AuthFailed, cause).of(&target.server)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Target {
        Target::test(url)
    }

    #[test]
    fn the_places_are_tried_in_the_order_of_the_specification() {
        let places = |url: &str| super::places(&Url::parse(url).unwrap());
        assert_eq!(
            places("https://auth.example/tenant1"),
            [
                "https://auth.example/.well-known/oauth-authorization-server/tenant1",
                "https://auth.example/.well-known/openid-configuration/tenant1",
                "https://auth.example/tenant1/.well-known/openid-configuration",
            ]
        );
        assert_eq!(places("https://auth.example/").len(), 2);
        let of = |url: &str| well_known(&Url::parse(url).unwrap());
        assert_eq!(
            of("https://a.example:8443/public/mcp?x"),
            [
                "https://a.example:8443/.well-known/oauth-protected-resource/public/mcp",
                "https://a.example:8443/.well-known/oauth-protected-resource",
            ]
        );
        assert_eq!(of("https://a.example/").len(), 1);
    }

    #[test]
    fn a_description_of_somebody_else_is_refused() {
        let covers = |resource: &str| covers(&target("https://a.example/team/mcp?x=1"), resource).is_ok();
        for resource in [
            "https://a.example/team/mcp",
            "https://a.example/team/",
            "https://a.example",
            "https://A.example/",
        ] {
            assert!(covers(resource), "{resource}");
        }
        for resource in [
            "https://b.example/team/mcp",
            "http://a.example/team/mcp",
            "https://a.example:444/",
            "https://a.example/tea",
            "https://a.example/other",
            "https://a.example/team/mcp/x",
            "https://a.example/#x",
            "nonsense",
        ] {
            assert!(!covers(resource), "{resource}");
        }
    }

    #[test]
    fn the_configured_issuer_must_be_one_of_the_offered() {
        let offered = ["https://x.example".to_owned(), "https://y.example".to_owned()];
        let choose =
            |offered: &[String], configured| choose(&target("https://a.example"), offered, configured);
        assert_eq!(choose(&offered, None).unwrap(), "https://x.example");
        assert_eq!(choose(&offered, Some("https://y.example")).unwrap(), "https://y.example");
        assert!(choose(&offered, Some("https://y.example/")).is_err());
        assert!(choose(&[], None).is_err());
    }
}
