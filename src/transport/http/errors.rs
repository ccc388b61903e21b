//! What went wrong on the way to a server, told so that it can be mended, and what became of the request.

use std::error::Error;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use reqwest::Url;

use crate::failure::{Code, Failure};
use crate::transport::Fate;
use crate::wire::json;

/// How much of what a server says goes into a failure, in characters.
const MAX_EXCERPT: usize = 200;

/// A request that was not answered with what it asked for.
#[derive(Debug)]
pub(super) struct Refusal {
    pub failure: Failure,
    pub fate: Fate,
    /// The status, if there was an answer.
    pub status: Option<StatusCode>,
    /// The beginning of the answer's body.
    pub body: Bytes,
    /// How long the server asks to wait.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    pub(super) fn of(fate: Fate, failure: Failure) -> Self {
        Self { failure, fate, status: None, body: Bytes::new(), retry_after: None }
    }

    pub(super) fn not_run(failure: Failure) -> Self {
        Self::of(Fate::NotRun, failure)
    }

    /// Whether the same may go well later: there was no answer, or one that asks for patience.
    pub(super) fn is_passing(&self) -> bool {
        self.status.is_none_or(|status| {
            status == StatusCode::TOO_MANY_REQUESTS
                || (status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED)
        })
    }
}

/// Why a request brought no answer at all.
pub(super) fn of_request(error: &reqwest::Error, place: &str) -> Refusal {
    let fate = if error.is_connect() || error.is_builder() { Fate::NotRun } else { Fate::Unknown };
    Refusal::of(fate, of_error(error, place))
}

/// What an error of the HTTP client says.
pub(super) fn of_error(error: &reqwest::Error, place: &str) -> Failure {
    if let Some(tls) = find::<rustls::Error>(error) {
        return Failure::new(Code::NetTls, format!("the certificate of {place} was not accepted: {tls}"))
            .remedy("For a private authority set `tls: { ca: FILE }`");
    }
    if error.is_connect() {
        return unreachable(error, error.is_timeout(), place);
    }
    if error.is_timeout() {
        return Failure::new(Code::NetTimeout, format!("{place} took too long: {}", chain(error)));
    }
    if error.is_decode() {
        return Failure::new(
            Code::NetProtocol,
            format!("{place} sent a body that cannot be unpacked: {}", chain(error)),
        );
    }
    Failure::new(Code::NetLost, format!("the connection to {place} broke: {}", chain(error)))
}

/// Why there is no connection.
pub(in crate::transport) fn unreachable(
    error: &(dyn Error + 'static),
    timeout: bool,
    place: &str,
) -> Failure {
    let kind = find::<io::Error>(error).map(io::Error::kind);
    let text = chain(error);
    if timeout || kind == Some(io::ErrorKind::TimedOut) {
        return Failure::new(Code::NetTimeout, format!("{place} did not take the connection in time"))
            .remedy("Check `url`, the network and the firewall between");
    }
    let (cause, remedy) = match kind {
        _ if text.contains("proxy") || text.contains("tunnel") => (
            format!("the proxy on the way to {place} did not let us pass: {text}"),
            "Check `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`",
        ),
        Some(io::ErrorKind::ConnectionRefused) => (
            format!("{place} refused the connection: nobody listens there"),
            "Start the server, or correct `url`",
        ),
        Some(io::ErrorKind::NotFound) => {
            (format!("{place} does not exist"), "Start the server, or correct `url`")
        }
        _ if text.contains("dns") || text.contains("lookup") => {
            (format!("the name of {place} is unknown: {text}"), "Check the spelling of `url` and the network")
        }
        _ => (format!("{place} cannot be reached: {text}"), "Check `url` and the network"),
    };
    Failure::new(Code::NetUnreachable, cause).remedy(remedy)
}

/// What a status says, and whether it is certain that nothing was run.
pub(in crate::transport) fn of_status(
    status: StatusCode,
    retry_after: Option<Duration>,
    body: &[u8],
    place: &str,
) -> (Failure, Fate) {
    let mut cause = format!("{place} answered {status}");
    if let Some(said) = excerpt(body) {
        cause.push_str(&format!(": {said}"));
    }
    if let Some(pause) = retry_after {
        cause.push_str(&format!("; it asks to wait {} s", pause.as_secs()));
    }
    let code = if status.is_server_error() { Code::NetServerError } else { Code::NetStatus };
    let failure = Failure::new(code, cause).retry_after(retry_after);
    let failure = match status {
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {
            failure.remedy("Check the path of `url`: many servers speak at `/mcp` or `/sse`")
        }
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => failure.remedy("Call again later"),
        StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
            failure.remedy("Put name and password into `HTTPS_PROXY`")
        }
        _ => failure,
    };
    let not_run = matches!(status.as_u16(), 300..=399 | 401 | 403 | 404 | 405 | 407 | 429);
    (failure, if not_run { Fate::NotRun } else { Fate::Unknown })
}

