//! The namespace rule: which name a client sees for a server's tool or prompt. Pure functions of config and names.
//!
//! `slug(prefix)` + `__` + the name with every character outside `[A-Za-z0-9_-]` turned into `_`. Every known client
//! and model provider takes such a name as long as it has at most 64 characters together with the client's own
//! prefix. Names are compared exactly: MCP calls them case-sensitive (2025-11-25, server/tools "Tool Names"), and
//! clients look them up that way.
//!
//! - A name longer than the limit is cut and gets `_` and six characters of a hash of server and original name.
//! - Of several names of one server that become equal, the one that was not altered keeps its name, the others get
//!   the hash. So neither the order of the list nor any name outside the colliding set plays a part.
//! - A name that would begin with something else than a letter or `_` gets `t_` in front, because Gemini refuses
//!   a whole request for one such name.

use std::collections::{HashMap, HashSet};

use sha2::{Digest, Sha256};

use crate::names::{ExposedName, OriginalName, RESERVED_SLUG, ServerName, slug};

/// The limit that fits every known client with its own prefix, in characters.
pub const DEFAULT_MAX_NAME: usize = 52;

/// The smallest limit that is obeyed; below it a name would be little but hash.
pub const MIN_MAX_NAME: usize = 16;

/// How names of our own tools begin.
pub(super) const RESERVED_PREFIX: &str = "switchboard__";

const HASH: usize = 6;
const LONG_HASH: usize = 12;

/// A different slug for each server, given in config order with the text it should come from (the prefix or the
/// server's name). A slug that is empty, reserved or taken by an earlier server gets a hash of the server's name.
pub fn slugs<'a>(wanted: impl IntoIterator<Item = (&'a ServerName, &'a str)>) -> Vec<String> {
    let mut taken = HashSet::from([RESERVED_SLUG.to_owned()]);
    let mut give = |(server, text): (&ServerName, &str)| {
        let mut slug = slug(text);
        if slug.is_empty() || taken.contains(&slug) {
            let stem = if slug.is_empty() { "s" } else { &slug };
            slug = format!("{stem}-{}", hash(server, "", HASH));
        }
        taken.insert(slug.clone());
        slug
    };
    wanted.into_iter().map(&mut give).collect()
}

/// One name that wants to be shown.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The server's own name for it.
    pub original: OriginalName,
    /// The owner's name for it, from `tools.rename`.
    pub renamed: Option<String>,
}

impl Wanted {
    fn text(&self) -> &str {
        self.renamed.as_deref().unwrap_or(self.original.as_str())
    }
}

/// The names that a client sees for all tools (or all prompts) of one server, in their order.
///
/// `slug` is the server's slug (see [`slugs`]), or empty for names without a prefix. The originals must differ from
/// each other. The results do too, are legal, and have at most `max_name` characters (at least [`MIN_MAX_NAME`]).
pub fn outward(server: &ServerName, slug: &str, wanted: &[Wanted], max_name: usize) -> Vec<ExposedName> {
    let max_name = max_name.max(MIN_MAX_NAME);
    let plain: Vec<String> = wanted.iter().map(|wanted| plain(slug, wanted.text())).collect();
    let keepers = keepers(slug, wanted, &plain);
    let keeps = |index: usize| {
        plain[index].len() <= max_name && keepers.get(plain[index].as_str()) == Some(&Some(index))
    };
    let hashed = |index: usize, length: usize| {
        let room = max_name - length - 1;
        let head = &plain[index][..room.min(plain[index].len())];
        format!("{head}_{}", hash(server, wanted[index].original.as_str(), length))
    };
    // A hashed name may be another's plain name or hash, by an accident of one in a billion or by malice: it then gets a
    // longer hash.
    let mut uses: HashMap<String, usize> = HashMap::new();
    for index in 0..wanted.len() {
        if !keeps(index) {
            *uses.entry(hashed(index, HASH)).or_default() += 1;
        }
    }
    if !uses.is_empty() {
        (0..wanted.len()).filter(|&index| keeps(index)).for_each(|index| {
            uses.entry(plain[index].clone()).and_modify(|count| *count += 1);
        });
    }
    let name = |index: usize| {
        if keeps(index) {
            return plain[index].clone();
        }
        let short = hashed(index, HASH);
        if uses.get(&short) == Some(&1) { short } else { hashed(index, LONG_HASH) }
    };
    (0..wanted.len()).map(|index| ExposedName::new(name(index))).collect()
}

