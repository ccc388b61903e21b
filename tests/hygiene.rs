//! Strange things that servers write, and strange things that configs hold: none may hurt a client or another server.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

#[path = "support/rig.rs"]
mod rig;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use rig::{Message, Rig, SOON, Server, Setup, memory_mib, millis, open_files};
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// What a call to a healthy server may take while another one misbehaves, on a busy machine.
const PROMPT: Duration = Duration::from_millis(1000);

/// A faulty server `a` beside a healthy one `b`.
fn beside_healthy(fixture: &str) -> Rig {
    let mut rig = Rig::of([Server::mock("a", fixture), Server::mock("b", "healthy")]);
    rig.echo("a");
    rig.echo("b");
    rig
}

/// The text of the result as it came.
fn raw_result(message: &Message) -> String {
    #[derive(serde::Deserialize)]
    struct Answer<'a> {
        #[serde(borrow)]
        result: Option<&'a RawValue>,
    }
    let answer: Answer<'_> = serde_json::from_slice(&message.raw).unwrap();
    answer.result.map(|raw| raw.get().to_owned()).unwrap_or_else(|| panic!("no result: {}", message.show()))
}

/// Calls a tool of `a` and fails unless it is answered promptly, one way or the other.
fn prompt_answer(rig: &mut Rig, tool: &str) -> Message {
    let id = rig.call(&format!("a__{tool}"), json!({ "input": "x" }));
    rig.answer_within(&id, millis(3000))
}

// === what is no message ===

#[test]
fn ten_thousand_lines_of_text_go_to_the_servers_log_and_never_to_the_client() {
    let mut rig = beside_healthy("b01-text-noise");
    let id = rig.call("a__noisy", json!({}));
    rig.echo_within("b", PROMPT);
    rig.answer(&id).expect_text("done");
    let status = rig.status_of("a");
    assert!(status.contains("20000 lines of noise on stdout"), "{status}");
    let log = rig.server_log("a");
    assert!(log.contains("starting up, please wait"), "the log lacks the noise: {log:.400}");
    assert!(log.lines().count() < 2000, "the log took {} lines: it has no bound", log.lines().count());
    rig.expect_silence();
    rig.finish();
}

#[test]
fn structured_log_lines_on_stdout_are_never_answered() {
    let mut rig = beside_healthy("b02-json-log-noise");
    let id = rig.call("a__noisy", json!({}));
    rig.echo_within("b", PROMPT);
    rig.answer(&id).expect_text("done");
    rig.echo("a");
    let received = rig.received("a");
    assert!(!received.iter().any(|line| line.contains("\"error\"")), "{received:?}");
    rig.finish();
}

#[test]
fn lines_of_json_that_are_no_messages_are_dropped() {
    let mut rig = beside_healthy("b03-json-noise");
    rig.ask("a__noisy", json!({})).expect_text("done");
    rig.echo("b");
    let received = rig.received("a");
    assert!(!received.iter().any(|line| line.contains("\"error\"")), "{received:?}");
    rig.expect_silence();
    rig.finish();
}

// === sizes ===

#[test]
fn a_large_result_passes_and_a_larger_one_becomes_an_error_with_size_and_limit() {
    let mut rig = beside_healthy("b04-large-results");
    let five = rig.ask("a__five", json!({}));
    assert!(five.raw.len() > 5 << 20 && !five.is_tool_error());
    for (tool, size, limit) in
        [("nine", "9.0", "8 MiB"), ("twelve", "12.0", "8 MiB"), ("seventeen", "17.0", "16.0 MiB")]
    {
        let id = rig.call(&format!("a__{tool}"), json!({}));
        let text = rig.answer(&id).expect_code("SB-CALL-005");
        assert!(text.contains(&format!("{size} MiB")) && text.contains(limit), "{tool}: {text}");
        rig.echo_within("b", PROMPT);
        rig.echo("a");
    }
    rig.finish();
}

#[test]
fn a_line_that_never_ends_fails_its_server_alone_and_takes_little_memory() {
    let mut rig = beside_healthy("b06-endless-line");
    let id = rig.call("a__endless", json!({}));
    rig.echo_within("b", PROMPT);
    let text = rig.answer(&id).expect_code("SB-CALL-002");
    assert!(text.contains("a line that does not end"), "{text}");
    rig.echo("a");
    let most = memory_mib(rig.pid(), "VmHWM");
    assert!(most < 120.0, "at most {most} MiB");
    rig.finish();
}

