//! Changing single members of a raw object.

use std::borrow::Cow;

use bytes::Bytes;

use crate::wire::json::{self, Kind, Member};

/// A raw object and what is to change in it. Members that are not touched keep their bytes, their place and the
/// space around them; new members come last.
pub(super) struct Edit<'a> {
    text: &'a [u8],
    members: Vec<(Member, Fate)>,
    added: Vec<(&'static str, Bytes)>,
}

enum Fate {
    Kept,
    Removed,
    Replaced(Bytes),
}

impl<'a> Edit<'a> {
    /// Opens a checked object; `None` if the text is anything else.
    pub(super) fn open(text: &'a [u8]) -> Option<Self> {
        (json::kind(text) == Kind::Object).then(|| Self {
            text,
            members: json::members(text).map(|member| (member, Fate::Kept)).collect(),
            added: Vec::new(),
        })
    }

    /// An object without members, to fill.
    pub(super) fn empty() -> Self {
        Self { text: b"{}", members: Vec::new(), added: Vec::new() }
    }

    /// The value of `name` as it was in the text; the last one if the key is doubled.
    pub(super) fn get(&self, name: &str) -> Option<&'a [u8]> {
        let (member, _) = self.members.iter().rfind(|(member, _)| member.is(self.text, name))?;
        Some(member.value.of(self.text))
    }

    /// Removes every member called `name`.
    pub(super) fn remove(&mut self, name: &str) {
        for (_, fate) in self.members.iter_mut().filter(|(member, _)| member.is(self.text, name)) {
            *fate = Fate::Removed;
        }
    }

    /// Removes every member whose key is chosen.
    pub(super) fn remove_where(&mut self, chosen: impl Fn(&str) -> bool) {
        for (member, fate) in &mut self.members {
            if chosen(&key(self.text, member)) {
                *fate = Fate::Removed;
            }
        }
    }

    /// Gives `name` a value: in its place if it has one, else at the end. If the key is doubled, one member is left, for
    /// a reader that takes the first must not find what was replaced.
    pub(super) fn set(&mut self, name: &'static str, value: impl Into<Bytes>) {
        let value = value.into();
        let mut last = true;
        for (member, fate) in self.members.iter_mut().rev().filter(|(member, _)| member.is(self.text, name)) {
            *fate = match last {
                true if member.value.of(self.text) == value => Fate::Kept,
                true => Fate::Replaced(value.clone()),
                false => Fate::Removed,
            };
            last = false;
        }
        if last {
            self.added.retain(|(added, _)| *added != name);
            self.added.push((name, value));
        }
    }

    /// Gives `name` a value if it has to have another one.
    pub(super) fn change(&mut self, name: &'static str, value: Option<Bytes>) {
        if let Some(value) = value {
            self.set(name, value);
        }
    }

    /// Replaces the values for which `change` has another one.
    pub(super) fn change_each<E>(
        &mut self,
        mut change: impl FnMut(&str, &[u8]) -> Result<Option<Bytes>, E>,
    ) -> Result<(), E> {
        for (member, fate) in &mut self.members {
            if let Some(value) = change(&key(self.text, member), member.value.of(self.text))? {
                *fate = Fate::Replaced(value);
            }
        }
        Ok(())
    }

    /// Whether no member would be left.
    pub(super) fn is_empty(&self) -> bool {
        self.added.is_empty() && self.members.iter().all(|(_, fate)| matches!(fate, Fate::Removed))
    }

    /// The changed object; `None` if nothing changed.
    pub(super) fn finish(&self) -> Option<Bytes> {
        let changed =
            !self.added.is_empty() || self.members.iter().any(|(_, fate)| !matches!(fate, Fate::Kept));
        changed.then(|| self.render())
    }

    /// The object, changed or not.
    pub(super) fn into_bytes(self) -> Bytes {
        self.render()
    }

    fn render(&self) -> Bytes {
        let added: usize = self.added.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
        let mut out = Vec::with_capacity(self.text.len() + added);
        let first = self.members.first().map_or(1, |(member, _)| member.key.start);
        out.extend_from_slice(self.text.get(..first).unwrap_or(b"{"));
        let mut before = None;
        let mut written = false;
        for (member, fate) in &self.members {
            // What stands between two members goes with the second of them.
            let gap = before.map_or(&b""[..], |end| self.text.get(end..member.key.start).unwrap_or_default());
            before = Some(member.value.end);
            let value = match fate {
                Fate::Removed => continue,
                Fate::Kept => member.value.of(self.text),
                Fate::Replaced(value) => value,
            };
            if written {
                out.extend_from_slice(gap);
            }
            out.extend_from_slice(self.text.get(member.key.start..member.value.start).unwrap_or_default());
            out.extend_from_slice(value);
            written = true;
        }
        for (name, value) in &self.added {
            if written {
                out.push(b',');
            }
            json::push_string(&mut out, name);
            out.push(b':');
            out.extend_from_slice(value);
            written = true;
        }
        out.extend_from_slice(self.text.get(before.unwrap_or(1)..).unwrap_or(b"}"));
        out.into()
    }
}

