//! A server that fails too often is left alone for a while.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{answered, each, received, refused};

const TOOLS: &str = r#"
tools:
  echo: { answer: "{{input}}" }
  broken: { result: 5 }
  sorry: { is_error: true, answer: no }
  wrong: { error: { code: -32602, message: no such thing } }
"#;

#[test]
fn it_opens_after_failures_refuses_at_once_and_closes_after_a_trial() {
    each(TOOLS, "breaker: { failure_threshold: 3, recovery_timeout: 1500ms }", |house, peer| {
        for _ in 0..3 {
            refused(&peer.tool("a__broken", json!({})), "SB-CALL-006");
        }
        let opened = Instant::now();
        let mut times = Vec::new();
        for _ in 0..3 {
            let begun = Instant::now();
            let answer = peer.tool("a__echo", json!({ "input": "x" }));
            times.push(begun.elapsed());
            let data = refused(&answer, "SB-BREAKER-001");
            assert!(data["retry_after_ms"].as_u64().is_some_and(|wait| wait <= 1500), "{}", answer.raw);
            let text = answer.text();
            assert!(text.contains("server `a`") && text.contains("call again in"), "{text}");
        }
        assert!(times.iter().min().unwrap() < &Duration::from_millis(50), "{times:?}");
        assert_eq!((received(house, "echo"), received(house, "broken")), (0, 3));
        let status = peer.status("a");
        assert!(status.contains("breaker-open") && status.contains("SB-BREAKER-001"), "{status}");
        // F12: its tools are still there.
        assert!(peer.call("tools/list", json!({})).names().contains(&"a__echo".to_owned()));
        std::thread::sleep(Duration::from_millis(1600).saturating_sub(opened.elapsed()));
        answered(&peer.tool("a__echo", json!({ "input": "y" })), "y");
        assert!(!peer.status("a").contains("breaker"));
        // F9: it counts from nothing again.
        for _ in 0..2 {
            refused(&peer.tool("a__broken", json!({})), "SB-CALL-006");
        }
        answered(&peer.tool("a__echo", json!({ "input": "z" })), "z");
    });
}

#[test]
fn a_trial_that_fails_opens_it_again_for_longer() {
    each(TOOLS, "breaker: { failure_threshold: 1, recovery_timeout: 300ms }", |house, peer| {
        refused(&peer.tool("a__broken", json!({})), "SB-CALL-006");
        std::thread::sleep(Duration::from_millis(350));
        refused(&peer.tool("a__broken", json!({})), "SB-CALL-006");
        let data = refused(&peer.tool("a__echo", json!({})), "SB-BREAKER-001");
        assert!(data["retry_after_ms"].as_u64().is_some_and(|wait| wait > 300), "{data}");
        assert_eq!((received(house, "echo"), received(house, "broken")), (0, 2));
    });
}

/// A call that tries a server again must not be lost in a pipe that nobody reads: the server shakes hands first.
#[test]
fn no_call_is_risked_on_a_server_that_does_not_shake_hands() {
    let script = format!("revisions: [ 2025-11-25 ]\non: {{ ping: hang }}\n{TOOLS}");
    let keys = "breaker: { failure_threshold: 1, recovery_timeout: 300ms }, health_check: { interval: 1h, timeout: 200ms }";
    each(&script, keys, |house, peer| {
        refused(&peer.tool("a__broken", json!({})), "SB-CALL-006");
        std::thread::sleep(Duration::from_millis(350));
        let answer = peer.tool("a__echo", json!({ "input": "x" }));
        refused(&answer, "SB-BREAKER-001");
        assert!(answer.text().contains("`ping`"), "{}", answer.raw);
        assert_eq!(received(house, "echo"), 0);
    });
}

/// F4: what the caller did wrong says nothing about the server.
#[test]
fn errors_of_tools_and_invalid_arguments_do_not_open_it() {
    each(TOOLS, "breaker: { failure_threshold: 2 }", |_, peer| {
        for _ in 0..20 {
            assert_eq!(peer.tool("a__sorry", json!({})).text(), "no");
            assert_eq!(peer.tool("a__wrong", json!({})).code(), -32602);
        }
        answered(&peer.tool("a__echo", json!({ "input": "x" })), "x");
    });
}

#[test]
fn a_server_that_does_not_answer_in_time_opens_it() {
    let script = format!("{TOOLS}  hang: {{ hang: true }}\n");
    each(&script, "timeouts: { call: 300ms }, breaker: { failure_threshold: 5 }", |_, peer| {
        let hang = json!({ "name": "a__hang", "arguments": {} });
        let ids: Vec<String> = (0..5).map(|_| peer.ask("tools/call", hang.clone())).collect();
        for id in &ids {
            refused(&peer.answer(id), "SB-CALL-001");
        }
        refused(&peer.tool("a__echo", json!({})), "SB-BREAKER-001");
    });
}