#[test]
fn a_deep_result_is_delivered_and_a_bottomless_one_is_an_error() {
    let mut rig = beside_healthy("b07-deep-results");
    let result = raw_result(&rig.ask("a__deep200", json!({})));
    assert!(result.contains(&format!("{}{}", "[".repeat(200), "]".repeat(200))), "{result:.200}");
    let text = prompt_answer(&mut rig, "deep100k").expect_code("SB-CALL-006");
    assert!(text.contains("nested too deeply"), "{text}");
    rig.echo("a");
    rig.echo("b");
    rig.finish();
}

// === strange results ===

#[test]
fn unusual_results_pass_unchanged() {
    let mut rig = beside_healthy("b10-strange-results");
    for (tool, expected) in [
        ("duplicate_keys", r#"{"content":[],"a":1,"a":2}"#),
        ("unknown_content", r#"{"content":[{"type":"hologram","data":"x"}]}"#),
        ("content_is_text", r#"{"content":"just a text"}"#),
        ("extra_members", r#"{"content":[],"vendor":{"x":null},"_meta":{"example.com/trace":7}}"#),
        ("escapes", r#"{ "content" : [{"type":"text","text":"\u0041\/"}] }"#),
    ] {
        let answer = prompt_answer(&mut rig, tool);
        assert_eq!(raw_result(&answer), expected, "{tool}");
    }
    rig.finish();
}

#[test]
fn numbers_keep_their_text() {
    let mut rig = beside_healthy("b10-numbers");
    let result = raw_result(&rig.ask("a__numbers", json!({})));
    for number in ["12345678901234567890123", "1.10", "1e400", "-0.0", "1E+2"] {
        assert!(result.contains(number), "{number} is lost: {result}");
    }
    rig.finish();
}

#[test]
fn broken_responses_end_their_call_at_once() {
    let mut rig = beside_healthy("b11-bad-responses");
    for tool in ["result_number", "result_null", "neither", "code_text", "code_large", "code_fraction"] {
        let text = prompt_answer(&mut rig, tool).expect_code("SB-CALL-006");
        assert!(text.starts_with("server `a`: "), "{tool}: {text}");
    }
    let text = prompt_answer(&mut rig, "code_text").text();
    assert!(text.contains("text code"), "the server's own words are lost: {text}");
    for tool in ["both", "no_jsonrpc", "code_missing", "message_missing"] {
        prompt_answer(&mut rig, tool);
    }
    rig.echo("a");
    rig.finish();
}

#[test]
fn answers_that_are_no_json_end_their_call_at_once() {
    let mut rig = beside_healthy("b11-broken-json");
    let surrogate = prompt_answer(&mut rig, "lone_surrogate");
    assert!(raw_result(&surrogate).contains(r"\ud800"), "{}", surrogate.show());
    let mended = prompt_answer(&mut rig, "invalid_utf8");
    assert!(raw_result(&mended).contains('\u{fffd}'), "{}", mended.show());
    prompt_answer(&mut rig, "nan").expect_code("SB-CALL-006");
    prompt_answer(&mut rig, "truncated").expect_code("SB-CALL-006");
    prompt_answer(&mut rig, "duplicate_envelope_key");
    rig.echo("a");
    rig.echo("b");
    rig.finish();
}

#[test]
fn an_id_in_another_spelling_still_finds_its_call() {
    let mut rig = beside_healthy("b12-id-spelling");
    for tool in ["as_text", "as_float"] {
        assert_eq!(raw_result(&prompt_answer(&mut rig, tool)), r#"{"content":[]}"#, "{tool}");
    }
    rig.finish();
}

#[test]
fn answers_to_nobody_and_second_answers_are_dropped() {
    let mut rig = beside_healthy("b13-extra-answers");
    rig.ask("a__thrice", json!({})).expect_text("right");
    rig.echo("a");
    rig.finish();
}

#[test]
fn a_response_over_several_lines_is_put_together() {
    let mut rig = beside_healthy("b14-pretty-printed");
    let answer: Value = serde_json::from_str(&raw_result(&prompt_answer(&mut rig, "pretty"))).unwrap();
    assert_eq!(answer, json!({ "content": [] }));
    rig.finish();
}

#[test]
fn the_messages_of_a_batch_are_taken_one_by_one() {
    let mut rig = beside_healthy("b15-batch-response");
    assert_eq!(raw_result(&prompt_answer(&mut rig, "batch")), r#"{"content":[]}"#);
    rig.until("the log message", SOON, |rig| {
        (!rig.inbox.notices("notifications/message").is_empty()).then_some(())
    });
    rig.finish();
}

#[test]
fn line_ends_of_every_kind_are_read() {
    let mut rig = beside_healthy("b16-line-ends");
    for tool in ["crlf", "bom", "split", "unterminated"] {
        assert_eq!(raw_result(&prompt_answer(&mut rig, tool)), r#"{"content":[]}"#, "{tool}");
    }
    rig.echo("a");
    prompt_answer(&mut rig, "blank_lines").expect_text("after blank lines");
    rig.finish();
}

// === stderr ===

#[test]
fn a_flood_on_stderr_without_a_line_end_holds_nobody_up() {
    let mut rig = beside_healthy("b17-stderr-flood");
    rig.ask("a__flood", json!({})).expect_text("done");
    let kept = rig.status_of("a").lines().map(str::len).max().unwrap_or(0);
    assert!(kept <= 64 << 10, "a line of {kept} bytes was kept");
    rig.finish();
}

#[test]
fn a_secret_on_stderr_or_stdout_shows_nowhere() {
    let secret = "s3cret-0123456789";
    let tool = |name: &str, to: &str| {
        format!(
            "  {name}: {{ noise: {{ {to}lines: 3, text: \"key {{{{env.API_KEY}}}}\" }}, crash: SIGKILL }}\n"
        )
    };
    let script = format!(
        "tools:\n  echo: {{ answer: \"{{{{input}}}}\" }}\n{}{}",
        tool("err", "to: stderr, "),
        tool("out", "")
    );
    let mut rig = Rig::of([
        Server::mock("a", "b18-stderr-secret").env("API_KEY", secret),
        Server::script("c", &script).env("API_KEY", secret),
    ]);
    rig.ask("a__leak", json!({})).expect_text("done");
    let mut shown = rig.status_of("a");
    for tool in ["c__err", "c__out"] {
        shown += &rig.ask(tool, json!({})).text();
        shown += &rig.await_status("c", "ready");
    }
    shown += &rig.status();
    let home = rig.state();
    rig.until("the log of a", SOON, |rig| rig.server_log("a").contains("connecting with").then_some(()));
    assert!(shown.contains("[redacted]"), "{shown}");
    let mut files = vec![home];
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(fs::read_dir(&path).unwrap().flatten().map(|entry| entry.path()));
        } else if path.is_file() {
            // The rest is the status socket, which comes and goes with the process.
            let text = fs::read(&path).unwrap();
            let leaks = text.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!leaks, "{} has the secret", path.display());
        }
    }
    assert!(!shown.contains(secret) && !rig.stderr().contains(secret), "{shown}\n{}", rig.stderr());
    rig.finish();
}

// === what servers ask and claim ===

#[test]
fn a_server_gets_pong_and_refusals_when_the_client_can_do_nothing() {
    let mut rig = beside_healthy("b20-server-requests");
    rig.ask("a__ping", json!({})).expect_text("{}");
    for tool in ["roots", "sample", "elicit", "unknown"] {
        prompt_answer(&mut rig, tool);
    }
    let received = rig.received("a");
    let refused = received.iter().filter(|line| line.contains("-32601")).count();
    assert_eq!(refused, 4, "{received:#?}");
    rig.expect_silence();
    rig.finish();
}

#[test]
fn forged_progress_and_cancellations_reach_no_other_call() {
    let mut rig = beside_healthy("b21-forged-notifications");
    let params = json!({ "name": "b__slow", "arguments": {}, "_meta": { "progressToken": 5 } });
    let slow = rig.request("tools/call", params);
    rig.ask("a__forge", json!({})).expect_text("done");
    rig.answer(&slow).expect_text("slow");
    rig.expect_silence();
    rig.finish();
}

#[test]
fn a_url_for_the_user_is_refused_unless_it_leads_to_the_web() {
    let ask = |url: &str| {
        format!(
            "{{ ask: {{ method: elicitation/create, params: {{ mode: url, message: Sign in, url: \"{url}\", elicitationId: e1 }}, save: reply }}, answer: \"{{{{reply}}}}\" }}"
        )
    };
    let script = format!(
        "tools:\n  js: {}\n  file: {}\n  web: {}\n",
        ask("javascript:alert(1)"),
        ask("file:///etc/passwd"),
        ask("https://login.example/x")
    );
    let mut rig = Setup::of([Server::script("a", &script)]).start();
    rig.hello_as(json!({ "elicitation": { "form": {}, "url": {} } }));
    rig.tools();
    for tool in ["a__js", "a__file"] {
        let text = rig.ask(tool, json!({})).text();
        assert!(text.contains("https://"), "{tool}: {text}");
    }
    rig.expect_silence();
    let id = rig.call("a__web", json!({}));
    let question = rig.until("the question", SOON, |rig| {
        rig.inbox.notices("elicitation/create").first().map(|question| question.value())
    });
    let message = question["params"]["message"].as_str().unwrap();
    assert!(message.contains('a') && message.contains("Sign in") && message != "Sign in", "{message}");
    let reply = json!({ "jsonrpc": "2.0", "id": question["id"], "result": { "action": "decline" } });
    rig.raw(format!("{reply}\n").as_bytes());
    assert!(rig.answer(&id).text().contains("decline"));
    rig.finish();
}

#[test]
fn control_characters_of_a_server_never_break_a_line_of_a_log() {
    let refuses =
        "on: { initialize: { error: { code: -32603, message: \"one\\ntwo\\u001b[31m\\u0007\" } } }\n";
    let script = r#"
on:
  start:
    steps:
      - stderr: "first\u001b[31m red\u0007\rback"
      - raw: "noise\u001b[2J\u0007 here\n"
tools:
  echo: { answer: "{{input}}" }
  "bad\nname\u001b[31m": { answer: ok }
  fail: { error: { code: -32000, message: "one\ntwo\u001b[31m" } }
  leave: { stderr: "last\u0007 words", exit: 3 }
"#;
    let mut rig = Setup::of([Server::script("a", script), Server::script("r", refuses)])
        .env("SWITCHBOARD_LOG", "debug")
        .start();
    rig.hello();
    rig.tools();
    rig.ask("a__fail", json!({}));
    let text = rig.ask("a__leave", json!({})).text();
    assert!(!text.contains('\u{7}') && text.contains("last"), "{text:?}");
    let status = rig.await_status("r", "it refused `initialize`") + &rig.status_of("a");
    rig.until("the server's log", SOON, |rig| rig.server_log("a").contains("red").then_some(()));
    let own = rig.stderr();
    for (what, text) in [("log", rig.server_log("a")), ("stderr", own), ("status", status)] {
        let bad = text.chars().find(|char| char.is_control() && !matches!(char, '\n' | '\t'));
        assert_eq!(bad, None, "{what}: {text:?}");
    }
    rig.finish();
}

// === configs ===

#[test]
fn arguments_are_passed_literally() {
    let strange = ["; rm -rf x", "$(id)", "a b", "*", "\"quoted'", "", "`id`", "-n"];
    let fixture = format!("{}/fixtures/mock/healthy.yaml", env!("CARGO_MANIFEST_DIR"));
    // A shell notes them and hands on what the mock understands.
    let line = format!("printf '%s\\n' \"$@\" > \"$HOME/seen\"; exec {} mock {fixture}", rig::PROGRAM);
    let mut args = vec!["-c", &line, "sh"];
    args.extend(strange);
    let server = Server::command("a", "sh", &args);
    let mut rig = Rig::of([server]);
    rig.echo("a");
    let seen = fs::read_to_string(rig.home().join("seen")).unwrap();
    assert_eq!(seen.lines().collect::<Vec<_>>(), strange);
    rig.finish();
}

#[test]
fn what_a_server_says_is_never_expanded() {
    let script = "tools:\n  say: { description: \"see ${HOME} and ${SECRET}\", answer: \"${HOME} ${env:SECRET} {{input}}\" }\n";
    let mut rig = Rig::of([Server::script("a", script)]);
    rig.tools();
    rig.ask("a__say", json!({ "input": "${HOME}" })).expect_text("${HOME} ${env:SECRET} ${HOME}");
    rig.finish();
}

#[test]
fn a_config_in_the_working_directory_is_not_read() {
    let setup = Setup::of([Server::mock("b", "healthy")]);
    let trap = json!({ "mcpServers": { "trap": { "command": "touch", "args": ["sprung"] } } }).to_string();
    for name in ["mcp.json", ".mcp.json", "switchboard.yaml", "switchboard.toml"] {
        fs::write(setup.home().join(name), &trap).unwrap();
    }
    // Without `--config`, and with a home of its own that holds none.
    let mut bare = std::process::Command::new(rig::PROGRAM);
    bare.env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", setup.home())
        .env("SWITCHBOARD_HOME", setup.home().join("none"))
        .current_dir(setup.home())
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null());
    let mut child = bare.spawn().unwrap();
    let hello = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "x", "version": "1" } } });
    let list = json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/list" });
    std::io::Write::write_all(child.stdin.as_mut().unwrap(), format!("{hello}\n{list}\n").as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("switchboard__status") && !text.contains("trap"), "{text}");
    assert!(!setup.home().join("sprung").exists());
}

