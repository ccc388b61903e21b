//! A result of a tool that is too large, made small.
//!
//! Every content block keeps its place: a text its beginning, anything else becomes a note. What a note speaks of is kept
//! elsewhere. `structuredContent` is taken away where no schema promises it; where one does, long texts and lists in it are cut,
//! and if what remains breaks the promise the result becomes an error result, which need not have any.

use bytes::Bytes;
use serde_json::Value;

use super::note::{LEAST, of_tool};
use crate::pipeline::results::Data;
use crate::pipeline::validate::Schema;
use crate::protocol::Revision;
use crate::wire::json::{self, Kind};
use crate::wire::{Span, Splice};

/// The key of `_meta` under which a shortened result says how large it was.
const META: &str = "switchboard/result";
/// About so many bytes are needed to say where the rest is.
const NOTE: usize = 600;
/// How long texts and lists in `structuredContent` may be, from try to try.
const PRUNINGS: [(usize, usize); 4] = [(2000, 100), (400, 30), (100, 10), (20, 3)];

/// Keeps something under a URI, if it can be kept.
pub(super) type Keep<'a> = dyn FnMut(Data, &str) -> Option<String> + 'a;

/// The result in at most about `limit` bytes. `definition` is that of the tool.
pub(super) fn shorten(
    result: &[u8],
    definition: &[u8],
    limit: usize,
    revision: &Revision,
    keep: &mut Keep<'_>,
) -> Bytes {
    let mut shorter = Shorter { result, limit, links: revision.resource_link, keep, notes: Vec::new() };
    let schema = json::get(definition, "outputSchema").map(|span| span.of(definition));
    let shortened = shorter.shortened(schema);
    match shortened.len() <= limit {
        true => shortened,
        false => shorter.all_in_one(schema.is_some()),
    }
}

struct Shorter<'a> {
    result: &'a [u8],
    limit: usize,
    /// Whether blocks may be links to resources.
    links: bool,
    keep: &'a mut Keep<'a>,
    /// What is said besides the content, as blocks.
    notes: Vec<Vec<u8>>,
}

