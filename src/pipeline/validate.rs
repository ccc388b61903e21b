//! Checks arguments against the schema of their tool, and results against the schema that they promise.
//!
//! The schemas are those that clients see. Each is compiled at the first call, and again when the definition changes; what cannot be
//! compiled is not checked, and the log says so once.

mod close;
mod coerce;
mod schema;
#[cfg(test)]
mod tests;
mod words;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use serde_json::Value;

use super::payload::{LastWord, arguments, elsewhere, set_arguments, with_warning};
use super::{BoxFuture, Next, Outcome, Request, Stage};
use crate::bridge::error::failed_tool;
use crate::config::{InputCheck, OutputCheck, Validation as Rules};
use crate::failure::{Code, Failure};
use crate::names::{OriginalName, ServerName};
use crate::protocol::Method;
use crate::wire::json;
use schema::MAX_SIZE;

pub(super) use schema::Schema;

/// The largest value that is checked, in bytes.
const MAX_VALUE: usize = 1 << 20;
/// From so many bytes on, checking is left to another thread: ours serves everybody.
const LARGE: usize = 32 << 10;
/// So many bytes of schemas are kept compiled; then it begins anew.
const MAX_KEPT: usize = 4 << 20;

/// See the module.
#[derive(Debug)]
pub(super) struct Validate {
    server: ServerName,
    rules: Rules,
    known: Mutex<Known>,
}

/// The schemas of tools that were called.
#[derive(Debug, Default)]
struct Known {
    tools: HashMap<OriginalName, (Bytes, Checks)>,
    bytes: usize,
}

/// What can be checked of a tool.
#[derive(Clone, Debug, Default)]
struct Checks {
    input: Option<Arc<Schema>>,
    output: Option<Arc<Schema>>,
}

/// What a check found.
enum Verdict {
    Good,
    /// It is good with these changes, as JSON text.
    Changed(Vec<u8>),
    Faults(Vec<String>),
    /// It cannot be checked: why, as a fragment.
    Unchecked(String),
}

impl Validate {
    pub(super) fn new(server: ServerName, rules: Rules) -> Self {
        Self { server, rules, known: Mutex::default() }
    }

    async fn run(&self, mut request: Box<Request>, next: Next<'_>) -> Outcome {
        let checks = self.checks(&request).await;
        let (tool, method) = (request.exposed.clone(), request.call.method);
        if let Some(schema) = checks.input.filter(|_| method == Method::ToolsCall) {
            let place = match arguments(&request.call) {
                Ok(place) => place,
                Err(failure) => return Outcome::Failed(failure.of(&self.server)),
            };
            let text = place.map_or_else(Bytes::new, |span| request.call.line.slice(span.start..span.end));
            match verdict(schema, text, "arguments", self.rules.coerce).await {
                Verdict::Good => {}
                Verdict::Changed(text) => set_arguments(&mut request.call, &text),
                Verdict::Faults(faults) => return Outcome::Failed(self.refused(&tool, &faults)),
                Verdict::Unchecked(why) if self.rules.input == InputCheck::Closed => {
                    return Outcome::Failed(self.refused(&tool, &[why]));
                }
                Verdict::Unchecked(why) => self.note(&tool, "arguments", &why),
            }
        }
        let outcome = next.run(request).await;
        match checks.output {
            Some(schema) => self.checked(&tool, method, schema, outcome).await,
            None => outcome,
        }
    }

    /// Checks arguments that somebody has changed further in. The schema was compiled when the call came by.
    ///
    /// # Errors
    /// They do not fit: why.
    pub(super) fn recheck(
        &self,
        tool: &OriginalName,
        definition: &Bytes,
        arguments: &[u8],
    ) -> Result<(), String> {
        let Some(Checks { input: Some(schema), .. }) = self.known(tool, definition) else { return Ok(()) };
        match judge(&schema, arguments, "arguments", false) {
            Verdict::Good | Verdict::Changed(_) => Ok(()),
            Verdict::Faults(faults) => Err(faults.join("; ")),
            Verdict::Unchecked(why) if self.rules.input == InputCheck::Closed => Err(why),
            Verdict::Unchecked(why) => {
                self.note(tool, "arguments", &why);
                Ok(())
            }
        }
    }

    /// What can be checked of the tool that is called, or of whose task it is.
    async fn checks(&self, request: &Request) -> Checks {
        let definition = &request.definition;
        let of_task;
        let tool = match request.call.method {
            _ if definition.is_empty() => return Checks::default(),
            Method::ToolsCall => &request.call.label,
            // It has the task's own name. The one that clients use will do as well.
            Method::Task(_) => {
                of_task = OriginalName::from(request.exposed.as_str());
                &of_task
            }
            _ => return Checks::default(),
        };
        if let Some(checks) = self.known(tool, definition) {
            return checks;
        }
        let checks = Checks {
            input: match self.rules.input {
                InputCheck::Off => None,
                InputCheck::Standard => self.compile(tool, definition, "inputSchema", false).await,
                InputCheck::Closed => self.compile(tool, definition, "inputSchema", true).await,
            },
            output: match self.rules.output {
                OutputCheck::Off => None,
                OutputCheck::Warn | OutputCheck::Strict => {
                    self.compile(tool, definition, "outputSchema", false).await
                }
            },
        };
        self.keep(tool, definition, &checks);
        checks
    }

