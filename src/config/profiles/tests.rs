use std::path::Path;

use super::super::{Environment, Loaded, Recipe, Syntax, load_text};

fn recipe(text: &str) -> Recipe {
    load_text(text, Syntax::Yaml, Path::new("/etc/sb/switchboard.yaml"), &Environment::default()).recipe
}

fn load(text: &str, profile: &str) -> Loaded {
    recipe(text).for_profile(Some(profile)).load()
}

fn served(loaded: &Loaded) -> Vec<&str> {
    loaded.config.ready().map(|server| server.name.as_str()).collect()
}

fn lines(loaded: &Loaded) -> Vec<String> {
    loaded.problems.iter().map(|problem| problem.one_line()).collect()
}

const SERVERS: &str = "
servers:
  github: { command: a, categories: [work, code] }
  gitlab: { command: a, categories: [code] }
  notes: { command: a }
  unset: { command: a, categories: [work], args: ['${NOT_SET_ANYWHERE}'] }
";

#[test]
fn servers_are_selected_by_name_and_category() {
    for (profile, expected) in [
        ("{}", &["github", "gitlab", "notes"][..]),
        ("{ include: notes }", &["notes"]),
        ("{ servers: [notes] }", &["notes"]),
        ("{ include: [git*] }", &["github", "gitlab"]),
        ("{ include: [] }", &[]),
        ("{ categories: code }", &["github", "gitlab"]),
        ("{ categories: ['w*'], include: notes }", &["github", "notes"]),
        ("{ exclude: [git*, unset] }", &["notes"]),
        ("{ categories: code, exclude: gitlab }", &["github"]),
        ("{ include: '*', exclude: '*' }", &[]),
    ] {
        let loaded = load(&format!("{SERVERS}profiles: {{ p: {profile} }}"), "p");
        assert_eq!(served(&loaded), expected, "{profile}: {:?}", lines(&loaded));
        assert_eq!(loaded.config.servers.len(), 4, "the others are known to be left out");
    }
}

#[test]
fn what_is_wrong_with_servers_that_are_left_out_is_not_told() {
    let text = format!("{SERVERS}profiles: {{ p: {{ include: notes }}, q: {{ categories: work }} }}");
    assert_eq!(lines(&load(&text, "p")), [""; 0]);
    assert!(lines(&load(&text, "q"))[0].contains("NOT_SET_ANYWHERE"));
}

#[test]
fn tools_are_selected_by_the_names_that_clients_see() {
    let text = format!(
        "{SERVERS}profiles: {{ p: {{ tools: {{ include: ['git*', notes__add], exclude: '*_rm' }} }} }}"
    );
    let profile = load(&text, "p").config.profile.unwrap();
    let shown = |tool: &str| profile.shows_tool(tool);
    assert!(shown("github__list") && shown("notes__add"));
    assert!(!shown("notes__list") && !shown("github__rm"));
}

#[test]
fn an_unknown_profile_serves_nobody_and_names_those_that_there_are() {
    let text = format!("{SERVERS}profiles: {{ work: {{}}, home: {{}} }}");
    let loaded = load(&text, "wrok");
    assert_eq!(served(&loaded), [""; 0]);
    let line = lines(&loaded).into_iter().find(|line| line.contains("no profile `wrok`")).unwrap();
    assert!(line.contains("known are `work`, `home`") && line.contains("did you mean `work`?"), "{line}");
    assert!(lines(&load(SERVERS, "x"))[0].contains("the config has none"));
}

#[test]
fn a_profile_with_a_mistake_selects_nothing() {
    for wrong in ["{ exclud: notes }", "{ exclude: 5 }", "{ tools: { hide: x } }", "[notes]", "5"] {
        let loaded = load(&format!("{SERVERS}profiles: {{ p: {wrong}, q: {{}} }}"), "p");
        assert_eq!(served(&loaded), [""; 0], "{wrong}");
        assert!(loaded.has_errors(), "{wrong}");
        let other = load(&format!("{SERVERS}profiles: {{ p: {wrong}, q: {{}} }}"), "q");
        assert_eq!(served(&other).len(), 3, "{wrong} harms no other profile");
    }
}

#[test]
fn names_of_no_server_are_told() {
    let loaded =
        recipe(&format!("{SERVERS}profiles: {{ p: {{ include: [notse, 'x*'], exclude: gone }} }}")).load();
    let lines: Vec<String> = lines(&loaded).into_iter().filter(|line| line.contains("profiles.p")).collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].contains("did you mean `notes`?"), "{lines:?}");
    let empty = load(&format!("{SERVERS}profiles: {{ p: {{ include: 'x*' }} }}"), "p");
    assert!(self::lines(&empty)[0].contains("has none of the 4 servers"));
}

#[test]
fn tokens_have_profiles_and_a_mistake_there_closes_the_door() {
    const HTTP: &str = "http:\n  tokens: { alice: 0123456789abcdef, bob: 0123456789abcdef0 }\n";
    let load = |more: &str| {
        recipe(&format!("{SERVERS}profiles: {{ p: {{ include: notes }} }}\n{HTTP}{more}")).load()
    };
    let loaded = load("  profiles: { alice: p }");
    let name = |token| loaded.config.profile_of(token).map(|name| &**name);
    assert_eq!((name(Some("alice")), name(Some("bob")), name(None)), (Some("p"), None, None));
    assert_eq!(served(&loaded).len(), 3);
    for (wrong, said) in [
        ("  profiles: { alice: q }", "there is no profile `q`; known are `p`"),
        ("  profiles: { carol: p }", "`http.tokens` has no `carol`"),
        ("  profiles: { alice: }", "has no value"),
    ] {
        let loaded = load(wrong);
        assert!(loaded.config.http.is_err(), "{wrong}");
        assert!(lines(&loaded).iter().any(|line| line.contains(said)), "{wrong}: {:?}", lines(&loaded));
    }
}
