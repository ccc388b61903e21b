//! Running Switchboards as a page for people.

use serde_json::Value;

use super::{Seen, number, text};
use crate::cli::terminal::{Paint, columns, counted, cut, one_line, padded};

/// The whole page, without the line end at its end. `is_detailed` asks for everything about the servers that are there.
pub(super) fn render(seen: &[Seen], is_detailed: bool, paint: Paint, screen: Option<usize>) -> String {
    let mut lines = Vec::new();
    for one in seen {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        lines.push(paint.bold(&head(one)));
        lines.extend(one.data["problems"].as_array().into_iter().flatten().map(|problem| {
            let remedy = problem["remedy"].as_str().map(|remedy| format!("; {remedy}")).unwrap_or_default();
            format!(
                "config: {}{} ({})",
                one_line(text(problem, "message")),
                one_line(&remedy),
                text(problem, "code")
            )
        }));
        lines.extend(one.data["audit"].as_str().map(one_line));
        let width = one.servers().iter().map(|server| columns(&one_line(text(server, "server")))).max();
        for server in one.servers() {
            lines.extend(self::server(server, width.unwrap_or(0).clamp(8, 40), is_detailed, paint));
        }
        if one.servers().is_empty() {
            lines.push(
                "no servers are configured; `switchboard config path` shows where the config belongs"
                    .to_owned(),
            );
        }
    }
    // Colours take no room, so only lines without any are cut.
    let fits = |line: String| if paint.is_on() { line } else { cut(&line, screen) };
    lines.into_iter().map(fits).collect::<Vec<_>>().join("\n")
}

/// `Switchboard 0.1.0 (pid 4711) · 3 of 4 servers usable · 27 tools · running for 5m · /home/me/…`
fn head(one: &Seen) -> String {
    let data = &one.data;
    let mut head = format!(
        "Switchboard {} (pid {}) · {} of {} usable · {} · running for {}",
        one_line(text(data, "version")),
        one.pid(),
        number(data, "usable"),
        counted(number(data, "of") as usize, "server"),
        counted(number(data, "tools") as usize, "tool"),
        for_people(data["uptime"].as_f64().unwrap_or_default()),
    );
    if let Some(profile) = data["profile"].as_str() {
        head.push_str(&format!(" · profile {}", one_line(profile)));
    }
    if let Some(config) = data["config"].as_str() {
        head.push_str(&format!(" · {}", one_line(config)));
    }
    head
}

fn server(server: &Value, width: usize, is_detailed: bool, paint: Paint) -> Vec<String> {
    let name = paint.bold(&padded(&cut(&one_line(text(server, "server")), Some(width)), width));
    let level = padded(text(server, "level"), 9);
    let level = match text(server, "level") {
        "healthy" => paint.green(&level),
        "degraded" => paint.yellow(&level),
        "unhealthy" => paint.red(&level),
        _ => paint.dim(&level),
    };
    let tools = if number(server, "tools") == 1 { "tool " } else { "tools" };
    let mut row = format!(
        "{name}  {level}  {}  {:>4} {tools}  {:>6} calls",
        padded(&one_line(text(server, "state")), 14),
        number(server, "tools"),
        number(server, "calls"),
    );
    if let Some(since) = server["since"].as_str() {
        row.push_str(&format!("  since {}", time(since)));
    }
    let mut below = failure(server);
    if is_detailed {
        below.extend(details(server));
    }
    let last = below.len().saturating_sub(1);
    let mut lines = vec![row.trim_end().to_owned()];
    lines.extend(below.into_iter().enumerate().map(|(index, line)| {
        let branch = if index == last { "╰" } else { "│" };
        format!("{}  {} {line}", " ".repeat(width), paint.dim(branch))
    }));
    lines
}

/// Why it is not well, and what mends it.
pub(super) fn failure(server: &Value) -> Vec<String> {
    let failure = &server["failure"];
    let Some(cause) = failure["cause"].as_str() else { return Vec::new() };
    let mut lines = vec![format!("{} ({})", one_line(cause), one_line(text(failure, "code")))];
    lines.extend(failure["remedy"].as_str().map(one_line));
    lines
}

