//! A protected server and an authorization server, in this process, that do what a test tells them and note what they
//! were asked. The test is the transport and the browser.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use reqwest::Url;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::super::{Attempt, AuthStore, pkce, provider_for};
use crate::auth::record::Record;
use crate::auth::store::Shelf;
use crate::config::{AuthConfig, Launch, RemoteKind, RemoteLaunch, ServerConfig};
use crate::failure::Failure;
use crate::transport::{AuthProvider, Challenge};

/// How the two servers behave.
#[derive(Clone)]
pub(super) struct Rules {
    /// Changes to the authorization server's metadata; `null` takes a member out.
    pub(super) metadata: Value,
    /// Changes to the server's metadata; `null` as a whole means that there is none.
    pub(super) resource: Value,
    /// The `iss` of redirects; `None` is the right one.
    pub(super) iss: Option<&'static str>,
    /// What the refusal asks for.
    pub(super) scope: &'static str,
    /// How the server answers a greeting, whoever comes; `None` is a refusal.
    pub(super) greets: Option<u16>,
    /// Whether the refusal says where the metadata is.
    pub(super) names_metadata: bool,
    /// Whether a new refresh token comes with each renewal.
    pub(super) rotates: bool,
    /// Whether the server refuses whatever it gets.
    pub(super) never_content: bool,
    /// The answer of the token endpoint, whatever is asked.
    pub(super) token_answer: Option<(u16, Value)>,
    /// The person's answer, if it is not yes.
    pub(super) person: Option<&'static str>,
}

#[derive(Default)]
struct Book {
    clients: HashMap<String, (Option<String>, Vec<String>)>,
    codes: HashMap<String, Vec<(String, String)>>,
    access: HashMap<String, Vec<String>>,
    refresh: HashMap<String, (String, Vec<String>)>,
    /// Every form that the token and revocation endpoints got.
    forms: Vec<HashMap<String, String>>,
    registrations: Vec<Value>,
    paths: Vec<String>,
}

pub(super) struct World {
    pub(super) rules: Mutex<Rules>,
    book: Mutex<Book>,
    server: String,
    login: String,
    state: TempDir,
}

impl World {
    pub(super) async fn new() -> Arc<Self> {
        let (server, login) = (bind().await, bind().await);
        let origin = |listener: &TcpListener| format!("http://{}", listener.local_addr().unwrap());
        let world = Arc::new(Self {
            rules: Mutex::new(Rules {
                metadata: json!({}),
                resource: json!({}),
                iss: None,
                scope: "",
                greets: None,
                names_metadata: true,
                rotates: true,
                never_content: false,
                token_answer: None,
                person: None,
            }),
            book: Mutex::default(),
            server: origin(&server),
            login: origin(&login),
            state: tempfile::tempdir().unwrap(),
        });
        for (listener, is_login) in [(server, false), (login, true)] {
            let world = Arc::clone(&world);
            tokio::spawn(async move {
                loop {
                    let Ok((stream, _)) = listener.accept().await else { return };
                    let world = Arc::clone(&world);
                    tokio::spawn(async move {
                        let service = service_fn(move |request| {
                            let world = Arc::clone(&world);
                            async move { Ok::<_, Infallible>(world.answer(request, is_login).await) }
                        });
                        let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                    });
                }
            });
        }
        world
    }

    pub(super) fn rule(&self, change: impl FnOnce(&mut Rules)) {
        change(&mut self.rules.lock().unwrap());
    }

    /// Registers a client by hand.
    pub(super) fn register(&self, id: &str, secret: &str) {
        let client = (Some(secret.to_owned()).filter(|secret| !secret.is_empty()), Vec::new());
        self.book.lock().unwrap().clients.insert(id.to_owned(), client);
    }

    // === what the test sees ===

    pub(super) fn url(&self) -> String {
        format!("{}/team/mcp", self.server)
    }

    pub(super) fn issuer(&self) -> &str {
        &self.login
    }

    pub(super) fn config(&self, auth: AuthConfig) -> ServerConfig {
        let mut config = ServerConfig::stdio("files", "x", &[]);
        config.launch = Launch::Remote(RemoteLaunch {
            url: self.url(),
            kind: RemoteKind::Http,
            headers: Vec::new(),
            ca: None,
        });
        config.auth = auth;
        config
    }

    pub(super) fn store(&self) -> AuthStore {
        AuthStore::new(self.state.path())
    }

    pub(super) fn shelf(&self) -> Shelf {
        self.store().shelf(&"files".into(), &self.url())
    }

    pub(super) fn record(&self) -> Record {
        self.shelf().load().unwrap()
    }

