//! Which server a resource URI belongs to, and under which URI clients see it.
//!
//! A URI is an identity that also stands in free text, so it passes unchanged wherever it can. It is changed only if
//! it would lead elsewhere otherwise:
//!
//! - `ui://` and `skill://` are private names by convention; the server's slug becomes their first segment.
//! - What another server owns, and what is no absolute URI, is wrapped: `switchboard+<slug>:<uri>`.

mod rewrite;
mod template;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use crate::names::ServerName;
use template::Template;

pub(super) use rewrite::refers;

/// The schemes whose URIs always carry the server.
const SPECIAL: [&str; 2] = ["ui://", "skill://"];

/// How wrapped URIs begin.
const WRAPPED: &str = "switchboard+";

/// Where a URI leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UriRoute<'a> {
    /// The server that has it.
    pub server: &'a ServerName,
    /// The server's place among the sources that the catalog was built of.
    pub index: usize,
    /// The server's own URI for it.
    pub original: Cow<'a, str>,
}

/// The URIs of all servers.
#[derive(Debug, Default)]
pub(super) struct UriTable {
    servers: Vec<UriServer>,
    by_slug: HashMap<String, usize>,
    /// Who listed a URI first.
    owners: HashMap<String, usize>,
    /// Templates under their own spelling, in config order, with who listed them first.
    templates: Vec<(Template, usize)>,
    template_owners: HashMap<String, usize>,
    /// Who uses a scheme first, by its lower-case spelling.
    schemes: HashMap<String, usize>,
    /// The one server with resources, if there is only one.
    only: Option<usize>,
}

#[derive(Debug)]
struct UriServer {
    name: ServerName,
    slug: String,
    resourceful: bool,
    rewrites: bool,
}

/// What one server has to do with URIs.
pub(super) struct UriSource<'a> {
    pub(super) name: &'a ServerName,
    pub(super) slug: String,
    /// It declares or lists resources.
    pub(super) resourceful: bool,
    /// A tool of its refers to a `ui://` resource.
    pub(super) refers: bool,
    pub(super) uris: Vec<&'a str>,
    pub(super) templates: Vec<&'a str>,
}

impl UriTable {
    /// Takes the servers in config order.
    pub(super) fn build(sources: &[UriSource<'_>]) -> Self {
        let mut table = UriTable::default();
        let mut shared = vec![false; sources.len()];
        for (index, source) in sources.iter().enumerate() {
            table.by_slug.insert(source.slug.clone(), index);
            let mut own_schemes = HashSet::new();
            for &uri in source.uris.iter().chain(&source.templates) {
                if needs_server(uri) {
                    shared[index] = true;
                } else {
                    own_schemes.extend(scheme(uri).map(str::to_ascii_lowercase));
                }
            }
            for uri in source.uris.iter().filter(|uri| !needs_server(uri)) {
                shared[index] |= *table.owners.entry((*uri).to_owned()).or_insert(index) != index;
            }
            for template in source.templates.iter().filter(|template| !needs_server(template)) {
                let owner = *table.template_owners.entry((*template).to_owned()).or_insert(index);
                shared[index] |= owner != index;
                if owner == index {
                    table.templates.push((Template::parse(template), index));
                }
            }
            for scheme in own_schemes {
                shared[index] |= *table.schemes.entry(scheme).or_insert(index) != index;
            }
        }
        let resourceful: Vec<usize> =
            (0..sources.len()).filter(|&index| sources[index].resourceful).collect();
        table.only = if let [only] = resourceful[..] { Some(only) } else { None };
        table.servers = sources
            .iter()
            .zip(shared)
            .map(|(source, shared)| UriServer {
                name: source.name.clone(),
                slug: source.slug.clone(),
                resourceful: source.resourceful,
                rewrites: shared || source.refers,
            })
            .collect();
        table
    }

    /// See [`Catalog::route_uri`](crate::catalog::Catalog::route_uri).
    pub(super) fn route<'a>(&'a self, exposed: &'a str) -> Option<UriRoute<'a>> {
        let (index, original) = self.find(exposed)?;
        Some(UriRoute { server: &self.servers.get(index)?.name, index, original })
    }

    fn find<'a>(&self, exposed: &'a str) -> Option<(usize, Cow<'a, str>)> {
        if let Some(found) = self.without_server(exposed) {
            return Some(found);
        }
        Some((self.find_plain(exposed)?, Cow::Borrowed(exposed)))
    }

