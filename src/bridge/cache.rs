//! Cache hints on modern results (MCP 2026-07-28, "Caching").

use std::time::Duration;

use crate::bridge::edit::{Edit, member};
use crate::protocol::Method;
use crate::wire::json;

/// Who may share a cached result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheScope {
    /// Anybody.
    Public,
    /// Those who have the same authorization.
    Private,
}

/// How long a result may be kept, and by whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheHints {
    /// For how many milliseconds it counts as fresh.
    pub ttl_ms: u64,
    /// Who may share it.
    pub scope: CacheScope,
}

impl CacheHints {
    /// What holds of a result of which nobody said anything: a legacy server's may change with the session.
    pub const NONE: CacheHints = CacheHints { ttl_ms: 0, scope: CacheScope::Private };

    /// What anybody may keep for so long.
    pub fn lasting(time: Duration) -> CacheHints {
        let ttl_ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        CacheHints { ttl_ms, scope: CacheScope::Public }
    }

    /// The hints of a modern result; `None` if they are missing or make no sense.
    pub fn of(result: &[u8]) -> Option<CacheHints> {
        let ttl_ms = std::str::from_utf8(member(result, "ttlMs")?).ok()?.parse().ok()?;
        let scope = match json::string(member(result, "cacheScope")?)?.as_ref() {
            "public" => CacheScope::Public,
            "private" => CacheScope::Private,
            _ => return None,
        };
        Some(CacheHints { ttl_ms, scope })
    }

    /// What may be said of a whole that is made of two parts.
    pub fn and(self, other: CacheHints) -> CacheHints {
        let public = self.scope == CacheScope::Public && other.scope == CacheScope::Public;
        let scope = if public { CacheScope::Public } else { CacheScope::Private };
        CacheHints { ttl_ms: self.ttl_ms.min(other.ttl_ms), scope }
    }

    pub(super) fn stamp(self, edit: &mut Edit<'_>) {
        edit.set("ttlMs", self.ttl_ms.to_string());
        edit.set(
            "cacheScope",
            match self.scope {
                CacheScope::Public => "\"public\"",
                CacheScope::Private => "\"private\"",
            },
        );
    }
}

/// Whether modern results of this method carry cache hints; `server/discover`, which we answer ourselves, does too.
pub fn is_cacheable(method: Method) -> bool {
    matches!(method, Method::List(_) | Method::ResourcesRead)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_that_make_sense_are_read() {
        let public = CacheHints { ttl_ms: 9, scope: CacheScope::Public };
        assert_eq!(CacheHints::of(br#"{"ttlMs":9,"cacheScope":"public"}"#), Some(public));
        for wrong in [
            r#"{"ttlMs":-1,"cacheScope":"public"}"#,
            r#"{"ttlMs":1.5,"cacheScope":"public"}"#,
            r#"{"ttlMs":1,"cacheScope":"all"}"#,
            r#"{"ttlMs":1}"#,
            r#"{"cacheScope":"public"}"#,
        ] {
            assert_eq!(CacheHints::of(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn a_whole_is_as_public_and_as_lasting_as_its_parts() {
        let public = |ttl_ms| CacheHints { ttl_ms, scope: CacheScope::Public };
        assert_eq!(public(9).and(public(5)), public(5));
        assert_eq!(public(9).and(CacheHints::NONE), CacheHints::NONE);
    }
}
