//! The list `interceptors:`: who looks at calls on their way, and what is done if he fails.
//!
//! An entry that cannot be used is kept as one that always fails: a guard that is spelt wrong must not turn into an open door.

use std::path::Path;
use std::time::Duration;

use super::check::{check, nearest, unique};
use super::keys;
use super::model::{Glob, Launch, RemoteKind, RemoteLaunch, StdioLaunch};
use super::problem::Problem;
use super::resolve::{Resolver, texts};
use super::tree::{Kind, Member, Node};
use super::values::parse_duration;
use crate::failure::Code;
use crate::names::ServerName;

/// One entry of `interceptors:`.
#[derive(Clone, Debug, PartialEq)]
pub struct InterceptorConfig {
    /// When it is asked, and what its word counts.
    pub rules: InterceptorRules,
    /// How it is reached.
    pub way: InterceptorWay,
}

/// When an interceptor is asked, and what its word counts. Built from [`named`](Self::named).
#[derive(Clone, Debug, PartialEq)]
pub struct InterceptorRules {
    /// Its name, for texts that people read.
    pub name: String,
    /// The moments at which it is asked.
    pub on: Vec<Phase>,
    /// The methods that it is asked about (`tools/call`), as patterns; `None` for calls alone: tools, prompts and resources.
    pub events: Option<Vec<Glob>>,
    /// The exposed names that it is asked about, as patterns; a resource has its URI.
    pub matches: Vec<Glob>,
    /// How long it may take.
    pub timeout: Duration,
    /// What happens if it fails; without a word, the call is refused.
    pub fail: Option<Fail>,
    /// Those with the lowest come first; of equals, the first in the list. 0 without a word.
    pub priority: Option<i32>,
    /// Whether it may change anything.
    pub kind: InterceptorKind,
    /// Whether its word counts.
    pub mode: Option<InterceptorMode>,
}

/// A moment in the life of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Before it goes to its server (`request` in the words of SEP-2624).
    Before,
    /// When the server has answered with a result (`response`).
    After,
    /// When there is none: an error of the server, a failure on the way, a refusal. The draft has no word for it.
    Error,
}

/// What happens to a call if an interceptor fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fail {
    /// It goes on as if nobody had been asked.
    Open,
    /// It is refused.
    Closed,
}

/// What an interceptor does (`type` in SEP-2624).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InterceptorKind {
    /// It may change what it sees: one after the other is asked.
    #[default]
    Mutation,
    /// It only judges: all are asked at once, behind those that change a call and before those that change a result.
    Validation,
}

/// Whether the word of an interceptor counts (`mode` in SEP-2624).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InterceptorMode {
    /// It does.
    #[default]
    Active,
    /// It is only logged, and nobody waits for it.
    Audit,
}

/// How an interceptor is reached.
#[derive(Clone, Debug, PartialEq)]
pub enum InterceptorWay {
    /// A program that reads and writes lines of JSON.
    Command {
        /// How it is started.
        launch: StdioLaunch,
        /// Whether it is started for every call anew.
        once: bool,
        /// What is handed to it with every call, as JSON.
        config: Option<String>,
    },
    /// An address that is posted to.
    Url {
        /// Where it is.
        launch: RemoteLaunch,
        /// What is handed to it with every call, as JSON.
        config: Option<String>,
    },
    /// A server of the config that speaks the methods of SEP-2624.
    Server {
        /// Its name.
        name: ServerName,
        /// What is handed to each of its interceptors, as JSON.
        config: Option<String>,
    },
    /// It refuses, with this reason.
    Deny(String),
    /// Its entry is wrong, and it always fails.
    Broken(Box<Problem>),
}

impl InterceptorRules {
    /// The built-in rules for an interceptor of this name: asked before every call, for five seconds; if it fails, the call
    /// is refused.
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            on: vec![Phase::Before],
            events: None,
            matches: vec![Glob::new("*")],
            timeout: Duration::from_secs(5),
            fail: None,
            priority: None,
            kind: InterceptorKind::default(),
            mode: None,
        }
    }
}

