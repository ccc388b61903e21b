//! `explain`.

use crate::home::Home;
use crate::two_servers;

#[test]
fn codes_need_no_config() {
    let home = Home::empty();
    home.run(&["explain", "sb-spawn-001"]).code(0).says("SB-SPAWN-001: the server's command was not found");
    let json = home.run(&["explain", "SB-SPAWN-001", "--json"]).code(0).json();
    assert_eq!(json["code"], "SB-SPAWN-001");
    home.run(&["explain", "SB-SPWN-001"]).code(5).warns("did you mean `SB-SPAWN-001`");
}

#[test]
fn a_tool_is_explained_by_either_name() {
    let home = two_servers();
    for name in ["tools__new", "old"] {
        let ran = home.run(&["explain", name]).code(0).says("tools__new\n").says("own name    old");
        let ran = ran.says("`tools__` is the server's name").says("`old` is renamed to `new` (");
        ran.says("switchboard.yaml:4").says("call 300ms");
    }
    let both = home.run(&["explain", "both", "--json"]).code(0).json();
    assert_eq!(both["tools"].as_array().unwrap().len(), 2);
}

#[test]
fn a_hidden_tool_names_the_rule_that_hides_it() {
    let home = two_servers();
    for name in ["secret_one", "tools__secret_one", "tools.secret_one"] {
        home.run(&["explain", name])
            .code(0)
            .says("hidden by `tools.exclude`: `secret*` (")
            .says("switchboard.yaml:4");
    }
}

#[test]
fn unknown_names_are_not_found() {
    let home = two_servers();
    home.run(&["explain", "pictur"]).code(5).warns("did you mean `picture`");
    home.run(&["explain", "notes"]).code(5).warns("is a server");
}

#[test]
fn changed_names_say_why() {
    let home = Home::with(
        "
servers:
  My Server: { command: BIN, args: [mock, HERE/a.mock.yaml] }
  web: { command: BIN, args: [mock, HERE/b.mock.yaml], prefix: w }
",
    );
    home.script("a", "tools: [a.b, a_b, an_exceedingly_long_name_of_a_tool_that_nobody_would_ever_type]");
    home.script("b", "tools: [x]");
    let ran =
        home.run(&["explain", "a.b"]).code(0).says("`my-server__` comes from the server's name `My Server`");
    ran.says("became `_`").says("another tool of the server comes to `my-server__a_b` as well");
    let long = "an_exceedingly_long_name_of_a_tool_that_nobody_would_ever_type";
    home.run(&["explain", long]).code(0).says("longer than `expose.max_name` (52)");
    home.run(&["explain", "w__x"]).code(0).says("`w__` is the server's `prefix` (");
}

#[test]
fn the_chain_is_told_from_the_config_to_the_stages() {
    let home = Home::with(
        "
servers:
  a:
    command: BIN
    args: [mock, HERE/a.mock.yaml]
    effects: { said: idempotent, gainsaid: read }
    tools: { include: [s*, g*, c*], exclude: [secret*] }
    timeouts: { call: 7s }
    retry: { max_attempts: 3 }
    concurrency: { max: 2 }
",
    );
    home.script(
        "a",
        "
tools:
  said: { answer: x }
  gainsaid: { extra: { annotations: { destructiveHint: true } }, answer: x }
  claimed: { extra: { annotations: { readOnlyHint: true } }, answer: x }
  secret_one: x
  other: x
",
    );
    let of = |name: &str| home.run(&["explain", name, "--json"]).code(0).json()["tools"][0].clone();
    let said = of("a__said");
    let steps: Vec<&str> =
        said["chain"].as_array().unwrap().iter().map(|link| link["step"].as_str().unwrap()).collect();
    let expected = [
        "server",
        "config",
        "own name",
        "filter",
        "rules",
        "definition",
        "trust",
        "named so",
        "state",
        "running",
        "effect",
        "timeouts",
        "limits",
        "stages",
    ];
    assert_eq!(steps, expected, "{said:#}");
    assert_eq!(said["effect"]["effect"], "idempotent");
    assert!(said["effect"]["why"].as_str().unwrap().contains("switchboard.yaml:6"), "{said:#}");
    assert_eq!(said["filter"]["passes"], true);
    assert_eq!(of("a__gainsaid")["effect"]["effect"], "destructive");
    let claimed = of("a__claimed");
    assert_eq!(claimed["effect"]["effect"], "unknown");
    assert!(claimed["effect"]["why"].as_str().unwrap().contains("trust_annotations"), "{claimed:#}");
    let hidden = of("secret_one");
    assert_eq!((&hidden["shown"], &hidden["filter"]["passes"]), (&false.into(), &false.into()));

    let ran = home.run(&["explain", "a__said"]).code(0).says("  effect      idempotent: `effects` says so (");
    let ran =
        ran.says("a call that may have run may be sent again").says("`s*` of `tools.include` lets it pass (");
    ran.says("retry: max_attempts 3").says("concurrency: max 2").says("call 7s").says("messages up to 16MiB");
    home.run(&["explain", "other"]).code(0).says("no pattern of `tools.include` fits (");
}

#[test]
fn a_near_name_that_is_hidden_says_what_hides_it() {
    let ran = two_servers().run(&["explain", "secret_on"]).code(5).warns("did you mean `secret_one`");
    ran.warns("note: `secret_one` is not shown: hidden by `tools.exclude`: `secret*` (");
}
