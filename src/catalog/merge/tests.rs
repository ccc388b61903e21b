use super::*;
use crate::catalog::BadCursor;
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

fn build_with(servers: &[((ServerName, Offering), &str)], rules: &dyn Rules, options: Options) -> Catalog {
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
    catalog.tool(name).map(|target| (target.server.as_str().to_owned(), target.original.as_str().to_owned()))
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
            arguments: &[],
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
    assert_eq!(listed(&catalog, ListKind::Tools), ["s__good", "s__mended", "t__x", "switchboard__status"]);
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
    assert!(catalog.rewrites(catalog.route_uri("switchboard+b:f:1").unwrap().index));
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
        let slug_of = |name: &str| crate::names::slug(name);
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
