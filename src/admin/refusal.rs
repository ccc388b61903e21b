//! The envelope: every success and every refusal has the same shape.

use std::time::SystemTime;

use http::header::{self, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::code::{ApiCode, of_call};
use super::view;
use crate::failure::{Code, Failure};
use crate::manager::Fault;
use crate::web::body::Unread;
use crate::web::door::{Stranger, Unknown};
use crate::web::reply::{self, Reply};
use crate::wire::time::rfc3339;

/// What an answer gives.
#[derive(Debug)]
pub(super) struct Success {
    pub(super) data: Value,
    pub(super) message: String,
    pub(super) status: StatusCode,
}

impl Success {
    pub(super) fn new(data: Value, message: impl Into<String>) -> Self {
        Self { data, message: message.into(), status: StatusCode::OK }
    }

    pub(super) fn reply(self) -> Reply {
        let Self { data, message, status } = self;
        envelope(status, &json!({ "data": data, "message": message, "timestamp": now() }))
    }
}

/// Why a request is not served.
#[derive(Debug)]
pub(super) struct Refusal(Box<Inner>);

#[derive(Debug)]
struct Inner {
    status: StatusCode,
    code: ApiCode,
    message: String,
    details: Value,
    header: Option<(HeaderName, HeaderValue)>,
}

impl Refusal {
    /// A refusal. The message is a sentence that says what is wrong and what helps, without a final period.
    pub(super) fn new(status: StatusCode, code: ApiCode, message: impl Into<String>) -> Self {
        Self(Box::new(Inner { status, code, message: message.into(), details: json!({}), header: None }))
    }

    /// The same with details for programs: an object.
    pub(super) fn details(mut self, details: Value) -> Self {
        self.0.details = details;
        self
    }

    /// The same with a header.
    pub(super) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.header = Some((name, value));
        self
    }

    pub(super) fn reply(self) -> Reply {
        let Inner { status, code, message, details, header } = *self.0;
        tracing::debug!(status = status.as_u16(), code = code.id(), message, "a request was refused");
        let error = json!({ "code": code.id(), "message": message, "details": details });
        let mut reply = envelope(status, &json!({ "error": error, "timestamp": now() }));
        if let Some((name, value)) = header {
            reply.headers_mut().insert(name, value);
        }
        reply
    }

    // === what is refused before anybody looks at it ===

    pub(super) fn stranger(stranger: Stranger) -> Self {
        let message = match stranger {
            Stranger::Host(name) => {
                format!(
                    "the host `{name}` is not one of ours; if it is meant to be, add it to `admin.allowed_hosts`"
                )
            }
            Stranger::Nameless => "the request does not say for which host it is".to_owned(),
            Stranger::Origin(page) => {
                format!("pages of `{page}` may not talk to the administration interface")
            }
        };
        Self::new(StatusCode::FORBIDDEN, ApiCode::Forbidden, message)
    }

    pub(super) fn unknown(unknown: Unknown) -> Self {
        let challenge = HeaderValue::from_static(unknown.challenge());
        Self::new(StatusCode::UNAUTHORIZED, ApiCode::AuthenticationFailed, unknown.message())
            .header(header::WWW_AUTHENTICATE, challenge)
    }

    pub(super) fn looking_only() -> Self {
        let message = "this socket is for looking; changes are made at `admin.listen`";
        Self::new(StatusCode::FORBIDDEN, ApiCode::Forbidden, message)
    }

    pub(super) fn nothing_here() -> Self {
        let message = "there is nothing at this path; GET /proxy/openapi.json describes what there is";
        Self::new(StatusCode::NOT_FOUND, ApiCode::NotFound, message)
    }

    pub(super) fn method(method: &Method, allowed: &str) -> Self {
        let message =
            format!("`{}` is not served at this path; it knows {allowed}", excerpt(method.as_str()));
        let refusal = Self::new(StatusCode::METHOD_NOT_ALLOWED, ApiCode::MethodNotAllowed, message);
        match HeaderValue::from_str(allowed) {
            Ok(allowed) => refusal.header(header::ALLOW, allowed),
            Err(_) => refusal,
        }
    }

    // === requests that cannot be read ===

    pub(super) fn request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, ApiCode::InvalidRequest, message)
    }

    pub(super) fn unread(unread: Unread, limit: usize) -> Self {
        let (status, message) = match unread {
            Unread::TooLarge => {
                (StatusCode::PAYLOAD_TOO_LARGE, format!("a body may have {} MiB at most", limit >> 20))
            }
            Unread::Slow => (StatusCode::REQUEST_TIMEOUT, "the body came too slowly".to_owned()),
            Unread::BrokeOff => (StatusCode::BAD_REQUEST, "the body broke off".to_owned()),
        };
        Self::new(status, ApiCode::InvalidRequest, message)
    }

    pub(super) fn not_json() -> Self {
        let message = "a body must be `Content-Type: application/json`, and not compressed";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, ApiCode::InvalidRequest, message)
    }

    // === what cannot be done ===

    pub(super) fn no_server(name: &str) -> Self {
        let name = excerpt(name);
        let message = format!("there is no server `{name}`; GET /proxy/servers lists them");
        Self::new(StatusCode::NOT_FOUND, ApiCode::ServerNotFound, message)
            .details(json!({ "server_id": name }))
    }

    pub(super) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, ApiCode::Forbidden, message)
    }

    pub(super) fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, ApiCode::Internal, message)
    }

    /// A call that failed on its way.
    pub(super) fn call(code: Code, message: &str, server: &str) -> Self {
        let (status, api) = of_call(code);
        Self::new(status, api, message).details(json!({ "code": code.id(), "server_id": server }))
    }
}

/// A change that the manager did not make.
impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        let Failure { code, cause, remedy, server, .. } = &fault.failure;
        let (status, api) = match code {
            Code::ManageUnknown => (StatusCode::NOT_FOUND, ApiCode::ServerNotFound),
            Code::ManageExists => (StatusCode::CONFLICT, ApiCode::ServerAlreadyExists),
            Code::ManageUnwritable
            | Code::EditByHand
            | Code::EditTwice
            | Code::EditChanged
            | Code::EditWrite
            | Code::ConfigSyntax => (StatusCode::CONFLICT, ApiCode::InvalidConfig),
            Code::CallShutdown => (StatusCode::SERVICE_UNAVAILABLE, ApiCode::ConnectionFailed),
            _ => (StatusCode::UNPROCESSABLE_ENTITY, ApiCode::InvalidConfig),
        };
        let message = match remedy {
            Some(remedy) => format!("{cause}. {remedy}"),
            None => cause.clone(),
        };
        let problems: Vec<Value> = fault.problems.iter().map(view::problem).collect();
        let details = json!({
            "code": code.id(), "server_id": server.as_ref().map(|server| server.as_str()), "problems": problems,
        });
        Self::new(status, api, message).details(details)
    }
}

/// A client's own words, cut short.
pub(super) fn excerpt(text: &str) -> String {
    text.chars().take(100).collect()
}

/// The time of an answer.
pub(super) fn now() -> String {
    rfc3339(SystemTime::now())
}

fn envelope(status: StatusCode, value: &Value) -> Reply {
    let mut reply = reply::json(status, serde_json::to_vec(value).unwrap_or_default());
    let headers = reply.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    reply
}
