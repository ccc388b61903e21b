//! One bad definition must not cost the others. Many clients read a list as a whole: one item that does not fit their
//! types and every tool of every server is gone, usually without a word. So each item is brought to what the strictest
//! common readers take, with as few bytes changed as possible, or is held back alone.
//!
//! The readers in mind: the type checks of the TypeScript SDK 1.x, the typed models of Rust clients (which also refuse
//! doubled keys, lone surrogates and nesting beyond 128), URL types of Python clients, and the Anthropic API, which
//! refuses a whole request for one `inputSchema` with `anyOf`, `oneOf` or `allOf` at its root.

mod quick;
mod schema;

use std::borrow::Cow;
use std::collections::HashSet;

use bytes::Bytes;

use crate::catalog::edit::{ObjectEdit, entries};
use crate::catalog::offering::ListKind;
use crate::failure::Code;
use crate::names::ServerName;
use crate::wire::json::{self, Kind};
pub(super) use quick::Places;

/// The largest definition that is shown, in bytes.
pub const MAX_DEFINITION: usize = 256 * 1024;

/// How deep a definition may nest. Common parsers stop at 128, and a list result adds a few levels.
const MAX_NESTING: usize = 100;

/// Something the owner should know about a definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Whose definition it is.
    pub server: ServerName,
    /// In which list it stands.
    pub kind: ListKind,
    /// The server's own name (or URI) for it; empty if it has none.
    pub original: String,
    /// [`Code::ToolRepaired`] or [`Code::ToolHeld`].
    pub code: Code,
    /// What was done and why, as a sentence.
    pub text: String,
}

/// What becomes of one item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is shown as it is.
    Keep,
    /// It is shown with changes.
    Repaired {
        /// The changed item.
        item: Bytes,
        /// A sentence for each change.
        notes: Vec<String>,
    },
    /// It is not shown.
    Held {
        /// Why, as a sentence.
        reason: String,
    },
}

/// Decides about one item, which must be a checked JSON value.
pub fn judge(kind: ListKind, item: &[u8]) -> Verdict {
    match look(kind, item) {
        Looked::Fine(_) => Verdict::Keep,
        Looked::Repaired(item, notes) => Verdict::Repaired { item, notes },
        Looked::Held(reason) => Verdict::Held { reason },
    }
}

/// An item that is shown.
#[derive(Debug)]
pub(super) struct Shown {
    /// Its definition, repaired where it had to be.
    pub(super) item: Bytes,
    /// Its name or URI.
    pub(super) id: String,
    /// Where its parts stand.
    pub(super) places: Places,
}

/// What is left of one server's list, in its order, and what had to be done for it.
pub(super) fn sift(
    server: &ServerName,
    kind: ListKind,
    items: &[Bytes],
    allows: impl Fn(&str) -> bool,
) -> (Vec<Shown>, Vec<Note>) {
    let mut shown: Vec<Shown> = Vec::with_capacity(items.len());
    let mut seen = HashSet::with_capacity(items.len());
    let mut notes = Vec::new();
    for raw in items {
        let looked = look(kind, raw);
        let (item, places, texts) = match looked {
            Looked::Fine(places) => (raw.clone(), places, Vec::new()),
            Looked::Repaired(item, texts) => {
                let places = Places::find(kind, &item);
                (item, places, texts)
            }
            Looked::Held(reason) => {
                let original = Places::find(kind, raw).and_then(|places| json::string(places.id.of(raw)));
                let original = original.unwrap_or_default().into_owned();
                if allows(&original) {
                    notes.push(Note {
                        server: server.clone(),
                        kind,
                        original,
                        code: Code::ToolHeld,
                        text: reason,
                    });
                }
                continue;
            }
        };
        let Some(places) = places else { continue };
        let id = json::string(places.id.of(&item)).unwrap_or_default().into_owned();
        if !allows(&id) {
            continue;
        }
        let mut note = |code, text| {
            notes.push(Note { server: server.clone(), kind, original: id.clone(), code, text });
        };
        texts.into_iter().for_each(|text| note(Code::ToolRepaired, text));
        if !seen.insert(id.clone()) {
            note(
                Code::ToolHeld,
                format!("the server lists this {} twice; the first one is shown", kind.noun()),
            );
            continue;
        }
        shown.push(Shown { item, id, places });
    }
    (shown, notes)
}

