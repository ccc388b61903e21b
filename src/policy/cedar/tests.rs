use std::time::{Duration, SystemTime};

use super::*;
use crate::call::ClientInfo;

fn read(text: &str) -> (Option<Set>, Vec<String>) {
    let (set, problems) = Set::read(Path::new("/p/policy.cedar"), text);
    (set, problems.iter().map(|problem| problem.to_string()).collect())
}

#[track_caller]
fn set(text: &str) -> Set {
    let (set, problems) = read(text);
    set.unwrap_or_else(|| panic!("{problems:#?}"))
}

fn client(name: &str) -> Client {
    let info = ClientInfo { name: name.to_owned(), version: Some("1".to_owned()), over_http: false };
    Client { token: None, info: Arc::new(info) }
}

fn tool(name: &str) -> Thing<'_> {
    Thing {
        action: Action::CallTool,
        name,
        original: name.strip_prefix("files__").unwrap_or(name),
        server: "files",
        categories: &[],
        definition: br#"{"annotations":{"readOnlyHint":true,"openWorldHint":"?"}}"#,
        effect: Effect::Read,
        is_template: false,
    }
}

fn resource(uri: &str) -> Thing<'_> {
    Thing { action: Action::ReadResource, definition: b"", original: uri, ..tool(uri) }
}

/// 1970-01-05, a Monday, at nine.
fn monday_at_nine() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(4 * 86_400 + 9 * 3600)
}

#[track_caller]
fn decide(set: &Set, client: &Client, thing: &Thing<'_>, arguments: &str) -> Decision {
    set.decide(client, thing, arguments.as_bytes(), monday_at_nine()).unwrap()
}

fn permits(text: &str, thing: &Thing<'_>, arguments: &str) -> bool {
    decide(&set(text), &client("ann"), thing, arguments).ruling == Ruling::Permitted
}

#[test]
fn what_is_wrong_with_policies_is_told_with_the_place() {
    let texts = [
        "permit(principal action, resource);",
        "permit(principal, action == Action::\"cal_tool\", resource);",
        "permit(principal == User::\"x\", action, resource);",
        "permit(principal is Usr, action, resource);",
        "permit(principal, action, resource) when { principal.nmae == \"x\" };",
        "permit(principal, action, resource) when { principal.token == \"x\" };",
        "permit(principal, action, resource) when { principal.name == 5 };",
        "permit(principal, action, resource)\n  when { context.tme.hour < 3 };",
        "permit(principal, action, resource) when { context.time.hour < \"3\" };",
        "permit(principal, action == Action::\"call_tool\", resource)\nwhen { resource.annotations.readOnlyHint };",
        "permit(principal, action == Action::\"call_tool\", resource) when { context.arguments.path like \"/x*\" };",
        "permit(principal, action == Action::\"call_tool\", resource)\nwhen { context.arguments has n && context.arguments.n < 5 && principal.nmae == \"x\" };",
        "@id(\"a\")\npermit(principal, action, resource);\n// and\n@id(\"a\")\nforbid(principal, action, resource);",
        "permit(principal, action, resource) when { context has arguments && context.arguments has n };",
        "permit(principal, action == Action::\"call_tool\", resource is Prompt);",
        "permit(principal in Server::\"x\", action, resource);",
        "forbid(principal, action, resource);",
        "permit(principal == ?principal, action, resource);",
        "",
    ];
    let found: Vec<String> = texts
        .iter()
        .map(|text| {
            let (set, problems) = read(text);
            let state = if set.is_some() { "taken" } else { "refused" };
            format!("{text}\n    {state}\n    {}", problems.join("\n    "))
        })
        .collect();
    insta::assert_snapshot!(found.join("\n"), @"");
}

#[test]
fn policies_have_names_and_places() {
    let set = set("permit(principal, action, resource);\n\n// no\n@id(\"no\") @reason(\"not now\")\nforbid(principal, action, resource)\n  when { resource.name == \"x\" };\npermit(principal, action, resource);\n");
    let rules = set.rules(set.rules.keys());
    let shown: Vec<String> = rules.iter().map(|rule| format!("{rule} {}", rule.forbids)).collect();
    assert_eq!(shown, ["`policy0` (policy.cedar:1) false", "`no` (policy.cedar:4) true", "`policy2` (policy.cedar:7) false"]);
    assert_eq!(rules[1].reason.as_deref(), Some("not now"));
}

