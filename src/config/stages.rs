//! The stages of the pipeline that the config asks for, per server. What is not there is not built.

use std::time::Duration;

use super::built_ins::BuiltIns;
use super::effects::{self, Effects};
use super::model::{Glob, StdioLaunch};
use super::problem::Reporter;
use super::resolve::texts;
use super::tree::{Kind, Node};
use super::values::{parse_duration, parse_size};
use crate::failure::Code;

/// What stands between a server and its callers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stages {
    /// How often it may be called.
    pub rate_limit: Option<RateLimit>,
    /// How careful we are with it, where nothing else is said.
    pub level: SecurityLevel,
    /// What is hidden and logged.
    pub built_ins: BuiltIns,
    /// How arguments and results are checked.
    pub validate: Option<Validation>,
    /// Which answers are kept.
    pub cache: Option<CacheRules>,
    /// How many calls may run at once.
    pub concurrency: Option<Concurrency>,
    /// When a failed call is sent again.
    pub retry: Option<Retry>,
    /// When a failing server is left alone.
    pub breaker: Option<BreakerRules>,
    /// How calls are spread over several instances.
    pub balance: Balance,
    /// How running instances are checked.
    pub health_check: Option<HealthCheck>,
    /// What tools do to the world, by their own names and by patterns.
    pub effects: Effects,
    /// Whether what the server says of its tools' effects is believed.
    pub trust_annotations: bool,
}

/// A preset of the other settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum SecurityLevel {
    /// Nothing is checked.
    #[default]
    Low,
    /// Arguments must fit the schemas of their tools.
    Medium,
    /// Nothing else than what schemas name passes, either way; secrets are hidden; nobody calls without measure.
    High,
}

/// How often a server may be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Calls per period, at least one.
    pub calls: u64,
    /// The period, at least a millisecond.
    pub per: Duration,
    /// How many calls more than one may come at once.
    pub burst: u64,
    /// What has such a limit of its own.
    pub each: Each,
}

/// What has a limit of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Each {
    /// The server.
    #[default]
    Server,
    /// Every tool, prompt and resource of it.
    Tool,
    /// Every client that is known by a token; all others together.
    Client,
}

/// How strictly arguments and results are checked against the schemas of their tools.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Validation {
    /// The arguments.
    pub input: InputCheck,
    /// The results.
    pub output: OutputCheck,
    /// Whether arguments of a wrong type are turned into what is meant, where that is clear.
    pub coerce: bool,
}

/// How strictly arguments are checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InputCheck {
    /// Not at all.
    Off,
    /// As the schema says.
    #[default]
    Standard,
    /// And nothing may be there that the schema does not name.
    Closed,
}

/// How strictly results are checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OutputCheck {
    /// Not at all.
    #[default]
    Off,
    /// One that does not fit says so.
    Warn,
    /// One that does not fit is refused.
    Strict,
}

/// Which answers are kept, and how long.
#[derive(Clone, Debug, PartialEq)]
pub struct CacheRules {
    /// How long an answer is good.
    pub ttl: Duration,
    /// The tools whose answers may be kept, by their own names; `None` for all. Only those that read, in any case.
    pub tools: Option<Vec<Glob>>,
    /// How many bytes are kept.
    pub max_bytes: u64,
    /// How long errors are kept; `None` for not at all.
    pub negative_ttl: Option<Duration>,
    /// How long after its time an answer may stand in for a server that fails; `None` for not at all.
    pub stale_if_error: Option<Duration>,
}

/// How many calls may run at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Concurrency {
    /// Calls at once, at least one.
    pub max: usize,
    /// Calls that may wait for their turn.
    pub queue: usize,
    /// How long they may wait.
    pub wait: Duration,
}

/// When a failed call is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Attempts in all, the first one included.
    pub max_attempts: u32,
    /// The longest first pause; every further one may be twice as long.
    pub base_delay: Duration,
    /// The longest pause.
    pub max_delay: Duration,
}

