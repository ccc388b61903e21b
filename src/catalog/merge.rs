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
use crate::wire::{Splice, json};

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

impl Overrides<'_> {
    fn apply(&self, edit: &mut ObjectEdit<'_>) {
        if let Some(title) = self.title {
            edit.set("title", json::quote(title));
        }
        if let Some(description) = self.description {
            edit.set("description", json::quote(description));
        }
        if let Some(annotations) = self.annotations {
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
        let (tool_list, tools) = self.name_list(ListKind::Tools, tools, tool_names, &uris);
        let (prompt_list, prompts) = self.name_list(ListKind::Prompts, prompts, prompt_names, &uris);
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
        let refers = |tool: &Shown| tool.meta().is_some_and(uri::refers);
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
        uris: &UriTable,
    ) -> (List, Table) {
        let mut list = ListBuilder::new(kind, self.options.max_page);
        let mut targets = Vec::new();
        for (index, (shown, names)) in all.into_iter().zip(names).enumerate() {
            for (item, exposed) in shown.into_iter().zip(names) {
                let Some(exposed) = exposed else { continue };
                let original_quoted = Bytes::copy_from_slice(item.quoted_id());
                list.push(|page| self.write_named(kind, index, &item, &exposed, uris, page));
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
                let mut splice = Splice::new(&item.item);
                if exposed != item.id {
                    splice.replace(item.places.id, json::quote(&exposed));
                }
                list.push(|page| splice.pieces().for_each(|piece| page.extend_from_slice(piece)));
            }
        }
        list.finish().0
    }

    /// Writes a definition under its exposed name. Only a tool with overrides is taken apart for it.
    fn write_named(
        &self,
        kind: ListKind,
        index: usize,
        item: &Shown,
        exposed: &ExposedName,
        uris: &UriTable,
        page: &mut Vec<u8>,
    ) {
        let name = json::quote(exposed.as_str());
        let meta = item.meta().and_then(|meta| uris.rewrite_meta(index, meta));
        let rules = self.sources[index].rules;
        if let Some(overrides) =
            Some(kind).filter(|kind| *kind == ListKind::Tools).and_then(|_| rules.overrides(&item.id))
        {
            let mut edit = ObjectEdit::open(&item.item);
            edit.set("name", name);
            if let Some(meta) = meta {
                edit.set("_meta", meta);
            }
            overrides.apply(&mut edit);
            edit.write(page);
            return;
        }
        let mut splice = Splice::new(&item.item);
        splice.replace(item.places.id, name);
        if let (Some(span), Some(meta)) = (item.places.meta, meta) {
            splice.replace(span, meta);
        }
        splice.pieces().for_each(|piece| page.extend_from_slice(piece));
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A server with its prefix and tools; prompts are the same names.
    fn server(name: &str, tools: &[&str]) -> (ServerName, Offering) {
        let item = |tool: &&str| {
            Bytes::from(format!(
                r#"{{"description":"of {name}","name":{},"inputSchema":{{"type":"object"}}}}"#,
                quoted(tool)
            ))
        };
        let items: Vec<Bytes> = tools.iter().map(item).collect();
        (ServerName::from(name), Offering { tools: items.clone(), prompts: items, ..Offering::default() })
    }

    fn quoted(text: &str) -> String {
        String::from_utf8(json::quote(text)).unwrap()
    }

    fn own() -> Vec<Bytes> {
        vec![Bytes::from_static(br#"{"name":"switchboard__status","inputSchema":{"type":"object"}}"#)]
    }

    fn build(servers: &[((ServerName, Offering), &str)]) -> Catalog {
        build_with(servers, &NoRules, Options::default())
    }

    fn build_with(
        servers: &[((ServerName, Offering), &str)],
        rules: &dyn Rules,
        options: Options,
    ) -> Catalog {
        let source = |((name, offering), prefix): &'_ ((ServerName, Offering), &'_ str)| {
            (name.clone(), offering.clone(), (*prefix).to_owned())
        };
        let parts: Vec<(ServerName, Offering, String)> = servers.iter().map(source).collect();
        let sources: Vec<Source<'_>> =
            parts.iter().map(|(name, offering, prefix)| Source { name, prefix, rules, offering }).collect();
        Catalog::build(&sources, &own(), options)
    }

    fn listed(catalog: &Catalog, kind: ListKind) -> Vec<String> {
        let mut names = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let page = catalog.page(kind, cursor.as_deref()).unwrap();
            assert!(json::check(&page).is_ok());
            let items = json::get(&page, kind.key()).unwrap().of(&page);
            names.extend(json::elements(items).map(|item| {
                let item = item.of(items);
                json::string(json::get(item, kind.id_key()).unwrap().of(item)).unwrap().into_owned()
            }));
            let next =
                json::get(&page, "nextCursor").map(|next| json::string(next.of(&page)).unwrap().into_owned());
            if next.is_none() {
                return names;
            }
            cursor = next;
        }
    }

    fn found(catalog: &Catalog, name: &str) -> Option<(String, String)> {
        catalog
            .tool(name)
            .map(|target| (target.server.as_str().to_owned(), target.original.as_str().to_owned()))
    }

    fn pair(server: &str, original: &str) -> Option<(String, String)> {
        Some((server.to_owned(), original.to_owned()))
    }

    #[test]
    fn lists_keep_order_and_bytes() {
        let catalog = build(&[(server("B", &["z", "a.b"]), "B"), (server("a", &["z"]), "web")]);
        assert_eq!(listed(&catalog, ListKind::Tools), ["b__z", "b__a_b", "web__z", "switchboard__status"]);
        assert_eq!(listed(&catalog, ListKind::Prompts), ["b__z", "b__a_b", "web__z"]);
        let target = catalog.tool("b__a_b").unwrap();
        assert_eq!(
            target.definition,
            &br#"{"description":"of B","name":"b__a_b","inputSchema":{"type":"object"}}"#[..]
        );
        assert_eq!(target.original_quoted, &b"\"a.b\""[..]);
        assert_eq!((target.index, catalog.prompt("web__z").unwrap().index), (0, 1));
        assert_eq!(catalog.counts(), Counts { tools: 3, prompts: 3, ..Counts::default() });
        assert_eq!(catalog.counts_of(&"a".into()).tools, 1);
        assert_eq!(catalog.own_names(), ["switchboard__status".into()]);
    }

    #[test]
    fn names_are_found_in_several_spellings() {
        let catalog = build(&[
            (server("my.srv", &["read", "both", "switchboard__status"]), "m"),
            (server("o", &["both", "a/b"]), "o"),
        ]);
        assert_eq!(found(&catalog, "m__read"), pair("my.srv", "read"));
        assert_eq!(found(&catalog, "read"), pair("my.srv", "read"));
        assert_eq!(found(&catalog, "a/b"), pair("o", "a/b"));
        assert_eq!(found(&catalog, "both"), None);
        for spelling in ["my.srv.both", "my.srv/both", "my.srv:both"] {
            assert_eq!(found(&catalog, spelling), pair("my.srv", "both"));
        }
        assert_eq!(found(&catalog, "o:a/b"), pair("o", "a/b"));
        assert_eq!(found(&catalog, "o_both"), None);
        assert_eq!(found(&catalog, "switchboard__status"), None, "our own name is never a server's");
        assert_eq!(found(&catalog, "m__switchboard__status"), pair("my.srv", "switchboard__status"));
        assert_eq!(catalog.nearest_tools("m_raed", 1), ["m__read".into()]);
        assert!(catalog.nearest_tools("zzzzqq", 3).is_empty());
    }

    #[test]
    fn a_bare_name_gives_way_to_prefixed_and_earlier_ones() {
        let catalog = build(&[
            (server("one", &["a", "x__y", "switchboard__z"]), ""),
            (server("two", &["a"]), ""),
            (server("x", &["y"]), "x"),
        ]);
        let expected = ["a", "one__x__y", "one__switchboard__z", "two__a", "x__y", "switchboard__status"];
        assert_eq!(listed(&catalog, ListKind::Tools), expected);
    }

    #[test]
    fn servers_with_the_same_slug_stay_apart() {
        let catalog = build(&[(server("a b", &["t"]), "a b"), (server("a-b", &["t"]), "a-b")]);
        let names = listed(&catalog, ListKind::Tools);
        assert_eq!(names[0], "a-b__t");
        assert!(names[1].starts_with("a-b-") && names[1].ends_with("__t"), "{names:?}");
    }

    struct Wishes;

    impl Rules for Wishes {
        fn allows(&self, original: &str) -> bool {
            original != "secret"
        }

        fn rename(&self, original: &str) -> Option<&str> {
            (original == "q").then_some("query")
        }

        fn overrides(&self, original: &str) -> Option<Overrides<'_>> {
            (original == "q").then_some(Overrides {
                title: Some("Web \"search\""),
                description: Some("Find."),
                annotations: Some(br#"{"readOnlyHint":true}"#),
            })
        }
    }

    #[test]
    fn the_owners_rules_are_obeyed() {
        let (name, mut offering) = server("s", &["secret", "r"]);
        offering.tools.insert(
            0,
            Bytes::from_static(
                br#"{"name":"q","vendor":1.10,"annotations":{"readOnlyHint":false,"x":1},"inputSchema":{"type":"object"}}"#,
            ),
        );
        let catalog = build_with(&[((name, offering), "s")], &Wishes, Options::default());
        assert_eq!(listed(&catalog, ListKind::Tools), ["s__query", "s__r", "switchboard__status"]);
        assert_eq!(listed(&catalog, ListKind::Prompts), ["s__secret", "s__r"], "the rules are about tools");
        let expected = br#"{"name":"s__query","vendor":1.10,"annotations":{"readOnlyHint":true,"x":1},"inputSchema":{"type":"object"},"title":"Web \"search\"","description":"Find."}"#;
        assert_eq!(catalog.tool("s__query").unwrap().definition, &expected[..]);
        assert_eq!(found(&catalog, "q"), pair("s", "q"));
        assert_eq!(found(&catalog, "secret"), None, "what is not shown cannot be called by another spelling");
        assert_eq!(found(&catalog, "s.secret"), None);
    }

    #[test]
    fn bad_definitions_cost_nobody_else() {
        let (name, mut offering) = server("s", &["good"]);
        offering.tools.push(Bytes::from_static(br#"{"name":"mended","outputSchema":{}}"#));
        offering.tools.push(Bytes::from_static(br#"{"name":"bad","inputSchema":{"type":"string"}}"#));
        let catalog = build(&[((name, offering), "s"), (server("t", &["x"]), "t")]);
        assert_eq!(
            listed(&catalog, ListKind::Tools),
            ["s__good", "s__mended", "t__x", "switchboard__status"]
        );
        let notes: Vec<(&str, Code)> =
            catalog.notes().iter().map(|note| (note.original.as_str(), note.code)).collect();
        assert_eq!(
            notes,
            [("mended", Code::ToolRepaired), ("mended", Code::ToolRepaired), ("bad", Code::ToolHeld)]
        );
    }

    #[test]
    fn resources_keep_their_uris_unless_shared() {
        let resources = |uris: &[&str]| Offering {
            resources: uris
                .iter()
                .map(|uri| Bytes::from(format!(r#"{{"name":"n","uri":"{uri}","v":1.0}}"#)))
                .collect(),
            templates: vec![Bytes::from_static(br#"{"uriTemplate":"f:{x}","name":"n"}"#)],
            tools: vec![Bytes::from_static(
                br#"{"name":"t","_meta":{"ui":{"resourceUri":"ui://app"}},"inputSchema":{"type":"object"}}"#,
            )],
            ..Offering::default()
        };
        let catalog = build(&[
            (("a".into(), resources(&["f:1", "ui://app"])), "a"),
            (("B!".into(), resources(&["f:1", "f:1", "g:2"])), "b"),
        ]);
        assert_eq!(listed(&catalog, ListKind::Resources), ["f:1", "ui://a/app", "switchboard+b:f:1", "g:2"]);
        assert_eq!(listed(&catalog, ListKind::Templates), ["f:{x}", "switchboard+b:f:{x}"]);
        let definition = &catalog.tool("b__t").unwrap().definition;
        assert_eq!(
            &definition[..],
            br#"{"name":"b__t","_meta":{"ui":{"resourceUri":"ui://b/app"}},"inputSchema":{"type":"object"}}"#
        );
        let b = ServerName::from("B!");
        assert_eq!(
            catalog.route_uri("switchboard+b:f:1").map(|route| (route.server.clone(), route.original)),
            Some((b.clone(), "f:1".into()))
        );
        assert_eq!(catalog.expose_uri(&b, "f:1"), "switchboard+b:f:1");
        assert!(catalog.rewrites(&b));
        assert_eq!(catalog.rewrite_result(&"nobody".into(), b"{}"), None);
    }

    #[test]
    fn digests_follow_the_list() {
        let one = build(&[(server("a", &["x"]), "a"), (server("b", &[]), "b")]);
        let same = build(&[(server("a", &["x"]), "a")]);
        let other = build(&[(server("a", &["x", "y"]), "a")]);
        assert_eq!(one.digest(ListKind::Tools), same.digest(ListKind::Tools));
        assert_ne!(one.digest(ListKind::Tools), other.digest(ListKind::Tools));
        assert_eq!(one.digest(ListKind::Resources), other.digest(ListKind::Resources));
    }

    #[test]
    fn nothing_at_all_is_a_catalog_too() {
        let catalog = build(&[]);
        assert_eq!(listed(&catalog, ListKind::Tools), ["switchboard__status"]);
        assert_eq!(catalog.page(ListKind::Prompts, None).unwrap(), &br#"{"prompts":[]}"#[..]);
        assert_eq!(catalog.page(ListKind::Prompts, Some("")), Err(BadCursor));
        assert!(catalog.instructions().contains("switchboard__status"));
        assert_eq!(catalog.route_uri("a:b"), None);
    }

    /// Not a test of time, which depends on the machine; run with `--release -- --ignored --nocapture` to see it.
    #[test]
    #[ignore = "prints how long a large build takes"]
    fn large_build() {
        let properties = (0..8)
            .map(|n| format!(r#""property_{n}":{{"type":"string","description":"{}"}}"#, "word ".repeat(12)));
        let schema = format!(
            r#"{{"type":"object","properties":{{{}}},"required":["property_0"]}}"#,
            properties.collect::<Vec<_>>().join(",")
        );
        let tool = |n| {
            Bytes::from(format!(
                r#"{{"name":"tool_number_{n}","description":"Does it.","inputSchema":{schema}}}"#
            ))
        };
        let offering = Offering { tools: (0..100).map(tool).collect(), ..Offering::default() };
        let servers: Vec<((ServerName, Offering), String)> = (0..50)
            .map(|n| ((format!("server{n}").as_str().into(), offering.clone()), format!("server{n}")))
            .collect();
        let sources: Vec<Source<'_>> = servers
            .iter()
            .map(|((name, offering), prefix)| Source { name, prefix, rules: &NoRules, offering })
            .collect();
        for _ in 0..5 {
            let start = std::time::Instant::now();
            let catalog = Catalog::build(&sources, &own(), Options::default());
            let took = start.elapsed();
            let bytes = listed(&catalog, ListKind::Tools).len();
            println!("{bytes} tools of {} bytes: {took:?}", offering.tools[0].len());
        }
    }

    fn servers() -> impl Strategy<Value = Vec<(String, Vec<String>, bool)>> {
        let tools = prop::collection::vec(prop_oneof!["[ab._]{1,3}", "[a-c]__[ab]{1,2}", ".{0,60}"], 0..8);
        prop::collection::vec(("[a-cA-C_]{1,3}", tools, any::<bool>()), 0..6).prop_map(|mut servers| {
            let mut seen = HashSet::new();
            servers.retain(|(name, ..)| seen.insert(name.clone()));
            servers
        })
    }

    fn build_some(servers: &[(String, Vec<String>, bool)], max_page: usize) -> Catalog {
        let built: Vec<((ServerName, Offering), &str)> = servers
            .iter()
            .map(|(name, tools, prefixed)| {
                let tools: Vec<&str> = tools.iter().map(String::as_str).collect();
                (server(name, &tools), if *prefixed { name.as_str() } else { "" })
            })
            .collect();
        build_with(&built, &NoRules, Options { max_page, ..Options::default() })
    }

    proptest! {
        #[test]
        fn every_shown_name_is_legal_unique_and_leads_back(servers in servers(), max_page in 300_usize..5000) {
            let catalog = build_some(&servers, max_page);
            let names = listed(&catalog, ListKind::Tools);
            let unique: HashSet<&String> = names.iter().collect();
            prop_assert_eq!(unique.len(), names.len(), "{:?}", names);
            let targets = catalog.tools();
            prop_assert_eq!(names.len(), targets.len() + 1);
            for (name, target) in names.iter().zip(targets) {
                prop_assert_eq!(name, target.exposed.as_str());
                prop_assert!((1..=52).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)));
                prop_assert_eq!(found(&catalog, name), pair(target.server.as_str(), target.original.as_str()));
                let (_, tools, _) = servers.iter().find(|(server, ..)| server == target.server.as_str()).unwrap();
                prop_assert!(tools.iter().any(|tool| tool == target.original.as_str()));
            }
            let wanted: usize = servers
                .iter()
                .map(|(_, tools, _)| tools.iter().filter(|tool| !tool.is_empty()).collect::<HashSet<_>>().len())
                .sum();
            prop_assert_eq!(targets.len(), wanted, "no tool is lost");
        }

        #[test]
        fn other_servers_never_rename_a_prefixed_ones_tools(servers in servers(), gone in any::<prop::sample::Index>()) {
            prop_assume!(!servers.is_empty());
            let slug_of = |name: &str| naming::slug(name);
            let slugs: HashSet<String> = servers.iter().map(|(name, ..)| slug_of(name)).collect();
            prop_assume!(slugs.len() == servers.len() && !slugs.contains(""));
            let names = |catalog: &Catalog, server: &str| -> Vec<String> {
                let of = catalog.tools().iter().filter(|target| target.server.as_str() == server);
                of.map(|target| target.exposed.as_str().to_owned()).collect()
            };
            let all = build_some(&servers, MAX_PAGE);
            let mut fewer = servers.clone();
            fewer.remove(gone.index(servers.len()));
            fewer.reverse();
            let fewer_catalog = build_some(&fewer, MAX_PAGE);
            for (name, _, _) in fewer.iter().filter(|(_, _, prefixed)| *prefixed) {
                prop_assert_eq!(names(&fewer_catalog, name), names(&all, name));
            }
        }
    }
}
