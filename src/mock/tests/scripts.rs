//! Reading scripts: what a user who made a mistake gets to read.

use super::*;

#[track_caller]
fn check(script: &str, expected: &[&str]) {
    let error = parse(script).expect_err("the script is wrong");
    assert_eq!(error.to_string().lines().collect::<Vec<_>>(), expected, "{script}");
}

#[test]
fn every_problem_has_its_place() {
    check(
        "tools:\n  echo:\n    anwser: hi\n    delay: soon\n  t: { error: { code: 1 }, hang: false }\nsevrer: {}\n",
        &[
            "line 3, column 5: unknown key `anwser`; did you mean `answer`?",
            "line 4, column 12: expected a duration such as `100ms` or `2s`, found `soon`",
            "line 5, column 34: expected `true`, found `false`",
            "line 6, column 1: unknown key `sevrer`; did you mean `server`?",
        ],
    );
}

#[test]
fn steps_know_where_they_may_stand() {
    check(
        "on:\n  start: { answer: hi }\n  initialize: { answer: hi }\n  term: { default: true }\n  bye: { exit: 1 }\n",
        &[
            "line 2, column 12: `answer` cannot stand here: there is no request to answer",
            "line 3, column 17: `answer` has no meaning here; use `result:` with the result object",
            "line 4, column 11: there is no request to answer here",
            "line 5, column 3: unknown key `bye`; known here: start, first, initialize, initialized, cancelled, list, call, \
             ping, unknown, eof, term, int, hup",
        ],
    );
}

#[test]
fn values_are_checked() {
    check(
        "tools: { t: { answer: { text: x } } }",
        &["line 1, column 23: an answer is a text or a list; use `result:` for a whole result object"],
    );
    check("tools: [ { description: x } ]", &["line 1, column 10: `name` is missing"]);
    check(
        "tools: { t: { steps: [ hung ] } }",
        &["line 1, column 24: unknown key `hung`; did you mean `hang`?"],
    );
    check(
        "tools: { t: { crash: SIGFOO } }",
        &[
            "line 1, column 22: expected one of `SIGKILL`, `SIGSEGV`, `SIGABRT`, `SIGBUS`, `SIGTERM`, `SIGINT`, `SIGHUP`, found `SIGFOO`",
        ],
    );
    check("tools: { t: { raw: { hex: f } } }", &["line 1, column 27: expected bytes such as `ff fe`"]);
    check("pages: 0", &["line 1, column 8: a page holds at least one item"]);
    check("tools: 5", &["line 1, column 8: expected a mapping, found `5`"]);
    check(
        "tools: { t: { ask: {} , repeat: {} } }",
        &["line 1, column 20: `method` is missing", "line 1, column 33: `times` is missing"],
    );
    check(
        "runs: []\n---\n{}",
        &["line 2, column 1: a script is one YAML document, a second one starts here"],
    );
    check("runs: [{}]", &["line 1, column 1: `runs` needs `state`, the file that counts the starts"]);
}

#[test]
fn broken_yaml_has_a_place() {
    let error = parse("tools: {\n  t: [1, 2\n").unwrap_err();
    assert!(error.problems[0].place.line >= 2, "{error}");
    let error = parse("tools:\n\t- x\n").unwrap_err();
    assert_eq!(error.problems[0].place.line, 2, "{error}");
}

#[test]
fn an_overlay_s_problems_are_told_once() {
    let error = parse("state: s\ntools: { t: { x: 1 } }\nruns: [{}, {}]").unwrap_err().to_string();
    assert!(error.starts_with("line 2, column 15: unknown key `x`; known here: input_schema, "), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
}

#[test]
fn a_file_s_problems_name_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad.yaml");
    let missing = load(&path).unwrap_err();
    assert_eq!(missing.code, Code::MockScript);
    assert!(missing.cause.contains("bad.yaml"), "{missing}");
    std::fs::write(&path, "tool: {}\n").unwrap();
    let wrong = load(&path).unwrap_err();
    assert_eq!(wrong.cause, format!("{}:1:1: unknown key `tool`; did you mean `tools`?", path.display()));
    std::fs::write(&path, r#"{"tools": {"t": {"answer": "JSON works too"}}}"#).unwrap();
    load(&path).unwrap();
}
