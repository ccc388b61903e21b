//! Lists and names: the merged catalogue, its pages, its changes, what is stored between two runs, and URIs.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper that fails fails the test")]

#[path = "support/board.rs"]
mod board;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use board::{Board, DEADLINE, Message, Setup};
use serde_json::{Value, json};

const STATUS: &str = "switchboard__status";

fn status(board: &mut Board, server: &str) -> String {
    board.tool(STATUS, &format!(r#"{{"server":"{server}"}}"#)).text()
}

/// Every item of a list, over all its pages.
fn every(board: &mut Board, method: &str, kind: &str) -> Vec<Value> {
    let mut items = Vec::new();
    let mut params = String::new();
    for _ in 0..50 {
        let page = board.call(method, &params).result();
        items.extend(page[kind].as_array().unwrap().iter().cloned());
        let Some(cursor) = page["nextCursor"].as_str() else { return items };
        params = json!({ "cursor": cursor }).to_string();
    }
    panic!("a list without an end");
}

fn tools(board: &mut Board) -> Vec<String> {
    board.call("tools/list", "").names()
}

fn is_changed(kind: &'static str) -> impl Fn(&Message) -> bool {
    move |message| message.method.as_deref() == Some(&format!("notifications/{kind}/list_changed"))
}

/// Looks at every list, so that only what changes later is news.
fn look_at_all(board: &mut Board) {
    for method in ["tools/list", "prompts/list", "resources/list", "resources/templates/list"] {
        board.call(method, "");
    }
}

fn stored(setup: &Setup) -> Vec<PathBuf> {
    let folder = setup.home().join("state/catalog");
    let files =
        std::fs::read_dir(folder).map(|entries| entries.flatten().map(|entry| entry.path()).collect());
    files.unwrap_or_default()
}

/// One run that learns and stores what the servers have.
fn learn(setup: &Setup) -> Vec<String> {
    let mut board = setup.launch();
    board.initialize("2025-11-25");
    let names = tools(&mut board);
    board.close();
    names
}

// === names ===

#[test]
fn strange_names_become_legal_ones_that_lead_back() {
    let setup = Setup::new().server("My Server", "h03-strange-names");
    let mut board = setup.launch();
    board.initialize("2025-11-25");
    let names = tools(&mut board);
    let legal = |name: &String| {
        name.len() <= 52
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
    };
    assert!(names.iter().all(legal), "{names:#?}");
    let unique: BTreeSet<&String> = names.iter().collect();
    assert_eq!(unique.len(), names.len());
    let own: Vec<&String> = names.iter().filter(|name| *name != STATUS).collect();
    assert!(own.iter().all(|name| name.starts_with("my-server__")), "{own:#?}");
    let mut originals = BTreeSet::new();
    for name in &own {
        originals.insert(board.tool(name, "{}").text());
    }
    for original in [
        "switchboard__status",
        "with space",
        "dots.and/slashes",
        "../x",
        "🦀",
        "ünïcode",
        "a__b",
        "a_b",
        "a.b",
    ] {
        assert!(originals.contains(original), "{original}: {originals:#?}");
    }
    assert!(
        originals
            .iter()
            .any(|original| original.starts_with("a-name-that-goes-on-and-on") && original.len() > 250)
    );
    assert_eq!(originals.len(), own.len(), "no two names lead to the same tool");
    assert!(names.contains(&"my-server__a_b".to_owned()), "what needs no change keeps its name");
    // The tool without a name cannot be called; it is held back where its owner can see it.
    assert!(status(&mut board, "My Server").contains("empty"));
    board.close();
    assert_eq!(learn(&setup), names, "the same names after a restart");
}

#[test]
fn names_do_not_depend_on_the_other_servers() {
    let names = |setup: Setup| {
        let mut board = setup.start();
        board.initialize("2025-11-25");
        let names: BTreeSet<String> =
            tools(&mut board).into_iter().filter(|name| name.starts_with("m__")).collect();
        board.close();
        names
    };
    let alone = names(Setup::new().server("m", "h03-strange-names"));
    let last = names(
        Setup::new().server("a", "h03-strange-names").server("z", "healthy").server("m", "h03-strange-names"),
    );
    assert_eq!(alone, last);
}

#[test]
fn a_shorter_limit_of_names_is_kept() {
    let mut board = Setup::new()
        .server("server-with-a-long-name", "h03-strange-names")
        .config("expose: { max_name: 30 }")
        .start();
    board.initialize("2025-11-25");
    let names = tools(&mut board);
    assert!(names.iter().all(|name| name.len() <= 30), "{names:#?}");
    for name in names.iter().filter(|name| *name != STATUS) {
        board.tool(name, "{}").text();
    }
    board.close();
}

#[test]
fn of_two_tools_with_one_name_the_first_is_shown_and_its_owner_is_told() {
    let mut board = Setup::new().server("a", "h02-same-name-twice").start();
    board.initialize("2025-11-25");
    let list = board.call("tools/list", "").result();
    let same: Vec<&Value> =
        list["tools"].as_array().unwrap().iter().filter(|tool| tool["name"] == "a__same").collect();
    assert_eq!(same.len(), 1);
    assert_eq!(same[0]["description"], "first");
    assert!(status(&mut board, "a").contains("twice"));
    board.close();
}

#[test]
fn no_server_can_take_the_name_of_our_own_tool() {
    let mut board = Setup::new()
        .script("bare", "tools: { switchboard__status: { answer: forged } }")
        .keys("prefix: \"\"")
        .script("switchboard", "tools: { status: { answer: forged too } }")
        .start();
    board.initialize("2025-11-25");
    let names = tools(&mut board);
    assert_eq!(names.iter().filter(|name| *name == STATUS).count(), 1, "{names:?}");
    assert_eq!(names.len(), 3, "{names:?}");
    assert!(board.tool(STATUS, "{}").text().starts_with("Switchboard "));
    let mut answers: Vec<String> =
        names.iter().filter(|name| *name != STATUS).map(|name| board.tool(name, "{}").text()).collect();
    answers.sort();
    assert_eq!(answers, ["forged", "forged too"]);
    board.close();
}

#[test]
fn servers_without_a_prefix_share_names_without_losing_a_tool() {
    let mut board = Setup::new()
        .script("a", "tools: { both: { answer: a }, only_a: { answer: a } }")
        .keys("prefix: \"\"")
        .script("b", "tools: { both: { answer: b } }")
        .keys("prefix: \"\"")
        .start();
    board.initialize("2025-11-25");
    let names = tools(&mut board);
    assert!(names.contains(&"both".to_owned()) && names.contains(&"only_a".to_owned()), "{names:?}");
    let answers: BTreeSet<String> =
        names.iter().filter(|name| name.contains("both")).map(|name| board.tool(name, "{}").text()).collect();
    assert_eq!(answers, BTreeSet::from(["a".to_owned(), "b".to_owned()]));
    board.close();
}

#[test]
fn prompts_of_two_servers_with_one_name_are_told_apart() {
    let mut board = Setup::new().server("a", "h12-shared-uri-a").server("b", "h12-shared-uri-b").start();
    board.initialize("2025-11-25");
    assert_eq!(board.call("prompts/list", "").names(), ["a__shared", "b__shared"]);
    for (server, text) in [("a", "from A"), ("b", "from B")] {
        let answer = board.call("prompts/get", &format!(r#"{{"name":"{server}__shared"}}"#)).result();
        assert_eq!(answer["messages"][0]["content"]["text"], text);
    }
    board.close();
}

// === definitions ===

#[test]
fn one_bad_definition_costs_no_other() {
    let mut board = Setup::new().server("a", "h09-bad-definitions").start();
    board.initialize("2025-11-25");
    let list = board.call("tools/list", "").result();
    let shown = list["tools"].as_array().unwrap();
    for tool in shown {
        assert_eq!(tool["inputSchema"]["type"], "object", "{tool}");
        assert!(tool["description"].is_null() || tool["description"].is_string(), "{tool}");
        assert!(tool["outputSchema"].is_null() || tool["outputSchema"]["type"] == "object", "{tool}");
        for key in ["anyOf", "oneOf", "allOf"] {
            assert!(tool["inputSchema"].get(key).is_none(), "{tool}");
        }
    }
    let names: Vec<&str> = shown.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"a__echo"));
    let details = status(&mut board, "a");
    // Each of the nine others is shown repaired or held back, and its owner can read about it.
    for tool in [
        "no_schema",
        "null_schema",
        "text_schema",
        "array_schema",
        "no_type",
        "top_any_of",
        "bad_output",
        "number_description",
    ] {
        assert!(details.contains(&format!("tool `{tool}`: ")), "{tool} is not in {details}");
    }
    for name in names.iter().filter(|name| name.starts_with("a__")) {
        assert!(board.tool(name, r#"{"input":"x"}"#).result()["isError"] != true, "{name}");
    }
    board.close();
}

#[test]
fn a_definition_that_is_too_large_is_held_back_alone() {
    let script = r#"
tools:
  echo: { answer: ok }
  huge: { pad: 300KiB, answer: ok }
prompts:
  huge: { pad: 9MiB, answer: ok }
  small: { answer: ok }
"#;
    let mut board = Setup::new().script("a", script).start();
    board.initialize("2025-11-25");
    assert_eq!(tools(&mut board), ["a__echo", STATUS]);
    assert_eq!(board.call("prompts/list", "").names(), ["a__small"]);
    let details = status(&mut board, "a");
    assert!(details.contains("tool `huge`") && details.contains("prompt `huge`"), "{details}");
    board.close();
}

#[test]
fn good_definitions_keep_every_byte_but_their_name() {
    let definition = r#"{"title" : "T\u0041","vendor":{"n":1.10,"big":12345678901234567890123},"name":"raw","inputSchema":{ "type":"object","properties":{"a":{"type":"number","default":1e400}},"x-y":null},"outputSchema":{"type":"object"},"annotations":{"readOnlyHint":true,"vendor":0.0},"icons":[{"src":"data:,"}],"execution":{"taskSupport":"optional"},"_meta":{"a/b":[1.0]},"description":"ünï 🦀 \/"}"#;
    let resource = r#"{"uri":"x:1","name":"N","size":1.0,"annotations":{"priority":0.50},"_meta":{"n":-0.0},"vendor":[ ]}"#;
    let answer = |key: &str, item: &str| {
        json!(format!(
            "{{\"jsonrpc\":\"2.0\",\"id\":{{{{json mock.id}}}},\"result\":{{\"{key}\":[{item}]}}}}\n"
        ))
    };
    let script = format!(
        "tools: [any]\nresources: {{ \"x:1\": {{ text: t }} }}\non:\n  tools/list: {{ raw: {} }}\n  resources/list: {{ raw: {} }}\n",
        answer("tools", definition),
        answer("resources", resource)
    );
    let setup = Setup::new().script("a", &script);
    for run in ["as it came", "as it was stored"] {
        let mut board = setup.launch();
        board.initialize("2025-11-25");
        let list = board.call("tools/list", "").result.unwrap();
        assert!(list.contains(&definition.replace("\"raw\"", "\"a__raw\"")), "{run}: {list}");
        let list = board.call("resources/list", "").result.unwrap();
        assert!(list.contains(resource), "{run}: {list}");
        board.close();
    }
}

#[test]
fn instructions_of_all_servers_fit_into_two_kilobytes() {
    let mut setup = Setup::new();
    for number in 0..12 {
        let script =
            format!("server: {{ instructions: \"begin{number} {}\" }}\ntools: [t]", "word ".repeat(300));
        setup = setup.script(&format!("s{number}"), &script);
    }
    learn(&setup);
    let mut board = setup.launch();
    let instructions = board.initialize("2025-11-25").result()["instructions"].as_str().unwrap().to_owned();
    assert!(instructions.len() <= 2048, "{} bytes", instructions.len());
    assert!(instructions.contains("[s0] begin0") && instructions.contains("[s11] begin11"), "{instructions}");
    board.close();
}

// === the first list ===

#[test]
fn the_first_list_waits_for_new_servers_and_calls_wait_with_it() {
    let mut board = Setup::new().script("a", "on: { initialize: { delay: 300ms } }\ntools: { t: { answer: ok } }\nprompts: { p: { answer: ok } }\nresources: { \"x:1\": { text: t } }\ncompletions: { p: { a: [b] } }").start();
    board.initialize("2025-11-25");
    let ids = [
        board.ask("tools/call", r#"{"name":"a__t"}"#),
        board.ask("prompts/get", r#"{"name":"a__p"}"#),
        board.ask("resources/read", r#"{"uri":"x:1"}"#),
        board.ask(
            "completion/complete",
            r#"{"ref":{"type":"ref/prompt","name":"a__p"},"argument":{"name":"a","value":""}}"#,
        ),
        board.ask("tools/list", ""),
    ];
    for id in &ids {
        let answer = board.answer(id);
        assert!(answer.result.is_some(), "{}", answer.raw);
    }
    board.close();
}

#[test]
fn a_slow_server_is_waited_for_a_second_and_announced_later() {
    let mut board = Setup::new()
        .server("fast", "healthy")
        .script("slow", "on: { initialize: { delay: 2s } }\ntools: [late]")
        .start();
    let began = Instant::now();
    board.initialize_in_a_hurry();
    let names = tools(&mut board);
    assert!(
        names.contains(&"fast__echo".to_owned()) && !names.contains(&"slow__late".to_owned()),
        "{names:?}"
    );
    assert!(began.elapsed() < Duration::from_millis(1900), "{:?}", began.elapsed());
    // A call for something that nobody has does not wait any more.
    assert_eq!(board.tool("slow__late", "{}").code(), -32602);
    board.wait_for("list_changed", is_changed("tools"));
    assert!(tools(&mut board).contains(&"slow__late".to_owned()));
    assert_eq!(board.tool("slow__late", r#"{"input":"x"}"#).text(), "Mock result: x");
    board.close();
}

#[test]
fn a_list_that_was_complete_is_not_announced_again() {
    let mut board = Setup::new().server("a", "healthy").start();
    board.initialize("2025-11-25");
    look_at_all(&mut board);
    let again = board.within(Duration::from_millis(1300), |message| message.raw.contains("list_changed"));
    assert!(again.is_none(), "{again:?}");
    board.close();
}

#[test]
fn a_list_that_never_comes_does_not_hide_the_tools() {
    let mut board = Setup::new()
        .script("a", "on: { resources/list: hang }\ntools: [t]\nresources: { \"x:1\": { text: t } }")
        .start();
    board.initialize_in_a_hurry();
    assert!(tools(&mut board).contains(&"a__t".to_owned()));
    board.close();
}

#[test]
fn a_client_that_ignores_changes_is_given_a_complete_first_list() {
    let mut board =
        Setup::new().script("slow", "on: { initialize: { delay: 1500ms } }\ntools: [late]").start();
    board.initialize("2025-06-18");
    assert!(tools(&mut board).contains(&"slow__late".to_owned()));
    board.close();
}

#[test]
fn without_servers_or_with_a_broken_config_there_is_still_the_status() {
    let mut board = Setup::new().start();
    board.initialize("2025-11-25");
    assert_eq!(tools(&mut board), [STATUS]);
    assert!(board.tool(STATUS, "{}").text().contains("No servers are configured"));
    board.close();
    let mut board = Setup::new().server("a", "healthy").config("servrs: {}\n  : [").start();
    board.initialize("2025-11-25");
    assert!(tools(&mut board).contains(&STATUS.to_owned()));
    assert!(board.tool(STATUS, "{}").text().contains("config.yaml"));
    board.close();
}

#[test]
fn a_server_that_never_lists_delays_nobody() {
    let mut board = Setup::new().server("a", "h11-list-hangs").server("b", "healthy").start();
    let began = Instant::now();
    board.initialize_in_a_hurry();
    assert!(tools(&mut board).contains(&"b__echo".to_owned()));
    assert!(began.elapsed() < Duration::from_secs(3));
    board.close();
}

#[test]
fn a_server_is_only_asked_for_the_lists_that_it_declares() {
    let mut board = Setup::new().script("a", "tools: [t]").start();
    board.initialize("2025-11-25");
    tools(&mut board);
    let lines = board.received("a");
    assert!(lines.iter().any(|line| line.contains("tools/list")));
    assert!(
        !lines.iter().any(|line| line.contains("prompts/list") || line.contains("resources/")),
        "{lines:#?}"
    );
    board.close();
}

// === what is stored ===

#[test]
fn a_second_start_lists_at_once_even_if_the_server_is_dead_or_hangs() {
    for broken in ["on: { start: { exit: 1 } }", "on: { initialize: hang }"] {
        let setup =
            Setup::new().script("a", "tools: { t: { answer: ok } }\nprompts: [p]").server("b", "healthy");
        let names = learn(&setup);
        assert!(names.contains(&"a__t".to_owned()));
        setup.rewrite("a", broken);
        let mut board = setup.launch();
        board.initialize("2025-11-25");
        let began = Instant::now();
        assert_eq!(tools(&mut board), names, "{broken}");
        assert_eq!(board.call("prompts/list", "").names(), ["a__p", "b__greet"]);
        assert!(began.elapsed() < Duration::from_millis(500), "{:?}", began.elapsed());
        assert_eq!(board.tool("b__echo", r#"{"input":"well"}"#).text(), "well");
        board.close();
    }
}

#[test]
fn a_known_server_is_not_started_before_it_is_needed() {
    let setup = Setup::new().script("a", "tools: { t: { answer: ok } }");
    learn(&setup);
    let before = setup.received("a").len();
    let mut board = setup.launch();
    board.initialize("2025-11-25");
    tools(&mut board);
    board.settled();
    assert_eq!(setup.received("a").len(), before);
    assert_eq!(board.tool("a__t", "{}").text(), "ok");
    assert!(setup.received("a").len() > before);
    board.close();
}

#[test]
fn a_server_that_has_changed_since_it_was_stored_changes_the_list_and_the_store() {
    let setup = Setup::new().script("a", "tools: { t: { answer: ok } }");
    learn(&setup);
    setup.rewrite("a", "tools: { t: { answer: new }, more: { answer: ok } }");
    let mut board = setup.launch();
    board.initialize("2025-11-25");
    assert!(!tools(&mut board).contains(&"a__more".to_owned()));
    assert_eq!(board.tool("a__t", "{}").text(), "new");
    board.wait_for("list_changed", is_changed("tools"));
    assert!(tools(&mut board).contains(&"a__more".to_owned()));
    board.close();
    setup.rewrite("a", "on: { start: { exit: 1 } }");
    assert!(learn(&setup).contains(&"a__more".to_owned()));
}

#[test]
fn a_damaged_store_is_as_good_as_none() {
    let setup = Setup::new().script("a", "tools: { t: { answer: ok } }");
    let names = learn(&setup);
    let files = stored(&setup);
    assert_eq!(files.len(), 1, "{files:?}");
    let sound = std::fs::read(&files[0]).unwrap();
    let middle = sound.len() / 2;
    let mut flipped = sound.clone();
    flipped[middle] ^= 1;
    let damages: [&[u8]; 5] = [b"", b"{}", &sound[..middle], &flipped, &[0xff; 1000]];
    for damage in damages {
        std::fs::write(&files[0], damage).unwrap();
        assert_eq!(learn(&setup), names, "the server is asked again");
        assert_eq!(stored(&setup).len(), 1);
    }
    // And each time the store is whole again.
    setup.rewrite("a", "on: { start: { exit: 1 } }");
    assert_eq!(learn(&setup), names);
}

#[test]
fn a_state_folder_that_cannot_be_written_costs_only_the_store() {
    let setup = Setup::new().script("a", "tools: { t: { answer: ok } }");
    std::fs::write(setup.home().join("state"), "a file where the folder should be").unwrap();
    for _ in 0..2 {
        assert!(learn(&setup).contains(&"a__t".to_owned()));
    }
}

/// The list with the tools of both servers. Six of them are starting at once here, and on a busy machine that takes longer than a
/// first list waits.
fn all_tools(board: &mut Board) -> Vec<String> {
    let until = Instant::now() + DEADLINE;
    loop {
        let names = tools(board);
        let has = |server: &str| names.iter().any(|name| name.starts_with(server));
        if has("a__") && has("b__") {
            return names;
        }
        assert!(Instant::now() < until, "{names:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn two_switchboards_at_once_share_a_folder_in_peace() {
    let setup = Setup::new().server("a", "healthy").server("b", "h10-pages");
    let mut boards = [setup.launch(), setup.launch(), setup.launch()];
    for board in &mut boards {
        board.initialize("2025-11-25");
    }
    let lists: Vec<Vec<String>> = boards.iter_mut().map(all_tools).collect();
    assert!(lists[0].len() > 8 && lists.iter().all(|list| *list == lists[0]), "{lists:?}");
    for board in boards {
        board.close();
    }
    assert_eq!(stored(&setup).len(), 2, "no temporary file is left");
    assert_eq!(learn(&setup), lists[0]);
}

#[test]
fn the_list_is_the_same_bytes_after_every_restart() {
    let setup = Setup::new()
        .server("z", "healthy")
        .server("m", "h03-strange-names")
        .server("a", "h09-bad-definitions");
    let list = || {
        let mut board = setup.launch();
        board.initialize("2025-11-25");
        let lists = ["tools/list", "prompts/list", "resources/list", "resources/templates/list"]
            .map(|method| board.call(method, "").result.unwrap());
        board.close();
        lists
    };
    let first = list();
    for run in 0..4 {
        // Every other time without what was stored: then the order in which the servers are ready is another one.
        if run % 2 == 0 {
            std::fs::remove_dir_all(setup.home().join("state")).unwrap();
        }
        assert_eq!(list(), first);
    }
}

// === changes ===

#[test]
fn a_storm_of_changes_that_changes_nothing_is_not_passed_on() {
    let mut board = Setup::new().server("a", "h07-list-changed-storm").start();
    board.initialize("2025-11-25");
    look_at_all(&mut board);
    let lists = |board: &Board| board.received("a").iter().filter(|line| line.contains("tools/list")).count();
    let before = lists(&board);
    assert_eq!(board.tool("a__storm", "{}").text(), "done");
    board.wait_received("a", |_| lists(&board) > before);
    let changed = board.within(Duration::from_millis(1300), is_changed("tools"));
    assert!(changed.is_none(), "{changed:?}");
    assert!(lists(&board) <= before + 2, "asked {} times", lists(&board) - before);
    board.close();
}

#[test]
fn a_real_change_is_announced_once_and_to_be_seen_then() {
    let mut board = Setup::new().server("a", "h07-list-changed-storm").start();
    board.initialize("2025-11-25");
    look_at_all(&mut board);
    for (tool, shown) in [("a__hide", false), ("a__show", true)] {
        board.tool(tool, "{}");
        board.wait_for("list_changed", is_changed("tools"));
        assert_eq!(tools(&mut board).contains(&"a__echo".to_owned()), shown);
        let again = board.within(Duration::from_millis(1300), is_changed("tools"));
        assert!(again.is_none(), "{again:?}");
    }
    board.close();
}

#[test]
fn changes_of_prompts_and_resources_are_announced_under_their_own_names() {
    let script = r#"
tools: { flip: { set_prompts: [two], set_resources: ["x:2"], answer: done } }
prompts: { one: { answer: 1 }, two: { answer: 2 } }
resources: { "x:1": { text: t }, "x:2": { text: t } }
"#;
    let mut board = Setup::new().script("a", script).start();
    board.initialize("2025-11-25");
    look_at_all(&mut board);
    board.tool("a__flip", "{}");
    board.wait_for("list_changed", is_changed("prompts"));
    board.wait_for("list_changed", is_changed("resources"));
    assert_eq!(board.call("prompts/list", "").names(), ["a__two"]);
    assert_eq!(board.call("resources/list", "").names(), ["x:2"]);
    assert!(board.within(Duration::from_millis(300), is_changed("tools")).is_none());
    board.close();
}

#[test]
fn tools_that_come_late_are_announced() {
    let mut board = Setup::new().server("a", "h11-late-tools").start();
    board.initialize_in_a_hurry();
    if !tools(&mut board).contains(&"a__echo".to_owned()) {
        board.wait_for("list_changed", is_changed("tools"));
        assert!(tools(&mut board).contains(&"a__echo".to_owned()));
    }
    board.close();
}

#[test]
fn a_server_that_restarts_keeps_its_tools_listed() {
    let mut board = Setup::new().server("a", "d12-crashes-in-a-call").start();
    board.initialize("2025-11-25");
    look_at_all(&mut board);
    let names = tools(&mut board);
    board.forget();
    board.tool("a__kill", "{}");
    assert_eq!(tools(&mut board), names);
    board.until("tools/call", r#"{"name":"a__echo","arguments":{"input":"back"}}"#, |answer| {
        answer.result()["isError"] != true
    });
    assert_eq!(tools(&mut board), names);
    assert!(board.within(Duration::from_millis(700), is_changed("tools")).is_none());
    board.close();
}

#[test]
fn a_list_that_fails_after_a_restart_keeps_what_is_known() {
    let setup = Setup::new().server("a", "h11-list-fails");
    let names = learn(&setup);
    assert!(names.contains(&"a__echo".to_owned()));
    let mut board = setup.launch();
    board.initialize("2025-11-25");
    assert_eq!(board.tool("a__echo", r#"{"input":"x"}"#).text(), "x");
    board.wait_received("a", |line| line.contains(r#""id":2,"method":"tools/list""#));
    assert_eq!(tools(&mut board), names);
    board.close();
    assert_eq!(learn(&setup), names, "and so does the store");
}

// === pages ===

#[test]
fn every_page_of_a_server_is_fetched() {
    let mut board = Setup::new().server("a", "h10-pages").start();
    board.initialize("2025-11-25");
    assert_eq!(
        tools(&mut board).into_iter().filter(|name| name != STATUS).collect::<Vec<_>>(),
        [1, 2, 3, 4, 5].map(|number| format!("a__tool_{number}"))
    );
    board.close();
}

#[test]
fn a_server_whose_pages_never_end_is_cut_off() {
    for (fixture, count) in [("h10-cursor-loop", 4), ("h10-cursor-same", 2)] {
        let mut board = Setup::new().server("a", fixture).server("b", "healthy").start();
        board.initialize("2025-11-25");
        let names = tools(&mut board);
        assert_eq!(
            names.iter().filter(|name| name.starts_with("a__")).count(),
            count,
            "{fixture}: {names:?}"
        );
        assert!(names.contains(&"b__echo".to_owned()));
        let asked = board.received("a").iter().filter(|line| line.contains("tools/list")).count();
        assert!(asked <= 4, "{fixture}: asked {asked} times");
        board.close();
    }
    let mut board = Setup::new().server("a", "h10-cursor-endless").start();
    board.initialize("2025-11-25");
    board.until("tools/list", "", |list| list.names().iter().any(|name| name.starts_with("a__")));
    let asked = board.received("a").iter().filter(|line| line.contains("tools/list")).count();
    assert!(asked <= 1000, "asked {asked} times");
    board.close();
}

#[test]
fn cursors_that_are_not_ours_are_invalid_parameters() {
    let mut board = Setup::new().server("a", "healthy").start();
    board.initialize("2025-11-25");
    for method in ["tools/list", "prompts/list", "resources/list", "resources/templates/list"] {
        for cursor in ["", "1", "x", "tools.0000000000000000.1", "🦀"] {
            assert_eq!(
                board.call(method, &json!({ "cursor": cursor }).to_string()).code(),
                -32602,
                "{method} {cursor}"
            );
        }
        assert!(board.call(method, r#"{"cursor":null}"#).result.is_some());
    }
    board.close();
}

#[test]
fn a_list_over_four_mebibytes_is_paged_and_its_cursors_die_with_it() {
    let mut setup = Setup::new();
    for number in 0..5 {
        setup = setup.server(&format!("s{number}"), "h06-many-tools");
    }
    setup = setup.script(
        "last",
        "tools: { t: { answer: ok }, u: { answer: ok }, hide: { set_tools: [t, hide], answer: hidden } }",
    );
    let mut board = setup.start();
    board.initialize("2025-11-25");
    // All of them, on a slow machine too.
    board.until("tools/list", "", |page| page.result()["nextCursor"].is_string());
    let until = Instant::now() + board::DEADLINE;
    let all = loop {
        let all = every(&mut board, "tools/list", "tools");
        if all.len() == 5 * 500 + 4 {
            break all;
        }
        assert!(Instant::now() < until, "{} tools", all.len());
        std::thread::sleep(Duration::from_millis(100));
    };
    let unique: BTreeSet<&str> = all.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert_eq!(unique.len(), all.len());
    let first = board.call("tools/list", "");
    assert!(first.raw.len() <= (4 << 20) + 1024, "{} bytes", first.raw.len());
    assert_eq!(board.tool("s4__tool_500", "{}").text(), "tool_500");
    let cursor = json!({ "cursor": first.result()["nextCursor"] }).to_string();
    assert!(board.call("tools/list", &cursor).result.is_some());
    assert_eq!(board.call("prompts/list", &cursor).code(), -32602, "a cursor belongs to its list");
    board.tool("last__hide", "{}");
    board.until("tools/list", &cursor, |answer| answer.error.is_some());
    assert_eq!(board.call("tools/list", &cursor).code(), -32602);
    board.close();
}

// === URIs ===

#[test]
fn a_uri_that_two_servers_share_is_wrapped_for_the_later_one() {
    let mut board = Setup::new().server("a", "h12-shared-uri-a").server("b", "h12-shared-uri-b").start();
    board.initialize("2025-11-25");
    assert_eq!(
        board.call("resources/list", "").names(),
        ["note://shared", "note://only-a", "switchboard+b:note://shared", "note://only-b"]
    );
    assert_eq!(
        board.call("resources/templates/list", "").names(),
        ["note://by/{id}", "switchboard+b:note://by/{id}"]
    );
    let reads = [
        ("note://shared", "from A"),
        ("note://only-a", "from A"),
        ("note://only-b", "from B"),
        ("note://by/1", "A's 1"),
        ("switchboard+b:note://shared", "from B"),
        ("switchboard+b:note://by/1", "B's 1"),
    ];
    for (uri, text) in reads {
        let answer = board.call("resources/read", &format!(r#"{{"uri":"{uri}"}}"#)).result();
        assert_eq!(answer["contents"][0]["text"], text, "{uri}");
        assert_eq!(answer["contents"][0]["uri"], uri, "the client reads the URI that it asked for");
    }
    board.close();
}

#[test]
fn a_link_of_one_server_does_not_lead_to_another() {
    let mut board = Setup::new().server("a", "h12-shared-uri-a").server("b", "h12-shared-uri-b").start();
    board.initialize("2025-11-25");
    let uri = board.tool("a__link", "{}").result()["content"][0]["uri"].as_str().unwrap().to_owned();
    assert_eq!(uri, "switchboard+a:note://only-b");
    // `a` has no such note; that `b` has one must not help.
    let answer = board.call("resources/read", &format!(r#"{{"uri":"{uri}"}}"#));
    assert!(answer.error.is_some(), "{}", answer.raw);
    assert!(!board.received("b").iter().any(|line| line.contains("resources/read")));
    board.close();
}

#[test]
fn updates_of_a_wrapped_uri_carry_the_clients_spelling() {
    let script = |who: &str| {
        format!(
            "tools: {{ touch: {{ updated: \"note://shared\", answer: {who} }} }}\nresources: {{ \"note://shared\": {{ text: {who} }} }}"
        )
    };
    let mut board = Setup::new().script("a", &script("a")).script("b", &script("b")).start();
    board.initialize("2025-11-25");
    board.call("resources/list", "");
    board.call("resources/subscribe", r#"{"uri":"switchboard+b:note://shared"}"#);
    board.wait_received("b", |line| {
        line.contains(r#""resources/subscribe","params":{"uri":"note://shared"}"#)
    });
    board.tool("a__touch", "{}");
    board.tool("b__touch", "{}");
    assert_eq!(
        board.notification("notifications/resources/updated").params()["uri"],
        "switchboard+b:note://shared"
    );
    assert!(board.settled().is_empty());
    board.close();
}

#[test]
fn completions_of_templates_find_their_server_whatever_the_others_have() {
    let template = |uri: &str, value: &str| {
        format!(
            "resources: {{ \"x://a/1\": {{ text: t }} }}\ntemplates: {{ \"{uri}\": {{ text: t }} }}\ncompletions: {{ \"{uri}\": {{ id: [{value}] }} }}"
        )
    };
    let mut board = Setup::new()
        .script("a", &template("x://{id}", "of_a"))
        .script("b", &template("x://b/{id}{?q,r}", "of_b"))
        .script("c", &template("x://{id}", "of_c"))
        .script("d", &template("x://d/{+id}/end", "of_d"))
        .start();
    board.initialize("2025-11-25");
    let listed = board.call("resources/templates/list", "").names();
    assert_eq!(listed, ["x://{id}", "x://b/{id}{?q,r}", "switchboard+c:x://{id}", "x://d/{+id}/end"]);
    for (uri, value) in listed.iter().zip(["of_a", "of_b", "of_c", "of_d"]) {
        let answer = board.call(
            "completion/complete",
            &format!(
                r#"{{"argument":{{"name":"id","value":""}},"ref":{{"uri":"{uri}","type":"ref/resource"}}}}"#
            ),
        );
        assert_eq!(answer.result()["completion"]["values"], json!([value]), "{uri}");
    }
    board.close();
}

#[test]
fn private_schemes_get_the_server_as_their_first_segment() {
    let script = "tools: { app: { extra: { _meta: { ui: { resourceUri: \"ui://main\" } } }, answer: ok } }\nresources: { \"ui://main\": { text: page }, \"skill://s/SKILL.md\": { text: skill } }";
    let mut board = Setup::new().script("a", script).script("b", script).start();
    board.initialize("2025-11-25");
    assert_eq!(
        board.call("resources/list", "").names(),
        ["ui://a/main", "skill://a/s/SKILL.md", "ui://b/main", "skill://b/s/SKILL.md"]
    );
    let list = board.call("tools/list", "").result();
    let app = list["tools"].as_array().unwrap().iter().find(|tool| tool["name"] == "b__app").unwrap();
    assert_eq!(app["_meta"]["ui"]["resourceUri"], "ui://b/main");
    let answer = board.call("resources/read", r#"{"uri":"ui://b/main"}"#).result();
    assert_eq!(
        (&answer["contents"][0]["text"], &answer["contents"][0]["uri"]),
        (&json!("page"), &json!("ui://b/main"))
    );
    board.close();
}

#[test]
fn a_uri_that_no_list_names_goes_to_the_only_server_with_resources() {
    let mut board = Setup::new().script("a", "on: { resources/read: { result: { contents: [ { uri: \"odd:1\", text: odd } ] } } }\nresources: { \"x:1\": { text: t } }").script("b", "tools: [t]").start();
    board.initialize("2025-11-25");
    let answer = board.call("resources/read", r#"{"uri":"odd:1"}"#).result();
    assert_eq!(answer["contents"][0]["text"], "odd");
    board.close();
}

#[test]
fn a_list_holds_what_a_call_before_it_has_made() {
    let script = "tools:\n  old: { answer: ok }\n  new: { answer: ok }\n  grow: { steps: [ { set_tools: [old, grow, shrink, new] }, { answer: ok } ] }\n  shrink: { steps: [ { set_tools: [old, grow, shrink] }, { answer: ok } ] }\n";
    let mut board = Setup::new().script("a", script).start();
    board.initialize("2025-11-25");
    board.tool("a__shrink", "{}");
    assert!(!tools(&mut board).contains(&"a__new".to_owned()));
    for _ in 0..3 {
        board.tool("a__grow", "{}");
        assert!(tools(&mut board).contains(&"a__new".to_owned()));
        board.tool("a__shrink", "{}");
        assert!(!tools(&mut board).contains(&"a__new".to_owned()));
    }
    board.close();
}
