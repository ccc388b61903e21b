//! Reads every number where it is counted.

use std::collections::BTreeMap;
use std::time::UNIX_EPOCH;

use super::families as f;
use super::process;
use super::text::{Collected, Sheet};
use crate::backend::Tallies;
use crate::config::{Balance, Entry, Launch, RemoteKind, ServerConfig, Severity};
use crate::interceptor::HookTallies;
use crate::meter::{Counts, Discovery, Ending, Kind};
use crate::names::ServerName;
use crate::pipeline::{BreakerState, LaneTallies};
use crate::registry::Registry;
use crate::status::{self, Level, Report};

/// What stands for tools that have no numbers of their own.
const OTHER: &str = "other";

pub(super) fn gather(registry: &Registry) -> Vec<Collected> {
    let mut sheet = Sheet::default();
    sheet.family(&f::BUILD).add(&[env!("CARGO_PKG_VERSION")], 1u64);
    let reports = status::reports(registry);
    servers(&mut sheet, registry, &reports);
    calls(&mut sheet, &registry.meters().counts());
    clients(&mut sheet, registry);
    instances(&mut sheet, registry, &reports);
    stages(&mut sheet, registry, &reports);
    interceptors(&mut sheet, registry.interceptors());
    audit(&mut sheet, registry);
    discovery(&mut sheet, registry.meters().discovered());
    process::write(&mut sheet, registry.meters());
    sheet.finish()
}

fn is_up(level: Level) -> bool {
    level <= Level::Degraded
}

fn servers(sheet: &mut Sheet, registry: &Registry, reports: &[Report]) {
    let mut numbers = sheet.family(&f::SERVERS);
    for level in [Level::Healthy, Level::Degraded, Level::Unhealthy, Level::Disabled] {
        let count = reports.iter().filter(|report| report.level == level).count();
        numbers.add(&[level.word()], count);
    }
    let mut numbers = sheet.family(&f::SERVER_INFO);
    let now = registry.servers();
    for entry in now.entries() {
        if let Entry::Ready(config) = entry {
            numbers.add(&[config.name.as_str(), transport(config), strategy(config)], 1u64);
        }
    }
    let enabled = || reports.iter().filter(|report| report.level != Level::Disabled);
    let mut numbers = sheet.family(&f::SERVER_UP);
    enabled().for_each(|report| numbers.add(&[&report.server], is_up(report.level)));
    let mut numbers = sheet.family(&f::SERVER_STATE);
    reports.iter().for_each(|report| numbers.add(&[&report.server, report.state], 1u64));
    let mut numbers = sheet.family(&f::DEFINITIONS);
    for report in enabled() {
        let shown = report.shown;
        let kinds = [
            ("tools", shown.tools),
            ("prompts", shown.prompts),
            ("resources", shown.resources),
            ("templates", shown.templates),
        ];
        kinds.into_iter().for_each(|(kind, count)| numbers.add(&[&report.server, kind], count));
    }
    let mut numbers = sheet.family(&f::NOTES);
    enabled().for_each(|report| numbers.add(&[&report.server], report.notes.len()));
    let mut numbers = sheet.family(&f::CONFIG_PROBLEMS);
    for (word, severity) in [("error", Severity::Error), ("warning", Severity::Warning)] {
        let count = now.problems().iter().filter(|problem| problem.severity == severity).count();
        numbers.add(&[word], count);
    }
}

fn transport(config: &ServerConfig) -> &'static str {
    match &config.launch {
        Launch::Stdio(_) => "stdio",
        Launch::Remote(remote) => match remote.kind {
            RemoteKind::Auto | RemoteKind::Http => "http",
            RemoteKind::Sse => "sse",
            RemoteKind::WebSocket => "websocket",
            RemoteKind::Unix => "unix",
        },
    }
}

fn strategy(config: &ServerConfig) -> &'static str {
    match config.stages.balance {
        _ if config.others.is_empty() => "none",
        Balance::RoundRobin => "round_robin",
        Balance::LeastLoaded => "least_loaded",
        Balance::HealthBased => "health_based",
        Balance::Random => "random",
    }
}

