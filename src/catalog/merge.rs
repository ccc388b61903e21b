//! Many offerings, one catalog.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use bytes::Bytes;

use crate::catalog::edit::{ObjectEdit, entries};
use crate::catalog::hygiene::{self, Note, Shown};
use crate::catalog::instructions;
use crate::catalog::naming::{self, RESERVED_PREFIX, Wanted};
use crate::catalog::offering::{Capabilities, ListKind, Offering};
use crate::catalog::page::{BadCursor, List, ListBuilder, MAX_PAGE};
use crate::catalog::table::{Table, Target};
use crate::catalog::uri::{self, UriRoute, UriSource, UriTable};
use crate::failure::Code;
use crate::names::{ExposedName, OriginalName, ServerName};
use crate::wire::json;

/// One server of the config with what it showed.
///
/// A server that has shown nothing yet takes part with an empty offering, so that names depend on the config alone and
/// not on who arrived first.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// Its key in the config.
    pub name: &'a ServerName,
    /// The prefix of its names, before it becomes a slug; the server's name if the config says nothing, empty for none.
    pub prefix: &'a str,
    /// What the owner wants of its tools.
    pub rules: &'a dyn Rules,
    /// What it showed.
    pub offering: &'a Offering,
}

/// The owner's wishes about the tools of one server, by their original names.
pub trait Rules {
    /// Whether this tool is shown at all.
    fn allows(&self, original: &str) -> bool;
    /// The name to show it under, still without the prefix.
    fn rename(&self, original: &str) -> Option<&str>;
    /// What to show instead of the server's own words.
    fn overrides(&self, original: &str) -> Option<Overrides<'_>>;
}

/// Replacements in a tool's definition.
#[derive(Clone, Copy, Debug, Default)]
pub struct Overrides<'a> {
    /// The title.
    pub title: Option<&'a str>,
    /// The description.
    pub description: Option<&'a str>,
    /// A raw JSON object; its members replace the annotations of the same key.
    pub annotations: Option<&'a [u8]>,
}

/// No wishes: everything is shown as it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoRules;

impl Rules for NoRules {
    fn allows(&self, _original: &str) -> bool {
        true
    }

    fn rename(&self, _original: &str) -> Option<&str> {
        None
    }

    fn overrides(&self, _original: &str) -> Option<Overrides<'_>> {
        None
    }
}

/// How to build a catalog.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The most characters of an exposed name; see [`naming::DEFAULT_MAX_NAME`].
    pub max_name: usize,
    /// The most bytes of a page; see [`MAX_PAGE`].
    pub max_page: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { max_name: naming::DEFAULT_MAX_NAME, max_page: MAX_PAGE }
    }
}

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
    servers: HashMap<ServerName, ServerPart>,
    own_names: Vec<ExposedName>,
    tools: Table,
    prompts: Table,
    lists: Lists,
    uris: UriTable,
    counts: Counts,
    capabilities: Capabilities,
    instructions: String,
    notes: Vec<Note>,
}

#[derive(Debug)]
struct ServerPart {
    index: usize,
    counts: Counts,
}

#[derive(Debug)]
struct Lists {
    tools: List,
    prompts: List,
    resources: List,
    templates: List,
}

