//! One HTTP client per server: its connections, its trust, its credentials, and the rules for every request.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use reqwest::redirect;
use reqwest::{Response, Url};

use super::body;
use super::errors::{self, Refusal};
use crate::config::RemoteLaunch;
use crate::failure::{Code, Failure};
use crate::transport::tls::{self, Trust};
use crate::transport::{AuthProvider, Challenge, Fate, Patience, no_auth};

/// How many redirects within one origin are followed.
const MAX_REDIRECTS: usize = 5;
/// How much of the body of a refusal is read.
const MAX_REFUSAL: usize = 64 * 1024;
/// Idle connections are kept for less than the five seconds after which Node and Uvicorn, which stand behind most
/// servers, close theirs: a request that meets the closing has an outcome that nobody knows.
const KEEP_IDLE: Duration = Duration::from_secs(4);
/// How often a connection that is waiting is probed, and how long a probe may take.
const PROBE: Duration = Duration::from_secs(30);

/// The way to one server over HTTP.
pub(super) struct Client {
    http: reqwest::Client,
    /// Where the server is.
    pub url: Url,
    /// The address for people: the origin alone, because secrets may stand in the rest.
    pub place: String,
    /// What is told to whoever knows the credentials.
    audience: String,
    headers: HeaderMap,
    auth: Arc<dyn AuthProvider>,
    pub patience: Patience,
}

/// One request.
#[derive(Clone)]
pub(super) struct Request<'a> {
    pub method: Method,
    pub url: &'a Url,
    pub headers: HeaderMap,
    pub body: Option<Bytes>,
    /// How long the head of the answer may take.
    pub head: Duration,
}

