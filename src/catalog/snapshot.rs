//! What clients are shown, as one immutable value.

use std::borrow::Cow;
use std::collections::HashMap;

use bytes::Bytes;

use crate::catalog::hygiene::Note;
use crate::catalog::merge::{self, Options, Source};
use crate::catalog::offering::Capabilities;
use crate::catalog::page::{BadCursor, List};
use crate::catalog::table::{Table, Target};
use crate::catalog::uri::{UriRoute, UriTable};
use crate::failure::{Code, Failure};
use crate::names::{ExposedName, OriginalName, ServerName};
use crate::protocol::ListKind;

/// How many items are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Tools of servers; our own do not count.
    pub tools: usize,
    /// Prompts.
    pub prompts: usize,
    /// Resources.
    pub resources: usize,
    /// Resource templates.
    pub templates: usize,
}

/// Everything that all servers offer, as clients see it. Immutable: a change is a new catalog.
#[derive(Debug)]
pub struct Catalog {
    pub(super) servers: HashMap<ServerName, ServerPart>,
    pub(super) own_names: Vec<ExposedName>,
    pub(super) tools: Table,
    pub(super) prompts: Table,
    pub(super) held: Vec<Held>,
    pub(super) lists: Lists,
    pub(super) uris: UriTable,
    pub(super) counts: Counts,
    pub(super) capabilities: Capabilities,
    pub(super) instructions: String,
    pub(super) notes: Vec<Note>,
}

/// Something that has a name, or a URI, and is not shown, because its owner wants to look at it first.
#[derive(Clone, Debug)]
pub struct Held {
    /// In which list it would stand.
    pub kind: ListKind,
    /// Whose it is.
    pub server: ServerName,
    /// The server's own name for it.
    pub original: OriginalName,
    /// The name that clients would see.
    pub exposed: ExposedName,
    /// Why, as a sentence.
    pub reason: String,
}

impl Held {
    /// The answer to a call of it.
    pub fn failure(&self) -> Failure {
        let original: String = self.original.as_str().chars().take(64).collect();
        let cause = format!("{} `{original}` is held back: {}", self.kind.noun(), self.reason);
        Failure::new(Code::TrustHeld, cause)
            .of(&self.server)
            .remedy("Ask your user to look at it first: `switchboard approve` shows what waits, and why")
            .not_run()
    }
}

#[derive(Debug)]
pub(super) struct ServerPart {
    pub(super) index: usize,
    pub(super) counts: Counts,
    pub(super) instructions: Option<String>,
}

#[derive(Debug)]
pub(super) struct Lists {
    pub(super) tools: List,
    pub(super) prompts: List,
    pub(super) resources: List,
    pub(super) templates: List,
}

