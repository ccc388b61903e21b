//! Starting, watching, restarting and ending servers: nobody waits for a dead one, and nobody outlives us.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

#[path = "support/rig.rs"]
mod rig;

use std::fs::{self, File};
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use rig::{
    GONE_WITHIN, Pipes, Rig, SOON, Server, Setup, is_alive, millis, open_files, shell_code, zombies_of,
};
use serde_json::json;

fn kill_now(pid: i32) {
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
}

// === the end: the client leaves ===

#[test]
fn polite_servers_end_with_their_client_at_once() {
    let mut rig = Rig::of([Server::mock("a", "healthy"), Server::mock("b", "healthy")]);
    rig.echo("a");
    rig.echo("b");
    let took = rig.finish();
    assert!(took < millis(500), "{took:?}");
}

/// Neither the administration interface, nor the audit log, nor a search for servers, nor a collector that is away holds up the
/// end. (One that is there and slow is given what is left of the time.)
#[test]
fn what_else_is_switched_on_does_not_delay_the_end() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let collector = format!("http://{nobody}");
    let mut setup = Setup::of([Server::mock("a", "healthy"), Server::mock("b", "healthy")]);
    for (key, value) in [
        ("ADMIN__LISTEN", "127.0.0.1:0"),
        ("ADMIN__TOKEN", "0123456789abcdef0123456789abcdef"),
        ("TELEMETRY__AUDIT", "true"),
        ("TELEMETRY__OTLP", &collector),
        ("DISCOVERY__ENABLED", "true"),
    ] {
        setup = setup.env(&format!("SWITCHBOARD_{key}"), value);
    }
    let mut rig = setup.start();
    rig.hello();
    rig.tools();
    rig.echo("a");
    rig.echo("b");
    let took = rig.finish();
    assert!(took < millis(500), "{took:?}");
}

#[test]
fn servers_that_ignore_everything_are_gone_in_time() {
    let mut rig = Rig::of([
        Server::mock("a", "c02-stubborn"),
        Server::mock("b", "c02-ignores-eof"),
        Server::mock("c", "c02-says-goodbye"),
        Server::mock("d", "c08-grandchild"),
        Server::mock("e", "c10-daemonised-grandchild"),
    ]);
    for server in ["a", "b", "c", "d", "e"] {
        rig.echo(server);
    }
    assert!(rig.family().len() >= 7, "{:?}", rig.family());
    let took = rig.finish();
    eprintln!("measured: end with stubborn servers and daemons {took:?}");
}

#[test]
fn every_signal_ends_everything_in_time() {
    for (signal, code) in [(Signal::SIGTERM, 0), (Signal::SIGINT, 130), (Signal::SIGHUP, 0)] {
        let mut rig = Rig::of([Server::mock("a", "c02-stubborn"), Server::mock("b", "c08-grandchild")]);
        rig.echo("a");
        rig.echo("b");
        rig.signal(signal);
        let (status, took) = rig.ended_within(GONE_WITHIN);
        assert_eq!(shell_code(status), code, "{signal}");
        eprintln!("measured: end by {signal} with stubborn servers {took:?}");
        rig.check(millis(2000));
    }
}

#[test]
fn a_signal_ends_polite_servers_at_once() {
    let mut rig = Rig::of([Server::mock("a", "healthy")]);
    rig.echo("a");
    rig.signal(Signal::SIGTERM);
    let (_, took) = rig.ended_within(millis(500));
    assert!(took < millis(500));
    rig.check(millis(500));
}

#[test]
fn a_second_signal_ends_us_at_once_and_still_leaves_nobody() {
    let mut rig =
        Rig::of([Server::mock("a", "c02-stubborn"), Server::mock("b", "c10-daemonised-grandchild")]);
    rig.echo("a");
    rig.echo("b");
    rig.signal(Signal::SIGTERM);
    // The second one comes in the grace of the first: the stubborn server takes 1.4 s of it.
    std::thread::sleep(millis(50));
    rig.signal(Signal::SIGTERM);
    let (status, took) = rig.ended_within(millis(500));
    assert_eq!(shell_code(status), 143, "{took:?}");
    rig.check(millis(3000));
}

