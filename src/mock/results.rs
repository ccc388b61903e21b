//! The shapes of results: what a short answer becomes for a tool, a prompt and a resource.

use serde_json::{Map, Value, json};

use super::step::Answer;
use super::steps::Moment;

/// What an item answers that says nothing of its own.
pub(super) fn default_answer(moment: Moment) -> Answer {
    let text = |text: &str| Value::String(text.to_owned());
    Answer::Result(match moment {
        Moment::Prompt => prompt_result(text("Mock prompt: {{mock.target}}")),
        Moment::Resource => resource_result(text("Mock resource: {{mock.target}}")),
        _ => tool_result(text("Mock result: {{input}}"), false, None),
    })
}

pub(super) fn prompt_result(answer: Value) -> Value {
    json!({"messages": messages(answer)})
}

pub(super) fn resource_result(answer: Value) -> Value {
    json!({"contents": [{"uri": "{{mock.target}}", "mimeType": "text/plain", "text": answer}]})
}

pub(super) fn tool_result(answer: Value, is_error: bool, structured: Option<Value>) -> Value {
    let content = match answer {
        Value::Array(items) => items.into_iter().map(text_item).collect(),
        answer => vec![text_item(answer)],
    };
    let mut result = Map::new();
    result.insert("content".into(), Value::Array(content));
    if let Some(structured) = structured {
        result.insert("structuredContent".into(), structured);
    }
    if is_error {
        result.insert("isError".into(), Value::Bool(true));
    }
    Value::Object(result)
}

fn text_item(item: Value) -> Value {
    match item {
        Value::String(text) => json!({"type": "text", "text": text}),
        other => other,
    }
}

/// Prompt messages: a text is said by the user, `{assistant: text}` by the assistant, anything else stands as it is.
fn messages(answer: Value) -> Vec<Value> {
    let said = |role: &str, text: Value| json!({"role": role, "content": text_item(text)});
    let items = match answer {
        Value::Array(items) => items,
        other => vec![other],
    };
    let message = |item: Value| match item {
        Value::Object(mut members) if members.len() == 1 => {
            let role = ["user", "assistant"].into_iter().find(|role| members.contains_key(*role));
            match role.and_then(|role| Some((role, members.shift_remove(role)?))) {
                Some((role, text)) => said(role, text),
                None => Value::Object(members),
            }
        }
        Value::String(text) => said("user", Value::String(text)),
        other => other,
    };
    items.into_iter().map(message).collect()
}
