//! Spans of calls, at a collector; and what servers are told of them.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::collector::{Collector, Mood, attribute};
use super::{CLIENTS, MODERN, TOOLS, house};
use crate::board::Setup;
use crate::peer::{House, Peer};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const SECRET: &str = "hunter2-in-an-argument";

fn traced(collector: &Collector) -> Setup {
    let (endpoint, secret) = (collector.address, "Bearer of-the-collector-123");
    Setup::new()
        .config(&format!(
            "telemetry: {{ otlp: \"http://{endpoint}\", otlp_headers: {{ Authorization: {secret} }} }}"
        ))
        .script("a", TOOLS)
}

/// Calls a tool with something in `_meta`.
fn call(peer: &Peer, tool: &str, meta: Value) {
    peer.call(
        "tools/call",
        json!({ "name": format!("a__{tool}"), "arguments": { "input": SECRET }, "_meta": meta }),
    );
}

/// What the server has got of the last call of a tool: its `_meta`.
fn meta(house: &House, tool: &str) -> Value {
    let calls = house.await_received("a", 1, |message| message["params"]["name"] == tool);
    calls.last().unwrap()["params"]["_meta"].clone()
}

fn of<'a>(spans: &'a [Value], kind: u64, name: &str) -> &'a Value {
    let found = spans.iter().find(|span| span["kind"] == kind && span["name"] == name);
    found.unwrap_or_else(|| panic!("there is no span {kind} of {name}: {spans:#?}"))
}

#[test]
fn a_call_is_a_span_of_its_clients_trace_and_the_server_is_told_of_the_attempt() {
    for (http, revision) in CLIENTS {
        // Straight to the server, and through a stage.
        for keys in ["start: eager", "retry: {}"] {
            let collector = Collector::start(Mood::Takes);
            let (house, peer) = house(http, revision, traced(&collector).keys(keys));
            call(&peer, "echo", json!({ "traceparent": PARENT, "tracestate": "vendor=x" }));
            call(&peer, "fail", json!({}));
            call(&peer, "boom", json!({}));
            let spans = collector.await_spans(6);
            assert_eq!(spans.len(), 6, "{spans:#?}");
            let (ours, attempt) = (of(&spans, 2, "tools/call a__echo"), of(&spans, 3, "tools/call echo"));
            assert_eq!(
                (&ours["traceId"], &ours["parentSpanId"]),
                (&TRACE.into(), &"00f067aa0ba902b7".into())
            );
            assert_eq!((&attempt["traceId"], &attempt["parentSpanId"]), (&TRACE.into(), &ours["spanId"]));
            assert_eq!(
                (&ours["traceState"], &attempt["traceState"]),
                (&"vendor=x".into(), &"vendor=x".into())
            );
            let told = meta(&house, "echo");
            let expected = format!("00-{TRACE}-{}-01", attempt["spanId"].as_str().unwrap());
            assert_eq!((&told["traceparent"], &told["tracestate"]), (&expected.into(), &"vendor=x".into()));
            for (key, value) in [
                ("mcp.method.name", "tools/call"),
                ("gen_ai.tool.name", "a__echo"),
                ("gen_ai.operation.name", "execute_tool"),
                ("mcp.protocol.version", revision),
                ("switchboard.server", "a"),
            ] {
                assert_eq!(attribute(ours, key), value, "{key} of {ours:#?}");
            }
            assert_eq!(attribute(attempt, "network.transport"), "pipe");
            assert_eq!(attribute(attempt, "switchboard.attempt"), "1");
            assert_eq!(ours["status"], Value::Null);
            let nanos = |span: &Value, key: &str| span[key].as_str().unwrap().parse::<u128>().unwrap();
            for span in &spans {
                assert!(nanos(span, "startTimeUnixNano") <= nanos(span, "endTimeUnixNano"), "{span}");
            }
            assert!(nanos(ours, "startTimeUnixNano") <= nanos(attempt, "startTimeUnixNano"));
            // A client without a trace begins one with us.
            let (failed, boomed) = (of(&spans, 2, "tools/call a__fail"), of(&spans, 2, "tools/call a__boom"));
            assert_eq!(failed.get("parentSpanId"), None);
            assert_ne!(failed["traceId"], boomed["traceId"]);
            assert_eq!(attribute(failed, "error.type"), "tool_error");
            assert_eq!(attribute(boomed, "error.type"), "-32000");
            assert_eq!(attribute(boomed, "rpc.response.status_code"), "-32000");
            assert_eq!((&failed["status"]["code"], &boomed["status"]["code"]), (&2.into(), &2.into()));
            drop(peer);
            house.close();
            let all = collector.got();
            assert!(all.iter().all(|got| got.head.contains("authorization: bearer of-the-collector-123")));
            assert!(
                all.iter().all(|got| !got.message.to_string().contains(SECRET)),
                "arguments are nobody's business"
            );
            // What was counted comes at the end.
            let counted = all.iter().rfind(|got| got.path == "/v1/metrics").expect("numbers");
            assert!(counted.message.to_string().contains("switchboard_calls_total"), "{}", counted.message);
        }
    }
}

