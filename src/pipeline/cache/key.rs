//! What makes two calls the same.

use sha2::{Digest, Sha256};

use super::canonical;
use crate::call::Call;
use crate::effect::Effect;
use crate::pipeline::Request;
use crate::protocol::Method;
use crate::wire::{Span, json};

/// The key of `_meta` in which we say that an answer was kept, and clients that they do not want such a one.
pub(super) const META: &str = "switchboard/cache";
/// What clients say there.
const NO_CACHE: &str = "no-cache";
/// Calls with more than this are not looked for: to compare them would take longer than it is worth.
const MAX_PARAMS: usize = 64 << 10;

/// Stands for everything on which an answer may depend, as a digest: no two different calls have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key([u8; 32]);

impl Key {
    /// The key of a call at one instance of a server; `None` for a call whose answer must not be kept, because it does more than
    /// read, goes on from an earlier one or becomes a task, or because it cannot safely be told from others.
    pub(super) fn of(request: &Request, instance: u64) -> Option<Self> {
        let call = &request.call;
        let target = match call.method {
            Method::ToolsCall | Method::PromptsGet => "name",
            Method::ResourcesRead => "uri",
            _ => return None,
        };
        let params = params(call);
        if request.effect != Effect::Read || params.len() > MAX_PARAMS || goes_on(params) {
            return None;
        }
        let mut wanted = Vec::with_capacity(params.len());
        // The name stands there as the client knows it. `_meta` speaks of the request, not of what is wanted.
        canonical::push_object(&mut wanted, params, &[target, "_meta"])?;
        let introduction = call.caller.introduction();
        let principal = call.caller.principal();
        let mut digest = Sha256::new();
        let mut add = |part: &[u8]| {
            digest.update((part.len() as u64).to_le_bytes());
            digest.update(part);
        };
        add(&instance.to_le_bytes());
        add(call.method.name().as_bytes());
        add(call.label.as_str().as_bytes());
        add(&wanted);
        add(&[u8::from(principal.is_some())]);
        add(principal.as_deref().unwrap_or_default().as_bytes());
        // A server may answer each kind of client in another way.
        add(introduction.revision.name.as_bytes());
        add(&introduction.capabilities);
        add(&request.definition);
        Some(Self(digest.finalize().into()))
    }
}

fn params(call: &Call) -> &[u8] {
    call.params.map_or(b"{}", |span| span.of(&call.line))
}

/// Whether it is more than a call that is answered at once, once.
fn goes_on(params: &[u8]) -> bool {
    json::members(params)
        .any(|member| ["task", "inputResponses", "requestState"].iter().any(|name| member.is(params, name)))
}

/// Whether the client wants an answer of the server itself.
pub(super) fn is_vetoed(call: &Call) -> bool {
    let meta = call.meta.unwrap_or(Span { start: 0, end: 0 }).of(&call.line);
    let word = json::get(meta, META).and_then(|span| json::string(span.of(meta)));
    word.as_deref() == Some(NO_CACHE)
}