/// The name for one that clashes with another server's: it gets the hash whatever its length.
pub(super) fn hashed(server: &ServerName, exposed: &str, original: &str, max_name: usize) -> String {
    let room = max_name.max(MIN_MAX_NAME) - HASH - 1;
    format!("{}_{}", &exposed[..room.min(exposed.len())], hash(server, original, HASH))
}

/// The name before any cut: ASCII only, so that it can be cut anywhere.
fn plain(slug: &str, text: &str) -> String {
    let mut name = String::with_capacity(slug.len() + text.len() + 4);
    if !slug.is_empty() {
        name.push_str(slug);
        name.push_str("__");
    }
    name.extend(text.chars().map(|letter| {
        let legal = letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
        if legal { letter } else { '_' }
    }));
    if !name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_') {
        name.insert_str(0, "t_");
    }
    name
}

/// Who keeps a plain name that several want: the only one; else the only one that the owner renamed to exactly this;
/// else the one that is called exactly so by its server; else nobody.
fn keepers<'a>(slug: &str, wanted: &[Wanted], plain: &'a [String]) -> HashMap<&'a str, Option<usize>> {
    let prefix = match slug {
        "" => 0,
        _ => self::plain(slug, "").len(),
    };
    let mut sets: HashMap<&str, Vec<usize>> = HashMap::with_capacity(plain.len());
    for (index, name) in plain.iter().enumerate() {
        sets.entry(name).or_default().push(index);
    }
    let exact = |index: usize| plain[index].get(prefix..) == Some(wanted[index].text());
    let keeper = |set: Vec<usize>| {
        if let [only] = set[..] {
            return Some(only);
        }
        let mut renamed =
            set.iter().copied().filter(|&index| wanted[index].renamed.is_some() && exact(index));
        match (renamed.next(), renamed.next()) {
            (Some(one), None) => Some(one),
            (Some(_), Some(_)) => None,
            (None, _) => set.iter().copied().find(|&index| exact(index)),
        }
    };
    sets.into_iter().map(|(name, set)| (name, keeper(set))).collect()
}