#[test]
fn a_killed_switchboard_leaves_nobody_behind() {
    let mut rig = Rig::of([
        Server::mock("a", "c02-stubborn"),
        Server::mock("b", "c08-grandchild"),
        Server::mock("c", "c10-daemonised-grandchild"),
        Server::mock("d", "healthy"),
    ]);
    for server in ["a", "b", "c", "d"] {
        rig.echo(server);
    }
    let sidecars = rig.sidecars();
    assert_eq!(sidecars.len(), 1, "{sidecars:?}");
    rig.signal(Signal::SIGKILL);
    let begun = Instant::now();
    rig.ended_within(SOON);
    rig.check_nobody_left(begun + millis(3000));
    eprintln!("measured: nobody left {:?} after SIGKILL", begun.elapsed());
    let gone = |pid| {
        while is_alive(pid) {
            assert!(begun.elapsed() < millis(3000), "the sidecar stays");
            std::thread::sleep(millis(5));
        }
    };
    gone(sidecars[0].pid);
}

#[test]
fn killing_our_process_group_leaves_nobody_behind() {
    let mut rig =
        Setup::of([Server::mock("a", "c02-stubborn"), Server::mock("b", "c10-daemonised-grandchild")])
            .own_group()
            .start();
    rig.hello();
    rig.tools();
    rig.echo("a");
    rig.echo("b");
    let begun = Instant::now();
    killpg(Pid::from_raw(rig.pid()), Signal::SIGKILL).unwrap();
    rig.ended_within(SOON);
    rig.check_nobody_left(begun + millis(3000));
}

#[test]
fn a_server_that_is_starting_does_not_outlive_us() {
    for signal in [None, Some(Signal::SIGTERM), Some(Signal::SIGKILL)] {
        let mut rig = Setup::of([Server::mock("a", "d01-hangs-at-start")]).start();
        rig.hello();
        rig.until("a start", SOON, |rig| (!rig.starts("a").is_empty()).then_some(()));
        match signal {
            None => rig.close_input(),
            Some(signal) => rig.signal(signal),
        }
        rig.ended_within(GONE_WITHIN);
        rig.check_nobody_left(Instant::now() + millis(3000));
    }
}

#[test]
fn a_short_call_in_flight_is_answered_before_the_end() {
    let mut rig = Rig::of([Server::mock("a", "c12-slow-calls")]);
    let id = rig.call("a__short", json!({}));
    rig.close_input();
    let (status, took) = rig.ended_within(GONE_WITHIN);
    assert_eq!(status.code(), Some(0));
    rig.check(millis(500));
    rig.inbox.answers[&id].expect_text("done");
    eprintln!("measured: end with a call of 300 ms in flight {took:?}");
}

#[test]
fn a_long_call_in_flight_is_answered_with_the_reason_and_does_not_hold_the_end_up() {
    let mut rig = Rig::of([Server::mock("a", "c12-slow-calls")]);
    let id = rig.call("a__long", json!({}));
    rig.close_input();
    let (_, took) = rig.ended_within(GONE_WITHIN);
    rig.check(millis(500));
    rig.inbox.answers[&id].expect_code("SB-CALL-007");
    eprintln!("measured: end with a call of 60 s in flight {took:?}");
}

#[test]
fn a_server_may_write_while_it_is_stopped_and_ends_by_itself() {
    let mut rig = Rig::of([Server::mock("a", "c17-writes-at-the-end")]);
    rig.echo("a");
    let took = rig.finish();
    assert!(took < millis(800), "it was not read while it ended: {took:?}");
}

#[test]
fn a_client_that_closes_its_reading_end_ends_us() {
    let mut rig = Rig::of([Server::mock("a", "healthy")]);
    rig.echo("a");
    rig.close_output();
    rig.call("a__echo", json!({ "input": "x" }));
    rig.ended_within(millis(1000));
    rig.check_nobody_left(Instant::now() + millis(500));
}

#[test]
fn without_any_input_we_end_and_start_nobody() {
    let setup = Setup::of([Server::mock("a", "healthy").set("start", json!("eager"))]);
    let begun = Instant::now();
    let mut command = setup.command();
    let output = command.stdin(File::open("/dev/null").unwrap()).output().unwrap();
    assert!(output.status.success() && output.stdout.is_empty(), "{output:?}");
    assert!(begun.elapsed() < millis(1000), "{:?}", begun.elapsed());
    assert!(!setup.home().join("a.process").exists(), "a server was started for nobody");
}

// === stdin and stdout of every kind ===