    pub(super) async fn change_record(&self, change: impl FnOnce(&mut Record)) {
        let lock = self.shelf().lock().await.unwrap();
        let mut record = self.record();
        change(&mut record);
        self.shelf().save(&lock, &record).unwrap();
    }

    /// Lets the access token end, by our clock and by the server's.
    pub(super) async fn expire(&self) {
        self.forget_access();
        self.change_record(|record| {
            let tokens = record.login.as_mut().unwrap().tokens.as_mut().unwrap();
            tokens.expires_at = Some(tokens.obtained_at);
        })
        .await;
    }

    /// Lets the access tokens end where we do not see it.
    pub(super) fn forget_access(&self) {
        self.book.lock().unwrap().access.clear();
    }

    pub(super) fn forget_refresh(&self) {
        self.book.lock().unwrap().refresh.clear();
    }

    /// The forms of this grant, in their order.
    pub(super) fn forms(&self, grant: &str) -> Vec<HashMap<String, String>> {
        let book = self.book.lock().unwrap();
        book.forms
            .iter()
            .filter(|form| form.get("grant_type").is_some_and(|is| is == grant))
            .cloned()
            .collect()
    }

    pub(super) fn revoked(&self) -> Vec<HashMap<String, String>> {
        let book = self.book.lock().unwrap();
        book.forms.iter().filter(|form| form.contains_key("token")).cloned().collect()
    }

    pub(super) fn registrations(&self) -> Vec<Value> {
        self.book.lock().unwrap().registrations.clone()
    }

    pub(super) fn paths(&self) -> Vec<String> {
        self.book.lock().unwrap().paths.clone()
    }

    pub(super) fn tokens(&self) -> Vec<String> {
        let book = self.book.lock().unwrap();
        book.access.keys().chain(book.refresh.keys()).cloned().collect()
    }

    // === what the test does ===

    pub(super) fn provider(&self, auth: AuthConfig) -> Arc<dyn AuthProvider> {
        provider_for(&self.config(auth), &self.store())
    }

    /// A request as the transport makes it: once more after a refusal, if the provider says so.
    pub(super) async fn call(&self, provider: &dyn AuthProvider, needs: &str) -> Result<u16, Failure> {
        let url = self.url();
        for attempt in 0.. {
            let headers = provider.authorize(&url).await?;
            let sent = headers.first().map(|(_, value)| value.clone());
            let mut request = client().post(&url).header("x-needs", needs);
            for (name, value) in headers {
                request = request.header(name, value);
            }
            let answer = request.send().await.unwrap();
            let status = answer.status().as_u16();
            if attempt == 1 || !matches!(status, 401 | 403) {
                return Ok(status);
            }
            let told = answer.headers().get_all("www-authenticate").iter();
            let www_authenticate = told.map(|value| value.to_str().unwrap().to_owned()).collect();
            provider.challenged(&Challenge { url: url.clone(), status, www_authenticate, sent }).await?;
        }
        unreachable!()
    }

    /// A login, with a person who agrees in a browser.
    pub(super) async fn log_in(&self, auth: AuthConfig) -> Result<(), Failure> {
        self.log_in_for(auth, &[]).await
    }

    pub(super) async fn log_in_for(&self, auth: AuthConfig, scopes: &[&str]) -> Result<(), Failure> {
        let scopes: Vec<String> = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        let attempt = Attempt::begin(&self.config(auth), &self.store(), &scopes).await?;
        let page = attempt.url().to_owned();
        let (_typist, mut pasted) = mpsc::channel(1);
        let browser = async {
            let back = browse(&page).await;
            client().get(back).send().await.unwrap().status().as_u16()
        };
        let (finished, shown) = tokio::join!(attempt.finish(&mut pasted, || {}), browser);
        assert!(shown == 200 || (shown == 400 && finished.is_err()), "{finished:?} {shown}");
        finished
    }

    // === what the servers do ===