fn key<'a>(text: &'a [u8], member: &Member) -> Cow<'a, str> {
    json::string(member.key.of(text)).unwrap_or_default()
}

/// The value of `name` in an object.
pub(super) fn member<'a>(object: &'a [u8], name: &str) -> Option<&'a [u8]> {
    json::get(object, name).map(|span| span.of(object))
}

/// The text of the string `name` in an object.
pub(super) fn text<'a>(object: &'a [u8], name: &str) -> Option<Cow<'a, str>> {
    member(object, name).and_then(json::string)
}

/// The array in which the elements for which `change` has another text are replaced; `None` if there is none.
/// A replacement may be several elements, separated by commas, or none.
pub(super) fn change_elements<E>(
    array: &[u8],
    mut change: impl FnMut(&[u8]) -> Result<Option<Bytes>, E>,
) -> Result<Option<Bytes>, E> {
    let mut changed: Option<Vec<u8>> = None;
    let mut elements = Vec::new();
    for span in json::elements(array) {
        let other = change(span.of(array))?;
        if other.is_some() && changed.is_none() {
            changed = Some(Vec::with_capacity(array.len()));
        }
        elements.push((span, other));
    }
    let Some(mut out) = changed else { return Ok(None) };
    out.push(b'[');
    for (span, other) in &elements {
        let element = other.as_ref().map_or(span.of(array), |other| &other[..]);
        if !element.is_empty() {
            if out.len() > 1 {
                out.push(b',');
            }
            out.extend_from_slice(element);
        }
    }
    out.push(b']');
    Ok(Some(out.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::testing::{any_object, parse};
    use proptest::prelude::*;

    fn edited(text: &str, edit: impl FnOnce(&mut Edit<'_>)) -> Option<String> {
        let mut object = Edit::open(text.as_bytes())?;
        edit(&mut object);
        object.finish().map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[test]
    fn removes_and_keeps_the_rest_as_written() {
        let text = r#"{ "a" : 1 , "b":2,  "c" : 3 }"#;
        assert_eq!(edited(text, |e| e.remove("a")).unwrap(), r#"{ "b":2,  "c" : 3 }"#);
        assert_eq!(edited(text, |e| e.remove("b")).unwrap(), r#"{ "a" : 1,  "c" : 3 }"#);
        assert_eq!(edited(text, |e| e.remove("c")).unwrap(), r#"{ "a" : 1 , "b":2 }"#);
        assert_eq!(edited(text, |e| e.remove_where(|_| true)).unwrap(), "{  }");
        assert_eq!(edited(text, |e| e.remove("d")), None);
    }

    #[test]
    fn sets_in_place_or_at_the_end() {
        assert_eq!(edited(r#"{"a":1,"b":2}"#, |e| e.set("a", "9")).unwrap(), r#"{"a":9,"b":2}"#);
        assert_eq!(edited(r#"{"a":1}"#, |e| e.set("b", "[]")).unwrap(), r#"{"a":1,"b":[]}"#);
        assert_eq!(edited("{}", |e| e.set("b", "{}")).unwrap(), r#"{"b":{}}"#);
        assert_eq!(edited("{ }", |e| e.set("b", "{}")).unwrap(), r#"{"b":{} }"#);
        assert_eq!(edited(r#"{"a":1}"#, |e| e.set("a", "1")), None);
        assert_eq!(edited(r#"{"a":1,"\u0061":2}"#, |e| e.set("a", "2")).unwrap(), r#"{"\u0061":2}"#);
        assert!(Edit::open(b"[]").is_none());
    }

    #[test]
    fn elements_are_replaced_split_and_dropped() {
        let change = |element: &[u8]| match element {
            b"1" => Ok::<_, ()>(Some(Bytes::from_static(b"7,8"))),
            b"2" => Ok(Some(Bytes::new())),
            _ => Ok(None),
        };
        assert_eq!(change_elements(b"[ 1, 2 ,3]", change).unwrap().unwrap(), &b"[7,8,3]"[..]);
        assert_eq!(change_elements(b"[2]", change).unwrap().unwrap(), &b"[]"[..]);
        assert_eq!(change_elements(b"[3, 4]", change).unwrap(), None);
    }

    proptest! {
        #[test]
        fn stays_an_object_and_keeps_the_others(value in any_object(), pretty in any::<bool>()) {
            let text = if pretty { serde_json::to_vec_pretty(&value) } else { serde_json::to_vec(&value) }.unwrap();
            let mut edit = Edit::open(&text).unwrap();
            edit.remove("a");
            edit.set("b", "true");
            edit.set("new", "[1]");
            let mut expected = value.as_object().unwrap().clone();
            expected.remove("a");
            expected.insert("b".into(), true.into());
            expected.insert("new".into(), serde_json::json!([1]));
            prop_assert_eq!(parse(&edit.into_bytes()), serde_json::Value::Object(expected));
        }

        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            if let Some(mut edit) = Edit::open(&bytes) {
                edit.remove("a");
                edit.set("b", "1");
                edit.into_bytes();
            }
        }
    }
}
