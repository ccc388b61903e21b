//! What a tool's calls go through, in order, and which policy decides who may make them.

use serde_json::{Value, json};

use crate::cli::inside::Inside;
use crate::config::Setting;
use crate::failure::Failure;
use crate::pipeline::{Lane, ORDER};
use crate::policy::{Action, Client, Decision, Rule, Ruling};

/// One stage and its settings.
pub(super) struct StageLine {
    name: &'static str,
    settings: String,
    origin: String,
}

/// What policies say of a client and the tool.
pub(super) struct Judged {
    client: Client,
    outcome: Result<Decision, Failure>,
}

/// The stages in front of a server, the outermost first.
pub(super) fn stages(inside: &Inside, server: &str) -> Vec<StageLine> {
    let of_server = inside.settings.of(Some(server)).unwrap_or_default();
    let of_all = inside.settings.of(None).unwrap_or_default();
    let find = |settings: &[Setting], name: &'static str| {
        let setting = settings.iter().find(|setting| setting.key == name)?;
        let settings = flat(&setting.below).join(", ");
        Some(StageLine { name, settings, origin: setting.origin.clone() })
    };
    ORDER
        .into_iter()
        .filter_map(|name| match name {
            // These are the same for all servers.
            "policy" | "interceptors" => find(of_all, name),
            _ => find(of_server, name),
        })
        .collect()
}

fn flat(settings: &[Setting]) -> Vec<String> {
    let one = |setting: &Setting| match &setting.value {
        Some(Value::String(text)) => format!("{} {text}", setting.key),
        Some(value) => format!("{} {value}", setting.key),
        None => format!("{} {}", setting.key, flat(&setting.below).join(" ")),
    };
    settings.iter().map(one).collect()
}

/// What policies say; `None` if there are none.
pub(super) fn judge(
    inside: &Inside,
    lane: &Lane,
    client: &Client,
    exposed: &str,
    original: &str,
    definition: &[u8],
) -> Option<Judged> {
    let policies = inside.registry.policies()?;
    let thing = lane.thing(Action::CallTool, exposed, original, definition);
    Some(Judged { client: client.clone(), outcome: policies.foresee(client, &thing) })
}

impl StageLine {
    pub(super) fn render(&self) -> String {
        let settings = if self.settings.is_empty() { "with its usual settings" } else { &self.settings };
        format!("{}: {settings} ({})", self.name, self.origin)
    }

    pub(super) fn to_json(&self) -> Value {
        json!({ "stage": self.name, "settings": self.settings, "origin": self.origin })
    }
}

impl Judged {
    /// Whether the client is shown the tool.
    pub(super) fn shows(&self) -> bool {
        self.outcome.as_ref().is_ok_and(|decision| decision.ruling != Ruling::Refused)
    }

    pub(super) fn render(&self) -> String {
        let client = self.client.name();
        match &self.outcome {
            Ok(decision) => {
                let ruling = match decision.ruling {
                    Ruling::Permitted => "permitted for",
                    Ruling::Refused => "forbidden for",
                    Ruling::Depends => "open for",
                };
                format!("{ruling} `{client}`: {}", decision.why())
            }
            Err(failure) => format!("forbidden for `{client}`: {failure}"),
        }
    }

    pub(super) fn to_json(&self) -> Value {
        let rule = |rule: &Rule| {
            json!({
                "id": rule.id, "effect": if rule.forbids { "forbid" } else { "permit" }, "reason": rule.reason,
                "file": rule.place.file, "line": rule.place.line,
            })
        };
        let (ruling, by, why) = match &self.outcome {
            Ok(decision) => {
                let ruling = match decision.ruling {
                    Ruling::Permitted => "permitted",
                    Ruling::Refused => "refused",
                    Ruling::Depends => "depends",
                };
                (ruling, decision.by.iter().map(|one| rule(one)).collect(), decision.why())
            }
            Err(failure) => ("broken", Vec::new(), failure.to_string()),
        };
        json!({
            "client": self.client.name(), "by_token": self.client.token.is_some(), "ruling": ruling, "by": by, "why": why,
        })
    }
}
