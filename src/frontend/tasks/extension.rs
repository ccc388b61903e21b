//! A kept task in the words of the extension (SEP-2663): `tasks/get` tells everything, `tasks/update` brings answers,
//! `tasks/cancel` is a wish, and `notifications/tasks` goes to those who listen to the task.

use std::sync::Arc;

use bytes::Bytes;

use super::POLL_MS;
use super::kept::{End, Kept, Owner};
use super::question::Question;
use crate::bridge::capabilities::takes_tasks;
use crate::bridge::result::as_ours;
use crate::bridge::tasks::Support;
use crate::call::AskKind;
use crate::frontend::answer::Answer;
use crate::frontend::hall::Hall;
use crate::frontend::incoming::Incoming;
use crate::frontend::modern::{Asked, rounds, server_info};
use crate::frontend::route::{self, Miss};
use crate::names::ServerName;
use crate::protocol::{Method, TaskMethod, Tasks, codes};
use crate::registry::Registry;
use crate::wire::json;

/// A question that says which server asks.
pub(super) fn named(kind: AskKind, server: &ServerName, params: &[u8]) -> Option<Bytes> {
    rounds::name_server(kind, server, params)
}

impl Kept {
    /// The task as `tasks/get` and notifications tell of it: members without braces.
    pub(super) fn for_extension(&self) -> Vec<u8> {
        let mut text = self.members(|state| state.status());
        text.extend(format!(r#","ttlMs":{},"pollIntervalMs":{POLL_MS}"#, self.ttl.as_millis()).into_bytes());
        let state = self.state();
        match state.end() {
            Some(End::Result(result)) => text.extend([br#","result":"#, &result[..]].concat()),
            Some(End::Error(error)) => text.extend([br#","error":"#, &error[..]].concat()),
            Some(End::Cancelled) => {}
            None if state.questions().is_empty() => {}
            None => {
                text.extend_from_slice(br#","inputRequests":{"#);
                for (index, question) in state.questions().iter().enumerate() {
                    if index > 0 {
                        text.push(b',');
                    }
                    let method = question.kind.method();
                    text.extend(
                        format!(r#""{}":{{"method":"{method}","params":"#, question.name).into_bytes(),
                    );
                    text.extend_from_slice(&question.params);
                    text.push(b'}');
                }
                text.push(b'}');
            }
        }
        text
    }

    /// Takes the client's answers; those to no open question are ignored.
    fn update(&self, responses: &[u8]) {
        for response in json::members(responses) {
            let answer = response.value.of(responses);
            let is_it = |question: &Question| response.is(responses, &question.name);
            if json::kind(answer) == json::Kind::Object
                && let Some(question) = self.take_question(is_it)
            {
                question.deliver(answer);
            }
        }
    }
}

impl Hall {
    /// What answers a request that concerns a task of ours, as it is or to be put in the words of the era; `None` if it concerns none.
    pub(in crate::frontend) fn kept_modern(
        self: &Arc<Self>,
        registry: &Arc<Registry>,
        incoming: &Incoming<'_>,
        method: Method,
        asked: &Asked,
    ) -> Option<Result<Bytes, Answer>> {
        let (introduction, principal) = (&asked.introduction, asked.principal.as_deref());
        match method {
            Method::ToolsCall if takes_tasks(&introduction.capabilities) => {
                self.begin_for_bearer(registry, incoming, asked)
            }
            Method::Task(of_it) => {
                let kept = self.kept_task(incoming, Tasks::Extension, principal)?;
                Some(Err(serve(&kept, incoming, of_it)))
            }
            _ => None,
        }
    }

    /// A call of a tool that its server takes as a task in the older form. The retry of a round is none of this.
    fn begin_for_bearer(
        self: &Arc<Self>,
        registry: &Arc<Registry>,
        incoming: &Incoming<'_>,
        asked: &Asked,
    ) -> Option<Result<Bytes, Answer>> {
        let (_, name) = route::name(incoming).ok()?;
        let now = registry.now();
        let (target, _) = route::shown_tool(&now, &name, asked.principal.as_deref())?;
        if Support::of(&target.definition) == Support::Forbidden
            || self.tasks_of(&target.server) != Tasks::Core
            || incoming.member("requestState").or(incoming.member("inputResponses")).is_some()
        {
            return None;
        }
        let terms = super::Terms {
            owner: Owner::Bearer,
            own: asked.introduction.revision,
            declared: asked.introduction.capabilities.clone(),
            principal: asked.principal.as_deref(),
            client: asked.client.clone(),
        };
        Some(match self.begin_task(registry, incoming, terms, |_| ()) {
            Ok(begun) => {
                let text = [br#"{"resultType":"task","#, &begun.kept.for_extension()[..], b"}"].concat();
                begun.go();
                Ok(as_ours(&text, &server_info()).unwrap_or_else(|| text.into()))
            }
            Err(Miss::Invalid(answer) | Miss::Unknown(answer)) => Err(answer),
        })
    }
}

fn serve(kept: &Kept, incoming: &Incoming<'_>, method: TaskMethod) -> Answer {
    match method {
        TaskMethod::Get => Answer::result([b"{", &kept.for_extension()[..], b"}"].concat()),
        TaskMethod::Cancel => {
            kept.cancel("the client has cancelled the task");
            Answer::result("{}")
        }
        TaskMethod::Update => {
            let responses = incoming.member("inputResponses").map(|span| span.of(incoming.line));
            match responses.filter(|raw| json::kind(raw) == json::Kind::Object) {
                Some(responses) => {
                    kept.update(responses);
                    Answer::result("{}")
                }
                None => Answer::error(codes::INVALID_PARAMS, "`inputResponses` must be an object"),
            }
        }
        TaskMethod::Result | TaskMethod::List => Answer::error(codes::METHOD_NOT_FOUND, "Method not found"),
    }
}
