//! Numbers agree with what a client has counted for itself.

use std::time::{Duration, Instant};

use serde_json::json;

use super::numbers::Numbers;
use super::{CLIENTS, TOOLS, counted, house};

/// Outcomes and how often they are brought about.
const PLAN: [(&str, &str, u32); 5] = [
    ("echo", "ok", 7),
    ("fail", "tool_error", 3),
    ("boom", "error", 2),
    ("odd", "failed", 1),
    ("slow", "ok", 2),
];

#[test]
fn calls_errors_and_durations_are_those_that_a_client_has_seen() {
    for (http, revision) in CLIENTS {
        let (house, peer) = house(http, revision, counted().script("a", TOOLS));
        let (mut sent, mut slow) = (0, Duration::ZERO);
        for (tool, _, count) in PLAN {
            for _ in 0..count {
                let began = Instant::now();
                peer.tool(&format!("a__{tool}"), json!({ "input": "x" }));
                sent += 1;
                if tool == "slow" {
                    slow += began.elapsed();
                }
            }
        }
        let hanging = peer.ask("tools/call", json!({ "name": "a__hang", "arguments": {} }));
        house.await_received("a", 1, |message| message["params"]["name"] == "hang");
        peer.cancel(&hanging);
        let cancelled = r#"switchboard_calls_total{server="a",method="tools/call",outcome="cancelled"}"#;
        let numbers =
            Numbers::until(&house, "the end of the last call", |numbers| numbers.get(cancelled) == 1.0);
        let total = |outcome: &str| {
            numbers.have(&format!(
                "switchboard_calls_total{{server=\"a\",method=\"tools/call\",outcome=\"{outcome}\"}}"
            ))
        };
        let planned = |outcome: &str| {
            f64::from(
                PLAN.iter().filter(|(_, ends, _)| *ends == outcome).map(|(.., count)| count).sum::<u32>(),
            )
        };
        for outcome in ["ok", "tool_error", "error", "failed"] {
            assert_eq!(
                total(outcome),
                planned(outcome),
                "{outcome}, for a client of {revision}: {numbers:#?}"
            );
        }
        for (tool, outcome, count) in PLAN {
            let series =
                format!("switchboard_tool_calls_total{{server=\"a\",tool=\"{tool}\",outcome=\"{outcome}\"}}");
            assert_eq!(numbers.have(&series), f64::from(count), "{series}");
        }
        assert_eq!(numbers.sum("switchboard_tool_calls_total{"), f64::from(sent) + 1.0);
        assert_eq!(numbers.sum("switchboard_call_failures_total{"), planned("failed"));
        // How long calls took: the client saw at least that, and the delays are known.
        let took = numbers.have(r#"switchboard_tool_call_duration_seconds_sum{server="a",tool="slow"}"#);
        assert!(took >= 0.6 && took <= slow.as_secs_f64(), "{took} and {slow:?}");
        let bucket = |le: &str| {
            let labels = format!("server=\"a\",method=\"tools/call\",le=\"{le}\"");
            numbers.have(&format!("switchboard_call_duration_seconds_bucket{{{labels}}}"))
        };
        assert_eq!(bucket("+Inf"), f64::from(sent), "those that were cancelled are not among them");
        assert!(bucket("0.2") <= bucket("+Inf") - 2.0, "the slow ones took longer");
        assert_eq!(
            bucket("+Inf"),
            numbers.have(r#"switchboard_call_duration_seconds_count{server="a",method="tools/call"}"#)
        );
        assert!(numbers.have(r#"switchboard_attempts_total{server="a",replica="1"}"#) >= f64::from(sent));
        assert_eq!(numbers.have(r#"switchboard_server_starts_total{server="a",replica="1"}"#), 1.0);
        if !(http && revision == super::MODERN) {
            assert!(numbers.have("switchboard_sessions") >= 0.0);
        }
        peer.tool("a__echo", json!({ "input": "x" }));
        drop(peer);
        house.close();
    }
}

#[test]
fn record_server_health() {
    let setup = counted()
        .script("a", TOOLS)
        .entry("gone", "{ command: /nonexistent/server }")
        .entry("off", "{ command: x, disabled: true }");
    let (house, peer) = house(false, "2025-11-25", setup);
    let unhealthy = r#"switchboard_servers{level="unhealthy"}"#;
    let numbers = Numbers::until(&house, "the fall of a server", |numbers| numbers.get(unhealthy) == 1.0);
    assert_eq!(numbers.have(r#"switchboard_servers{level="healthy"}"#), 1.0);
    assert_eq!(numbers.have(r#"switchboard_servers{level="disabled"}"#), 1.0);
    assert_eq!(numbers.sum("switchboard_servers{"), 3.0);
    assert_eq!(numbers.have(r#"switchboard_server_up{server="a"}"#), 1.0);
    assert_eq!(numbers.have(r#"switchboard_server_up{server="gone"}"#), 0.0);
    assert_eq!(numbers.get(r#"switchboard_server_up{server="off"}"#), 0.0);
    assert_eq!(numbers.have(r#"switchboard_definitions{server="a",kind="tools"}"#), 6.0);
    assert_eq!(numbers.have("switchboard_sessions"), 1.0);
    assert!(numbers.have("process_resident_memory_bytes") > 1e6);
    drop(peer);
    house.close();
}

#[test]
fn stages_tell_what_they_have_done() {
    let keys = "cache: { ttl: 1h }, effects: { echo: read, odd: read }, breaker: { failure_threshold: 2 }, concurrency: { max: 3 }, \
                retry: { max_attempts: 2, base_delay: 1ms }";
    let setup = counted().script("a", TOOLS).keys(keys).config("telemetry: { audit: true }");
    let (house, peer) = house(false, "2025-11-25", setup);
    for _ in 0..3 {
        peer.tool("a__echo", json!({ "input": "x" }));
    }
    peer.tool("a__odd", json!({}));
    peer.tool("a__fail", json!({}));
    let numbers = Numbers::of(&house);
    assert_eq!(numbers.have(r#"switchboard_cache_hits_total{server="a"}"#), 2.0);
    assert!(numbers.have(r#"switchboard_cache_misses_total{server="a"}"#) >= 1.0);
    assert_eq!(numbers.have(r#"switchboard_cache_answers{server="a"}"#), 1.0);
    assert!(numbers.have(r#"switchboard_cache_bytes{server="a"}"#) > 0.0);
    assert_eq!(numbers.have(r#"switchboard_retries_total{server="a"}"#), 1.0);
    assert_eq!(numbers.have(r#"switchboard_breaker_openings_total{server="a",replica="1"}"#), 1.0);
    assert_eq!(numbers.have(r#"switchboard_breaker_state{server="a",replica="1",state="open"}"#), 1.0);
    assert_eq!(numbers.have(r#"switchboard_breaker_state{server="a",replica="1",state="closed"}"#), 0.0);
    // What the breaker refused is a failure, by its code.
    assert_eq!(numbers.sum("switchboard_call_failures_total{"), 2.0, "{numbers:#?}");
    assert_eq!(numbers.have(r#"switchboard_concurrency_limit{server="a"}"#), 3.0);
    assert_eq!(numbers.have(r#"switchboard_concurrency_calls{server="a",state="running"}"#), 0.0);
    // They are written together, a moment later.
    let audited = |numbers: &Numbers| numbers.get("switchboard_audit_entries_total") == 5.0;
    let numbers = Numbers::until(&house, "the audit log", audited);
    assert_eq!(numbers.have("switchboard_audit_broken"), 0.0);
    drop(peer);
    house.close();
}

#[test]
fn nothing_is_told_where_nothing_is_counted() {
    let (house, peer) =
        house(false, "2025-11-25", counted().script("a", TOOLS).config("telemetry: { metrics: false }"));
    peer.tool("a__echo", json!({}));
    let (head, body) = super::get(&super::admin(&house), "/metrics");
    assert!(head.starts_with("HTTP/1.1 404") && body.contains("telemetry.metrics"), "{head}\n{body}");
    drop(peer);
    house.close();
}