#[test]
fn sockets_serve_as_stdin_and_stdout() {
    let setup = Setup::of([Server::mock("a", "b04-large-results")]).pipes(Pipes::Sockets);
    let mut rig = setup.start();
    rig.hello();
    rig.tools();
    rig.echo("a");
    let five = rig.ask("a__five", json!({}));
    assert!(five.raw.len() > 5 << 20);
    rig.finish();
}

#[test]
fn files_serve_as_stdin_and_stdout() {
    let setup = Setup::of([Server::mock("a", "healthy")]);
    let lines = [
        json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
            "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "x", "version": "1" } } }),
        json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/list" }),
        json!({ "jsonrpc": "2.0", "id": 3, "method": "tools/call",
            "params": { "name": "a__echo", "arguments": { "input": "from a file" } } }),
    ];
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let (input, output) = (setup.home().join("in"), setup.home().join("out"));
    fs::write(&input, text).unwrap();
    let mut command = setup.command();
    command.stdin(File::open(&input).unwrap()).stdout(File::create(&output).unwrap());
    assert!(command.status().unwrap().success());
    let text = fs::read_to_string(&output).unwrap();
    assert!(text.ends_with('\n') && text.lines().count() >= 3, "{text}");
    for line in text.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
    assert!(text.contains("from a file") && text.contains("a__echo"), "{text}");
}

#[test]
fn the_descriptors_of_others_are_left_as_they_were() {
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    let setup = Setup::of([Server::mock("a", "healthy")]);
    let (theirs, ours) = std::os::unix::net::UnixStream::pair().unwrap();
    let shared = ours.try_clone().unwrap();
    let mut command = setup.command();
    command.stdin(std::os::fd::OwnedFd::from(ours)).stdout(Stdio::null());
    let mut child = command.spawn().unwrap();
    drop(command);
    drop(theirs);
    assert!(child.wait().unwrap().success());
    let flags = OFlag::from_bits_retain(fcntl(&shared, FcntlArg::F_GETFL).unwrap());
    assert!(!flags.contains(OFlag::O_NONBLOCK), "the client's socket was left non-blocking");
}

// === the start ===

#[test]
fn ten_servers_of_which_three_fail_are_usable_and_told_apart() {
    let mut servers: Vec<Server> = (0..7).map(|n| Server::mock(&format!("ok{n}"), "healthy")).collect();
    servers.push(Server::mock("hangs", "d01-hangs-at-start").set("timeouts", json!({ "start": "2s" })));
    servers.push(Server::command("missing", "no-such-command-anywhere", &[]));
    servers.push(Server::mock("key", "d01-needs-a-key"));
    let mut rig = Setup::of(servers).start();
    rig.hello();
    let greeted = rig.begun.elapsed();
    eprintln!("measured: initialize answered {greeted:?} after the start");
    assert!(greeted < millis(500), "{greeted:?}");
    rig.tools();
    for n in 0..7 {
        rig.echo(&format!("ok{n}"));
    }
    let usable = rig.begun.elapsed();
    eprintln!("measured: seven of ten servers usable after {usable:?}");
    assert!(usable < millis(4000), "{usable:?}");
    assert!(rig.await_status("missing", "failed").contains("SB-SPAWN-001"));
    let key = rig.await_status("key", "SB-PROC-001");
    assert!(key.contains("need API_KEY"), "{key}");
    let hangs = rig.await_status("hangs", "SB-HAND-001");
    assert!(hangs.contains("within 2s"), "{hangs}");
    rig.finish();
}

#[test]
fn a_call_in_the_first_moment_waits_for_its_server() {
    let mut rig = Setup::of([Server::mock("a", "d08-slow-start")]).start();
    rig.hello();
    rig.echo("a");
    let cancelled = rig.call("a__nothing", json!({}));
    assert!(rig.answer(&cancelled).value()["error"]["message"].as_str().unwrap().contains("Unknown tool"));
    rig.finish();
}

#[test]
fn fifty_first_calls_make_one_start_and_are_all_answered() {
    let setup = Setup::of([Server::mock("a", "d08-slow-start")]);
    let mut rig = setup.start();
    rig.hello();
    let ids = rig.burst("a__echo", &json!({ "input": "x" }), 50);
    for answer in rig.answers(&ids, SOON) {
        answer.expect_text("x");
    }
    assert_eq!(rig.starts("a").len(), 1);
    rig.finish();
}

