//! Configs of any shape: every comment survives, every other value is what it was, and what was put in can be taken out
//! without a trace.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::{put_server, remove_server, server_names, set_enabled};
use crate::config::Syntax;
use crate::config::tree::{self, Node};

/// How a generated text is laid out.
#[derive(Clone, Debug)]
struct Manner {
    newline: &'static str,
    indent: usize,
    tabs: bool,
    /// Comments at some of the places where one may stand.
    comments: u64,
    /// Empty lines between entries.
    gaps: bool,
    /// The servers between brackets, on one line each.
    brackets: bool,
    /// A comma behind the last.
    trailing: bool,
    section: &'static str,
    before: bool,
    after: bool,
    ends: bool,
}

fn manner() -> impl Strategy<Value = Manner> {
    let layout = (prop_oneof![Just("\n"), Just("\r\n")], 1..5_usize, any::<bool>(), any::<u64>());
    let flags = (any::<[bool; 6]>(), prop_oneof![Just("servers"), Just("mcpServers")]);
    (layout, flags).prop_map(|((newline, indent, tabs, comments), (flags, section))| {
        let [gaps, brackets, trailing, before, after, ends] = flags;
        Manner { newline, indent, tabs, comments, gaps, brackets, trailing, section, before, after, ends }
    })
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{1,8}",
        "[ -~]{0,12}",
        "\\PC{0,6}",
        Just("# no // comment".to_owned()),
        Just("a: {b, [c".to_owned())
    ]
}

fn an_entry() -> impl Strategy<Value = Value> {
    let env = proptest::collection::btree_map("[A-Z_]{1,6}", text(), 0..3);
    (text(), proptest::collection::vec(text(), 0..4), env, any::<Option<bool>>(), any::<Option<u16>>())
        .prop_map(|(command, args, env, enabled, replicas)| {
            let mut entry = json!({"command": command, "args": args});
            if !env.is_empty() {
                entry["env"] = json!(env);
            }
            if let Some(enabled) = enabled {
                entry["enabled"] = json!(enabled);
            }
            if let Some(replicas) = replicas {
                entry["replicas"] = json!(replicas);
            }
            entry
        })
}

fn entries() -> impl Strategy<Value = Vec<(String, Value)>> {
    proptest::collection::vec(("[a-z][a-z0-9-]{0,6}", an_entry()), 0..5).prop_map(|mut entries| {
        entries.sort_by(|one, other| one.0.cmp(&other.0));
        entries.dedup_by(|one, other| one.0 == other.0);
        entries
    })
}

/// Writes configs as people do.
struct Writer {
    manner: Manner,
    syntax: Syntax,
    lines: Vec<String>,
    /// How many places for comments were passed, and how many of them have one.
    places: u32,
    comments: usize,
}

impl Writer {
    fn indent(&self, depth: usize) -> String {
        match self.manner.tabs && self.syntax == Syntax::Json {
            true => "\t".repeat(depth),
            false => " ".repeat(self.manner.indent * depth),
        }
    }

    /// A comment for this place, perhaps.
    fn comment(&mut self) -> Option<String> {
        self.places += 1;
        if self.manner.comments.rotate_right(self.places) & 3 != 0 {
            return None;
        }
        self.comments += 1;
        let mark = if self.syntax == Syntax::Json { "//" } else { "#" };
        Some(format!("{mark} comment {} \" {{ , }} ü", self.comments))
    }

    fn line(&mut self, depth: usize, text: &str) {
        if let Some(comment) = self.comment() {
            self.lines.push(format!("{}{comment}", self.indent(depth)));
        }
        let behind = self.comment().map(|comment| format!("  {comment}")).unwrap_or_default();
        self.lines.push(format!("{}{text}{behind}", self.indent(depth)));
    }

    fn gap(&mut self) {
        if self.manner.gaps {
            self.lines.push(String::new());
        }
    }

    fn value(&self, value: &Value) -> String {
        super::super::render::one_line(value, self.syntax)
    }

