//! The authorization code flow (OAuth 2.1 §4.1): the address to open in a browser, and what comes back from it.

use reqwest::Url;

use super::discovery::Discovered;
use super::pkce;
use super::record::{Client, Grant, Login, Tokens};
use super::token::{Asker, brief};
use crate::failure::{Code, Failure};

/// A login that waits for a person.
#[derive(Debug)]
pub(super) struct Flow {
    /// What the login will be, without tokens.
    pub(super) login: Login,
    /// What the person opens.
    pub(super) url: Url,
    redirect_uri: String,
    state: String,
    verifier: String,
    /// Whether the authorization server has promised to say who it is (RFC 9207).
    names_itself: bool,
}

/// What the browser brings back.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Response {
    code: Option<String>,
    state: Option<String>,
    iss: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
}

/// What to make of it.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It is not about this login: somebody else sent it, or an old page was opened again.
    Foreign,
    /// The code to exchange for tokens.
    Code(String),
    /// The login has failed.
    Failed(Failure),
}

/// Codes are as good as tokens for a moment.
impl std::fmt::Debug for Response {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Response").field("error", &self.error).finish_non_exhaustive()
    }
}

impl Response {
    /// Of the query of the redirect address.
    pub(super) fn of_query(query: &str) -> Self {
        let mut response = Self::default();
        let Ok(url) = Url::parse(&format!("http://localhost/?{query}")) else { return response };
        for (name, value) in url.query_pairs() {
            let field = match &*name {
                "code" => &mut response.code,
                "state" => &mut response.state,
                "iss" => &mut response.iss,
                "error" => &mut response.error,
                "error_description" => &mut response.error_description,
                _ => continue,
            };
            *field = Some(value.into_owned());
        }
        response
    }

    /// Of what somebody pasted: the address of the page that the browser could not open, or only its query.
    pub(super) fn of_pasted(text: &str) -> Self {
        let query = text.trim().rsplit('?').next().unwrap_or_default();
        Self::of_query(query.split('#').next().unwrap_or_default())
    }
}

impl Flow {
    /// Prepares a login at this authorization server.
    ///
    /// # Errors
    /// The authorization server cannot do it safely: it has no login page, or does not support PKCE with `S256`.
    pub(super) fn begin(
        discovered: &Discovered,
        client: Client,
        redirect_uri: &str,
        scopes: Vec<String>,
    ) -> Result<Self, Failure> {
        let server = &discovered.server;
        let refused = |why: &str| {
            let cause = format!("the authorization server `{}` {why}", server.issuer);
            Failure::new(Code::AuthFailed, cause)
        };
        let page = server.authorization_endpoint.as_deref();
        let page = page.ok_or_else(|| refused("has no page for people to log in"))?;
        if !server.code_challenge_methods_supported.iter().any(|method| method == "S256") {
            return Err(refused(
                "does not say that it supports PKCE (`S256`), without which a login is not safe",
            ));
        }
        let mut url =
            Url::parse(page).map_err(|error| refused(&format!("has no usable login page: {error}")))?;
        let (state, verifier) = (pkce::random()?, pkce::random()?);
        let scope = scopes.join(" ");
        let mut query = url.query_pairs_mut();
        query.append_pair("response_type", "code").append_pair("client_id", &client.id);
        query.append_pair("redirect_uri", redirect_uri).append_pair("state", &state);
        query.append_pair("code_challenge", &pkce::challenge(&verifier));
        query.append_pair("code_challenge_method", "S256").append_pair("resource", &discovered.resource);
        if !scope.is_empty() {
            query.append_pair("scope", &scope);
        }
        // OpenID Connect Core §11: without this question, the scope is ignored.
        if scopes.iter().any(|scope| scope == "offline_access") {
            query.append_pair("prompt", "consent");
        }
        drop(query);
        Ok(Self {
            login: Login {
                issuer: server.issuer.clone(),
                resource: discovered.resource.clone(),
                grant: Grant::AuthorizationCode,
                client,
                token_endpoint: server.token_endpoint.clone(),
                revocation_endpoint: server.revocation_endpoint.clone(),
                requested: scopes,
                tokens: None,
            },
            url,
            redirect_uri: redirect_uri.to_owned(),
            state,
            verifier,
            names_itself: server.authorization_response_iss_parameter_supported,
        })
    }

    /// Judges what came back. The order matters: who did not send what we sent is not listened to, and who is not the
    /// authorization server that we asked is not even quoted (MCP 2026-07-28, "Authorization Response Validation").
    pub(super) fn judge(&self, response: Response) -> Verdict {
        let failed = |cause: String| Verdict::Failed(Failure::new(Code::AuthFailed, cause));
        if response.state.as_deref() != Some(&self.state) {
            return Verdict::Foreign;
        }
        match &response.iss {
            Some(iss) if *iss != self.login.issuer => {
                return failed(
                    "the answer does not come from the authorization server that was asked".to_owned(),
                );
            }
            None if self.names_itself => {
                return failed(
                    "the authorization server did not say who it is, as it had promised".to_owned(),
                );
            }
            _ => {}
        }
        match (response.error, response.code) {
            (Some(error), _) => {
                let why =
                    response.error_description.map(|why| format!(" ({})", brief(&why))).unwrap_or_default();
                failed(format!("the authorization server said `{}`{why}", brief(&error)))
            }
            (None, Some(code)) => Verdict::Code(code),
            (None, None) => {
                failed("the authorization server sent back neither a code nor an error".to_owned())
            }
        }
    }

