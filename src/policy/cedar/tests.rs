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
    Client { token: None, profile: None, info: Arc::new(info) }
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
fn decide(set: &Set, client: &Client, thing: &Thing<'_>, arguments: &str) -> Arc<Decision> {
    set.decide(client, thing, arguments.as_bytes(), monday_at_nine()).unwrap()
}

#[test]
fn what_is_wrong_with_policies_is_told_with_the_place() {
    let texts = [
        "permit(principal action, resource);",
        "permit(principal, action == Action::\"cal_tool\", resource);",
        "permit(principal == Clent::\"x\", action, resource);",
        "permit(principal is Clint, action, resource);",
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
    insta::assert_snapshot!(found.join("\n"), @r#"
permit(principal action, resource);
    refused
    error: /p/policy.cedar:1:18: not valid Cedar: unexpected token `action` (SB-POLICY-002)
permit(principal, action == Action::"cal_tool", resource);
    refused
    error: /p/policy.cedar:1:29: policy `policy0`: unrecognized action `Action::"cal_tool"`; did you mean `Action::"call_tool"`? (SB-POLICY-002)
permit(principal == Clent::"x", action, resource);
    refused
    error: /p/policy.cedar:1:21: policy `policy0`: unrecognized entity type `Clent`; did you mean `Client`? (SB-POLICY-002)
permit(principal is Clint, action, resource);
    refused
    error: /p/policy.cedar:1:21: policy `policy0`: unrecognized entity type `Clint`; did you mean `Client`? (SB-POLICY-002)
permit(principal, action, resource) when { principal.nmae == "x" };
    refused
    error: /p/policy.cedar:1:44: policy `policy0`: attribute `nmae` on entity type `Client` not found; did you mean `name`? (SB-POLICY-002)
permit(principal, action, resource) when { principal.token == "x" };
    refused
    error: /p/policy.cedar:1:44: policy `policy0`: unable to guarantee safety of access to optional attribute `token` on entity type `Client`; try testing for the attribute's presence with `e has token && ..` (SB-POLICY-002)
permit(principal, action, resource) when { principal.name == 5 };
    refused
    error: /p/policy.cedar:1:44: policy `policy0`: the types Long and String are not compatible; for policy `policy0`, both operands to a `==` expression must have compatible types. Types must be exactly equal to be compatible (SB-POLICY-002)
permit(principal, action, resource)
  when { context.tme.hour < 3 };
    refused
    error: /p/policy.cedar:2:10: policy `policy0`: attribute `tme` in context for Action::"call_tool" not found; did you mean `time`? (SB-POLICY-002)
permit(principal, action, resource) when { context.time.hour < "3" };
    refused
    error: /p/policy.cedar:1:64: policy `policy0`: unexpected type: expected Long but saw String (SB-POLICY-002)
permit(principal, action == Action::"call_tool", resource)
when { resource.annotations.readOnlyHint };
    refused
    error: /p/policy.cedar:2:8: policy `policy0`: unable to guarantee safety of access to optional attribute `annotations.readOnlyHint` on entity type `Tool`; try testing for the attribute's presence with `e.annotations has readOnlyHint && ..` (SB-POLICY-002)
permit(principal, action == Action::"call_tool", resource) when { context.arguments.path like "/x*" };
    refused
    error: /p/policy.cedar:1:67: policy `policy0`: a call may have no argument `path`; test for it first: `context.arguments has path && ..` (SB-POLICY-002)
permit(principal, action == Action::"call_tool", resource)
when { context.arguments has n && context.arguments.n < 5 && principal.nmae == "x" };
    refused
    error: /p/policy.cedar:2:62: policy `policy0`: attribute `nmae` on entity type `Client` not found; did you mean `name`? (SB-POLICY-002)
@id("a")
permit(principal, action, resource);
// and
@id("a")
forbid(principal, action, resource);
    refused
    error: /p/policy.cedar:4:1: two policies have the id `a` (SB-POLICY-002)
permit(principal, action, resource) when { context has arguments && context.arguments has n };
    taken
    
permit(principal, action == Action::"call_tool", resource is Prompt);
    taken
    warning: /p/policy.cedar:1:1: policy `policy0`: policy is impossible: the policy expression evaluates to false for all valid requests (SB-POLICY-002)
permit(principal in Server::"x", action, resource);
    taken
    warning: /p/policy.cedar:1:1: policy `policy0`: policy is impossible: the policy expression evaluates to false for all valid requests (SB-POLICY-002)
forbid(principal, action, resource);
    taken
    warning: /p/policy.cedar:1:1: no policy permits anything; what no policy permits is refused: write a `permit` (SB-POLICY-002)
permit(principal == ?principal, action, resource);
    taken
    warning: /p/policy.cedar:1:1: `policy0` has a slot that nobody fills, so it never applies; name the principal or the resource itself (SB-POLICY-002)
    warning: /p/policy.cedar:1:1: no policy permits anything; what no policy permits is refused: write a `permit` (SB-POLICY-002)

    taken
    warning: /p/policy.cedar:1:1: no policy permits anything; what no policy permits is refused: write a `permit` (SB-POLICY-002)
"#);
}

#[test]
fn the_example_is_good_and_does_what_it_says() {
    let text = include_str!("../../../examples/policy.cedar");
    let (set, problems) = read(text);
    assert_eq!(problems, Vec::<String>::new());
    let set = set.unwrap();
    let ruling = |client: &Client, thing: &Thing<'_>, text: &str| decide(&set, client, thing, text).ruling;
    let ann = client("ann");
    assert_eq!(ruling(&ann, &tool("files__read"), r#"{"path":"/srv/project/a"}"#), Ruling::Permitted);
    for path in ["/etc/passwd", "/srv/project/../../etc/passwd"] {
        assert_eq!(ruling(&ann, &tool("files__read"), &format!(r#"{{"path":"{path}"}}"#)), Ruling::Refused);
    }
    let categories = ["work".to_owned()];
    let writes = Thing {
        effect: Effect::Unknown,
        server: "tickets",
        categories: &categories,
        ..tool("tickets__create")
    };
    assert_eq!(ruling(&ann, &writes, ""), Ruling::Refused);
    assert_eq!(ruling(&client("claude-code"), &writes, ""), Ruling::Permitted);
    let laptop = Client { token: Some("laptop".into()), ..client("x") };
    assert_eq!(ruling(&laptop, &writes, ""), Ruling::Permitted);
    let night = monday_at_nine() + Duration::from_secs(12 * 3600);
    assert_eq!(set.decide(&laptop, &writes, b"", night).unwrap().ruling, Ruling::Refused);
    let wipes = Thing { definition: br#"{"annotations":{"destructiveHint":true}}"#, ..writes };
    assert_eq!(ruling(&client("claude-code"), &wipes, ""), Ruling::Refused);
}

#[test]
fn the_policies_of_the_readme_are_good() {
    let readme = include_str!("../../../docs/calls.md");
    let parts: Vec<&str> =
        readme.split("```cedar\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(!parts.is_empty());
    for text in parts {
        assert_eq!(read(text).1, Vec::<String>::new(), "{text}");
    }
}

#[test]
fn policies_have_names_and_places() {
    let set = set(
        "permit(principal, action, resource);\n\n// no\n@id(\"no\") @reason(\"not now\")\nforbid(principal, action, resource)\n  when { resource.name == \"x\" };\npermit(principal, action, resource);\n",
    );
    let rules = set.rules(set.rules.keys());
    let shown: Vec<String> = rules.iter().map(|rule| format!("{rule} {}", rule.forbids)).collect();
    assert_eq!(
        shown,
        [
            "`policy0` (policy.cedar:1) false",
            "`no` (policy.cedar:4) true",
            "`policy2` (policy.cedar:7) false"
        ]
    );
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
        let set = set(text);
        assert_eq!(decide(&set, &client("ann"), &thing, r#"{"n":7}"#).ruling, Ruling::Permitted, "{text}");
        let other = Thing {
            name: "web__get",
            original: "get",
            server: "web",
            definition: b"{\"annotations\":{\"openWorldHint\":true}}",
            effect: Effect::Unknown,
            ..tool("x")
        };
        let later = monday_at_nine() + Duration::from_secs(3600);
        let bob = Client { token: Some("bob".into()), ..client("ann") };
        let decision = set.decide(&bob, &other, b"", later).unwrap();
        assert_eq!(decision.ruling, Ruling::Refused, "{text}");
    }
}

#[test]
fn a_token_is_a_name_that_nobody_else_has() {
    let text =
        "permit(principal, action, resource) when { principal has token && principal.token == \"laptop\" };";
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
    assert!(
        decision.why().contains("`policy1` (policy.cedar:2) could not be evaluated"),
        "{}",
        decision.why()
    );
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
    let some = set(
        "permit(principal, action == Action::\"read_resource\", resource) when { resource.name like \"file:///srv/*\" };",
    );
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
    let looks = set(
        "permit(principal, action == Action::\"call_tool\", resource) when { context.arguments has path };",
    );
    let failure = looks.decide(&client("ann"), &tool("x"), twice, monday_at_nine()).unwrap_err();
    assert!(failure.to_string().contains("hold `path` twice"), "{failure}");
}

#[test]
fn a_decision_is_remembered_only_for_the_same_question() {
    let set =
        set("permit(principal == Client::\"ann\", action, resource) when { resource.effect == \"read\" };");
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

/// What is remembered of a part of the policies must not change what all of them say.
#[test]
fn parts_say_what_the_whole_says() {
    const RULES: [&str; 8] = [
        "permit(principal, action, resource) when { resource.effect == \"read\" };",
        "permit(principal == Client::\"other\", action, resource);",
        "forbid(principal, action, resource) when { resource.original like \"b*\" };",
        "forbid(principal, action == Action::\"call_tool\", resource) when { context.arguments has n && context.arguments.n == 1 };",
        "permit(principal, action == Action::\"call_tool\", resource) when { context.arguments has n && context.arguments.n == 2 };",
        "forbid(principal, action, resource) when { context.time.hour > 8 && context.effect == \"read\" && resource.name like \"*b\" };",
        "permit(principal, action == Action::\"call_tool\", resource) when { context.arguments has a && context.arguments.a + 9223372036854775807 > 0 };",
        "forbid(principal, action == Action::\"call_tool\", resource) when { context.arguments has b && context.arguments.b + 9223372036854775807 > 0 };",
    ];
    let rules = |decision: &Decision| {
        let mut errors: Vec<String> = decision.errors.iter().map(|(rule, _)| rule.to_string()).collect();
        errors.sort();
        (decision.ruling, decision.by.iter().map(ToString::to_string).collect::<Vec<_>>(), errors)
    };
    let mut rulings = std::collections::HashSet::new();
    for chosen in 1..1u32 << RULES.len() {
        let text: Vec<&str> =
            (0..RULES.len()).filter(|index| chosen >> index & 1 == 1).map(|index| RULES[index]).collect();
        let (Some(set), _) = read(&text.join("\n")) else { continue };
        for (name, arguments) in [
            ("files__a", r#"{"n":1}"#),
            ("files__a", r#"{"z":[1,{"n":1}],"n":2}"#),
            ("files__b", r#"{"a":1}"#),
            ("files__a", r#"{"b":1}"#),
        ] {
            let (client, thing) = (client("cursor"), tool(name));
            // With all that there is, also what none of them looks at.
            let all = Picked::All(arguments.as_bytes());
            let wanted = Wanted { effect: true, time: true, ..Wanted::default() };
            let context = context(&thing, &all, &wanted, monday_at_nine()).unwrap();
            let parties = set.names.parties(&client, &thing).unwrap();
            let whole = set.ask(&set.policies, &parties, context).unwrap().decision();
            for _ in 0..2 {
                assert_eq!(
                    rules(&decide(&set, &client, &thing, arguments)),
                    rules(&whole),
                    "{text:#?} {name} {arguments}"
                );
            }
            rulings.insert(format!("{:?} {} {}", whole.ruling, whole.by.len(), whole.errors.len()));
        }
    }
    assert!(rulings.len() > 4, "{rulings:?}");
}
