//! A kept task in the words of 2025-11-25: `tasks/get`, `tasks/result`, which waits for the end and is where the client is asked,
//! `tasks/cancel`, and `notifications/tasks/status`.

use std::sync::Arc;

use bytes::Bytes;

use super::kept::{End, Kept, Owner};
use super::{POLL_MS, Terms};
use crate::bridge::tasks::{self, Status, Support};
use crate::call::{Ask, Asker, Caller, NotAsked, Notice};
use crate::frontend::answer::{Answer, excerpt};
use crate::frontend::incoming::Incoming;
use crate::frontend::route::{self, Miss};
use crate::frontend::session::Session;
use crate::protocol::{Method, Revision, TaskMethod, Tasks, codes};
use crate::registry::Registry;
use crate::wire::{Id, Span, json};

impl Kept {
    /// The task as `tasks/get` tells of it.
    pub(super) fn for_core(&self) -> Vec<u8> {
        let mut text = b"{".to_vec();
        text.extend(self.members(|state| match state.end() {
            Some(End::Result(result)) if says_error(result) => Status::Failed,
            _ => state.status(),
        }));
        text.extend(format!(r#","ttl":{},"pollInterval":{POLL_MS}}}"#, self.ttl.as_millis()).into_bytes());
        text
    }

    /// What `tasks/result` answers, if it has ended.
    fn result_for_core(&self) -> Option<Answer> {
        Some(match self.end()? {
            End::Result(result) => Answer::result(tasks::relate(&result, &self.name)),
            End::Error(error) => Answer::raw_error(error.to_vec()),
            End::Cancelled => Answer::error(codes::INTERNAL_ERROR, "The task was cancelled"),
        })
    }

    /// Tells the session how the task fares.
    pub(super) fn tell_session(&self, session: &Session) {
        let line = Bytes::from(self.for_core());
        let whole = Span { start: 0, end: line.len() };
        session.send_notice(
            &session.out,
            "notifications/tasks/status",
            &Notice { line: &line, params: whole },
            &[],
        );
    }
}

fn says_error(result: &[u8]) -> bool {
    json::get(result, "isError").is_some_and(|span| span.of(result) == b"true")
}

impl Session {
    /// Serves a request that concerns a task of ours. Gives it back if it concerns none.
    pub(in crate::frontend) fn kept(
        self: &Arc<Self>,
        registry: &Arc<Registry>,
        id: Id,
        incoming: &Incoming<'_>,
        method: Method,
    ) -> Option<Id> {
        let own = self.revision().unwrap_or_else(Revision::newest_legacy);
        if own.tasks != Tasks::Core {
            return Some(id);
        }
        match method {
            Method::ToolsCall if incoming.places.task && tasks::asks_for_task(incoming.params()) => {
                self.begin_kept(registry, id, incoming, own)
            }
            Method::Task(of_it) => {
                let Some(kept) = self.hall.kept_task(incoming, own.tasks, self.principal()) else {
                    return Some(id);
                };
                self.serve_kept(id, incoming, of_it, kept);
                None
            }
            _ => Some(id),
        }
    }

    /// A call that asks for a task. One of a server that has them in this form goes there; one that we have not said can be
    /// called so is called in the ordinary way.
    fn begin_kept(
        self: &Arc<Self>,
        registry: &Arc<Registry>,
        id: Id,
        incoming: &Incoming<'_>,
        own: &'static Revision,
    ) -> Option<Id> {
        if !self.declares_tasks() {
            return Some(id);
        }
        let (_, name) = route::name(incoming).ok()?;
        let now = registry.now();
        let Some((target, _)) = route::shown_tool(&now, &name, self.principal()) else { return Some(id) };
        match self.hall.tasks_of(&target.server) {
            Tasks::Core => return Some(id),
            Tasks::Extension => {}
            Tasks::None => {
                let text = format!("{} cannot be called as a task", excerpt(&name));
                let answer = Answer::error(codes::METHOD_NOT_FOUND, &text);
                self.at_once(id, incoming, Method::ToolsCall, &answer);
                return None;
            }
        }
        let terms = Terms {
            owner: Owner::Session(Arc::downgrade(self)),
            own,
            declared: self.introduction().capabilities,
            principal: self.principal(),
            client: self.client(),
        };
        let begun = self.hall.begin_task(registry, incoming, terms, |lane| self.own(registry, lane));
        let answer = match begun {
            Ok(begun) => {
                let text = [br#"{"task":"#, &begun.kept.for_core()[..], b"}"].concat();
                self.at_once(id, incoming, Method::ToolsCall, &Answer::result(text));
                // After the answer: what it says may name the task.
                begun.go();
                return None;
            }
            Err(Miss::Invalid(answer) | Miss::Unknown(answer)) => answer,
        };
        self.at_once(id, incoming, Method::ToolsCall, &answer);
        None
    }

    fn serve_kept(self: &Arc<Self>, id: Id, incoming: &Incoming<'_>, method: TaskMethod, kept: Arc<Kept>) {
        let answer = match method {
            TaskMethod::Get => Answer::result(kept.for_core()),
            TaskMethod::Cancel if kept.cancel("the client has cancelled the task") => {
                Answer::result(kept.for_core())
            }
            TaskMethod::Cancel => {
                Answer::error(codes::INVALID_PARAMS, "the task has ended and cannot be cancelled")
            }
            TaskMethod::Result => return self.wait_for_kept(id, incoming, kept),
            TaskMethod::List | TaskMethod::Update => {
                Answer::error(codes::METHOD_NOT_FOUND, "Method not found")
            }
        };
        self.at_once(id, incoming, Method::Task(method), &answer);
    }

    /// Answers with the end of the task when it has come. Until then the client is asked here what the server wants to know.
    fn wait_for_kept(self: &Arc<Self>, id: Id, incoming: &Incoming<'_>, kept: Arc<Kept>) {
        let Some(ticket) = self.local(id, incoming, Method::Task(TaskMethod::Result)) else { return };
        let session = Arc::clone(self);
        self.tasks.spawn(async move {
            let mut changes = kept.changed.subscribe();
            loop {
                if let Some(answer) = kept.result_for_core() {
                    return session.answer(ticket, &answer);
                }
                if session.state().requests.get(ticket).is_none() {
                    return;
                }
                for (key, kind, revision, params) in kept.unput() {
                    let whole = Span { start: 0, end: params.len() };
                    let asker = Arc::clone(&kept) as Arc<dyn Asker>;
                    let ask =
                        Ask { key: key.clone(), asker, revision, kind, line: &params, params: Some(whole) };
                    if let Err(NotAsked::Unsupported(why) | NotAsked::Unacceptable(why)) =
                        session.put_about(ask, Some(ticket), Some(&kept.name))
                        && let Some(question) = kept.take_question(|question| question.key == key)
                    {
                        question.refuse(codes::INVALID_PARAMS, &why);
                    }
                }
                tokio::select! {
                    _ = changes.changed() => {}
                    () = session.ended.cancelled() => return,
                }
            }
        });
    }

    /// Whether this client was told that it may call tools as tasks.
    pub(super) fn declares_tasks(&self) -> bool {
        self.state().greeted.as_ref().is_some_and(|greeted| greeted.tasks)
    }
}

/// A tool of a server that has tasks in the other form, for a client of this one: it may be called as a task, which we keep.
pub(in crate::frontend) fn with_support(tool: &[u8]) -> Option<Bytes> {
    (Support::of(tool) == Support::Forbidden).then(|| tasks::with_optional_support(tool))
}