#[test]
fn a_cancelled_call_that_waits_for_its_server_never_reaches_it() {
    let mut rig = Setup::of([Server::mock("a", "d08-slow-start")]).start();
    rig.hello();
    let first = rig.call("a__echo", json!({ "input": "unwanted" }));
    rig.cancel(&first);
    rig.tools();
    rig.echo("a");
    assert!(!rig.received("a").iter().any(|line| line.contains("unwanted")));
    assert!(!rig.inbox.answers.contains_key(&first));
    rig.finish();
}

#[test]
fn no_more_than_four_servers_start_at_once() {
    let mut rig = Setup::of((0..12).map(|n| Server::mock(&format!("s{n}"), "d08-slow-start"))).start();
    rig.hello();
    let mut most = 0;
    let mut ready = 0;
    rig.until("twelve servers", Duration::from_secs(20), |rig| {
        let overview = rig.status();
        most = most.max(overview.matches(": starting").count());
        ready = overview.matches(": ready").count();
        (ready == 12).then_some(())
    });
    assert!((1..=4).contains(&most), "{most} servers were starting at once");
    rig.finish();
}

#[test]
fn servers_that_hang_at_their_start_keep_no_other_from_its_own() {
    let mut servers: Vec<Server> =
        (0..5).map(|n| Server::mock(&format!("h{n}"), "d01-hangs-at-start")).collect();
    servers.push(Server::mock("b", "healthy"));
    let mut rig = Setup::of(servers).start();
    rig.hello();
    rig.until("its tools", SOON, |rig| rig.tools().contains(&"b__echo".to_owned()).then_some(()));
    rig.echo("b");
    let took = rig.begun.elapsed();
    eprintln!("measured: a server behind five that hang is usable after {took:?}");
    assert!(took < millis(8000), "{took:?}");
    rig.finish();
}

#[test]
fn an_eager_server_starts_with_us_and_a_lazy_one_that_is_known_does_not() {
    let state = tempfile::tempdir().unwrap();
    let servers =
        || [Server::mock("eager", "healthy").set("start", json!("eager")), Server::mock("lazy", "healthy")];
    let home = state.path().to_str().unwrap().to_owned();
    // The fingerprint of a server is about its command, so both runs must name the same one.
    let fixed = |server: Server| server.env("MOCK_RECORD", "").env("MOCK_PROCESS", "").env("MOCK_STATE", "");
    let run = || {
        let mut rig = Setup::of(servers().map(fixed)).env("SWITCHBOARD_HOME", &home).start();
        rig.hello();
        rig
    };
    let mut first = run();
    assert!(first.tools().contains(&"lazy__echo".to_owned()));
    first.finish();
    let mut second = run();
    let begun = Instant::now();
    assert!(second.tools().contains(&"lazy__echo".to_owned()));
    eprintln!("measured: first list from the stored catalog in {:?}", begun.elapsed());
    second.await_status("eager", "ready");
    let lazy = second.status_of("lazy");
    assert!(lazy.contains("idle") && lazy.contains("0 starts"), "{lazy}");
    second.echo("lazy");
    assert!(second.status_of("lazy").contains("1 starts"));
    second.finish();
}

#[test]
fn a_server_that_nobody_uses_is_stopped_and_comes_back() {
    let lazy = Server::mock("a", "healthy").set("timeouts", json!({ "call": "2s", "idle_stop": "500ms" }));
    let mut rig = Rig::of([lazy]);
    rig.echo("a");
    let pid = rig.pid_of("a");
    rig.await_status("a", "idle");
    assert!(!is_alive(pid), "it is called idle and still runs");
    rig.echo("a");
    assert_eq!(rig.starts("a").len(), 2);
    rig.finish();
}

// === handshakes ===

#[test]
fn handshakes_of_every_kind_end_in_use_or_in_a_reason() {
    let mut rig = Setup::of([
        Server::mock("exits", "d09-exits-on-discover"),
        Server::mock("silent", "d09-silent-discover"),
        Server::mock("plain", "d10-no-capabilities"),
        Server::mock("error", "d10-initialize-error"),
        Server::mock("revision", "d10-unknown-revision"),
        Server::mock("foreign", "d10-not-mcp").set("timeouts", json!({ "start": "1s" })),
    ])
    .start();
    rig.hello();
    rig.tools();
    for server in ["exits", "silent", "plain"] {
        rig.echo(server);
    }
    assert!(rig.await_status("error", "SB-HAND-002").contains("licence expired"));
    assert!(rig.await_status("revision", "SB-HAND-003").contains("1999-01-01"));
    let foreign = rig.await_status("foreign", "SB-HAND-001");
    assert!(foreign.contains("unknown command"), "{foreign}");
    rig.finish();
}