#[test]
fn a_server_whose_variable_is_not_set_needs_config_and_the_others_work() {
    let mut rig = Rig::of([
        Server::mock("a", "healthy").env("TOKEN", "${env:RIG_TOKEN_THAT_IS_NOT_SET}"),
        Server::mock("b", "healthy"),
    ]);
    rig.echo("b");
    let status = rig.status_of("a");
    assert!(status.contains("needs-config") && status.contains("RIG_TOKEN_THAT_IS_NOT_SET"), "{status}");
    assert!(status.contains("SB-CFG-007"), "{status}");
    assert!(rig.starts("a").is_empty(), "it was started all the same");
    rig.finish();
}

#[test]
fn a_server_that_cannot_be_reached_is_reported_and_the_others_work() {
    let url = Server::entry("web", json!({ "url": "http://127.0.0.1:9/mcp" }));
    let mut rig = Rig::of([url, Server::mock("b", "healthy")]);
    rig.echo("b");
    assert!(rig.begun.elapsed() < Duration::from_secs(5));
    let status = rig.await_status("web", "SB-NET-002");
    assert!(status.contains("restarting") || status.contains("crash-looped"), "{status}");
    rig.finish();
}

/// Configs that are wrong in one way each, and what the status must say about it: the place and the remedy.
const WRONG: &[(&str, &str, &[&str])] = &[
    ("broken.json", "{ \"servers\": { \"b\": BENT } ", &["broken.json:1:", "SB-CFG-001"]),
    ("broken.yaml", "servers:\n  b: { command: x\n  c: [\n", &["broken.yaml:", "SB-CFG-001"]),
    ("broken.toml", "[servers.b\ncommand = 1\n", &["broken.toml:1:", "SB-CFG-001"]),
    ("list.json", "[1, 2]", &["list.json:1:1"]),
    ("text.yaml", "just a text\n", &["text.yaml:1:1"]),
    ("servers.yaml", "servers: 5\n", &["servers.yaml:1:10"]),
    ("unknown.yaml", "servrs:\n  b: { command: x }\n", &["unknown.yaml:1:1", "servers", "SB-CFG-002"]),
    ("key.yaml", "servers:\n  a: { comand: x }\n", &["key.yaml:2:8", "did you mean `command`", "SB-CFG-002"]),
    ("type.yaml", "servers:\n  a:\n    command: { x: y }\n", &["type.yaml:3:14", "SB-CFG-003"]),
    (
        "time.yaml",
        "servers:\n  a:\n    command: x\n    timeouts: { call: soon }\n",
        &["time.yaml:4:23", "SB-CFG-003"],
    ),
    ("none.yaml", "servers:\n  a: {}\n", &["none.yaml:2:", "`command`", "SB-CFG-004"]),
    (
        "both.yaml",
        "servers:\n  a: { command: x, url: \"http://x.example\" }\n",
        &["both.yaml:2:", "SB-CFG-005"],
    ),
    ("entry.yaml", "servers:\n  a: 5\n", &["entry.yaml:2:6"]),
    ("double.yaml", "servers:\n  a: { command: x }\n  a: { command: y }\n", &["double.yaml:3:3"]),
];

