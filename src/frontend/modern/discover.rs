//! `server/discover` (MCP 2026-07-28, "Discovery"): what we are, from memory.

use std::sync::Arc;

use crate::bridge::result::CacheHints;
use crate::bridge::result::push_modern_members;
use crate::frontend::hall::Hall;
use crate::frontend::incoming::local::capabilities;
use crate::frontend::modern::scope::Responder;
use crate::frontend::modern::server_info;
use crate::policy::Client;
use crate::protocol::Revision;
use crate::wire::{Span, json};

impl Hall {
    pub(super) fn discover(self: &Arc<Self>, client: Client, responder: Responder) {
        let Some(registry) = self.registry() else { return };
        let catalog = registry.catalog();
        let view = self.view(registry, || client);
        let names: Vec<String> =
            Revision::modern().map(|revision| format!("\"{}\"", revision.name)).collect();
        let mut text = format!(
            r#"{{"supportedVersions":[{}],"capabilities":{}"#,
            names.join(","),
            capabilities(self, Revision::newest_modern(), registry, &catalog)
        )
        .into_bytes();
        if !view.instructions().is_empty() {
            text.extend_from_slice(br#","instructions":"#);
            json::push_string(&mut text, view.instructions());
        }
        text.push(b',');
        push_modern_members(&mut text, &server_info(), Some(CacheHints::NONE));
        text.push(b'}');
        let whole = Span { start: 0, end: text.len() };
        responder.relay("result", &text.into(), whole);
    }
}