fn calls(sheet: &mut Sheet, counts: &[(ServerName, Counts)]) {
    let each = || counts.iter().map(|(server, counts)| (server.as_str(), counts));
    let seen = |counts: &Counts, kind| Ending::ALL.iter().any(|ending| counts.of(kind).ended(*ending) > 0);
    let kinds = || {
        each().flat_map(move |(server, counts)| {
            let kinds = Kind::ALL.into_iter().filter(move |kind| seen(counts, *kind));
            kinds.map(move |kind| (server, kind.word(), counts.of(kind)))
        })
    };
    let mut numbers = sheet.family(&f::CALLS);
    for (server, method, counts) in kinds() {
        for ending in Ending::ALL {
            numbers.add(&[server, method, ending.word()], counts.ended(ending));
        }
    }
    let mut numbers = sheet.family(&f::DURATION);
    kinds().for_each(|(server, method, counts)| numbers.histogram(&[server, method], &counts.took));
    let mut numbers = sheet.family(&f::FAILURES);
    for (server, counts) in each() {
        counts.codes.iter().for_each(|(code, count)| numbers.add(&[server, code], *count));
    }
    let mut numbers = sheet.family(&f::REQUEST_BYTES);
    each().for_each(|(server, counts)| numbers.add(&[server], counts.sent));
    let mut numbers = sheet.family(&f::RESPONSE_BYTES);
    each().for_each(|(server, counts)| numbers.add(&[server], counts.received));
    tools(sheet, counts);
}

fn tools(sheet: &mut Sheet, counts: &[(ServerName, Counts)]) {
    let each = || {
        counts.iter().flat_map(|(server, counts)| {
            // A tool may be called like what stands for the others: then it is one of them.
            let own = counts.tools.iter().filter(|(name, _)| name.as_str() != OTHER);
            let others = counts.tools.iter().filter(|(name, _)| name.as_str() == OTHER);
            let others = others.fold(counts.other_tools, |sum, (_, counts)| sum.and(*counts));
            let others = others.is_used().then_some((server.as_str(), OTHER, others));
            own.map(|(name, counts)| (server.as_str(), name.as_str(), *counts)).chain(others)
        })
    };
    let mut numbers = sheet.family(&f::TOOL_CALLS);
    for (server, tool, counts) in each() {
        for ending in Ending::ALL.into_iter().filter(|ending| counts.ended(*ending) > 0) {
            numbers.add(&[server, tool, ending.word()], counts.ended(ending));
        }
    }
    let mut numbers = sheet.family(&f::TOOL_DURATION);
    each()
        .for_each(|(server, tool, counts)| numbers.summary(&[server, tool], counts.took.sum, counts.timed()));
}

fn clients(sheet: &mut Sheet, registry: &Registry) {
    sheet.family(&f::JOURNEYS).add(&[], registry.journeys());
    if let Some(present) = registry.meters().present() {
        sheet.family(&f::PARKED).add(&[], present.parked);
        sheet.family(&f::SESSIONS).add(&[], present.sessions);
    }
}

fn instances(sheet: &mut Sheet, registry: &Registry, reports: &[Report]) {
    struct One<'a> {
        server: &'a str,
        instance: String,
        open: usize,
        is_up: bool,
        tallies: Tallies,
    }
    let mut all = Vec::new();
    for report in reports {
        let name = ServerName::from(report.server.as_str());
        let Some(lane) = registry.lane(&name) else { continue };
        for (index, backend) in lane.backends().enumerate() {
            // A report tells of instances only where there are several.
            let level = report.instances.get(index).map_or(report.level, |one| one.level);
            all.push(One {
                server: &report.server,
                instance: (index + 1).to_string(),
                open: backend.open_calls(),
                is_up: is_up(level),
                tallies: backend.tallies(),
            });
        }
    }
    let mut numbers = sheet.family(&f::OPEN);
    all.iter().for_each(|one| numbers.add(&[one.server, &one.instance], one.open));
    let mut numbers = sheet.family(&f::INSTANCE_UP);
    all.iter().for_each(|one| numbers.add(&[one.server, &one.instance], one.is_up));
    let mut numbers = sheet.family(&f::ATTEMPTS);
    all.iter().for_each(|one| numbers.add(&[one.server, &one.instance], one.tallies.calls));
    let mut numbers = sheet.family(&f::ATTEMPT_FAILURES);
    all.iter().for_each(|one| numbers.add(&[one.server, &one.instance], one.tallies.failures));
    let mut numbers = sheet.family(&f::STARTS);
    all.iter().for_each(|one| numbers.add(&[one.server, &one.instance], one.tallies.starts));
    let of_servers = || reports.iter().filter(|report| all.iter().any(|one| one.server == report.server));
    let mut numbers = sheet.family(&f::NOISE);
    of_servers().for_each(|report| numbers.add(&[&report.server], report.tallies.noise));
    let mut numbers = sheet.family(&f::DROPPED_LOGS);
    of_servers().for_each(|report| numbers.add(&[&report.server], report.tallies.dropped_logs));
}