/// What a look at an item gives. `Places` is `None` only for an item without an id, which is held.
enum Looked {
    Fine(Option<Places>),
    Repaired(Bytes, Vec<String>),
    Held(String),
}

fn look(kind: ListKind, item: &[u8]) -> Looked {
    let sound = item.len() <= MAX_DEFINITION && !may_break_parsers(item);
    if let Some(places) = Some(()).filter(|()| sound).and_then(|()| quick::recognise(kind, item)) {
        return Looked::Fine(Some(places));
    }
    match repair(kind, item) {
        Ok(None) => Looked::Fine(Places::find(kind, item)),
        Ok(Some((item, notes))) => Looked::Repaired(item, notes),
        Err(reason) => Looked::Held(reason),
    }
}

/// A quick guess whether an item nests deep or has half a surrogate pair; it errs on the side of yes.
fn may_break_parsers(item: &[u8]) -> bool {
    memchr::memchr2_iter(b'{', b'[', item).nth(MAX_NESTING).is_some()
        || memchr::memmem::find_iter(item, b"\\u").any(|at| matches!(item.get(at + 2), Some(b'd' | b'D')))
}

type Repaired = Option<(Bytes, Vec<String>)>;

fn repair(kind: ListKind, item: &[u8]) -> Result<Repaired, String> {
    if json::kind(item) != Kind::Object {
        return Err(format!("this {} is not an object", kind.noun()));
    }
    too_large(item)?;
    if nests_deeper_than(item, MAX_NESTING) {
        return Err(format!(
            "its definition nests deeper than {MAX_NESTING} levels, where common parsers give up"
        ));
    }
    let whole = without_lone_surrogates(item);
    let mut repair = Repair::open(&whole);
    if matches!(whole, Cow::Owned(_)) {
        repair.note("half a surrogate pair was replaced by U+FFFD");
    }
    match kind {
        ListKind::Tools => tool(&mut repair)?,
        ListKind::Prompts => prompt(&mut repair)?,
        ListKind::Resources | ListKind::Templates => resource(&mut repair, kind.id_key())?,
    }
    let item = match repair.edit.finish() {
        Some(item) => item,
        None if matches!(whole, Cow::Owned(_)) => Bytes::copy_from_slice(&whole),
        None => return Ok(None),
    };
    too_large(&item)?;
    Ok(Some((item, repair.notes)))
}

fn too_large(item: &[u8]) -> Result<(), String> {
    if item.len() <= MAX_DEFINITION {
        return Ok(());
    }
    Err(format!(
        "its definition has {} KiB; at most {} KiB are shown",
        item.len() / 1024,
        MAX_DEFINITION / 1024
    ))
}

// === the four kinds ===

fn tool(repair: &mut Repair<'_>) -> Result<(), String> {
    repair.needs_text("name")?;
    repair.text_or_nothing(&["title", "description"]);
    repair.mend_or_nothing("annotations", tool_annotations);
    repair.keep_if("icons", "a list of icons", icons);
    repair.keep_if("execution", "an execution object", execution);
    repair.keep_if("_meta", "an object", is_object);
    let input = schema::input(repair.edit.get("inputSchema"))?;
    repair.notes.extend(input.notes);
    if let Some(advice) = input.advice {
        let description = with_advice(repair.edit.get("description"), &advice);
        repair.edit.set("description", description);
    }
    if let Some(schema) = input.schema {
        repair.edit.set("inputSchema", schema);
    }
    match repair.edit.get("outputSchema").map(schema::output) {
        None => {}
        Some(Ok(output)) => {
            repair.notes.extend(output.notes);
            if let Some(schema) = output.schema {
                repair.edit.set("outputSchema", schema);
            }
        }
        Some(Err(reason)) => {
            repair.edit.remove("outputSchema");
            repair.note(&format!("{reason} and was removed"));
        }
    }
    Ok(())
}

