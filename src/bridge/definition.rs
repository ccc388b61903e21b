//! Definitions in lists, for clients of another revision.

use bytes::Bytes;

use crate::bridge::edit::{Edit, member, text};
use crate::protocol::{ListKind, Revision, StructuredContent};
use crate::wire::json;

/// A definition as a client of revision `to` is shown it; `None` if it stays as it is, which is told without allocating.
///
/// Only tools change. An `outputSchema` whose root is not `type: object` is left out for legacy clients, whose
/// `structuredContent` is always an object ([`result::to_legacy`](crate::bridge::result::to_legacy) drops what is none).
/// `execution.taskSupport` is left out unless `tasks`: whether this client may call tools as tasks in the way of
/// 2025-11-25. Some clients refuse to call a tool that demands a task in any other way.
pub fn for_revision(kind: ListKind, item: &[u8], to: &Revision, tasks: bool) -> Option<Bytes> {
    if kind != ListKind::Tools {
        return None;
    }
    let (mut schema, mut support) = (false, false);
    for found in json::members(item) {
        schema |= found.is(item, "outputSchema")
            && to.structured_content != StructuredContent::Any
            && text(found.value.of(item), "type").as_deref() != Some("object");
        support |=
            !tasks && found.is(item, "execution") && member(found.value.of(item), "taskSupport").is_some();
    }
    if !schema && !support {
        return None;
    }
    let mut edit = Edit::open(item)?;
    if schema {
        edit.remove("outputSchema");
    }
    if support && let Some(mut execution) = edit.get("execution").and_then(Edit::open) {
        execution.remove("taskSupport");
        if execution.is_empty() {
            edit.remove("execution");
        } else {
            edit.set("execution", execution.into_bytes());
        }
    }
    edit.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::testing::{any_object, merged, parse, revision, text};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn shown(tool: Value, to: &str, tasks: bool) -> Option<Value> {
        for_revision(ListKind::Tools, &text(&tool), revision(to), tasks).map(|bytes| parse(&bytes))
    }

    #[test]
    fn schemas_of_other_things_than_objects_are_for_modern_clients() {
        for schema in [json!({"type": "array"}), json!({}), json!(true), json!({"type": ["object", "null"]})]
        {
            let tool = json!({"name": "a", "outputSchema": schema, "inputSchema": {"type": "object"}});
            for old in ["2024-11-05", "2025-06-18", "2025-11-25"] {
                let expected = json!({"name": "a", "inputSchema": {"type": "object"}});
                assert_eq!(shown(tool.clone(), old, false), Some(expected), "{schema} for {old}");
            }
            assert_eq!(shown(tool, "2026-07-28", false), None);
        }
        assert_eq!(shown(json!({"outputSchema": {"type": "object"}}), "2025-06-18", false), None);
        let resource = br#"{"outputSchema":1,"execution":{"taskSupport":"optional"}}"#;
        assert_eq!(for_revision(ListKind::Resources, resource, revision("2024-11-05"), false), None);
    }

    #[test]
    fn task_support_is_shown_to_those_who_can_use_it() {
        let tool = json!({"name": "a", "execution": {"taskSupport": "required"}});
        assert_eq!(shown(tool.clone(), "2025-11-25", true), None);
        assert_eq!(shown(tool, "2026-07-28", false), Some(json!({"name": "a"})));
        let more = json!({"execution": {"taskSupport": "optional", "x": 1}});
        assert_eq!(shown(more, "2025-11-25", false), Some(json!({"execution": {"x": 1}})));
    }

    proptest! {
        #[test]
        fn the_rest_is_untouched_and_twice_is_once(tool in any_object()) {
            let given = merged(tool.clone(), json!({"outputSchema": [], "execution": {"taskSupport": "optional"}}));
            let once = for_revision(ListKind::Tools, &text(&given), revision("2025-11-25"), false).unwrap();
            prop_assert_eq!(parse(&once), tool);
            prop_assert_eq!(for_revision(ListKind::Tools, &once, revision("2025-11-25"), false), None);
        }
    }
}
