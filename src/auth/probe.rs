//! What a server wants from somebody whom it does not know: the questions before a login.

use reqwest::RequestBuilder;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};

use super::http_client::{Answer, HttpClient};
use super::record::Asked;
use super::{Target, challenge};
use crate::config::{RemoteKind, ServerConfig};
use crate::failure::Failure;

/// The first request of the revisions with a handshake.
const INITIALIZE: &str = concat!(
    r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"#,
    r#""clientInfo":{"name":"switchboard","version":""#,
    env!("CARGO_PKG_VERSION"),
    r#""}}}"#
);
/// What comes after it.
const LIST: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
/// The same of the revision without a handshake.
const MODERN_LIST: &str = concat!(
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"#,
    r#""io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"#,
    r#""io.modelcontextprotocol/clientInfo":{"name":"switchboard","version":""#,
    env!("CARGO_PKG_VERSION"),
    r#""}}}}"#
);
const SESSION: &str = "mcp-session-id";

/// What came of it.
#[derive(Debug)]
pub(super) struct Probed {
    /// What the refusal told, if there was one.
    pub(super) asked: Asked,
    /// Whether everything was answered without a login.
    pub(super) open: bool,
}

/// Asks as somebody whom the server does not know. Some servers greet everybody and refuse what is asked next, so where
/// the greeting was no refusal, a second question follows. A server that refuses only some calls does not say it here,
/// but has said it when such a call was refused.
///
/// # Errors
/// The server cannot be reached.
pub(super) async fn probe(
    http: &HttpClient,
    target: &Target,
    config: &ServerConfig,
) -> Result<Probed, Failure> {
    let client = http.client(target)?;
    let url = || target.url.clone();
    if matches!(target.kind, RemoteKind::Sse | RemoteKind::WebSocket) {
        let request = client.get(url()).header(ACCEPT, "text/event-stream");
        return Ok(judge(&send(http, target, config, request).await?));
    }
    let post = |body: &'static str| {
        let request = client.post(url()).header(ACCEPT, "application/json, text/event-stream");
        request.header(CONTENT_TYPE, "application/json").body(body)
    };
    let first = send(http, target, config, post(INITIALIZE)).await?;
    if is_refusal(&first) || first.status.is_server_error() {
        return Ok(judge(&first));
    }
    let session = first.headers.get(SESSION).cloned();
    let list = match (first.status.is_success(), &session) {
        (true, Some(session)) => post(LIST).header(SESSION, session),
        (true, None) => post(LIST),
        (false, _) => {
            post(MODERN_LIST).header("mcp-protocol-version", "2026-07-28").header("mcp-method", "tools/list")
        }
    };
    // The greeting has been answered, so what becomes of this one is no reason to give up.
    let second = send(http, target, config, list).await;
    if let Some(session) = session {
        // We are not going to use it; that it stays is the server's matter then.
        let _ = send(http, target, config, client.delete(url()).header(SESSION, session)).await;
    }
    Ok(match second {
        Ok(second) if is_refusal(&second) => judge(&second),
        _ => judge(&first),
    })
}

async fn send(
    http: &HttpClient,
    target: &Target,
    config: &ServerConfig,
    mut request: RequestBuilder,
) -> Result<Answer, Failure> {
    for (name, value) in target.headers(config) {
        request = request.header(name, value);
    }
    http.send(target, request, "the server").await
}

fn is_refusal(answer: &Answer) -> bool {
    answer.status.as_u16() == 401
}

fn judge(answer: &Answer) -> Probed {
    let asked = match is_refusal(answer) {
        true => challenge::bearer(&challenges(answer)).asked,
        false => Asked::default(),
    };
    Probed { asked, open: answer.status.is_success() }
}

fn challenges(answer: &Answer) -> Vec<String> {
    let all = answer.headers.get_all(WWW_AUTHENTICATE).iter();
    all.filter_map(|value: &HeaderValue| value.to_str().ok()).map(str::to_owned).collect()
}