/// When a failing server is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerRules {
    /// So many failures in a row open the breaker.
    pub failure_threshold: u32,
    /// How long it stays open the first time.
    pub recovery_timeout: Duration,
}

/// How calls are spread over the instances of a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Balance {
    /// One after the other.
    #[default]
    RoundRobin,
    /// To the one with the fewest open calls, then to the fastest.
    LeastLoaded,
    /// By chance, more to those whose calls go well.
    HealthBased,
    /// By chance, to the less busy of two.
    Random,
}

/// How running instances are checked.
#[derive(Clone, Debug, PartialEq)]
pub struct HealthCheck {
    /// Between two checks.
    pub interval: Duration,
    /// For the answer to one.
    pub timeout: Duration,
    /// So many failures in a row make an instance unhealthy, at least one.
    pub max_failures: u32,
    /// What a check is.
    pub probe: Probe,
}

/// What a check of a running instance is.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Probe {
    /// `ping`, or `server/discover`: any answer will do.
    #[default]
    Ping,
    /// A call of a tool, which must not end with an error.
    Tool {
        /// Its own name.
        name: String,
        /// Its arguments, an object.
        arguments: serde_json::Map<String, serde_json::Value>,
    },
    /// An HTTP request for this path at the server's own origin, which must be answered with 2xx.
    Path(String),
    /// A program, which must end with 0.
    Command(StdioLaunch),
}

impl Default for HealthCheck {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(30),
            timeout: Duration::from_secs(5),
            max_failures: 3,
            probe: Probe::Ping,
        }
    }
}

impl Default for CacheRules {
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(60),
            tools: None,
            max_bytes: 64 << 20,
            negative_ttl: None,
            stale_if_error: None,
        }
    }
}

impl Default for Concurrency {
    fn default() -> Self {
        Self { max: 64, queue: 256, wait: Duration::from_secs(30) }
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self { max_attempts: 3, base_delay: Duration::from_millis(200), max_delay: Duration::from_secs(5) }
    }
}

impl Default for BreakerRules {
    fn default() -> Self {
        Self { failure_threshold: 5, recovery_timeout: Duration::from_secs(60) }
    }
}

/// Reads the stages of a checked server entry.
pub(super) fn decode(node: &Node, level: SecurityLevel, reporter: &mut Reporter) -> Stages {
    // One that is `false` is switched off, whatever `defaults` says.
    let stage = |key: &str| node.get(key).filter(|said| matches!(said.kind, Kind::Map(_)));
    let stages = Stages {
        rate_limit: stage("rate_limit").and_then(|node| rate_limit(node, reporter)),
        level,
        // They stand in a list of their own, and are added when it has been read.
        built_ins: BuiltIns::default(),
        validate: stage("validate").map(validation),
        cache: stage("cache").map(cache),
        concurrency: stage("concurrency").map(concurrency),
        retry: stage("retry").map(retry),
        breaker: stage("breaker").map(breaker),
        balance: match node.get("balance").and_then(Node::as_str) {
            Some("least_loaded") => Balance::LeastLoaded,
            Some("health_based") => Balance::HealthBased,
            Some("random") => Balance::Random,
            _ => Balance::RoundRobin,
        },
        health_check: stage("health_check").map(health_check),
        effects: effects::decode(node),
        trust_annotations: node.get("trust_annotations").and_then(Node::as_bool).unwrap_or(false),
    };
    let reads = stages.trust_annotations || stages.effects.any_reads();
    if let (Some(tools), false) = (node.at("cache.tools"), reads) {
        let message = "nothing of `cache.tools` is kept, because no tool is known to do nothing but read";
        reporter
            .warn(Code::ConfigMissing, &tools.origin, message)
            .hint("write, for example, `effects: { query: read }`, or `trust_annotations: true`");
    }
    stages
}

fn duration(node: &Node, key: &str) -> Option<Duration> {
    node.get(key).and_then(Node::as_str).and_then(parse_duration)
}

