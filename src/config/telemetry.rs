//! What is counted and where it is sent, under `telemetry`. The audit log is [elsewhere](super::audit).

use super::resolve::Resolver;
use super::secret::Secret;
use super::tree::Node;
use crate::failure::Code;

/// What is counted, and where it goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TelemetryRules {
    /// Whether calls are counted.
    pub metrics: bool,
    /// The collector that gets traces and metrics.
    pub otlp: Option<Collector>,
}

/// An OpenTelemetry collector, reached over OTLP/HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collector {
    /// Its address without the path of a signal, and without a slash at its end: `http://host:4318`.
    pub endpoint: String,
    /// What requests carry besides, credentials among them.
    pub headers: Vec<(String, Secret)>,
}

impl Resolver<'_> {
    /// The keys of a checked config. What is wrong with them costs the telemetry, and nothing else.
    pub(super) fn telemetry(&mut self, effective: &Node) -> TelemetryRules {
        let otlp = self.collector(effective);
        // What nobody can read need not be counted.
        let is_read = otlp.is_some() || effective.at("admin.listen").is_some();
        let said = effective.at("telemetry.metrics").and_then(Node::as_bool);
        TelemetryRules { metrics: said.unwrap_or(is_read), otlp }
    }

    fn collector(&mut self, effective: &Node) -> Option<Collector> {
        let node = effective.at("telemetry.otlp")?;
        let text = node.as_str()?.trim();
        let endpoint = text.trim_end_matches('/');
        let host = endpoint.strip_prefix("http://").or_else(|| endpoint.strip_prefix("https://"));
        let is_meant = host.is_some_and(|host| !host.is_empty() && !host.contains([' ', '@', '?', '#']));
        if !is_meant || endpoint.ends_with("/v1/traces") || endpoint.ends_with("/v1/metrics") {
            let message = format!("`{text}` is no address of a collector");
            let problem = self.reporter.error(Code::ConfigValue, &node.origin, message);
            problem.hint("write `http://host:4318`: no path of a signal and no credentials; `/v1/traces` and `/v1/metrics` are added, headers belong under `telemetry.otlp_headers`");
            return None;
        }
        let endpoint = endpoint.to_owned();
        let mut headers = Vec::new();
        for member in effective.at("telemetry.otlp_headers").map(Node::members).unwrap_or_default() {
            let path = format!("telemetry.otlp_headers.{}", member.key);
            let Some(value) = self.expand(&member.value, &path) else { continue };
            self.redactions.note(&member.key, &value);
            let name = member.key.parse::<http::HeaderName>();
            if name.is_err() || http::HeaderValue::from_str(&value).is_err() {
                let message = format!("`{}` is no header that can be sent", member.key);
                self.reporter.error(Code::ConfigValue, &member.value.origin, message);
                continue;
            }
            headers.push((member.key.clone(), Secret::new(value)));
        }
        Some(Collector { endpoint, headers })
    }
}