#[test]
fn every_part_of_a_question_can_decide() {
    let yes = [
        "permit(principal == Client::\"ann\", action, resource);",
        "permit(principal, action == Action::\"call_tool\", resource == Tool::\"files__read\");",
        "permit(principal, action, resource in Server::\"files\");",
        "permit(principal, action, resource in Category::\"disk\");",
        "permit(principal, action, resource) when { resource.original == \"read\" && resource.server == \"files\" };",
        "permit(principal, action, resource) when { resource.categories.contains(\"disk\") };",
        "permit(principal, action == Action::\"call_tool\", resource) when { resource.annotations has readOnlyHint && resource.annotations.readOnlyHint };",
        "permit(principal, action == Action::\"call_tool\", resource) unless { resource.annotations has openWorldHint };",
        "permit(principal, action, resource) when { resource.effect == \"read\" && context.effect == \"read\" };",
        "permit(principal, action, resource) when { context.time.hour == 9 && context.time.weekday == 1 };",
        "permit(principal, action, resource) when { principal.transport == \"stdio\" } unless { principal has token };",
        "permit(principal, action == Action::\"call_tool\", resource) when { context.arguments has n && context.arguments.n == 7 };",
    ];
    let categories = ["disk".to_owned()];
    let thing = Thing { categories: &categories, ..tool("files__read") };
    for text in yes {
        assert!(permits(text, &thing, r#"{"n":7}"#), "{text}");
        let other = Thing {
            name: "web__get", original: "get", server: "web", definition: b"{\"annotations\":{\"openWorldHint\":true}}",
            effect: Effect::Unknown, ..tool("x")
        };
        let later = monday_at_nine() + Duration::from_secs(3600);
        let bob = Client { token: Some("bob".into()), ..client("ann") };
        let decision = set(text).decide(&bob, &other, b"", later).unwrap();
        assert_eq!(decision.ruling, Ruling::Refused, "{text}");
    }
}

#[test]
fn a_token_is_a_name_that_nobody_else_has() {
    let text = "permit(principal, action, resource) when { principal has token && principal.token == \"laptop\" };";
    let set = set(text);
    let ruling = |client: &Client| decide(&set, client, &tool("x"), "").ruling;
    assert_eq!(ruling(&client("laptop")), Ruling::Refused);
    assert_eq!(ruling(&Client { token: Some("laptop".into()), ..client("anything") }), Ruling::Permitted);
}

#[test]
fn a_refusal_names_the_policy_and_its_reason() {
    let set = set(
        "permit(principal, action, resource in Server::\"files\");\n@id(\"no-deletes\") @reason(\"deleting is for people\")\nforbid(principal, action, resource) when { resource.original like \"delete*\" };",
    );
    let thing = tool("files__delete_all");
    let failure = decide(&set, &client("ann"), &thing, "").failure(&client("ann"), &thing);
    assert_eq!(
        failure.to_string(),
        "server `files`: client `ann` may not use `files__delete_all`: deleting is for people (policy `no-deletes` (policy.cedar:2) forbids it). It did not run; to repeat it as it is will not help (SB-POLICY-001)"
    );
    assert_eq!(failure.ran, crate::effect::Ran::No);
    let thing = Thing { server: "web", ..tool("web__get") };
    let failure = decide(&set, &client("ann"), &thing, "").failure(&client("ann"), &thing);
    assert!(failure.cause.ends_with("no policy permits it"), "{failure}");
}

#[test]
fn a_forbid_that_cannot_be_evaluated_refuses() {
    // Overflow is what no check of types can find.
    let set = set(
        "permit(principal, action, resource);\nforbid(principal, action == Action::\"call_tool\", resource) when { context.arguments has n && context.arguments.n + 1 > 5 };",
    );
    let decision = decide(&set, &client("ann"), &tool("x"), r#"{"n":9223372036854775807}"#);
    assert_eq!(decision.ruling, Ruling::Refused);
    assert!(decision.why().contains("`policy1` (policy.cedar:2) could not be evaluated"), "{}", decision.why());
    assert_eq!(decide(&set, &client("ann"), &tool("x"), r#"{"n":"a"}"#).ruling, Ruling::Refused);
    assert_eq!(decide(&set, &client("ann"), &tool("x"), r#"{"n":1}"#).ruling, Ruling::Permitted);
}

#[test]
fn what_arguments_or_time_decide_is_foreseen_as_open() {
    let set = set(
        "permit(principal == Client::\"ann\", action, resource in Server::\"files\");
         permit(principal == Client::\"bob\", action == Action::\"call_tool\", resource) when { context.arguments has n };
         permit(principal == Client::\"cat\", action, resource) when { context.time.hour < 8 };
         forbid(principal, action, resource) when { resource.original == \"never\" };
         forbid(principal, action == Action::\"call_tool\", resource) when { resource.original == \"ask\" && context.arguments has n && context.arguments.n == 1 };",
    );
    let ruling = |name: &str, thing: &Thing<'_>| set.foresee(&client(name), thing).ruling;
    assert_eq!(ruling("ann", &tool("files__read")), Ruling::Permitted);
    assert_eq!(ruling("ann", &tool("files__ask")), Ruling::Depends);
    assert_eq!(ruling("ann", &tool("files__never")), Ruling::Refused);
    assert_eq!(ruling("bob", &tool("files__read")), Ruling::Depends);
    assert_eq!(ruling("bob", &resource("file:///a")), Ruling::Refused);
    assert_eq!(ruling("cat", &resource("file:///a")), Ruling::Depends);
    assert_eq!(ruling("dan", &tool("files__read")), Ruling::Refused);
    let by = set.foresee(&client("ann"), &tool("files__ask")).by;
    assert!(by.iter().any(|rule| rule.id == "policy4"), "{by:?}");
}

#[test]
fn of_a_template_only_the_server_is_known() {
    let template = |uri| Thing { is_template: true, ..resource(uri) };
    let of_server = set("permit(principal, action, resource in Server::\"files\");");
    assert_eq!(of_server.foresee(&client("ann"), &template("file:///{path}")).ruling, Ruling::Permitted);
    let some = set("permit(principal, action == Action::\"read_resource\", resource) when { resource.name like \"file:///work/*\" };");
    assert_eq!(some.foresee(&client("ann"), &template("file:///{path}")).ruling, Ruling::Depends);
    assert_eq!(some.foresee(&client("ann"), &resource("file:///etc")).ruling, Ruling::Refused);
    let none = set("permit(principal, action == Action::\"call_tool\", resource);");
    assert_eq!(none.foresee(&client("ann"), &template("file:///{path}")).ruling, Ruling::Refused);
}

#[test]
fn arguments_that_cannot_be_judged_are_refused_only_where_somebody_judges_them() {
    let twice = br#"{"path":"/a","path":"/b"}"#;
    let plain = set("permit(principal, action, resource);");
    assert!(plain.decide(&client("ann"), &tool("x"), twice, monday_at_nine()).is_ok());
    let looks = set("permit(principal, action == Action::\"call_tool\", resource) when { context.arguments has path };");
    let failure = looks.decide(&client("ann"), &tool("x"), twice, monday_at_nine()).unwrap_err();
    assert!(failure.to_string().contains("hold `path` twice"), "{failure}");
}

#[test]
fn a_decision_is_remembered_only_for_the_same_question() {
    let set = set("permit(principal == Client::\"ann\", action, resource) when { resource.effect == \"read\" };");
    for _ in 0..2 {
        assert_eq!(decide(&set, &client("ann"), &tool("x"), "").ruling, Ruling::Permitted);
        assert_eq!(decide(&set, &client("bob"), &tool("x"), "").ruling, Ruling::Refused);
        let unknown = Thing { effect: Effect::Unknown, ..tool("x") };
        assert_eq!(decide(&set, &client("ann"), &unknown, "").ruling, Ruling::Refused);
    }
    assert_eq!(set.known.lock().unwrap().len(), 3);
    for number in 0..2 * MANY {
        decide(&set, &client(&number.to_string()), &tool("x"), "");
    }
    assert!(set.known.lock().unwrap().len() <= MANY);
}
