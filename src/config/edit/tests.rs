use serde_json::json;

use super::*;
use Syntax::{Json, Toml, Yaml};

mod random;

fn entry() -> Value {
    json!({"command": "npx", "args": ["-y", "server"], "env": {"KEY": "${KEY}"}})
}

/// Puts the entry `new`, compares, removes it again, and returns what is left.
fn put_and_remove(syntax: Syntax, before: &str, after: &str) -> String {
    let put = put_server(before, syntax, "new", &entry()).unwrap_or_else(|error| panic!("{before}\n{error}"));
    assert_eq!(put, after, "\n--- wanted\n{after}\n--- found\n{put}");
    remove_server(&put, syntax, "new").unwrap_or_else(|error| panic!("{put}\n{error}"))
}

const YAML_LINES: &str =
    "  new:\n    command: npx\n    args: [-y, server]\n    env:\n      KEY: \"${KEY}\"\n";

#[test]
fn yaml_in_lines() {
    let files = "# mine\nservers:\n  files: # the files\n    command: x   # why\n    args:\n      - a\n";
    for (before, after) in [
        (files.to_owned(), format!("{files}{YAML_LINES}")),
        (
            format!("{files}\n# end\nexpose: {{ max_name: 40 }}\n"),
            format!("{files}{YAML_LINES}\n# end\nexpose: {{ max_name: 40 }}\n"),
        ),
        (format!("{files}  # about nothing\n"), format!("{files}{YAML_LINES}  # about nothing\n")),
        (format!("---\n{files}...\n"), format!("---\n{files}{YAML_LINES}...\n")),
        ("servers:\n".to_owned(), format!("servers:\n{YAML_LINES}")),
        ("servers: # none\n# yet\n".to_owned(), format!("servers: # none\n{YAML_LINES}# yet\n")),
        (
            "servers:\n  a: { command: x }\n\n  b: { command: y }\n\nexpose: {}\n".to_owned(),
            format!(
                "servers:\n  a: {{ command: x }}\n\n  b: {{ command: y }}\n\n{YAML_LINES}\nexpose: {{}}\n"
            ),
        ),
        (
            "servers:\n  a:\n    command: |+\n      x\n\n\nexpose: {}\n".to_owned(),
            format!("servers:\n  a:\n    command: |+\n      x\n\n\n{YAML_LINES}expose: {{}}\n"),
        ),
        (
            "servers:\n  a:\n    command: |\n      x\n\n\nexpose: {}\n".to_owned(),
            format!("servers:\n  a:\n    command: |\n      x\n{YAML_LINES}\n\nexpose: {{}}\n"),
        ),
        (
            "servers:\n  a: &a { command: x }\n  b: *a\n".to_owned(),
            format!("servers:\n  a: &a {{ command: x }}\n  b: *a\n{YAML_LINES}"),
        ),
        (
            "\u{feff}servers:\n  a: { command: x }\n".to_owned(),
            format!("\u{feff}servers:\n  a: {{ command: x }}\n{YAML_LINES}"),
        ),
    ] {
        assert_eq!(put_and_remove(Yaml, &before, &after), before);
        let crlf = |text: &str| text.replace('\n', "\r\n");
        assert_eq!(put_and_remove(Yaml, &crlf(&before), &crlf(&after)), crlf(&before));
    }
    let open = "servers:\n  a: { command: x }";
    let after = format!("{open}\n{}", YAML_LINES.trim_end());
    assert_eq!(put_and_remove(Yaml, open, &after), open);
}

