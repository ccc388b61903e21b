//! HTTP with SSE, the transport of 2024-11-05: one stream brings everything, and its first event names the address to
//! post to.
//!
//! Source: MCP 2024-11-05, "Transports", HTTP with SSE.

use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use reqwest::Url;

use super::client::{Client, Request as HttpRequest, content_type};
use super::errors::{self, Refusal};
use super::headers::{self, EVENT_STREAM};
use super::link::{Link, Way};
use super::message::Request;
use super::post::{self, Lost};
use super::streams::Events;
use crate::failure::{Code, Failure};
use crate::transport::Fate;
use crate::wire::Line;

/// Opens the stream and waits for the address to post to.
pub(super) async fn open(client: &Client, max_message: usize) -> Result<(Url, Events), Refusal> {
    let head = client.patience.head;
    let request =
        HttpRequest { method: Method::GET, url: &client.url, headers: headers::listen(), body: None, head };
    let response = client.send(request).await?;
    let place = &client.place;
    let refuse = |cause: String| Refusal::not_run(Failure::new(Code::NetProtocol, cause));
    if content_type(&response) != EVENT_STREAM {
        return Err(refuse(format!(
            "{place} answered a request for a stream with `{}`",
            content_type(&response)
        )));
    }
    // A stream that is the session must not end because nobody has anything to say; whether the other side still
    // lives is found out by probes below HTTP.
    let mut events = Events::new(response, max_message, None, &client.patience, place);
    let first = tokio::time::timeout(head, events.next()).await;
    let event = match first {
        Ok(Ok(Some(event))) => event,
        Ok(Ok(None)) => {
            return Err(refuse(format!("the stream of {place} ended before it named an address")));
        }
        Ok(Err(failure)) => return Err(Refusal::not_run(failure)),
        Err(_) => {
            let cause =
                format!("the stream of {place} named no address to post to within {} s", head.as_secs());
            return Err(Refusal::not_run(Failure::new(Code::NetTimeout, cause)));
        }
    };
    let endpoint = match event.data {
        Line::Whole(ref data) if event.is("endpoint") => String::from_utf8_lossy(data).into_owned(),
        _ => return Err(refuse(format!("the stream of {place} does not begin with an `endpoint`"))),
    };
    let endpoint = client
        .url
        .join(endpoint.trim())
        .map_err(|error| refuse(format!("the stream of {place} names an address that is none: {error}")))?;
    if endpoint.origin() != client.url.origin() {
        return Err(Refusal::not_run(errors::redirect(place, &client.url, &endpoint)));
    }
    Ok((endpoint, events))
}

/// Hands on what the stream brings. When it ends, the session does.
pub(super) async fn read(link: Arc<Link>, mut events: Events) {
    let lost = loop {
        match events.next().await {
            Ok(Some(event)) if event.is("message") => match event.data {
                Line::Whole(text) if text.is_empty() => {}
                Line::Whole(text) => link.hand_on(text, None).await,
                Line::TooLong { head, tail, length } => link.hand_on_ends([head, tail], length, None).await,
            },
            Ok(Some(_)) => {}
            Ok(None) => break Failure::new(Code::NetLost, format!("{} ended its stream", link.client.place)),
            Err(failure) => break failure,
        }
    };
    link.lose(lost);
}

/// Tries this transport with an `initialize` that Streamable HTTP did not take.
pub(super) async fn fall_back(
    link: &Arc<Link>,
    request: &Request,
    text: Bytes,
    first: Refusal,
) -> Result<(), Lost> {
    match open(&link.client, link.opening.max_message).await {
        Ok((endpoint, events)) => {
            link.turn(Way::EventStream(endpoint));
            let stop = link.stop.clone();
            let reading = read(Arc::clone(link), events);
            link.tasks.spawn(async move { stop.run_until_cancelled(reading).await });
            post::deliver(link, request, text).await
        }
        Err(second) => Err(both(first, second)),
    }
}

/// What two attempts say together. Neither has run anything.
fn both(first: Refusal, second: Refusal) -> Lost {
    let cause = format!(
        "neither transport is spoken there. Streamable HTTP: {}. HTTP with SSE: {}",
        first.failure.cause, second.failure.cause
    );
    let remedy = second.failure.remedy.or(first.failure.remedy);
    let failure = Failure { remedy, ..Failure::new(first.failure.code, cause) };
    Refusal::of(Fate::NotRun, failure).into()
}
