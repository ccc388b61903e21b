//! Interceptors that hang, die, flood, talk nonsense or never start cost what the config says, and nobody else anything.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{asked, await_log, echo, listen, tells, with, with_one};
use crate::board::DEADLINE;
use crate::peer::{House, Peer};
use crate::{answered, received};

/// Runs a script under both rules: closed, the call is refused with this code and these words, and never reaches its server; open, it
/// goes on, and the log says so. Calls that do not concern it pass in both cases.
fn each_rule(keys: &str, script: &str, code: &str, words: &[&str]) {
    for fail in ["closed", "open"] {
        let entry = format!("  - {{ command: ./bad.py, match: a__echo, fail: {fail}, {keys} }}");
        with_one(&entry, &[("bad.py", script)], |house, peer| {
            let begun = Instant::now();
            let answer = echo(peer, "x");
            match fail {
                "open" => {
                    answered(&answer, "x");
                    await_log(house, "an interceptor failed; the call goes on");
                }
                _ => {
                    tells(&answer, code, words);
                    tells(&answer, code, &["`bad.py`", "It did not run", "`fail: open`"]);
                    assert_eq!(received(house, "echo"), 0);
                }
            }
            assert!(begun.elapsed() < DEADLINE);
            answered(&peer.tool("a__count", json!({})), "count 1");
        });
    }
}

#[test]
fn one_that_hangs() {
    let script = "import time\ntime.sleep(1000)\n";
    let reads = "import sys\nfor line in sys.stdin: pass\n";
    each_rule("timeout: 200ms", reads, "SB-HOOK-003", &["gave no verdict within"]);
    each_rule("timeout: 200ms, once: true", script, "SB-HOOK-003", &["gave no verdict within 200ms"]);
}

#[test]
fn one_that_dies() {
    let script = "import sys\nsys.stdin.readline()\nprint('no more ink', file=sys.stderr)\nsys.exit(7)\n";
    each_rule("timeout: 20s", script, "SB-HOOK-002", &["exited with code 7", "no more ink"]);
    each_rule("timeout: 20s, once: true", script, "SB-HOOK-002", &["exited with code 7", "no more ink"]);
}

#[test]
fn one_that_floods() {
    let lines = "while True: print('nonsense')\n";
    each_rule("timeout: 20s", lines, "SB-HOOK-002", &["lines that answer nothing"]);
    let endless = "import sys\nwhile True: sys.stdout.write('x' * 65536)\n";
    each_rule("timeout: 60s", endless, "SB-HOOK-002", &["a line that"]);
    each_rule("timeout: 20s, once: true", endless, "SB-HOOK-002", &["it wrote more than"]);
}

#[test]
fn one_with_ten_megabytes() {
    let large = "from hook import *\nserve(lambda q: {'valid': True, 'info': {'x': 'x' * 10_000_000}})\n";
    each_rule("timeout: 20s", large, "SB-HOOK-002", &["bytes is too long"]);
    let larger = "from hook import *\nserve(lambda q: {'valid': True, 'info': {'x': 'x' * 30_000_000}})\n";
    each_rule("timeout: 60s", larger, "SB-HOOK-002", &["a line that"]);
    let once = large.replace("serve(", "once(");
    each_rule("timeout: 20s, once: true", &once, "SB-HOOK-002", &["it wrote more than"]);
}

