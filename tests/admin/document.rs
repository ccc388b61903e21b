//! Answers are compared with the OpenAPI document: the status must be described, and the body must fit its schema.

use serde_json::{Value, json};

use crate::client::Answer;

pub(crate) fn document() -> Value {
    serde_json::from_str(include_str!("../../src/admin/openapi.json")).unwrap()
}

/// Fails if the answer to a request is not one that the document describes. What is at no path of it is not looked at.
#[track_caller]
pub(crate) fn check(method: &str, target: &str, answer: &Answer) {
    let document = document();
    let path = target.split('?').next().unwrap();
    let described = document["paths"].as_object().unwrap().iter().find(|(pattern, _)| fits(pattern, path));
    let Some(operation) = described.and_then(|(_, item)| item.get(method.to_lowercase())) else { return };
    let status = answer.status.to_string();
    let response = &operation["responses"][&status];
    assert!(!response.is_null(), "{method} {target} is not described to answer {status}: {}", answer.body);
    let response = match response["$ref"].as_str() {
        Some(reference) => document.pointer(reference.trim_start_matches('#')).unwrap(),
        None => response,
    };
    let kind = answer.header("content-type").unwrap_or_default().split(';').next().unwrap().trim();
    let content = &response["content"][kind];
    assert!(!content.is_null(), "{method} {target} is not described to answer {kind}");
    if kind == "application/json" {
        let mut schema = content["schema"].clone();
        schema["components"] = document["components"].clone();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let body = answer.json();
        let errors: Vec<String> =
            validator.iter_errors(&body).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(errors.is_empty(), "{method} {target}: {errors:#?} in {body:#}");
    }
}

/// A pattern such as `/a/{b}` and a path.
fn fits(pattern: &str, path: &str) -> bool {
    let (pattern, path): (Vec<&str>, Vec<&str>) = (pattern.split('/').collect(), path.split('/').collect());
    pattern.len() == path.len()
        && pattern.iter().zip(&path).all(|(pattern, part)| pattern.starts_with('{') || pattern == part)
}

#[test]
fn the_document_is_sound() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        let mut schema = schema.clone();
        schema["components"] = document["components"].clone();
        assert!(jsonschema::validator_for(&schema).is_ok(), "{name}");
    }
    let ids =
        document["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap().values());
    let mut ids: Vec<&str> = ids.filter_map(|operation| operation.get("operationId")?.as_str()).collect();
    ids.sort_unstable();
    let count = ids.len();
    ids.dedup();
    assert_eq!(ids.len(), count);
    assert_eq!(document["security"], json!([{ "token": [] }]));
}