fn stages(sheet: &mut Sheet, registry: &Registry, reports: &[Report]) {
    let tallies: Vec<(&str, LaneTallies)> = reports
        .iter()
        .filter_map(|report| {
            let lane = registry.lane(&ServerName::from(report.server.as_str()))?;
            Some((report.server.as_str(), lane.tallies()))
        })
        .collect();
    let mut numbers = sheet.family(&f::RETRIES);
    for (server, tallies) in &tallies {
        tallies.retries.into_iter().for_each(|count| numbers.add(&[server], count));
    }
    let breakers = || {
        tallies.iter().flat_map(|(server, tallies)| {
            tallies.breakers.iter().enumerate().map(move |(index, breaker)| (server, index + 1, breaker))
        })
    };
    let mut numbers = sheet.family(&f::BREAKER);
    for (server, instance, (state, _)) in breakers() {
        for one in BreakerState::ALL {
            numbers.add(&[server, &instance.to_string(), one.word()], one == *state);
        }
    }
    let mut numbers = sheet.family(&f::BREAKER_OPENINGS);
    for (server, instance, (_, openings)) in breakers() {
        numbers.add(&[server, &instance.to_string()], *openings);
    }
    let turns = || tallies.iter().filter_map(|(server, tallies)| Some((server, tallies.turns?)));
    let mut numbers = sheet.family(&f::TURNS);
    for (server, turns) in turns() {
        numbers.add(&[server, "running"], turns.running);
        numbers.add(&[server, "waiting"], turns.waiting);
    }
    let mut numbers = sheet.family(&f::TURNS_LIMIT);
    turns().for_each(|(server, turns)| numbers.add(&[server], turns.most));
    let caches = || reports.iter().filter_map(|report| Some((report.server.as_str(), report.cache?)));
    let mut numbers = sheet.family(&f::CACHE_HITS);
    caches().for_each(|(server, cache)| numbers.add(&[server], cache.hits));
    let mut numbers = sheet.family(&f::CACHE_MISSES);
    caches().for_each(|(server, cache)| numbers.add(&[server], cache.misses));
    let mut numbers = sheet.family(&f::CACHE_ANSWERS);
    caches().for_each(|(server, cache)| numbers.add(&[server], cache.answers));
    let mut numbers = sheet.family(&f::CACHE_BYTES);
    caches().for_each(|(server, cache)| numbers.add(&[server], cache.bytes));
}

fn interceptors(sheet: &mut Sheet, tallies: Vec<HookTallies>) {
    // Two may have one name, but no two numbers the same labels.
    let mut by_name: BTreeMap<String, [u64; 3]> = BTreeMap::new();
    for HookTallies { name, asked, denied, failed } in tallies {
        let sums = by_name.entry(name).or_default();
        *sums = [sums[0] + asked, sums[1] + denied, sums[2] + failed];
    }
    for (place, family) in [&f::HOOKS, &f::HOOKS_DENIED, &f::HOOKS_FAILED].into_iter().enumerate() {
        let mut numbers = sheet.family(family);
        by_name.iter().for_each(|(name, sums)| numbers.add(&[name], sums[place]));
    }
}

fn audit(sheet: &mut Sheet, registry: &Registry) {
    let Some(tallies) = registry.audit_tallies() else { return };
    sheet.family(&f::AUDIT_KEPT).add(&[], tallies.kept);
    sheet.family(&f::AUDIT_LOST).add(&[], tallies.lost);
    sheet.family(&f::AUDIT_BROKEN).add(&[], tallies.is_broken);
}

fn discovery(sheet: &mut Sheet, discovery: Discovery) {
    let Discovery { runs, failed, discovered, auto_registered, last_run } = discovery;
    let mut numbers = sheet.family(&f::DISCOVERY_RUNS);
    numbers.add(&["done"], runs - failed);
    numbers.add(&["failed"], failed);
    sheet.family(&f::DISCOVERED).add(&[], discovered);
    sheet.family(&f::REGISTERED).add(&[], auto_registered);
    if let Some(last) = last_run.and_then(|last| last.duration_since(UNIX_EPOCH).ok()) {
        sheet.family(&f::DISCOVERY_LAST).add(&[], last);
    }
}
