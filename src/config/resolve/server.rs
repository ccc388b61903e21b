//! One entry, from what stands under its name to what is meant.

use std::time::Duration;

use super::{Resolved, Resolver, State, overlay, texts};
use crate::config::check::{check_table, twice};
use crate::config::model::{
    Glob, Limits, ProtocolChoice, Questions, ServerConfig, Share, Start, Timeouts, ToolOverride, ToolRules,
};
use crate::config::problem::{Problem, Reporter, Severity};
use crate::config::servers::SERVERS;
use crate::config::tree::{Kind, Member, Node, Origin};
use crate::config::values::{parse_duration, parse_size};
use crate::config::{arguments, auth, definitions, keys, presets, stages};
use crate::failure::Code;
use crate::names::ServerName;

impl Resolver<'_> {
    pub(super) fn server(
        &mut self,
        member: Member,
        repeated: &[Member],
        settings: &Node,
        serve_any: bool,
    ) -> (Resolved, Node) {
        let name = ServerName::new(member.key.as_str());
        self.reporter.set_server(Some(name.clone()));
        let mark = self.reporter.mark();
        for again in repeated {
            twice(again, &member.origin, SERVERS, self.reporter);
        }
        if member.key.trim().is_empty() {
            self.reporter.error(Code::ConfigValue, &member.origin, "a server needs a name that is not empty");
        }
        let said = match member.value.kind {
            Kind::Map(_) => check_table(auth::translate(member.value), &keys::SERVER, "", self.reporter),
            _ => {
                let message = format!("the entry must be a mapping, found {}", member.value.describe());
                self.reporter.error(Code::ConfigValue, &member.value.origin, message);
                Node::empty_map(member.origin.clone())
            }
        };
        let mut node = overlay(fold_foreign_keys(said), settings);
        let level = presets::level(&node, self.level);
        presets::apply(&mut node, level);
        let prefix = self.prefix(&name, &node);
        let switched_on = serve_any && self.switched_on(&node);
        let state = if switched_on {
            let server = self.decode(&name, &member.origin, &node, mark);
            self.judge(mark, server)
        } else {
            State::Disabled
        };
        self.reporter.set_server(None);
        let categories = texts(node.get("categories"));
        (Resolved { name, origin: member.origin, prefix, categories, state }, node)
    }

    /// What the problems since `mark` make of a server.
    fn judge(&self, mark: usize, server: Option<ServerConfig>) -> State {
        let errors = || self.reporter.errors_since(mark);
        if let Some(problem) = errors().find(|problem| problem.code != Code::ConfigUnset) {
            return State::Broken(problem.clone());
        }
        match (errors().next(), server) {
            (Some(problem), _) => State::NeedsConfig(problem.clone()),
            (None, Some(server)) => State::Ready(Box::new(server)),
            // Whoever returns no server has reported why, so this is not reached.
            (None, None) => {
                let message = "the entry cannot be used";
                State::Broken(Problem::new(Severity::Error, Code::ConfigValue, message))
            }
        }
    }

    fn switched_on(&mut self, node: &Node) -> bool {
        let said = |key: &str| node.get(key).filter(|node| node.origin != Origin::BuiltIn);
        match (said("enabled"), said("disabled")) {
            (Some(enabled), Some(disabled)) if enabled.as_bool() == disabled.as_bool() => {
                let message = "`enabled` and `disabled` contradict each other";
                self.reporter
                    .error(Code::ConfigConflict, &disabled.origin, message)
                    .also(&enabled.origin, "the other one")
                    .hint("keep one of them");
                true
            }
            (enabled, disabled) => {
                enabled.and_then(Node::as_bool).unwrap_or(true)
                    && !disabled.and_then(Node::as_bool).unwrap_or(false)
            }
        }
    }

    fn decode(
        &mut self,
        name: &ServerName,
        origin: &Origin,
        node: &Node,
        mark: usize,
    ) -> Option<ServerConfig> {
        let launch = self.launch(origin, node, mark);
        let others = launch.as_ref().and_then(|launch| self.others(launch, node));
        let timeouts = self.timeouts(node);
        let auth = self.auth(node, launch.as_ref());
        let mut stages = stages::decode(node, presets::level(node, self.level), self.reporter);
        if let (Some(check), Some(node)) = (&mut stages.health_check, node.get("health_check")) {
            check.probe = self.probe(node, launch.as_ref());
        }
        Some(ServerConfig {
            name: name.clone(),
            // The final one is known when all servers are.
            prefix: String::new(),
            launch: launch?,
            others: others?,
            start: match node.get("start").and_then(Node::as_str) {
                Some("eager") => Start::Eager,
                _ => Start::Lazy,
            },
            protocol: match node.get("protocol").and_then(Node::as_str) {
                Some("legacy") => ProtocolChoice::Legacy,
                // Revisions that this version only knows by name are reported and treated as not said.
                Some(revision) if revision != "auto" && !keys::planned_word("protocol", revision) => {
                    ProtocolChoice::Revision(revision.to_owned())
                }
                _ => ProtocolChoice::Auto,
            },
            timeouts,
            limits: limits(node),
            tools: tool_rules(node, self.reporter),
            share: match node.get("share").and_then(Node::as_str) {
                Some("session") => Share::Session,
                _ => Share::All,
            },
            questions: match node.get("questions").and_then(Node::as_str) {
                Some("exclusive") => Questions::Exclusive,
                Some("refuse") => Questions::Refuse,
                _ => Questions::Serialize,
            },
            stages,
            definitions: definitions::decode(node),
            auth: auth?,
            description: node.get("description").and_then(Node::as_str).map(str::to_owned),
            categories: texts(node.get("categories")),
            metadata: match node.get("metadata").map(Node::to_json) {
                Some(serde_json::Value::Object(metadata)) => metadata,
                _ => serde_json::Map::new(),
            },
            place: self.reporter.place(origin),
        })
    }

    fn timeouts(&mut self, node: &Node) -> Timeouts {
        let default = Timeouts::default();
        let duration = |key: &str| node.at(key).and_then(Node::as_str).and_then(parse_duration);
        let timeouts = Timeouts {
            start: duration("timeouts.start").unwrap_or(default.start),
            call: duration("timeouts.call").unwrap_or(default.call),
            total: duration("timeouts.total").unwrap_or(default.total),
            question: duration("timeouts.question").unwrap_or(default.question),
            // "never" is no duration, and nothing is not one worth waiting for.
            idle_stop: duration("timeouts.idle_stop").filter(|duration| *duration > Duration::ZERO),
        };
        if timeouts.call > timeouts.total
            && let Some(call) = node.at("timeouts.call")
        {
            let message = "`timeouts.call` is longer than `timeouts.total`, which ends the call first";
            self.reporter
                .warn(Code::ConfigConflict, &call.origin, message)
                .hint("raise `timeouts.total` as well");
        }
        timeouts
    }
}

