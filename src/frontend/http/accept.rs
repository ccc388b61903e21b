//! What a client sends and what it can take: `Content-Type` and `Accept`.

use http::StatusCode;
use http::header::{self, HeaderMap};

use super::reply::Refusal;
use crate::protocol::codes;

/// Checks that a posted body is JSON. It also keeps out the forms of foreign pages, which browsers send unasked.
pub(super) fn is_json(headers: &HeaderMap) -> Result<(), Refusal> {
    let said = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let encoded = headers.get(header::CONTENT_ENCODING).is_some_and(|coding| coding != "identity");
    let essence = said.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") && !encoded {
        return Ok(());
    }
    let message = "a body must be `Content-Type: application/json`, and not compressed";
    Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, codes::INVALID_REQUEST, message))
}

/// What may be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Accepted {
    pub(super) json: bool,
    pub(super) events: bool,
}

impl Accepted {
    /// What a request accepts; without a word about it, anything.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut accepted = Self { json: false, events: false };
        let mut said = false;
        for value in headers.get_all(header::ACCEPT) {
            said = true;
            for range in value.to_str().unwrap_or_default().split(',') {
                let mut parts = range.split(';').map(str::trim);
                let essence = parts.next().unwrap_or_default().to_ascii_lowercase();
                let never = parts.any(|part| {
                    let quality = part.strip_prefix("q=").or_else(|| part.strip_prefix("Q="));
                    quality
                        .and_then(|quality| quality.parse::<f32>().ok())
                        .is_some_and(|quality| quality <= 0.0)
                });
                accepted.json |=
                    !never && matches!(essence.as_str(), "*/*" | "application/*" | "application/json");
                accepted.events |=
                    !never && matches!(essence.as_str(), "*/*" | "text/*" | "text/event-stream");
            }
        }
        if said { accepted } else { Self { json: true, events: true } }
    }

    /// Checks that event streams are accepted, which any answer may turn out to be.
    pub(super) fn events(self) -> Result<Self, Refusal> {
        if self.events {
            return Ok(self);
        }
        let message = "the client must accept both application/json and text/event-stream";
        Err(Refusal::new(StatusCode::NOT_ACCEPTABLE, codes::INVALID_REQUEST, message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept() {
        let of = |values: &[&'static str]| {
            let value = |value: &&'static str| (header::ACCEPT, http::HeaderValue::from_static(value));
            let accepted = Accepted::of(&values.iter().map(value).collect());
            (accepted.json, accepted.events)
        };
        assert_eq!(of(&[]), (true, true));
        assert_eq!(of(&["application/json, text/event-stream"]), (true, true));
        assert_eq!(of(&["Application/JSON;q=0.9", "text/Event-Stream"]), (true, true));
        assert_eq!(of(&["*/*"]), (true, true));
        assert_eq!(of(&["application/json, */*;q=0"]), (true, false));
        assert_eq!(of(&["text/*"]), (false, true));
        assert_eq!(of(&["text/html"]), (false, false));
        assert_eq!(of(&[""]), (false, false));
    }

    #[test]
    fn content_type() {
        let is = |pairs: &[(http::HeaderName, &str)]| {
            let pair = |(name, value): &(http::HeaderName, &str)| (name.clone(), value.parse().unwrap());
            is_json(&pairs.iter().map(pair).collect()).is_ok()
        };
        assert!(is(&[(header::CONTENT_TYPE, "application/json")]));
        assert!(is(&[(header::CONTENT_TYPE, "Application/Json; charset=utf-8")]));
        assert!(!is(&[]));
        assert!(!is(&[(header::CONTENT_TYPE, "text/plain")]));
        assert!(!is(&[(header::CONTENT_TYPE, "application/json-patch+json")]));
        assert!(!is(&[(header::CONTENT_TYPE, "application/json"), (header::CONTENT_ENCODING, "gzip")]));
    }
}
