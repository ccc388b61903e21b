//! Reads reactions: a list of steps, or one mapping whose members are the steps in the order they are written.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::ask::{ask, url_required};
use super::node::{Entry, Kind, Node};
use super::problems::Problems;
use super::results::{prompt_result, resource_result, tool_result};
use super::script::{List, Signal};
use super::step::{Amount, Answer, Noise, Part, Reaction, Step};

/// What a reaction reacts to; decides what `answer` means and what is added at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    Tool,
    Prompt,
    Resource,
    /// Any other request.
    Request,
    /// A notification, a signal, the start or the end: nothing to answer.
    Event,
}

/// The keys of steps; [`Reader::step`] has an arm for each.
pub(super) const STEP_KEYS: &[&str] = &[
    "answer",
    "answer_again",
    "ask",
    "close_stdin",
    "close_stdout",
    "crash",
    "default",
    "delay",
    "depth",
    "elicitation_complete",
    "end_subscriptions",
    "error",
    "exit",
    "hang",
    "ignore_cancel",
    "is_error",
    "log",
    "noise",
    "notify",
    "progress",
    "raw",
    "repeat",
    "result",
    "set_prompts",
    "set_resources",
    "set_tools",
    "size",
    "sleep",
    "status",
    "stderr",
    "steps",
    "stop_reading",
    "structured",
    "updated",
    "url_required",
    "wait_cancel",
];

/// Reads the members of `entries` that are steps. The other keys are left to the caller, who knows them.
pub(super) fn reaction_of(entries: &[Entry], moment: Moment, problems: &mut Problems) -> Reaction {
    let mut reader = Reader { moment, problems, ignore_cancel: false };
    let steps = reader.entries(entries);
    finish(steps, reader.ignore_cancel, moment)
}

/// Reads a reaction that stands alone, as under `on`.
pub(super) fn reaction(node: &Node, moment: Moment, problems: &mut Problems) -> Reaction {
    let mut reader = Reader { moment, problems, ignore_cancel: false };
    let steps = reader.steps(node);
    finish(steps, reader.ignore_cancel, moment)
}

/// Adds what happens when a request's reaction answers nothing itself: the default answer.
fn finish(mut steps: Vec<Step>, ignore_cancel: bool, moment: Moment) -> Reaction {
    if moment != Moment::Event && !steps.iter().any(is_ending) {
        steps.push(Step::Default);
    }
    let waits = steps.iter().any(waits_for_cancel);
    Reaction { steps, ignore_cancel: ignore_cancel || waits }
}

/// Puts an item's own default answer where its steps ask for the default.
pub(super) fn settle(steps: &mut [Step], default: &Answer) {
    for step in steps {
        match step {
            Step::Default => *step = Step::Answer(default.clone()),
            Step::Repeat { steps, .. } => settle(steps, default),
            _ => {}
        }
    }
}

/// Whether the step answers, or ends the reaction so that no answer is due. Raw bytes on stdout count as an answer,
/// since badly behaved answers are written that way.
fn is_ending(step: &Step) -> bool {
    match step {
        Step::Answer(_) | Step::Default | Step::Exit(_) | Step::Crash(_) | Step::Hang | Step::Raw(_) => true,
        Step::Repeat { steps, .. } => steps.iter().any(is_ending),
        _ => false,
    }
}

fn waits_for_cancel(step: &Step) -> bool {
    match step {
        Step::WaitCancel(_) => true,
        Step::Repeat { steps, .. } => steps.iter().any(waits_for_cancel),
        _ => false,
    }
}

struct Reader<'p> {
    moment: Moment,
    problems: &'p mut Problems,
    ignore_cancel: bool,
}

