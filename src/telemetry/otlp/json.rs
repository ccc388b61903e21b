//! The two messages, as Protobuf's JSON mapping has them: names in camel case, 64-bit numbers as texts, but ids in hexadecimal
//! digits (<https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde_json::{Value, json};

use crate::meter::BOUNDS;
use crate::telemetry::metrics::{Collected, Data, Kind as Metric, Number};
use crate::trace::{Kind, Span, Value as Attribute};

/// What all telemetry of this process is of.
#[derive(Debug)]
pub(super) struct Resource(Value);

impl Resource {
    /// This process.
    pub(super) fn ours() -> Self {
        let instance = format!("{:032x}", fastrand::u128(..));
        Self(json!({ "attributes": [
            text("service.name", "switchboard"),
            text("service.version", env!("CARGO_PKG_VERSION")),
            text("service.instance.id", &instance),
            json!({ "key": "process.pid", "value": { "intValue": std::process::id().to_string() } }),
        ]}))
    }
}

fn text(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

fn scope() -> Value {
    json!({ "name": "switchboard", "version": env!("CARGO_PKG_VERSION") })
}

fn nanos(time: SystemTime) -> String {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos().to_string()
}

/// An `ExportTraceServiceRequest`. There are two spans for each call, so they are written without a tree in between.
pub(super) fn traces(resource: &Resource, spans: &[Span]) -> Vec<u8> {
    let spans: Vec<WireSpan<'_>> = spans.iter().map(WireSpan::of).collect();
    let scope_spans = [ScopeSpans { scope: scope(), spans }];
    let resource_spans = [ResourceSpans { resource: &resource.0, scope_spans }];
    serde_json::to_vec(&Traces { resource_spans }).unwrap_or_default()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Traces<'a> {
    resource_spans: [ResourceSpans<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceSpans<'a> {
    resource: &'a Value,
    scope_spans: [ScopeSpans<'a>; 1],
}

#[derive(Serialize)]
struct ScopeSpans<'a> {
    scope: Value,
    spans: Vec<WireSpan<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireSpan<'a> {
    trace_id: String,
    span_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_span_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_state: Option<&'a str>,
    name: &'a str,
    kind: u8,
    start_time_unix_nano: String,
    end_time_unix_nano: String,
    attributes: Vec<WireAttribute<'a>>,
    flags: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status>,
}

#[derive(Serialize)]
struct Status {
    code: u8,
}

#[derive(Serialize)]
struct WireAttribute<'a> {
    key: &'a str,
    value: WireValue<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum WireValue<'a> {
    StringValue(&'a str),
    IntValue(String),
}

impl<'a> WireSpan<'a> {
    fn of(span: &'a Span) -> Self {
        let attribute = |(key, value): &'a (&'static str, Attribute)| WireAttribute {
            key,
            value: match value {
                Attribute::Text(value) => WireValue::StringValue(value),
                Attribute::Number(value) => WireValue::IntValue(value.to_string()),
            },
        };
        Self {
            trace_id: span.context.trace(),
            span_id: span.context.span.to_string(),
            parent_span_id: span.parent.map(|parent| parent.to_string()),
            trace_state: span.state.as_deref(),
            name: &span.name,
            // `SPAN_KIND_SERVER` and `SPAN_KIND_CLIENT`: enumerations go by number.
            kind: match span.kind {
                Kind::Server => 2,
                Kind::Client => 3,
            },
            start_time_unix_nano: nanos(span.began),
            end_time_unix_nano: nanos(span.began + span.took),
            attributes: span.attributes.iter().map(attribute).collect(),
            flags: u8::from(span.context.is_sampled),
            // `STATUS_CODE_ERROR`
            status: span.is_error.then_some(Status { code: 2 }),
        }
    }
}

/// An `ExportMetricsServiceRequest`.
pub(super) fn metrics(resource: &Resource, numbers: &[Collected], began: SystemTime) -> Vec<u8> {
    let times = [nanos(began), nanos(SystemTime::now())];
    let metrics: Vec<Value> = numbers.iter().map(|collected| metric(collected, &times)).collect();
    let message = json!({ "resourceMetrics": [
        { "resource": resource.0, "scopeMetrics": [{ "scope": scope(), "metrics": metrics }] }
    ]});
    serde_json::to_vec(&message).unwrap_or_default()
}

fn metric(collected: &Collected, [began, now]: &[String; 2]) -> Value {
    let family = collected.family;
    let points: Vec<Value> = collected
        .points
        .iter()
        .map(|point| {
            let labels = family.labels.iter().zip(&point.values);
            let attributes: Vec<Value> = labels.map(|(label, value)| text(label, value)).collect();
            let mut object = json!({ "attributes": attributes, "timeUnixNano": now });
            if family.kind != Metric::Gauge {
                object["startTimeUnixNano"] = began.as_str().into();
            }
            match &point.data {
                Data::Number(Number::Whole(number)) => object["asInt"] = number.to_string().into(),
                Data::Number(Number::Seconds(time)) => object["asDouble"] = seconds(*time),
                Data::Histogram(histogram) => {
                    let bounds = BOUNDS.iter().map(|bound| seconds(Duration::from_millis(*bound)));
                    let buckets = histogram.buckets.iter().map(|count| Value::from(count.to_string()));
                    object["explicitBounds"] = bounds.collect();
                    object["bucketCounts"] = buckets.collect();
                    object["count"] = histogram.count().to_string().into();
                    object["sum"] = seconds(histogram.sum);
                    if let Some(min) = histogram.min {
                        object["min"] = seconds(min);
                        object["max"] = seconds(histogram.max);
                    }
                }
                Data::Summary(sum, count) => {
                    object["count"] = count.to_string().into();
                    object["sum"] = seconds(*sum);
                }
            }
            object
        })
        .collect();
    let unit = match family.name {
        name if name.ends_with("_seconds") || name.ends_with("_seconds_total") => "s",
        name if name.ends_with("_bytes") || name.ends_with("_bytes_total") => "By",
        _ => "1",
    };
    // Cumulative, since we were started.
    let data = match family.kind {
        Metric::Gauge => ("gauge", json!({ "dataPoints": points })),
        Metric::Counter => {
            ("sum", json!({ "dataPoints": points, "aggregationTemporality": 2, "isMonotonic": true }))
        }
        Metric::Histogram => ("histogram", json!({ "dataPoints": points, "aggregationTemporality": 2 })),
        Metric::Summary => ("summary", json!({ "dataPoints": points })),
    };
    let mut object = json!({ "name": family.name, "description": family.help, "unit": unit });
    object[data.0] = data.1;
    object
}

fn seconds(time: Duration) -> Value {
    Value::from(time.as_secs_f64())
}