fn prompt(repair: &mut Repair<'_>) -> Result<(), String> {
    repair.needs_text("name")?;
    repair.text_or_nothing(&["title", "description"]);
    repair.keep_if("icons", "a list of icons", icons);
    repair.keep_if("_meta", "an object", is_object);
    repair.mend_or_nothing("arguments", prompt_arguments);
    Ok(())
}

fn resource(repair: &mut Repair<'_>, id: &str) -> Result<(), String> {
    repair.needs_text(id)?;
    if !repair.edit.get("name").is_some_and(is_string) {
        let name = Bytes::copy_from_slice(repair.edit.get(id).unwrap_or(b"\"\""));
        repair.edit.set("name", name);
        repair.note(&format!("it has no `name`, so its `{id}` was taken"));
    }
    repair.text_or_nothing(&["title", "description", "mimeType"]);
    repair.mend_or_nothing("annotations", content_annotations);
    repair.keep_if("icons", "a list of icons", icons);
    repair.keep_if("size", "a number", |value| json::kind(value) == Kind::Number);
    repair.keep_if("_meta", "an object", is_object);
    Ok(())
}

/// A definition under repair.
struct Repair<'a> {
    edit: ObjectEdit<'a>,
    notes: Vec<String>,
}

/// What a check makes of a member's value: fine, changed, or hopeless.
enum Mended {
    Fine,
    Changed(Bytes, String),
    Hopeless(&'static str),
}

impl<'a> Repair<'a> {
    fn open(item: &'a [u8]) -> Self {
        let mut edit = ObjectEdit::open(item);
        let doubled = edit.drop_doubles();
        let notes = doubled.iter().map(|key| format!("`{key}` stood twice; the last one was kept")).collect();
        Self { edit, notes }
    }

    fn note(&mut self, text: &str) {
        self.notes.push(text.to_owned());
    }

    fn needs_text(&self, key: &str) -> Result<(), String> {
        match self.edit.get(key) {
            None => Err(format!("it has no `{key}`")),
            Some(value) if !is_string(value) => Err(format!("its `{key}` is not a string")),
            Some(b"\"\"") => Err(format!("its `{key}` is empty")),
            Some(_) => Ok(()),
        }
    }

    fn text_or_nothing(&mut self, keys: &[&str]) {
        for key in keys {
            self.keep_if(key, "a string", is_string);
        }
    }

    fn keep_if(&mut self, key: &str, wanted: &str, fits: impl Fn(&[u8]) -> bool) {
        if self.edit.get(key).is_some_and(|value| !fits(value)) {
            self.edit.remove(key);
            self.note(&format!("`{key}` is not {wanted} and was removed"));
        }
    }

