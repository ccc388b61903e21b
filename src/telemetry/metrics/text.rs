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

/// All of a family's numbers at some moment.
#[derive(Debug)]
pub(crate) struct Collected {
    pub(crate) family: &'static Family,
    pub(crate) points: Vec<Point>,
}

/// Numbers with the values of their family's labels.
#[derive(Debug)]
pub(crate) struct Point {
    pub(crate) values: Vec<String>,
    pub(crate) data: Data,
}

/// What a point tells.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Data {
    /// Of a counter or a gauge.
    Number(Number),
    /// Durations in buckets.
    Histogram(Histogram),
    /// The sum of durations, and how many there were.
    Summary(Duration, u64),
}

/// All families with their numbers, in the order in which they were begun.
#[derive(Debug, Default)]
pub(super) struct Sheet(Vec<Collected>);

impl Sheet {
    /// Begins a family.
    pub(super) fn family<'a>(&'a mut self, family: &'static Family) -> Numbers<'a> {
        self.0.push(Collected { family, points: Vec::new() });
        let place = self.0.len() - 1;
        Numbers(&mut self.0[place])
    }

    /// All families that have numbers.
    pub(super) fn finish(mut self) -> Vec<Collected> {
        self.0.retain(|collected| !collected.points.is_empty());
        self.0
    }
}

/// The numbers of a family. One without any is not mentioned.
pub(super) struct Numbers<'a>(&'a mut Collected);

impl Numbers<'_> {
    /// One number; `values` are those of the family's labels.
    pub(super) fn add(&mut self, values: &[&str], number: impl Into<Number>) {
        self.point(values, Data::Number(number.into()));
    }

    /// Durations in buckets.
    pub(super) fn histogram(&mut self, values: &[&str], histogram: &Histogram) {
        self.point(values, Data::Histogram(*histogram));
    }

    /// The sum of durations and how many there were.
    pub(super) fn summary(&mut self, values: &[&str], sum: Duration, count: u64) {
        self.point(values, Data::Summary(sum, count));
    }

    fn point(&mut self, values: &[&str], data: Data) {
        let Family { name, labels, .. } = self.0.family;
        debug_assert_eq!(labels.len(), values.len(), "{name}");
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        self.0.points.push(Point { values, data });
    }
}

/// Writes everything down.
pub(super) fn write(all: &[Collected]) -> String {
    let mut text = String::new();
    for Collected { family, points } in all {
        // A text has no failure to write to.
        let _ =
            writeln!(text, "# HELP {0} {1}\n# TYPE {0} {2}", family.name, family.help, family.kind.word());
        for point in points {
            let mut line = |suffix: &str, bound: Option<&str>, number: Number| {
                line(&mut text, family, suffix, point, bound.map(|bound| ("le", bound)), number);
            };
            match &point.data {
                Data::Number(number) => line("", None, *number),
                Data::Summary(sum, count) => {
                    line("_sum", None, Number::Seconds(*sum));
                    line("_count", None, Number::Whole(*count));
                }
                Data::Histogram(histogram) => {
                    let mut count = 0;
                    for (bound, bucket) in BOUNDS.iter().zip(&histogram.buckets) {
                        count += bucket;
                        let bound = Number::Seconds(Duration::from_millis(*bound)).to_string();
                        line("_bucket", Some(&bound), Number::Whole(count));
                    }
                    let all = histogram.count();
                    line("_bucket", Some("+Inf"), Number::Whole(all));
                    line("_sum", None, Number::Seconds(histogram.sum));
                    line("_count", None, Number::Whole(all));
                }
            }
        }
    }
    text
}

fn line(
    text: &mut String,
    family: &Family,
    suffix: &str,
    point: &Point,
    last: Option<(&str, &str)>,
    number: Number,
) {
    text.push_str(family.name);
    text.push_str(suffix);
    let values = point.values.iter().map(String::as_str);
    let pairs = family.labels.iter().copied().zip(values).chain(last);
    for (index, (label, value)) in pairs.enumerate() {
        text.push_str(if index == 0 { "{" } else { "," });
        text.push_str(label);
        text.push_str("=\"");
        escape(text, value);
        text.push('"');
    }
    if !family.labels.is_empty() || last.is_some() {
        text.push('}');
    }
    let _ = writeln!(text, " {number}");
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
pub(crate) enum Number {
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
        let mut sheet = Sheet::default();
        sheet.family(&FAMILY).summary(&["a\"} 1\nb\\ü"], Duration::from_millis(1500), 3);
        let text = write(&sheet.finish());
        assert!(text.contains(r#"x_seconds_sum{a="a\"} 1\nb\\ü"} 1.5"#), "{text}");
        assert_eq!(text.lines().count(), 4, "{text}");
    }

    #[test]
    fn buckets_are_cumulative() {
        let mut histogram = Histogram::default();
        for millis in [0, 1, 2, 400_000] {
            histogram.add(Duration::from_millis(millis));
        }
        let mut sheet = Sheet::default();
        sheet.family(&FAMILY).histogram(&["s"], &histogram);
        let text = write(&sheet.finish());
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
