//! The members of a JSON object as they were written: order, doubled keys and the text of numbers survive.

use std::borrow::Cow;
use std::fmt;

use serde::Deserializer as _;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

use super::template::push_quoted;

/// An object whose values are pieces of JSON text.
#[derive(Debug)]
pub(super) struct Members<'t>(Vec<(Cow<'t, str>, Cow<'t, str>)>);

impl<'t> Members<'t> {
    /// Reads an object; none if the text is anything else. Values may nest as deep as they like.
    pub(super) fn of(text: &'t str) -> Option<Self> {
        struct Read;
        impl<'t> Visitor<'t> for Read {
            type Value = Members<'t>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(key) = map.next_key::<String>()? {
                    let value: &RawValue = map.next_value()?;
                    members.push((Cow::Owned(key), Cow::Borrowed(value.get())));
                }
                Ok(Members(members))
            }
        }
        serde_json::Deserializer::from_str(text).deserialize_map(Read).ok()
    }

    /// The text of a member.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_ref())
    }

    /// Adds a member unless one of this name is there already.
    pub(super) fn offer(&mut self, key: &'t str, value: &str) {
        if self.get(key).is_none() {
            self.0.push((Cow::Borrowed(key), Cow::Owned(value.to_owned())));
        }
    }

    /// Sets a member, where it is or at the end; one that is null stays null.
    pub(super) fn set_unless_null(&mut self, key: &'t str, value: &str) {
        match self.0.iter_mut().find(|(known, _)| known == key) {
            Some((_, old)) if old == "null" => {}
            Some((_, old)) => *old = Cow::Owned(value.to_owned()),
            None => self.offer(key, value),
        }
    }

    /// Takes out those of these members that are null.
    pub(super) fn drop_null(&mut self, keys: &[&str]) {
        self.0.retain(|(key, value)| value != "null" || !keys.contains(&key.as_ref()));
    }

    pub(super) fn to_json(&self) -> String {
        let mut out = String::from("{");
        for (at, (key, value)) in self.0.iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            push_quoted(key, &mut out);
            out.push(':');
            out.push_str(value);
        }
        out.push('}');
        out
    }
}