// === falls ===

#[test]
fn every_call_in_flight_on_a_killed_server_is_answered_at_once() {
    let mut rig = Rig::of([Server::mock("a", "d12-crashes-in-a-call"), Server::mock("b", "healthy")]);
    let mut slowest = Vec::new();
    for round in 1..=3 {
        rig.echo("a");
        let ids = rig.burst("a__slow", &json!({}), 20);
        rig.until("the calls at the server", SOON, |rig| {
            let at_server = rig.received("a").iter().filter(|line| line.contains("\"slow\"")).count();
            (at_server == 20 * round).then_some(())
        });
        let killed = Instant::now();
        kill_now(rig.pid_of("a"));
        let answers = rig.answers(&ids, SOON);
        for answer in &answers {
            let text = answer.expect_code("SB-CALL-002");
            assert!(text.contains("SIGKILL") && text.contains("outcome"), "{text}");
        }
        slowest.push(answers.iter().map(|answer| answer.at - killed).max().unwrap());
        rig.echo_within("b", millis(1000));
    }
    slowest.sort();
    eprintln!("measured: the last of 20 calls in flight was answered {slowest:?} after the kill");
    assert!(slowest[1] < millis(100), "{slowest:?}");
    let begun = Instant::now();
    rig.echo("a");
    eprintln!("measured: the next call was served {:?} later", begun.elapsed());
    assert_eq!(rig.starts("a").len(), 4);
    rig.finish();
}

#[test]
fn a_server_that_dies_in_a_call_tells_how_and_comes_back() {
    for (tool, words) in [
        ("exit", "exited with code 3"),
        ("kill", "SIGKILL"),
        ("segfault", "SIGSEGV"),
        ("exit_zero", "exited with code 0"),
    ] {
        let mut rig = Rig::of([Server::mock("a", "d12-crashes-in-a-call")]);
        let other = rig.call("a__slow", json!({}));
        let text = rig.ask(&format!("a__{tool}"), json!({})).expect_code("SB-CALL-002");
        assert!(text.contains(words), "{tool}: {text}");
        if tool == "exit" {
            assert!(text.contains("panic: index out of range"), "{text}");
        }
        rig.answer(&other).expect_code("SB-CALL-002");
        let took = rig.echo("a");
        eprintln!("measured: after {tool} the next call was served in {took:?}");
        assert_eq!(rig.starts("a").len(), 2, "{tool}");
        rig.finish();
    }
}

#[test]
fn half_an_answer_and_broken_pipes_end_a_call_too() {
    let mut rig = Rig::of([Server::mock("a", "d12-crashes-in-a-call")]);
    let half = rig.ask("a__half_answer", json!({}));
    assert!(half.is_tool_error(), "{}", half.show());
    rig.echo("a");
    let text = rig.ask("a__close_stdout", json!({})).expect_code("SB-CALL-002");
    assert!(text.contains("closed its stdout"), "{text}");
    rig.echo("a");
    rig.finish();
}

#[test]
fn a_server_that_closes_its_stdin_is_started_again() {
    let mut rig = Rig::of([Server::mock("a", "d12-crashes-in-a-call")]);
    rig.ask("a__close_stdin", json!({})).expect_text("deaf now");
    // This call is the first to find the pipe broken.
    let id = rig.call("a__echo", json!({ "input": "x" }));
    let answer = rig.answer_within(&id, millis(1500));
    let text = answer.expect_code("SB-CALL-003");
    assert!(text.contains("closed its stdin"), "{text}");
    rig.echo("a");
    rig.finish();
}

#[test]
fn a_grandchild_that_holds_the_pipes_open_does_not_hide_an_exit() {
    let mut rig = Rig::of([Server::mock("a", "d12-keeps-stdout-open")]);
    let begun = Instant::now();
    let id = rig.call("a__leave", json!({}));
    rig.answer(&id).expect_code("SB-CALL-002");
    let took = rig.inbox.answers[&id].at - begun;
    assert!(took < millis(500), "{took:?}");
    rig.echo("a");
    rig.finish();
}

