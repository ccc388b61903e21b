//! The modern era: what a request must carry, what every result carries, and `server/discover`.
//!
//! <https://modelcontextprotocol.io/specification/2026-07-28/basic> ("Per-request protocol fields").

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::answers::{LEVELS, Reply};
use super::members::Members;
use super::revision::{code, is_modern, meta};
use super::script::Plan;

/// What a modern request says of its sender.
#[derive(Clone, Debug, Default)]
pub(super) struct Caller {
    pub(super) version: String,
    pub(super) capabilities: Value,
    /// The least log level that this request wants, as an index into [`LEVELS`]; none means no logs.
    pub(super) log_level: Option<usize>,
}

/// By which rules a request is treated.
#[derive(Debug)]
pub(super) enum Era {
    /// Those of the handshake.
    Legacy,
    Modern(Caller),
    /// The request is not a proper one of either era.
    Refused(Reply),
}

/// Methods that exist in the modern era alone.
fn is_modern_method(method: &str) -> bool {
    matches!(method, "server/discover" | "subscriptions/listen" | "tasks/update")
}

/// Sorts a request into an era, and checks what a modern one must carry.
pub(super) fn era(plan: &Plan, method: &str, params: &str) -> Era {
    #[derive(Default, Deserialize)]
    struct Params {
        #[serde(rename = "_meta")]
        meta: Option<Map<String, Value>>,
    }
    if !plan.revisions.has_modern() {
        return Era::Legacy;
    }
    let fields = serde_json::from_str::<Params>(params).unwrap_or_default().meta.unwrap_or_default();
    let (version, capabilities) = (fields.get(meta::VERSION), fields.get(meta::CAPABILITIES));
    if version.is_none() && capabilities.is_none() {
        if plan.revisions.has_legacy() && !is_modern_method(method) {
            return Era::Legacy;
        }
        if method == "initialize" {
            // Its answer names the versions, which is all that a client of the other era can use.
            return Era::Modern(Caller::default());
        }
    }
    let missing: Vec<_> = [
        (meta::VERSION, version.is_some_and(Value::is_string)),
        (meta::CAPABILITIES, capabilities.is_some_and(Value::is_object)),
    ]
    .into_iter()
    .filter_map(|(name, fine)| (!fine).then_some(name))
    .collect();
    let (Some(Value::String(version)), Some(capabilities), true) =
        (version, capabilities, missing.is_empty())
    else {
        let message = format!("Invalid params: `_meta` lacks {}", missing.join(" and "));
        return Era::Refused(Reply::refusal(code::INVALID_PARAMS, message, None));
    };
    if !is_modern(version) || !plan.revisions.contains(version) {
        return Era::Refused(unsupported(plan, version));
    }
    let log_level = match fields.get(meta::LOG_LEVEL) {
        None => None,
        Some(level) => match LEVELS.iter().position(|known| level == known) {
            Some(rank) => Some(rank),
            None => return Era::Refused(Reply::refusal(code::INVALID_PARAMS, "Invalid log level", None)),
        },
    };
    Era::Modern(Caller { version: version.clone(), capabilities: capabilities.clone(), log_level })
}

/// The error for a version that the server does not speak.
pub(super) fn unsupported(plan: &Plan, requested: &str) -> Reply {
    let supported = plan.revisions.newest_first();
    let message = format!("Unsupported protocol version; this server speaks {}", supported.join(", "));
    Reply::refusal(
        code::UNSUPPORTED_VERSION,
        message,
        Some(json!({"supported": supported, "requested": requested})),
    )
}

/// The part of `needed` that `declared` lacks, if any. `elicitation: {}` means forms.
pub(super) fn lacking(needed: &Value, declared: &Value) -> Option<Value> {
    let mut declared = declared.clone();
    if let Some(Value::Object(modes)) = declared.get_mut("elicitation")
        && modes.is_empty()
    {
        modes.insert("form".into(), json!({}));
    }
    let mut lacks = Map::new();
    collect_lacking(needed, &declared, &mut lacks);
    (!lacks.is_empty()).then_some(Value::Object(lacks))
}

fn collect_lacking(needed: &Value, declared: &Value, lacks: &mut Map<String, Value>) {
    for (key, inner) in needed.as_object().into_iter().flatten() {
        match declared.get(key) {
            Some(Value::Object(found)) => {
                let mut deeper = Map::new();
                collect_lacking(inner, &Value::Object(found.clone()), &mut deeper);
                if !deeper.is_empty() {
                    lacks.insert(key.clone(), Value::Object(deeper));
                }
            }
            Some(Value::Bool(true)) => {}
            _ => {
                lacks.insert(key.clone(), inner.clone());
            }
        }
    }
}

/// The error for a caller that cannot do what the request needs.
pub(super) fn missing_capability(lacks: &Value) -> Reply {
    let names = lacks.as_object().into_iter().flat_map(Map::keys).cloned().collect::<Vec<_>>().join(", ");
    Reply::refusal(
        code::MISSING_CAPABILITY,
        format!("Missing required client capability: {names}"),
        Some(json!({"requiredCapabilities": lacks})),
    )
}