impl Catalog {
    /// Merges the sources, which come in config order, and puts our own tools last.
    ///
    /// It takes time in proportion to all definitions: 50 servers with 100 tools of 1 KB take some milliseconds.
    pub fn build(sources: &[Source<'_>], own_tools: &[Bytes], options: Options) -> Catalog {
        Builder::new(sources, own_tools, options).build()
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

    fn list(&self, kind: ListKind) -> &List {
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

    /// Whether a result of this server may hold URIs that have to be rewritten. For most servers it cannot.
    pub fn rewrites(&self, server: &ServerName) -> bool {
        self.index(server).is_some_and(|index| self.uris.rewrites(index))
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

    /// The names of our own tools.
    pub fn own_names(&self) -> &[ExposedName] {
        &self.own_names
    }
}

// === building ===

struct Builder<'a> {
    sources: &'a [Source<'a>],
    own_tools: &'a [Bytes],
    options: Options,
    /// The slug of each server's name, for URIs and as a fallback prefix.
    server_slugs: Vec<String>,
    /// The slug of each server's prefix; empty for none.
    prefix_slugs: Vec<String>,
    notes: Vec<Note>,
}

impl<'a> Builder<'a> {
    fn new(sources: &'a [Source<'a>], own_tools: &'a [Bytes], options: Options) -> Self {
        let (server_slugs, prefix_slugs) = slugs(sources);
        Self { sources, own_tools, options, server_slugs, prefix_slugs, notes: Vec::new() }
    }

    fn build(mut self) -> Catalog {
        let tools = self.sift(ListKind::Tools);
        let prompts = self.sift(ListKind::Prompts);
        let resources = self.sift(ListKind::Resources);
        let templates = self.sift(ListKind::Templates);
        let uris = self.uri_table(&tools, &resources, &templates);

        let own_names = own_names(self.own_tools);
        let tool_names = self.exposed_names(ListKind::Tools, &tools, &own_names);
        let prompt_names = self.exposed_names(ListKind::Prompts, &prompts, &[]);
        let (tool_list, tools) = self.name_list(ListKind::Tools, tools, tool_names, |index, item, edit| {
            self.override_tool(index, &item.id, edit);
            if let Some(meta) = edit.get("_meta").and_then(|meta| uris.rewrite_meta(index, meta)) {
                edit.set("_meta", meta);
            }
        });
        let (prompt_list, prompts) = self.name_list(ListKind::Prompts, prompts, prompt_names, |_, _, _| {});
        let lists = Lists {
            tools: tool_list,
            prompts: prompt_list,
            resources: self.uri_list(ListKind::Resources, &resources, |index, uri| uris.expose(index, uri)),
            templates: self
                .uri_list(ListKind::Templates, &templates, |index, uri| uris.expose_template(index, uri)),
        };
        let mut counts = vec![Counts::default(); self.sources.len()];
        tools.targets().iter().for_each(|target| counts[target.index].tools += 1);
        prompts.targets().iter().for_each(|target| counts[target.index].prompts += 1);
        for (index, counts) in counts.iter_mut().enumerate() {
            counts.resources = resources[index].len();
            counts.templates = templates[index].len();
        }
        self.notes.sort_by_key(|note| self.sources.iter().position(|source| source.name == &note.server));
        Catalog {
            own_names,
            tools,
            prompts,
            lists,
            uris,
            counts: counts.iter().fold(Counts::default(), |sum, counts| sum.plus(*counts)),
            capabilities: self
                .sources
                .iter()
                .fold(Capabilities::default(), |all, source| all.or(source.offering.capabilities())),
            instructions: self.instructions(),
            servers: self
                .sources
                .iter()
                .zip(counts)
                .enumerate()
                .map(|(index, (source, counts))| (source.name.clone(), ServerPart { index, counts }))
                .collect(),
            notes: self.notes,
        }
    }

    /// What each server shows of one kind, fit for clients.
    fn sift(&mut self, kind: ListKind) -> Vec<Vec<Shown>> {
        let mut all = Vec::with_capacity(self.sources.len());
        for source in self.sources {
            let allows = |id: &str| kind != ListKind::Tools || source.rules.allows(id);
            let (shown, notes) = hygiene::sift(source.name, kind, source.offering.list(kind), allows);
            self.notes.extend(notes);
            all.push(shown);
        }
        all
    }

    fn uri_table(
        &self,
        tools: &[Vec<Shown>],
        resources: &[Vec<Shown>],
        templates: &[Vec<Shown>],
    ) -> UriTable {
        let refers = |tool: &Shown| {
            json::get(&tool.item, "_meta").is_some_and(|meta| uri::refers(meta.of(&tool.item)))
        };
        let sources: Vec<UriSource<'_>> = (0..self.sources.len())
            .map(|index| UriSource {
                name: self.sources[index].name,
                slug: self.server_slugs[index].clone(),
                resourceful: self.sources[index].offering.capabilities().resources
                    || !resources[index].is_empty()
                    || !templates[index].is_empty(),
                refers: tools[index].iter().any(refers),
                uris: resources[index].iter().map(|resource| resource.id.as_str()).collect(),
                templates: templates[index].iter().map(|template| template.id.as_str()).collect(),
            })
            .collect();
        UriTable::build(&sources)
    }

    /// The name of each item, `None` for one that cannot have any. Servers with a prefix come first, so that no
    /// server without one can take a name from them.
    fn exposed_names(
        &mut self,
        kind: ListKind,
        all: &[Vec<Shown>],
        own: &[ExposedName],
    ) -> Vec<Vec<Option<ExposedName>>> {
        let mut taken: HashSet<String> = own.iter().map(|name| name.as_str().to_owned()).collect();
        let mut names = vec![Vec::new(); all.len()];
        let (bare, prefixed): (Vec<usize>, Vec<usize>) =
            (0..all.len()).partition(|&index| self.prefix_slugs[index].is_empty());
        for index in prefixed.into_iter().chain(bare) {
            names[index] = self.names_of(kind, index, &all[index], &mut taken);
        }
        names
    }

    fn names_of(
        &mut self,
        kind: ListKind,
        index: usize,
        shown: &[Shown],
        taken: &mut HashSet<String>,
    ) -> Vec<Option<ExposedName>> {
        let Source { name: server, rules, .. } = self.sources[index];
        let max_name = self.options.max_name;
        let renamed =
            |id: &str| if kind == ListKind::Tools { rules.rename(id).map(str::to_owned) } else { None };
        let wanted: Vec<Wanted> = shown
            .iter()
            .map(|shown| Wanted {
                original: OriginalName::new(shown.id.as_str()),
                renamed: renamed(&shown.id),
            })
            .collect();
        let slug = &self.prefix_slugs[index];
        let names = naming::outward(server, slug, &wanted, max_name);
        let fallback = if slug.is_empty() {
            naming::outward(server, &self.server_slugs[index], &wanted, max_name)
        } else {
            Vec::new()
        };
        let mut given = Vec::with_capacity(names.len());
        for (at, name) in names.into_iter().enumerate() {
            let last = fallback.get(at).unwrap_or(&name);
            let hashed = ExposedName::new(naming::hashed(server, last.as_str(), &shown[at].id, max_name));
            let free = |name: &&ExposedName| {
                !name.as_str().starts_with(RESERVED_PREFIX) && !taken.contains(name.as_str())
            };
            let chosen = [&name, last, &hashed].into_iter().find(free).cloned();
            match &chosen {
                Some(name) => {
                    taken.insert(name.as_str().to_owned());
                }
                None => self.notes.push(Note {
                    server: server.clone(),
                    kind,
                    original: shown[at].id.clone(),
                    code: Code::ToolHeld,
                    text: format!(
                        "every name for this {} is taken; give the server another prefix",
                        kind.noun()
                    ),
                }),
            }
            given.push(chosen);
        }
        given
    }

    /// The list of a kind that has names, and the table that leads back.
    fn name_list(
        &self,
        kind: ListKind,
        all: Vec<Vec<Shown>>,
        names: Vec<Vec<Option<ExposedName>>>,
        change: impl Fn(usize, &Shown, &mut ObjectEdit<'_>),
    ) -> (List, Table) {
        let mut list = ListBuilder::new(kind, self.options.max_page);
        let mut targets = Vec::new();
        for (index, (shown, names)) in all.into_iter().zip(names).enumerate() {
            for (item, exposed) in shown.into_iter().zip(names) {
                let Some(exposed) = exposed else { continue };
                let mut edit = ObjectEdit::open(&item.item);
                let original_quoted = Bytes::copy_from_slice(edit.get("name").unwrap_or_default());
                edit.set("name", json::quote(exposed.as_str()));
                change(index, &item, &mut edit);
                list.push(|page| edit.write(page));
                targets.push(Target {
                    server: self.sources[index].name.clone(),
                    index,
                    original: OriginalName::new(item.id),
                    original_quoted,
                    exposed,
                    definition: Bytes::new(),
                });
            }
        }
        if kind == ListKind::Tools {
            self.own_tools.iter().for_each(|tool| list.push(|page| page.extend_from_slice(tool)));
        }
        let (list, definitions) = list.finish();
        let mut table = Table::with_capacity(targets.len());
        for (target, definition) in targets.into_iter().zip(definitions) {
            table.push(Target { definition, ..target });
        }
        (list, table)
    }

    fn uri_list<'s>(
        &self,
        kind: ListKind,
        all: &'s [Vec<Shown>],
        expose: impl Fn(usize, &'s str) -> Cow<'s, str>,
    ) -> List {
        let mut list = ListBuilder::new(kind, self.options.max_page);
        for (index, shown) in all.iter().enumerate() {
            for item in shown {
                let exposed = expose(index, &item.id);
                list.push(|page| {
                    if exposed == item.id {
                        page.extend_from_slice(&item.item);
                    } else {
                        let mut edit = ObjectEdit::open(&item.item);
                        edit.set(kind.id_key(), json::quote(&exposed));
                        edit.write(page);
                    }
                });
            }
        }
        list.finish().0
    }

    fn override_tool(&self, index: usize, original: &str, edit: &mut ObjectEdit<'_>) {
        let Some(overrides) = self.sources[index].rules.overrides(original) else { return };
        if let Some(title) = overrides.title {
            edit.set("title", json::quote(title));
        }
        if let Some(description) = overrides.description {
            edit.set("description", json::quote(description));
        }
        if let Some(annotations) = overrides.annotations {
            let own = edit.get("annotations").unwrap_or(b"{}").to_vec();
            let mut merged = ObjectEdit::open(&own);
            for (key, value) in entries(annotations) {
                merged.set(&key, value.to_vec());
            }
            if let Some(merged) = merged.finish() {
                edit.set("annotations", merged);
            }
        }
    }

    fn instructions(&self) -> String {
        let texts: Vec<(&ServerName, String)> = self
            .sources
            .iter()
            .filter_map(|source| Some((source.name, source.offering.instructions()?)))
            .collect();
        instructions::merge(self.sources.len(), &texts)
    }
}

/// The slugs of the servers' names and of their prefixes. A prefix that nobody set is the name itself; one that was
/// set comes first, because somebody chose it.
fn slugs(sources: &[Source<'_>]) -> (Vec<String>, Vec<String>) {
    let names = naming::slugs(sources.iter().map(|source| (source.name, source.name.as_str())));
    let prefixed = sources.iter().filter(|source| !source.prefix.is_empty());
    let mut given = naming::slugs(prefixed.map(|source| (source.name, source.prefix))).into_iter();
    let prefix = |source: &Source<'_>| if source.prefix.is_empty() { None } else { given.next() };
    (names, sources.iter().map(prefix).map(Option::unwrap_or_default).collect())
}

fn own_names(own_tools: &[Bytes]) -> Vec<ExposedName> {
    let name =
        |tool: &Bytes| Some(ExposedName::new(json::string(json::get(tool, "name")?.of(tool))?.as_ref()));
    own_tools.iter().filter_map(name).collect()
}

impl Counts {
    fn plus(self, other: Counts) -> Counts {
        Counts {
            tools: self.tools + other.tools,
            prompts: self.prompts + other.prompts,
            resources: self.resources + other.resources,
            templates: self.templates + other.templates,
        }
    }
}