#[test]
fn a_call_to_a_fallen_server_waits_for_the_next_run() {
    let mut rig = Rig::of([Server::mock("a", "d12-crashes-once")]);
    rig.ask("a__echo", json!({ "input": "one" })).expect_code("SB-CALL-002");
    rig.ask("a__echo", json!({ "input": "two" })).expect_text("two from start 2");
    rig.finish();
}

#[test]
fn a_server_that_fails_twice_is_well_at_the_third_start() {
    let mut rig = Rig::of([Server::mock("a", "d05-fails-twice")]);
    rig.until("its tools", SOON, |rig| rig.tools().contains(&"a__echo".to_owned()).then_some(()));
    rig.ask("a__echo", json!({ "input": "x" })).expect_text("x from start 3");
    rig.finish();
}

#[test]
fn a_crash_loop_is_visible_and_a_call_gets_the_reason_at_once() {
    let mut rig = Rig::of([Server::mock("a", "d05-crash-loop"), Server::mock("b", "healthy")]);
    let status = rig.until("the crash loop", Duration::from_secs(20), |rig| {
        let status = rig.status_of("a");
        status.contains("crash-looped").then_some(status)
    });
    assert!(status.contains("database is locked") && status.contains("5 starts"), "{status}");
    // It showed no list before it fell, so the status is all there is to see of it.
    rig.echo("b");
    assert_eq!(rig.starts("a").len(), 5);
    rig.finish();
}

#[test]
fn tools_stay_listed_and_a_call_gets_the_reason_in_a_crash_loop() {
    let script =
        "tools:\n  echo: { answer: \"{{input}}\" }\n  die: { stderr: \"fatal: disk full\", exit: 1 }\n";
    let mut rig = Rig::of([Server::script("a", script)]);
    for _ in 0..4 {
        rig.ask("a__die", json!({})).expect_code("SB-CALL-002");
        assert!(rig.tools().contains(&"a__die".to_owned()), "the tools vanished while it restarts");
        rig.until("the next run", SOON, |rig| rig.status_of("a").contains("ready").then_some(()));
    }
    rig.ask("a__die", json!({}));
    rig.await_status("a", "crash-looped");
    let begun = Instant::now();
    let answer = rig.ask("a__echo", json!({ "input": "x" }));
    assert!(answer.is_tool_error() && begun.elapsed() < millis(500), "{}", answer.show());
    assert!(answer.text().contains("disk full"), "{}", answer.show());
    assert!(rig.tools().contains(&"a__echo".to_owned()));
    rig.finish();
}

#[test]
fn a_server_that_never_comes_up_fails_the_calls_that_wait_for_it() {
    // A stored catalog says that it has the tool, but it hangs in its handshake now.
    let state = tempfile::tempdir().unwrap();
    let switch = state.path().join("switch").to_str().unwrap().to_owned();
    let line = format!(
        "if [ -e {switch} ]; then exec sleep 60; fi; exec {} mock {}/fixtures/mock/healthy.yaml",
        rig::PROGRAM,
        env!("CARGO_MANIFEST_DIR")
    );
    let start = || {
        let server = Server::command("a", "sh", &["-c", &line]).set("timeouts", json!({ "start": "1s" }));
        let mut rig = Setup::of([server]).env("SWITCHBOARD_HOME", state.path().to_str().unwrap()).start();
        rig.hello();
        rig
    };
    let mut rig = start();
    assert!(rig.tools().contains(&"a__echo".to_owned()));
    rig.finish();
    fs::write(&switch, "").unwrap();
    let mut rig = start();
    let begun = Instant::now();
    let answer = rig.ask("a__echo", json!({ "input": "x" }));
    assert!(answer.expect_code("SB-HAND-001").contains("within 1s"));
    assert!(begun.elapsed() < millis(2000), "{:?}", begun.elapsed());
    rig.finish();
}

#[test]
fn a_call_does_not_wait_for_ever_for_a_server_that_does_not_come_back() {
    let script = "state: \"{{env.MOCK_STATE}}\"\nruns:\n  - tools: { die: { answer: ~, exit: 1 } }\n\
                  on: { initialize: hang }\ntools:\n  die: { answer: x }\n  echo: { answer: \"{{input}}\" }\n";
    // The first run is well; all later ones hang in the handshake.
    let script = script.replace("  - tools:", "  - on: { initialize: ~ }\n    tools:");
    let mut rig = Rig::of([Server::script("a", &script).set("timeouts", json!({ "start": "1s" }))]);
    rig.ask("a__die", json!({})).expect_code("SB-CALL-002");
    let begun = Instant::now();
    let id = rig.call("a__echo", json!({ "input": "x" }));
    let answer = rig.answer(&id);
    assert!(answer.is_tool_error(), "{}", answer.show());
    let took = begun.elapsed();
    assert!(took < millis(2500), "{took:?}");
    eprintln!(
        "measured: a call to a server that does not come back failed after {took:?}: {}",
        answer.text()
    );
    rig.finish();
}

