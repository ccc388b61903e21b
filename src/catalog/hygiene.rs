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
use crate::catalog::offering::Part;
use crate::failure::Code;
use crate::names::ServerName;
use crate::protocol::{ListKind, Revision};
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
    /// Of which part of its offering.
    pub kind: Part,
    /// The server's own name (or URI) for it; empty if it has none.
    pub original: String,
    /// [`Code::ToolRepaired`], [`Code::ToolHeld`], or the code of a [`Remark`].
    pub code: Code,
    /// What was done and why, as a sentence.
    pub text: String,
}

impl Note {
    /// Whether the definition is not shown.
    pub fn is_held(&self) -> bool {
        matches!(self.code, Code::ToolHeld | Code::TrustHeld)
    }

    /// What was done, in a word or two.
    pub fn word(&self) -> &'static str {
        match self.code {
            Code::ToolHeld | Code::TrustHeld => "held back",
            Code::TrustChanged => "changed",
            Code::TrustSuspicious => "suspicious",
            _ => "repaired",
        }
    }
}

/// What is to be said of an item that needs no repair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// Why.
    pub code: Code,
    /// A sentence.
    pub text: String,
    /// Whether the item is held back. It keeps its name, so that no other one gets it.
    pub holds: bool,
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

/// Decides about one item, which must be a checked JSON value, of a server of this revision.
pub fn judge(kind: ListKind, item: &[u8], revision: &Revision) -> Verdict {
    match look(kind, item, revision) {
        Finding::Fine(_) => Verdict::Keep,
        Finding::Repaired(item, notes) => Verdict::Repaired { item, notes },
        Finding::Held(reason) => Verdict::Held { reason },
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
    /// Why it has a name and is not shown all the same.
    pub(super) held: Option<String>,
}

/// What is left of one server's list, in its order, and what had to be done for it.
pub(super) fn sift(
    server: &ServerName,
    kind: ListKind,
    items: &[Bytes],
    revision: &Revision,
    allows: impl Fn(&str) -> bool,
    remarks: impl Fn(usize) -> Vec<Remark>,
) -> (Vec<Shown>, Vec<Note>) {
    let mut shown: Vec<Shown> = Vec::with_capacity(items.len());
    let mut seen = HashSet::with_capacity(items.len());
    let mut notes = Vec::new();
    for (index, raw) in items.iter().enumerate() {
        let (item, places, texts) = match look(kind, raw, revision) {
            Finding::Fine(places) => (raw.clone(), places, Vec::new()),
            Finding::Repaired(item, texts) => {
                let places = Places::find(kind, &item);
                (item, places, texts)
            }
            Finding::Held(reason) => {
                let original = Places::find(kind, raw).and_then(|places| json::string(places.id.of(raw)));
                let original = original.unwrap_or_default().into_owned();
                if allows(&original) {
                    notes.push(Note {
                        server: server.clone(),
                        kind: kind.into(),
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
            notes.push(Note { server: server.clone(), kind: kind.into(), original: id.clone(), code, text });
        };
        texts.into_iter().for_each(|text| note(Code::ToolRepaired, text));
        if !seen.insert(id.clone()) {
            note(
                Code::ToolHeld,
                format!("the server lists this {} twice; the first one is shown", kind.noun()),
            );
            continue;
        }
        let mut held = None;
        for remark in remarks(index) {
            if remark.holds {
                held = Some(remark.text.clone());
            }
            note(remark.code, remark.text);
        }
        shown.push(Shown { item, id, places, held });
    }
    (shown, notes)
}

/// What a look at an item gives. `Places` is `None` only for an item without an id, which is held.
enum Finding {
    Fine(Option<Places>),
    Repaired(Bytes, Vec<String>),
    Held(String),
}

fn look(kind: ListKind, item: &[u8], revision: &Revision) -> Finding {
    let sound = item.len() <= MAX_DEFINITION && !may_break_parsers(item);
    if let Some(places) = Some(()).filter(|()| sound).and_then(|()| quick::recognise(kind, item)) {
        return Finding::Fine(Some(places));
    }
    match repair(kind, item, revision) {
        Ok(None) => Finding::Fine(Places::find(kind, item)),
        Ok(Some((item, notes))) => Finding::Repaired(item, notes),
        Err(reason) => Finding::Held(reason),
    }
}

/// A quick guess whether an item nests deep or has half a surrogate pair; it errs on the side of yes.
fn may_break_parsers(item: &[u8]) -> bool {
    memchr::memchr2_iter(b'{', b'[', item).nth(MAX_NESTING).is_some()
        || memchr::memmem::find_iter(item, b"\\u").any(|at| matches!(item.get(at + 2), Some(b'd' | b'D')))
}

type Repaired = Option<(Bytes, Vec<String>)>;

fn repair(kind: ListKind, item: &[u8], revision: &Revision) -> Result<Repaired, String> {
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
        ListKind::Tools => tool(&mut repair, revision)?,
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

fn tool(repair: &mut Repair<'_>, revision: &Revision) -> Result<(), String> {
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
    match repair.edit.get("outputSchema").map(|schema| schema::output(schema, revision)) {
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

/// A text that every JSON parser reads, if it is JSON: without half surrogate pairs.
pub(crate) fn readable(text: &[u8]) -> Cow<'_, [u8]> {
    if may_break_parsers(text) { without_lone_surrogates(text) } else { Cow::Borrowed(text) }
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
mod tests;
