//! `--profile`: commands see what a client with this profile sees.

use crate::home::Home;
use crate::{GONE, with_more};

/// The two good servers and one that cannot be started, in profiles.
fn home() -> Home {
    with_more(&format!(
        "{GONE}profiles:\n  work: {{ include: [notes, tool*], tools: {{ exclude: \"*__slow\" }} }}\n  play: {{ include: tools }}\n  \
         typo: {{ include: [nots] }}\n"
    ))
}

#[test]
fn lists_and_calls_are_those_of_the_profile() {
    let home = home();
    home.run(&["tools"]).code(3);
    let ran = home.run(&["tools", "--profile", "work"]).code(0).says("notes__add").says("tools__echo");
    assert!(!ran.out.contains("tools__slow"), "{ran:#?}");
    let ran = home.run(&["tools", "--profile", "play"]).code(0).says("tools__slow");
    assert!(!ran.out.contains("notes__"), "{ran:#?}");
    home.run(&["call", "--profile", "play", "tools__echo", "n=1"]).code(0);
    home.run(&["call", "--profile", "play", "notes__add", "text=x"]).code(5).warns("there is no tool");
    home.run(&["tools", "notes", "--profile", "play"])
        .code(5)
        .warns("the profile `play` leaves out the server `notes`");
    home.run(&["prompts", "--profile", "play"]).code(0).warns("no prompts");
}

#[test]
fn check_starts_the_servers_of_the_profile_alone() {
    let home = home();
    let ran = home.run(&["check", "--profile", "play", "--json"]).code(0).json();
    let servers: Vec<&str> =
        ran["servers"].as_array().unwrap().iter().map(|one| one["server"].as_str().unwrap()).collect();
    assert_eq!(servers, ["tools"]);
    assert_eq!(home.read("starts"), "", "the server that is left out was not started");
}

#[test]
fn explain_says_that_a_profile_hides_a_tool() {
    let home = home();
    home.run(&["explain", "tools__slow", "--profile", "work"])
        .code(0)
        .says("(not shown)")
        .says("hidden by `tools` of the profile `work`");
    home.run(&["explain", "tools__echo", "--profile", "work"]).code(0).says("`work` has it");
    home.run(&["explain", "notes__add", "--profile", "play"])
        .code(5)
        .warns("the profile `play` leaves out the server `notes`");
}

#[test]
fn a_profile_that_there_is_not_ends_a_command() {
    let home = home();
    for command in [&["tools"][..], &["check"], &["call", "notes__add"], &["explain", "notes__add"]] {
        let command: Vec<&str> = command.iter().copied().chain(["--profile", "wrok"]).collect();
        home.run(&command).code(78).warns("known are `work`, `play`, `typo`").warns("did you mean `work`?");
    }
    home.run(&["serve", "--strict", "--profile", "wrok"]).code(78).warns("SB-CFG-009");
    home.run(&["config", "validate"])
        .code(0)
        .warns("there is no server `nots`")
        .warns("did you mean `notes`?");
}