// === generations ===

#[test]
fn a_new_run_is_told_level_and_subscriptions_and_old_answers_are_dropped() {
    let script = r#"
server: { capabilities: { logging: {} } }
tools:
  echo: { answer: "{{input}}" }
  die: { stderr: gone, crash: SIGKILL }
  touch: { updated: "note://one", answer: touched }
  talk: { log: { level: debug, data: quiet }, steps: [ { log: { level: error, data: loud } } ], answer: said }
resources:
  "note://one": { name: One, text: first }
"#;
    let mut rig = Rig::of([Server::script("a", script)]);
    let level = rig.request("logging/setLevel", json!({ "level": "error" }));
    rig.answer(&level);
    let subscribed = rig.request("resources/subscribe", json!({ "uri": "note://one" }));
    assert!(rig.answer(&subscribed).value()["error"].is_null());
    rig.ask("a__die", json!({})).expect_code("SB-CALL-002");
    rig.ask("a__touch", json!({})).expect_text("touched");
    rig.until("the update", SOON, |rig| {
        (!rig.inbox.notices("notifications/resources/updated").is_empty()).then_some(())
    });
    let received = rig.received("a");
    let second = received.iter().rposition(|line| line.contains("\"initialize\"")).unwrap();
    assert!(second > 0);
    let told = |what: &str| received[second..].iter().any(|line| line.contains(what));
    assert!(told("logging/setLevel") && told("\"error\""), "{received:#?}");
    assert!(told("resources/subscribe") && told("note://one"), "{received:#?}");
    rig.finish();
}

