//! What we tell the sidecar: the run's id in the first line, then one line for each group that comes or goes.

use std::fmt;

use crate::supervisor::strays::RunId;

/// One line, shorter than a page so that a pipe takes it whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Whose children to look for.
    Run(RunId),
    /// A group that must not outlive us. The start time of its leader, where known, tells it from a later group with
    /// the same number.
    Add { group: u32, start_time: Option<u64> },
    /// A group that is gone.
    Remove { group: u32 },
}

impl Line {
    /// Reads what [`Display`](fmt::Display) wrote; `None` for anything else.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_ascii_whitespace();
        let line = match words.next()? {
            "run" => Self::Run(RunId::parse(words.next()?)?),
            "+" => Self::Add {
                group: words.next()?.parse().ok()?,
                start_time: words.next().map(str::parse).transpose().ok()?,
            },
            "-" => Self::Remove { group: words.next()?.parse().ok()? },
            _ => return None,
        };
        words.next().is_none().then_some(line)
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run(run) => writeln!(f, "run {run}"),
            Self::Add { group, start_time: Some(time) } => writeln!(f, "+ {group} {time}"),
            Self::Add { group, start_time: None } => writeln!(f, "+ {group}"),
            Self::Remove { group } => writeln!(f, "- {group}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_read_as_it_was_written() {
        let lines = [
            Line::Run(RunId::random()),
            Line::Add { group: 4711, start_time: Some(99) },
            Line::Add { group: 4711, start_time: None },
            Line::Remove { group: 4711 },
        ];
        for line in lines {
            assert_eq!(Line::parse(&line.to_string()), Some(line));
        }
    }

    #[test]
    fn nothing_else_is_a_line() {
        for text in ["", "run", "run short", "+", "+ x", "+ -1", "+ 1 2 3", "- 1 2", "* 1"] {
            assert_eq!(Line::parse(text), None, "{text}");
        }
    }
}
