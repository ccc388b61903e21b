//! What a server asks in the middle of a call, whatever it is: one door to [`elicitation`], [`sampling`] and roots.

use bytes::Bytes;

use crate::bridge::edit::{Edit, member};
use crate::bridge::{capabilities, elicitation, meta, sampling};
use crate::call::{AskKind, NotAsked};
use crate::protocol::{Revision, meta::PROGRESS_TOKEN};
use crate::wire::json::{self, Kind};

/// The params of a question of a server of revision `from`, for a client of revision `to` with these raw capabilities;
/// `None` if they pass unchanged. `id` is for [`elicitation::params`].
///
/// # Errors
/// A sentence for the server: this client cannot be asked this.
pub fn params(
    kind: AskKind,
    params: &[u8],
    from: &Revision,
    to: &Revision,
    declared: &[u8],
    id: &str,
) -> Result<Option<Bytes>, NotAsked> {
    match kind {
        AskKind::Elicitation => elicitation::params(params, from, to, declared, id),
        AskKind::Sampling => sampling::params(params, from, to, declared),
        AskKind::Roots => {
            capabilities::check(kind, params, declared, to)?;
            if from == to {
                return Ok(None);
            }
            let Some(mut edit) = Edit::open(params) else { return Ok(None) };
            strip(&mut edit, to);
            Ok(edit.finish())
        }
    }
}

/// A client's answer for a server of revision `to`; `None` if it passes unchanged.
///
/// # Errors
/// A sentence: it is no answer to such a question, or one that the server's revision cannot take.
pub fn answer(kind: AskKind, answer: &[u8], to: &Revision) -> Result<Option<Bytes>, String> {
    match kind {
        AskKind::Elicitation => elicitation::answer(answer),
        AskKind::Sampling => sampling::answer(answer, to),
        AskKind::Roots => match member(answer, "roots").map(json::kind) {
            Some(Kind::Array) => Ok(meta::strip_in(answer)),
            _ => Err("the answer to `roots/list` must have an array `roots`".to_owned()),
        },
    }
}

/// Takes out of a question what does not cross: the other hop's `_meta`; the demand to answer as a task, which we never
/// offer; and, toward the modern era, whose clients report no progress, the token for it.
pub(super) fn strip(edit: &mut Edit<'_>, to: &Revision) {
    edit.remove("task");
    let Some(mut own) = edit.get("_meta").and_then(Edit::open) else { return };
    own.remove_where(|key| !meta::crosses(key) || (to.is_modern() && key == PROGRESS_TOKEN));
    if own.finish().is_some() {
        match own.is_empty() {
            true => edit.remove("_meta"),
            false => edit.set("_meta", own.into_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::testing::{parse, revision};
    use serde_json::json;

    const ROOTS: &[u8] = br#"{"roots":{}}"#;

    #[test]
    fn roots_are_asked_for_without_what_belongs_to_the_hop() {
        let (old, new) = (revision("2025-11-25"), revision("2026-07-28"));
        let given = br#"{"_meta":{"progressToken":1,"io.modelcontextprotocol/x":1}}"#;
        let ask = |given: &[u8], from, to| params(AskKind::Roots, given, from, to, ROOTS, "");
        assert_eq!(ask(given, old, new), Ok(Some(Bytes::from_static(b"{}"))));
        assert_eq!(parse(&ask(given, new, old).unwrap().unwrap()), json!({"_meta": {"progressToken": 1}}));
        assert_eq!(ask(given, old, old), Ok(None));
        assert_eq!(ask(b"", old, new), Ok(None));
        assert!(params(AskKind::Roots, b"{}", old, new, b"{}", "").is_err());
        assert_eq!(answer(AskKind::Roots, br#"{"roots":[]}"#, old), Ok(None));
        assert!(answer(AskKind::Roots, br#"{"roots":{}}"#, old).is_err());
    }

    #[test]
    fn every_kind_has_its_rules() {
        let (old, new) = (revision("2025-06-18"), revision("2026-07-28"));
        let declared = br#"{"elicitation":{},"sampling":{}}"#;
        let form = br#"{"mode":"form","message":"m","task":{}}"#;
        let asked = params(AskKind::Elicitation, form, new, old, declared, "").unwrap().unwrap();
        assert_eq!(parse(&asked), json!({"message": "m"}));
        let sampling = br#"{"messages":[],"includeContext":"none","maxTokens":1}"#;
        assert_eq!(params(AskKind::Sampling, sampling, new, old, declared, ""), Ok(None));
        assert!(answer(AskKind::Elicitation, b"{}", old).is_err());
        assert!(answer(AskKind::Sampling, b"{}", old).is_err());
    }
}
