//! Prometheus' text format, version 0.0.4.
//!
//! See <https://prometheus.io/docs/instrumenting/exposition_formats/>. It is a page of rules, all scrapers know it, and what is written has been counted
//! elsewhere: a library would want to own the numbers.

use std::fmt::Write as _;
use std::time::Duration;

use crate::meter::{BOUNDS, Histogram};

/// A metric, as it is told about.
#[derive(Debug, PartialEq, Eq)]
pub struct Family {
    /// Its name.
    pub name: &'static str,
    /// What kind of numbers it has.
    pub kind: Kind,
    /// The labels of its numbers, in their order; the text of a histogram adds `le`.
    pub labels: &'static [&'static str],
    /// What it tells, in a sentence.
    pub help: &'static str,
}

/// What kind of numbers a metric has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// They only grow while we run.
    Counter,
    /// They are as they are now.
    Gauge,
    /// Durations in buckets.
    Histogram,
    /// Durations, their sum and their number.
    Summary,
}

impl Kind {
    /// The word of the format.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
            Kind::Summary => "summary",
        }
    }
}

/// Writes families one after the other.
#[derive(Debug, Default)]
pub(super) struct Text(String);

impl Text {
    /// Begins a family. All of its numbers must be written before the next one begins.
    pub(super) fn family<'a>(&'a mut self, family: &'static Family) -> Numbers<'a> {
        Numbers { text: &mut self.0, family, has_begun: false }
    }

    pub(super) fn finish(self) -> String {
        self.0
    }
}

/// The numbers of a family. One without any is not mentioned.
pub(super) struct Numbers<'a> {
    text: &'a mut String,
    family: &'static Family,
    has_begun: bool,
}

impl Numbers<'_> {
    /// One number; `values` are those of the family's labels.
    pub(super) fn add(&mut self, values: &[&str], number: impl Into<Number>) {
        self.line("", values, None, number.into());
    }

    /// Durations in buckets.
    pub(super) fn histogram(&mut self, values: &[&str], histogram: &Histogram) {
        let mut count = 0;
        for (bound, bucket) in BOUNDS.iter().zip(&histogram.buckets) {
            count += bucket;
            let bound = Number::Seconds(Duration::from_millis(*bound)).to_string();
            self.line("_bucket", values, Some(("le", &bound)), Number::Whole(count));
        }
        let all = histogram.count();
        self.line("_bucket", values, Some(("le", "+Inf")), Number::Whole(all));
        self.line("_sum", values, None, Number::Seconds(histogram.sum));
        self.line("_count", values, None, Number::Whole(all));
    }

    /// The sum of durations and how many there were.
    pub(super) fn summary(&mut self, values: &[&str], sum: Duration, count: u64) {
        self.line("_sum", values, None, Number::Seconds(sum));
        self.line("_count", values, None, Number::Whole(count));
    }

    fn line(&mut self, suffix: &str, values: &[&str], last: Option<(&str, &str)>, number: Number) {
        let Family { name, kind, labels, help } = self.family;
        debug_assert_eq!(labels.len(), values.len(), "{name}");
        if !self.has_begun {
            self.has_begun = true;
            // A text has no failure to write to.
            let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {}", kind.word());
        }
        self.text.push_str(name);
        self.text.push_str(suffix);
        let pairs = labels.iter().copied().zip(values.iter().copied()).chain(last);
        for (index, (label, value)) in pairs.enumerate() {
            self.text.push_str(if index == 0 { "{" } else { "," });
            self.text.push_str(label);
            self.text.push_str("=\"");
            escape(self.text, value);
            self.text.push('"');
        }
        if !labels.is_empty() || last.is_some() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {number}");
    }
}

/// Label values may hold anything; names of servers and tools are a stranger's.
fn escape(text: &mut String, value: &str) {
    for character in value.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            other => text.push(other),
        }
    }
}

/// A number, as exactly as it is known.
#[derive(Clone, Copy, Debug)]
pub(super) enum Number {
    Whole(u64),
    Seconds(Duration),
}

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Number::Whole(number) => write!(f, "{number}"),
            Number::Seconds(time) => {
                let (whole, nanos) = (time.as_secs(), time.subsec_nanos());
                if nanos == 0 {
                    return write!(f, "{whole}");
                }
                let fraction = format!("{nanos:09}");
                write!(f, "{whole}.{}", fraction.trim_end_matches('0'))
            }
        }
    }
}

impl From<u64> for Number {
    fn from(number: u64) -> Self {
        Number::Whole(number)
    }
}

impl From<usize> for Number {
    fn from(number: usize) -> Self {
        Number::Whole(number as u64)
    }
}

impl From<bool> for Number {
    fn from(is_so: bool) -> Self {
        Number::Whole(u64::from(is_so))
    }
}

impl From<Duration> for Number {
    fn from(time: Duration) -> Self {
        Number::Seconds(time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static FAMILY: Family =
        Family { name: "x_seconds", kind: Kind::Histogram, labels: &["a"], help: "Help." };

    #[test]
    fn what_strangers_call_their_tools_stays_inside_the_quotes() {
        let mut text = Text::default();
        text.family(&FAMILY).summary(&["a\"} 1\nb\\ü"], Duration::from_millis(1500), 3);
        let text = text.finish();
        assert!(text.contains(r#"x_seconds_sum{a="a\"} 1\nb\\ü"} 1.5"#), "{text}");
        assert_eq!(text.lines().count(), 4, "{text}");
    }

    #[test]
    fn buckets_are_cumulative() {
        let mut histogram = Histogram::default();
        for millis in [0, 1, 2, 400_000] {
            histogram.add(Duration::from_millis(millis));
        }
        let mut text = Text::default();
        text.family(&FAMILY).histogram(&["s"], &histogram);
        let text = text.finish();
        for line in [
            r#"x_seconds_bucket{a="s",le="0.001"} 2"#,
            r#"x_seconds_bucket{a="s",le="0.005"} 3"#,
            r#"x_seconds_bucket{a="s",le="300"} 3"#,
            r#"x_seconds_bucket{a="s",le="+Inf"} 4"#,
            r#"x_seconds_sum{a="s"} 400.003"#,
            r#"x_seconds_count{a="s"} 4"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
    }
}