#[test]
fn what_its_client_does_not_record_passes_as_it_is() {
    let collector = Collector::start(Mood::Takes);
    let (house, peer) = house(false, "2025-11-25", traced(&collector));
    let unrecorded = PARENT.replace("-01", "-00");
    call(&peer, "echo", json!({ "traceparent": unrecorded }));
    assert_eq!(meta(&house, "echo")["traceparent"], unrecorded);
    drop(peer);
    house.close();
    assert_eq!(collector.spans(), Vec::<Value>::new());
}

#[test]
fn without_a_collector_contexts_pass_as_they_are() {
    for (http, revision) in CLIENTS {
        let (house, peer) = house(http, revision, Setup::new().script("a", TOOLS));
        call(&peer, "echo", json!({ "traceparent": PARENT, "tracestate": "vendor=x" }));
        let told = meta(&house, "echo");
        assert_eq!((&told["traceparent"], &told["tracestate"]), (&PARENT.into(), &"vendor=x".into()));
        call(&peer, "fail", json!({}));
        assert_eq!(meta(&house, "fail").get("traceparent"), None);
        drop(peer);
        house.close();
    }
}

#[test]
fn each_attempt_is_a_span_and_so_is_a_call_that_was_given_up() {
    let collector = Collector::start(Mood::Takes);
    let keys = "effects: { odd: read }, retry: { max_attempts: 3, base_delay: 1ms }";
    let (house, peer) = house(false, "2025-11-25", traced(&collector).keys(keys));
    call(&peer, "odd", json!({ "traceparent": PARENT }));
    let hanging = peer.ask("tools/call", json!({ "name": "a__hang", "arguments": {} }));
    house.await_received("a", 1, |message| message["params"]["name"] == "hang");
    peer.cancel(&hanging);
    let spans = collector.await_spans(6);
    let ours = of(&spans, 2, "tools/call a__odd");
    let attempts: Vec<&Value> =
        spans.iter().filter(|span| span["kind"] == 3 && span["name"] == "tools/call odd").collect();
    let numbers: Vec<Value> = attempts.iter().map(|span| attribute(span, "switchboard.attempt")).collect();
    assert_eq!(numbers, ["1", "2", "3"]);
    assert!(
        attempts.iter().all(|span| span["parentSpanId"] == ours["spanId"] && span["status"]["code"] == 2)
    );
    assert!(attribute(ours, "error.type").as_str().unwrap().starts_with("SB-"), "{ours}");
    let given_up = of(&spans, 2, "tools/call a__hang");
    assert_eq!(attribute(given_up, "error.type"), "cancelled");
    drop(peer);
    house.close();
}

#[test]
fn a_collector_that_is_away_or_hangs_costs_no_call_and_no_time() {
    for mood in [Mood::Hangs, Mood::Refuses(503), Mood::Refuses(400)] {
        let collector = Collector::start(mood);
        let (house, peer) = house(false, MODERN, traced(&collector));
        for _ in 0..20 {
            call(&peer, "echo", json!({}));
        }
        drop(peer);
        let began = Instant::now();
        house.close();
        assert!(began.elapsed() < Duration::from_secs(3), "{mood:?}: {:?}", began.elapsed());
    }
}

#[test]
fn what_a_collector_missed_while_it_was_away_comes_later() {
    let collector = Collector::start(Mood::Refuses(503));
    let (house, peer) = house(false, MODERN, traced(&collector));
    call(&peer, "echo", json!({}));
    // It is tried once a second or so; by then it must have refused a request.
    let until = Instant::now() + crate::board::DEADLINE;
    while !house.stderr().contains("the collector took no telemetry") {
        assert!(Instant::now() < until, "{}", house.stderr());
        std::thread::sleep(Duration::from_millis(10));
    }
    collector.is_now(Mood::Takes);
    collector.await_spans(2);
    drop(peer);
    house.close();
}