#[test]
fn yaml_without_a_place_for_servers() {
    let lines = format!("servers:\n{YAML_LINES}");
    for (before, after, left) in [
        ("", lines.clone(), "servers:\n"),
        ("# nothing\n", format!("# nothing\n{lines}"), "# nothing\nservers:\n"),
        ("---\n# nothing\n...\n", format!("---\n# nothing\n{lines}...\n"), "---\n# nothing\nservers:\n...\n"),
        ("servers: {}\n", lines.clone(), "servers:\n"),
        ("servers: null # none\n", format!("servers:\n{} # none\n", YAML_LINES.trim_end()), "servers:\n"),
        (
            "expose:\n    max_name: 40",
            format!("expose:\n    max_name: 40\n{}", lines.trim_end().replace("  ", "    ")),
            "expose:\n    max_name: 40\nservers:",
        ),
    ] {
        assert_eq!(put_and_remove(Yaml, before, &after), left);
    }
}

#[test]
fn yaml_between_brackets() {
    let flow = "{ command: npx, args: [-y, server], env: { KEY: \"${KEY}\" } }";
    for (before, after) in [
        (
            "servers: { a: { command: x } } # c\n",
            format!("servers: {{ a: {{ command: x }}, new: {flow} }} # c\n"),
        ),
        (
            "servers: {\n  a: { command: x }, # c\n  # d\n}\n",
            format!("servers: {{\n  a: {{ command: x }}, # c\n  new: {flow},\n  # d\n}}\n"),
        ),
        (
            "servers: {\n  a: { command: x } # c\n}\n",
            format!("servers: {{\n  a: {{ command: x }}, # c\n  new: {flow}\n}}\n"),
        ),
    ] {
        assert_eq!(put_and_remove(Yaml, before, &after), before);
    }
}

#[test]
fn json() {
    let member = |indent: &str, unit: &str| {
        let inner = format!("{indent}{unit}");
        format!(
            "{indent}\"new\": {{\n{inner}\"command\": \"npx\",\n{inner}\"args\": [\"-y\", \"server\"],\n{inner}\"env\": {{\n\
             {inner}{unit}\"KEY\": \"${{KEY}}\"\n{inner}}}\n{indent}}}"
        )
    };
    let two = member("    ", "  ");
    let tabs = member("\t\t", "\t");
    let short =
        "\"new\": { \"command\": \"npx\", \"args\": [\"-y\", \"server\"], \"env\": { \"KEY\": \"${KEY}\" } }";
    for (before, after, left) in [
        ("{\n  \"mcpServers\": {}\n}\n", format!("{{\n  \"mcpServers\": {{\n{two}\n  }}\n}}\n"), None),
        (
            "{\n  // mine\n  \"servers\": {\n    // none\n  }\n}",
            format!("{{\n  // mine\n  \"servers\": {{\n    // none\n{two}\n  }}\n}}"),
            None,
        ),
        (
            "{\n\t\"mcpServers\": {\n\t\t\"a\": {\n\t\t\t\"command\": \"x\" // c\n\t\t} // d\n\t\t// e\n\t}\n}\n",
            format!(
                "{{\n\t\"mcpServers\": {{\n\t\t\"a\": {{\n\t\t\t\"command\": \"x\" // c\n\t\t}}, // d\n{tabs}\n\t\t// e\n\t}}\n}}\n"
            ),
            None,
        ),
        (
            "{\n  \"servers\": {\n    \"a\": {\"command\": \"x\"}, /* , */\n  },\n}",
            format!(
                "{{\n  \"servers\": {{\n    \"a\": {{\"command\": \"x\"}}, /* , */\n    {short},\n  }},\n}}"
            ),
            None,
        ),
        (
            "{\"servers\": {\"a\": {\"command\": \"x\"}}}",
            format!("{{\"servers\": {{\"a\": {{\"command\": \"x\"}}, {short}}}}}"),
            None,
        ),
        ("", format!("{{\n  \"mcpServers\": {{\n{two}\n  }}\n}}\n"), Some("{\n  \"mcpServers\": {}\n}\n")),
        (
            "{}\n",
            format!("{{\n  \"mcpServers\": {{\n{two}\n  }}\n}}\n"),
            Some("{\n  \"mcpServers\": {}\n}\n"),
        ),
        (
            "{\n  \"servers\": null // none\n}\n",
            format!("{{\n  \"servers\": {{\n{two}\n  }} // none\n}}\n"),
            Some("{\n  \"servers\": {} // none\n}\n"),
        ),
        (
            "{\n  \"expose\": { \"max_name\": 40 } // c\n}\n",
            format!(
                "{{\n  \"expose\": {{ \"max_name\": 40 }}, // c\n  \"mcpServers\": {{\n{two}\n  }}\n}}\n"
            ),
            Some("{\n  \"expose\": { \"max_name\": 40 }, // c\n  \"mcpServers\": {}\n}\n"),
        ),
    ] {
        assert_eq!(put_and_remove(Json, before, &after), left.unwrap_or(before), "{before}");
    }
}

