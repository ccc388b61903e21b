//! The raw JSON rules (RFC 8259): one checking pass over a text, and views into a text that has been checked.
//!
//! The checker is a loop with a bit per open container instead of a recursion, so that depth costs no stack; strings
//! are passed over a block at a time. It accepts what JSON accepts and
//! keeps everything as written: lone surrogates in escapes, numbers beyond any machine type, duplicate keys.

mod inside;

use std::borrow::Cow;
use std::fmt;

use inside::skip_plain;

/// How deep containers may nest. Common clients parse recursively and give up far below.
pub const MAX_DEPTH: usize = 1024;

/// Where a value stands in its text, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// The byte after the last.
    pub end: usize,
}

impl Span {
    /// The bytes of this span in its text.
    pub fn of<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        text.get(self.start..self.end).unwrap_or_default()
    }

    /// The same place, seen from a text that begins `offset` bytes earlier.
    pub fn shifted(self, offset: usize) -> Span {
        Span { start: self.start + offset, end: self.end + offset }
    }

    /// Its length in bytes.
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// Whether it holds no byte.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }
}

/// Why a text is not JSON that we pass on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonError {
    /// The text ends inside a value.
    Truncated,
    /// A byte that cannot stand here.
    Unexpected {
        /// Its offset in the text.
        at: usize,
    },
    /// More than [`MAX_DEPTH`] containers are open.
    TooDeep,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JsonError::Truncated => f.write_str("the text ends inside a value"),
            JsonError::Unexpected { at } => write!(f, "unexpected byte at offset {at}"),
            JsonError::TooDeep => write!(f, "nested deeper than {MAX_DEPTH} levels"),
        }
    }
}

impl std::error::Error for JsonError {}

/// The first offset at or after `at` that is not white space.
#[inline]
pub fn skip_space(text: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\r' | b'\n') = text.get(at) {
        at += 1;
    }
    at
}

#[inline]
fn unexpected<T>(text: &[u8], at: usize) -> Result<T, JsonError> {
    if at >= text.len() { Err(JsonError::Truncated) } else { Err(JsonError::Unexpected { at }) }
}

/// Checks the string whose opening quote stands at `at` and returns the offset after its closing quote.
#[inline]
pub fn skip_string(text: &[u8], at: usize) -> Result<usize, JsonError> {
    let mut at = at + 1;
    loop {
        at = skip_plain(text, at).ok_or(JsonError::Truncated)?;
        match text[at] {
            b'"' => return Ok(at + 1),
            b'\\' => at = skip_escape(text, at)?,
            _ => return Err(JsonError::Unexpected { at }),
        }
    }
}

#[inline]
fn skip_escape(text: &[u8], at: usize) -> Result<usize, JsonError> {
    match text.get(at + 1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 2),
        Some(b'u') => {
            for digit in at + 2..at + 6 {
                if !text.get(digit).is_some_and(u8::is_ascii_hexdigit) {
                    return unexpected(text, digit);
                }
            }
            Ok(at + 6)
        }
        _ => unexpected(text, at + 1),
    }
}

#[inline]
fn skip_digits(text: &[u8], mut at: usize) -> Result<usize, JsonError> {
    let start = at;
    while text.get(at).is_some_and(u8::is_ascii_digit) {
        at += 1;
    }
    if at == start { unexpected(text, at) } else { Ok(at) }
}

fn skip_number(text: &[u8], mut at: usize) -> Result<usize, JsonError> {
    if text.get(at) == Some(&b'-') {
        at += 1;
    }
    at = if text.get(at) == Some(&b'0') { at + 1 } else { skip_digits(text, at)? };
    if text.get(at) == Some(&b'.') {
        at = skip_digits(text, at + 1)?;
    }
    if let Some(b'e' | b'E') = text.get(at) {
        at += 1;
        if let Some(b'+' | b'-') = text.get(at) {
            at += 1;
        }
        at = skip_digits(text, at)?;
    }
    Ok(at)
}

fn skip_literal(text: &[u8], at: usize, literal: &[u8]) -> Result<usize, JsonError> {
    for (offset, expected) in literal.iter().enumerate() {
        if text.get(at + offset) != Some(expected) {
            return unexpected(text, at + offset);
        }
    }
    Ok(at + literal.len())
}

/// Which containers are open: a bit each, set for an object.
struct Open {
    bits: [u64; MAX_DEPTH / 64],
    depth: usize,
}

impl Open {
    #[inline]
    fn push(&mut self, object: bool) -> Result<(), JsonError> {
        if self.depth == MAX_DEPTH {
            return Err(JsonError::TooDeep);
        }
        let (word, bit) = (self.depth / 64, self.depth % 64);
        self.bits[word] = (self.bits[word] & !(1 << bit)) | (u64::from(object) << bit);
        self.depth += 1;
        Ok(())
    }