/// The result of `server/discover`.
pub(super) fn discover(plan: &Plan, capabilities: Value) -> Value {
    let mut result = Map::new();
    result.insert("supportedVersions".into(), json!(plan.revisions.newest_first()));
    result.insert("capabilities".into(), capabilities);
    if let Some(instructions) = &plan.server.instructions {
        result.insert("instructions".into(), json!(instructions));
    }
    for (key, value) in &plan.server.discover {
        result.insert(key.clone(), value.clone());
    }
    // Null stays, since dressing knows that it means "leave this out".
    Value::Object(result)
}

/// Whether results of this method say how long they may be kept.
fn is_cacheable(method: &str) -> bool {
    matches!(
        method,
        "server/discover"
            | "tools/list"
            | "prompts/list"
            | "resources/list"
            | "resources/templates/list"
            | "resources/read"
    )
}

/// Adds to a result what every modern result carries, where the script said nothing of it. A member that the script
/// set to null is left out; everything else keeps its place and its text.
pub(super) fn dress(plan: &Plan, method: &str, result: &str, subscription: Option<&str>) -> String {
    let Some(mut members) = Members::of(result) else {
        return result.to_owned();
    };
    let interim = members.get("resultType").is_some_and(|kind| kind == "\"input_required\"");
    members.offer("resultType", "\"complete\"");
    if is_cacheable(method) && !interim {
        if let Some(ttl) = &plan.cache.ttl {
            members.offer("ttlMs", &ttl.to_string());
        }
        if let Some(scope) = &plan.cache.scope {
            members.offer("cacheScope", &json!(scope).to_string());
        }
    }
    let mut inner = members.get("_meta").map_or_else(|| Members::of("{}"), Members::of);
    if let Some(inner) = &mut inner {
        if let Some(info) = plan.server.info() {
            inner.offer(meta::SERVER_INFO, &info.to_string());
        }
        if let Some(id) = subscription {
            inner.offer(meta::SUBSCRIPTION, id);
        }
        let inner = inner.to_json();
        if inner != "{}" {
            members.set_unless_null("_meta", &inner);
        }
    }
    members.drop_null(&[
        "resultType",
        "ttlMs",
        "cacheScope",
        "_meta",
        "supportedVersions",
        "capabilities",
        "instructions",
    ]);
    members.to_json()
}

/// The raw text of `_meta` in the params of a request.
pub(super) fn meta_of(params: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Params<'p> {
        #[serde(borrow, rename = "_meta")]
        meta: Option<&'p RawValue>,
    }
    serde_json::from_str::<Params<'_>>(params).ok()?.meta.map(|meta| meta.get().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_that_are_lacking() {
        let check = |needed: Value, declared: Value, expected: Option<Value>| {
            assert_eq!(lacking(&needed, &declared), expected, "{needed} {declared}");
        };
        let url = json!({"elicitation": {"url": {}}});
        check(json!({"elicitation": {"form": {}}}), json!({"elicitation": {}}), None);
        check(url.clone(), json!({"elicitation": {}}), Some(url.clone()));
        check(url.clone(), json!({"elicitation": {"url": {}}, "roots": {}}), None);
        check(json!({"sampling": {}}), json!({}), Some(json!({"sampling": {}})));
        check(
            json!({"sampling": {"tools": {}}}),
            json!({"sampling": {}}),
            Some(json!({"sampling": {"tools": {}}})),
        );
    }

    #[test]
    fn results_are_dressed_and_keep_their_text() {
        let plan = Plan::default();
        let dressed = |method: &str, result: &str| dress(&plan, method, result, None);
        let info = r#""_meta":{"io.modelcontextprotocol/serverInfo":{"name":"mock","version":"1.0.0"}}"#;
        assert_eq!(
            dressed("tools/call", r#"{"n": 1.10,"a":1,"a":2}"#),
            format!(r#"{{"n":1.10,"a":1,"a":2,"resultType":"complete",{info}}}"#)
        );
        assert_eq!(
            dressed("tools/list", r#"{"tools":[],"ttlMs":7,"resultType":null,"_meta":null}"#),
            r#"{"tools":[],"ttlMs":7,"cacheScope":"private"}"#
        );
        assert_eq!(
            dressed("tools/call", r#"{"_meta":{"x":1,"io.modelcontextprotocol/serverInfo":5}}"#),
            r#"{"_meta":{"x":1,"io.modelcontextprotocol/serverInfo":5},"resultType":"complete"}"#
        );
        assert_eq!(dressed("tools/call", "[1]"), "[1]");
        let deep = format!(r#"{{"x":{}{}}}"#, "[".repeat(5000), "]".repeat(5000));
        assert!(dressed("tools/call", &deep).contains("resultType"));
    }
}
