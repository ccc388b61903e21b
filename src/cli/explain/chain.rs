//! The links between a line of the config and an answer that are decided outside of names and policies: the filter, trust,
//! the server's state, and the effect of a call.

use super::tool::Places;
use crate::backend::{Backend, State, show_duration};
use crate::catalog::Note;
use crate::config::{Answer, Config, Questions, ServerConfig, Start};
use crate::effect::{Claims, Effect, Ran, may_repeat};
use crate::failure::Code;
use crate::policy::Client;
use crate::protocol::Method;

/// Whether the lists of the config let a tool pass, and which pattern decides.
pub(super) fn filter(config: &ServerConfig, original: &str, places: &Places<'_>) -> Result<String, String> {
    let rules = &config.tools;
    if let Some(glob) = rules.exclude.iter().find(|glob| glob.matches(original)) {
        let place = places.at(&["tools", "exclude"]);
        return Err(format!("hidden by `tools.exclude`: `{}`{place}", glob.as_str()));
    }
    let place = places.at(&["tools", "include"]);
    match rules.include.iter().find(|glob| glob.matches(original)) {
        None => Err(format!("hidden: no pattern of `tools.include` fits{place}")),
        Some(glob) if place.is_empty() && rules.exclude.is_empty() => {
            Ok(format!("nothing is filtered (`{}`)", glob.as_str()))
        }
        Some(glob) => Ok(format!("`{}` of `tools.include` lets it pass{place}", glob.as_str())),
    }
}

/// Whether the profile by which the client is served has the tool; `None` if it is served by none.
pub(super) fn profile(
    servers: &Config,
    config: &ServerConfig,
    exposed: &str,
    client: &Client,
) -> Option<Result<String, String>> {
    let profile = servers.profile_named(client.profile.as_deref()?)?;
    let name = &profile.name;
    Some(if !profile.has_server(config.name.as_str(), &config.categories) {
        Err(format!("hidden: the profile `{name}` leaves out its server"))
    } else if !profile.shows_tool(exposed) {
        Err(format!("hidden by `tools` of the profile `{name}`"))
    } else {
        Ok(format!("`{name}` has it"))
    })
}

/// What has become of its definition: whether it is watched, was changed, or is held back.
pub(super) fn trust(config: &ServerConfig, notes: &[&Note]) -> String {
    let told = notes
        .iter()
        .find(|note| matches!(note.code, Code::TrustHeld | Code::TrustChanged | Code::TrustSuspicious));
    match (told, config.definitions) {
        (Some(note), _) => {
            format!("{} ({}); `switchboard approve {}` releases it", note.word(), note.code, config.name)
        }
        (None, None) => "definitions of this server are not watched (`definitions`)".to_owned(),
        (None, Some(rules)) if rules.changes == Answer::Allow => {
            "looks honest; changes of it are not watched".to_owned()
        }
        (None, Some(_)) => "as it was first seen or approved".to_owned(),
    }
}

/// What a call would find, and what it may have to wait for.
pub(super) fn state(backend: &Backend) -> String {
    let config = backend.config();
    let start = show_duration(config.timeouts.start);
    let now = match backend.state() {
        State::Idle if config.start == Start::Lazy => {
            format!(
                "idle: the first call starts it, for which it has {start} (`start: eager` does it before)"
            )
        }
        State::Idle => format!("idle: it is started before the first call, for which it has {start}"),
        state => state.word().to_owned(),
    };
    match config.questions {
        Questions::Exclusive => {
            format!("{now}; calls take turns, even while one waits for its user (`questions`)")
        }
        _ => now,
    }
}

/// What a call does to the world and who says so; whether it may be sent twice.
pub(super) fn effect(
    config: &ServerConfig,
    original: &str,
    definition: &[u8],
    places: &Places<'_>,
) -> (Effect, String) {
    let said = config.stages.effects.of(original);
    let trusts = config.stages.trust_annotations;
    let claims = Claims::of(definition);
    let effect = Effect::of(Method::ToolsCall, said, claims, trusts);
    let claimed = Effect::of(Method::ToolsCall, None, claims, true);
    let who = match said {
        Some(said) if said == effect => format!("`effects` says so{}", places.at(&["effects", original])),
        Some(said) => format!(
            "`effects` says {}{}, but the server's annotations are stricter",
            said.word(),
            places.at(&["effects", original])
        ),
        None if claimed == Effect::Unknown => {
            "neither the config nor the server says what it does".to_owned()
        }
        None if trusts => format!("the server's annotations say so{}", places.at(&["trust_annotations"])),
        None if claimed == effect => "the server's annotations say so".to_owned(),
        None => format!(
            "the server's annotations say {}, which counts only with `trust_annotations` or `effects`",
            claimed.word()
        ),
    };
    let again = if may_repeat(effect, Ran::Unknown) { "may be sent again" } else { "is never sent again" };
    (effect, format!("{}: {who}; a call that may have run {again}", effect.word()))
}
