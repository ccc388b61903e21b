//! Changing single members of a raw object.

use std::borrow::Cow;
use std::collections::HashSet;

use bytes::Bytes;

use crate::wire::json::{self, Member};
use crate::wire::{Span, Splice};

/// A raw object and what is to change in it. Members that are not touched keep their bytes, their place and the
/// space around them; new members come last.
pub(super) struct ObjectEdit<'a> {
    text: &'a [u8],
    members: Vec<(Member, Fate)>,
    added: Vec<(String, Bytes)>,
}

enum Fate {
    Kept,
    Removed,
    Replaced(Bytes),
}

/// Up to this many members, comparing each key with each is quicker than a set.
const FEW: usize = 24;

impl<'a> ObjectEdit<'a> {
    /// Opens a checked object; its text begins with `{` and ends with `}`.
    pub(super) fn open(text: &'a [u8]) -> Self {
        let members = json::members(text).map(|member| (member, Fate::Kept)).collect();
        Self { text, members, added: Vec::new() }
    }

    /// Removes all but the last member of each key, which is the one that nearly every parser takes; returns the
    /// doubled keys.
    pub(super) fn drop_doubles(&mut self) -> Vec<String> {
        let keys: Vec<&[u8]> = self.members.iter().map(|(member, _)| member.key.of(self.text)).collect();
        let plain = keys.len() <= FEW && !keys.iter().any(|key| key.contains(&b'\\'));
        let doubled: Vec<usize> = if plain {
            (0..keys.len()).filter(|&index| keys[index + 1..].contains(&keys[index])).collect()
        } else {
            let mut seen = HashSet::new();
            (0..keys.len()).rev().filter(|&index| !seen.insert(json::string(keys[index]))).collect()
        };
        let names =
            doubled.iter().map(|&index| json::string(keys[index]).unwrap_or_default().into_owned()).collect();
        for index in doubled {
            self.members[index].1 = Fate::Removed;
        }
        names
    }

    /// The value of `name` as it is now.
    pub(super) fn get(&self, name: &str) -> Option<&[u8]> {
        if let Some((_, value)) = self.added.iter().find(|(key, _)| key == name) {
            return Some(value);
        }
        let (member, fate) = &self.members[self.find(name)?];
        match fate {
            Fate::Kept => Some(member.value.of(self.text)),
            Fate::Replaced(value) => Some(value),
            Fate::Removed => None,
        }
    }

    /// Gives `name` a value: in its place if it has one, else at the end.
    pub(super) fn set(&mut self, name: &str, value: impl Into<Bytes>) {
        let value = value.into();
        if let Some(index) = self.find(name) {
            self.members[index].1 = Fate::Replaced(value);
        } else if let Some((_, old)) = self.added.iter_mut().find(|(key, _)| key == name) {
            *old = value;
        } else {
            self.added.push((name.to_owned(), value));
        }
    }

    /// Removes `name`.
    pub(super) fn remove(&mut self, name: &str) {
        self.added.retain(|(key, _)| key != name);
        while let Some(index) = self.find(name) {
            self.members[index].1 = Fate::Removed;
        }
    }

    /// Replaces the values for which `change` has another one; returns the keys it changed.
    pub(super) fn change_each(&mut self, mut change: impl FnMut(&[u8]) -> Option<Bytes>) -> Vec<String> {
        let mut changed = Vec::new();
        for (member, fate) in &mut self.members {
            if !matches!(fate, Fate::Removed)
                && let Some(value) = change(member.value.of(self.text))
            {
                *fate = Fate::Replaced(value);
                changed.push(json::string(member.key.of(self.text)).unwrap_or_default().into_owned());
            }
        }
        changed
    }

    /// The changed object; `None` if nothing changed.
    pub(super) fn finish(&self) -> Option<Bytes> {
        let mut splice = self.splice();
        (!splice.is_noop()).then(|| splice.to_bytes())
    }