#[test]
fn a_wrong_config_of_every_kind_is_served_and_the_status_says_what_mends_it() {
    for (file, text, expected) in WRONG {
        let mut rig = Setup::text(file, *text).start();
        let hello = rig.hello();
        assert!(hello.value()["result"]["serverInfo"].is_object(), "{file}: {}", hello.show());
        assert!(rig.tools().contains(&"switchboard__status".to_owned()), "{file}");
        let status = rig.status();
        for part in *expected {
            assert!(status.contains(part), "{file}: the status lacks {part:?}:\n{status}");
        }
        rig.finish();
    }
}

#[test]
fn strict_ends_with_78_for_each_of_them() {
    for (file, text, expected) in WRONG {
        let mut rig = Setup::text(file, *text).arg("--strict").start();
        rig.close_input();
        let (status, _) = rig.ended_within(SOON);
        assert_eq!(status.code(), Some(78), "{file}: {}", rig.stderr());
        let place = expected[0].split(':').next().unwrap();
        assert!(rig.stderr().contains(place), "{file}: {}", rig.stderr());
        rig.check(SOON);
    }
}

#[test]
fn a_missing_or_unreadable_config_is_served_and_named() {
    for is_folder in [false, true] {
        let setup = Setup::unwritten("gone.yaml");
        if is_folder {
            fs::create_dir(setup.home().join("gone.yaml")).unwrap();
        }
        let mut rig = setup.start();
        rig.hello();
        let status = rig.status();
        assert!(status.contains("gone.yaml") && status.contains("SB-CFG-006"), "{status}");
        rig.finish();
    }
}