/// A number; one that this machine cannot count to is as good as the largest.
fn whole<T: TryFrom<u64>>(node: &Node, key: &str, largest: T) -> Option<T> {
    let number = node.get(key).and_then(Node::as_whole)?;
    Some(T::try_from(number).unwrap_or(largest))
}

fn rate_limit(node: &Node, reporter: &mut Reporter) -> Option<RateLimit> {
    let Some(calls) = whole(node, "calls", u64::MAX) else {
        reporter
            .error(Code::ConfigMissing, &node.origin, "`rate_limit` needs `calls`, which is not there")
            .hint("write, for example, `rate_limit: { calls: 60, per: 1m }`");
        return None;
    };
    Some(RateLimit {
        calls,
        per: duration(node, "per").unwrap_or(Duration::from_secs(60)).max(Duration::from_millis(1)),
        burst: whole(node, "burst", u64::MAX).unwrap_or(calls - 1),
        each: match node.get("each").and_then(Node::as_str) {
            Some("tool") => Each::Tool,
            Some("client") => Each::Client,
            _ => Each::Server,
        },
    })
}

/// Arguments are checked as soon as `validate` is there; results only if it says so.
fn validation(node: &Node) -> Validation {
    let word = |key: &str| node.get(key).and_then(Node::as_str);
    Validation {
        input: match word("input") {
            Some("off") => InputCheck::Off,
            Some("closed") => InputCheck::Closed,
            _ => InputCheck::Standard,
        },
        output: match word("output") {
            Some("warn") => OutputCheck::Warn,
            Some("strict") => OutputCheck::Strict,
            _ => OutputCheck::Off,
        },
        coerce: node.get("coerce").and_then(Node::as_bool).unwrap_or(false),
    }
}

fn cache(node: &Node) -> CacheRules {
    let default = CacheRules::default();
    let globs = |node: &Node| texts(Some(node)).into_iter().map(Glob::new).collect();
    let max_bytes = node.get("max_bytes").and_then(Node::as_str).and_then(parse_size);
    CacheRules {
        ttl: duration(node, "ttl").unwrap_or(default.ttl),
        tools: node.get("tools").map(globs),
        max_bytes: max_bytes.unwrap_or(default.max_bytes),
        negative_ttl: duration(node, "negative_ttl"),
        stale_if_error: duration(node, "stale_if_error"),
    }
}

fn concurrency(node: &Node) -> Concurrency {
    let default = Concurrency::default();
    Concurrency {
        max: whole(node, "max", usize::MAX).unwrap_or(default.max),
        queue: whole(node, "queue", usize::MAX).unwrap_or(default.queue),
        wait: duration(node, "wait").unwrap_or(default.wait),
    }
}

fn retry(node: &Node) -> Retry {
    let default = Retry::default();
    Retry {
        max_attempts: whole(node, "max_attempts", u32::MAX).unwrap_or(default.max_attempts),
        base_delay: duration(node, "base_delay").unwrap_or(default.base_delay),
        max_delay: duration(node, "max_delay").unwrap_or(default.max_delay),
    }
}

fn breaker(node: &Node) -> BreakerRules {
    let default = BreakerRules::default();
    BreakerRules {
        failure_threshold: whole(node, "failure_threshold", u32::MAX).unwrap_or(default.failure_threshold),
        recovery_timeout: duration(node, "recovery_timeout").unwrap_or(default.recovery_timeout),
    }
}

fn health_check(node: &Node) -> HealthCheck {
    let default = HealthCheck::default();
    HealthCheck {
        interval: duration(node, "interval").unwrap_or(default.interval),
        timeout: duration(node, "timeout").unwrap_or(default.timeout),
        max_failures: whole(node, "max_failures", u32::MAX).unwrap_or(default.max_failures),
        // What it is needs more than this table: it is added when that is known.
        probe: Probe::Ping,
    }
}