#[test]
fn an_answer_of_an_old_run_never_reaches_a_call_of_the_next() {
    // A grandchild keeps the old stdout and answers all small ids once its parent has died.
    let line = r#"import os,sys,time
home=os.environ["HOME"]
first=not os.path.exists(home+"/ran")
open(home+"/ran","a").write("x")
if first and os.fork()==0:
    parent=os.getppid()
    while os.getppid()==parent: time.sleep(0.001)
    for _ in range(40):
        for i in range(1,50):
            try: os.write(1,b'{"jsonrpc":"2.0","id":%d,"result":{"content":[{"type":"text","text":"stale"}]}}\n'%i)
            except OSError: os._exit(0)
        time.sleep(0.05)
    os._exit(0)
import json
for l in sys.stdin:
    m=json.loads(l)
    if m["method"]=="initialize":
        r={"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"x","version":"1"}}
    elif m["method"]=="tools/list":
        r={"tools":[{"name":"echo","inputSchema":{"type":"object"}},{"name":"die","inputSchema":{"type":"object"}}]}
    elif m["method"]=="tools/call":
        if m["params"]["name"]=="die": os._exit(1)
        r={"content":[{"type":"text","text":"fresh"}]}
    else: continue
    print(json.dumps({"jsonrpc":"2.0","id":m["id"],"result":r}),flush=True)
"#;
    let mut rig = Setup::of([Server::command("a", "python3", &["-c", line])]).start();
    rig.hello();
    rig.until("the tools", SOON, |rig| rig.tools().contains(&"a__die".to_owned()).then_some(()));
    rig.ask("a__die", json!({}));
    rig.await_status("a", "2 starts");
    for _ in 0..20 {
        rig.ask("a__echo", json!({})).expect_text("fresh");
    }
    rig.finish();
}

// === calls that take too long ===

#[test]
fn a_call_without_a_sign_of_life_times_out_and_is_cancelled_at_the_server() {
    let silent = Server::mock("a", "e01-never-answers").set("timeouts", json!({ "call": "1s" }));
    let mut rig = Rig::of([silent, Server::mock("b", "healthy")]);
    let begun = Instant::now();
    let id = rig.call("a__silent", json!({}));
    rig.echo_within("b", millis(1000));
    let text = rig.answer(&id).expect_code("SB-CALL-001");
    let took = begun.elapsed();
    assert!((millis(1000)..millis(1600)).contains(&took), "{took:?}: {text}");
    rig.until("the cancellation", SOON, |rig| {
        rig.received("a").iter().any(|line| line.contains("notifications/cancelled")).then_some(())
    });
    let received = rig.received("a");
    let call = received.iter().find(|line| line.contains("\"silent\"")).unwrap();
    let sent: serde_json::Value = serde_json::from_str(call).unwrap();
    let cancelled = received.iter().find(|line| line.contains("notifications/cancelled")).unwrap();
    let cancelled: serde_json::Value = serde_json::from_str(cancelled).unwrap();
    assert_eq!(cancelled["params"]["requestId"], sent["id"]);
    rig.echo("a");
    assert_eq!(rig.starts("a").len(), 1, "a timeout is no reason to kill a server");
    rig.finish();
}

#[test]
fn progress_keeps_a_call_alive_but_not_beyond_the_total() {
    let limits = json!({ "call": "200ms", "total": "1500ms" });
    let mut rig = Rig::of([
        Server::mock("a", "e03-progress-keeps-alive").set("timeouts", limits.clone()),
        Server::script(
            "c",
            "tools:\n  forever: { repeat: { times: 1000, every: 50ms, steps: [ { progress: \"{{json n}}\" } ] }, answer: done }\n  stuck: { repeat: { times: 100, every: 50ms, steps: [ { progress: 1 } ] }, answer: done }\n",
        )
        .set("timeouts", limits),
    ]);
    rig.ask("a__quick", json!({})).expect_text("done");
    let begun = Instant::now();
    let id = rig.call("c__stuck", json!({}));
    rig.answer(&id).expect_code("SB-CALL-001");
    assert!(
        begun.elapsed() < millis(1000),
        "progress that stands still kept it alive: {:?}",
        begun.elapsed()
    );
    let begun = Instant::now();
    let text = rig.ask("c__forever", json!({})).expect_code("SB-CALL-001");
    let took = begun.elapsed();
    assert!((millis(1500)..millis(2300)).contains(&took), "{took:?}: {text}");
    assert!(text.contains("timeouts.total"), "{text}");
    rig.finish();
}

// === over and over ===

#[test]
fn forty_starts_and_stops_leave_no_zombie_and_no_descriptor() {
    let script = "tools:\n  echo: { answer: \"{{input}}\" }\n  leave: { exit: 0 }\non:\n  initialized: {}\n";
    let lazy = Server::script("a", script).set("timeouts", json!({ "call": "400ms", "idle_stop": "50ms" }));
    let mut rig = Rig::of([lazy]);
    rig.echo("a");
    rig.await_status("a", "idle");
    let (files, children) = (open_files(rig.pid()), rig.family().len());
    for _ in 0..40 {
        rig.echo("a");
        rig.await_status("a", "idle");
    }
    assert!(rig.starts("a").len() > 40);
    assert_eq!(rig.family().len(), children);
    assert_eq!(zombies_of(rig.pid()), 0);
    let now = open_files(rig.pid());
    assert!(now <= files + 1, "{files} descriptors before, {now} after");
    rig.finish();
}

#[test]
fn a_server_gets_a_clean_process_of_its_own() {
    let mut rig =
        Setup::of([Server::mock("a", "healthy").env("OWN", "1")]).env("SECRET_OF_THE_CLIENT", "x").start();
    rig.hello();
    rig.tools();
    rig.echo("a");
    let start = rig.starts("a").remove(0);
    assert_eq!(start["pid"], start["pgid"], "it does not lead a group of its own");
    assert_eq!(start["ppid"], json!(rig.pid()));
    assert_eq!(start["env"]["OWN"], json!("1"));
    assert!(start["env"]["SECRET_OF_THE_CLIENT"].is_null());
    assert!(start["env"]["SWITCHBOARD_HOME"].is_null());
    let files = start["fds"].as_object().unwrap();
    let targets: Vec<&str> = files.values().map(|target| target.as_str().unwrap()).collect();
    // Its own three, moved, and what it opened itself: `/dev/null` and the folder that tells of this.
    let pipes = targets.iter().filter(|target| target.starts_with("pipe:")).count();
    let others = targets.iter().filter(|target| !target.starts_with("pipe:"));
    let foreign: Vec<_> =
        others.filter(|target| **target != "/dev/null" && !target.starts_with("/proc/")).collect();
    assert!(pipes == 3 && foreign.is_empty(), "{files:?}");
    rig.finish();
}
