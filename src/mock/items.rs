//! Reads tools, prompts, resources and resource templates: a definition and what a call does.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::node::{Entry, Kind, Node};
use super::problems::Problems;
use super::results::default_answer;
use super::script::{Item, TaskPlan};
use super::step::{Answer, Reaction};
use super::steps::{Moment, STEP_KEYS, reaction, reaction_of, settle};

/// Reads a map of items by name, or a list of items that carry their name under `key`.
pub(super) fn items(node: &Node, key: &'static str, moment: Moment, problems: &mut Problems) -> Vec<Item> {
    let mut all = Vec::new();
    match &node.kind {
        Kind::List(list) => {
            for node in list {
                match (&node.kind, node.member(key)) {
                    (Kind::Scalar { text, .. }, _) => {
                        let nothing = Node { place: node.place, kind: Kind::Null };
                        all.extend(item(text.clone(), &nothing, moment, problems));
                    }
                    (_, Some(name)) => {
                        let name = problems.text(name).unwrap_or_default();
                        all.extend(item(name, &node.without(key), moment, problems));
                    }
                    (_, None) => problems.add(node.place, format!("`{key}` is missing")),
                }
            }
        }
        _ => {
            for entry in problems.map(node) {
                all.extend(item(entry.key.clone(), &entry.value, moment, problems));
            }
        }
    }
    all
}

/// One item, or several where it is copied.
fn item(name: String, node: &Node, moment: Moment, problems: &mut Problems) -> Vec<Item> {
    // A text alone is the answer.
    let entries = match &node.kind {
        Kind::Scalar { .. } => vec![Entry { key: "answer".into(), place: node.place, value: node.clone() }],
        _ => problems.map(node).to_vec(),
    };
    let mut draft = Draft::new(&name, moment);
    for entry in &entries {
        draft.member(entry, problems);
    }
    let then = reaction_of(&entries, moment, problems);
    draft.finish(name, then)
}

/// Reads `task`.
fn task(node: &Node, problems: &mut Problems) -> TaskPlan {
    let mut plan = TaskPlan::default();
    for entry in problems.map(node) {
        let node = &entry.value;
        match entry.key.as_str() {
            "poll" => plan.poll = problems.duration(node),
            "ttl" => plan.ttl = problems.duration(node),
            "support" => {
                plan.required =
                    problems.choice(node, &[("optional", false), ("required", true)]).unwrap_or_default();
            }
            "asks" => {
                plan.direct =
                    problems.choice(node, &[("result", false), ("direct", true)]).unwrap_or_default();
            }
            _ => problems.unknown(entry, &["poll", "ttl", "support", "asks"]),
        }
    }
    plan
}

/// An item while its members are read.
struct Draft {
    moment: Moment,
    definition: Map<String, Value>,
    extra: Map<String, Value>,
    needs: Option<Value>,
    task: Option<TaskPlan>,
    /// Each with how often it stands.
    calls: Vec<(Reaction, u64)>,
    copies: Option<u64>,
    pad: u64,
    /// What a resource read answers.
    contents: Option<Map<String, Value>>,
    mime_type: Option<String>,
    has_behaviour: bool,
}

impl Draft {
    fn new(name: &str, moment: Moment) -> Self {
        let mut definition = Map::new();
        if moment == Moment::Resource {
            let key = if name.contains('{') { "uriTemplate" } else { "uri" };
            definition.insert(key.into(), json!(name));
        }
        definition.insert("name".into(), json!(name));
        Self {
            moment,
            definition,
            extra: Map::new(),
            needs: None,
            task: None,
            calls: Vec::new(),
            copies: None,
            pad: 0,
            contents: None,
            mime_type: None,
            has_behaviour: false,
        }
    }

