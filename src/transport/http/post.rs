//! The life of one message of ours: it is posted, and what comes back is handed on until it is answered.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode};
use reqwest::Response;
use tokio_util::sync::CancellationToken;

use super::body::{self, Unread};
use super::client::{self, content_type};
use super::errors::Refusal;
use super::event_stream;
use super::headers::{self, EVENT_STREAM, Session};
use super::link::{Link, Way, session_id};
use super::message::{self, Answer, Request};
use super::streams::{Cursor, Events};
use crate::failure::{Code, Failure};
use crate::transport::Fate;
use crate::wire::{Event, Line};

/// How often in a row opening a broken stream again may fail.
const MAX_RESUMES: u32 = 5;
/// How long the answer to a message without an answer may go on, and a stream after its answer, before we hang up.
const AFTERMATH: Duration = Duration::from_secs(1);

/// A request that gets no answer.
pub(super) struct Lost {
    failure: Failure,
    fate: Fate,
}

impl Lost {
    /// It may have run.
    fn unknown(failure: Failure) -> Self {
        Self { failure, fate: Fate::Unknown }
    }
}

impl From<Refusal> for Lost {
    fn from(refusal: Refusal) -> Self {
        Self { failure: refusal.failure, fate: refusal.fate }
    }
}

/// Sends a request and hands on what comes back, until it is answered, lost, or told to stop.
pub(super) async fn request(link: Arc<Link>, request: Request, text: Bytes, stop: CancellationToken) {
    let id = request.id;
    let life = async {
        if let Err(lost) = exchange(&link, &request, text).await {
            link.fail(id, lost.failure, lost.fate).await;
        }
    };
    stop.run_until_cancelled(life).await;
    link.closed(id);
}

async fn exchange(link: &Arc<Link>, request: &Request, text: Bytes) -> Result<(), Lost> {
    if link.is_forgotten() && !request.is_modern() {
        link.fail_forgotten(request.id).await;
        return Ok(());
    }
    let session = match link.way() {
        Way::Streamable(session) => session,
        Way::EventStream(_) => return deliver(link, request, text).await,
    };
    let client = &link.client;
    let headers = match &request.revision {
        Some(revision) => headers::modern(request, revision, &text, &link.opening.header_params),
        None => session.post(),
    };
    let head = client.patience.answer;
    let post =
        client::Request { method: Method::POST, url: &client.url, headers, body: Some(text.clone()), head };
    let response = match client.send(post).await {
        Ok(response) => response,
        Err(refusal) => return refused(link, request, text, refusal).await,
    };
    let opener = Opener { session: session_id(&response) };
    if content_type(&response) == EVENT_STREAM {
        stream(link, request, &session, &opener, response).await
    } else {
        whole(link, request, &opener, response).await
    }
}

/// What an answer's head says, if it is the answer to `initialize`.
struct Opener {
    session: Option<HeaderValue>,
}

/// Hands the answer to a request on.
async fn answer(link: &Link, request: &Request, opener: &Opener, text: Bytes) {
    if request.is_initialize() {
        link.begin(opener.session.clone(), &text);
    }
    link.hand_on(text, Some(request.id)).await;
}

/// An answer that is one JSON text.
async fn whole(link: &Link, request: &Request, opener: &Opener, response: Response) -> Result<(), Lost> {
    let place = &link.client.place;
    let kind = content_type(&response);
    let status = response.status();
    let limit = link.opening.max_message;
    let text = match body::read(response, limit, &link.client.patience, place).await {
        Ok(text) => text,
        Err(Unread::TooLarge(length)) => {
            link.hand_on_ends([Bytes::new(), Bytes::new()], length, Some(request.id)).await;
            return Ok(());
        }
        Err(Unread::Broken(failure)) => return Err(Lost::unknown(failure)),
    };
    let wrong = |code, cause: String| Err(Lost::unknown(Failure::new(code, cause)));
    match message::look(&text, request.id) {
        Answer::Ours => answer(link, request, opener, text).await,
        Answer::Nameless(text) => answer(link, request, opener, text).await,
        Answer::Other => {
            link.hand_on(text, Some(request.id)).await;
            return wrong(
                Code::NetProtocol,
                format!("{place} did not answer the request, but sent something else"),
            );
        }
        Answer::Foreign => {
            return wrong(Code::NetProtocol, format!("{place} answered another request than it was asked"));
        }
        Answer::Nonsense if text.trim_ascii().is_empty() => {
            return wrong(Code::NetProtocol, format!("{place} said {status}, but sent no answer"));
        }
        Answer::Nonsense if kind.ends_with("json") => {
            return wrong(Code::CallMalformed, format!("{place} sent an answer that is not JSON-RPC"));
        }
        Answer::Nonsense => {
            let kind = if kind.is_empty() { "something without a type" } else { &kind };
            return wrong(
                Code::NetProtocol,
                format!("{place} answered with `{kind}` instead of JSON or an event stream"),
            );
        }
    }
    Ok(())
}