    #[inline]
    fn in_object(&self) -> bool {
        let top = self.depth - 1;
        self.bits[top / 64] >> (top % 64) & 1 == 1
    }
}

/// Passes over `"key" :` with the space around it, from the key's quote to before the value.
#[inline]
fn skip_key(text: &[u8], at: usize) -> Result<usize, JsonError> {
    if text.get(at) != Some(&b'"') {
        return unexpected(text, at);
    }
    skip_colon(text, skip_string(text, at)?)
}

/// Passes over the colon after a key with the space around it.
#[inline]
pub fn skip_colon(text: &[u8], at: usize) -> Result<usize, JsonError> {
    let colon = skip_space(text, at);
    if text.get(colon) != Some(&b':') {
        return unexpected(text, colon);
    }
    Ok(skip_space(text, colon + 1))
}

/// Checks a value that is no container.
#[inline]
fn skip_scalar(text: &[u8], at: usize) -> Result<usize, JsonError> {
    match text.get(at) {
        Some(b'"') => skip_string(text, at),
        Some(b'-' | b'0'..=b'9') => skip_number(text, at),
        Some(b't') => skip_literal(text, at, b"true"),
        Some(b'f') => skip_literal(text, at, b"false"),
        Some(b'n') => skip_literal(text, at, b"null"),
        _ => unexpected(text, at),
    }
}

/// Checks the value that begins at `at` (no space before it) and returns the offset after it.
///
/// UTF-8 is not checked here; the line as a whole is, once, by whoever reads it.
#[inline]
pub fn skip_value(text: &[u8], at: usize) -> Result<usize, JsonError> {
    match text.get(at) {
        Some(b'{' | b'[') => skip_container(text, at),
        _ => skip_scalar(text, at),
    }
}

fn skip_container(text: &[u8], mut at: usize) -> Result<usize, JsonError> {
    let mut open = Open { bits: [0; MAX_DEPTH / 64], depth: 0 };
    loop {
        at = match text.get(at) {
            Some(b'{') => {
                let next = skip_space(text, at + 1);
                if text.get(next) != Some(&b'}') {
                    open.push(true)?;
                    at = skip_key(text, next)?;
                    continue;
                }
                next + 1
            }
            Some(b'[') => {
                let next = skip_space(text, at + 1);
                if text.get(next) != Some(&b']') {
                    open.push(false)?;
                    at = next;
                    continue;
                }
                next + 1
            }
            _ => skip_scalar(text, at)?,
        };
        loop {
            if open.depth == 0 {
                return Ok(at);
            }
            at = skip_space(text, at);
            let in_object = open.in_object();
            match text.get(at) {
                Some(b',') => {
                    at = skip_space(text, at + 1);
                    if in_object {
                        at = skip_key(text, at)?;
                    }
                    break;
                }
                Some(b'}') if in_object => open.depth -= 1,
                Some(b']') if !in_object => open.depth -= 1,
                _ => return unexpected(text, at),
            }
            at += 1;
        }
    }
}

/// Checks that `text` is one JSON value with nothing but space around it, and returns where it stands.
pub fn check(text: &[u8]) -> Result<Span, JsonError> {
    let start = skip_space(text, 0);
    let end = skip_value(text, start)?;
    if skip_space(text, end) != text.len() {
        return unexpected(text, skip_space(text, end));
    }
    Ok(Span { start, end })
}

/// What kind of value a text holds, told by its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `{…}`
    Object,
    /// `[…]`
    Array,
    /// `"…"`
    String,
    /// A number.
    Number,
    /// `true` or `false`
    Bool,
    /// `null`
    Null,
}

/// The kind of a checked value. An empty text counts as `null`.
pub fn kind(value: &[u8]) -> Kind {
    match value.first() {
        Some(b'{') => Kind::Object,
        Some(b'[') => Kind::Array,
        Some(b'"') => Kind::String,
        Some(b't' | b'f') => Kind::Bool,
        Some(b'n') | None => Kind::Null,
        Some(_) => Kind::Number,
    }
}

/// One member of an object: where its key (with quotes) and its value stand.
#[derive(Clone, Copy, Debug)]
pub struct Member {
    /// The key with its quotes.
    pub key: Span,
    /// The value.
    pub value: Span,
}

impl Member {
    /// Whether the key is `name`, also when it is spelt with escapes.
    #[inline]
    pub fn is(&self, text: &[u8], name: &str) -> bool {
        key_is(self.key.of(text), name)
    }
}