    fn known(moment: Moment) -> Vec<&'static str> {
        let own: &[&str] = match moment {
            Moment::Tool => {
                &["input_schema", "inputSchema", "output_schema", "outputSchema", "annotations", "task"]
            }
            Moment::Prompt => &["arguments"],
            _ => &["name", "mime_type", "mimeType", "text", "blob"],
        };
        let shared = ["description", "title", "extra", "needs", "calls", "copies", "pad"];
        own.iter().copied().chain(shared).chain(STEP_KEYS.iter().copied()).collect()
    }

    fn member(&mut self, entry: &Entry, problems: &mut Problems) {
        let node = &entry.value;
        let moment = self.moment;
        match (entry.key.as_str(), moment) {
            ("description" | "title", _) => self.define(&entry.key, node),
            ("extra", _) => self.extra = problems.object(node),
            ("needs", _) => self.needs = Some(Value::Object(problems.object(node))),
            ("calls", _) => {
                for call in problems.list(node) {
                    let times = call.member("times").and_then(|node| problems.number(node)).unwrap_or(1);
                    let reaction = match &call.kind {
                        Kind::Scalar { .. } => {
                            let answer =
                                Entry { key: "answer".into(), place: call.place, value: call.clone() };
                            reaction_of(&[answer], moment, problems)
                        }
                        _ => reaction(&call.without("times"), moment, problems),
                    };
                    self.calls.push((reaction, times.min(100_000)));
                }
            }
            ("copies", _) => self.copies = problems.number(node),
            ("pad", _) => self.pad = problems.size(node).unwrap_or_default(),
            ("input_schema" | "inputSchema", Moment::Tool) => self.define("inputSchema", node),
            ("output_schema" | "outputSchema", Moment::Tool) => self.define("outputSchema", node),
            ("task", Moment::Tool) => self.task = Some(task(node, problems)),
            ("annotations", Moment::Tool) => self.define("annotations", node),
            ("arguments", Moment::Prompt) => {
                let arguments = problems.list(node).iter().map(|argument| match argument.to_json() {
                    Value::String(name) => json!({"name": name}),
                    other => other,
                });
                let arguments = arguments.collect();
                self.definition.insert("arguments".into(), Value::Array(arguments));
            }
            ("name", Moment::Resource) => self.define("name", node),
            ("mime_type" | "mimeType", Moment::Resource) => {
                self.mime_type = problems.text(node);
                self.define("mimeType", node);
            }
            ("text" | "blob", Moment::Resource) => {
                let text = problems.text(node).unwrap_or_default();
                let contents = self.contents.get_or_insert_with(Map::new);
                contents.insert("uri".into(), json!("{{mock.target}}"));
                contents.insert(entry.key.clone(), json!(text));
            }
            (key, _) if STEP_KEYS.contains(&key) => {
                self.has_behaviour |= !matches!(key, "delay" | "sleep" | "is_error" | "progress" | "log");
            }
            _ => problems.unknown(entry, &Self::known(moment)),
        }
    }

    fn define(&mut self, key: &str, node: &Node) {
        self.definition.insert(key.to_owned(), node.to_json());
    }

    /// What the item answers where its steps say nothing of their own.
    fn default_answer(&mut self) -> Answer {
        let Some(mut contents) = self.contents.take() else {
            return default_answer(self.moment);
        };
        if let Some(mime_type) = &self.mime_type {
            contents.insert("mimeType".into(), json!(mime_type));
        }
        Answer::Result(json!({"contents": [contents]}))
    }

    fn finish(mut self, name: String, mut then: Reaction) -> Vec<Item> {
        let default = self.default_answer();
        settle(&mut then.steps, &default);
        let mut calls = Vec::new();
        for (mut reaction, times) in std::mem::take(&mut self.calls) {
            settle(&mut reaction.steps, &default);
            let reaction = Arc::new(reaction);
            calls.extend((0..times).map(|_| Arc::clone(&reaction)));
        }
        if self.moment == Moment::Tool && !self.definition.contains_key("inputSchema") {
            let schema = match self.has_behaviour {
                true => json!({"type": "object"}),
                // The default answer speaks of `input`.
                false => json!({
                    "type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]
                }),
            };
            self.definition.insert("inputSchema".into(), schema);
        }
        if self.pad > 0 {
            let described = self.definition.get("description").and_then(Value::as_str).unwrap_or_default();
            let padded = format!("{described}{}", "x".repeat(self.pad as usize));
            self.definition.insert("description".into(), json!(padded));
        }
        // Null in `extra`, or in a schema, leaves the member out.
        for (key, value) in self.extra {
            self.definition.insert(key, value);
        }
        self.definition.retain(|_, value| !value.is_null());
        let then = Arc::new(then);
        let one = |name: String, definition: Map<String, Value>| Item {
            name,
            definition: Value::Object(definition),
            needs: self.needs.clone(),
            task: self.task.clone(),
            calls: calls.clone(),
            then: Arc::clone(&then),
        };
        match self.copies {
            None => vec![one(name, self.definition)],
            Some(copies) => (1..=copies)
                .map(|copy| {
                    let name = format!("{name}{copy}");
                    let mut definition = self.definition.clone();
                    for key in ["name", "uri"].into_iter().filter(|key| self.definition.contains_key(*key)) {
                        definition.insert(key.into(), json!(name));
                    }
                    one(name, definition)
                })
                .collect(),
        }
    }
}
