//! `check`.

use crate::home::Home;
use crate::{GONE, two_servers, with_more};

#[test]
fn all_well() {
    let home = two_servers();
    let ran = home
        .run(&["check"])
        .code(0)
        .says("notes       ✓")
        .says("2 tools")
        .says("1 prompt, 1 resource, 1 template");
    let last = ran.out.lines().last().unwrap();
    assert!(last.starts_with("2 of 2 usable · 9 tools · ≈"), "{last}");
    assert!(last.ends_with("longest name 14/52"), "{last}");
}

#[test]
fn servers_are_started_even_if_their_lists_are_known() {
    let home = two_servers();
    home.run(&["tools"]).code(0);
    home.run(&["check"]).code(0);
    assert_eq!(home.read("starts").lines().count(), 2);
    home.run(&["check", "tools"]).code(0).says("1 of 1 usable");
    assert_eq!(home.read("starts").lines().count(), 2, "only the named server was started");
}

#[test]
fn a_failed_server_is_shown_with_cause_last_words_and_remedy() {
    let early = "  early: { command: BIN, args: [mock, HERE/early.mock.yaml] }\n";
    let needy = "  needy: { command: BIN, env: { KEY: \"${NO_SUCH_VARIABLE}\" } }\n";
    let off = "  off: { command: BIN, disabled: true }\n";
    let home = with_more(&format!("{GONE}{early}{needy}{off}"));
    home.script("early", "on: { start: { stderr: \"error: KEY is missing\", exit: 1 } }\ntools: [x]\n");
    let ran = home.run(&["check"]).code(3);
    let ran = ran.says("gone        ✗").says("SB-SPAWN-001").says("│ error: KEY is missing").says("╰ ");
    let ran = ran.says("exited with code 1 before it finished its handshake  (SB-PROC-001)");
    let ran = ran.says("`NO_SUCH_VARIABLE` is not set").says("off         -  disabled");
    ran.says("2 of 5 usable").code(3);
    home.run(&["check", "notes"]).code(0);
    home.run(&["check", "notes", "erly"]).code(5).warns("did you mean `early`");
}

#[test]
fn every_instance_is_started() {
    let entry = "{ command: BIN, args: [mock, HERE/many.mock.yaml], replicas: 3 }";
    let home = Home::with(&format!("servers: {{ many: {entry} }}"));
    home.script("many", "record_process: HERE/starts\ntools: [x]\n");
    home.run(&["check"]).code(0).says("1 of 1 usable");
    assert_eq!(home.read("starts").lines().count(), 3);
}

#[test]
fn bad_config_is_told_first_and_the_rest_checked() {
    let home = with_more("  typo: { comand: x }\n");
    home.run(&["check"])
        .code(78)
        .warns("did you mean `command`?")
        .says("typo        ✗")
        .says("2 of 3 usable");
    home.run(&["check", "notes"]).code(0);
}

#[test]
fn definitions_are_looked_at() {
    let home = Home::with("servers: { odd: { command: BIN, args: [mock, HERE/odd.mock.yaml] } }");
    home.script(
        "odd",
        "
tools:
  no_regex: { input_schema: { type: object, properties: { a: { pattern: '(' } } } }
  far_away: { input_schema: { type: object, properties: { a: { $ref: 'https://example.com/x' } } } }
  wrong: { input_schema: { type: string } }
  mended: { extra: { inputSchema: ~ } }
on: { start: { raw: \"hello, I am no message\\n\" } }
",
    );
    let ran = home
        .run(&["check"])
        .code(0)
        .says("odd         !")
        .says("2 bad schemas")
        .says("1 definition held back");
    let ran =
        ran.says("`inputSchema` of `odd__far_away`: it refers to `https://example.com/x`, outside of itself");
    let ran = ran.says("1 noise line on stdout").says("noise: hello, I am no message");
    ran.says("1 definition repaired");
}

#[test]
fn json_has_everything() {
    let json = with_more(GONE).run(&["check", "--json"]).code(3).json();
    assert_eq!(json["schema"], 1);
    assert_eq!((&json["usable"], &json["of"]), (&2.into(), &3.into()));
    let [notes, _, gone] = &json["servers"].as_array().unwrap()[..] else { panic!("{json:#}") };
    assert_eq!((&notes["verdict"], &notes["tools"]), (&"ok".into(), &2.into()));
    assert!(notes["seconds"].as_f64().unwrap() > 0.0);
    assert!(notes["tokens"].as_u64().unwrap() > 10);
    assert_eq!((&gone["verdict"], &gone["failure"]["code"]), (&"failed".into(), &"SB-SPAWN-001".into()));
    assert_eq!(json["longest_name"]["length"], 14);
}

#[test]
fn lists_that_cannot_be_fetched_are_told() {
    let home = Home::with("servers: { shy: { command: BIN, args: [mock, HERE/shy.mock.yaml] } }");
    home.script("shy", "on: { tools/list: { error: not today } }\ntools: [x]\n");
    home.run(&["check"]).code(0).says("shy         !").says("a list could not be fetched");
    assert_eq!(home.run(&["check", "--json"]).code(0).json()["servers"][0]["lists_complete"], false);
}

#[test]
fn json_says_what_ci_wants_to_know() {
    let home = with_more("  typo: { comand: x }\n");
    let json = home.run(&["check", "--json"]).code(78).json();
    assert_eq!((&json["well"], &json["exit"]), (&false.into(), &78.into()));
    let problem = &json["problems"][0];
    assert_eq!((&problem["severity"], &problem["server"]), (&"error".into(), &"typo".into()));
    assert!(problem["file"].as_str().unwrap().ends_with("switchboard.yaml"), "{problem}");
    assert_eq!((&problem["line"], &problem["column"]), (&5.into(), &11.into()));
    assert_eq!(json["lock"], serde_json::Value::Null);

    let home = two_servers();
    let json = home.run(&["check", "--json", "--write-lock"]).code(0).json();
    assert_eq!((&json["well"], &json["exit"]), (&true.into(), &0.into()));
    home.script("notes", "tools:\n  add: { description: Writes another note. }\n");
    let json = home.run(&["check", "--json", "--locked"]).code(3).json();
    assert_eq!((&json["well"], &json["exit"]), (&false.into(), &3.into()));
    let differences = json["lock"]["differences"].as_array().unwrap();
    assert!(differences.iter().any(|one| one["name"] == "add" && one["what"] == "changed"), "{json:#}");
    assert!(differences.iter().any(|one| one["name"] == "both" && one["what"] == "gone"), "{json:#}");
}

#[test]
fn json_tells_of_a_config_that_cannot_be_read() {
    let home = Home::with("servers: [");
    let json = home.run(&["check", "--json"]).code(78).json();
    assert_eq!((&json["exit"], &json["problems"][0]["code"]), (&78.into(), &"SB-CFG-001".into()));
    assert_eq!(json["servers"], serde_json::json!([]));
}