fn details(server: &Value) -> Vec<String> {
    let mut lines = vec![format!(
        "{}, {}, {}; {} without an answer, {}",
        counted(number(server, "prompts") as usize, "prompt"),
        counted(number(server, "resources") as usize, "resource"),
        counted(number(server, "templates") as usize, "template"),
        counted(number(server, "failures") as usize, "call"),
        counted(number(server, "starts") as usize, "start"),
    )];
    if let Some(pid) = server["pid"].as_u64() {
        lines.push(format!("process {pid}"));
    }
    if let (Some(seen), Some(took)) = (server["last_seen"].as_str(), server["response_time"].as_f64()) {
        lines.push(format!("last answer {}, after {:.1} ms", time(seen), took * 1000.0));
    }
    lines.extend(work(&server["work"]));
    if let Some(uptime) = server["uptime"].as_f64() {
        lines.push(format!("ready for {}", for_people(uptime)));
    }
    for (index, one) in server["instances"].as_array().into_iter().flatten().enumerate() {
        lines.push(format!(
            "instance {}: {}, {} calls",
            index + 1,
            one_line(text(one, "state")),
            number(one, "calls")
        ));
    }
    let texts = |member: &str| -> Vec<String> {
        let all = server[member].as_array().into_iter().flatten();
        all.filter_map(Value::as_str).map(one_line).collect()
    };
    lines.extend(texts("notes"));
    let words = texts("stderr");
    if !words.is_empty() {
        lines.push("last lines on stderr:".to_owned());
        lines.extend(words);
    }
    lines
}

/// What a server has to do, and how quickly it does it: what a running Switchboard says of one.
pub(in crate::cli) fn work(work: &Value) -> Vec<String> {
    let mut now = vec![format!("{} in flight", counted(number(work, "in_flight") as usize, "call"))];
    let queued = number(work, "queued");
    now.extend((queued > 0).then(|| format!("{queued} waiting for their turn")));
    let breakers = work["breakers"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let breakers: Vec<String> = breakers.map(|state| one_line(&state.replace('_', " "))).collect();
    now.extend((!breakers.is_empty()).then(|| format!("breaker {}", breakers.join(", "))));
    let mut lines = vec![now.join(", ")];
    lines.extend(times(work).map(|times| format!("tool calls took {times}")));
    let last = &work["last_failure"];
    if let (Some(cause), Some(at)) = (last["cause"].as_str(), last["at"].as_str()) {
        let (item, code) = (one_line(text(last, "item")), one_line(text(last, "code")));
        lines.push(format!("last failure {}, of `{item}`: {} ({code})", time(at), one_line(cause)));
    }
    lines
}

/// How long calls took, where that was counted: `p50 12.0 ms, p95 310.5 ms`.
pub(in crate::cli) fn times(counted: &Value) -> Option<String> {
    let millis = |member: &str| counted[member].as_f64().map(|seconds| seconds * 1000.0);
    Some(format!("p50 {:.1} ms, p95 {:.1} ms", millis("p50")?, millis("p95")?))
}

/// A point in time without what nobody reads: `2026-07-28 12:00:01Z`.
pub(super) fn time(rfc3339: &str) -> String {
    let seconds = rfc3339.split('.').next().unwrap_or_default();
    one_line(&format!("{}Z", seconds.trim_end_matches('Z').replace('T', " ")))
}

/// A duration in its largest unit.
fn for_people(seconds: f64) -> String {
    match seconds as u64 {
        seconds @ 0..120 => format!("{seconds}s"),
        seconds @ 120..7200 => format!("{}m", seconds / 60),
        seconds @ 7200..172_800 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_page() {
        let seen = Seen {
            data: json!({
                "version": "1.2.3", "pid": 7, "uptime": 200.4, "config": "/c.yaml", "usable": 1, "of": 2, "tools": 3,
                "problems": [], "audit": null,
                "servers": [
                    { "server": "a", "level": "healthy", "state": "ready", "tools": 3, "calls": 12,
                      "since": "2026-01-02T03:04:05.678Z", "failure": null },
                    { "server": "b\u{1b}[31m", "level": "unhealthy", "state": "failed", "tools": 0, "calls": 0,
                      "since": null, "failure": { "code": "SB-SPAWN-001", "cause": "no `x`", "remedy": "Install it" } },
                ],
            }),
        };
        assert_eq!(
            render(&[seen], false, Paint::plain(), None),
            "Switchboard 1.2.3 (pid 7) · 1 of 2 servers usable · 3 tools · running for 3m · /c.yaml\n\
             a         healthy    ready              3 tools      12 calls  since 2026-01-02 03:04:05Z\n\
             b         unhealthy  failed             0 tools       0 calls\n          \
             │ no `x` (SB-SPAWN-001)\n          \
             ╰ Install it"
        );
    }
}