#[test]
fn toml() {
    let table = "[servers.new]\ncommand = \"npx\"\nargs = [\"-y\", \"server\"]\nenv = { KEY = \"${KEY}\" }\n";
    let inline = "new = { command = \"npx\", args = [\"-y\", \"server\"], env = { KEY = \"${KEY}\" } }\n";
    for (before, after) in [
        ("", table.to_owned()),
        (
            "# c\n[servers.a] # d\ncommand = \"x\"\n",
            format!("# c\n[servers.a] # d\ncommand = \"x\"\n\n{table}"),
        ),
        (
            "[servers.a]\ncommand = \"x\"\n[servers.a.env]\nA = \"b\"\n\n# about expose\n[expose]\nmax_name = 40\n",
            format!(
                "[servers.a]\ncommand = \"x\"\n[servers.a.env]\nA = \"b\"\n\n{table}\n# about expose\n[expose]\nmax_name = 40\n"
            ),
        ),
        (
            "[servers]\na = { command = \"x\" } # d\n\n[expose]\n",
            format!("[servers]\na = {{ command = \"x\" }} # d\n{inline}\n[expose]\n"),
        ),
        (
            "servers = { a = { command = \"x\" } }\n",
            format!("servers = {{ a = {{ command = \"x\" }}, {} }}\n", inline.trim_end()),
        ),
        (
            "mcp_servers.a.command = \"x\"\n[expose]\nmax_name = 40\n",
            format!(
                "mcp_servers.a.command = \"x\"\n[expose]\nmax_name = 40\n\n{}",
                table.replace("servers", "mcp_servers")
            ),
        ),
        (
            "[[servers]]\nname = \"a\"\ncommand = \"x\"\n",
            format!(
                "[[servers]]\nname = \"a\"\ncommand = \"x\"\n\n{}",
                table.replace("[servers.new]", "[[servers]]\nname = \"new\"")
            ),
        ),
    ] {
        assert_eq!(put_and_remove(Toml, before, &after), before);
    }
    let open = "[servers.a]\ncommand = \"x\"";
    assert_eq!(put_and_remove(Toml, open, &format!("{open}\n\n{}", table.trim_end())), open);
}

#[test]
fn lists_of_servers() {
    let before = "proxy:\n  servers:\n  - name: a # c\n    endpoint: http://a\n  # d\n  - { name: b, endpoint: http://b }\n  enabled: true\n";
    let after = "proxy:\n  servers:\n  - name: a # c\n    endpoint: http://a\n  # d\n  - { name: b, endpoint: http://b }\n  - name: new\n    command: npx\n    args: [-y, server]\n    env:\n      KEY: \"${KEY}\"\n  enabled: true\n";
    assert_eq!(put_and_remove(Yaml, before, after), before);
    let left = remove_server(before, Yaml, "a").unwrap();
    assert_eq!(left, "proxy:\n  servers:\n  # d\n  - { name: b, endpoint: http://b }\n  enabled: true\n");
    let before = "{\"servers\": [\n  {\"name\": \"a\", \"command\": \"x\"}\n]}";
    let put = put_server(before, Json, "b", &json!({"command": "z"})).unwrap();
    assert_eq!(
        put,
        "{\"servers\": [\n  {\"name\": \"a\", \"command\": \"x\"},\n  { \"name\": \"b\", \"command\": \"z\" }\n]}"
    );
    assert_eq!(remove_server(&put, Json, "b").unwrap(), before);
    assert_eq!(
        put_server(before, Json, "a", &json!({"command": "z"})).unwrap(),
        before.replace("\"x\"", "\"z\"")
    );
}