    fn json(&mut self, entries: &[(String, Value)]) {
        self.line(0, "{");
        if self.manner.before {
            self.line(1, "\"expose\": { \"max_name\": 40 },");
        }
        let section = format!("\"{}\": {{", self.manner.section);
        self.line(1, &section);
        for (index, (name, entry)) in entries.iter().enumerate() {
            let comma = if index + 1 < entries.len() || self.manner.trailing { "," } else { "" };
            if self.manner.brackets {
                let line = format!("\"{name}\": {}{comma}", self.value(entry));
                self.line(2, &line);
                continue;
            }
            self.line(2, &format!("\"{name}\": {{"));
            let members: Vec<_> = entry.as_object().unwrap().iter().collect();
            for (index, (key, value)) in members.iter().enumerate() {
                let comma = if index + 1 < members.len() || self.manner.trailing { "," } else { "" };
                let line = format!("\"{key}\": {}{comma}", self.value(value));
                self.line(3, &line);
            }
            self.line(2, &format!("}}{comma}"));
            self.gap();
        }
        let comma = if self.manner.after { "," } else { "" };
        self.line(1, &format!("}}{comma}"));
        if self.manner.after {
            self.line(1, "\"defaults\": { \"start\": \"eager\" }");
        }
        self.line(0, "}");
    }

    fn yaml(&mut self, entries: &[(String, Value)]) {
        if self.manner.before {
            self.line(0, "expose: { max_name: 40 }");
        }
        let section = format!("{}:", self.manner.section);
        self.line(0, &section);
        for (name, entry) in entries {
            if self.manner.brackets {
                let line = format!("{name}: {}", self.value(entry));
                self.line(1, &line);
                continue;
            }
            self.line(1, &format!("{name}:"));
            for (key, value) in entry.as_object().unwrap() {
                match value {
                    Value::Array(elements) if self.manner.trailing && !elements.is_empty() => {
                        self.line(2, &format!("{key}:"));
                        for element in elements {
                            let line = format!("- {}", self.value(element));
                            self.line(3, &line);
                        }
                    }
                    Value::Object(members) => {
                        self.line(2, &format!("{key}:"));
                        for (key, value) in members {
                            let line = format!("{key}: {}", self.value(value));
                            self.line(3, &line);
                        }
                    }
                    _ => {
                        let line = format!("{key}: {}", self.value(value));
                        self.line(2, &line);
                    }
                }
            }
            self.gap();
        }
        if self.manner.after {
            self.line(0, "defaults: { start: eager }");
        }
    }

    fn toml(&mut self, entries: &[(String, Value)]) {
        if self.manner.before {
            self.line(0, "expose = { max_name = 40 }");
        }
        if self.manner.brackets {
            let section = format!("[{}]", self.manner.section);
            self.line(0, &section);
        }
        for (name, entry) in entries {
            if self.manner.brackets {
                let line = format!("{name} = {}", self.value(entry));
                self.line(0, &line);
                continue;
            }
            let header = format!("[{}.{name}]", self.manner.section);
            self.line(0, &header);
            let (tables, values): (Vec<_>, Vec<_>) = entry
                .as_object()
                .unwrap()
                .iter()
                .partition(|(_, value)| value.is_object() && self.manner.trailing);
            for (key, value) in values {
                let line = format!("{key} = {}", self.value(value));
                self.line(1, &line);
            }
            for (key, table) in tables {
                let header = format!("[{}.{name}.{key}]", self.manner.section);
                self.line(0, &header);
                for (key, value) in table.as_object().unwrap() {
                    let line = format!("{key} = {}", self.value(value));
                    self.line(1, &line);
                }
            }
            self.gap();
        }
        if self.manner.after {
            self.line(0, "[defaults]");
            self.line(1, "start = \"eager\"");
        }
    }
}

fn write(manner: &Manner, syntax: Syntax, entries: &[(String, Value)]) -> (String, usize) {
    let mut writer = Writer { manner: manner.clone(), syntax, lines: Vec::new(), places: 0, comments: 0 };
    match syntax {
        Syntax::Json => writer.json(entries),
        Syntax::Yaml => writer.yaml(entries),
        Syntax::Toml => writer.toml(entries),
    }
    let mut text = writer.lines.join(manner.newline);
    if manner.ends {
        text.push_str(manner.newline);
    }
    (text, writer.comments)
}

/// The comments of a text that are left, in their order.
fn comments(text: &str) -> Vec<usize> {
    let numbers = text.match_indices(" comment ").filter_map(|(at, it)| {
        text[at + it.len()..].split(' ').next().and_then(|number| number.parse().ok())
    });
    numbers.collect()
}

