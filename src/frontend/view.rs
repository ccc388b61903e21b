//! What one client is shown: the catalog, without what policies refuse it whatever the arguments are. Where there are no
//! policies, or none that hides anything, that is the catalog itself.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use crate::catalog::{BadCursor, Catalog, List, Target, merge_instructions};
use crate::frontend::hall::Hall;
use crate::names::ServerName;
use crate::policy::{Action, Client, Policies};
use crate::protocol::ListKind;
use crate::registry::{Registry, Snapshot};
use crate::wire::json;

/// So many clients' views are kept; then all are made anew.
const MANY: usize = 64;

/// See the module. Cheap to clone.
#[derive(Clone)]
pub(super) struct View {
    catalog: Arc<Catalog>,
    own: Option<Arc<Own>>,
    /// How servers want to be used, where that differs from the catalog's.
    instructions: Option<Arc<str>>,
}

/// The lists that differ from the catalog's.
type Own = [Option<List>; 4];

/// The views of clients who have asked lately.
#[derive(Default)]
pub(super) struct Views(Mutex<Vec<Kept>>);

struct Kept {
    client: Client,
    /// Which policies it was made by.
    number: u64,
    view: View,
}

impl View {
    /// The result of a list request, ready to send.
    ///
    /// # Errors
    /// [`BadCursor`] if the cursor is not one that this very list gave out.
    pub(super) fn page(&self, kind: ListKind, cursor: Option<&str>) -> Result<Bytes, BadCursor> {
        match self.own(kind) {
            Some(list) => list.page(cursor),
            None => self.catalog.page(kind, cursor),
        }
    }

    /// Stands for the whole content of a list.
    pub(super) fn digest(&self, kind: ListKind) -> u64 {
        self.own(kind).map_or_else(|| self.catalog.digest(kind), List::digest)
    }

    /// The digests of everything that the client can list: what `list_changed` is about.
    pub(super) fn digests(&self) -> [u64; 4] {
        ListKind::ALL.map(|kind| self.digest(kind))
    }

    /// How servers want to be used, without those of which the client may use no tool.
    pub(super) fn instructions(&self) -> &str {
        self.instructions.as_deref().unwrap_or_else(|| self.catalog.instructions())
    }

    fn own(&self, kind: ListKind) -> Option<&List> {
        self.own.as_ref()?.get(kind as usize)?.as_ref()
    }
}

impl Hall {
    /// What a client is shown now. `client` is asked for only where there are policies.
    pub(super) fn view(&self, registry: &Registry, client: impl FnOnce() -> Client) -> View {
        let now = registry.now();
        let catalog = Arc::clone(&now.catalog);
        let Some(policies) = now.servers.policies() else {
            return View { catalog, own: None, instructions: None };
        };
        let (client, number) = (client(), policies.number());
        let mut kept = self.views.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|one| one.number == number && Arc::ptr_eq(&one.view.catalog, &catalog));
        if let Some(known) = kept.iter().find(|one| one.client == client) {
            return known.view.clone();
        }
        let own = ListKind::ALL.map(|kind| hidden(&now, policies, kind, &client));
        let own = own.iter().any(Option::is_some).then(|| Arc::new(own));
        let instructions = own.as_ref().and_then(|_| instructions(&now, policies, &client));
        let view = View { catalog, own, instructions };
        if kept.len() >= MANY {
            kept.clear();
        }
        kept.push(Kept { client, number, view: view.clone() });
        view
    }
}

/// How servers want to be used, without those whose tools are all hidden; `None` if there is none.
fn instructions(now: &Snapshot, policies: &Policies, client: &Client) -> Option<Arc<str>> {
    let catalog = &now.catalog;
    if catalog.instructions().is_empty() {
        return None;
    }
    let is_hidden = |index: usize| {
        let Some(lane) = now.lane_at(index) else { return true };
        let mut tools = catalog.tools().iter().filter(|tool| tool.index == index).peekable();
        let shows = |tool: &Target| {
            let (name, original) = (tool.exposed.as_str(), tool.original.as_str());
            policies.shows(client, &lane.thing(Action::CallTool, name, original, &tool.definition))
        };
        tools.peek().is_some() && !tools.any(shows)
    };
    let names: Vec<&ServerName> = now.servers.lanes().map(|lane| &lane.config().name).collect();
    if !(0..names.len()).any(is_hidden) {
        return None;
    }
    let shown = names.iter().enumerate().filter(|(index, _)| !is_hidden(*index));
    let texts = shown.filter_map(|(_, name)| Some((*name, catalog.instructions_of(name)?.to_owned())));
    let texts: Vec<(&ServerName, String)> = texts.collect();
    Some(merge_instructions(names.len(), &texts).into())
}

/// A list without what the client may not use; `None` if it may use everything in it.
fn hidden(now: &Snapshot, policies: &Policies, kind: ListKind, client: &Client) -> Option<List> {
    let catalog = &now.catalog;
    let mut number = 0;
    catalog.list(kind).without(|item| {
        let target = match kind {
            ListKind::Tools => catalog.tools().get(number),
            ListKind::Prompts => catalog.prompts().get(number),
            ListKind::Resources | ListKind::Templates => None,
        };
        number += 1;
        let action = match kind {
            ListKind::Tools => Action::CallTool,
            ListKind::Prompts => Action::GetPrompt,
            ListKind::Resources => return !shows_uri(now, policies, client, item, "uri"),
            ListKind::Templates => {
                return !shows_uri(now, policies, client, item, "uriTemplate");
            }
        };
        // Our own tools stand behind all others, and belong to everybody.
        let Some(target) = target else { return false };
        let Some(lane) = now.lane_at(target.index) else { return true };
        let thing = lane.thing(action, target.exposed.as_str(), target.original.as_str(), &target.definition);
        !policies.shows(client, &thing)
    })
}

fn shows_uri(now: &Snapshot, policies: &Policies, client: &Client, item: &[u8], member: &str) -> bool {
    let Some(uri) = json::get(item, member).and_then(|span| json::string(span.of(item))) else {
        return false;
    };
    let Some(route) = now.catalog.route_uri(&uri) else { return false };
    let Some(lane) = now.lane_at(route.index) else { return false };
    let mut thing = lane.thing(Action::ReadResource, &route.original, &route.original, &[]);
    thing.is_template = member == "uriTemplate";
    policies.shows(client, &thing)
}
