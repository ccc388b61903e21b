//! Which server a request is for, and what of it changes on the way there. The same for clients of every revision.

use std::sync::Arc;

use bytes::Bytes;

use crate::call::TokenPlace;
use crate::catalog::{Held, Target};
use crate::frontend::answer::{Answer, excerpt};
use crate::frontend::incoming::Incoming;
use crate::names::{ExposedName, OriginalName};
use crate::pipeline::{BadRange, Item, Lane, Results};
use crate::protocol::{ListKind, Method, Revision, codes};
use crate::registry::{Registry, Snapshot};
use crate::wire::{Span, json};

/// Where a request goes.
pub(super) struct Way {
    pub(super) lane: Lane,
    /// What the stages of the lane want to know, if it has any.
    pub(super) item: Option<Item>,
    /// What is called, in the server's own words.
    pub(super) label: OriginalName,
    /// The name or URI in the server's spelling, and where it goes.
    pub(super) target: Option<(Span, Bytes)>,
    /// Whether the answer may hold URIs that clients know under other spellings.
    pub(super) rewrites: bool,
    pub(super) token: TokenPlace,
    /// The resource, in the server's spelling.
    pub(super) uri: Option<String>,
}

/// Why a request goes nowhere.
pub(super) enum Miss {
    /// It lacks what would route it, or may not go where it leads.
    Invalid(Answer),
    /// Nobody has what it is for.
    Unknown(Answer),
}

/// Finds the way of a request that is for a server. `revision` is the client's: what is not found is said in its codes.
pub(super) fn way(
    registry: &Registry,
    incoming: &Incoming<'_>,
    method: Method,
    revision: &Revision,
) -> Result<Way, Miss> {
    match method {
        Method::ToolsCall => tool(registry, incoming),
        Method::PromptsGet => prompt(registry, incoming),
        Method::Complete => completion(registry, incoming),
        _ => resource(registry, incoming, revision),
    }
}

/// The largest result of a server that is passed on, in bytes. Results of tools, prompts and resources have been shortened already,
/// and what bridges them may add a little.
pub(super) fn limit(lane: &Lane, method: Method) -> usize {
    let limit = lane.config().limits.result.filter(|_| !Lane::cuts(method));
    limit.unwrap_or(usize::MAX)
}

/// The answer to a client that reads what was too large to be handed to it at once; `None` if it reads anything else.
pub(super) fn kept_result(
    registry: &Registry,
    incoming: &Incoming<'_>,
    method: Method,
    revision: &Revision,
    principal: Option<&str>,
) -> Option<Answer> {
    if method != Method::ResourcesRead {
        return None;
    }
    let results = registry.results()?;
    let uri = incoming.string("uri").filter(|uri| Results::is_ours(uri))?;
    Some(match results.read(&uri, principal) {
        Some(Ok(result)) => Answer::result(result),
        Some(Err(BadRange(text))) => Answer::error(codes::INVALID_PARAMS, &text),
        // A Switchboard behind us has such URIs too.
        None if registry.catalog().route_uri(&uri).is_some() => return None,
        None => {
            let text = format!(
                "Resource not found: {}; results are kept for an hour, or less if there are many",
                excerpt(&uri)
            );
            Answer::error(revision.resource_not_found, &text)
        }
    })
}

fn invalid(text: &str) -> Miss {
    Miss::Invalid(Answer::error(codes::INVALID_PARAMS, text))
}

/// Whether the name of the tool may be that of one of ours: a look without reading it, because nearly none is.
#[inline]
pub(super) fn may_be_ours(incoming: &Incoming<'_>) -> bool {
    let raw = incoming.places.name.map(|span| span.of(incoming.line)).unwrap_or_default();
    raw.starts_with(b"\"switchboard") || raw.contains(&b'\\')
}

/// The name of a tool or prompt that is called, and where it stands.
pub(super) fn name<'a>(incoming: &Incoming<'a>) -> Result<(Span, std::borrow::Cow<'a, str>), Miss> {
    let span = incoming.places.name;
    let name = span.and_then(|span| Some((span, json::string(span.of(incoming.line))?)));
    name.ok_or_else(|| invalid("`name` must be a string"))
}

/// What may have been meant. Where policies decide who is shown what, nobody is told of what there is.
fn near(registry: &Registry, names: impl FnOnce() -> Vec<ExposedName>) -> Vec<String> {
    let names = if registry.has_policies() { Vec::new() } else { names() };
    names.iter().map(ToString::to_string).collect()
}

/// The snapshot in whose catalog a name is looked up. If it is held back there, somebody may just have approved it.
fn snapshot_for(registry: &Registry, kind: ListKind, name: &str) -> Arc<Snapshot> {
    let now = registry.now();
    if now.catalog.is_held(kind, name) && registry.look_for_approvals() { registry.now() } else { now }
}

/// The same for a URI.
fn snapshot_for_uri(registry: &Registry, uri: &str) -> Arc<Snapshot> {
    let now = registry.now();
    if now.catalog.held_uri(uri).is_some() && registry.look_for_approvals() { registry.now() } else { now }
}

/// The answer to a call of something that waits for its owner.
fn refusal(method: Method, held: &Held) -> Miss {
    Miss::Invalid(Answer::failure(method, &held.failure()))
}