    async fn answer(&self, request: Request<Incoming>, is_login: bool) -> Response<Full<Bytes>> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let path = parts.uri.path().to_owned();
        self.book.lock().unwrap().paths.push(path.clone());
        let rules = self.rules.lock().unwrap().clone();
        match (is_login, path.as_str()) {
            (false, "/team/mcp") => match rules.greets.filter(|_| is_greeting(&body)) {
                Some(status) => reply(status, &json!({})),
                None => self.resource(&parts.headers, &rules),
            },
            (false, "/.well-known/oauth-protected-resource/team/mcp") if !rules.resource.is_null() => {
                let metadata = json!({ "resource": self.url(), "authorization_servers": [self.login] });
                reply(200, &merged(metadata, &rules.resource))
            }
            (true, "/.well-known/oauth-authorization-server") => {
                let at = |path: &str| format!("{}{path}", self.login);
                let metadata = json!({
                    "issuer": self.login,
                    "authorization_endpoint": at("/authorize"),
                    "token_endpoint": at("/token"),
                    "registration_endpoint": at("/register"),
                    "revocation_endpoint": at("/revoke"),
                    "code_challenge_methods_supported": ["S256"],
                    "authorization_response_iss_parameter_supported": true,
                });
                reply(200, &merged(metadata, &rules.metadata))
            }
            (true, "/authorize") => self.authorize(parts.uri.query().unwrap_or_default(), &rules),
            (true, "/register") => self.registered(&body),
            (true, "/token") => self.token(&parts.headers, &body, &rules),
            (true, "/revoke") => {
                let form = form(&body);
                let mut book = self.book.lock().unwrap();
                book.access.remove(&form["token"]);
                book.refresh.remove(&form["token"]);
                book.forms.push(form);
                reply(200, &json!({}))
            }
            _ => reply(404, &json!({})),
        }
    }

    fn resource(&self, headers: &http::HeaderMap, rules: &Rules) -> Response<Full<Bytes>> {
        let token = headers.get("authorization").and_then(|value| value.to_str().ok());
        let token = token.and_then(|value| value.strip_prefix("Bearer "));
        let granted = token.and_then(|token| self.book.lock().unwrap().access.get(token).cloned());
        let needs = headers.get("x-needs").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let missing =
            |granted: &Vec<String>| !needs.split_whitespace().all(|need| granted.iter().any(|is| is == need));
        let (status, mut told) = match granted.filter(|_| !rules.never_content) {
            Some(granted) if missing(&granted) => {
                (403, format!("Bearer error=\"insufficient_scope\", scope=\"{needs}\""))
            }
            Some(_) => return reply(200, &json!({})),
            None if rules.scope.is_empty() => (401, "Bearer realm=\"x\"".to_owned()),
            None => (401, format!("Bearer scope=\"{}\"", rules.scope)),
        };
        if rules.names_metadata {
            let place = "/.well-known/oauth-protected-resource/team/mcp";
            told.push_str(&format!(", resource_metadata=\"{}{place}\"", self.server));
        }
        let mut answer = reply(status, &json!({}));
        answer.headers_mut().insert("www-authenticate", HeaderValue::from_str(&told).unwrap());
        answer
    }

    fn authorize(&self, query: &str, rules: &Rules) -> Response<Full<Bytes>> {
        let asked: Vec<(String, String)> =
            Url::parse(&format!("http://x/?{query}")).unwrap().query_pairs().into_owned().collect();
        let get = |name: &str| asked.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        assert_eq!(get("response_type"), Some("code"));
        assert_eq!(get("code_challenge_method"), Some("S256"));
        let redirect_uri = get("redirect_uri").unwrap();
        let mut book = self.book.lock().unwrap();
        if let Some((_, uris)) = book.clients.get(get("client_id").unwrap()) {
            assert!(uris.is_empty() || uris.iter().any(|uri| uri == redirect_uri), "{uris:?}");
        }
        let mut back = Url::parse(redirect_uri).unwrap();
        back.query_pairs_mut()
            .append_pair("state", get("state").unwrap())
            .append_pair("iss", rules.iss.unwrap_or(&self.login));
        match rules.person {
            Some(error) => {
                back.query_pairs_mut()
                    .append_pair("error", error)
                    .append_pair("error_description", "No, thanks");
            }
            None => {
                let code = fresh("code");
                back.query_pairs_mut().append_pair("code", &code);
                book.codes.insert(code, asked.clone());
            }
        }
        let mut answer = reply(302, &json!({}));
        answer.headers_mut().insert("location", HeaderValue::from_str(back.as_str()).unwrap());
        answer
    }

    fn registered(&self, body: &[u8]) -> Response<Full<Bytes>> {
        let asked: Value = serde_json::from_slice(body).unwrap();
        let id = fresh("client");
        let secret = (asked["token_endpoint_auth_method"] != "none").then(|| fresh("secret"));
        let uris = serde_json::from_value(asked["redirect_uris"].clone()).unwrap();
        let mut book = self.book.lock().unwrap();
        book.clients.insert(id.clone(), (secret.clone(), uris));
        book.registrations.push(asked);
        reply(201, &json!({ "client_id": id, "client_secret": secret }))
    }

    fn token(&self, headers: &http::HeaderMap, body: &[u8], rules: &Rules) -> Response<Full<Bytes>> {
        let mut form = form(body);
        if let Some(basic) = headers.get("authorization").and_then(|value| value.to_str().ok()) {
            let pair = STANDARD.decode(basic.strip_prefix("Basic ").unwrap()).unwrap();
            let pair = String::from_utf8(pair).unwrap();
            let (id, secret) = pair.split_once(':').unwrap();
            form.extend([("client_id".into(), id.into()), ("client_secret".into(), secret.into())]);
            form.insert("basic".into(), "yes".into());
        }
        // The test looks at the signature.
        if let Some(assertion) = form.get("client_assertion") {
            let claims = assertion.split('.').nth(1).unwrap();
            let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
            form.insert("client_id".into(), claims["sub"].as_str().unwrap().to_owned());
        }
        let mut book = self.book.lock().unwrap();
        book.forms.push(form.clone());
        if let Some((status, answer)) = &rules.token_answer {
            return reply(*status, answer);
        }
        let get = |name: &str| form.get(name).map(String::as_str);
        assert_eq!(get("resource"), Some(self.url().as_str()), "every token request names the resource");
        let id = get("client_id").unwrap_or_default().to_owned();
        match book.clients.get(&id) {
            Some((secret, _)) if secret.as_deref() != get("client_secret") => {
                return reply(401, &json!({ "error": "invalid_client" }));
            }
            None if !id.starts_with("https://") => return reply(401, &json!({ "error": "invalid_client" })),
            _ => {}
        }
        let scopes = |text: Option<&str>| -> Vec<String> {
            text.unwrap_or_default().split_whitespace().map(str::to_owned).collect()
        };
        let refused = reply(400, &json!({ "error": "invalid_grant", "error_description": "no such grant" }));
        let granted = match get("grant_type") {
            Some("authorization_code") => {
                let Some(asked) = book.codes.remove(get("code").unwrap()) else { return refused };
                let asked: HashMap<String, String> = asked.into_iter().collect();
                assert_eq!(asked["client_id"], id);
                assert_eq!(asked["redirect_uri"], get("redirect_uri").unwrap());
                assert_eq!(asked["resource"], get("resource").unwrap());
                assert_eq!(asked["code_challenge"], pkce::challenge(get("code_verifier").unwrap()));
                scopes(asked.get("scope").map(String::as_str))
            }
            Some("refresh_token") => match book.refresh.get(get("refresh_token").unwrap()).cloned() {
                Some((owner, scopes)) if owner == id => {
                    if rules.rotates {
                        book.refresh.remove(get("refresh_token").unwrap());
                    }
                    scopes
                }
                _ => return refused,
            },
            Some("client_credentials") => scopes(get("scope")),
            other => panic!("{other:?}"),
        };
        let access = fresh("access");
        book.access.insert(access.clone(), granted.clone());
        let mut answer = json!({ "access_token": access, "token_type": "bearer", "expires_in": 3600 });
        let first = get("grant_type") == Some("authorization_code");
        if first || (rules.rotates && get("grant_type") == Some("refresh_token")) {
            let refresh = fresh("refresh");
            book.refresh.insert(refresh.clone(), (id, granted));
            answer["refresh_token"] = refresh.into();
        }
        reply(200, &answer)
    }
}

