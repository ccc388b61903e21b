//! Refuses what policies do not permit: before anything else happens to a call, so that nothing that was kept, counted or
//! started tells a client of what it may not use.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::SystemTime;

use smallvec::SmallVec;

use super::{BoxFuture, Next, Outcome, Request, Stage};
use crate::call::Call;
use crate::config::ServerConfig;
use crate::effect::{Claims, Effect};
use crate::failure::{Code, Failure};
use crate::policy::{Action, Client, Policies, Thing};
use crate::protocol::Method;
use crate::wire::json;

/// No request of MCP has more than a handful; each is compared with all before it.
const MOST_PARAMS: usize = 100;

/// See the module.
#[derive(Debug)]
pub(super) struct Guard {
    pub(super) policies: Arc<Policies>,
    pub(super) server: Arc<ServerConfig>,
}

impl Guard {
    pub(super) fn new(policies: &Arc<Policies>, server: &Arc<ServerConfig>) -> Self {
        Self { policies: Arc::clone(policies), server: Arc::clone(server) }
    }

    fn admit(&self, request: &Request, now: SystemTime) -> Result<(), Failure> {
        let call = &request.call;
        let (action, is_call) = match call.method {
            Method::ToolsCall => (Action::CallTool, true),
            Method::PromptsGet => (Action::GetPrompt, true),
            Method::ResourcesRead | Method::Subscribe => (Action::ReadResource, true),
            // What is completed is the argument of a prompt, or a part of a URI.
            Method::Complete if request.definition.is_empty() => (Action::ReadResource, false),
            Method::Complete => (Action::GetPrompt, false),
            // They belong to a call that was permitted, or end something.
            _ => return Ok(()),
        };
        let client = Client::of(&*call.caller);
        let name = match action {
            Action::ReadResource => call.label.as_str(),
            Action::CallTool | Action::GetPrompt => request.exposed.as_str(),
        };
        let thing = Thing {
            action,
            name,
            original: call.label.as_str(),
            server: self.server.name.as_str(),
            categories: &self.server.categories,
            definition: &request.definition,
            effect: request.effect,
            is_template: !is_call && action == Action::ReadResource,
        };
        if !is_call {
            return self.policies.admit_any(&client, &thing);
        }
        let params = call.params.map(|span| span.of(&call.line)).unwrap_or_default();
        self.is_clear(call, params)?;
        let arguments = match action {
            Action::ReadResource => &[][..],
            _ => json::get(params, "arguments").map(|span| span.of(params)).unwrap_or_default(),
        };
        let arguments = if arguments == b"null" { &[][..] } else { arguments };
        self.policies.admit(&client, &thing, arguments, now)
    }

    /// A member that stands twice means one thing to us and may mean another to the server.
    fn is_clear(&self, call: &Call, params: &[u8]) -> Result<(), Failure> {
        let mut names: SmallVec<[Cow<'_, str>; 8]> = SmallVec::new();
        for member in json::members(params) {
            let Some(name) = json::string(member.key.of(params)) else { continue };
            if names.contains(&name) {
                let cause = format!("`{}` was refused: its parameters hold `{name}` twice", call.label);
                return Err(Failure::new(Code::PolicyDenied, cause).of(&self.server.name).not_run());
            }
            if names.len() == MOST_PARAMS {
                let cause =
                    format!("`{}` was refused: it has more than {MOST_PARAMS} parameters", call.label);
                return Err(Failure::new(Code::PolicyDenied, cause).of(&self.server.name).not_run());
            }
            names.push(name);
        }
        Ok(())
    }
}

impl Stage for Guard {
    fn around<'a>(&'a self, request: Box<Request>, next: Next<'a>) -> BoxFuture<'a, Outcome> {
        match self.admit(&request, SystemTime::now()) {
            Ok(()) => next.run(request),
            Err(failure) => Box::pin(std::future::ready(Outcome::Failed(failure))),
        }
    }
}

/// Something of a server as policies see it. `definition` is the one that clients see.
pub(super) fn thing<'a>(
    config: &'a ServerConfig,
    action: Action,
    name: &'a str,
    original: &'a str,
    definition: &'a [u8],
) -> Thing<'a> {
    let method = match action {
        Action::CallTool => Method::ToolsCall,
        Action::GetPrompt => Method::PromptsGet,
        Action::ReadResource => Method::ResourcesRead,
    };
    let stages = &config.stages;
    let said = stages.effects.of(original);
    Thing {
        action,
        name,
        original,
        server: config.name.as_str(),
        categories: &config.categories,
        definition,
        effect: Effect::of(method, said, Claims::of(definition), stages.trust_annotations),
        is_template: false,
    }
}
