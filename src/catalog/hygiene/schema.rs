//! What a tool's schemas need to look like at their root, and how to get them there.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use bytes::Bytes;

use super::{is_list_of, is_object, is_string};
use crate::catalog::edit::{ObjectEdit, entries};
use crate::protocol::{Revision, StructuredContent};
use crate::wire::json::{self, Kind};

/// A schema after a look at it.
#[derive(Default)]
pub(super) struct Looked {
    /// The changed schema, if it had to change.
    pub(super) schema: Option<Bytes>,
    /// A sentence for each change.
    pub(super) notes: Vec<String>,
    /// What the model should know about arguments, now that the schema no longer says it.
    pub(super) advice: Option<String>,
}

/// Looks at an `inputSchema`; `Err` says why the tool cannot be shown.
pub(super) fn input(schema: Option<&[u8]>) -> Result<Looked, String> {
    let schema = match schema.map(|schema| (json::kind(schema), schema)) {
        Some((Kind::Object, schema)) => schema,
        None | Some((Kind::Null, _) | (Kind::Bool, b"true")) => {
            let notes = vec!["it has no `inputSchema`, so one that takes any object was added".to_owned()];
            return Ok(Looked {
                schema: Some(Bytes::from_static(br#"{"type":"object"}"#)),
                notes,
                advice: None,
            });
        }
        Some(_) => return Err("its `inputSchema` is not an object".to_owned()),
    };
    let mut edit = ObjectEdit::open(schema);
    let mut looked = Looked::default();
    let root = edit.get("type").map(root_type);
    match root {
        Some(RootType::Object) => {}
        None | Some(RootType::Open) => {
            edit.set("type", &b"\"object\""[..]);
            looked.notes.push("the `type` of its `inputSchema` was set to `object`".to_owned());
        }
        Some(RootType::Other(found)) => {
            return Err(format!(
                "its `inputSchema` has the type {found}, and arguments are always an object"
            ));
        }
    }
    members(&mut edit, &mut looked.notes, "inputSchema");
    looked.advice = flatten(&mut edit, schema, &mut looked.notes);
    looked.schema = edit.finish();
    Ok(looked)
}

/// Looks at an `outputSchema` of a server of this revision; `Err` says why it cannot be shown.
pub(super) fn output(schema: &[u8], revision: &Revision) -> Result<Looked, String> {
    let any_root = revision.structured_content == StructuredContent::Any;
    let object_root = || {
        json::get(schema, "type").is_some_and(|span| matches!(root_type(span.of(schema)), RootType::Object))
    };
    if !is_object(schema) {
        return Err("its `outputSchema` is not an object".to_owned());
    }
    if !any_root && !object_root() {
        return Err("its `outputSchema` does not have the type `object`".to_owned());
    }
    let mut edit = ObjectEdit::open(schema);
    let mut looked = Looked::default();
    members(&mut edit, &mut looked.notes, "outputSchema");
    looked.schema = edit.finish();
    Ok(looked)
}

enum RootType {
    Object,
    /// Objects are allowed among others, or nothing is said.
    Open,
    Other(String),
}

fn root_type(value: &[u8]) -> RootType {
    let is_object_word = |word: &[u8]| json::string(word).is_some_and(|word| word == "object");
    match json::kind(value) {
        Kind::String if is_object_word(value) => RootType::Object,
        Kind::Null => RootType::Open,
        Kind::Array if json::elements(value).any(|word| is_object_word(word.of(value))) => RootType::Open,
        _ => RootType::Other(String::from_utf8_lossy(&value[..value.len().min(40)]).into_owned()),
    }
}

/// `properties` must hold objects and `required` strings.
fn members(edit: &mut ObjectEdit<'_>, notes: &mut Vec<String>, name: &str) {
    for key in edit.drop_doubles() {
        notes.push(format!("`{key}` stood twice in its `{name}`; the last one was kept"));
    }
    let properties = edit.get("properties");
    if properties.is_some_and(|properties| !is_object(properties)) {
        edit.remove("properties");
        notes.push(format!("`properties` of its `{name}` is not an object and was removed"));
    } else if let Some(properties) = properties {
        let mut inner = ObjectEdit::open(properties);
        let changed = inner.change_each(|property| match as_object(property) {
            Cow::Borrowed(_) => None,
            Cow::Owned(object) => Some(object.into()),
        });
        if let Some(mended) = inner.finish() {
            edit.set("properties", mended);
            notes.push(format!(
                "properties of its `{name}` that were not objects became one: {}",
                changed.join(", ")
            ));
        }
    }
    if edit.get("required").is_some_and(|required| !is_list_of(required, is_string)) {
        edit.remove("required");
        notes.push(format!("`required` of its `{name}` is not a list of strings and was removed"));
    }
}

/// A property's schema as an object: `true` and `false` are schemas too, and anything else says nothing.
fn as_object(property: &[u8]) -> Cow<'_, [u8]> {
    match property {
        b"false" => Cow::Owned(br#"{"not":{}}"#.to_vec()),
        _ if is_object(property) => Cow::Borrowed(property),
        _ => Cow::Owned(b"{}".to_vec()),
    }
}

// === combinations at the root ===

const COMBINATIONS: [&str; 3] = ["allOf", "anyOf", "oneOf"];

/// How many branches are looked into, so that references which multiply cost no time.
const MAX_BRANCHES: usize = 200;

/// The most sets of required arguments that are spelt out for the model.
const MAX_SETS: usize = 6;

/// Takes `allOf`, `anyOf` and `oneOf` away from the root: their properties join the root's, and what every valid object
/// must have stays required. Returns what the model should know beside.
fn flatten(edit: &mut ObjectEdit<'_>, root: &[u8], notes: &mut Vec<String>) -> Option<String> {
    let present: Vec<&str> = COMBINATIONS.into_iter().filter(|key| edit.get(key).is_some()).collect();
    if present.is_empty() {
        return None;
    }
    let mut walk = Walk { root, left: MAX_BRANCHES };
    let mut gathered = Gathered::default();
    for key in COMBINATIONS {
        if let Some(list) = json::get(root, key).map(|span| span.of(root)).filter(|_| present.contains(&key))
        {
            walk.combine(key, list, 0, &mut gathered);
        }
    }
    for key in &present {
        edit.remove(key);
    }
    add_properties(edit, &gathered);
    add_required(edit, &gathered.required);
    notes.push(format!(
        "{} at the root of its `inputSchema` was folded into `properties`",
        present.join(", ")
    ));
    gathered.advice
}

/// What the branches say.
#[derive(Default)]
struct Gathered<'a> {
    order: Vec<Cow<'a, str>>,
    properties: HashMap<Cow<'a, str>, Variants<'a>>,
    required: Vec<Cow<'a, str>>,
    /// Something is said that is neither properties nor required.
    more: bool,
    advice: Option<String>,
}

/// The different schemas of one property, and whether all of them apply.
struct Variants<'a> {
    schemas: Vec<Cow<'a, [u8]>>,
    all: bool,
}