impl Catalog {
    /// Merges the sources, which come in config order, and puts our own tools last.
    ///
    /// It takes time in proportion to all definitions, which are read once and copied once.
    pub fn build(sources: &[Source<'_>], own_tools: &[Bytes], options: Options) -> Catalog {
        merge::merge(sources, own_tools, options)
    }

    /// Where a call of this tool goes. Takes the exposed name; else a bare original name that exactly one server has;
    /// else `server.tool`, `server/tool` or `server:tool`. Our own tools are not found here.
    pub fn tool(&self, name: &str) -> Option<&Target> {
        self.tools.find(name)
    }

    /// Where a prompt is found; by the same rule as tools.
    pub fn prompt(&self, name: &str) -> Option<&Target> {
        self.prompts.find(name)
    }

    /// The tool or prompt that is held back under this name, or this own name. To be asked when nothing is shown under it.
    pub fn held(&self, kind: ListKind, name: &str) -> Option<&Held> {
        let dotted = |held: &Held| {
            let rest =
                name.strip_prefix(held.server.as_str()).and_then(|rest| rest.strip_prefix(['.', '/', ':']));
            rest == Some(held.original.as_str())
        };
        let mut all = self.held.iter().filter(|held| held.kind == kind);
        all.clone()
            .find(|held| held.exposed.as_str() == name)
            .or_else(|| all.find(|held| held.original.as_str() == name || dotted(held)))
    }

    /// Whether nothing is shown under this name, and something is held back.
    pub fn is_held(&self, kind: ListKind, name: &str) -> bool {
        let shown = || if kind == ListKind::Prompts { self.prompt(name) } else { self.tool(name) };
        !self.held.is_empty() && shown().is_none() && self.held(kind, name).is_some()
    }

    /// The resource or template that is held back under this URI, however it is written.
    pub fn held_uri(&self, uri: &str) -> Option<&Held> {
        let is_of_uri = |held: &&Held| matches!(held.kind, ListKind::Resources | ListKind::Templates);
        let mut all = self.held.iter().filter(is_of_uri).peekable();
        all.peek()?;
        let route = self.route_uri(uri)?;
        all.find(|held| {
            held.original.as_str() == route.original && self.index(&held.server) == Some(route.index)
        })
    }

    /// All tools of servers, in the order of the list.
    pub fn tools(&self) -> &[Target] {
        self.tools.targets()
    }

    /// All prompts, in the order of the list.
    pub fn prompts(&self) -> &[Target] {
        self.prompts.targets()
    }

    /// Up to `count` names of tools that are like `name`, the most alike first.
    pub fn nearest_tools(&self, name: &str, count: usize) -> Vec<ExposedName> {
        self.tools.nearest(name, count)
    }

    /// Up to `count` names of prompts that are like `name`, the most alike first.
    pub fn nearest_prompts(&self, name: &str, count: usize) -> Vec<ExposedName> {
        self.prompts.nearest(name, count)
    }

    /// The result of a list request, ready to send. Cheap: the pages are built once and shared.
    ///
    /// # Errors
    /// [`BadCursor`] if the cursor is not one that this very list gave out.
    pub fn page(&self, kind: ListKind, cursor: Option<&str>) -> Result<Bytes, BadCursor> {
        self.list(kind).page(cursor)
    }

    /// Stands for the whole content of a list: clients need to hear of a change only when this changes.
    pub fn digest(&self, kind: ListKind) -> u64 {
        self.list(kind).digest()
    }

    /// A whole list.
    pub fn list(&self, kind: ListKind) -> &List {
        match kind {
            ListKind::Tools => &self.lists.tools,
            ListKind::Prompts => &self.lists.prompts,
            ListKind::Resources => &self.lists.resources,
            ListKind::Templates => &self.lists.templates,
        }
    }

    /// Where a resource is read: its exact owner; else the server that the URI itself names; else the template with the
    /// longest fixed beginning that matches; else the first server with this scheme; else the only server with resources.
    pub fn route_uri<'a>(&'a self, exposed: &'a str) -> Option<UriRoute<'a>> {
        self.uris.route(exposed)
    }

    /// The URI under which clients see this server's URI. [`Catalog::route_uri`] leads back.
    pub fn expose_uri<'a>(&self, server: &ServerName, original: &'a str) -> Cow<'a, str> {
        self.index(server).map_or(Cow::Borrowed(original), |index| self.uris.expose(index, original))
    }

    /// Whether a result of the server at this place ([`Target::index`], [`UriRoute::index`]) may hold URIs that have to be
    /// rewritten. For most servers it cannot.
    pub fn rewrites(&self, index: usize) -> bool {
        self.uris.rewrites(index)
    }

    /// A result of this server with its URIs as clients see them; `None` if nothing changes.
    ///
    /// Looks at `contents[].uri`, at `resource_link` and `resource` blocks in `content[]` and `messages[].content`, and at
    /// the `_meta` that refers to a `ui://` resource. Free text and `structuredContent` are left alone.
    pub fn rewrite_result(&self, server: &ServerName, result: &[u8]) -> Option<Bytes> {
        let index = self.index(server).filter(|index| self.uris.rewrites(*index))?;
        self.uris.rewrite_result(index, result)
    }

    fn index(&self, server: &ServerName) -> Option<usize> {
        self.servers.get(server).map(|part| part.index)
    }

    /// How many items are shown.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// How many items of this server are shown.
    pub fn counts_of(&self, server: &ServerName) -> Counts {
        self.servers.get(server).map_or(Counts::default(), |part| part.counts)
    }

    /// What was repaired or held back, in config order.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// What at least one server declares.
    pub fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    /// The merged instructions, at most 2048 bytes: clients cut there.
    pub fn instructions(&self) -> &str {
        &self.instructions
    }

    /// How this server wants to be used, if it says so and that is shown.
    pub fn instructions_of(&self, server: &ServerName) -> Option<&str> {
        self.servers.get(server)?.instructions.as_deref()
    }

    /// The names of our own tools.
    pub fn own_names(&self) -> &[ExposedName] {
        &self.own_names
    }
}

impl Counts {
    pub(super) fn plus(self, other: Counts) -> Counts {
        Counts {
            tools: self.tools + other.tools,
            prompts: self.prompts + other.prompts,
            resources: self.resources + other.resources,
            templates: self.templates + other.templates,
        }
    }
}