#[test]
fn replacing_changes_only_what_differs() {
    let wanted = json!({"command": "z", "args": ["a", "c"], "env": {"B": "2", "C": "3"}, "start": "eager"});
    for (syntax, before, after) in [
        (
            Yaml,
            "servers:\n  s:\n    # one\n    command:   x # two\n    args: [a, b] # three\n    cwd: . # four\n    # five\n    env:\n      A: 1\n      B: \"2\" # six\n  t: {}\n",
            "servers:\n  s:\n    # one\n    command:   z # two\n    args: [a, c] # three\n    # five\n    env:\n      B: \"2\" # six\n      C: \"3\"\n    start: eager\n  t: {}\n",
        ),
        (
            Json,
            "{\"servers\": {\"s\": {\n  // one\n  \"command\": \"x\", // two\n  \"args\": [\"a\", \"b\"],\n  \"cwd\": \".\",\n  \"env\": {\n    \"A\": \"1\",\n    \"B\": \"2\" // six\n  }\n}}}",
            "{\"servers\": {\"s\": {\n  // one\n  \"command\": \"z\", // two\n  \"args\": [\"a\", \"c\"],\n  \"env\": {\n    \"B\": \"2\", // six\n    \"C\": \"3\"\n  },\n  \"start\": \"eager\"\n}}}",
        ),
        (
            Toml,
            "# zero\n[servers.s]\n# one\ncommand = \"x\" # two\nargs = [\"a\", \"b\"]\ncwd = \".\"\n\n[servers.s.env]\nA = \"1\"\nB = \"2\" # six\n\n[expose]\n",
            "# zero\n[servers.s]\n# one\ncommand = \"z\" # two\nargs = [\"a\", \"c\"]\nstart = \"eager\"\n\n[servers.s.env]\nB = \"2\" # six\nC = \"3\"\n\n[expose]\n",
        ),
    ] {
        let put = put_server(before, syntax, "s", &wanted).unwrap();
        assert_eq!(put, after, "\n--- found\n{put}");
        assert_eq!(put_server(&put, syntax, "s", &wanted).unwrap(), put);
    }
}

#[test]
fn switching_off_and_on() {
    for (syntax, before, off, on) in [
        (
            Yaml,
            "servers:\n  a:\n    command: x # c\n",
            "servers:\n  a:\n    command: x # c\n    enabled: false\n",
            None,
        ),
        (Yaml, "servers:\n  a: { command: x }\n", "servers:\n  a: { command: x, enabled: false }\n", None),
        (
            Json,
            "{\"servers\": {\"a\": {\"command\": \"x\", \"disabled\": false}}}",
            "{\"servers\": {\"a\": {\"command\": \"x\", \"disabled\": true}}}",
            Some("{\"servers\": {\"a\": {\"command\": \"x\", \"disabled\": false}}}"),
        ),
        (Toml, "servers.a.command = \"x\"\n", "servers.a.command = \"x\"\nservers.a.enabled = false\n", None),
    ] {
        assert_eq!(set_enabled(before, syntax, "a", true).unwrap(), before);
        assert_eq!(set_enabled(before, syntax, "a", false).unwrap(), off);
        let on = on.map_or_else(|| off.replace("false", "true"), str::to_owned);
        assert_eq!(set_enabled(off, syntax, "a", true).unwrap(), on);
    }
}