    fn mend_or_nothing(&mut self, key: &str, mend: impl Fn(&[u8]) -> Mended) {
        match self.edit.get(key).map(mend) {
            None | Some(Mended::Fine) => {}
            Some(Mended::Changed(value, note)) => {
                self.edit.set(key, value);
                self.note(&note);
            }
            Some(Mended::Hopeless(wanted)) => {
                self.edit.remove(key);
                self.note(&format!("`{key}` is not {wanted} and was removed"));
            }
        }
    }
}

// === members ===

fn is_string(value: &[u8]) -> bool {
    json::kind(value) == Kind::String
}

fn is_object(value: &[u8]) -> bool {
    json::kind(value) == Kind::Object
}

fn is_bool(value: &[u8]) -> bool {
    json::kind(value) == Kind::Bool
}

fn is_list_of(value: &[u8], fits: impl Fn(&[u8]) -> bool) -> bool {
    json::kind(value) == Kind::Array && json::elements(value).all(|element| fits(element.of(value)))
}

fn is_one_of(value: &[u8], words: &[&str]) -> bool {
    json::string(value).is_some_and(|text| words.contains(&&*text))
}

/// Removes the members of an object that do not fit.
fn mend_members(value: &[u8], name: &str, fits: impl Fn(&str, &[u8]) -> bool) -> Mended {
    if !is_object(value) {
        return Mended::Hopeless("an object");
    }
    let mut edit = ObjectEdit::open(value);
    let mut removed = edit.drop_doubles();
    for (key, member) in entries(value) {
        if !fits(&key, member) && edit.get(&key).is_some() {
            edit.remove(&key);
            removed.push(key.into_owned());
        }
    }
    match edit.finish() {
        None => Mended::Fine,
        Some(mended) => {
            let note =
                format!("`{name}` had members of a wrong type, which were removed: {}", removed.join(", "));
            Mended::Changed(mended, note)
        }
    }
}

fn tool_annotations(value: &[u8]) -> Mended {
    mend_members(value, "annotations", |key, member| match key {
        "title" => is_string(member),
        "readOnlyHint" | "destructiveHint" | "idempotentHint" | "openWorldHint" => is_bool(member),
        _ => true,
    })
}

fn content_annotations(value: &[u8]) -> Mended {
    mend_members(value, "annotations", |key, member| match key {
        "audience" => is_list_of(member, |role| is_one_of(role, &["user", "assistant"])),
        "priority" => number(member).is_some_and(|priority| (0.0..=1.0).contains(&priority)),
        "lastModified" => json::string(member).is_some_and(|text| is_timestamp(&text)),
        _ => true,
    })
}

fn number(value: &[u8]) -> Option<f64> {
    if json::kind(value) != Kind::Number {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// Whether a text is a date and time with an offset, as ISO 8601 and the schema of 2025-06-18 write it.
fn is_timestamp(text: &str) -> bool {
    let shape = |text: &str, shape: &str| {
        let fits =
            |(byte, wanted): (u8, u8)| if wanted == b'0' { byte.is_ascii_digit() } else { byte == wanted };
        text.len() == shape.len() && text.bytes().zip(shape.bytes()).all(fits)
    };
    let Some((moment, rest)) = text.split_at_checked(19) else { return false };
    let offset = match rest.strip_prefix('.') {
        None => rest,
        Some(fraction) => {
            let offset = fraction.trim_start_matches(|digit: char| digit.is_ascii_digit());
            if offset.len() == fraction.len() {
                return false;
            }
            offset
        }
    };
    shape(moment, "0000-00-00T00:00:00")
        && (offset == "Z" || shape(offset, "+00:00") || shape(offset, "-00:00"))
}

fn icons(value: &[u8]) -> bool {
    is_list_of(value, |icon| {
        is_object(icon)
            && json::get(icon, "src").is_some_and(|src| is_string(src.of(icon)))
            && entries(icon).all(|(key, member)| match &*key {
                "mimeType" => is_string(member),
                "sizes" => is_list_of(member, is_string),
                "theme" => is_one_of(member, &["light", "dark"]),
                _ => true,
            })
    })
}

fn execution(value: &[u8]) -> bool {
    is_object(value)
        && entries(value).all(|(key, member)| {
            key != "taskSupport" || is_one_of(member, &["required", "optional", "forbidden"])
        })
}

/// Arguments that cannot be passed (no name) are left out; their other members are optional.
fn prompt_arguments(value: &[u8]) -> Mended {
    if json::kind(value) != Kind::Array {
        return Mended::Hopeless("a list");
    }
    let mut changed = false;
    let mut list = Vec::with_capacity(value.len());
    for span in json::elements(value) {
        let argument = span.of(value);
        if !is_object(argument)
            || !json::get(argument, "name").is_some_and(|name| is_string(name.of(argument)))
        {
            changed = true;
            continue;
        }
        list.push(if list.is_empty() { b'[' } else { b',' });
        let mended = mend_members(argument, "arguments", |key, member| match key {
            "title" | "description" => is_string(member),
            "required" => is_bool(member),
            _ => true,
        });
        match mended {
            Mended::Changed(argument, _) => {
                changed = true;
                list.extend_from_slice(&argument);
            }
            _ => list.extend_from_slice(argument),
        }
    }
    if !changed {
        return Mended::Fine;
    }
    if list.is_empty() {
        list.push(b'[');
    }
    list.push(b']');
    Mended::Changed(list.into(), "`arguments` had parts of a wrong type, which were removed".to_owned())
}

/// The description with a sentence at its end. Its own text stays as it was spelt.
fn with_advice(description: Option<&[u8]>, advice: &str) -> Bytes {
    let own = description.and_then(|text| text.strip_suffix(b"\"")).unwrap_or(b"\"");
    let mut text = Vec::with_capacity(own.len() + advice.len() + 3);
    text.extend_from_slice(own);
    if own.len() > 1 {
        text.extend_from_slice(b"\\n");
    }
    text.extend_from_slice(&json::quote(advice)[1..]);
    text.into()
}

// === texts as a whole ===

fn nests_deeper_than(text: &[u8], limit: usize) -> bool {
    let opens = |byte: &u8| matches!(byte, b'{' | b'[');
    if text.iter().filter(|byte| opens(byte)).count() <= limit {
        return false;
    }
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => match json::skip_string(text, at) {
                Ok(end) => {
                    at = end;
                    continue;
                }
                Err(_) => return true,
            },
            byte if opens(byte) => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > limit {
            return true;
        }
        at += 1;
    }
    false
}

/// JSON allows `\ud800` alone, strict parsers do not. Each such half becomes `\ufffd`.
fn without_lone_surrogates(text: &[u8]) -> Cow<'_, [u8]> {
    let unit = |at: usize| {
        let digits = text.get(at..at + 6)?.strip_prefix(b"\\u")?;
        u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    let mut mended = Cow::Borrowed(text);
    let mut at = 0;
    while let Some(found) = text.get(at..).and_then(|rest| memchr::memchr(b'\\', rest)) {
        at += found;
        at += match unit(at) {
            Some(0xd800..0xdc00) if matches!(unit(at + 6), Some(0xdc00..0xe000)) => 12,
            Some(0xd800..0xe000) => {
                mended.to_mut()[at..at + 6].copy_from_slice(b"\\ufffd");
                6
            }
            _ => 2,
        };
    }
    mended
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn outcome(kind: ListKind, item: &str) -> String {
        match judge(kind, item.as_bytes()) {
            Verdict::Keep => "kept".to_owned(),
            Verdict::Repaired { item, notes } => {
                assert!(!notes.is_empty());
                assert!(json::check(&item).is_ok(), "{}", String::from_utf8_lossy(&item));
                assert_eq!(judge(kind, &item), Verdict::Keep, "a repair is complete: {item:?}");
                String::from_utf8(item.to_vec()).unwrap()
            }
            Verdict::Held { reason } => format!("held: {reason}"),
        }
    }

    fn tool(item: &str, expected: &str) {
        assert_eq!(outcome(ListKind::Tools, item), expected, "{item}");
    }

    /// A tool with this `inputSchema`.
    fn input(schema: &str, expected: &str) {
        let wrap = |schema: &str| format!(r#"{{"name":"a","inputSchema":{schema}}}"#);
        let expected = if expected == "kept" || expected.starts_with("held") {
            expected.to_owned()
        } else {
            wrap(expected)
        };
        tool(&wrap(schema), &expected);
    }

    #[test]
    fn good_definitions_keep_every_byte() {
        tool(
            r#"{ "name" : "a" , "inputSchema" : { "type":"object" , "properties":{"x":{"type":["string","null"]}},"required":["x"],"$defs":{} } }"#,
            "kept",
        );
        tool(
            r#"{"name":"a","title":"A","description":"","inputSchema":{"type":"object","additionalProperties":false,"if":{},"then":{}},
            "outputSchema":{"type":"object","anyOf":[{}]},"annotations":{"title":"x","readOnlyHint":true,"vendor":null},
            "icons":[{"src":"data:,","sizes":["any"],"theme":"dark","x":1}],"execution":{"taskSupport":"optional"},"_meta":{"a/b":null},"vendor":[1.10,1e400]}"#,
            "kept",
        );
        assert_eq!(
            outcome(ListKind::Prompts, r#"{"name":"p","arguments":[{"name":"x","required":true,"more":1}]}"#),
            "kept"
        );
        assert_eq!(
            outcome(
                ListKind::Resources,
                r#"{"uri":"a:b","name":"n","size":5,"annotations":{"audience":["user"],"priority":0.5,"lastModified":"2025-01-12T15:00:58Z"}}"#
            ),
            "kept"
        );
        assert_eq!(outcome(ListKind::Templates, r#"{"uriTemplate":"a:{b}","name":"n"}"#), "kept");
    }

    #[test]
    fn common_definitions_are_recognised_in_one_pass() {
        for (kind, item) in [
            (
                ListKind::Tools,
                r#"{ "name":"a" ,"title":"b","inputSchema":{"type":"object","properties":{"x":{}},"required":["x"]},"_meta":{}}"#,
            ),
            (ListKind::Prompts, r#"{"name":"p","arguments":[{"name":"x"}]}"#),
            (ListKind::Resources, r#"{"uri":"a:b","name":"n","mimeType":"text/plain"}"#),
            (ListKind::Templates, r#"{"uriTemplate":"a:{b}","name":"n"}"#),
        ] {
            assert_eq!(
                quick::recognise(kind, item.as_bytes()),
                Places::find(kind, item.as_bytes()),
                "{item}"
            );
        }
    }

    #[test]
    fn nothing_without_a_name_is_shown() {
        tool("7", "held: this tool is not an object");
        tool(r#"{"inputSchema":{"type":"object"}}"#, "held: it has no `name`");
        tool(r#"{"name":"","inputSchema":{"type":"object"}}"#, "held: its `name` is empty");
        tool(r#"{"name":5,"inputSchema":{"type":"object"}}"#, "held: its `name` is not a string");
        assert_eq!(outcome(ListKind::Prompts, "{}"), "held: it has no `name`");
        assert_eq!(outcome(ListKind::Resources, r#"{"name":"a"}"#), "held: it has no `uri`");
        assert_eq!(
            outcome(ListKind::Templates, r#"{"uriTemplate":null}"#),
            "held: its `uriTemplate` is not a string"
        );
    }

    #[test]
    fn optional_members_of_a_wrong_type_go() {
        let base = r#"{"name":"a","inputSchema":{"type":"object"}}"#;
        for member in [
            r#""title":null"#,
            r#""description":5"#,
            r#""annotations":[]"#,
            r#""icons":{}"#,
            r#""icons":[{"src":1}]"#,
            r#""icons":[{"src":"x","sizes":"any"}]"#,
            r#""icons":[{"src":"x","theme":"blue"}]"#,
            r#""execution":true"#,
            r#""execution":{"taskSupport":"maybe"}"#,
            r#""_meta":null"#,
            r#""outputSchema":null"#,
            r#""outputSchema":{}"#,
            r#""outputSchema":{"type":"array"}"#,
            r#""outputSchema":true"#,
        ] {
            tool(&base.replace(r#""inputSchema""#, &format!(r#"{member}, "inputSchema""#)), base);
            tool(&format!("{},{member}}}", base.strip_suffix('}').unwrap()), base);
        }
        tool(
            r#"{"name":"a","annotations":{"readOnlyHint":"yes","vendor":[1], "title":null},"inputSchema":{"type":"object"}}"#,
            r#"{"name":"a","annotations":{"vendor":[1]},"inputSchema":{"type":"object"}}"#,
        );
        assert_eq!(
            outcome(
                ListKind::Resources,
                r#"{"uri":"a:b","mimeType":null,"size":"5","annotations":{"audience":["robot"],"priority":2,"lastModified":"yesterday"}}"#
            ),
            r#"{"uri":"a:b","annotations":{},"name":"a:b"}"#
        );
        assert_eq!(
            outcome(
                ListKind::Prompts,
                r#"{"name":"p","arguments":[{"name":"x","required":"yes"},7,{"description":"d"},{"name":"y","description":null}]}"#
            ),
            r#"{"name":"p","arguments":[{"name":"x"},{"name":"y"}]}"#
        );
        assert_eq!(
            outcome(ListKind::Prompts, r#"{"name":"p","arguments":[7]}"#),
            r#"{"name":"p","arguments":[]}"#
        );
        assert_eq!(outcome(ListKind::Prompts, r#"{"name":"p","arguments":null}"#), r#"{"name":"p"}"#);
    }

    #[test]
    fn an_input_schema_becomes_an_object_schema() {
        tool(r#"{"name":"a"}"#, r#"{"name":"a","inputSchema":{"type":"object"}}"#);
        input("null", r#"{"type":"object"}"#);
        input("true", r#"{"type":"object"}"#);
        input("{}", r#"{"type":"object"}"#);
        input(r#"{"type":["object","null"],"x":1}"#, r#"{"type":"object","x":1}"#);
        input(
            r#"{"type":"array"}"#,
            r#"held: its `inputSchema` has the type "array", and arguments are always an object"#,
        );
        input("[]", "held: its `inputSchema` is not an object");
        input(
            r#"{"type":"object","properties":{"a":true,"b":false,"c":{"type":"strin"},"d":null}}"#,
            r#"{"type":"object","properties":{"a":{},"b":{"not":{}},"c":{"type":"strin"},"d":{}}}"#,
        );
        input(r#"{"type":"object","properties":[],"required":"a"}"#, r#"{"type":"object"}"#);
        input(r#"{"type":"object","required":[1]}"#, r#"{"type":"object"}"#);
        input(r#"{"type":"string","type":"object"}"#, r#"{"type":"object"}"#);
    }

    #[test]
    fn combinations_at_the_root_are_folded() {
        tool(
            r##"{"name":"a","description":"Does \"it\".","inputSchema":{"type":"object","properties":{"x":{"a":1}},"required":["x"],
"oneOf":[{"properties":{"x":{"b":2},"y":{}},"required":["x","y"]},{"$ref":"#/$defs/Z"}],"$defs":{"Z":{"properties":{"z":true},"required":["x","z"]}}}}"##,
            r##"{"name":"a","description":"Does \"it\".\n(Give exactly one of these arguments or groups: `y`, or `z`.)","inputSchema":{"type":"object","properties":{"x":{"a":1},"y":{},"z":{}},"required":["x"],
"$defs":{"Z":{"properties":{"z":true},"required":["x","z"]}}}}"##,
        );
        input(
            r#"{"allOf":[{"properties":{"a":{"x":1}},"required":["a"]},{"properties":{"a":{"x":2}},"required":["b"]}]}"#,
            r#"{"type":"object","properties":{"a":{"allOf":[{"x":1},{"x":2}]}},"required":["a","b"]}"#,
        );
        tool(
            r#"{"name":"a","inputSchema":{"type":"object","anyOf":[{"properties":{"k":{"const":"p"}}},{"properties":{"k":{"const":"q"}}}]}}"#,
            r#"{"name":"a","inputSchema":{"type":"object","properties":{"k":{"anyOf":[{"const":"p"},{"const":"q"}]}}},"description":"(Not every combination of these arguments is valid.)"}"#,
        );
    }

    #[test]
    fn references_that_multiply_or_turn_in_circles_cost_no_time() {
        let level = |n: usize| {
            format!(r##""d{n}":{{"allOf":[{{"$ref":"#/$defs/d{}"}},{{"$ref":"#/$defs/d{0}"}}]}}"##, n + 1)
        };
        let defs: Vec<String> = (0..40).map(level).collect();
        let bomb = format!(
            r##"{{"name":"a","inputSchema":{{"type":"object","allOf":[{{"$ref":"#/$defs/d0"}},{{"$ref":"#"}}],"$defs":{{{}}}}}}}"##,
            defs.join(",")
        );
        assert!(outcome(ListKind::Tools, &bomb).starts_with("{\"name\""));
    }

    #[test]
    fn texts_that_break_parsers_are_mended_or_held() {
        tool(
            r#"{"name":"a","description":"\ud83d\ude00 \ud83d \\ud83d \udE00","inputSchema":{"type":"object"}}"#,
            r#"{"name":"a","description":"\ud83d\ude00 \ufffd \\ud83d \ufffd","inputSchema":{"type":"object"}}"#,
        );
        tool(
            r#"{"name":"a","name":"b","inputSchema":{"type":"object"}}"#,
            r#"{"name":"b","inputSchema":{"type":"object"}}"#,
        );
        let deep = |depth| {
            let (open, close) = (r#"{"items":"#.repeat(depth), "}".repeat(depth));
            format!(
                r#"{{"name":"a[","inputSchema":{{"type":"object","properties":{{"x":{open}{{}}{close}}}}}}}"#
            )
        };
        tool(&deep(90), "kept");
        assert!(outcome(ListKind::Tools, &deep(120)).starts_with("held: its definition nests"));
        let large = format!(
            r#"{{"name":"a","description":"{}","inputSchema":{{"type":"object"}}}}"#,
            "x".repeat(MAX_DEFINITION)
        );
        assert_eq!(
            outcome(ListKind::Tools, &large),
            "held: its definition has 256 KiB; at most 256 KiB are shown"
        );
    }

    #[test]
    fn the_first_of_equal_names_is_shown() {
        let items: Vec<Bytes> = [
            r#"{"name":"a","description":"1","inputSchema":{"type":"object"}}"#,
            r#"{"name":"a"}"#,
            r#"{"name":"b"}"#,
            "{}",
        ]
        .map(Bytes::from)
        .into();
        let (shown, notes) = sift(&"srv".into(), ListKind::Tools, &items, |name| name != "c");
        assert_eq!(shown.iter().map(|shown| shown.id.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(shown[0].item, items[0]);
        let held: Vec<&str> =
            notes.iter().filter(|note| note.code == Code::ToolHeld).map(|note| note.text.as_str()).collect();
        assert_eq!(held, ["the server lists this tool twice; the first one is shown", "it has no `name`"]);
    }

    fn any_value() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i32>().prop_map(Into::into),
            prop::sample::select(vec!["object", "array", "#/anyOf/0", "#", "a", ""]).prop_map(Into::into),
        ];
        leaf.prop_recursive(5, 40, 5, |inner| {
            let key = prop::sample::select(vec![
                "name",
                "title",
                "inputSchema",
                "outputSchema",
                "type",
                "properties",
                "required",
                "anyOf",
                "oneOf",
                "allOf",
                "$ref",
                "annotations",
                "arguments",
                "icons",
                "uri",
                "uriTemplate",
                "_meta",
                "src",
                "priority",
                "x",
                "y",
            ]);
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(serde_json::Value::Array),
                prop::collection::vec((key, inner), 0..8).prop_map(|members| members
                    .into_iter()
                    .map(|(key, value)| (key.to_owned(), value))
                    .collect()),
            ]
        })
    }

    proptest! {
        /// Whatever a server sends: the result is JSON, and a second look finds nothing more to do.
        #[test]
        fn a_repair_is_complete_and_the_quick_look_agrees(mut item in any_value(), kind in prop::sample::select(ListKind::ALL.to_vec())) {
            if let serde_json::Value::Object(members) = &mut item {
                members.insert(kind.id_key().to_owned(), "it".into());
            }
            let text = item.to_string();
            let outcome = outcome(kind, &text);
            if let Some(places) = quick::recognise(kind, text.as_bytes()) {
                prop_assert_eq!(repair(kind, text.as_bytes()).map(|repaired| repaired.is_some()), Ok(false));
                prop_assert_eq!(Some(places), Places::find(kind, text.as_bytes()));
                prop_assert_eq!(outcome, "kept");
            }
        }
    }
}