impl<'a> Gathered<'a> {
    fn property(&mut self, name: Cow<'a, str>, schema: Cow<'a, [u8]>, all: bool) {
        let order = &mut self.order;
        let variants = self.properties.entry(name).or_insert_with_key(|name| {
            order.push(name.clone());
            Variants { schemas: Vec::new(), all }
        });
        variants.all &= all;
        if !variants.schemas.contains(&schema) {
            variants.schemas.push(schema);
        }
    }

    fn require(&mut self, name: Cow<'a, str>) {
        if !self.required.contains(&name) {
            self.required.push(name);
        }
    }
}

struct Walk<'a> {
    root: &'a [u8],
    left: usize,
}

impl<'a> Walk<'a> {
    /// Adds what one combination says.
    fn combine(&mut self, key: &str, list: &'a [u8], depth: usize, into: &mut Gathered<'a>) {
        let all = key == "allOf";
        let mut sets: Vec<Vec<Cow<'a, str>>> = Vec::new();
        for span in json::elements(list) {
            let mut branch = Gathered::default();
            self.branch(span.of(list), depth + 1, &mut branch);
            for name in branch.order {
                let variants = branch.properties.remove(&name);
                for schema in variants.into_iter().flat_map(|variants| variants.schemas) {
                    into.property(name.clone(), schema, all);
                }
            }
            into.more |= branch.more;
            sets.push(branch.required);
        }
        if all {
            sets.into_iter().flatten().for_each(|name| into.require(name));
            if into.more {
                into.advice.get_or_insert_with(|| GENERAL_ADVICE.to_owned());
            }
            return;
        }
        let mut sets_left = sets.iter();
        let mut common: Vec<Cow<'a, str>> = sets_left.next().cloned().unwrap_or_default();
        for set in sets_left {
            common.retain(|name| set.contains(name));
        }
        into.advice = Some(advice(key, &sets, &common));
        common.into_iter().for_each(|name| into.require(name));
    }