#[test]
fn what_cannot_be_done_is_said() {
    let error = remove_server("servers:\n  files: { command: x }\n", Yaml, "flies").unwrap_err();
    assert_eq!(error, EditError::NotFound { name: "flies".into(), nearest: Some("files".into()) });
    let error = put_server("servers:\n  a: {}\nmcpServers:\n  a: {}\n", Yaml, "a", &entry()).unwrap_err();
    assert_eq!(error, EditError::Twice { name: "a".into() });
    assert!(matches!(put_server("servers: [", Yaml, "a", &entry()), Err(EditError::Syntax { line: 1, .. })));
    assert_eq!(
        put_server("servers: 5\n", Yaml, "a", &entry()),
        Err(EditError::Section { key: "servers".into() })
    );
    assert_eq!(put_server("", Yaml, "a", &json!("x")), Err(EditError::Entry));
    // The anchor is needed elsewhere: what follows it would change as well.
    let shared = "servers:\n  a: &a { command: x }\n  b: *a\n";
    let Err(EditError::ByHand { instead }) = put_server(shared, Yaml, "a", &json!({"command": "z"})) else {
        panic!()
    };
    assert!(instead.contains("a:\n    command: z"), "{instead}");
    assert!(matches!(remove_server(shared, Yaml, "a"), Err(EditError::ByHand { .. })));
    // The alias itself is only one use of it.
    let put = put_server(shared, Yaml, "b", &json!({"command": "z"})).unwrap();
    assert_eq!(put, "servers:\n  a: &a { command: x }\n  b:\n    command: z\n");
}

#[test]
fn strings_survive_in_all_syntaxes() {
    for text in [
        "",
        " ",
        "yes",
        "No",
        "null",
        "~",
        "1",
        "-1",
        "1.5",
        "0x10",
        "12:30",
        "2024-01-01",
        "a: b",
        "a #b",
        "#a",
        "- a",
        "-",
        "--flag",
        "a:",
        "${A}",
        "{a}",
        "[a]",
        "a,b",
        "*a",
        "&a",
        "!a",
        "|",
        ">",
        "'a'",
        "\"a\"",
        "\\",
        "a\nb",
        "\t",
        "ü🙂",
        "\u{7f}",
        "\u{85}",
        "\u{feff}",
        "http://a:1/b?c=d&e#f",
        "@scope/pkg@1.2.3",
        "%a",
        "`a`",
        ".",
        "...",
        "---",
        "=",
        ".5",
        "-.inf",
        "a b",
        " a",
        "a ",
        "key: ",
        "/",
        "C:\\x",
        "?",
        "? a",
        ": a",
    ] {
        let entry = json!({"command": text, "args": [text], "env": {"A": text, "x y": [{"deep": text}]}});
        for (syntax, before) in [(Json, "{}"), (Yaml, ""), (Yaml, "servers: { a: {} }"), (Toml, "")] {
            let name = if text.is_empty() { "x" } else { text };
            let put = put_server(before, syntax, name, &entry)
                .unwrap_or_else(|error| panic!("{text:?} {syntax:?} {error}"));
            put_server(&put, syntax, name, &entry).unwrap();
            assert_eq!(server_names(&put, syntax).unwrap().last().map(String::as_str), Some(name));
        }
    }
}

/// An explicit key (YAML 1.2.2, 8.2.2) may be empty, and its value stand on the next line.
#[test]
fn yaml_with_explicit_keys() {
    let text = "servers:\n- name: a\n  ? \n  command: x";
    let edits = [
        put_server(text, Yaml, "a", &json!({ "command": "y" })),
        put_server(text, Yaml, "b", &json!({ "command": "y" })),
        remove_server(text, Yaml, "a"),
        set_enabled(text, Yaml, "a", false),
    ];
    let outcomes = edits.map(|edited| edited.unwrap_or_else(|error| format!("refused: {error}")));
    insta::assert_snapshot!(outcomes.join("\n---\n"), @r#"
    servers:
    - { name: a, command: "y" }
    ---
    servers:
    - name: a
      ? 
      command: x
    - name: b
      command: "y"
    ---
    servers:
    ---
    servers:
    - name: a
      ? 
      command: x
      enabled: false
    "#);
}
