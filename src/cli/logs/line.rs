//! One line of a log, for people and for programs.

use serde_json::{Map, Value, json};

use crate::cli::terminal::{Paint, tame};
use crate::names::ServerName;

/// Whose log it is.
pub(super) enum Source {
    /// Switchboard's: JSON lines.
    Own,
    /// A server's stderr: `<time> #<generation> <text>`.
    Server(ServerName),
}

impl Source {
    /// The line for people. What a server wrote cannot steer the terminal.
    pub(super) fn text(&self, line: &str, paint: Paint) -> String {
        match self {
            Self::Own => own(line, paint).unwrap_or_else(|| tame(line)),
            Self::Server(_) => match parts(line) {
                Some((time, generation, text)) => {
                    format!("{} {}", paint.dim(&format!("{time} #{generation}")), tame(text))
                }
                None => tame(line),
            },
        }
    }

    /// The line for programs.
    pub(super) fn json(&self, line: &str) -> String {
        let value = match self {
            Self::Own => serde_json::from_str(line).unwrap_or_else(|_| json!({ "message": line })),
            Self::Server(server) => match parts(line) {
                Some((time, generation, text)) => json!({
                    "timestamp": time, "server": server.as_str(), "generation": generation, "message": text,
                }),
                None => json!({ "server": server.as_str(), "message": line }),
            },
        };
        let mut escaped = Vec::new();
        crate::wire::unseen::push_escaped(&mut escaped, &value.to_string());
        String::from_utf8_lossy(&escaped).into_owned()
    }
}

/// `2026-07-28T12:00:00.000Z #1 text`
fn parts(line: &str) -> Option<(&str, u64, &str)> {
    let (time, rest) = line.split_once(" #")?;
    let (generation, text) = rest.split_once(' ').unwrap_or((rest, ""));
    Some((time, generation.parse().ok()?, text))
}

/// `12:00:00 WARN a sentence  server=files`
fn own(line: &str, paint: Paint) -> Option<String> {
    let mut event: Map<String, Value> = serde_json::from_str(line).ok()?;
    let mut take = |key: &str| match event.remove(key) {
        Some(Value::String(text)) => text,
        Some(other) => other.to_string(),
        None => String::new(),
    };
    let (time, level, message) = (take("timestamp"), take("level"), take("message"));
    take("target");
    let level = match level.as_str() {
        "ERROR" => paint.red("ERROR"),
        "WARN" => paint.yellow("WARN "),
        other => format!("{other:<5}"),
    };
    let rest: Vec<String> = event
        .iter()
        .map(|(key, value)| match value {
            Value::String(text) => format!("{key}={}", tame(text).replace('\n', "⏎")),
            other => format!("{key}={other}"),
        })
        .collect();
    let rest = if rest.is_empty() { String::new() } else { format!("  {}", paint.dim(&rest.join(" "))) };
    Some(format!("{} {level} {}{rest}", paint.dim(&time), tame(&message).replace('\n', "⏎")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_for_people_and_programs() {
        let own =
            r#"{"timestamp":"T","level":"WARN","message":"it broke","target":"x","server":"a\u001b[31m"}"#;
        assert_eq!(Source::Own.text(own, Paint::plain()), "T WARN  it broke  server=a");
        assert_eq!(Source::Own.text("half a li", Paint::plain()), "half a li");
        let server = Source::Server("a".into());
        assert_eq!(server.text("T #2 \u{1b}[31mred", Paint::plain()), "T #2 red");
        let json: Value = serde_json::from_str(&server.json("T #2 \u{1b}[31mred")).unwrap();
        assert_eq!(
            json,
            json!({"timestamp": "T", "server": "a", "generation": 2, "message": "\u{1b}[31mred"})
        );
        assert!(!server.json("T #2 \u{1b}[31mred").contains('\u{1b}'));
    }
}