    fn known(&self, tool: &OriginalName, definition: &Bytes) -> Option<Checks> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (compiled, checks) = known.tools.get(tool)?;
        // Nearly always they are the very same bytes.
        let is_same = compiled.as_ptr() == definition.as_ptr() && compiled.len() == definition.len();
        (is_same || compiled == definition).then(|| checks.clone())
    }

    fn keep(&self, tool: &OriginalName, definition: &Bytes, checks: &Checks) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = definition.len().min(2 * MAX_SIZE);
        if known.bytes + bytes > MAX_KEPT {
            *known = Known::default();
        }
        known.bytes += bytes;
        known.tools.insert(tool.clone(), (definition.clone(), checks.clone()));
    }

    async fn compile(
        &self,
        tool: &OriginalName,
        definition: &Bytes,
        member: &'static str,
        closed: bool,
    ) -> Option<Arc<Schema>> {
        let span = json::get(definition, member)?;
        let text = definition.slice(span.start..span.end);
        let compiled = match text.len() <= LARGE {
            true => Schema::compile(&text, closed),
            false => elsewhere(move || Schema::compile(&text, closed)).await.unwrap_or_else(Err),
        };
        match compiled {
            Ok(schema) => {
                if schema.unchecked > 0 {
                    tracing::warn!(server = %self.server, %tool, member, patterns = schema.unchecked, "patterns of a schema are not checked: they are too costly");
                }
                Some(Arc::new(schema))
            }
            Err(why) => {
                tracing::warn!(server = %self.server, %tool, member, why, "a schema cannot be used, so nothing is checked against it");
                None
            }
        }
    }

    /// What becomes of an outcome whose result has promised to fit a schema.
    async fn checked(
        &self,
        tool: &impl std::fmt::Display,
        method: Method,
        schema: Arc<Schema>,
        outcome: Outcome,
    ) -> Outcome {
        let Some(word) = LastWord::of(&outcome, method) else { return outcome };
        let result = word.result();
        if json::get(result, "isError").is_some_and(|span| span.of(result) == b"true") {
            return outcome;
        }
        let verdict = match json::get(result, "structuredContent") {
            Some(span) => {
                let text = Bytes::copy_from_slice(span.of(result));
                verdict(schema, text, "structuredContent", false).await
            }
            None => Verdict::Faults(vec!["`structuredContent` is missing".to_owned()]),
        };
        let is_strict = self.rules.output == OutputCheck::Strict;
        let faults = match verdict {
            Verdict::Good | Verdict::Changed(_) => return outcome,
            Verdict::Faults(faults) => faults,
            Verdict::Unchecked(why) if is_strict => vec![why],
            Verdict::Unchecked(why) => {
                self.note(tool, "result", &why);
                return outcome;
            }
        };
        let cause = format!("the result of `{tool}` does not fit its schema: {}", faults.join("; "));
        tracing::warn!(event = "result.invalid", server = %self.server, %tool, faults = faults.join("; "), "a result does not fit its schema");
        if !is_strict {
            return word.replaced(with_warning(result, &cause));
        }
        let failure = Failure::new(Code::ResultInvalid, cause).of(&self.server);
        let failure = failure.remedy("The tool has run and may have taken effect; look before you repeat it");
        match method {
            // The task is well, and goes on being told of; it is its end that is an error.
            Method::Task(_) => word.replaced(failed_tool(&failure, word.revision)),
            _ => Outcome::Failed(failure),
        }
    }

    fn refused(&self, tool: &impl std::fmt::Display, faults: &[String]) -> Failure {
        let cause = format!("the arguments of `{tool}` do not fit its schema: {}", faults.join("; "));
        let failure = Failure::new(Code::ArgumentsInvalid, cause).of(&self.server).not_run();
        failure.remedy("The call did not run; correct the arguments and call again")
    }

    fn note(&self, tool: &impl std::fmt::Display, what: &str, why: &str) {
        tracing::info!(server = %self.server, %tool, what, why, "something was not checked");
    }
}

impl Stage for Validate {
    fn around<'a>(&'a self, request: Box<Request>, next: Next<'a>) -> BoxFuture<'a, Outcome> {
        Box::pin(self.run(request, next))
    }
}

/// Checks a value; one that is not there counts as an object without members.
async fn verdict(schema: Arc<Schema>, text: Bytes, what: &'static str, coerces: bool) -> Verdict {
    match text.len() <= LARGE {
        true => judge(&schema, &text, what, coerces),
        false => {
            elsewhere(move || judge(&schema, &text, what, coerces)).await.unwrap_or_else(Verdict::Unchecked)
        }
    }
}

fn judge(schema: &Schema, text: &[u8], what: &'static str, coerces: bool) -> Verdict {
    if text.len() > MAX_VALUE || schema.is_too_much(text.len()) {
        return Verdict::Unchecked(format!("`{what}` has {} bytes, too many to be checked", text.len()));
    }
    if depth(text) > schema.max_depth {
        return Verdict::Unchecked(format!("`{what}` nests too deep to be checked"));
    }
    let text = if text.is_empty() { &b"{}"[..] } else { text };
    let mut value: Value = match serde_json::from_slice(text) {
        Ok(value) => value,
        Err(error) => return Verdict::Unchecked(format!("`{what}` cannot be read: {error}")),
    };
    let is_large = text.len() > LARGE;
    let Some(faults) = words::faults(schema, &value, what, is_large) else { return Verdict::Good };
    if !coerces || !coerce::coerce(&schema.tree, &mut value) {
        return Verdict::Faults(faults);
    }
    match words::faults(schema, &value, what, is_large) {
        Some(faults) => Verdict::Faults(faults),
        None => match serde_json::to_vec(&value) {
            Ok(text) => Verdict::Changed(text),
            Err(_) => Verdict::Faults(faults),
        },
    }
}

/// How deep a checked text nests.
fn depth(text: &[u8]) -> usize {
    let mut depth = 0usize;
    let mut deepest = 0;
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => {
                at = json::skip_string(text, at).unwrap_or(text.len());
                continue;
            }
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    deepest
}
