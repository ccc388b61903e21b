//! Questions to the client: what a script says of them, which capabilities they need, which answers fit.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::node::{Entry, Kind, Node};
use super::problems::Problems;

/// One `ask` step: questions that are put at once.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) questions: Vec<Question>,
    /// Whether the steps go on only when everything is answered.
    pub(super) wait: bool,
    pub(super) state: AskState,
    /// What the interim result calls itself, where that is to be wrong.
    pub(super) result_type: Option<String>,
    /// Whether the retry of a modern client is examined.
    pub(super) check: bool,
}

/// One question. Its texts are templates.
#[derive(Clone, Debug)]
pub(super) struct Question {
    /// Names the question in `inputRequests`.
    pub(super) key: String,
    pub(super) method: String,
    pub(super) params: Option<Value>,
    /// The name under which later steps find the answer.
    pub(super) save: Option<String>,
}

/// Whether the interim result carries a `requestState`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum AskState {
    /// One that the mock makes up, or this template.
    Sent(Option<String>),
    Absent,
    /// The state alone, without questions: the client is to come again.
    Alone,
}

const KEYS: &[&str] = &["method", "params", "save", "wait", "key", "all", "state", "result_type", "check"];

/// Reads the value of `ask`.
pub(super) fn ask(node: &Node, problems: &mut Problems) -> Option<Ask> {
    let mut ask = Ask {
        questions: Vec::new(),
        wait: true,
        state: AskState::Sent(None),
        result_type: None,
        check: true,
    };
    if let Kind::Scalar { text, .. } = &node.kind {
        ask.questions.push(Question { key: "ask".into(), method: text.clone(), params: None, save: None });
        return Some(ask);
    }
    for entry in problems.map(node) {
        let value = &entry.value;
        match entry.key.as_str() {
            "method" | "params" | "save" | "key" => {}
            "all" => ask.questions = all(value, problems),
            "wait" => ask.wait = problems.flag(value).unwrap_or(true),
            "check" => ask.check = problems.flag(value).unwrap_or(true),
            "result_type" => ask.result_type = problems.text(value),
            "state" => ask.state = state(value, problems),
            _ => problems.unknown(entry, KEYS),
        }
    }
    if node.member("all").is_none() && ask.state != AskState::Alone {
        ask.questions.push(question(node, "ask", problems)?);
    }
    Some(ask)
}

fn state(node: &Node, problems: &mut Problems) -> AskState {
    match &node.kind {
        Kind::Scalar { text, plain: true } if text == "true" => AskState::Sent(None),
        Kind::Scalar { text, plain: true } if text == "false" => AskState::Absent,
        Kind::Scalar { text, plain: true } if text == "alone" => AskState::Alone,
        _ => AskState::Sent(problems.text(node)),
    }
}

/// Several questions by key; each answer is saved under its key.
fn all(node: &Node, problems: &mut Problems) -> Vec<Question> {
    let mut questions = Vec::new();
    for Entry { key, value, .. } in problems.map(node) {
        if let Kind::Map(entries) = &value.kind {
            for entry in entries.iter().filter(|entry| !["method", "params"].contains(&entry.key.as_str())) {
                problems.unknown(entry, &["method", "params"]);
            }
        }
        if let Some(mut question) = question(value, key, problems) {
            question.save = Some(key.clone());
            questions.push(question);
        }
    }
    questions
}

fn question(node: &Node, key: &str, problems: &mut Problems) -> Option<Question> {
    if let Kind::Scalar { text, .. } = &node.kind {
        return Some(Question { key: key.to_owned(), method: text.clone(), params: None, save: None });
    }
    let mut text = |member: &str| node.member(member).and_then(|node| problems.text(node));
    let (method, save, own_key) = (text("method"), text("save"), text("key"));
    let Some(method) = method else {
        if node.member("method").is_none() {
            problems.add(node.place, "`method` is missing");
        }
        return None;
    };
    let key = own_key.or_else(|| save.clone()).unwrap_or_else(|| key.to_owned());
    Some(Question { key, method, params: node.member("params").map(Node::to_json), save })
}

