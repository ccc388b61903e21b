use super::*;
use proptest::prelude::*;

fn outcome(kind: ListKind, item: &str) -> String {
    match judge(kind, item.as_bytes(), Revision::newest_legacy()) {
        Verdict::Keep => "kept".to_owned(),
        Verdict::Repaired { item, notes } => {
            assert!(!notes.is_empty());
            assert!(json::check(&item).is_ok(), "{}", String::from_utf8_lossy(&item));
            assert_eq!(
                judge(kind, &item, Revision::newest_legacy()),
                Verdict::Keep,
                "a repair is complete: {item:?}"
            );
            String::from_utf8(item.to_vec()).unwrap()
        }
        Verdict::Held { reason } => format!("held: {reason}"),
    }
}

fn tool(item: &str, expected: &str) {
    assert_eq!(outcome(ListKind::Tools, item), expected, "{item}");
}

/// A tool with this `inputSchema`.
fn input(schema: &str, expected: &str) {
    let wrap = |schema: &str| format!(r#"{{"name":"a","inputSchema":{schema}}}"#);
    let expected =
        if expected == "kept" || expected.starts_with("held") { expected.to_owned() } else { wrap(expected) };
    tool(&wrap(schema), &expected);
}

/// MCP 2026-07-28: the root of an `outputSchema` may be of any type.
#[test]
fn servers_of_the_modern_era_may_describe_any_result() {
    let modern = Revision::find("2026-07-28").unwrap();
    for schema in [r#"{"type":"array"}"#, "{}", r#"{"anyOf":[{}]}"#] {
        let item = format!(r#"{{"name":"a","inputSchema":{{"type":"object"}},"outputSchema":{schema}}}"#);
        assert_eq!(judge(ListKind::Tools, item.as_bytes(), modern), Verdict::Keep, "{schema}");
        assert_ne!(judge(ListKind::Tools, item.as_bytes(), Revision::newest_legacy()), Verdict::Keep);
    }
    let item = r#"{"name":"a","inputSchema":{"type":"object"},"outputSchema":true}"#;
    assert_ne!(judge(ListKind::Tools, item.as_bytes(), modern), Verdict::Keep);
}

#[test]
fn good_definitions_keep_every_byte() {
    tool(
        r#"{ "name" : "a" , "inputSchema" : { "type":"object" , "properties":{"x":{"type":["string","null"]}},"required":["x"],"$defs":{} } }"#,
        "kept",
    );
    tool(
        r#"{"name":"a","title":"A","description":"","inputSchema":{"type":"object","additionalProperties":false,"if":{},"then":{}},
        "outputSchema":{"type":"object","anyOf":[{}]},"annotations":{"title":"x","readOnlyHint":true,"vendor":null},
        "icons":[{"src":"data:,","sizes":["any"],"theme":"dark","x":1}],"execution":{"taskSupport":"optional"},"_meta":{"a/b":null},"vendor":[1.10,1e400]}"#,
        "kept",
    );
    assert_eq!(
        outcome(ListKind::Prompts, r#"{"name":"p","arguments":[{"name":"x","required":true,"more":1}]}"#),
        "kept"
    );
    assert_eq!(
        outcome(
            ListKind::Resources,
            r#"{"uri":"a:b","name":"n","size":5,"annotations":{"audience":["user"],"priority":0.5,"lastModified":"2025-01-12T15:00:58Z"}}"#
        ),
        "kept"
    );
    assert_eq!(outcome(ListKind::Templates, r#"{"uriTemplate":"a:{b}","name":"n"}"#), "kept");
}

#[test]
fn common_definitions_are_recognised_in_one_pass() {
    for (kind, item) in [
        (
            ListKind::Tools,
            r#"{ "name":"a" ,"title":"b","inputSchema":{"type":"object","properties":{"x":{}},"required":["x"]},"_meta":{}}"#,
        ),
        (ListKind::Prompts, r#"{"name":"p","arguments":[{"name":"x"}]}"#),
        (ListKind::Resources, r#"{"uri":"a:b","name":"n","mimeType":"text/plain"}"#),
        (ListKind::Templates, r#"{"uriTemplate":"a:{b}","name":"n"}"#),
    ] {
        assert_eq!(quick::recognise(kind, item.as_bytes()), Places::find(kind, item.as_bytes()), "{item}");
    }
}

#[test]
fn nothing_without_a_name_is_shown() {
    tool("7", "held: this tool is not an object");
    tool(r#"{"inputSchema":{"type":"object"}}"#, "held: it has no `name`");
    tool(r#"{"name":"","inputSchema":{"type":"object"}}"#, "held: its `name` is empty");
    tool(r#"{"name":5,"inputSchema":{"type":"object"}}"#, "held: its `name` is not a string");
    assert_eq!(outcome(ListKind::Prompts, "{}"), "held: it has no `name`");
    assert_eq!(outcome(ListKind::Resources, r#"{"name":"a"}"#), "held: it has no `uri`");
    assert_eq!(
        outcome(ListKind::Templates, r#"{"uriTemplate":null}"#),
        "held: its `uriTemplate` is not a string"
    );
}

#[test]
fn optional_members_of_a_wrong_type_go() {
    let base = r#"{"name":"a","inputSchema":{"type":"object"}}"#;
    for member in [
        r#""title":null"#,
        r#""description":5"#,
        r#""annotations":[]"#,
        r#""icons":{}"#,
        r#""icons":[{"src":1}]"#,
        r#""icons":[{"src":"x","sizes":"any"}]"#,
        r#""icons":[{"src":"x","theme":"blue"}]"#,
        r#""execution":true"#,
        r#""execution":{"taskSupport":"maybe"}"#,
        r#""_meta":null"#,
        r#""outputSchema":null"#,
        r#""outputSchema":{}"#,
        r#""outputSchema":{"type":"array"}"#,
        r#""outputSchema":true"#,
    ] {
        tool(&base.replace(r#""inputSchema""#, &format!(r#"{member}, "inputSchema""#)), base);
        tool(&format!("{},{member}}}", base.strip_suffix('}').unwrap()), base);
    }
    tool(
        r#"{"name":"a","annotations":{"readOnlyHint":"yes","vendor":[1], "title":null},"inputSchema":{"type":"object"}}"#,
        r#"{"name":"a","annotations":{"vendor":[1]},"inputSchema":{"type":"object"}}"#,
    );
    assert_eq!(
        outcome(
            ListKind::Resources,
            r#"{"uri":"a:b","mimeType":null,"size":"5","annotations":{"audience":["robot"],"priority":2,"lastModified":"yesterday"}}"#
        ),
        r#"{"uri":"a:b","annotations":{},"name":"a:b"}"#
    );
    assert_eq!(
        outcome(
            ListKind::Prompts,
            r#"{"name":"p","arguments":[{"name":"x","required":"yes"},7,{"description":"d"},{"name":"y","description":null}]}"#
        ),
        r#"{"name":"p","arguments":[{"name":"x"},{"name":"y"}]}"#
    );
    assert_eq!(
        outcome(ListKind::Prompts, r#"{"name":"p","arguments":[7]}"#),
        r#"{"name":"p","arguments":[]}"#
    );
    assert_eq!(outcome(ListKind::Prompts, r#"{"name":"p","arguments":null}"#), r#"{"name":"p"}"#);
}

#[test]
fn an_input_schema_becomes_an_object_schema() {
    tool(r#"{"name":"a"}"#, r#"{"name":"a","inputSchema":{"type":"object"}}"#);
    input("null", r#"{"type":"object"}"#);
    input("true", r#"{"type":"object"}"#);
    input("{}", r#"{"type":"object"}"#);
    input(r#"{"type":["object","null"],"x":1}"#, r#"{"type":"object","x":1}"#);
    input(
        r#"{"type":"array"}"#,
        r#"held: its `inputSchema` has the type "array", and arguments are always an object"#,
    );
    input("[]", "held: its `inputSchema` is not an object");
    input(
        r#"{"type":"object","properties":{"a":true,"b":false,"c":{"type":"strin"},"d":null}}"#,
        r#"{"type":"object","properties":{"a":{},"b":{"not":{}},"c":{"type":"strin"},"d":{}}}"#,
    );
    input(r#"{"type":"object","properties":[],"required":"a"}"#, r#"{"type":"object"}"#);
    input(r#"{"type":"object","required":[1]}"#, r#"{"type":"object"}"#);
    input(r#"{"type":"string","type":"object"}"#, r#"{"type":"object"}"#);
}

#[test]
fn combinations_at_the_root_are_folded() {
    tool(
        r##"{"name":"a","description":"Does \"it\".","inputSchema":{"type":"object","properties":{"x":{"a":1}},"required":["x"],
"oneOf":[{"properties":{"x":{"b":2},"y":{}},"required":["x","y"]},{"$ref":"#/$defs/Z"}],"$defs":{"Z":{"properties":{"z":true},"required":["x","z"]}}}}"##,
        r##"{"name":"a","description":"Does \"it\".\n(Give exactly one of these arguments or groups: `y`, or `z`.)","inputSchema":{"type":"object","properties":{"x":{"a":1},"y":{},"z":{}},"required":["x"],
"$defs":{"Z":{"properties":{"z":true},"required":["x","z"]}}}}"##,
    );
    input(
        r#"{"allOf":[{"properties":{"a":{"x":1}},"required":["a"]},{"properties":{"a":{"x":2}},"required":["b"]}]}"#,
        r#"{"type":"object","properties":{"a":{"allOf":[{"x":1},{"x":2}]}},"required":["a","b"]}"#,
    );
    tool(
        r#"{"name":"a","inputSchema":{"type":"object","anyOf":[{"properties":{"k":{"const":"p"}}},{"properties":{"k":{"const":"q"}}}]}}"#,
        r#"{"name":"a","inputSchema":{"type":"object","properties":{"k":{"anyOf":[{"const":"p"},{"const":"q"}]}}},"description":"(Not every combination of these arguments is valid.)"}"#,
    );
}

#[test]
fn references_that_multiply_or_turn_in_circles_cost_no_time() {
    let level = |n: usize| {
        format!(r##""d{n}":{{"allOf":[{{"$ref":"#/$defs/d{}"}},{{"$ref":"#/$defs/d{0}"}}]}}"##, n + 1)
    };
    let defs: Vec<String> = (0..40).map(level).collect();
    let bomb = format!(
        r##"{{"name":"a","inputSchema":{{"type":"object","allOf":[{{"$ref":"#/$defs/d0"}},{{"$ref":"#"}}],"$defs":{{{}}}}}}}"##,
        defs.join(",")
    );
    assert!(outcome(ListKind::Tools, &bomb).starts_with("{\"name\""));
}

#[test]
fn texts_that_break_parsers_are_mended_or_held() {
    tool(
        r#"{"name":"a","description":"\ud83d\ude00 \ud83d \\ud83d \udE00","inputSchema":{"type":"object"}}"#,
        r#"{"name":"a","description":"\ud83d\ude00 \ufffd \\ud83d \ufffd","inputSchema":{"type":"object"}}"#,
    );
    tool(
        r#"{"name":"a","name":"b","inputSchema":{"type":"object"}}"#,
        r#"{"name":"b","inputSchema":{"type":"object"}}"#,
    );
    let deep = |depth| {
        let (open, close) = (r#"{"items":"#.repeat(depth), "}".repeat(depth));
        format!(r#"{{"name":"a[","inputSchema":{{"type":"object","properties":{{"x":{open}{{}}{close}}}}}}}"#)
    };
    tool(&deep(90), "kept");
    assert!(outcome(ListKind::Tools, &deep(120)).starts_with("held: its definition nests"));
    let large = format!(
        r#"{{"name":"a","description":"{}","inputSchema":{{"type":"object"}}}}"#,
        "x".repeat(MAX_DEFINITION)
    );
    assert_eq!(
        outcome(ListKind::Tools, &large),
        "held: its definition has 256 KiB; at most 256 KiB are shown"
    );
}

#[test]
fn the_first_of_equal_names_is_shown() {
    let items: Vec<Bytes> = [
        r#"{"name":"a","description":"1","inputSchema":{"type":"object"}}"#,
        r#"{"name":"a"}"#,
        r#"{"name":"b"}"#,
        "{}",
    ]
    .map(Bytes::from)
    .into();
    let (shown, notes) = sift(
        &"srv".into(),
        ListKind::Tools,
        &items,
        Revision::newest_legacy(),
        |name| name != "c",
        |_| Vec::new(),
    );
    assert_eq!(shown.iter().map(|shown| shown.id.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(shown[0].item, items[0]);
    let held: Vec<&str> =
        notes.iter().filter(|note| note.code == Code::ToolHeld).map(|note| note.text.as_str()).collect();
    assert_eq!(held, ["the server lists this tool twice; the first one is shown", "it has no `name`"]);
}

fn any_value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i32>().prop_map(Into::into),
        prop::sample::select(vec!["object", "array", "#/anyOf/0", "#", "a", ""]).prop_map(Into::into),
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        let key = prop::sample::select(vec![
            "name",
            "title",
            "inputSchema",
            "outputSchema",
            "type",
            "properties",
            "required",
            "anyOf",
            "oneOf",
            "allOf",
            "$ref",
            "annotations",
            "arguments",
            "icons",
            "uri",
            "uriTemplate",
            "_meta",
            "src",
            "priority",
            "x",
            "y",
        ]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(serde_json::Value::Array),
            prop::collection::vec((key, inner), 0..8).prop_map(|members| members
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect()),
        ]
    })
}

proptest! {
    /// Whatever a server sends: the result is JSON, and a second look finds nothing more to do.
    #[test]
    fn a_repair_is_complete_and_the_quick_look_agrees(mut item in any_value(), kind in prop::sample::select(ListKind::ALL.to_vec())) {
        if let serde_json::Value::Object(members) = &mut item {
            members.insert(kind.id_key().to_owned(), "it".into());
        }
        let text = item.to_string();
        let outcome = outcome(kind, &text);
        if let Some(places) = quick::recognise(kind, text.as_bytes()) {
            prop_assert_eq!(repair(kind, text.as_bytes(), Revision::newest_legacy()).map(|repaired| repaired.is_some()), Ok(false));
            prop_assert_eq!(Some(places), Places::find(kind, text.as_bytes()));
            prop_assert_eq!(outcome, "kept");
        }
    }
}
