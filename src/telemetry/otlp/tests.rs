//! The messages as a collector reads them.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::json::{Resource, metrics, traces};
use crate::meter::Histogram;
use crate::telemetry::metrics::{Collected, Data, Family, Kind as Metric, Number, Point};
use crate::trace::{Context, Kind, Span};

static CALLS: Family = Family { name: "x_total", kind: Metric::Counter, labels: &["a"], help: "Help." };
static TIMES: Family = Family { name: "x_seconds", kind: Metric::Histogram, labels: &[], help: "Help." };
static SIZE: Family = Family { name: "x_bytes", kind: Metric::Gauge, labels: &[], help: "Help." };

fn read(text: &[u8]) -> Value {
    serde_json::from_slice(text).expect("it is JSON")
}

#[test]
fn a_span_is_written_as_the_protocol_has_it() {
    let parent =
        Context::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").expect("it is one");
    let context = parent.child();
    let span = Span {
        context,
        parent: Some(parent.span),
        state: Some("a=b".into()),
        name: "tools/call \"x\"".into(),
        kind: Kind::Client,
        began: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000),
        took: Duration::from_nanos(1_500_000_001),
        attributes: vec![("error.type", "tool_error".into()), ("switchboard.attempt", 2.into())],
        is_error: true,
    };
    let message = read(&traces(&Resource::ours(), &[span]));
    let of = &message["resourceSpans"][0];
    assert_eq!(
        of["resource"]["attributes"][0],
        json!({ "key": "service.name", "value": { "stringValue": "switchboard" } })
    );
    let expected = json!({
        "traceId": "4bf92f3577b34da6a3ce929d0e0e4736",
        "spanId": context.span.to_string(),
        "parentSpanId": "00f067aa0ba902b7",
        "traceState": "a=b",
        "flags": 1,
        "name": "tools/call \"x\"",
        "kind": 3,
        "startTimeUnixNano": "1700000000000000000",
        "endTimeUnixNano": "1700000001500000001",
        "attributes": [
            { "key": "error.type", "value": { "stringValue": "tool_error" } },
            { "key": "switchboard.attempt", "value": { "intValue": "2" } },
        ],
        "status": { "code": 2 },
    });
    assert_eq!(of["scopeSpans"][0]["spans"], json!([expected]));
}

#[test]
fn numbers_are_written_as_the_protocol_has_them() {
    let mut histogram = Histogram::default();
    histogram.add(Duration::from_millis(1500));
    let all = [
        Collected {
            family: &CALLS,
            points: vec![Point { values: vec!["b".into()], data: Data::Number(Number::Whole(u64::MAX)) }],
        },
        Collected {
            family: &TIMES,
            points: vec![Point { values: vec![], data: Data::Histogram(histogram) }],
        },
        Collected {
            family: &SIZE,
            points: vec![Point {
                values: vec![],
                data: Data::Number(Number::Seconds(Duration::from_millis(250))),
            }],
        },
    ];
    let message = read(&metrics(&Resource::ours(), &all, SystemTime::UNIX_EPOCH));
    let [calls, times, size] =
        &message["resourceMetrics"][0]["scopeMetrics"][0]["metrics"].as_array().expect("there are some")[..]
    else {
        panic!("{message}")
    };
    let sum = &calls["sum"];
    assert_eq!((&sum["isMonotonic"], &sum["aggregationTemporality"]), (&true.into(), &2.into()));
    assert_eq!(sum["dataPoints"][0]["asInt"], "18446744073709551615");
    assert_eq!(sum["dataPoints"][0]["attributes"][0], json!({ "key": "a", "value": { "stringValue": "b" } }));
    assert_eq!(sum["dataPoints"][0]["startTimeUnixNano"], "0");
    let point = &times["histogram"]["dataPoints"][0];
    assert_eq!((&point["count"], &point["sum"], &point["min"]), (&"1".into(), &1.5.into(), &1.5.into()));
    let (bounds, buckets) = (point["explicitBounds"].as_array(), point["bucketCounts"].as_array());
    assert_eq!(bounds.map(Vec::len).map(|count| count + 1), buckets.map(Vec::len));
    assert_eq!((&times["unit"], &size["unit"], &calls["unit"]), (&"s".into(), &"By".into(), &"1".into()));
    assert_eq!(size["gauge"]["dataPoints"][0]["asDouble"], 0.25);
}