/// The client capability that a question needs.
pub(super) fn needs(method: &str, params: Option<&Value>) -> Value {
    let member = |name: &str| params.and_then(|params| params.get(name));
    match method {
        "elicitation/create" if member("mode").is_some_and(|mode| mode == "url") => {
            json!({"elicitation": {"url": {}}})
        }
        "elicitation/create" => json!({"elicitation": {"form": {}}}),
        "sampling/createMessage" if member("tools").or(member("toolChoice")).is_some() => {
            json!({"sampling": {"tools": {}}})
        }
        "sampling/createMessage" => json!({"sampling": {}}),
        "roots/list" => json!({"roots": {}}),
        _ => json!({}),
    }
}

/// What is wrong with an answer to a question of this method, if anything.
pub(super) fn wrong_answer(method: &str, answer: &Value) -> Option<String> {
    let Value::Object(answer) = answer else {
        return Some("it is no object".into());
    };
    let text = |key: &str| answer.get(key).is_some_and(Value::is_string);
    match method {
        "elicitation/create" => {
            let action = answer.get("action").and_then(Value::as_str);
            let known = matches!(action, Some("accept" | "decline" | "cancel"));
            (!known).then(|| "its `action` is none of accept, decline, cancel".into())
        }
        "sampling/createMessage" => {
            let whole = text("role") && text("model") && answer.contains_key("content");
            (!whole).then(|| "it lacks `role`, `content` or `model`".into())
        }
        "roots/list" => {
            let list = answer.get("roots").is_some_and(Value::is_array);
            (!list).then(|| "it has no list `roots`".into())
        }
        _ => None,
    }
}

/// A question as the request that it is, still a template.
pub(super) fn request_of(question: &Question) -> Value {
    let mut request = Map::new();
    request.insert("method".into(), json!(question.method));
    if let Some(params) = &question.params {
        request.insert("params".into(), params.clone());
    }
    Value::Object(request)
}

/// The questions as `inputRequests`, still templates.
pub(super) fn input_requests(questions: &[Question]) -> Value {
    Value::Object(questions.iter().map(|question| (question.key.clone(), request_of(question))).collect())
}

/// A page that somebody must visit before a call can be served.
#[derive(Clone, Debug)]
pub(super) struct UrlRequired {
    /// Who visits: a call that makes the same text of this is let through the second time. A template.
    pub(super) id: String,
    /// The params of the question, templates.
    pub(super) params: Map<String, Value>,
    /// Whether nobody is ever let through.
    pub(super) always: bool,
    /// When an older client is told that the visit is complete.
    pub(super) complete: Option<Duration>,
}

/// Reads the value of `url_required`.
pub(super) fn url_required(node: &Node, problems: &mut Problems) -> Option<UrlRequired> {
    let mut wanted = UrlRequired { id: String::new(), params: Map::new(), always: false, complete: None };
    let mut params = Map::new();
    params.insert("mode".into(), json!("url"));
    params.insert("url".into(), Value::Null);
    params.insert("message".into(), json!("Please visit this page."));
    for entry in problems.map(node) {
        let value = &entry.value;
        match entry.key.as_str() {
            "url" | "message" => {
                let text = problems.text(value)?;
                params.insert(entry.key.clone(), json!(text));
            }
            "id" => wanted.id = problems.text(value)?,
            "always" => wanted.always = problems.flag(value).unwrap_or(false),
            "complete" => wanted.complete = problems.duration(value),
            _ => problems.unknown(entry, &["url", "message", "id", "always", "complete"]),
        }
    }
    let Some(url) = params.get("url").and_then(Value::as_str) else {
        problems.add(node.place, "`url` is missing");
        return None;
    };
    if wanted.id.is_empty() {
        url.clone_into(&mut wanted.id);
    }
    wanted.params = params;
    Some(wanted)
}

impl Ask {
    /// The question that sends somebody to a page.
    pub(super) fn of_url(params: Value) -> Self {
        let method = "elicitation/create".to_owned();
        let question = Question { key: "url".into(), method, params: Some(params), save: None };
        Self {
            questions: vec![question],
            wait: true,
            state: AskState::Sent(None),
            result_type: None,
            check: true,
        }
    }
}