#[test]
fn one_that_talks_nonsense() {
    let nonsense = [
        ("{}", "has none of"),
        ("{'vaild': True}", "has none of"),
        ("{'valid': 'yes'}", "neither true nor false"),
        ("{'valid': False, 'severity': 'deadly'}", "`severity`"),
        ("{'modified': True}", "has no `payload`"),
        ("{'modified': True, 'payload': [1]}", "not an object"),
        (
            "{'modified': True, 'payload': {'name': 'a__gone', 'arguments': {}}}",
            "which decides where the call goes",
        ),
        ("{'modified': True, 'payload': {'arguments': [1]}}", "not a JSON object"),
        ("{'answer': {'text': 'x'}}", "no list `content`"),
        ("{'answer': 7}", "not a JSON object"),
        ("{'delayMs': -5}", "no whole number"),
        ("{'delayMs': 99999999999}", "longer than it may take"),
        ("{'error': 'my own fault'}", "it says: my own fault"),
    ];
    let verdicts: Vec<&str> = nonsense.iter().map(|(verdict, _)| *verdict).collect();
    let script = format!(
        "import json, sys\nverdicts = [{}]\nfor line in sys.stdin:\n    q = json.loads(line)\n    \
         print(json.dumps(dict(verdicts[q['payload']['arguments']['n']], id=q['id'])), flush=True)\n",
        verdicts.join(", ")
    );
    for fail in ["closed", "open"] {
        let entry = format!("  - {{ command: ./bad.py, match: a__echo, timeout: 20s, fail: {fail} }}");
        with_one(&entry, &[("bad.py", &script)], |house, peer| {
            for (n, (_, words)) in nonsense.iter().enumerate() {
                let answer = peer.tool("a__echo", json!({ "input": "x", "n": n }));
                match fail {
                    "open" => answered(&answer, "x"),
                    _ => tells(&answer, "SB-HOOK-002", &[words]),
                }
            }
            assert_eq!(received(house, "echo"), if fail == "open" { nonsense.len() } else { 0 });
        });
    }
    let once = "print('this is not JSON')\n";
    each_rule("timeout: 20s, once: true", once, "SB-HOOK-002", &["not JSON"]);
}

#[test]
fn one_that_never_starts() {
    each_rule("timeout: 20s, inherit_env: []", "#", "SB-HOOK-002", &["exited with code 0"]);
    for (fail, code) in [("closed", Some("SB-HOOK-002")), ("open", None)] {
        let entry = format!("  - {{ command: ./nowhere.py, fail: {fail} }}");
        with(&entry, &[], |_, peer| match code {
            Some(code) => tells(&echo(peer, "x"), code, &["nowhere.py` does not exist"]),
            None => answered(&echo(peer, "x"), "x"),
        });
    }
}

#[test]
fn a_result_that_nobody_could_check_is_withheld() {
    let script = "import sys\nsys.stdin.readline()\nsys.exit(1)\n";
    with("  - { on: after, command: ./bad.py }", &[("bad.py", script)], |house, peer| {
        let answer = echo(peer, "confidential");
        tells(&answer, "SB-HOOK-002", &["It has run, and its result is withheld"]);
        assert!(!answer.raw.contains("confidential"), "{}", answer.raw);
        assert_eq!(received(house, "echo"), 1);
    });
    // What has failed already fails with its own reason.
    with("  - { on: error, command: ./bad.py }", &[("bad.py", script)], |_, peer| {
        assert_eq!(peer.tool("a__wrong", json!({})).code(), -32602);
    });
}

#[test]
fn an_entry_that_is_wrong_is_a_closed_door() {
    for (entry, words) in [
        ("{ match: a__echo, comand: ./guard.py }", "unknown key `comand`"),
        ("{ match: a__echo, command: ./guard.py, url: 'http://127.0.0.1:1' }", "only one can be meant"),
        ("{ match: a__echo, command: ./guard.py, env: { KEY: '${env:NOT_SET_AT_ALL}' } }", "NOT_SET_AT_ALL"),
        ("{ match: a__echo, server: b }", "there is no server `b`"),
    ] {
        with_one(&format!("  - {entry}"), &[], |house, peer| {
            let answer = echo(peer, "x");
            tells(&answer, "SB-HOOK-002", &["its entry in the config cannot be used", "config.yaml:"]);
            assert!(answer.text().contains(words), "{}", answer.text());
            assert_eq!(received(house, "echo"), 0);
            answered(&peer.tool("a__count", json!({})), "count 1");
        });
    }
}

