//! News of tasks: who hears what a server tells of one, and in which words.

use bytes::Bytes;

use super::kept::{Kept, Owner};
use crate::bridge;
use crate::call::Notice;
use crate::catalog::Catalog;
use crate::frontend::hall::Hall;
use crate::frontend::modern::rounds;
use crate::frontend::session::Session;
use crate::names::ServerName;
use crate::pipeline::Lane;
use crate::protocol::{Method, Revision, Tasks};
use crate::wire::{Span, Splice, json};

impl Hall {
    /// A server tells of one of its tasks: heard by the session that has begun it, or by those who listen to it, in the words
    /// of the server, which are theirs. Nobody else knows the task.
    pub(in crate::frontend) fn task_changed(&self, server: &ServerName, form: Tasks, notice: &Notice<'_>) {
        let params = notice.params.of(notice.line);
        let Ok(task) = bridge::tasks::read(params) else { return };
        // In the core nobody tells the end but to whoever asks for it.
        let tells_end = form == Tasks::Extension && task.result.is_some();
        let lane = self.registry().filter(|_| tells_end).and_then(|registry| registry.lane(server));
        if let Some(lane) = lane.filter(Lane::looks_at_tasks) {
            return self.task_ended(&lane, &task.id, &Bytes::copy_from_slice(params));
        }
        let unhidden = self.unhidden(server, params);
        let params = unhidden.as_deref().unwrap_or(params);
        match form {
            Tasks::Core => {
                let Some(session) = self.ledger.owner(server, &task.id) else { return };
                session.task_changed(server, params);
            }
            Tasks::Extension => {
                let told = as_clients_know_it(self.catalog().as_deref(), server, params);
                for listener in self.present_listeners() {
                    listener.task_changed(server, &task.id, told.as_deref().unwrap_or(params));
                }
            }
            Tasks::None => {}
        }
    }

    /// A server tells the end of one of its tasks, which is told like the answer to the call that became the task.
    fn task_ended(&self, lane: &Lane, id: &str, params: &Bytes) {
        let server = lane.config().name.clone();
        for listener in self.present_listeners().into_iter().filter(|one| one.follows_task(&server, id)) {
            let (lane, server, params) = (lane.clone(), server.clone(), params.clone());
            let (id, registry) = (id.to_owned(), self.registry().cloned());
            self.tasks.spawn(async move {
                let told = lane.told(listener.about_task(&id), params, Revision::newest_modern()).await;
                let Some(params) = told else { return };
                let catalog = registry.map(|registry| registry.catalog());
                let told = as_clients_know_it(catalog.as_deref(), &server, &params);
                listener.task_changed(&server, &id, told.as_deref().unwrap_or(&params));
            });
        }
    }
}

/// What a modern server tells of a task: its questions say which server asks, and its result has URIs as clients know them.
/// `None` if nothing changes.
pub(super) fn as_clients_know_it(
    catalog: Option<&Catalog>,
    server: &ServerName,
    task: &[u8],
) -> Option<Bytes> {
    if let Some(named) = rounds::named_requests(task, server) {
        return Some(named);
    }
    let result = json::get(task, "result")?;
    let rewritten = catalog?.rewrite_result(server, result.of(task))?;
    let mut splice = Splice::new(task);
    splice.replace(result, rewritten);
    Some(splice.to_bytes())
}

impl Kept {
    /// Tells those whose it is how it fares.
    pub(super) fn tell(&self) {
        match &self.owner {
            Owner::Session(session) => {
                if let Some(session) = session.upgrade() {
                    self.tell_session(&session);
                }
            }
            Owner::Bearer => {
                for listener in self.hall.present_listeners() {
                    listener.kept_changed(&self.name, || self.for_extension());
                }
            }
        }
    }
}

impl Session {
    /// A result that tells of a server's task, with our name for it. A new task is this session's.
    pub(in crate::frontend) fn with_our_task(
        &self,
        method: Method,
        server: &ServerName,
        result: &[u8],
    ) -> Option<Bytes> {
        if method == Method::ToolsCall
            && bridge::tasks::is_created(result)
            && let (Ok(task), Some(session)) = (bridge::tasks::read(result), self.me())
        {
            self.hall.ledger.own(server, task.id, &session);
        }
        self.hall.with_our_task(server, Tasks::Core, self.principal(), result)
    }

    fn task_changed(&self, server: &ServerName, params: &[u8]) {
        let told = self.hall.with_our_task(server, Tasks::Core, self.principal(), params);
        if let Some(line) = told {
            let notice = Notice { line: &line, params: Span { start: 0, end: line.len() } };
            self.send_notice(&self.out, "notifications/tasks/status", &notice, &[]);
        }
    }
}
