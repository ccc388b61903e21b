//! `tasks/list` (MCP 2025-11-25): the tasks that a session has begun, at servers and with us.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::kept::Kept;
use crate::bridge;
use crate::frontend::answer::Answer;
use crate::frontend::incoming::Incoming;
use crate::frontend::incoming::local::cursor;
use crate::frontend::session::Session;
use crate::names::ServerName;
use crate::protocol::{Method, TaskMethod, Tasks, codes};
use crate::wire::{Body, Id};

const PAGE: usize = 50;
/// How long a page waits for servers to say how their tasks fare.
const PATIENCE: Duration = Duration::from_secs(10);

/// Something that is listed.
enum Entry {
    Kept(Arc<Kept>),
    Server(ServerName, String),
}

impl Session {
    /// Servers are asked how their tasks fare now; those that they do not tell of are left out.
    pub(in crate::frontend) fn list_tasks(self: &Arc<Self>, id: Id, incoming: &Incoming<'_>) {
        let method = Method::Task(TaskMethod::List);
        let refuse =
            |code, text: &str| self.at_once(id.clone(), incoming, method, &Answer::error(code, text));
        if !self.declares_tasks() {
            return refuse(codes::METHOD_NOT_FOUND, "Method not found: tasks/list");
        }
        let from = match cursor(incoming) {
            Ok(None) => 0,
            Ok(Some(cursor)) => match cursor.strip_prefix("tasks.").and_then(|number| number.parse().ok()) {
                Some(from) => from,
                None => return refuse(codes::INVALID_PARAMS, "the cursor is not one of this list"),
            },
            Err(answer) => return self.at_once(id, incoming, method, &answer),
        };
        let ledger = &self.hall.ledger;
        let of_servers = ledger.owned_by(self).into_iter().map(|(server, id)| Entry::Server(server, id));
        let entries = ledger.kept_of(self).into_iter().map(Entry::Kept).chain(of_servers);
        let mut page: Vec<Entry> = entries.skip(from).take(PAGE + 1).collect();
        let next = (page.len() > PAGE).then(|| from + PAGE);
        page.truncate(PAGE);
        let Some(ticket) = self.local(id, incoming, method) else { return };
        let session = Arc::clone(self);
        self.tasks.spawn(async move {
            let told = join_all(page.into_iter().map(|entry| session.told_of(entry)));
            let tasks = tokio::select! {
                tasks = told => tasks,
                () = session.ended.cancelled() => return,
            };
            let tasks: Vec<Vec<u8>> = tasks.into_iter().flatten().collect();
            let mut text = [br#"{"tasks":["#, &tasks.join(&b","[..])[..], b"]"].concat();
            if let Some(next) = next {
                text.extend(format!(r#","nextCursor":"tasks.{next}""#).into_bytes());
            }
            text.push(b'}');
            session.answer(ticket, &Answer::result(text));
        });
    }

    async fn told_of(&self, entry: Entry) -> Option<Vec<u8>> {
        let (server, id) = match entry {
            Entry::Kept(kept) => return Some(kept.for_core()),
            Entry::Server(server, id) => (server, id),
        };
        let params = bridge::tasks::id_params(&id);
        let backend = Arc::clone(self.lane(&server)?.holder_of_task(&id));
        let answer = backend.ask("tasks/get", &params, PATIENCE).await.ok()?;
        match answer {
            (line, Body::Result(span)) => {
                let unhidden = self.hall.unhidden(&server, span.of(&line));
                let told = unhidden.as_deref().unwrap_or_else(|| span.of(&line));
                let told = self.hall.with_our_task(&server, Tasks::Core, self.principal(), told);
                told.map(|text| text.to_vec())
            }
            (_, Body::Error(_)) => {
                self.hall.ledger.disown(&server, &id);
                None
            }
        }
    }
}