#[test]
fn one_broken_entry_never_disables_the_others() {
    let mut rig = Rig::of([
        Server::entry("a", json!({ "comand": "x" })),
        Server::entry("c", json!(7)),
        Server::entry("d", json!({ "command": "x", "disabled": true })),
        Server::mock("b", "healthy"),
    ]);
    rig.echo("b");
    let status = rig.status();
    assert!(status.contains("a: config-error") && status.contains("c: config-error"), "{status}");
    assert!(status.contains("d: disabled"), "{status}");
    rig.finish();
}

// === commands ===

#[test]
fn each_reason_why_a_command_does_not_start_has_its_own_words() {
    let setup = Setup::of([
        Server::command("missing", "no-such-command-anywhere", &[]),
        Server::command("plain", "${HOME}/plain", &[]),
        Server::command("folder", "${HOME}", &[]),
        Server::command("orphan", "${HOME}/orphan", &[]),
        Server::command("nowhere", "sh", &[]).set("cwd", json!("${HOME}/nowhere")),
        Server::mock("b", "healthy"),
    ]);
    let write = |name: &str, text: &str, mode| {
        let path = setup.home().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    };
    write("plain", "#!/bin/sh\n", 0o600);
    write("orphan", "#!/no/such/interpreter\n", 0o700);
    let mut rig = setup.start();
    rig.hello();
    rig.echo("b");
    for (server, parts) in [
        ("missing", ["SB-SPAWN-001", "no-such-command-anywhere", "/usr/bin"]),
        ("plain", ["SB-SPAWN-002", "plain", "execut"]),
        ("folder", ["SB-SPAWN-002", "directory", "command"]),
        ("orphan", ["SB-SPAWN-002", "/no/such/interpreter", "orphan"]),
        ("nowhere", ["SB-SPAWN-003", "nowhere", "cwd"]),
    ] {
        let status = rig.await_status(server, "failed");
        for part in parts {
            assert!(status.contains(part), "{server} lacks {part:?}: {status}");
        }
    }
    let before = open_files(rig.pid());
    // They are not tried again and again: nobody mends a missing file within a second.
    let text = rig.status_of("missing");
    assert!(text.contains("1 starts"), "{text}");
    assert!(open_files(rig.pid()) <= before + 1);
    rig.finish();
}

#[test]
fn a_command_in_the_home_is_found_with_the_path_of_a_desktop_application() {
    let setup = Setup::of([Server::command("a", "my-server", &[])]);
    let folder = setup.home().join(".local/bin");
    fs::create_dir_all(&folder).unwrap();
    let fixture = format!("{}/fixtures/mock/healthy.yaml", env!("CARGO_MANIFEST_DIR"));
    let path = folder.join("my-server");
    fs::write(&path, format!("#!/bin/sh\nexec {} mock {fixture}\n", rig::PROGRAM)).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    let mut rig = setup.env("PATH", "/usr/bin:/bin").start();
    rig.hello();
    rig.tools();
    rig.echo("a");
    rig.finish();
}
