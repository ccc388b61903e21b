//! What both benchmarks stand on: a quick echo server, a client of raw lines, and figures read from `/proc`.

#![allow(dead_code, reason = "each benchmark uses a part of it")]

pub(crate) mod child;
pub(crate) mod client;
pub(crate) mod process;
pub(crate) mod sandbox;

/// What a benchmark may fail with.
pub(crate) type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// The value in the middle of a copy of `values`, or of the two in the middle the greater.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The least and the greatest value.
pub(crate) fn range(values: impl IntoIterator<Item = f64>) -> (f64, f64) {
    values
        .into_iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)))
}