    fn branch(&mut self, schema: &'a [u8], depth: usize, into: &mut Gathered<'a>) {
        if depth > 8 || self.left == 0 || !is_object(schema) {
            into.more = true;
            return;
        }
        self.left -= 1;
        for (key, value) in entries(schema) {
            match &*key {
                "properties" => {
                    for (name, property) in entries(value) {
                        into.property(name, as_object(property), true);
                    }
                }
                "required" => {
                    json::elements(value).filter_map(|name| json::string(name.of(value))).for_each(|name| {
                        into.require(name);
                    });
                }
                "$ref" => match json::string(value).and_then(|pointer| self.resolve(&pointer)) {
                    Some(target) => self.branch(target, depth + 1, into),
                    None => into.more = true,
                },
                "allOf" | "anyOf" | "oneOf" => self.combine(&key, value, depth, into),
                "type" | "title" | "description" | "additionalProperties" | "$comment" => {}
                _ => into.more = true,
            }
        }
    }

    /// Follows `#/…` within the schema; nothing else is ever followed.
    fn resolve(&self, pointer: &str) -> Option<&'a [u8]> {
        let mut at = self.root;
        for step in pointer.strip_prefix("#/")?.split('/') {
            let step = step.replace("~1", "/").replace("~0", "~");
            at = json::get(at, &step)?.of(at);
        }
        Some(at)
    }
}

const GENERAL_ADVICE: &str = "(Not every combination of these arguments is valid.)";

/// Tells in a sentence which arguments go together.
fn advice(key: &str, sets: &[Vec<Cow<'_, str>>], common: &[Cow<'_, str>]) -> String {
    let mut told = HashSet::new();
    let spelt: Vec<String> = sets
        .iter()
        .map(|set| {
            let own: Vec<String> =
                set.iter().filter(|name| !common.contains(name)).map(|name| format!("`{name}`")).collect();
            own.join(" + ")
        })
        .filter(|set| told.insert(set.clone()))
        .collect();
    let clear = spelt.len() > 1
        && spelt.len() <= MAX_SETS
        && spelt.iter().all(|set| !set.is_empty() && set.len() < 120);
    if !clear {
        return GENERAL_ADVICE.to_owned();
    }
    let how = if key == "oneOf" { "exactly" } else { "at least" };
    format!("(Give {how} one of these arguments or groups: {}.)", spelt.join(", or "))
}

fn add_properties(edit: &mut ObjectEdit<'_>, gathered: &Gathered<'_>) {
    let own = edit.get("properties").map_or_else(|| b"{}".to_vec(), <[u8]>::to_vec);
    let mut properties = ObjectEdit::open(&own);
    let known: HashSet<Cow<'_, str>> = entries(&own).map(|(name, _)| name).collect();
    for name in gathered.order.iter().filter(|name| !known.contains(*name)) {
        if let Some(variants) = gathered.properties.get(name) {
            properties.set(name, variants.to_schema());
        }
    }
    if let Some(properties) = properties.finish() {
        edit.set("properties", properties);
    }
}

impl Variants<'_> {
    fn to_schema(&self) -> Vec<u8> {
        if let [only] = &self.schemas[..] {
            return only.to_vec();
        }
        let key = if self.all { "allOf" } else { "anyOf" };
        let mut schema = format!("{{\"{key}\":[").into_bytes();
        schema.extend_from_slice(&self.schemas.join(&b','));
        schema.extend_from_slice(b"]}");
        schema
    }
}

fn add_required(edit: &mut ObjectEdit<'_>, names: &[Cow<'_, str>]) {
    let own = edit.get("required").map_or_else(|| b"[]".to_vec(), <[u8]>::to_vec);
    let known: HashSet<Cow<'_, str>> =
        json::elements(&own).filter_map(|name| json::string(name.of(&own))).collect();
    let missing: Vec<Vec<u8>> =
        names.iter().filter(|name| !known.contains(*name)).map(|name| json::quote(name)).collect();
    if missing.is_empty() {
        return;
    }
    let mut list = own.strip_suffix(b"]").unwrap_or(b"[").to_vec();
    if !known.is_empty() {
        list.push(b',');
    }
    list.extend_from_slice(&missing.join(&b','));
    list.push(b']');
    edit.set("required", list);
}
