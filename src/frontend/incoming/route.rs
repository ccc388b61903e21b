//! What goes to a server: which one, and what changes on the way.

use std::sync::Arc;

use bytes::Bytes;

use super::Incoming;
use crate::backend::Backend;
use crate::call::{Call, Caller, TokenPlace};
use crate::frontend::answer::Answer;
use crate::frontend::answer::excerpt;
use crate::frontend::pending::Request;
use crate::frontend::session::Session;
use crate::names::OriginalName;
use crate::protocol::{Method, codes};
use crate::registry::Registry;
use crate::status;
use crate::wire::{Id, Span, json};

impl Session {
    pub(super) fn tools_call(self: &Arc<Self>, registry: &Registry, id: Id, incoming: Incoming<'_>) {
        let Some((span, name)) =
            incoming.places.name.and_then(|span| Some((span, json::string(span.of(incoming.line))?)))
        else {
            let answer = Answer::error(codes::INVALID_PARAMS, "`name` must be a string");
            return self.at_once(id, &incoming, Method::ToolsCall, &answer);
        };
        if status::is_ours(&name) {
            let arguments =
                incoming.member("arguments").map(|span| span.of(incoming.line)).unwrap_or_default();
            let answer = Answer::result(status::tool_result(registry, arguments));
            return self.at_once(id, &incoming, Method::ToolsCall, &answer);
        }
        let catalog = registry.catalog();
        let found = catalog.tool(&name).and_then(|target| Some((target, registry.backend_at(target.index)?)));
        let Some((target, backend)) = found else {
            let near: Vec<String> = catalog.nearest_tools(&name, 3).iter().map(ToString::to_string).collect();
            return self.nobody_has(id, &incoming, Method::ToolsCall, &Answer::unknown("tool", &name, &near));
        };
        let rewrites = catalog.rewrites(target.index);
        let edit = Some((span, target.original_quoted.clone()));
        let way = Way {
            method: Method::ToolsCall,
            backend,
            label: target.original.clone(),
            target: edit,
            rewrites,
        };
        self.forward(id, &incoming, way, incoming.token_or_ours(), None);
    }

    pub(super) fn prompts_get(self: &Arc<Self>, registry: &Registry, id: Id, incoming: Incoming<'_>) {
        let Some((span, name)) =
            incoming.places.name.and_then(|span| Some((span, json::string(span.of(incoming.line))?)))
        else {
            let answer = Answer::error(codes::INVALID_PARAMS, "`name` must be a string");
            return self.at_once(id, &incoming, Method::PromptsGet, &answer);
        };
        let catalog = registry.catalog();
        let found =
            catalog.prompt(&name).and_then(|target| Some((target, registry.backend_at(target.index)?)));
        let Some((target, backend)) = found else {
            let near: Vec<String> =
                catalog.nearest_prompts(&name, 3).iter().map(ToString::to_string).collect();
            return self.nobody_has(
                id,
                &incoming,
                Method::PromptsGet,
                &Answer::unknown("prompt", &name, &near),
            );
        };
        let rewrites = catalog.rewrites(target.index);
        let edit = Some((span, target.original_quoted.clone()));
        let way = Way {
            method: Method::PromptsGet,
            backend,
            label: target.original.clone(),
            target: edit,
            rewrites,
        };
        self.forward(id, &incoming, way, incoming.token(), None);
    }

    pub(super) fn resource(
        self: &Arc<Self>,
        registry: &Registry,
        id: Id,
        incoming: Incoming<'_>,
        method: Method,
    ) {
        let Some((span, uri)) =
            incoming.member("uri").and_then(|span| Some((span, json::string(span.of(incoming.line))?)))
        else {
            let answer = Answer::error(codes::INVALID_PARAMS, "`uri` must be a string");
            return self.at_once(id, &incoming, method, &answer);
        };
        let catalog = registry.catalog();
        let found =
            catalog.route_uri(&uri).and_then(|route| Some((registry.backend_at(route.index)?, route)));
        let Some((backend, route)) = found else {
            let uri = excerpt(&uri);
            let mut data = br#"{"uri":"#.to_vec();
            json::push_string(&mut data, &uri);
            data.push(b'}');
            let message = format!("Resource not found: {uri}");
            let answer = Answer::error_with(codes::RESOURCE_NOT_FOUND, &message, Some(&data));
            return self.nobody_has(id, &incoming, method, &answer);
        };
        let original: &str = &route.original;
        let edit = (original != uri).then(|| (span, Bytes::from(json::quote(original))));
        if method == Method::Unsubscribe {
            self.follow(backend.name(), original, false);
        }
        let subscription = (method != Method::ResourcesRead).then(|| original.to_owned());
        let rewrites = catalog.rewrites(route.index);
        let way = Way { method, backend, label: original.into(), target: edit, rewrites };
        self.forward(id, &incoming, way, incoming.token(), subscription);
    }

    /// A completion goes where its prompt or template is (MCP "Completion").
    pub(super) fn complete(self: &Arc<Self>, registry: &Registry, id: Id, incoming: Incoming<'_>) {
        let catalog = registry.catalog();
        let place = incoming.member("ref");
        let part = |name| {
            let place = place?;
            let span = json::get(place.of(incoming.line), name)?.shifted(place.start);
            Some((span, json::string(span.of(incoming.line))?))
        };
        let prompt = part("name").and_then(|(span, name)| {
            let target = catalog.prompt(&name)?;
            Some((target.index, span, target.original.clone(), Some(target.original_quoted.clone())))
        });
        let found = prompt.or_else(|| {
            let (span, uri) = part("uri")?;
            let route = catalog.route_uri(&uri)?;
            let edit = (route.original != uri).then(|| Bytes::from(json::quote(&route.original)));
            Some((route.index, span, OriginalName::from(&*route.original), edit))
        });
        let Some((index, span, label, edit)) = found else {
            let answer = Answer::error(
                codes::INVALID_PARAMS,
                "`ref` names no prompt or resource template that is known",
            );
            return self.nobody_has(id, &incoming, Method::Complete, &answer);
        };
        let Some(backend) = registry.backend_at(index) else { return };
        let target = edit.map(|text| (span, text));
        let way = Way { method: Method::Complete, backend, label, target, rewrites: false };
        self.forward(id, &incoming, way, incoming.token(), None);
    }

    fn forward(
        self: &Arc<Self>,
        id: Id,
        incoming: &Incoming<'_>,
        way: Way<'_>,
        token: TokenPlace,
        uri: Option<String>,
    ) {
        let client_token = match token {
            TokenPlace::Client(span) => Some(Bytes::copy_from_slice(span.of(incoming.line))),
            TokenPlace::None | TokenPlace::Own { .. } => None,
        };
        let request = Request {
            id,
            method: way.method,
            token: client_token,
            server: Some(way.backend.name().clone()),
            rewrites: way.rewrites,
            limit: way.backend.config().limits.result.unwrap_or(usize::MAX),
            uri,
            back: incoming.back.clone(),
        };
        let Some(ticket) = self.open(request) else { return };
        let caller = Arc::clone(self) as Arc<dyn Caller>;
        way.backend.call(Call {
            ticket,
            caller,
            method: way.method,
            label: way.label,
            line: incoming.line.clone(),
            params: incoming.params,
            target: way.target,
            meta: incoming.places.meta,
            token,
        });
    }
}

/// Where a request goes and what changes on the way.
struct Way<'a> {
    method: Method,
    backend: &'a Arc<Backend>,
    label: OriginalName,
    target: Option<(Span, Bytes)>,
    rewrites: bool,
}