/// Different in every world, so that what one gave cannot be taken for what another did.
fn fresh(what: &str) -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    format!("{what}-{}-n0t-printed", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Opens the login page; the person agrees; the address to which the browser is sent.
pub(super) async fn browse(page: &str) -> String {
    let answer = client().get(page).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::FOUND);
    answer.headers()["location"].to_str().unwrap().to_owned()
}

pub(super) fn client() -> reqwest::Client {
    super::super::install_tls_provider();
    let builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    builder.no_proxy().tls_certs_only([]).build().unwrap()
}

async fn bind() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

fn merged(mut metadata: Value, changes: &Value) -> Value {
    for (key, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(metadata.as_object_mut().unwrap().remove(key)),
            value => metadata[key] = value.clone(),
        }
    }
    metadata
}

fn is_greeting(body: &[u8]) -> bool {
    serde_json::from_slice::<Value>(body).is_ok_and(|message| message["method"] == "initialize")
}

fn form(body: &[u8]) -> HashMap<String, String> {
    let query = std::str::from_utf8(body).unwrap();
    Url::parse(&format!("http://x/?{query}")).unwrap().query_pairs().into_owned().collect()
}

fn reply(status: u16, body: &Value) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(Bytes::from(body.to_string())));
    *answer.status_mut() = StatusCode::from_u16(status).unwrap();
    answer
}
