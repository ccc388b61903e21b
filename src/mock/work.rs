//! What a request makes the server do: decided when it arrives, from the script and from what is going on.

use std::sync::Arc;

use serde_json::Value;

use super::answers::{self, Reply};
use super::modern::{self, Caller};
use super::revision::{WITH_TASKS, code};
use super::rounds::Continued;
use super::script::Item;
use super::session::Session;
use super::step::Reaction;
use super::tasks::extension;
use super::template::Scope;
use super::working::NewTask;

/// What a job has to do.
pub(super) enum Work {
    Script {
        /// What the script says under `on`, if anything.
        before: Option<Arc<Reaction>>,
        /// What the called item does; none means what every server does.
        own: Option<Arc<Reaction>>,
        /// The task that the call becomes.
        task: Option<NewTask>,
    },
    /// Say no.
    Refuse(Reply),
    /// Go on with a call that waits for this request.
    Resume(Box<Continued>),
    /// Keep a stream of `subscriptions/listen` open.
    Listen,
    /// Answer a request about tasks.
    Tasks,
    /// Nothing more.
    Done,
}

impl Work {
    /// What a request asks for.
    pub(super) fn of(
        session: &Arc<Session>,
        caller: Option<&Caller>,
        id: &str,
        method: &str,
        params: &str,
        scope: &mut Scope,
    ) -> Self {
        let server = &session.server;
        let found = answers::locate(server, method, params, scope);
        if caller.is_some() && matches!(method, "tools/call" | "prompts/get" | "resources/read") {
            match server.state().rounds.take(method, id, params) {
                None => {}
                Some(Ok(continued)) => return Work::Resume(Box::new(continued)),
                Some(Err(wrong)) => return Work::Refuse(Reply::error(code::INVALID_PARAMS, wrong)),
            }
        }
        if let (Some(caller), Some((_, item))) = (caller, &found)
            && let Some(needs) = &item.needs
            && let Some(lacks) = modern::lacking(needs, &caller.capabilities)
        {
            return Work::Refuse(modern::missing_capability(&lacks));
        }
        let task = match found.as_ref().map(|(_, item)| new_task(session, caller, item, params)) {
            Some(Ok(task)) => task,
            Some(Err(refusal)) => return Work::Refuse(refusal),
            None => None,
        };
        let own = found.map(|(list, item)| {
            scope.call = answers::count(server, list, item);
            item.reaction(scope.call)
        });
        match (answers::moment(session, method, caller.is_some()), method) {
            (None, "subscriptions/listen") if caller.is_some() => Work::Listen,
            (None, _) if answers::is_about_tasks(session, method, caller.is_some()) => Work::Tasks,
            (before, _) => Work::Script { before, own, task },
        }
    }

    /// Whether there is nothing to wait for.
    pub(super) fn is_immediate(&self) -> bool {
        match self {
            Work::Script { task: Some(_), .. } => false,
            Work::Script { before, own, .. } => {
                before.iter().chain(own).all(|reaction| reaction.is_immediate())
            }
            Work::Refuse(_) | Work::Done => true,
            Work::Resume(_) | Work::Listen | Work::Tasks => false,
        }
    }

    /// Whether the work goes on although the client cancelled.
    pub(super) fn ignores_cancel(&self) -> bool {
        match self {
            Work::Script { before, own, .. } => {
                before.iter().chain(own).any(|reaction| reaction.ignore_cancel)
            }
            _ => false,
        }
    }
}

/// The task that a call of this item becomes, if it becomes one.
fn new_task(
    session: &Session,
    caller: Option<&Caller>,
    item: &Item,
    params: &str,
) -> Result<Option<NewTask>, Reply> {
    if let Some(caller) = caller {
        // Here the server decides alone.
        let Some(plan) = &item.task else { return Ok(None) };
        return match modern::lacking(&extension(), &caller.capabilities) {
            None => Ok(Some(NewTask { plan: plan.clone(), ttl: None })),
            Some(lacks) if plan.required => Err(modern::missing_capability(&lacks)),
            Some(_) => Ok(None),
        };
    }
    let agreed = session.state().revision.as_deref() == Some(WITH_TASKS);
    if !agreed || !session.server.plan.has_tasks() {
        return Ok(None);
    }
    let params: Value = serde_json::from_str(params).unwrap_or(Value::Null);
    let refuse = |message: &str| Err(Reply::error(code::METHOD_NOT_FOUND, message));
    match (params.get("task"), &item.task) {
        (None, Some(plan)) if plan.required => refuse("This tool can only be called as a task"),
        (None, _) => Ok(None),
        (Some(_), None) => refuse("This tool cannot be called as a task"),
        (Some(wish), Some(plan)) => {
            Ok(Some(NewTask { plan: plan.clone(), ttl: wish.get("ttl").and_then(Value::as_u64) }))
        }
    }
}