/// The first characters of SHA-256 over server, a zero byte and original name, in lower-case base 32.
pub(super) fn hash(server: &ServerName, original: &str, length: usize) -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let digest =
        Sha256::new().chain_update(server.as_str()).chain_update([0]).chain_update(original).finalize();
    let bits = digest[..8].iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
    (0..length.min(LONG_HASH)).map(|at| char::from(LETTERS[(bits >> (59 - 5 * at) & 31) as usize])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wanted(original: &str) -> Wanted {
        Wanted { original: original.into(), renamed: None }
    }

    fn names(slug: &str, originals: &[&str]) -> Vec<String> {
        let wanted: Vec<Wanted> = originals.iter().map(|original| wanted(original)).collect();
        outward(&"srv".into(), slug, &wanted, DEFAULT_MAX_NAME)
            .iter()
            .map(|name| name.as_str().to_owned())
            .collect()
    }

    #[test]
    fn slugs_are_small_letters_digits_and_single_hyphens() {
        let cases = [
            ("GitHub", "github"),
            ("my_server.v2", "my-server-v2"),
            ("--a  b--", "a-b"),
            ("é", ""),
            ("1", "1"),
            ("", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(slug(text), expected, "{text:?}");
        }
    }

    #[test]
    fn slugs_differ_from_each_other_and_from_ours() {
        let servers: Vec<ServerName> =
            ["a_b", "a-b", "switchboard", "日本", "中国", "s"].map(ServerName::from).into();
        let slugs = slugs(servers.iter().map(|server| (server, server.as_str())));
        assert_eq!(slugs.iter().collect::<HashSet<_>>().len(), servers.len(), "{slugs:?}");
        assert_eq!(slugs[0], "a-b");
        assert!(
            slugs[1].starts_with("a-b-")
                && slugs[2].starts_with("switchboard-")
                && slugs[3].starts_with("s-")
        );
        assert_eq!(slugs[5], "s");
    }

    #[test]
    fn plain_names() {
        assert_eq!(
            names("files", &["read_file", "a.b", "x/y z", "é"]),
            ["files__read_file", "files__a_b", "files__x_y_z", "files___",]
        );
        assert_eq!(names("", &["read", "3d", "-x", "_x", ""]), ["read", "t_3d", "t_-x", "_x", "t_"]);
        assert_eq!(names("1p", &["get"]), ["t_1p__get"]);
    }

    #[test]
    fn the_unaltered_one_keeps_a_name_that_several_want() {
        let list = names("s", &["a.b", "a_b", "a b", "other"]);
        assert_eq!(list[1], "s__a_b");
        assert_eq!(list[3], "s__other");
        assert!(list[0].starts_with("s__a_b_") && list[0].len() == "s__a_b_".len() + 6, "{list:?}");
        assert_ne!(list[0], list[2]);
        let without = names("s", &["a.b", "a b", "other"]);
        assert_eq!([&without[0], &without[1]], [&list[0], &list[2]]);
    }

    #[test]
    fn the_owners_rename_wins() {
        let list = [wanted("query"), Wanted { original: "q".into(), renamed: Some("query".into()) }];
        let list = outward(&"srv".into(), "s", &list, 52);
        assert_eq!(list[1].as_str(), "s__query");
        assert!(list[0].as_str().starts_with("s__query_"));
    }

    #[test]
    fn long_names_are_cut_by_themselves() {
        let long = "x".repeat(60);
        let list = names("s", &[&long, "y"]);
        assert_eq!(list[0].len(), 52);
        assert_eq!(list[0], names("s", &[&long])[0]);
        assert_eq!(names("s", &[&"x".repeat(49)])[0].len(), 52);
        assert_eq!(names("s", &[&"x".repeat(49)])[0], format!("s__{}", "x".repeat(49)));
    }

    #[test]
    fn a_name_that_looks_like_a_hashed_one_takes_nothing_away() {
        let hashed = names("s", &["a.b", "a b"])[0].clone();
        let forged = hashed.strip_prefix("s__").unwrap();
        let list = names("s", &["a.b", "a b", forged]);
        assert_eq!(list[2], hashed);
        assert_eq!(list.iter().collect::<HashSet<_>>().len(), 3, "{list:?}");
    }

    #[test]
    fn the_hash_is_pinned() {
        // Users write these names into permission lists: they must never change. Computed with another program.
        assert_eq!(names("s", &["a.b", "a b"]), ["s__a_b_34exjt", "s__a_b_xksdru"]);
    }

    fn originals() -> impl Strategy<Value = Vec<String>> {
        let name = prop_oneof!["[ab._ é]{0,3}", "[a-zA-Z0-9_.-]{1,40}", ".{0,80}", "[xy]{45,60}",];
        prop::collection::hash_set(name, 0..30).prop_map(|set| set.into_iter().collect())
    }

    proptest! {
        #[test]
        fn names_are_legal_unique_bounded_and_free_of_order(
            originals in originals(), slug in "([a-z0-9]{1,12}(-[a-z0-9]{1,30})?)?", max_name in 16_usize..=64,
        ) {
            let server = ServerName::from("server");
            let list: Vec<Wanted> = originals.iter().map(|original| wanted(original)).collect();
            let names = outward(&server, &slug, &list, max_name);
            let mut seen = HashSet::new();
            for name in &names {
                let text = name.as_str();
                prop_assert!((1..=max_name).contains(&text.len()), "{}", text);
                prop_assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'));
                prop_assert!(!text.starts_with(|first: char| first == '-' || first.is_ascii_digit()));
                prop_assert!(seen.insert(text.to_owned()), "{} twice", text);
            }
            let reversed: Vec<Wanted> = list.iter().rev().cloned().collect();
            let mut again = outward(&server, &slug, &reversed, max_name);
            again.reverse();
            prop_assert_eq!(&again, &names);
        }

        #[test]
        fn a_new_sibling_renames_only_those_it_collides_with(originals in originals(), extra in "[ab._]{0,3}") {
            prop_assume!(!originals.contains(&extra));
            let server = ServerName::from("server");
            let mut list: Vec<Wanted> = originals.iter().map(|original| wanted(original)).collect();
            let before = outward(&server, "s", &list, 52);
            list.push(wanted(&extra));
            let after = outward(&server, "s", &list, 52);
            for (index, name) in before.iter().enumerate() {
                if plain("s", &originals[index]) != plain("s", &extra) {
                    prop_assert_eq!(name, &after[index]);
                }
            }
        }
    }
}
