//! The transport of 2024-11-05: one stream of events per session, and an address to post to.
//!
//! <https://modelcontextprotocol.io/specification/2024-11-05/basic/transports#http-with-sse>

use std::sync::Arc;

use http::{Method, StatusCode};
use tokio_util::sync::CancellationToken;

use super::answer::event_stream;
use super::body::Reading;
use super::legacy::LegacySession;
use super::{Answer, Asked, Http};
use crate::mock::receive::{parse_error, receive};

/// Where clients post.
const MESSAGES: &str = "/messages";

impl Http {
    pub(super) async fn serve_sse(self: &Arc<Self>, asked: &Asked) -> Answer {
        match asked.verb {
            Method::GET if asked.path == self.path() => Ok(self.open(asked)),
            Method::POST if asked.path == MESSAGES => Ok(self.take(asked).await),
            _ if asked.path == self.path() => Ok(self.only("GET")),
            _ => Ok(self.plain(StatusCode::NOT_FOUND, "no such path")),
        }
    }

    fn open(self: &Arc<Self>, asked: &Asked) -> super::Response<super::Pipe> {
        let session = LegacySession::begin(self, true);
        self.state().sessions.insert(session.id.clone(), Arc::clone(&session));
        let endpoint = match &self.settings().endpoint {
            Some(own) => {
                let mut scope = self.server.scope();
                scope.saved.insert("session_id".into(), session.id.as_str().into());
                scope.text(own)
            }
            None => format!("{MESSAGES}?session={}", session.id),
        };
        let style = self.style(asked);
        let leaving = CancellationToken::new();
        let reading = Reading {
            log: session.standing(),
            from: Some(0),
            ids: false,
            prime: false,
            cut: asked.cut(),
            leaving: Some(leaving.clone()),
            stop: session.stop().clone(),
            preface: Some(style.event("endpoint", None, endpoint.as_bytes())),
            id: None,
        };
        // A session is its stream.
        let (http, id) = (Arc::clone(self), session.id.clone());
        tokio::spawn(async move {
            leaving.cancelled().await;
            http.forget(&id);
        });
        event_stream(reading.into_body(style))
    }

    async fn take(&self, asked: &Asked) -> super::Response<super::Pipe> {
        let id = asked.query.split('&').find_map(|pair| pair.strip_prefix("session="));
        let Some(session) = id.and_then(|id| self.session(id)) else {
            return self.plain(StatusCode::NOT_FOUND, "no such session");
        };
        if let Err(error) = serde_json::from_slice::<serde::de::IgnoredAny>(&asked.body) {
            return self.error_text(StatusCode::BAD_REQUEST, parse_error(&error));
        }
        receive(&session.session, &asked.body).await;
        self.accepted()
    }
}