/// What is called, for stages.
fn item(target: &Target) -> Item {
    Item { exposed: target.exposed.clone(), definition: target.definition.clone(), claims: target.claims() }
}

fn tool(registry: &Registry, incoming: &Incoming<'_>) -> Result<Way, Miss> {
    let (span, name) = name(incoming)?;
    let now = snapshot_for(registry, ListKind::Tools, &name);
    let catalog = &now.catalog;
    let found = catalog.tool(&name).and_then(|target| Some((target, now.lane_at(target.index)?)));
    let Some((target, lane)) = found else {
        if let Some(held) = catalog.held(ListKind::Tools, &name) {
            return Err(refusal(Method::ToolsCall, held));
        }
        let near = near(registry, || catalog.nearest_tools(&name, 3));
        return Err(Miss::Unknown(Answer::unknown("tool", &name, &near)));
    };
    Ok(Way {
        item: lane.item(|| item(target)),
        lane: lane.clone(),
        label: target.original.clone(),
        target: Some((span, target.original_quoted.clone())),
        rewrites: catalog.rewrites(target.index),
        token: incoming.token_or_ours(),
        uri: None,
    })
}

fn prompt(registry: &Registry, incoming: &Incoming<'_>) -> Result<Way, Miss> {
    let (span, name) = name(incoming)?;
    let now = snapshot_for(registry, ListKind::Prompts, &name);
    let catalog = &now.catalog;
    let found = catalog.prompt(&name).and_then(|target| Some((target, now.lane_at(target.index)?)));
    let Some((target, lane)) = found else {
        if let Some(held) = catalog.held(ListKind::Prompts, &name) {
            return Err(refusal(Method::PromptsGet, held));
        }
        let near = near(registry, || catalog.nearest_prompts(&name, 3));
        return Err(Miss::Unknown(Answer::unknown("prompt", &name, &near)));
    };
    Ok(Way {
        item: lane.item(|| item(target)),
        lane: lane.clone(),
        label: target.original.clone(),
        target: Some((span, target.original_quoted.clone())),
        rewrites: catalog.rewrites(target.index),
        token: incoming.token(),
        uri: None,
    })
}

fn resource(registry: &Registry, incoming: &Incoming<'_>, revision: &Revision) -> Result<Way, Miss> {
    let place = incoming.member("uri").and_then(|span| Some((span, json::string(span.of(incoming.line))?)));
    let Some((span, uri)) = place else { return Err(invalid("`uri` must be a string")) };
    let now = snapshot_for_uri(registry, &uri);
    let catalog = &now.catalog;
    if let Some(held) = catalog.held_uri(&uri) {
        return Err(refusal(Method::ResourcesRead, held));
    }
    let found = catalog.route_uri(&uri).and_then(|route| Some((now.lane_at(route.index)?, route)));
    let Some((lane, route)) = found else {
        let uri = excerpt(&uri);
        let mut data = br#"{"uri":"#.to_vec();
        json::push_string(&mut data, &uri);
        data.push(b'}');
        let message = format!("Resource not found: {uri}");
        return Err(Miss::Unknown(Answer::error_with(revision.resource_not_found, &message, Some(&data))));
    };
    let original: &str = &route.original;
    Ok(Way {
        item: None,
        lane: lane.clone(),
        label: original.into(),
        target: (original != uri).then(|| (span, Bytes::from(json::quote(original)))),
        rewrites: catalog.rewrites(route.index),
        token: incoming.token(),
        uri: Some(original.to_owned()),
    })
}

/// A completion goes where its prompt or template is (MCP "Completion").
fn completion(registry: &Registry, incoming: &Incoming<'_>) -> Result<Way, Miss> {
    let now = registry.now();
    let catalog = &now.catalog;
    let place = incoming.member("ref");
    let part = |name| {
        let place = place?;
        let span = json::get(place.of(incoming.line), name)?.shifted(place.start);
        Some((span, json::string(span.of(incoming.line))?))
    };
    let prompt = part("name").and_then(|(span, name)| {
        let target = catalog.prompt(&name)?;
        let item = now.lane_at(target.index)?.item(|| item(target));
        Some((target.index, span, target.original.clone(), Some(target.original_quoted.clone()), item))
    });
    let template = part("uri");
    if let Some(held) = template.as_ref().and_then(|(_, uri)| catalog.held_uri(uri)) {
        return Err(refusal(Method::Complete, held));
    }
    let found = prompt.or_else(|| {
        let (span, uri) = template?;
        let route = catalog.route_uri(&uri)?;
        let edit = (route.original != uri).then(|| Bytes::from(json::quote(&route.original)));
        Some((route.index, span, OriginalName::from(&*route.original), edit, None))
    });
    let Some((index, span, label, edit, item)) = found else {
        let text = "`ref` names no prompt or resource template that is known";
        return Err(Miss::Unknown(Answer::error(codes::INVALID_PARAMS, text)));
    };
    let Some(lane) = now.lane_at(index) else {
        return Err(invalid("the server of `ref` is gone"));
    };
    Ok(Way {
        item,
        lane: lane.clone(),
        label,
        target: edit.map(|text| (span, text)),
        rewrites: false,
        token: incoming.token(),
        uri: None,
    })
}
