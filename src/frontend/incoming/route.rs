//! What goes to a server: which one, and what changes on the way.

use std::sync::Arc;

use bytes::Bytes;

use super::Incoming;
use crate::backend::Backend;
use crate::call::{Call, Client, TokenPlace};
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
        let places = CallPlaces::of(&incoming);
        let Some((span, name)) =
            places.name.and_then(|span| Some((span, json::string(span.of(incoming.line))?)))
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
        self.forward(id, &incoming, way, places.token_or_ours(&incoming), None);
    }

    pub(super) fn prompts_get(self: &Arc<Self>, registry: &Registry, id: Id, incoming: Incoming<'_>) {
        let places = CallPlaces::of(&incoming);
        let Some((span, name)) =
            places.name.and_then(|span| Some((span, json::string(span.of(incoming.line))?)))
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
        self.forward(id, &incoming, way, places.token(&incoming), None);
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
            backend.unsubscribed(original);
        }
        let subscription = (method != Method::ResourcesRead).then(|| original.to_owned());
        let rewrites = catalog.rewrites(route.index);
        let way = Way { method, backend, label: original.into(), target: edit, rewrites };
        self.forward(id, &incoming, way, CallPlaces::of(&incoming).token(&incoming), subscription);
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
        self.forward(id, &incoming, way, CallPlaces::of(&incoming).token(&incoming), None);
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
            batch: incoming.batch.clone(),
        };
        let Some(ticket) = self.open(request) else { return };
        let client: Arc<dyn Client> = Arc::clone(self) as Arc<dyn Client>;
        way.backend.call(Call {
            ticket,
            client,
            method: way.method,
            label: way.label,
            line: incoming.line.clone(),
            params: incoming.params,
            target: way.target,
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

/// The members of a call's parameters that we look at, found in one walk. They may be of any kind.
#[derive(Default)]
struct CallPlaces {
    name: Option<Span>,
    meta: Option<Span>,
    token: Option<Span>,
}

impl CallPlaces {
    fn of(incoming: &Incoming<'_>) -> Self {
        let mut places = Self::default();
        let Some(params) = incoming.params else { return places };
        let raw = params.of(incoming.line);
        for member in json::members(raw) {
            if member.is(raw, "name") {
                places.name = Some(member.value.shifted(params.start));
            } else if member.is(raw, "_meta") {
                places.meta = Some(member.value.shifted(params.start));
            }
        }
        places.token = places
            .meta
            .and_then(|meta| Some(json::get(meta.of(incoming.line), "progressToken")?.shifted(meta.start)));
        places
    }

    /// The client's token, if it gave a proper one.
    fn token(&self, incoming: &Incoming<'_>) -> TokenPlace {
        let kind = |span: &Span| json::kind(span.of(incoming.line));
        let proper = self.token.filter(|span| matches!(kind(span), json::Kind::String | json::Kind::Number));
        proper.map_or(TokenPlace::None, TokenPlace::Client)
    }

    /// The client's token, or else a place for one of ours. Where something stands that is no token, or no `_meta`
    /// object, it stays alone: beside it ours would be a doubled key.
    fn token_or_ours(&self, incoming: &Incoming<'_>) -> TokenPlace {
        match (self.token, self.meta, incoming.params) {
            (Some(_), _, _) => self.token(incoming),
            (None, Some(meta), _) if json::kind(meta.of(incoming.line)) == json::Kind::Object => {
                let empty = json::members(meta.of(incoming.line)).next().is_none();
                let after = if empty { "" } else { "," };
                TokenPlace::Own { at: meta.start + 1, before: r#""progressToken":"#, after }
            }
            // There is at least the name before it.
            (None, None, Some(params)) => {
                TokenPlace::Own { at: params.end - 1, before: r#","_meta":{"progressToken":"#, after: "}" }
            }
            (None, Some(_), _) | (None, None, None) => TokenPlace::None,
        }
    }
}
