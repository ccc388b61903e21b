//! What goes to a server.

use std::sync::Arc;

use super::Incoming;
use crate::call::{Call, Caller, TokenPlace};
use crate::frontend::answer::Answer;
use crate::frontend::pending::Request;
use crate::frontend::route::{self, Miss, Way};
use crate::frontend::session::Session;
use crate::protocol::{Method, Revision};
use crate::registry::Registry;
use crate::status;
use crate::wire::{Id, json};

impl Session {
    pub(super) fn relay_request(
        self: &Arc<Self>,
        registry: &Arc<Registry>,
        id: Id,
        incoming: &Incoming<'_>,
        method: Method,
    ) {
        if method == Method::ToolsCall
            && route::may_be_ours(incoming)
            && let Ok((_, name)) = route::name(incoming)
            && status::is_ours(&name)
        {
            let arguments = incoming.member("arguments").map(|span| span.of(incoming.line));
            let answer = Answer::result(status::tool_result(
                registry,
                arguments.unwrap_or_default(),
                self.principal(),
            ));
            return self.at_once(id, incoming, method, &answer);
        }
        let revision = self.revision().unwrap_or_else(Revision::newest_legacy);
        if let Some(answer) = route::kept_result(registry, incoming, method, revision, self.principal()) {
            return self.at_once(id, incoming, method, &answer);
        }
        let Some(id) = self.kept(registry, id, incoming, method) else { return };
        let way = match method {
            Method::Task(_) => self.hall.task_way(registry, incoming, revision.tasks, self.principal()),
            _ => route::way(registry, incoming, method, revision, self.principal()),
        };
        match way {
            Ok(mut way) => {
                self.own(registry, &mut way.lane);
                self.forward(id, incoming, method, way);
            }
            Err(Miss::Invalid(answer)) => self.at_once(id, incoming, method, &answer),
            Err(Miss::Unknown(answer)) => self.nobody_has(id, incoming, method, &answer),
        }
    }

    fn forward(self: &Arc<Self>, id: Id, incoming: &Incoming<'_>, method: Method, way: Way) {
        let client_token = match way.token {
            TokenPlace::Client(span) => Some(span.of(incoming.line).into()),
            TokenPlace::None | TokenPlace::Own { .. } => None,
        };
        let subscribes = matches!(method, Method::Subscribe | Method::Unsubscribe);
        if method == Method::Unsubscribe
            && let Some(uri) = &way.uri
        {
            self.follow(way.lane.backend().name(), uri, false);
        }
        let request = Request {
            id,
            method,
            token: client_token,
            server: Some(way.lane.backend().name().clone()),
            rewrites: way.rewrites,
            task: incoming.places.task || matches!(method, Method::Task(_)),
            limit: route::limit(&way.lane, method),
            uri: way.uri.filter(|_| subscribes).map(String::into_boxed_str),
            back: incoming.back.clone(),
        };
        let Some(ticket) = self.open(request) else { return };
        let call = Call {
            ticket,
            caller: Arc::clone(self) as Arc<dyn Caller>,
            method,
            label: way.label,
            line: incoming.line.clone(),
            params: incoming.params,
            target: way.target,
            meta: incoming
                .places
                .meta
                .filter(|span| json::kind(span.of(incoming.line)) == json::Kind::Object),
            token: way.token,
        };
        way.lane.call(call, way.item);
    }
}
