//! The members of a request's parameters that route it, found in one walk.

use super::Incoming;
use crate::call::{Surroundings, TokenPlace};
use crate::protocol::meta;
use crate::wire::{Span, json};

/// See the module. The members may be of any kind.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::frontend) struct Places {
    /// `name`
    pub(in crate::frontend) name: Option<Span>,
    /// Whether there is a `task`: a client of 2025-11-25 asks for one.
    pub(in crate::frontend) task: bool,
    /// `_meta`
    pub(in crate::frontend) meta: Option<Span>,
    /// `_meta.progressToken`
    pub(in crate::frontend) token: Option<Span>,
    /// Whether `_meta` has one of the keys that every request of the modern era must have, and no other.
    pub(in crate::frontend) is_modern: bool,
}

impl Places {
    pub(in crate::frontend) fn of(line: &[u8], params: Option<Span>) -> Self {
        let mut places = Self::default();
        let Some(params) = params else { return places };
        let raw = params.of(line);
        for member in json::members(raw) {
            if member.is(raw, "name") {
                places.name = Some(member.value.shifted(params.start));
            } else if member.is(raw, "task") {
                places.task = true;
            } else if member.is(raw, "_meta") {
                places.meta = Some(member.value.shifted(params.start));
            }
        }
        let Some(span) = places.meta else { return places };
        let raw = span.of(line);
        for member in json::members(raw) {
            if member.is(raw, meta::PROGRESS_TOKEN) {
                places.token = Some(member.value.shifted(span.start));
            } else if member.is(raw, meta::PROTOCOL_VERSION) || member.is(raw, meta::CLIENT_CAPABILITIES) {
                places.is_modern = true;
            }
        }
        places
    }
}

impl Incoming<'_> {
    /// The client's token, if it gave a proper one.
    pub(in crate::frontend) fn token(&self) -> TokenPlace {
        let kind = |span: &Span| json::kind(span.of(self.line));
        let proper =
            self.places.token.filter(|span| matches!(kind(span), json::Kind::String | json::Kind::Number));
        proper.map_or(TokenPlace::None, TokenPlace::Client)
    }

    /// The client's token, or else a place for one of ours. Where something stands that is no token, or no `_meta`
    /// object, it stays alone: beside it ours would be a doubled key.
    pub(in crate::frontend) fn token_or_ours(&self) -> TokenPlace {
        match (self.places.token, self.places.meta, self.params) {
            (Some(_), _, _) => self.token(),
            (None, Some(meta), _) if json::kind(meta.of(self.line)) == json::Kind::Object => {
                let empty = json::members(meta.of(self.line)).next().is_none();
                let with = if empty { Surroundings::Key } else { Surroundings::KeyBefore };
                TokenPlace::Own { at: meta.start + 1, with }
            }
            // There is at least the name before it.
            (None, None, Some(params)) => TokenPlace::Own { at: params.end - 1, with: Surroundings::Meta },
            (None, Some(_), _) | (None, None, None) => TokenPlace::None,
        }
    }
}