    /// Exchanges the code for tokens.
    ///
    /// # Errors
    /// The authorization server refused, or could not be reached.
    pub(super) async fn redeem(&self, asker: &Asker<'_>, code: &str) -> Result<Tokens, Failure> {
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &self.redirect_uri),
            ("code_verifier", &self.verifier),
        ];
        let tokens = asker.ask(&self.login, &fields, &self.login.requested).await;
        tokens.map_err(super::token::Refusal::into_failure)
    }
}

#[cfg(test)]
mod tests {
    use super::super::discovery::AuthServer;
    use super::super::record::{ClientAuth, ClientOrigin};
    use super::*;
    use serde_json::{Value, json};

    fn begin(change: impl FnOnce(&mut Value)) -> Result<Flow, Failure> {
        let mut metadata = json!({
            "issuer": "https://login.example",
            "authorization_endpoint": "https://login.example/authorize?tenant=1",
            "token_endpoint": "https://login.example/token",
            "code_challenge_methods_supported": ["plain", "S256"],
        });
        change(&mut metadata);
        let server: AuthServer = serde_json::from_value(metadata).unwrap();
        let resource = "https://a.example/mcp".to_owned();
        let discovered = Discovered { resource, scopes: Vec::new(), server };
        let client = Client {
            id: "me".into(),
            secret: None,
            method: ClientAuth::None,
            origin: ClientOrigin::Configured,
            redirect_uri: None,
        };
        Flow::begin(&discovered, client, "http://127.0.0.1:1/callback", vec!["a".into(), "b".into()])
    }

    fn judge(flow: &Flow, query: &str) -> String {
        let query = query.replace("STATE", &flow.state);
        match flow.judge(Response::of_query(&query)) {
            Verdict::Foreign => "foreign".to_owned(),
            Verdict::Code(code) => format!("code {code}"),
            Verdict::Failed(failure) => failure.cause,
        }
    }

    #[test]
    fn the_request_says_all_it_must() {
        let flow = begin(|_| {}).unwrap();
        let query: Vec<(String, String)> = flow.url.query_pairs().into_owned().collect();
        let get = |name: &str| query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        assert_eq!(get("tenant"), Some("1"));
        assert_eq!(get("resource"), Some("https://a.example/mcp"));
        assert_eq!((get("scope"), get("code_challenge_method")), (Some("a b"), Some("S256")));
        assert_eq!(get("code_challenge"), Some(&*pkce::challenge(&flow.verifier)));
        assert_eq!(get("redirect_uri"), Some("http://127.0.0.1:1/callback"));
        assert!(!flow.url.as_str().contains(&flow.verifier));
    }

    #[test]
    fn without_pkce_there_is_no_login() {
        for methods in [json!(null), json!([]), json!(["plain"])] {
            let refused = begin(|metadata| match &methods {
                Value::Null => {
                    metadata.as_object_mut().unwrap().remove("code_challenge_methods_supported");
                }
                methods => metadata["code_challenge_methods_supported"] = methods.clone(),
            });
            assert!(refused.unwrap_err().cause.contains("PKCE"));
        }
    }

    #[test]
    fn who_did_not_get_our_state_is_not_listened_to() {
        let flow = begin(|_| {}).unwrap();
        assert_eq!(judge(&flow, "code=x"), "foreign");
        assert_eq!(judge(&flow, "code=x&state=guess"), "foreign");
        assert_eq!(judge(&flow, "error=x&state="), "foreign");
        assert_eq!(judge(&flow, "code=x+y&state=STATE"), "code x y");
        assert!(judge(&flow, "state=STATE").contains("neither"));
    }

    #[test]
    fn the_issuer_is_compared_letter_by_letter() {
        let silent = begin(|_| {}).unwrap();
        let promised =
            begin(|metadata| metadata["authorization_response_iss_parameter_supported"] = json!(true))
                .unwrap();
        let right = "code=x&state=STATE&iss=https%3A%2F%2Flogin.example";
        assert_eq!((judge(&silent, right), judge(&promised, right)), ("code x".into(), "code x".into()));
        assert!(judge(&promised, "code=x&state=STATE").contains("promised"));
        for wrong in ["https://login.example/", "https://LOGIN.example", "https://evil.example", ""] {
            for flow in [&silent, &promised] {
                let said =
                    judge(flow, &format!("error=evil&error_description=words&state=STATE&iss={wrong}"));
                assert!(said.contains("does not come from") && !said.contains("evil"), "{said}");
            }
        }
        assert!(
            judge(&silent, "error=access_denied&state=STATE&iss=https://login.example").contains("denied")
        );
    }

    #[test]
    fn what_people_paste() {
        let query = "code=c&state=s&iss=i";
        for text in ["http://127.0.0.1:1/callback?QUERY", " QUERY\n", "http://127.0.0.1:1/callback?QUERY#_=_"]
        {
            let response = Response::of_pasted(&text.replace("QUERY", query));
            assert_eq!(response, Response::of_query(query), "{text}");
        }
        assert_eq!(Response::of_pasted("hello"), Response::default());
    }
}
