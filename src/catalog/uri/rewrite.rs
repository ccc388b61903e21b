//! Changing the URIs in results, at the few places where MCP puts them. Text is never searched.

use bytes::Bytes;

use super::UriTable;
use crate::wire::json;
use crate::wire::{Span, Splice};

impl UriTable {
    /// See [`Catalog::rewrite_result`](crate::catalog::Catalog::rewrite_result).
    pub(in crate::catalog) fn rewrite_result(&self, index: usize, result: &[u8]) -> Option<Bytes> {
        let mut rewrite = Rewrite { table: self, index, text: result, splice: Splice::new(result) };
        rewrite.result();
        (!rewrite.splice.is_noop()).then(|| rewrite.splice.to_bytes())
    }

    /// The changed `_meta` of a tool, if it refers to a URI that clients see differently.
    pub(in crate::catalog) fn rewrite_meta(&self, index: usize, meta: &[u8]) -> Option<Bytes> {
        let mut rewrite = Rewrite { table: self, index, text: meta, splice: Splice::new(meta) };
        rewrite.meta(Span { start: 0, end: meta.len() });
        (!rewrite.splice.is_noop()).then(|| rewrite.splice.to_bytes())
    }
}

/// Whether a tool's `_meta` refers to a resource of its server.
pub(in crate::catalog) fn refers(meta: &[u8]) -> bool {
    json::get_path(meta, &["ui", "resourceUri"]).or_else(|| json::get(meta, "ui/resourceUri")).is_some()
}

struct Rewrite<'a> {
    table: &'a UriTable,
    index: usize,
    text: &'a [u8],
    splice: Splice<'a>,
}

impl Rewrite<'_> {
    fn result(&mut self) {
        let text = self.text;
        for member in json::members(text) {
            if member.is(text, "contents") {
                self.each(member.value, Self::contents);
            } else if member.is(text, "content") {
                self.each(member.value, Self::block);
            } else if member.is(text, "messages") {
                self.each(member.value, Self::message);
            } else if member.is(text, "_meta") {
                self.meta(member.value);
            }
        }
    }

    fn each(&mut self, list: Span, visit: fn(&mut Self, Span)) {
        let text = list.of(self.text);
        for element in json::elements(text) {
            visit(self, element.shifted(list.start));
        }
    }

    fn contents(&mut self, contents: Span) {
        self.uri_at(contents, &["uri"]);
    }

    fn message(&mut self, message: Span) {
        let Some(content) = self.find(message, &["content"]) else { return };
        self.block(content);
        self.each(content, Self::block);
    }

    fn block(&mut self, block: Span) {
        let Some(kind) = self.find(block, &["type"]).and_then(|kind| json::string(kind.of(self.text))) else {
            return;
        };
        match &*kind {
            "resource_link" => self.uri_at(block, &["uri"]),
            "resource" => self.uri_at(block, &["resource", "uri"]),
            _ => {}
        }
    }

    fn meta(&mut self, meta: Span) {
        self.uri_at(meta, &["ui", "resourceUri"]);
        self.uri_at(meta, &["ui/resourceUri"]);
    }

    fn find(&self, object: Span, path: &[&str]) -> Option<Span> {
        Some(json::get_path(object.of(self.text), path)?.shifted(object.start))
    }

    fn uri_at(&mut self, object: Span, path: &[&str]) {
        let Some(span) = self.find(object, path) else { return };
        let Some(uri) = json::string(span.of(self.text)) else { return };
        let exposed = self.table.expose(self.index, &uri);
        if exposed != uri {
            self.splice.replace(span, json::quote(&exposed));
        }
    }
}