impl Resolver<'_> {
    /// Reads the entries, and puts what was understood of them into the tree that is shown.
    pub(super) fn interceptors(
        &mut self,
        said: Node,
        servers: &[ServerName],
        effective: &mut Node,
    ) -> Vec<InterceptorConfig> {
        let mark = self.reporter.mark();
        let Kind::Map(said) = said.kind else { return Vec::new() };
        let mut said = unique(said, "", self.reporter).into_iter();
        let Some(Member { value, .. }) = said.next().filter(|said| said.value.kind != Kind::Null) else {
            return Vec::new();
        };
        let origin = value.origin.clone();
        // Two lists, of which one does not count: what stands in the other one may have been meant to protect something.
        let doubled = self.broken(mark);
        let Kind::List(elements) = value.kind else {
            let message = format!("`interceptors` must be a list, found {}", value.describe());
            self.reporter.error(Code::ConfigValue, &origin, message).hint("begin each entry with `- `");
            return self.broken(mark).into_iter().collect();
        };
        let mut shown = Vec::with_capacity(elements.len());
        let mut interceptors: Vec<InterceptorConfig> = doubled.into_iter().collect();
        for (index, element) in elements.into_iter().enumerate() {
            let (mark, path) = (self.reporter.mark(), format!("interceptors[{index}]"));
            let node = check(element, &keys::AN_INTERCEPTOR, &path, self.reporter);
            let (rules, way) = match &node {
                Some(node) => (rules(node), self.way_of(node, &path, servers, mark)),
                None => (InterceptorRules::named(path.as_str()), None),
            };
            let broken = self.reporter.errors_since(mark).next().cloned();
            // One of the built-in ones has no way, and nothing is wrong with it.
            let broken = broken.map(|problem| InterceptorWay::Broken(Box::new(problem)));
            interceptors.extend(broken.or(way).map(|way| InterceptorConfig { rules, way }));
            shown.extend(node);
        }
        effective.set("interceptors", Node { kind: Kind::List(shown), origin });
        interceptors
    }

    fn broken(&self, mark: usize) -> Option<InterceptorConfig> {
        let problem = self.reporter.errors_since(mark).next()?.clone();
        let rules = InterceptorRules::named("interceptors");
        Some(InterceptorConfig { rules, way: InterceptorWay::Broken(Box::new(problem)) })
    }

    fn way_of(
        &mut self,
        node: &Node,
        path: &str,
        servers: &[ServerName],
        mark: usize,
    ) -> Option<InterceptorWay> {
        const WAYS: [&str; 4] = ["command", "url", "server", "deny"];
        // The built-in ones are stages of their own.
        const BUILT_IN: [&str; 2] = ["redact", "log"];
        let said: Vec<&str> =
            WAYS.iter().chain(&BUILT_IN).copied().filter(|way| node.get(way).is_some()).collect();
        let [way] = said[..] else {
            // A misspelt `command` was reported already; that it is missing is no news.
            if said.is_empty() && self.reporter.errors_since(mark).next().is_some() {
                return None;
            }
            let (code, message) = match said[..] {
                [] => (Code::ConfigMissing, format!("`{path}` does not say who is asked")),
                _ => (Code::ConfigConflict, format!("`{path}` has {}: only one can be meant", quoted(&said))),
            };
            let hint = "write one of `command`, `url`, `server`, `deny`, `redact` and `log`";
            self.reporter.error(code, &node.origin, message).hint(hint);
            return None;
        };
        let value = node.get(way)?;
        let config = node.get("config").map(|config| config.to_json().to_string());
        match way {
            "command" => {
                let once = node.get("once").and_then(Node::as_bool).unwrap_or(false);
                let mut launch = self.stdio(value, node)?;
                // What `python3 guard.py` means must not depend on where a client starts us.
                launch.cwd.get_or_insert(self.absolute(""));
                Some(InterceptorWay::Command { launch, once, config })
            }
            "url" => {
                // For a server, `type` says how it speaks.
                let mut plain = node.clone();
                plain.take("type");
                let Launch::Remote(launch) = self.http(value, &plain)? else { return None };
                if !matches!(launch.kind, RemoteKind::Auto | RemoteKind::Http) {
                    let message = format!("`{path}.url` must begin with `https://` or `http://`");
                    self.reporter.error(Code::ConfigValue, &value.origin, message);
                    return None;
                }
                Some(InterceptorWay::Url { launch, config })
            }
            "server" => {
                let name = value.as_str()?;
                if !servers.iter().any(|server| server.as_str() == name) {
                    let near = nearest(name, servers.iter().map(ServerName::as_str));
                    let message = format!("`{path}.server`: there is no server `{name}`");
                    let problem = self.reporter.error(Code::ConfigValue, &value.origin, message);
                    match near {
                        Some(near) => problem.hint(format!("did you mean `{near}`?")),
                        None => problem.hint(format!("add it as `servers: {{ {name}: … }}`")),
                    };
                    return None;
                }
                Some(InterceptorWay::Server { name: name.into(), config })
            }
            "deny" => Some(InterceptorWay::Deny(value.as_str()?.to_owned())),
            _ => None,
        }
    }
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" and ")
}