#[test]
fn a_program_that_has_died_is_started_again() {
    let script = "from hook import *\ndef answer(q):\n    if q['payload']['arguments'].get('input') == 'die': sys.exit(1)\nserve(answer)\n";
    with("  - { command: ./mortal.py, timeout: 20s }", &[("mortal.py", script)], |house, peer| {
        let processes = || crate::peer::children(house.pid()).len();
        answered(&echo(peer, "one"), "one");
        let before = processes();
        tells(&echo(peer, "die"), "SB-HOOK-002", &["exited with code 1"]);
        // A short pause is waited for.
        answered(&echo(peer, "two"), "two");
        answered(&echo(peer, "three"), "three");
        assert_eq!(processes(), before);
        assert_eq!(asked(house, "mortal.py").len(), 4);
        await_log(house, "the program of an interceptor has ended");
    });
}

#[test]
fn a_program_that_hung_is_started_again() {
    let script = "from hook import *\ndef answer(q):\n    if q['payload']['arguments'].get('input') == 'hang': time.sleep(1000)\nserve(answer)\n";
    with_one("  - { command: ./slow.py, timeout: 2s }", &[("slow.py", script)], |house, peer| {
        answered(&echo(peer, "one"), "one");
        tells(&echo(peer, "hang"), "SB-HOOK-003", &["within 2s"]);
        await_log(house, "it hung and was stopped");
        answered(&echo(peer, "two"), "two");
    });
}

#[test]
fn many_are_asked_at_once_and_answered_in_any_order() {
    let script = r#"
import json, sys
questions = []
for line in sys.stdin:
    questions.append(json.loads(line))
    if len(questions) == 20:
        for question in reversed(questions):
            verdict = {"id": question["id"], "modified": True, "payload": {"arguments": {"input": "no " + question["payload"]["arguments"]["input"]}}}
            print(json.dumps(verdict), flush=True)
        questions = []
"#;
    with("  - { command: ./last.py, timeout: 20s }", &[("last.py", script)], |_, peer| {
        let ids: Vec<String> = (0..20)
            .map(|n| {
                peer.ask("tools/call", json!({ "name": "a__echo", "arguments": { "input": n.to_string() } }))
            })
            .collect();
        for (n, id) in ids.iter().enumerate() {
            answered(&peer.answer(id), &format!("no {n}"));
        }
    });
}

#[test]
fn a_client_that_gives_up_leaves_nothing_behind() {
    let script = "from hook import *\nserve(lambda q: time.sleep(0.3) if q['payload']['arguments'].get('input') == 'slow' else None)\n";
    with("  - { command: ./slow.py, timeout: 20s }", &[("slow.py", script)], |house: &House, peer: &Peer| {
        answered(&echo(peer, "one"), "one");
        let id = peer.ask("tools/call", json!({ "name": "a__echo", "arguments": { "input": "slow" } }));
        super::await_asked(house, "slow.py", 2);
        peer.cancel(&id);
        answered(&echo(peer, "two"), "two");
        assert_eq!(received(house, "echo"), 2);
    });
}

#[test]
fn an_address_that_is_ill() {
    let hangs = listen(|_, _| {
        std::thread::sleep(Duration::from_secs(30));
        String::new()
    });
    let fails = listen(|_, _| "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n".to_owned());
    let large = listen(|_, _| super::ok(&"x".repeat(10_000_000)));
    let leads = listen(move |_, _| {
        format!("HTTP/1.1 307 There\r\nLocation: http://{fails}/\r\nContent-Length: 0\r\n\r\n")
    });
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (address, code, words) in [
        (hangs, "SB-HOOK-003", "within 300ms"),
        (fails, "SB-HOOK-002", "500"),
        (large, "SB-HOOK-002", "are allowed"),
        (leads, "SB-HOOK-002", "redirect"),
        (nobody, "SB-HOOK-002", "http://127.0.0.1"),
    ] {
        let timeout = if code == "SB-HOOK-003" { "300ms" } else { "20s" };
        for fail in ["closed", "open"] {
            let entry = format!("  - {{ url: 'http://{address}/', timeout: {timeout}, fail: {fail} }}");
            with_one(&entry, &[], |_, peer| match fail {
                "open" => answered(&echo(peer, "x"), "x"),
                _ => tells(&echo(peer, "x"), code, &[words]),
            });
        }
    }
}
