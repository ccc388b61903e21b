//! `tools`, `prompts`, `resources`.

use crate::{GONE, two_servers, with_more};

#[test]
fn tools_are_listed_in_config_order_with_their_first_line() {
    let ran = two_servers().run(&["tools"]).code(0);
    let names: Vec<&str> = ran.out.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let expected = [
        "notes__add",
        "notes__both",
        "tools__echo",
        "tools__both",
        "tools__new",
        "tools__fail",
        "tools__refuse",
        "tools__slow",
        "tools__picture",
        "switchboard__status",
    ];
    assert_eq!(names, expected, "{ran:#?}");
    assert!(ran.out.contains("  Writes a note.\n"), "{ran:#?}");
    assert_eq!(ran.err, "");
}

#[test]
fn json_is_what_clients_get_with_numbers_as_written() {
    let home = two_servers();
    let ran = home.run(&["tools", "tools", "--json"]).code(0).says(r#"{"price":1.10}"#);
    let json = ran.json();
    assert_eq!(json["schema"], 1);
    let names: Vec<&str> =
        json["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert_eq!(names[0], "tools__echo");
    assert!(names.iter().all(|name| name.starts_with("tools__")), "{names:?}");
    let all = home.run(&["prompts", "--json"]).code(0).json();
    assert_eq!(all["prompts"][0]["name"], "notes__tidy");
    let all = home.run(&["resources", "--json"]).code(0).json();
    assert_eq!(all["resources"][0]["uri"], "note://all");
    assert_eq!(all["resourceTemplates"][0]["uriTemplate"], "note://page/{n}");
}

#[test]
fn prompts_and_resources() {
    let home = two_servers();
    home.run(&["prompts"]).code(0).says("notes__tidy  Sorts.");
    home.run(&["resources", "notes"])
        .code(0)
        .says("note://all       All: Every note.")
        .says("note://page/{n}  One page");
    home.run(&["resources", "tools"]).code(0).warns("no resources");
    home.run(&["prompts", "tools"]).code(0).warns("no prompts");
}

#[test]
fn what_is_known_is_listed_without_a_start() {
    let home = two_servers();
    home.run(&["tools"]).code(0);
    assert_eq!(home.read("starts").lines().count(), 1);
    home.run(&["tools"]).code(0).says("notes__add");
    assert_eq!(home.read("starts").lines().count(), 1, "the stored list was enough");
}

#[test]
fn one_servers_list_starts_that_server_alone() {
    let home = two_servers();
    home.run(&["tools", "tools"]).code(0).says("tools__echo");
    assert_eq!(home.read("starts"), "");
}

#[test]
fn a_missing_server_is_told_and_costs_nobody_else() {
    let home = with_more(GONE);
    home.run(&["tools"]).code(3).says("notes__add").says("tools__echo").warns("SB-SPAWN-001");
    home.run(&["tools", "notes"]).code(0);
    home.run(&["tools", "gone"]).code(3).warns("`gone`");
    home.run(&["tools", "nots"]).code(5).warns("did you mean `notes`");
}