fn rules(node: &Node) -> InterceptorRules {
    let globs = |key: &str| {
        let globs: Vec<Glob> = texts(node.get(key)).into_iter().map(Glob::new).collect();
        Some(globs).filter(|globs| !globs.is_empty())
    };
    let word = |key: &str| node.get(key).and_then(Node::as_str);
    let default = InterceptorRules::named(name(node));
    let on: Vec<Phase> = texts(node.get("on")).iter().filter_map(|word| phase(word)).collect();
    InterceptorRules {
        on: match on.is_empty() {
            // A server says itself at which moments it wants to be asked.
            true if node.get("server").is_some() => vec![Phase::Before, Phase::After],
            true => default.on,
            false => on,
        },
        events: globs("events"),
        matches: globs("match").unwrap_or(default.matches),
        timeout: word("timeout").and_then(parse_duration).unwrap_or(default.timeout),
        fail: word("fail").map(|word| if word == "open" { Fail::Open } else { Fail::Closed }),
        priority: node.get("priority").and_then(Node::scalar_text).and_then(|text| text.parse().ok()),
        kind: match word("type") {
            Some("validation") => InterceptorKind::Validation,
            _ => InterceptorKind::Mutation,
        },
        mode: word("mode").map(|word| match word {
            "audit" => InterceptorMode::Audit,
            _ => InterceptorMode::Active,
        }),
        name: default.name,
    }
}

fn phase(word: &str) -> Option<Phase> {
    match word {
        "before" => Some(Phase::Before),
        "after" => Some(Phase::After),
        "error" => Some(Phase::Error),
        _ => None,
    }
}

/// What an entry is called if it does not say so: after its program, its host, its server.
fn name(node: &Node) -> String {
    let text = |key: &str| node.get(key).and_then(Node::as_str).map(str::to_owned);
    let program = || {
        let command = texts(node.get("command"));
        // `python3 guard.py` is better known as `guard.py`.
        let word =
            command.iter().chain(&texts(node.get("args"))).map(|word| file_name(word)).collect::<Vec<_>>();
        word.iter().find(|word| word.contains('.') && !word.starts_with('-')).or(word.first()).cloned()
    };
    let host = || {
        let url = text("url")?;
        let rest = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        // What stands before an `@` may be a password.
        Some(authority.rsplit('@').next().unwrap_or_default().to_owned())
    };
    let deny = || node.get("deny").map(|_| "deny".to_owned());
    let found = text("name").or_else(program).or_else(host).or_else(|| text("server")).or_else(deny);
    found.filter(|name| !name.is_empty()).unwrap_or_else(|| "interceptor".to_owned())
}

fn file_name(word: &str) -> String {
    let name = Path::new(word).file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}