/// Other programs' lists of tools become ours, unless ours are there too.
fn fold_foreign_keys(mut entry: Node) -> Node {
    for (foreign, own) in [("include_tools", "include"), ("exclude_tools", "exclude")] {
        let Some(member) = entry.take(foreign) else { continue };
        if let Some(tools) = entry.map_mut("tools", &member.value.origin)
            && tools.get(own).is_none()
        {
            tools.set(own, member.value);
        }
    }
    entry
}

fn limits(node: &Node) -> Limits {
    let default = Limits::default();
    let size = |key: &str| {
        let size = node.at(key).and_then(Node::as_str).and_then(parse_size);
        size.and_then(|size| usize::try_from(size).ok())
    };
    Limits { message: size("limits.message").unwrap_or(default.message), result: size("limits.result") }
}

fn tool_rules(node: &Node, reporter: &mut Reporter) -> ToolRules {
    let globs = |key: &str| texts(node.at(key)).into_iter().map(Glob::new).collect();
    let members = |key: &str| node.at(key).map(Node::members).unwrap_or_default();
    let text = |member: &Member, key: &str| member.value.get(key).and_then(Node::as_str).map(str::to_owned);
    ToolRules {
        include: globs("tools.include"),
        exclude: globs("tools.exclude"),
        rename: members("tools.rename")
            .iter()
            .filter_map(|member| Some((member.key.clone(), member.value.as_str()?.to_owned())))
            .collect(),
        overrides: members("tools.override")
            .iter()
            .map(|member| {
                let annotations = match member.value.get("annotations").map(Node::to_json) {
                    Some(serde_json::Value::Object(annotations)) => annotations,
                    _ => serde_json::Map::new(),
                };
                let words = ToolOverride {
                    title: text(member, "title"),
                    description: text(member, "description"),
                    annotations,
                    arguments: arguments::decode(&member.value, reporter),
                };
                (member.key.clone(), words)
            })
            .collect(),
    }
}
