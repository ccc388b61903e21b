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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::super::route::ROUTES;
    use super::*;

    /// The document's paths with what names stand in them replaced.
    fn described() -> BTreeSet<(String, String, Vec<String>)> {
        let document: Value = serde_json::from_str(DOCUMENT).unwrap();
        let mut described = BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            let pattern: Vec<&str> =
                path.split('/').map(|part| if part.starts_with('{') { "{}" } else { part }).collect();
            for (method, operation) in
                item.as_object().unwrap().iter().filter(|(key, _)| *key != "parameters")
            {
                let parameters = operation["parameters"].as_array().into_iter().flatten();
                let query = parameters.filter(|parameter| parameter["in"] == "query");
                let names = query.map(|parameter| parameter["name"].as_str().unwrap().to_owned()).collect();
                described.insert((pattern.join("/"), method.to_uppercase(), names));
            }
        }
        described
    }

    #[test]
    fn the_document_describes_every_route_and_no_other() {
        let routes = ROUTES.iter().map(|route| {
            let query = route.query.iter().map(|name| (*name).to_owned()).collect();
            (route.path.to_owned(), route.method.to_string(), query)
        });
        assert_eq!(described(), routes.collect());
        let actions: std::collections::HashSet<_> = ROUTES.iter().map(|route| route.action).collect();
        assert_eq!(actions.len(), ROUTES.len(), "no two routes do the same");
    }

    #[test]
    fn the_document_knows_every_code() {
        let document: Value = serde_json::from_str(DOCUMENT).unwrap();
        let codes =
            &document["components"]["schemas"]["Error"]["properties"]["error"]["properties"]["code"]["enum"];
        let known: Vec<&str> = codes.as_array().unwrap().iter().map(|code| code.as_str().unwrap()).collect();
        assert_eq!(known, ApiCode::ALL.map(ApiCode::id));
    }
}