/// An answer that is an event stream. If it breaks and the server has named its events, it is taken up again.
async fn stream(
    link: &Arc<Link>,
    request: &Request,
    session: &Session,
    opener: &Opener,
    response: Response,
) -> Result<(), Lost> {
    let mut events = link.events(response, Some(link.client.patience.quiet));
    let mut cursor = Cursor::default();
    loop {
        let broken = loop {
            match events.next().await {
                Ok(Some(event)) => {
                    cursor.note(&event);
                    if event.is("message") && take(link, request, opener, event).await {
                        events.finish(AFTERMATH).await;
                        return Ok(());
                    }
                }
                Ok(None) => {
                    let cause = format!("{} ended the stream before it had answered", link.client.place);
                    break Failure::new(Code::NetLost, cause);
                }
                Err(failure) => break failure,
            }
        };
        // The answer to `initialize` makes the session that a stream belongs to.
        if request.is_modern() || request.is_initialize() || cursor.last.is_none() {
            return Err(Lost::unknown(broken));
        }
        tracing::debug!(server = %link.opening.server, id = request.id, %broken, "a stream is taken up again");
        events = resume(link, session, &mut cursor).await.ok_or(Lost::unknown(broken))?;
    }
}

/// Opens a stream again at the place where it broke.
async fn resume(link: &Arc<Link>, session: &Session, cursor: &mut Cursor) -> Option<Events> {
    let mut at_least = None;
    for _ in 0..MAX_RESUMES {
        cursor.wait(&link.client.patience, at_least).await;
        match link.listen(session, cursor).await {
            Ok(events) => return Some(events),
            Err(refusal) if link.says_forgotten(&refusal, None) => {
                link.forget();
                return None;
            }
            Err(refusal) if refusal.is_passing() => at_least = refusal.retry_after,
            Err(_) => return None,
        }
    }
    None
}

/// Takes an event of a request's stream; says whether it was the answer.
async fn take(link: &Link, request: &Request, opener: &Opener, event: Event) -> bool {
    let text = match event.data {
        Line::Whole(text) => text,
        Line::TooLong { head, tail, length } => {
            let answers = message::ends_answer([&head, &tail], request.id);
            link.hand_on_ends([head, tail], length, Some(request.id)).await;
            return answers;
        }
    };
    if text.is_empty() {
        return false;
    }
    match message::look(&text, request.id) {
        Answer::Ours => answer(link, request, opener, text).await,
        Answer::Nameless(text) => answer(link, request, opener, text).await,
        Answer::Foreign => {
            tracing::debug!(server = %link.opening.server, id = request.id, "an answer to another request is ignored");
            return false;
        }
        // Whoever reads it says what is wrong with nonsense.
        Answer::Other | Answer::Nonsense => {
            link.hand_on(text, Some(request.id)).await;
            return false;
        }
    }
    true
}

/// A server that does not say that all is well may have answered all the same.
async fn refused(link: &Arc<Link>, request: &Request, text: Bytes, refusal: Refusal) -> Result<(), Lost> {
    if link.says_forgotten(&refusal, Some(request.id)) && !request.is_modern() {
        link.fail_forgotten(request.id).await;
        link.forget();
        return Ok(());
    }
    let opener = Opener { session: None };
    let credentials = matches!(refusal.status, Some(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN));
    match message::look(&refusal.body, request.id) {
        Answer::Ours if !credentials || refusal.failure.code == Code::AuthRefused => {
            answer(link, request, &opener, refusal.body).await;
            return Ok(());
        }
        Answer::Nameless(named) if is_definite(link, request, &refusal, &named) => {
            answer(link, request, &opener, named).await;
            return Ok(());
        }
        _ => {}
    }
    if request.is_initialize() && link.fallback.is_some() && is_elsewhere(&refusal) {
        return event_stream::fall_back(link, request, text, refusal).await;
    }
    Err(refusal.into())
}

/// Whether an error without an id is an answer to the request: what modern servers say when they cannot read it, and
/// any 400. Other statuses say more about what became of the request than such an error does.
fn is_definite(link: &Link, request: &Request, refusal: &Refusal, text: &[u8]) -> bool {
    let modern = matches!(message::error_code(text), Some(-32022..=-32020 | -32601));
    let falls_back = request.is_initialize() && link.fallback.is_some();
    modern || (refusal.status == Some(StatusCode::BAD_REQUEST) && !falls_back)
}

/// Whether a refused `initialize` says that Streamable HTTP is not spoken here
/// (MCP 2025-11-25, "Transports", Backwards Compatibility).
fn is_elsewhere(refusal: &Refusal) -> bool {
    matches!(
        refusal.status,
        Some(StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED)
    )
}

/// Sends a request whose answer comes on another stream.
pub(super) async fn deliver(link: &Arc<Link>, request: &Request, text: Bytes) -> Result<(), Lost> {
    match plain(link, text).await {
        Ok(()) => Ok(()),
        Err(refusal) if link.says_forgotten(&refusal, Some(request.id)) => {
            link.fail_forgotten(request.id).await;
            link.forget();
            Ok(())
        }
        Err(refusal) => Err(refusal.into()),
    }
}

/// Sends a message that has no answer of its own.
pub(super) async fn plain(link: &Link, text: Bytes) -> Result<(), Refusal> {
    let client = &link.client;
    let (url, headers) = match link.way() {
        Way::Streamable(session) => (client.url.clone(), session.post()),
        Way::EventStream(url) => (url, headers::post()),
    };
    let head = client.patience.head;
    let post = client::Request { method: Method::POST, url: &url, headers, body: Some(text), head };
    let response = client.send(post).await?;
    body::drain(response, AFTERMATH).await;
    Ok(())
}