impl Reader<'_> {
    fn steps(&mut self, node: &Node) -> Vec<Step> {
        match &node.kind {
            Kind::List(items) => items.iter().flat_map(|item| self.steps(item)).collect(),
            Kind::Map(entries) => {
                for entry in entries.iter().filter(|entry| !STEP_KEYS.contains(&entry.key.as_str())) {
                    self.problems.unknown(entry, STEP_KEYS);
                }
                self.entries(entries)
            }
            Kind::Null => Vec::new(),
            // A word alone is a step that is switched on: `hang`, `default`.
            Kind::Scalar { text, .. } => {
                let on = Kind::Scalar { text: "true".into(), plain: true };
                let value = Node { place: node.place, kind: on };
                self.steps(&Node {
                    place: node.place,
                    kind: Kind::Map(vec![Entry { key: text.clone(), place: node.place, value }]),
                })
            }
        }
    }

    fn entries(&mut self, entries: &[Entry]) -> Vec<Step> {
        let mut steps = Vec::new();
        for entry in entries {
            match entry.key.as_str() {
                "steps" => steps.extend(self.steps(&entry.value)),
                "ignore_cancel" => self.ignore_cancel |= self.problems.flag(&entry.value).unwrap_or(false),
                // These two say more about the `answer` beside them.
                "is_error" | "structured" if entries.iter().any(|other| other.key == "answer") => {}
                "answer" | "is_error" => steps.extend(self.answer(entry, entries)),
                "structured" if !entries.iter().any(|other| other.key == "is_error") => {
                    steps.extend(self.answer(entry, entries));
                }
                "structured" => {}
                _ => steps.extend(self.step(entry)),
            }
        }
        steps
    }

    fn step(&mut self, entry: &Entry) -> Option<Step> {
        let node = &entry.value;
        let problems = &mut *self.problems;
        Some(match entry.key.as_str() {
            "delay" | "sleep" => Step::Sleep(problems.duration(node)?),
            "error" => Step::Answer(self.error(entry)?),
            "result" => self.answered(entry, Answer::Result(node.to_json()))?,
            "size" => {
                let bytes = problems.size(node)?;
                let content = self.content(Value::String(format!("{{{{fill {bytes}}}}}")), false, None);
                self.answered(entry, Answer::Result(content))?
            }
            "depth" => {
                let depth = problems.number(node)?;
                let nested =
                    json!({"content": [], "structuredContent": {"nested": format!("{{{{nest {depth}}}}}")}});
                self.answered(entry, Answer::Result(nested))?
            }
            "answer_again" => {
                problems.switch(node)?;
                self.answered(entry, Answer::Again)?
            }
            "default" => {
                problems.switch(node)?;
                if self.moment == Moment::Event {
                    self.problems.add(entry.place, "there is no request to answer here");
                    return None;
                }
                Step::Default
            }
            "progress" => Step::Progress(short(node, "progress")),
            "log" => Step::Log(log_params(node)),
            "notify" => self.notify(node)?,
            "ask" => Step::Ask(Arc::new(ask(node, problems)?)),
            "url_required" => Step::UrlRequired(url_required(node, problems)?),
            "elicitation_complete" => Step::ElicitationComplete(problems.text(node)?),
            "status" => Step::Status(problems.text(node)?),
            "end_subscriptions" => problems.switch(node).map(|()| Step::EndSubscriptions)?,
            "raw" => Step::Raw(self.parts(node)),
            "noise" => Step::Noise(self.noise(node)?),
            "stderr" => Step::Stderr(problems.text(node)?),
            "exit" => Step::Exit(problems.exit_code(node)?),
            "crash" => Step::Crash(problems.choice(node, Signal::NAMES)?),
            "hang" => problems.switch(node).map(|()| Step::Hang)?,
            "close_stdout" => problems.switch(node).map(|()| Step::CloseStdout)?,
            "close_stdin" => problems.switch(node).map(|()| Step::CloseStdin)?,
            "stop_reading" => match &node.kind {
                Kind::Scalar { text, .. } if text == "true" => Step::StopReading(None),
                _ => Step::StopReading(Some(problems.duration(node)?)),
            },
            "set_tools" => Step::Show { list: List::Tools, names: problems.texts(node) },
            "set_prompts" => Step::Show { list: List::Prompts, names: problems.texts(node) },
            "set_resources" => Step::Show { list: List::Resources, names: problems.texts(node) },
            "updated" => Step::Updated(problems.text(node)?),
            "wait_cancel" => Step::WaitCancel(problems.duration(node)?),
            "repeat" => self.repeat(node)?,
            // Other keys belong to what the reaction stands in.
            _ => return None,
        })
    }

    /// The step that sends this answer, unless nobody asked.
    fn answered(&mut self, entry: &Entry, answer: Answer) -> Option<Step> {
        if self.moment == Moment::Event {
            self.problems.add(
                entry.place,
                format!("`{}` cannot stand here: there is no request to answer", entry.key),
            );
            return None;
        }
        Some(Step::Answer(answer))
    }

    fn answer(&mut self, entry: &Entry, siblings: &[Entry]) -> Option<Step> {
        let find =
            |key: &str| siblings.iter().find(|sibling| sibling.key == key).map(|sibling| &sibling.value);
        let answer = find("answer");
        if self.moment == Moment::Request {
            let help = Some("use `result:` with the result object".to_owned());
            self.problems.add_with_help(entry.place, format!("`{}` has no meaning here", entry.key), help);
            return None;
        }
        if let Some(Node { place, kind: Kind::Map(_) }) = answer {
            let help = Some("use `result:` for a whole result object".to_owned());
            self.problems.add_with_help(*place, "an answer is a text or a list", help);
            return None;
        }
        let is_error = find("is_error").is_some_and(|node| self.problems.flag(node).unwrap_or(false));
        let structured = find("structured").map(Node::to_json);
        // A text is a text, whatever it looks like.
        let answer = answer.map(|node| match &node.kind {
            Kind::Scalar { text, .. } => Value::String(text.clone()),
            _ => node.to_json(),
        });
        let answer = match (answer, structured) {
            (Some(answer), structured) => Answer::Result(self.content(answer, is_error, structured)),
            (None, Some(structured)) => Answer::Structured { structured, is_error },
            (None, None) => {
                Answer::Result(tool_result(Value::String("Mock result: {{input}}".into()), is_error, None))
            }
        };
        self.answered(entry, answer)
    }

    /// The result that says `answer` at this moment.
    fn content(&self, answer: Value, is_error: bool, structured: Option<Value>) -> Value {
        match self.moment {
            Moment::Prompt => prompt_result(answer),
            Moment::Resource => resource_result(answer),
            _ => tool_result(answer, is_error, structured),
        }
    }

    fn error(&mut self, entry: &Entry) -> Option<Answer> {
        if self.moment == Moment::Event {
            self.problems.add(entry.place, "`error` cannot stand here: there is no request to answer");
            return None;
        }
        let mut error = Map::new();
        error.insert("code".into(), json!(-32603));
        error.insert("message".into(), json!("Mock error"));
        match &entry.value.kind {
            Kind::Scalar { text, .. } => {
                error.insert("message".into(), Value::String(text.clone()));
            }
            _ => {
                // Any member may be wrong on purpose; null removes one.
                for member in self.problems.map(&entry.value) {
                    match member.value.to_json() {
                        Value::Null if member.key != "data" => {
                            error.shift_remove(&member.key);
                        }
                        value => {
                            error.insert(member.key.clone(), value);
                        }
                    }
                }
            }
        }
        Some(Answer::Error(Value::Object(error)))
    }

    fn notify(&mut self, node: &Node) -> Option<Step> {
        if let Kind::Scalar { text, .. } = &node.kind {
            return Some(Step::Notify { method: text.clone(), params: None });
        }
        let (mut method, mut params) = (None, None);
        for entry in self.problems.map(node) {
            match entry.key.as_str() {
                "method" => method = self.problems.text(&entry.value),
                "params" => params = Some(entry.value.to_json()),
                _ => self.problems.unknown(entry, &["method", "params"]),
            }
        }
        self.need(node, "method", method).map(|method| Step::Notify { method, params })
    }

    fn repeat(&mut self, node: &Node) -> Option<Step> {
        let (mut times, mut every, mut steps) = (None, Duration::ZERO, Vec::new());
        for entry in self.problems.map(node) {
            match entry.key.as_str() {
                "times" => times = self.problems.number(&entry.value),
                "every" => every = self.problems.duration(&entry.value).unwrap_or_default(),
                "steps" => steps = self.steps(&entry.value),
                _ => self.problems.unknown(entry, &["times", "every", "steps"]),
            }
        }
        self.need(node, "times", times).map(|times| Step::Repeat { times, every, steps })
    }

    fn noise(&mut self, node: &Node) -> Option<Noise> {
        let mut noise =
            Noise { text: "noise".into(), amount: Amount::Lines(1), newline: true, to_stderr: false };
        if let Kind::Scalar { text, .. } = &node.kind {
            noise.text.clone_from(text);
            return Some(noise);
        }
        for entry in self.problems.map(node) {
            match entry.key.as_str() {
                "text" => noise.text = self.problems.text(&entry.value)?,
                "lines" => noise.amount = Amount::Lines(self.problems.number(&entry.value)?),
                "size" => noise.amount = Amount::Bytes(self.problems.size(&entry.value)?),
                "newline" => noise.newline = self.problems.flag(&entry.value)?,
                "to" => {
                    noise.to_stderr =
                        self.problems.choice(&entry.value, &[("stdout", false), ("stderr", true)])?
                }
                _ => self.problems.unknown(entry, &["text", "lines", "size", "newline", "to"]),
            }
        }
        Some(noise)
    }

    fn parts(&mut self, node: &Node) -> Vec<Part> {
        match &node.kind {
            Kind::List(items) => items.iter().flat_map(|item| self.parts(item)).collect(),
            Kind::Map(entries) => entries.iter().filter_map(|entry| self.part(entry)).collect(),
            _ => self.problems.text(node).map(Part::Text).into_iter().collect(),
        }
    }

    fn part(&mut self, entry: &Entry) -> Option<Part> {
        match entry.key.as_str() {
            "text" => self.problems.text(&entry.value).map(Part::Text),
            "hex" => {
                let text = self.problems.text(&entry.value)?;
                let bytes = parse_hex(&text);
                if bytes.is_none() {
                    self.problems.add(entry.value.place, "expected bytes such as `ff fe`");
                }
                bytes.map(Part::Bytes)
            }
            _ => {
                self.problems.unknown(entry, &["text", "hex"]);
                None
            }
        }
    }

    fn need<T>(&mut self, node: &Node, key: &str, value: Option<T>) -> Option<T> {
        if value.is_none() {
            self.problems.add(node.place, format!("`{key}` is missing"));
        }
        value
    }
}

fn log_params(node: &Node) -> Map<String, Value> {
    let mut params = short(node, "data");
    params.entry("level").or_insert_with(|| json!("info"));
    params
}

/// An object, or a value that stands for an object with this one member.
fn short(node: &Node, member: &str) -> Map<String, Value> {
    match node.to_json() {
        Value::Object(members) => members,
        value => Map::from_iter([(member.to_owned(), value)]),
    }
}

fn parse_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| c.to_digit(16).map(|digit| digit as u8))
        .collect::<Option<_>>()?;
    let pairs =
        digits.chunks(2).map(|pair| if let [high, low] = pair { Some(high << 4 | low) } else { None });
    pairs.collect()
}
