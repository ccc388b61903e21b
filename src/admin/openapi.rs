//! The document that describes the interface, and the numbers for Prometheus.

use http::StatusCode;

use super::code::ApiCode;
use super::refusal::Refusal;
use crate::registry::Registry;
use crate::telemetry::metrics;
use crate::web::reply::{self, Reply};

/// OpenAPI 3.1. Written by hand; tests compare it with the routes and with what is answered.
pub(super) const DOCUMENT: &str = include_str!("openapi.json");

/// All numbers, as Prometheus reads them.
pub(super) fn metrics(registry: &Registry) -> Result<Reply, Refusal> {
    let text = metrics::render(registry).ok_or_else(|| {
        let message = "nothing is counted: `telemetry.metrics` is off";
        Refusal::new(StatusCode::NOT_FOUND, ApiCode::NotFound, message)
    })?;
    Ok(reply::text(StatusCode::OK, metrics::CONTENT_TYPE, text))
}