fn tree(text: &str, syntax: Syntax) -> Value {
    tree::parse(text, syntax).as_ref().map(Node::to_json).unwrap_or_else(|error| panic!("{text}\n{error:?}"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn putting_and_removing(
        manner in manner(), entries in entries(), new in an_entry(), changed in an_entry(), at in any::<prop::sample::Index>(),
        syntax in prop_oneof![Just(Syntax::Json), Just(Syntax::Yaml), Just(Syntax::Toml)],
    ) {
        let (text, count) = write(&manner, syntax, &entries);
        let all: Vec<usize> = (1..=count).collect();
        prop_assert_eq!(comments(&text), all.clone());
        let before = tree(&text, syntax);

        let put = put_server(&text, syntax, "NEW", &new).unwrap();
        prop_assert_eq!(comments(&put), all.clone(), "{}", put);
        let mut expected = before.clone();
        let section = server_section(&mut expected, syntax, manner.section);
        section["NEW"] = new;
        prop_assert_eq!(tree(&put, syntax), expected);
        let mut names: Vec<String> = entries.iter().map(|(name, _)| name.clone()).collect();
        names.push("NEW".to_owned());
        prop_assert_eq!(server_names(&put, syntax).unwrap(), names.clone());

        let left = remove_server(&put, syntax, "NEW").unwrap();
        prop_assert_eq!(comments(&left), all.clone(), "{}", left);
        if entries.is_empty() {
            names.pop();
            prop_assert_eq!(server_names(&left, syntax).unwrap(), names);
            return Ok(());
        }
        prop_assert_eq!(&left, &text, "\n--- before\n{}\n--- after\n{}", text, left);

        let (name, entry) = at.get(&entries);
        let put = put_server(&text, syntax, name, &changed).unwrap();
        prop_assert_eq!(&tree(&put, syntax)[section_key(&put, syntax, manner.section)][name], &changed);
        let left = comments(&put);
        let outside = comments(&remove_server(&text, syntax, name).unwrap());
        prop_assert!(outside.iter().all(|comment| left.contains(comment)), "{}", put);
        let back = put_server(&put, syntax, name, entry).unwrap();
        prop_assert_eq!(tree(&back, syntax), before.clone());
        let off = set_enabled(&text, syntax, name, false).unwrap();
        prop_assert_eq!(comments(&off), all);
        prop_assert_eq!(&tree(&off, syntax)[manner.section][name]["enabled"], &json!(false));
    }
}

/// The servers of a tree, where an edit puts them.
fn server_section<'a>(root: &'a mut Value, syntax: Syntax, section: &str) -> &'a mut Value {
    let key = match root.get(section) {
        None if syntax == Syntax::Toml => "servers",
        _ => section,
    };
    if root.get(key).is_none_or(Value::is_null) {
        root[key] = json!({});
    }
    &mut root[key]
}

fn section_key<'a>(text: &str, syntax: Syntax, section: &'a str) -> &'a str {
    if tree(text, syntax).get(section).is_some() { section } else { "servers" }
}

/// Pieces of which texts of all syntaxes are made, in any order.
fn pieces() -> impl Strategy<Value = String> {
    const PIECES: [&str; 44] = [
        "servers",
        "mcpServers",
        "proxy",
        "a",
        "b",
        "name",
        "command",
        ":",
        ": ",
        "=",
        "{",
        "}",
        "[",
        "]",
        ",",
        "\n",
        "\n",
        "\n  ",
        "\n    ",
        "\r\n",
        "- ",
        "# c",
        "// c",
        "/* c */",
        "\"",
        "'",
        "&x ",
        "*x",
        "!!str ",
        "? ",
        "|",
        ">-",
        "|+\n",
        "---",
        "...",
        "null",
        "~",
        "1",
        "true",
        "ü",
        "\t",
        " ",
        "[[servers]]\n",
        "[servers.a]\n",
    ];
    proptest::collection::vec(proptest::sample::select(PIECES.to_vec()), 0..40)
        .prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    #[test]
    fn no_text_is_too_odd(text in pieces(), syntax in prop_oneof![Just(Syntax::Json), Just(Syntax::Yaml), Just(Syntax::Toml)]) {
        // Whatever comes out means what it should: that is looked at within. Here it only has to come back.
        for start in ["", "servers:\n  a: 1\n  b:", "servers: {a: {}", "{\"servers\": {\"a\": {}", "[servers.a]\n", "servers:\n- name: a\n  "] {
            let text = format!("{start}{text}");
            let put = put_server(&text, syntax, "a", &json!({"command": "x", "env": {"A": "b"}}));
            let _ = put.and_then(|text| remove_server(&text, syntax, "a"));
            let _ = put_server(&text, syntax, "new", &json!({"command": "x"}));
            let _ = remove_server(&text, syntax, "b");
            let _ = set_enabled(&text, syntax, "a", false);
        }
    }
}