    /// Takes the server out of a URI that we changed.
    fn without_server<'a>(&self, exposed: &'a str) -> Option<(usize, Cow<'a, str>)> {
        if let Some(rest) = exposed.strip_prefix(WRAPPED) {
            let (slug, original) = rest.split_once(':')?;
            return Some((*self.by_slug.get(slug)?, Cow::Borrowed(original)));
        }
        let (start, rest) = split_special(exposed)?;
        let (slug, rest) = rest.split_once('/')?;
        Some((*self.by_slug.get(slug)?, Cow::Owned(format!("{start}{rest}"))))
    }

    /// Whose URI this is, if it is an unchanged one.
    fn find_plain(&self, uri: &str) -> Option<usize> {
        let by_template = || {
            let matching = self.templates.iter().filter(|(template, _)| template.matches(uri));
            // `max_by_key` gives the last of equals; the first in config order is wanted.
            matching.rev().max_by_key(|(template, _)| template.literal_prefix()).map(|(_, index)| *index)
        };
        let by_scheme = || self.schemes.get(&scheme(uri)?.to_ascii_lowercase()).copied();
        self.owners.get(uri).copied().or_else(by_template).or_else(by_scheme).or(self.only)
    }

    /// The URI under which clients see this server's URI.
    pub(super) fn expose<'a>(&self, index: usize, original: &'a str) -> Cow<'a, str> {
        let Some(server) = self.servers.get(index) else { return Cow::Borrowed(original) };
        if let Some((start, rest)) = split_special(original) {
            return Cow::Owned(format!("{start}{}/{rest}", server.slug));
        }
        if needs_server(original) {
            return Cow::Owned(server.wrap(original));
        }
        match self.find_plain(original) {
            Some(found) if found == index => Cow::Borrowed(original),
            // Nobody could read it anyway, or the client fetches it by itself.
            _ if !server.resourceful => Cow::Borrowed(original),
            None if is_web(original) => Cow::Borrowed(original),
            _ => Cow::Owned(server.wrap(original)),
        }
    }

    /// The template under which clients see this server's template.
    pub(super) fn expose_template<'a>(&self, index: usize, original: &'a str) -> Cow<'a, str> {
        let Some(server) = self.servers.get(index) else { return Cow::Borrowed(original) };
        if let Some((start, rest)) = split_special(original) {
            return Cow::Owned(format!("{start}{}/{rest}", server.slug));
        }
        if needs_server(original) || self.template_owners.get(original).is_some_and(|owner| *owner != index) {
            return Cow::Owned(server.wrap(original));
        }
        Cow::Borrowed(original)
    }

    pub(super) fn rewrites(&self, index: usize) -> bool {
        self.servers.get(index).is_some_and(|server| server.rewrites)
    }
}

impl UriServer {
    fn wrap(&self, original: &str) -> String {
        format!("{WRAPPED}{}:{original}", self.slug)
    }
}

/// Whether a URI never passes unchanged: a private scheme, our own wrapping (of a Switchboard behind us), no scheme.
fn needs_server(uri: &str) -> bool {
    split_special(uri).is_some() || uri.starts_with(WRAPPED) || scheme(uri).is_none()
}

fn split_special(uri: &str) -> Option<(&str, &str)> {
    let length = SPECIAL.iter().map(|start| start.len()).find(|length| {
        uri.get(..*length)
            .is_some_and(|start| SPECIAL.iter().any(|special| special.eq_ignore_ascii_case(start)))
    })?;
    Some(uri.split_at(length))
}

/// The scheme of an absolute URI (RFC 3986 §3.1).
fn scheme(uri: &str) -> Option<&str> {
    let (scheme, _) = uri.split_once(':')?;
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    (scheme.starts_with(|first: char| first.is_ascii_alphabetic()) && scheme.bytes().all(legal))
        .then_some(scheme)
}

fn is_web(uri: &str) -> bool {
    scheme(uri).is_some_and(|scheme| ["http", "https"].iter().any(|web| web.eq_ignore_ascii_case(scheme)))
}