#[inline]
fn key_is(key: &[u8], name: &str) -> bool {
    let inner = &key[1..key.len() - 1];
    inner == name.as_bytes() || (inner.contains(&b'\\') && string(key).is_some_and(|decoded| decoded == name))
}

/// The members of the object that begins at `text[0]`, in order. Spans are relative to `text`.
///
/// Over a text that has not been checked the iteration ends at the first fault; it never panics. It is lenient
/// about a text that is cut off: every whole member before the cut is given.
pub fn members(text: &[u8]) -> Members<'_> {
    let at = if text.first() == Some(&b'{') { skip_space(text, 1) } else { text.len() };
    Members { text, at }
}

/// See [`members`].
pub struct Members<'a> {
    text: &'a [u8],
    at: usize,
}

impl Iterator for Members<'_> {
    type Item = Member;

    fn next(&mut self) -> Option<Member> {
        if self.text.get(self.at) != Some(&b'"') {
            return None;
        }
        let key = Span { start: self.at, end: skip_string(self.text, self.at).ok()? };
        let start = skip_colon(self.text, key.end).ok()?;
        let value = Span { start, end: skip_value(self.text, start).ok()? };
        self.at = skip_space(self.text, value.end);
        if self.text.get(self.at) == Some(&b',') {
            self.at = skip_space(self.text, self.at + 1);
        }
        Some(Member { key, value })
    }
}

/// The elements of the array that begins at `text[0]`, in order. Spans are relative to `text`.
pub fn elements(text: &[u8]) -> Elements<'_> {
    let at = if text.first() == Some(&b'[') { skip_space(text, 1) } else { text.len() };
    Elements { text, at }
}

/// See [`elements`].
pub struct Elements<'a> {
    text: &'a [u8],
    at: usize,
}

impl Iterator for Elements<'_> {
    type Item = Span;

    fn next(&mut self) -> Option<Span> {
        if matches!(self.text.get(self.at), None | Some(b']')) {
            return None;
        }
        let span = Span { start: self.at, end: skip_value(self.text, self.at).ok()? };
        self.at = skip_space(self.text, span.end);
        if self.text.get(self.at) == Some(&b',') {
            self.at = skip_space(self.text, self.at + 1);
        }
        Some(span)
    }
}

/// Where the value of `name` stands in an object; the last one if the key is doubled, as most parsers take it.
pub fn get(object: &[u8], name: &str) -> Option<Span> {
    let mut found = None;
    for member in members(object) {
        if member.is(object, name) {
            found = Some(member.value);
        }
    }
    found
}

/// The raw value at a path of keys, for example `["_meta", "progressToken"]`, relative to `object`.
pub fn get_path(object: &[u8], path: &[&str]) -> Option<Span> {
    let mut span = Span { start: 0, end: object.len() };
    for name in path {
        span = get(span.of(object), name)?.shifted(span.start);
    }
    Some(span)
}

/// The text of a JSON string, decoded; `None` if the value is no string. Lone surrogates become U+FFFD.
pub fn string(value: &[u8]) -> Option<Cow<'_, str>> {
    let inner = value.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    if !inner.contains(&b'\\') {
        return std::str::from_utf8(inner).ok().map(Cow::Borrowed);
    }
    decode(inner).map(Cow::Owned)
}

fn decode(inner: &[u8]) -> Option<String> {
    let mut out = String::with_capacity(inner.len());
    let mut rest = std::str::from_utf8(inner).ok()?;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let escape = rest.as_bytes().get(at + 1)?;
        let mut length = 2;
        match escape {
            b'n' => out.push('\n'),
            b't' => out.push('\t'),
            b'r' => out.push('\r'),
            b'b' => out.push('\u{8}'),
            b'f' => out.push('\u{c}'),
            b'u' => {
                let unit = hex(rest, at + 2)?;
                length = 6;
                let low = (0xd800..0xdc00).contains(&unit).then(|| low_surrogate(rest, at + 6)).flatten();
                if let Some(low) = low {
                    length = 12;
                    out.push(char::from_u32(0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00))?);
                } else {
                    out.push(char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER));
                }
            }
            other => out.push(*other as char),
        }
        rest = rest.get(at + length..)?;
    }
    out.push_str(rest);
    Some(out)
}

fn hex(text: &str, at: usize) -> Option<u32> {
    u32::from_str_radix(text.get(at..at + 4)?, 16).ok()
}

fn low_surrogate(text: &str, at: usize) -> Option<u32> {
    if text.get(at..at + 2)? != "\\u" {
        return None;
    }
    hex(text, at + 2).filter(|unit| (0xdc00..0xe000).contains(unit))
}