impl Shorter<'_> {
    fn shortened(&mut self, schema: Option<&[u8]>) -> Bytes {
        let result = self.result;
        let mut splice = Splice::new(result);
        let (mut is_error, mut is_removed) = (false, false);
        let structured = json::get(result, "structuredContent").map(|span| (span, span.of(result)));
        if let Some((span, raw)) = structured.filter(|(span, _)| span.len() > self.limit / 3) {
            let text = String::from_utf8_lossy(raw).into_owned();
            let kept = (self.keep)(Data::Text(text), "application/json");
            let pruned = schema.and_then(|schema| pruned(raw, schema, self.limit / 3));
            is_error = schema.is_some() && pruned.is_none();
            self.note(
                &of_tool("`structuredContent`", 0, raw.len(), kept.as_deref()),
                kept.as_deref(),
                "application/json",
                raw.len(),
            );
            match pruned {
                Some(pruned) => {
                    splice.replace(span, pruned);
                }
                None => {
                    is_removed = true;
                    remove(result, "structuredContent", &mut splice);
                }
            }
        }
        let spared = structured.map_or(0, |(span, _)| span.len().min(self.limit / 3));
        let content = json::get(result, "content");
        let blocks = content.map(|span| self.blocks(span.of(result), self.limit / 2 - spared / 2));
        let blocks = self.with_notes(blocks.unwrap_or_default());
        let mut added: Vec<Vec<u8>> = Vec::new();
        match content {
            Some(span) => {
                splice.replace(span, blocks);
            }
            None => added.push([&br#""content":"#[..], &blocks].concat()),
        }
        if is_error {
            match json::get(result, "isError") {
                Some(span) => {
                    splice.replace(span, &b"true"[..]);
                }
                None => added.push(br#""isError":true"#.to_vec()),
            }
        }
        added.extend(self.size_member(&mut splice));
        let is_kept = |member: json::Member| !(is_removed && member.is(result, "structuredContent"));
        let mut tail = Vec::new();
        if json::members(result).any(is_kept) && !added.is_empty() {
            tail.push(b',');
        }
        tail.extend_from_slice(&added.join(&b","[..]));
        let end = result.len().saturating_sub(1);
        splice.replace(Span { start: end, end }, tail);
        splice.to_bytes()
    }

    /// Says in `_meta` how large the result was; the member to add if it has none.
    fn size_member(&self, splice: &mut Splice<'_>) -> Option<Vec<u8>> {
        let member = format!(r#""{META}":{{"bytes":{},"limit":{}}}"#, self.result.len(), self.limit);
        let Some(meta) = json::get(self.result, "_meta") else {
            return Some(format!(r#""_meta":{{{member}}}"#).into_bytes());
        };
        if json::kind(meta.of(self.result)) == Kind::Object {
            let comma = if json::members(meta.of(self.result)).next().is_some() { "," } else { "" };
            splice.replace(Span { start: meta.start + 1, end: meta.start + 1 }, format!("{member}{comma}"));
        }
        None
    }

    /// The content blocks, each cut to its share of `room`.
    fn blocks(&mut self, content: &[u8], room: usize) -> Vec<u8> {
        let blocks: Vec<Span> = json::elements(content).collect();
        let share = (room / blocks.len().max(1)).max(LEAST);
        let mut out = Vec::new();
        for (index, block) in blocks.iter().enumerate() {
            let raw = block.of(content);
            if out.len() + raw.len().min(share + NOTE) > room + NOTE {
                self.leave_out(&blocks[index..], content);
                break;
            }
            if raw.len() <= share {
                push(&mut out, raw);
            } else {
                self.cut(raw, share, &mut out);
            }
        }
        out
    }

    /// Keeps the last blocks together, as they are.
    fn leave_out(&mut self, blocks: &[Span], content: &[u8]) {
        let mut list = Vec::new();
        blocks.iter().for_each(|block| push(&mut list, block.of(content)));
        let list = format!("[{}]", String::from_utf8_lossy(&list));
        let size = list.len();
        let kept = (self.keep)(Data::Text(list), "application/json");
        let what = format!("{} further content blocks", blocks.len());
        self.note(&of_tool(&what, 0, size, kept.as_deref()), kept.as_deref(), "application/json", size);
    }

    fn cut(&mut self, raw: &[u8], share: usize, out: &mut Vec<u8>) {
        let text_of = |object: &[u8], name: &str| {
            json::get(object, name)
                .and_then(|span| json::string(span.of(object)))
                .map(|text| text.into_owned())
        };
        let kind = text_of(raw, "type").unwrap_or_default();
        if kind == "text"
            && let Some(span) = json::get(raw, "text")
            && let Some(text) = json::string(span.of(raw))
        {
            let shown = beginning(&text, share);
            let (size, length) = (text.len(), shown.len());
            let mut splice = Splice::new(raw);
            splice.replace(span, json::quote(shown));
            push(out, &splice.to_bytes());
            let kept = (self.keep)(Data::Text(text.clone().into_owned()), "text/plain");
            self.tell(
                out,
                &of_tool("this text", length, size, kept.as_deref()),
                kept.as_deref(),
                "text/plain",
                size,
            );
            return;
        }
        let resource = json::get(raw, "resource").map(|span| span.of(raw)).unwrap_or_default();
        let (holder, text, blob) = match kind.as_str() {
            "resource" => (resource, text_of(resource, "text"), text_of(resource, "blob")),
            _ => (raw, None, text_of(raw, "data")),
        };
        let mime = text_of(holder, "mimeType");
        let whole = || Data::Text(String::from_utf8_lossy(raw).into_owned());
        let (data, mime) = match (text, blob) {
            (Some(text), _) => (Data::Text(text), mime.unwrap_or_else(|| "text/plain".to_owned())),
            (None, Some(blob)) => {
                (Data::Blob(blob), mime.unwrap_or_else(|| "application/octet-stream".to_owned()))
            }
            (None, None) => (whole(), "application/json".to_owned()),
        };
        let size = raw.len();
        let what = match (kind.as_str(), text_of(holder, "uri")) {
            ("resource", Some(uri)) => format!("the resource `{}`", beginning(&uri, LEAST)),
            ("image" | "audio", _) => format!("this {kind} ({mime})"),
            _ => "this block".to_owned(),
        };
        let kept = (self.keep)(data, &mime);
        self.tell(out, &of_tool(&what, 0, size, kept.as_deref()), kept.as_deref(), &mime, size);
    }

    /// Puts a note, and a link where the revision knows such, behind a block.
    fn tell(&self, out: &mut Vec<u8>, words: &str, uri: Option<&str>, mime: &str, size: usize) {
        let mut block = br#"{"type":"text","text":"#.to_vec();
        json::push_string(&mut block, words);
        block.push(b'}');
        push(out, &block);
        let Some(uri) = uri.filter(|_| self.links) else { return };
        let mut block = br#"{"type":"resource_link","name":"all of it","uri":"#.to_vec();
        json::push_string(&mut block, uri);
        block.extend_from_slice(br#","mimeType":"#);
        json::push_string(&mut block, mime);
        block.extend_from_slice(format!(r#","size":{size}}}"#).as_bytes());
        push(out, &block);
    }

    fn note(&mut self, words: &str, uri: Option<&str>, mime: &str, size: usize) {
        let mut out = Vec::new();
        self.tell(&mut out, words, uri, mime, size);
        self.notes.push(out);
    }

    fn with_notes(&self, mut blocks: Vec<u8>) -> Vec<u8> {
        self.notes.iter().for_each(|note| push(&mut blocks, note));
        [b"[", &blocks[..], b"]"].concat()
    }

    /// Nothing but where the whole result is.
    fn all_in_one(&mut self, has_schema: bool) -> Bytes {
        let size = self.result.len();
        let kept =
            (self.keep)(Data::Text(String::from_utf8_lossy(self.result).into_owned()), "application/json");
        let mut block = Vec::new();
        self.links = false;
        self.tell(
            &mut block,
            &of_tool("this result", 0, size, kept.as_deref()),
            kept.as_deref(),
            "application/json",
            size,
        );
        let failed = json::get(self.result, "isError").is_some_and(|span| span.of(self.result) == b"true");
        let is_error = if failed || has_schema { r#","isError":true"# } else { "" };
        let modern = json::get(self.result, "resultType").map(|_| r#","resultType":"complete""#);
        [
            &br#"{"content":["#[..],
            &block,
            b"]",
            is_error.as_bytes(),
            modern.unwrap_or_default().as_bytes(),
            b"}",
        ]
        .concat()
        .into()
    }
}

/// The beginning of a text, so that it takes no more than this many bytes as JSON; up to the end of a line where one is near.
pub(super) fn beginning(text: &str, room: usize) -> &str {
    let mut at = room.min(text.len());
    loop {
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        let shown = text.get(..at).unwrap_or_default();
        if json::quote(shown).len() <= room + 2 || at == 0 {
            let line = shown.rfind('\n').filter(|end| end + 1 > at / 2 && at < text.len());
            return line.map_or(shown, |end| &shown[..=end]);
        }
        at = at / 4 * 3;
    }
}

fn push(out: &mut Vec<u8>, block: &[u8]) {
    if !out.is_empty() {
        out.push(b',');
    }
    out.extend_from_slice(block);
}

/// Takes a member out of an object, with one comma.
fn remove(object: &[u8], name: &str, splice: &mut Splice<'_>) {
    let members: Vec<json::Member> = json::members(object).collect();
    for (index, member) in members.iter().enumerate().filter(|(_, member)| member.is(object, name)) {
        let span = match (index, members.get(index + 1)) {
            (_, Some(next)) => Span { start: member.key.start, end: next.key.start },
            (0, None) => Span { start: member.key.start, end: member.value.end },
            (_, None) => Span { start: members[index - 1].value.end, end: member.value.end },
        };
        splice.replace(span, Bytes::new());
    }
}

/// Structured content that keeps the promise of its schema and has at most so many bytes.
fn pruned(raw: &[u8], schema: &[u8], limit: usize) -> Option<Bytes> {
    let schema = Schema::compile(schema, false).ok()?;
    let mut value: Value = serde_json::from_slice(raw).ok()?;
    PRUNINGS.iter().find_map(|(texts, lists)| {
        prune(&mut value, *texts, *lists);
        let text = serde_json::to_vec(&value).ok()?;
        (text.len() <= limit && schema.validator.is_valid(&value)).then(|| text.into())
    })
}

fn prune(value: &mut Value, texts: usize, lists: usize) {
    match value {
        Value::String(text) if text.len() > texts => {
            let shown = beginning(text, texts).trim_end().len();
            text.truncate(shown);
            text.push('…');
        }
        Value::Array(elements) => {
            elements.truncate(lists);
            elements.iter_mut().for_each(|element| prune(element, texts, lists));
        }
        Value::Object(members) => members.values_mut().for_each(|value| prune(value, texts, lists)),
        _ => {}
    }
}
