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
                // Either may speak of a URI that the other one lists.
                let first = *table.schemes.entry(scheme).or_insert(index);
                shared[index] |= first != index;
                shared[first] |= first != index;
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Servers as name, URIs, templates; the slug is the name.
    type Listed<'a> = (&'a str, &'a [&'a str], &'a [&'a str]);

    fn table(servers: &[Listed<'_>]) -> UriTable {
        let names: Vec<ServerName> = servers.iter().map(|(name, ..)| ServerName::from(*name)).collect();
        let sources: Vec<UriSource<'_>> = servers
            .iter()
            .zip(&names)
            .map(|((slug, uris, templates), name)| UriSource {
                name,
                slug: (*slug).to_owned(),
                resourceful: !uris.is_empty() || !templates.is_empty(),
                refers: false,
                uris: uris.to_vec(),
                templates: templates.to_vec(),
            })
            .collect();
        UriTable::build(&sources)
    }

    fn route(table: &UriTable, uri: &str) -> Option<(String, String)> {
        table.route(uri).map(|route| (route.server.as_str().to_owned(), route.original.into_owned()))
    }

    fn leads(table: &UriTable, uri: &str, server: &str, original: &str) {
        assert_eq!(route(table, uri), Some((server.to_owned(), original.to_owned())), "{uri}");
    }

    #[test]
    fn uris_pass_unless_somebody_else_has_them() {
        let table = table(&[
            ("a", &["file:///x", "ui://app/1"], &["file:///{p}", "db://{t}"]),
            ("b", &["file:///x", "test://1"], &["db://{t}", "db://rows/{id}"]),
            ("c", &["other:1", "relative.txt", "switchboard+x:y:z"], &[]),
            ("d", &[], &[]),
        ]);
        let cases = [
            (0, "file:///x", "file:///x"),
            (0, "ui://app/1", "ui://a/app/1"),
            (1, "file:///x", "switchboard+b:file:///x"),
            (1, "test://1", "test://1"),
            (1, "test://unlisted", "test://unlisted"),
            (1, "db://rows/1", "db://rows/1"),
            (1, "file:///unlisted", "switchboard+b:file:///unlisted"),
            (1, "https://example.org/", "https://example.org/"),
            (2, "relative.txt", "switchboard+c:relative.txt"),
            (2, "switchboard+x:y:z", "switchboard+c:switchboard+x:y:z"),
            (3, "file:///x", "file:///x"),
        ];
        for (index, original, exposed) in cases {
            assert_eq!(table.expose(index, original), exposed, "{index} {original}");
        }
        assert_eq!(table.expose_template(1, "db://{t}"), "switchboard+b:db://{t}");
        assert_eq!(table.expose_template(1, "db://rows/{id}"), "db://rows/{id}");
        assert_eq!(table.expose_template(1, "ui://x/{id}"), "ui://b/x/{id}");
        assert_eq!(table.expose_template(1, "{+any}"), "switchboard+b:{+any}");
        leads(&table, "db://rows/1", "b", "db://rows/1");
        leads(&table, "db://t", "a", "db://t");
        leads(&table, "switchboard+b:db://t", "b", "db://t");
        leads(&table, "TEST://later", "b", "TEST://later");
        leads(&table, "ui://b/app/1", "b", "ui://app/1");
        assert_eq!(route(&table, "ui://unknown/app"), None);
        assert_eq!(route(&table, "mailto:x"), None);
        assert_eq!((0..4).map(|index| table.rewrites(index)).collect::<Vec<_>>(), [true, true, true, false]);
    }

    #[test]
    fn one_server_alone_gets_everything_and_changes_nothing() {
        let table = table(&[("a", &["file:///x"], &[]), ("b", &[], &[])]);
        leads(&table, "unheard:of", "a", "unheard:of");
        assert!(!table.rewrites(0) && !table.rewrites(1));
    }

    #[test]
    fn results_are_rewritten_at_the_known_places_only() {
        let table = table(&[("a", &["t:1"], &[]), ("b", &["t:1"], &[])]);
        let check = |result: &str, expected: Option<&str>| {
            let rewritten = table.rewrite_result(1, result.as_bytes());
            assert_eq!(rewritten.as_deref().map(String::from_utf8_lossy).as_deref(), expected, "{result}");
        };
        check(
            r#"{ "contents":[{"uri":"t:1","text":"t:1"},{"uri":"https://x"}] , "n":1.10}"#,
            Some(
                r#"{ "contents":[{"uri":"switchboard+b:t:1","text":"t:1"},{"uri":"https://x"}] , "n":1.10}"#,
            ),
        );
        check(
            r#"{"content":[{"type":"resource_link","uri":"t:\u0031"},{"type":"resource","resource":{"uri":"t:1"}},{"type":"text","uri":"t:1"},7],"structuredContent":{"uri":"t:1"}}"#,
            Some(
                r#"{"content":[{"type":"resource_link","uri":"switchboard+b:t:1"},{"type":"resource","resource":{"uri":"switchboard+b:t:1"}},{"type":"text","uri":"t:1"},7],"structuredContent":{"uri":"t:1"}}"#,
            ),
        );
        check(
            r#"{"messages":[{"role":"user","content":{"type":"resource","resource":{"uri":"t:1"}}},{"content":[{"type":"resource_link","uri":"t:1"}]}]}"#,
            Some(
                r#"{"messages":[{"role":"user","content":{"type":"resource","resource":{"uri":"switchboard+b:t:1"}}},{"content":[{"type":"resource_link","uri":"switchboard+b:t:1"}]}]}"#,
            ),
        );
        check(
            r#"{"_meta":{"ui":{"resourceUri":"ui://app"},"ui/resourceUri":"ui://app"}}"#,
            Some(r#"{"_meta":{"ui":{"resourceUri":"ui://b/app"},"ui/resourceUri":"ui://b/app"}}"#),
        );
        check(r#"{"content":[{"type":"text","text":"t:1"}],"contents":{"uri":"t:1"}}"#, None);
        assert_eq!(table.rewrite_result(0, br#"{"contents":[{"uri":"t:1"}]}"#), None);
    }

    fn uri() -> impl Strategy<Value = String> {
        prop_oneof![
            "(a|b|A):[xy/]{0,3}",
            "(ui|skill|UI)://[ab]?/?[xy]{0,2}",
            "switchboard\\+[ab]?:?[xy:]{0,3}",
            "[xy/]{0,3}",
            "(a|b):\\{x\\}",
            ".{0,10}",
        ]
    }

    proptest! {
        #[test]
        fn what_clients_see_leads_back(
            lists in prop::collection::vec((prop::collection::vec(uri(), 1..5), prop::collection::vec("(a|b|ui):/?\\{[+]?x\\}/?[xy]?", 0..3)), 1..5),
            more in prop::collection::vec(uri(), 0..5),
        ) {
            let slugs = ["a", "b", "c", "d"];
            let borrowed: Vec<(Vec<&str>, Vec<&str>)> = lists
                .iter()
                .map(|(uris, templates)| (uris.iter().map(String::as_str).collect(), templates.iter().map(String::as_str).collect()))
                .collect();
            let listed: Vec<Listed<'_>> =
                slugs.iter().zip(&borrowed).map(|(slug, (uris, templates))| (*slug, &uris[..], &templates[..])).collect();
            let table = table(&listed);
            for (index, (slug, uris, _)) in listed.iter().enumerate() {
                for original in uris.iter().copied().chain(more.iter().map(String::as_str)) {
                    let exposed = table.expose(index, original);
                    prop_assert_eq!(route(&table, &exposed), Some(((*slug).to_owned(), original.to_owned())), "{}", exposed);
                }
            }
            let all: Vec<String> = listed
                .iter()
                .enumerate()
                .flat_map(|(index, (_, uris, _))| {
                    uris.iter().collect::<HashSet<_>>().into_iter().map(move |uri| (index, uri)).collect::<Vec<_>>()
                })
                .map(|(index, uri)| table.expose(index, uri).into_owned())
                .collect();
            prop_assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len(), "{:?}", all);
        }
    }
}
