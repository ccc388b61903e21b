//! What a request does to the world, and whether it may be sent again.
//!
//! In come the word of the config, the claims of the server and what became of an attempt; out comes a yes or no.
//! [`may_repeat`] is the only place that decides whether a request may be sent again.

use crate::protocol::Method;
use crate::wire::json;

/// What a request does to the world, from the mildest to the strictest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// It changes nothing.
    Read,
    /// It changes something, but twice does the same as once.
    Idempotent,
    /// Nobody has said what it does.
    Unknown,
    /// It may destroy something.
    Destructive,
}

/// Whether an attempt that has failed may have taken effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Ran {
    /// It is certain that the server has run nothing of it.
    No,
    /// It may have run.
    #[default]
    Unknown,
}

/// What a tool's annotations say of its effect (MCP "Tools", `ToolAnnotations`). Only what stands there: the defaults of
/// the specification are nobody's claims.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// `readOnlyHint`
    pub read_only: Option<bool>,
    /// `destructiveHint`
    pub destructive: Option<bool>,
    /// `idempotentHint`
    pub idempotent: Option<bool>,
}

impl Claims {
    /// Reads them from a tool's definition.
    pub fn of(definition: &[u8]) -> Self {
        let hint = |name| {
            let value = json::get_path(definition, &["annotations", name])?.of(definition);
            match value {
                b"true" => Some(true),
                b"false" => Some(false),
                _ => None,
            }
        };
        Self {
            read_only: hint("readOnlyHint"),
            destructive: hint("destructiveHint"),
            idempotent: hint("idempotentHint"),
        }
    }

    /// The effect that is claimed; `Unknown` if nothing is.
    fn effect(self) -> Effect {
        match self {
            Self { destructive: Some(true), .. } => Effect::Destructive,
            Self { read_only: Some(true), .. } => Effect::Read,
            Self { idempotent: Some(true), .. } => Effect::Idempotent,
            _ => Effect::Unknown,
        }
    }

    /// `effect`, or a stricter one if a claim contradicts it.
    fn tightened(self, effect: Effect) -> Effect {
        let changes = self.read_only == Some(false) && effect == Effect::Read;
        let adds_up =
            self.idempotent == Some(false) && self.read_only != Some(true) && effect < Effect::Unknown;
        match self.destructive {
            Some(true) => Effect::Destructive,
            _ if changes || adds_up => Effect::Unknown,
            _ => effect,
        }
    }
}

impl Effect {
    /// Every effect, the mildest first.
    pub const ALL: [Effect; 4] = [Effect::Read, Effect::Idempotent, Effect::Unknown, Effect::Destructive];

    /// The effect of a request. For a tool, `said` is the word of the config, which decides. The server's `claims` may
    /// make it stricter; milder only where the config says nothing and `trusts` the server, because they are a stranger's.
    pub fn of(method: Method, said: Option<Effect>, claims: Claims, trusts: bool) -> Effect {
        match method {
            Method::ToolsCall => {
                let base = match said {
                    Some(said) => said,
                    None if trusts => claims.effect(),
                    None => Effect::Unknown,
                };
                claims.tightened(base)
            }
            // They answer, end or change something that runs already.
            Method::Task(_) => Effect::Unknown,
            _ => Effect::Read,
        }
    }

    /// The word of the config.
    pub fn word(self) -> &'static str {
        match self {
            Effect::Read => "read",
            Effect::Idempotent => "idempotent",
            Effect::Unknown => "unknown",
            Effect::Destructive => "destructive",
        }
    }

    /// The effect of this word.
    pub fn parse(word: &str) -> Option<Effect> {
        Effect::ALL.into_iter().find(|effect| effect.word() == word)
    }
}

/// Whether a request that has failed may be sent again: always if nothing of it has run, otherwise only if a second time
/// does no harm.
pub fn may_repeat(effect: Effect, ran: Ran) -> bool {
    match ran {
        Ran::No => true,
        Ran::Unknown => matches!(effect, Effect::Read | Effect::Idempotent),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::TaskMethod;

    fn effects() -> impl Strategy<Value = Option<Effect>> {
        proptest::option::of(prop::sample::select(Effect::ALL.to_vec()))
    }

    fn claims() -> impl Strategy<Value = Claims> {
        let hint = || proptest::option::of(any::<bool>());
        (hint(), hint(), hint()).prop_map(|(read_only, destructive, idempotent)| Claims {
            read_only,
            destructive,
            idempotent,
        })
    }

    proptest! {
        #[test]
        fn what_may_have_run_is_repeated_only_if_the_owner_or_a_trusted_server_says_so(
            said in effects(), claims in claims(), trusts in any::<bool>(),
        ) {
            let effect = Effect::of(Method::ToolsCall, said, claims, trusts);
            let allowed = |effect: Effect| matches!(effect, Effect::Read | Effect::Idempotent);
            if may_repeat(effect, Ran::Unknown) {
                let by_owner = said.is_some_and(allowed);
                let by_server = said.is_none() && trusts && allowed(claims.effect());
                prop_assert!(by_owner || by_server);
                prop_assert_ne!(claims.destructive, Some(true));
            }
            prop_assert!(may_repeat(effect, Ran::No));
        }

        #[test]
        fn claims_make_stricter_and_never_milder_than_the_config(
            said in effects(), claims in claims(), trusts in any::<bool>(),
        ) {
            let effect = Effect::of(Method::ToolsCall, said, claims, trusts);
            if let Some(said) = said {
                prop_assert!(effect >= said);
                prop_assert_eq!(effect, Effect::of(Method::ToolsCall, Some(said), claims, !trusts));
            }
            if !trusts {
                prop_assert!(effect >= said.unwrap_or(Effect::Unknown));
            }
            prop_assert!(effect <= Effect::of(Method::ToolsCall, said, claims, false));
        }

        #[test]
        fn claims_concern_tools_alone(said in effects(), claims in claims(), trusts in any::<bool>()) {
            prop_assert_eq!(Effect::of(Method::ResourcesRead, said, claims, trusts), Effect::Read);
            let task = Method::Task(TaskMethod::Cancel);
            prop_assert_eq!(Effect::of(task, said, claims, trusts), Effect::Unknown);
        }
    }

    #[test]
    fn only_what_stands_there_is_a_claim() {
        let of = |annotations: &str| {
            Claims::of(format!(r#"{{"name":"a","annotations":{annotations}}}"#).as_bytes())
        };
        assert_eq!(Claims::of(br#"{"name":"a"}"#), Claims::default());
        assert_eq!(of(r#"{"title":"x","readOnlyHint":"yes"}"#), Claims::default());
        assert_eq!(of(r#"{"readOnlyHint":true}"#), Claims { read_only: Some(true), ..Claims::default() });
        let said = |said, annotations: &str| Effect::of(Method::ToolsCall, said, of(annotations), false);
        assert_eq!(said(None, r#"{"readOnlyHint":true}"#), Effect::Unknown);
        assert_eq!(said(Some(Effect::Read), r#"{"readOnlyHint":false}"#), Effect::Unknown);
        assert_eq!(said(Some(Effect::Idempotent), r#"{"readOnlyHint":false}"#), Effect::Idempotent);
        assert_eq!(said(Some(Effect::Idempotent), r#"{"idempotentHint":false}"#), Effect::Unknown);
        assert_eq!(said(Some(Effect::Read), r#"{"destructiveHint":true}"#), Effect::Destructive);
    }

    #[test]
    fn words_are_found_again() {
        assert!(Effect::ALL.into_iter().all(|effect| Effect::parse(effect.word()) == Some(effect)));
        assert_eq!(Effect::parse("write"), None);
    }
}
