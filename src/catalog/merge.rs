//! Many offerings, one catalog.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::OnceLock;

use bytes::Bytes;

use crate::catalog::arguments::{ArgumentWish, wished};
use crate::catalog::edit::{ObjectEdit, entries};
use crate::catalog::hygiene::{self, Note, Remark, Shown};
use crate::catalog::instructions;
use crate::catalog::naming::{self, RESERVED_PREFIX, Wanted};
use crate::catalog::offering::{Capabilities, Offering, Part};
use crate::catalog::page::{List, ListBuilder, MAX_PAGE};
use crate::catalog::snapshot::{Catalog, Counts, Held, Lists, ServerPart};
use crate::catalog::table::{Table, Target};
use crate::catalog::uri::{self, UriSource, UriTable};
use crate::failure::Code;
use crate::names::{ExposedName, OriginalName, ServerName};
use crate::protocol::ListKind;
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
    /// What is to be said of the item at this place of a part of the server's offering, whatever the part.
    fn remarks(&self, _part: Part, _index: usize) -> Vec<Remark> {
        Vec::new()
    }
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
    /// What becomes of arguments, by the server's own names.
    pub arguments: &'a [(String, ArgumentWish)],
}

impl Overrides<'_> {
    fn apply(&self, edit: &mut ObjectEdit<'_>) {
        if let Some(title) = self.title {
            edit.set("title", json::quote(title));
        }
        if let Some(description) = self.description {
            edit.set("description", json::quote(description));
        }
        if !self.arguments.is_empty()
            && let Some(schema) = edit.get("inputSchema").and_then(|schema| wished(schema, self.arguments))
        {
            edit.set("inputSchema", schema);
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

/// See [`Catalog::build`].
pub(super) fn merge(sources: &[Source<'_>], own_tools: &[Bytes], options: Options) -> Catalog {
    Builder::new(sources, own_tools, options).build()
}

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
        let mut held = Vec::new();
        let (tool_list, tools) = self.name_list(ListKind::Tools, tools, tool_names, &uris, &mut held);
        let (prompt_list, prompts) =
            self.name_list(ListKind::Prompts, prompts, prompt_names, &uris, &mut held);
        let lists = Lists {
            tools: tool_list,
            prompts: prompt_list,
            resources: self
                .uri_list(ListKind::Resources, &resources, &mut held, |index, uri| uris.expose(index, uri)),
            templates: self.uri_list(ListKind::Templates, &templates, &mut held, |index, uri| {
                uris.expose_template(index, uri)
            }),
        };
        let mut counts = vec![Counts::default(); self.sources.len()];
        tools.targets().iter().for_each(|target| counts[target.index].tools += 1);
        prompts.targets().iter().for_each(|target| counts[target.index].prompts += 1);
        for (index, counts) in counts.iter_mut().enumerate() {
            let shown = |all: &[Vec<Shown>]| all[index].iter().filter(|item| item.held.is_none()).count();
            (counts.resources, counts.templates) = (shown(&resources), shown(&templates));
        }
        let instructions = self.instructions_of_each();
        self.notes.sort_by_key(|note| self.sources.iter().position(|source| source.name == &note.server));
        Catalog {
            own_names,
            tools,
            prompts,
            held,
            lists,
            uris,
            counts: counts.iter().fold(Counts::default(), |sum, counts| sum.plus(*counts)),
            capabilities: self
                .sources
                .iter()
                .fold(Capabilities::default(), |all, source| all.or(source.offering.capabilities())),
            instructions: self.instructions(&instructions),
            servers: self
                .sources
                .iter()
                .zip(counts.into_iter().zip(instructions))
                .enumerate()
                .map(|(index, (source, (counts, instructions)))| {
                    (source.name.clone(), ServerPart { index, counts, instructions })
                })
                .collect(),
            notes: self.notes,
        }
    }

    /// What each server shows of one kind, fit for clients.
    fn sift(&mut self, kind: ListKind) -> Vec<Vec<Shown>> {
        let mut all = Vec::with_capacity(self.sources.len());
        for source in self.sources {
            let allows = |id: &str| kind != ListKind::Tools || source.rules.allows(id);
            let revision = source.offering.revision();
            let (shown, notes) =
                hygiene::sift(source.name, kind, source.offering.list(kind), revision, allows, |index| {
                    source.rules.remarks(kind.into(), index)
                });
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
        let refers = |tool: &Shown| tool.held.is_none() && tool.meta().is_some_and(uri::refers);
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
            let free = |name: &ExposedName| {
                !name.as_str().starts_with(RESERVED_PREFIX) && !taken.contains(name.as_str())
            };
            // The hash is worth some microseconds, and thousands of names do without.
            let hashed = || ExposedName::new(naming::hashed(server, last.as_str(), &shown[at].id, max_name));
            let chosen = [&name, last].into_iter().find(|name| free(name)).cloned();
            let chosen = chosen.or_else(|| Some(hashed()).filter(free));
            match &chosen {
                Some(name) => {
                    taken.insert(name.as_str().to_owned());
                }
                None => self.notes.push(Note {
                    server: server.clone(),
                    kind: kind.into(),
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
        held: &mut Vec<Held>,
    ) -> (List, Table) {
        let mut list = ListBuilder::new(kind, self.options.max_page);
        let mut targets = Vec::new();
        let mut bare = Vec::new();
        for (index, (shown, names)) in all.into_iter().zip(names).enumerate() {
            for (item, exposed) in shown.into_iter().zip(names) {
                let Some(exposed) = exposed else { continue };
                if let Some(reason) = item.held {
                    let server = self.sources[index].name.clone();
                    bare.push(item.id.clone());
                    held.push(Held { kind, server, original: OriginalName::new(item.id), exposed, reason });
                    continue;
                }
                let original_quoted = Bytes::copy_from_slice(item.quoted_id());
                list.push(|page| self.write_named(kind, index, &item, &exposed, uris, page));
                targets.push(Target {
                    server: self.sources[index].name.clone(),
                    index,
                    original: OriginalName::new(item.id),
                    original_quoted,
                    exposed,
                    definition: Bytes::new(),
                    claims: OnceLock::new(),
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
        bare.iter().for_each(|original| table.reserve(original));
        (list, table)
    }

    fn uri_list<'s>(
        &self,
        kind: ListKind,
        all: &'s [Vec<Shown>],
        held: &mut Vec<Held>,
        expose: impl Fn(usize, &'s str) -> Cow<'s, str>,
    ) -> List {
        let mut list = ListBuilder::new(kind, self.options.max_page);
        for (index, shown) in all.iter().enumerate() {
            for item in shown {
                let exposed = expose(index, &item.id);
                if let Some(reason) = item.held.clone() {
                    let server = self.sources[index].name.clone();
                    let (original, exposed) =
                        (OriginalName::new(item.id.as_str()), ExposedName::new(exposed.as_ref()));
                    held.push(Held { kind, server, original, exposed, reason });
                    continue;
                }
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

    /// How each server wants to be used, but for what is held back.
    fn instructions_of_each(&mut self) -> Vec<Option<String>> {
        let mut all = Vec::with_capacity(self.sources.len());
        for source in self.sources {
            let text = source.offering.instructions();
            let remarks = text.is_some().then(|| source.rules.remarks(Part::Instructions, 0));
            let mut is_held = false;
            for Remark { code, text, holds } in remarks.unwrap_or_default() {
                is_held |= holds;
                let (server, kind) = (source.name.clone(), Part::Instructions);
                self.notes.push(Note { server, kind, original: kind.key().to_owned(), code, text });
            }
            all.push(text.filter(|_| !is_held));
        }
        all
    }

    fn instructions(&self, of_each: &[Option<String>]) -> String {
        let texts: Vec<(&ServerName, String)> = self
            .sources
            .iter()
            .zip(of_each)
            .filter_map(|(source, text)| Some((source.name, text.clone()?)))
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

#[cfg(test)]
mod tests;