impl Client {
    pub(super) fn new(
        launch: &RemoteLaunch,
        auth: Arc<dyn AuthProvider>,
        patience: Patience,
    ) -> Result<Self, Failure> {
        let (url, socket) = address(&launch.url)?;
        let trust = match (url.scheme(), &launch.ca) {
            ("https", Some(file)) => Trust::SystemAnd(file),
            ("https", None) => Trust::System,
            _ => Trust::Nothing,
        };
        let mut tls = tls::client_config(trust)?;
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .user_agent(concat!("switchboard/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(patience.connect)
            .pool_idle_timeout(KEEP_IDLE)
            .tcp_keepalive(PROBE)
            .http2_keep_alive_interval(PROBE)
            .http2_keep_alive_timeout(PROBE)
            .redirect(redirect::Policy::custom(within_origin))
            .referer(false);
        // What runs on this machine is never reached through a proxy: the proxy would look for it on its own.
        if socket.is_some() || is_loopback(&url) {
            builder = builder.no_proxy();
        }
        let place = match &socket {
            Some(path) => format!("the socket {path}"),
            None => url.origin().ascii_serialization(),
        };
        #[cfg(unix)]
        if let Some(path) = socket {
            builder = builder.unix_socket(path);
        }
        #[cfg(not(unix))]
        if socket.is_some() {
            return Err(Failure::new(Code::ConfigValue, "this system has no Unix sockets"));
        }
        let http = builder.build().map_err(|error| {
            Failure::new(Code::NetTls, format!("no HTTP client can be made: {}", errors::chain(&error)))
        })?;
        let headers = configured(launch)?;
        Ok(Self { http, url, place, audience: launch.url.clone(), headers, auth, patience })
    }

    /// Sends a request and gives the answer, if it says that all is well.
    ///
    /// A refusal for want of credentials is told to whoever knows them; with other ones the request is sent once more.
    pub(super) async fn send(&self, request: Request<'_>) -> Result<Response, Refusal> {
        let mut again = false;
        loop {
            let credentials = self.auth.authorize(&self.audience).await.map_err(Refusal::not_run)?;
            let response = self.send_once(&request, credentials.clone()).await?;
            let status = response.status();
            if status.is_success() {
                return Ok(response);
            }
            if !matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
                return Err(self.refusal(response).await);
            }
            let challenge = self.challenge(&response, &credentials);
            let mut refusal = self.refusal(response).await;
            if again {
                refusal.failure = no_auth::refused(status.as_u16());
                return Err(refusal);
            }
            if let Err(failure) = self.auth.challenged(&challenge).await {
                refusal.failure = failure;
                return Err(refusal);
            }
            again = true;
        }
    }

    async fn send_once(
        &self,
        request: &Request<'_>,
        credentials: Vec<(HeaderName, HeaderValue)>,
    ) -> Result<Response, Refusal> {
        let mut built = reqwest::Request::new(request.method.clone(), request.url.clone());
        *built.body_mut() = request.body.clone().map(reqwest::Body::from);
        let headers = built.headers_mut();
        headers.extend(self.headers.clone());
        for (name, mut value) in credentials {
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        headers.extend(request.headers.clone());
        match tokio::time::timeout(request.head, self.http.execute(built)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(errors::of_request(&error, &self.place)),
            Err(_) => Err(Refusal::of(
                Fate::Unknown,
                Failure::new(
                    Code::NetTimeout,
                    format!("{} did not begin to answer within {} s", self.place, request.head.as_secs()),
                ),
            )),
        }
    }

    fn challenge(&self, response: &Response, credentials: &[(HeaderName, HeaderValue)]) -> Challenge {
        let words = response.headers().get_all(WWW_AUTHENTICATE).iter();
        let sent = credentials.iter().find(|(name, _)| name == AUTHORIZATION).map(|(_, value)| value.clone());
        Challenge {
            url: self.audience.clone(),
            status: response.status().as_u16(),
            www_authenticate: words
                .map(|word| String::from_utf8_lossy(word.as_bytes()).into_owned())
                .collect(),
            sent: sent.or_else(|| self.headers.get(AUTHORIZATION).cloned()),
        }
    }

    /// Reads what a server says to a refusal.
    async fn refusal(&self, response: Response) -> Refusal {
        let status = response.status();
        let retry_after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.trim().parse().ok())
            .map(Duration::from_secs);
        let location = response.headers().get(http::header::LOCATION);
        let location = location.and_then(|to| self.url.join(&String::from_utf8_lossy(to.as_bytes())).ok());
        let is_html = content_type(&response).contains("html");
        // A refusal without a readable body is a refusal all the same.
        let body = body::read(response, MAX_REFUSAL, &self.patience, &self.place).await.unwrap_or_default();
        let (failure, fate) = match (status.is_redirection(), location) {
            (true, Some(to)) => (errors::redirect(&self.place, &self.url, &to), Fate::NotRun),
            _ => {
                let said = if is_html { &[][..] } else { &body[..] };
                errors::of_status(status, retry_after, said, &self.place)
            }
        };
        Refusal { failure, fate, status: Some(status), body, retry_after }
    }
}

/// The media type of an answer in lower case, without parameters.
pub(super) fn content_type(response: &Response) -> String {
    let value =
        response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// An address to speak HTTP with, and the socket, if it lies behind one.
fn address(text: &str) -> Result<(Url, Option<String>), Failure> {
    let wrong = |why: String| Failure::new(Code::ConfigValue, format!("`url` cannot be used: {why}"));
    let Some(rest) = text.strip_prefix("http+unix://") else {
        return Ok((Url::parse(text).map_err(|error| wrong(error.to_string()))?, None));
    };
    let (socket, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let socket = percent_encoding::percent_decode_str(socket).decode_utf8();
    let socket = socket.map_err(|_| wrong("the path of the socket is not UTF-8".to_owned()))?;
    if socket.is_empty() {
        let example =
            "the path of the socket stands in the place of the host, as in `http+unix://%2Frun%2Fx.sock/mcp`";
        return Err(wrong(example.to_owned()));
    }
    let url = Url::parse(&format!("http://localhost{path}")).map_err(|error| wrong(error.to_string()))?;
    Ok((url, Some(socket.into_owned())))
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// A redirect is followed if it keeps method, body and origin; every other one comes back as the answer it is.
fn within_origin(attempt: redirect::Attempt<'_>) -> redirect::Action {
    let keeps_method =
        matches!(attempt.status(), StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT);
    let same_origin = attempt.previous().last().is_some_and(|from| from.origin() == attempt.url().origin());
    if keeps_method && same_origin && attempt.previous().len() <= MAX_REDIRECTS {
        attempt.follow()
    } else {
        attempt.stop()
    }
}

/// The headers of the config. Those that belong to the protocol are ours alone.
pub(in crate::transport) fn configured(launch: &RemoteLaunch) -> Result<HeaderMap, Failure> {
    let mut headers = HeaderMap::new();
    for (name, value) in &launch.headers {
        let wrong = |what: &str| {
            Failure::new(Code::ConfigValue, format!("the header `{name}` under `headers` has {what}"))
        };
        let key = HeaderName::try_from(name.as_str()).map_err(|_| wrong("a name that no header can have"))?;
        let mut value = HeaderValue::try_from(value.expose().trim())
            .map_err(|_| wrong("a value that no header can hold"))?;
        if is_ours(&key) {
            tracing::warn!(header = %key, "a configured header is not sent: it belongs to the protocol");
            continue;
        }
        value.set_sensitive(true);
        headers.append(key, value);
    }
    Ok(headers)
}

fn is_ours(name: &HeaderName) -> bool {
    const OURS: [&str; 8] = [
        "accept",
        "accept-encoding",
        "connection",
        "content-length",
        "content-type",
        "host",
        "last-event-id",
        "transfer-encoding",
    ];
    OURS.contains(&name.as_str()) || name.as_str().starts_with("mcp-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_over_sockets() {
        let (url, socket) = address("http+unix://%2Frun%2Fa%20b.sock/mcp?x=1").unwrap();
        assert_eq!((url.as_str(), socket.as_deref()), ("http://localhost/mcp?x=1", Some("/run/a b.sock")));
        let (url, socket) = address("http+unix://%2Frun%2Fx.sock").unwrap();
        assert_eq!((url.as_str(), socket.as_deref()), ("http://localhost/", Some("/run/x.sock")));
        assert_eq!(address("http+unix:///run/x.sock").unwrap_err().code, Code::ConfigValue);
        assert_eq!(address("http://").unwrap_err().code, Code::ConfigValue);
    }

    #[test]
    fn what_is_on_this_machine() {
        for (url, expected) in [
            ("http://localhost:3000/mcp", true),
            ("http://127.0.0.1/", true),
            ("http://[::1]:1/", true),
            ("http://localhost.example/", false),
            ("http://192.168.0.1/", false),
        ] {
            assert_eq!(is_loopback(&Url::parse(url).unwrap()), expected, "{url}");
        }
    }
}