/// Appends `text` as a JSON string, with quotes.
pub fn push_string(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    let mut rest = text.as_bytes();
    // Nearly all texts are one piece.
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)) {
        out.extend_from_slice(&rest[..at]);
        let byte = rest[at];
        rest = &rest[at + 1..];
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => {
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[HEX[(byte >> 4) as usize], HEX[(byte & 15) as usize]]);
            }
        }
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// `text` as a JSON string, with quotes.
pub fn quote(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 2);
    push_string(&mut out, text);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn accepts(text: &str) {
        assert!(check(text.as_bytes()).is_ok(), "{text:?} is JSON: {:?}", check(text.as_bytes()));
    }

    fn refuses(text: &str) {
        assert!(check(text.as_bytes()).is_err(), "{text:?} is not JSON");
    }

    #[test]
    fn takes_what_json_takes() {
        for text in [
            "{}",
            "[]",
            " [1, -2.5e+10, 0, 1E9, -0.0] ",
            r#"{"a":{"b":[true,false,null]}}"#,
            r#""\ud800""#,
            r#""\u00e9\"\\\/\b\f\n\r\t""#,
            "12345678901234567890123456789",
            "1e400",
            "\"é😀\"",
            "[[[[]]],{}]",
        ] {
            accepts(text);
        }
    }

    #[test]
    fn refuses_what_json_refuses() {
        for text in [
            "",
            " ",
            "{",
            "[",
            "[1,]",
            "{\"a\":1,}",
            "{a:1}",
            "{\"a\" 1}",
            "[1 2]",
            "01",
            "1.",
            ".5",
            "+1",
            "1e",
            "--1",
            "NaN",
            "Infinity",
            "tru",
            "nul",
            "\"",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"\t\"",
            "{} {}",
            "]",
            "[}",
            "{]",
            "'a'",
        ] {
            refuses(text);
        }
    }

    #[test]
    fn depth_is_bounded_without_stack() {
        let deep = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        accepts(&deep(MAX_DEPTH));
        assert_eq!(check(deep(MAX_DEPTH + 2).as_bytes()), Err(JsonError::TooDeep));
        assert_eq!(check("[".repeat(1_000_000).as_bytes()), Err(JsonError::TooDeep));
    }

    #[test]
    fn finds_members_by_any_spelling() {
        let text = br#"{ "x" : [1,{"id":9}], "\u0069d" : "7" , "id":8}"#;
        assert_eq!(get(text, "id").map(|span| span.of(text).to_vec()), Some(b"8".to_vec()));
        assert_eq!(members(text).filter(|member| member.is(text, "id")).count(), 2);
        assert_eq!(
            get_path(br#"{"_meta":{"progressToken":5}}"#, &["_meta", "progressToken"]).map(|s| s.len()),
            Some(1)
        );
    }

    #[test]
    fn decodes_strings() {
        let cases: &[(&str, &str)] = &[
            (r#""a\nb""#, "a\nb"),
            (r#""\ud83d\ude00""#, "😀"),
            (r#""\ud83d""#, "\u{fffd}"),
            (r#""\ud83dx""#, "\u{fffd}x"),
        ];
        for (raw, text) in cases {
            assert_eq!(string(raw.as_bytes()).as_deref(), Some(*text), "{raw}");
        }
        assert_eq!(string(b"12"), None);
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_map(|float| serde_json::json!(float)),
            ".*".prop_map(Into::into),
        ];
        leaf.prop_recursive(5, 60, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(serde_json::Value::Array),
                prop::collection::vec((".*", inner), 0..8)
                    .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn agrees_with_serde_json_on_valid_text(value in any_json(), pretty in any::<bool>()) {
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            prop_assert_eq!(check(text.as_bytes()), Ok(Span { start: 0, end: text.len() }));
            if let serde_json::Value::Object(map) = &value {
                prop_assert_eq!(members(text.as_bytes()).count(), map.len());
            }
        }

        #[test]
        fn agrees_with_serde_json_on_damaged_text(value in any_json(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut text = serde_json::to_vec(&value).unwrap();
            let at = at.index(text.len());
            text[at] = byte;
            if std::str::from_utf8(&text).is_ok() {
                let theirs = serde_json::from_slice::<&serde_json::value::RawValue>(&text).is_ok();
                prop_assert_eq!(check(&text).is_ok(), theirs, "{:?}", String::from_utf8_lossy(&text));
            }
        }

        #[test]
        fn quoting_and_decoding_are_inverse(text in ".*") {
            let quoted = quote(&text);
            prop_assert!(check(&quoted).is_ok());
            let decoded = string(&quoted).map(Cow::into_owned);
            prop_assert_eq!(decoded, Some(text));
        }

        #[test]
        fn views_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            members(&bytes).count();
            elements(&bytes).count();
            let _ = check(&bytes);
            let _ = string(&bytes);
        }
    }
}
