//! The JSON Schema, the examples, and whatever else text can hold.

use super::*;

fn examples() -> Vec<std::path::PathBuf> {
    let mut paths: Vec<_> =
        std::fs::read_dir("examples/config").unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 5);
    paths
}

#[test]
fn the_examples_load_without_errors() {
    let environment = environment(&[("HOME", "/home/me")]);
    for path in examples() {
        let loaded = load(&locate(Some(&path), &environment), &environment);
        assert!(!loaded.has_errors(), "{path:?}: {:#?}", lines(&loaded));
        assert!(loaded.config.ready().count() > 0, "{path:?}");
        let planned = ["everything.yaml", "proxy.yaml"].iter().any(|name| path.ends_with(name));
        assert!(planned || loaded.problems.is_empty(), "{path:?}: {:#?}", lines(&loaded));
        assert!(loaded.problems.iter().all(|problem| problem.code == Code::ConfigNotInForce), "{path:?}");
    }
}

#[test]
fn the_schema_accepts_the_examples_and_refuses_mistakes() {
    let schema = json_schema();
    let validator = jsonschema::validator_for(&schema).unwrap();
    for path in examples() {
        let syntax = Syntax::of_extension(path.extension().unwrap().to_str().unwrap()).unwrap();
        let tree = super::tree::parse(&std::fs::read_to_string(&path).unwrap(), syntax).unwrap().to_json();
        let tree = without_nulls(tree);
        let errors: Vec<String> = validator.iter_errors(&tree).map(|error| error.to_string()).collect();
        assert_eq!(errors, [] as [String; 0], "{path:?}");
    }
    for wrong in [
        serde_json::json!({ "servers": { "a": { "comand": "x" } } }),
        serde_json::json!({ "servers": { "a": { "command": "x", "timeouts": { "call": 60 } } } }),
        serde_json::json!({ "expose": { "max_name": 5 } }),
    ] {
        assert!(!validator.is_valid(&wrong), "{wrong}");
    }
}

/// `otlp: null` says nothing, and the schema need not allow it.
fn without_nulls(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::Object(members) => members
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key, without_nulls(value)))
            .collect(),
        Value::Array(elements) => elements.into_iter().map(without_nulls).collect(),
        other => other,
    }
}

/// The schema and the checker agree about single values, whatever the shape.
#[test]
fn every_key_of_the_tables_is_in_the_schema() {
    fn walk(table: &super::shape::Table, schema: &serde_json::Value) {
        for key in table.keys() {
            for name in std::iter::once(&key.name).chain(key.aliases) {
                assert!(schema["properties"].get(name).is_some(), "{name} is not in the schema");
            }
            if let super::shape::Shape::Table(below) = key.shape {
                walk(below, &schema["properties"][key.name]);
            }
        }
    }
    let schema = json_schema();
    walk(&super::keys::ROOT, &schema);
    walk(&super::keys::SERVER, &schema["$defs"]["server"]);
}

#[test]
fn no_name_means_two_keys() {
    for table in [&super::keys::ROOT, &super::keys::SERVER, &super::keys::DEFAULTS, &super::keys::MISSION] {
        let mut seen = std::collections::HashSet::new();
        for key in table.keys() {
            for name in std::iter::once(&key.name).chain(key.aliases) {
                assert!(seen.insert(*name), "{name} stands twice");
            }
        }
    }
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever stands in the file, loading and rendering give an answer.
        #[test]
        fn any_text_loads(text in "(\\PC|\n|\t|[{}\\[\\]:,\"'&*#$-]){0,200}") {
            for syntax in [Syntax::Json, Syntax::Yaml, Syntax::Toml] {
                for problem in load_in(&text, syntax, &[]).problems {
                    problem.render(false);
                    problem.one_line();
                }
            }
        }

        /// The same, with texts that are almost a config.
        #[test]
        fn any_entry_loads(key in "[a-z_]{1,8}|command|args|env|timeouts|tools|prefix|type|url", value in "\\PC{0,12}|[0-9]{1,5}|\\[\\]|\\{\\}|\\$\\{[A-Z]*[:}-]{0,3}") {
            let text = format!("servers:\n  a:\n    command: x\n    {key}: {value}\n  b: {{ command: y }}\n");
            let loaded = load_in(&text, Syntax::Yaml, &[]);
            for problem in &loaded.problems {
                problem.render(false);
            }
            let is_tree = loaded.problems.iter().all(|problem| problem.code != Code::ConfigSyntax);
            prop_assert!(!is_tree || state(&loaded, "b") == "ready");
        }
    }
}