/// A redirect that is not followed.
pub(super) fn redirect(place: &str, from: &Url, to: &Url) -> Failure {
    let path = plain_path(to).unwrap_or("/…");
    if from.origin() == to.origin() {
        return Failure::new(
            Code::NetRedirect,
            format!("{place} redirects in a way that no call can follow"),
        )
        .remedy(format!("If it is right, write the path `{path}` in `url`"));
    }
    let origin = to.origin().ascii_serialization();
    Failure::new(
        Code::NetRedirect,
        format!("{place} redirects to another origin, {origin}, which is not followed"),
    )
    .remedy(format!("If it is right, write `{origin}{path}` as `url`"))
}

/// The path of an address, if it can hold no secret: some services put keys there.
fn plain_path(url: &Url) -> Option<&str> {
    url.path().split('/').all(|segment| segment.len() < 16).then(|| url.path())
}

/// The beginning of what a server said, on one line; of a JSON-RPC error the message.
fn excerpt(body: &[u8]) -> Option<String> {
    let message = json::get_path(body.trim_ascii(), &["error", "message"])
        .and_then(|span| json::string(span.of(body.trim_ascii())));
    let text = message.unwrap_or_else(|| String::from_utf8_lossy(body));
    let words = text.split(|character: char| character.is_whitespace() || character.is_control());
    let line = words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    let cut = line.char_indices().nth(MAX_EXCERPT).map(|(at, _)| at);
    let line = cut.map_or(line.clone(), |at| format!("{}…", &line[..at]));
    (!line.is_empty()).then_some(line)
}

/// An error and what caused it, without the texts that only repeat.
pub(in crate::transport) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        // The HTTP client names the whole address, which may hold secrets.
        let text = text.split(" for url (").next().unwrap_or_default();
        if !texts.iter().any(|outer| outer.contains(text)) {
            texts.push(text.to_owned());
        }
        next = error.source();
    }
    texts.join(": ")
}

/// Looks for an error of this type below another one.
fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        // An I/O error that wraps another one gives that one's source as its own.
        if let Some(inner) = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref)
            && let Some(found) = find::<E>(inner)
        {
            return Some(found);
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excerpts_are_short_and_plain() {
        assert_eq!(excerpt(b"  a\n\tb \x1b[31mred\x07 "), Some("a b [31mred".to_owned()));
        assert_eq!(
            excerpt(br#"{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"no\nsuch"}}"#),
            Some("no such".to_owned())
        );
        assert_eq!(excerpt(b" \n"), None);
        let long = excerpt("ä".repeat(500).as_bytes()).unwrap();
        assert_eq!(long.chars().count(), MAX_EXCERPT + 1);
    }

    #[test]
    fn a_redirect_tells_no_secret() {
        let url = |text: &str| Url::parse(text).unwrap();
        let told = |to: &str| redirect("http://a", &url("http://a/mcp"), &url(to)).to_string();
        assert!(told("https://a/mcp/?key=1").contains("write `https://a/mcp/` as `url`"));
        let told = told("https://a/s/0123456789abcdef0123/mcp");
        assert!(told.contains("`https://a/…`") && !told.contains("0123"), "{told}");
    }

    #[test]
    fn a_name_that_nobody_knows() {
        // As the system's resolver puts it; asking it would leave this machine.
        let error = io::Error::other("failed to lookup address information: Name or service not known");
        let failure = unreachable(&error, false, "http://x.example");
        assert_eq!(
            (failure.code, failure.cause.contains("the name of http://x.example is unknown")),
            (Code::NetUnreachable, true),
            "{failure}"
        );
    }

    #[test]
    fn a_status_says_whether_something_ran() {
        for (status, fate) in [
            (401, Fate::NotRun),
            (404, Fate::NotRun),
            (429, Fate::NotRun),
            (400, Fate::Unknown),
            (503, Fate::Unknown),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(of_status(status, None, b"", "x").1, fate, "{status}");
        }
        let (failure, _) =
            of_status(StatusCode::SERVICE_UNAVAILABLE, Some(Duration::from_secs(7)), b"busy", "http://a");
        assert_eq!(failure.cause, "http://a answered 503 Service Unavailable: busy; it asks to wait 7 s");
    }
}