    /// Appends the object with its changes.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        for piece in self.splice().pieces() {
            out.extend_from_slice(piece);
        }
    }

    fn find(&self, name: &str) -> Option<usize> {
        let stands =
            |(member, fate): &(Member, Fate)| !matches!(fate, Fate::Removed) && member.is(self.text, name);
        self.members.iter().rposition(stands)
    }

    /// A removed member goes with the comma after it, or, if nothing is kept after it, with the one before.
    fn splice(&self) -> Splice<'a> {
        let mut splice = Splice::new(self.text);
        let stays = |(_, fate): &(Member, Fate)| !matches!(fate, Fate::Removed);
        let kept = self.members.iter().rposition(stays).map_or(0, |last| last + 1);
        for (index, (member, fate)) in self.members[..kept].iter().enumerate() {
            match fate {
                Fate::Kept => {}
                Fate::Replaced(value) => {
                    splice.replace(member.value, value.clone());
                }
                Fate::Removed => {
                    let next = &self.members[index + 1].0;
                    splice.replace(Span { start: member.key.start, end: next.key.start }, Bytes::new());
                }
            }
        }
        if let (Some((first, _)), Some((last, _))) = (self.members.get(kept), self.members.last()) {
            let start = if kept == 0 { first.key.start } else { self.members[kept - 1].0.value.end };
            splice.replace(Span { start, end: last.value.end }, Bytes::new());
        }
        if !self.added.is_empty() {
            let end = self.text.len().saturating_sub(1);
            splice.replace(Span { start: end, end }, self.added_text(kept > 0));
        }
        splice
    }

    fn added_text(&self, mut comma: bool) -> Vec<u8> {
        let mut text = Vec::new();
        for (name, value) in &self.added {
            if std::mem::replace(&mut comma, true) {
                text.push(b',');
            }
            json::push_string(&mut text, name);
            text.push(b':');
            text.extend_from_slice(value);
        }
        text
    }
}

/// The members of a checked object as decoded key and raw value.
pub(super) fn entries(object: &[u8]) -> impl Iterator<Item = (Cow<'_, str>, &[u8])> {
    json::members(object)
        .filter_map(move |member| Some((json::string(member.key.of(object))?, member.value.of(object))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(text: &str, edit: impl FnOnce(&mut ObjectEdit<'_>)) -> String {
        let mut object = ObjectEdit::open(text.as_bytes());
        edit(&mut object);
        let mut written = Vec::new();
        object.write(&mut written);
        assert_eq!(object.finish().unwrap_or_else(|| text.to_owned().into()), written);
        assert!(json::check(&written).is_ok(), "{}", String::from_utf8_lossy(&written));
        String::from_utf8(written).unwrap()
    }

    fn without(text: &str, names: &[&str]) -> String {
        edited(text, |object| names.iter().for_each(|name| object.remove(name)))
    }

    #[test]
    fn removes_with_the_right_comma() {
        let text = r#"{ "a":1, "b" : 2 ,"c":3 }"#;
        assert_eq!(without(text, &["a"]), r#"{ "b" : 2 ,"c":3 }"#);
        assert_eq!(without(text, &["b"]), r#"{ "a":1, "c":3 }"#);
        assert_eq!(without(text, &["c"]), r#"{ "a":1, "b" : 2 }"#);
        assert_eq!(without(text, &["b", "c"]), r#"{ "a":1 }"#);
        assert_eq!(without(text, &["a", "b"]), r#"{ "c":3 }"#);
        assert_eq!(without(text, &["a", "c"]), r#"{ "b" : 2 }"#);
        assert_eq!(without(text, &["a", "b", "c"]), r#"{  }"#);
        assert_eq!(without(text, &["d"]), text);
        assert_eq!(without("{}", &["d"]), "{}");
    }

    #[test]
    fn sets_in_place_or_at_the_end() {
        let set = |text, name, value: &'static str| edited(text, |object| object.set(name, value));
        assert_eq!(set(r#"{"a":1,"b":2}"#, "a", "9"), r#"{"a":9,"b":2}"#);
        assert_eq!(set(r#"{"a":1}"#, "c", "[]"), r#"{"a":1,"c":[]}"#);
        assert_eq!(set("{ }", "c", "[]"), r#"{ "c":[]}"#);
        let all = edited(r#"{"a":1,"b":2}"#, |object| {
            object.remove("a");
            object.remove("b");
            object.set("c", "3");
            object.set("c", "4");
            object.set("d", "5");
            assert_eq!(object.get("c"), Some(&b"4"[..]));
            assert_eq!(object.get("a"), None);
        });
        assert_eq!(all, r#"{"c":4,"d":5}"#);
    }

    #[test]
    fn keeps_the_last_of_doubled_keys() {
        let text = r#"{"a":1,"b":2,"\u0061":3,"a":4}"#;
        let result = edited(text, |object| assert_eq!(object.drop_doubles().len(), 2));
        assert_eq!(result, r#"{"b":2,"a":4}"#);
        let many: String = (0..60).map(|n| format!("\"k{}\":{n},", n % 30)).collect();
        let text = format!("{{{}}}", many.trim_end_matches(','));
        let result = edited(&text, |object| assert_eq!(object.drop_doubles().len(), 30));
        assert_eq!(json::members(result.as_bytes()).count(), 30);
        assert!(result.starts_with(r#"{"k0":30,"#));
    }
}
