//! The figures of one size in one mode, and what they say about the targets.

use std::collections::HashMap;
use std::fmt::Write;

use crate::support::process::Memory;
use crate::support::{median, range};

/// Where the processes may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Driver, relay and server share one core: no wake-up crosses cores, so that latencies compare.
    OneCore,
    /// Wherever the system puts them.
    AllCores,
}

/// What one series of calls showed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell {
    /// Half of the answers came within so many microseconds.
    pub(crate) p50: f64,
    /// 99 of 100 answers did.
    pub(crate) p99: f64,
    /// Answers per second.
    pub(crate) rate: f64,
    /// Microseconds of CPU that the relay took per call; for the direct way, that the server took.
    pub(crate) cpu: f64,
}

/// The place of the direct way and of the bare relay among the variants.
const DIRECT: usize = 0;
const BARE: usize = 1;

/// All cells of one size in one mode.
pub(crate) struct Table {
    size: &'static str,
    bytes: usize,
    mode: Mode,
    names: Vec<String>,
    /// By variant and calls in flight, one cell per round.
    cells: HashMap<(usize, usize), Vec<Cell>>,
    memory: HashMap<usize, Memory>,
}

impl Table {
    pub(crate) fn new(size: &'static str, bytes: usize, mode: Mode, names: Vec<String>) -> Self {
        Self { size, bytes, mode, names, cells: HashMap::new(), memory: HashMap::new() }
    }

    pub(crate) fn add(&mut self, variant: usize, flight: usize, cell: Cell) {
        self.cells.entry((variant, flight)).or_default().push(cell);
    }

    pub(crate) fn memory(&mut self, variant: usize, memory: Memory) {
        self.memory.insert(variant, memory);
    }

    fn rounds(&self, variant: usize, flight: usize) -> &[Cell] {
        self.cells.get(&(variant, flight)).map(Vec::as_slice).unwrap_or_default()
    }

    fn median(&self, variant: usize, flight: usize, of: fn(&Cell) -> f64) -> f64 {
        median(self.rounds(variant, flight).iter().map(of))
    }

    /// The median over rounds of the ratio within a round: what slows a whole round down cancels out.
    fn ratio(&self, variant: usize, flight: usize, of: fn(&Cell) -> f64) -> f64 {
        let pairs = self.rounds(variant, flight).iter().zip(self.rounds(BARE, flight));
        median(pairs.map(|(cell, bare)| of(cell) / of(bare)))
    }

    /// The table as text.
    pub(crate) fn render(&self) -> String {
        let mut out = String::new();
        let place = match self.mode {
            Mode::OneCore => "one core",
            Mode::AllCores => "all cores",
        };
        let rounds =
            crate::FLIGHTS.map(|flight| self.rounds(BARE, flight).len()).into_iter().max().unwrap_or(0);
        let _ = writeln!(out, "\n## {} results, {place}, medians of {rounds} rounds\n", self.size);
        let _ = writeln!(
            out,
            "| variant | in flight | p50 µs | p99 µs | calls/s | CPU µs/call | p50 × | calls/s × | CPU × | peak RSS MiB |"
        );
        let _ = writeln!(out, "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
        for (variant, name) in self.names.iter().enumerate() {
            for flight in
                crate::FLIGHTS.into_iter().filter(|flight| !self.rounds(variant, *flight).is_empty())
            {
                let peak = self
                    .memory
                    .get(&variant)
                    .map_or("–".to_owned(), |memory| format!("{:.1}", memory.peak as f64 / 1024.0));
                let cpu_ratio = if variant == DIRECT {
                    "–".to_owned()
                } else {
                    format!("{:.2}", self.ratio(variant, flight, |cell| cell.cpu))
                };
                let _ = writeln!(
                    out,
                    "| {name} | {flight} | {:.1} | {:.1} | {:.0} | {:.2} | {:.2} | {:.2} | {cpu_ratio} | {peak} |",
                    self.median(variant, flight, |cell| cell.p50),
                    self.median(variant, flight, |cell| cell.p99),
                    self.median(variant, flight, |cell| cell.rate),
                    self.median(variant, flight, |cell| cell.cpu),
                    self.ratio(variant, flight, |cell| cell.p50),
                    self.ratio(variant, flight, |cell| cell.rate),
                );
            }
        }
        self.added(&mut out);
        self.noise(&mut out);
        self.targets(&mut out);
        out
    }

    /// What each stage adds to a Switchboard without any: the median over rounds of the difference within a round.
    fn added(&self, out: &mut String) {
        let Some(plain) = self.names.iter().position(|name| name == "switchboard") else { return };
        let stages: Vec<(usize, &String)> =
            self.names.iter().enumerate().filter(|(_, name)| name.starts_with("with ")).collect();
        if stages.is_empty() {
            return;
        }
        let _ = writeln!(out, "\n| added | in flight | p50 µs | CPU µs/call |\n|---|---:|---:|---:|");
        for (variant, name) in stages {
            for flight in
                crate::FLIGHTS.into_iter().filter(|flight| !self.rounds(variant, *flight).is_empty())
            {
                let added = |of: fn(&Cell) -> f64| {
                    let pairs = self.rounds(variant, flight).iter().zip(self.rounds(plain, flight));
                    median(pairs.map(|(cell, plain)| of(cell) - of(plain)))
                };
                let (p50, cpu) = (added(|cell| cell.p50), added(|cell| cell.cpu));
                let _ = writeln!(out, "| {name} | {flight} | {p50:.1} | {cpu:.2} |");
            }
        }
    }

    fn noise(&self, out: &mut String) {
        let spread = |flight, of: fn(&Cell) -> f64| range(self.rounds(BARE, flight).iter().map(of));
        let _ = writeln!(out, "\nNoise, as the bare relay's least and greatest round:");
        for flight in crate::FLIGHTS.into_iter().filter(|flight| !self.rounds(BARE, *flight).is_empty()) {
            let (low, high) = spread(flight, |cell| cell.p50);
            let (slow, fast) = spread(flight, |cell| cell.rate);
            let (little, much) = spread(flight, |cell| cell.cpu);
            let _ = writeln!(
                out,
                "- {flight} in flight: p50 {low:.1}–{high:.1} µs, {slow:.0}–{fast:.0} calls/s, CPU {little:.2}–{much:.2} µs"
            );
        }
        let _ = writeln!(out);
    }

    /// The targets of the design, for each Switchboard.
    fn targets(&self, out: &mut String) {
        let megabytes = self.bytes as f64 / 1e6;
        for (variant, name) in self.names.iter().enumerate() {
            if !name.starts_with("switchboard") {
                continue;
            }
            let mut say = |what: &str, value: f64, target: &str, met: bool| {
                // Not measured in this run.
                if value.is_nan() {
                    return;
                }
                let met = if met { "met" } else { "NOT MET" };
                let _ = writeln!(out, "- {name}: {what} {value:.2} (target {target}): {met}");
            };
            if self.mode == Mode::OneCore {
                let latency = self.ratio(variant, 1, |cell| cell.p50);
                say("latency at 1 against the bare relay", latency, "≤ 1.15", latency <= 1.15);
            }
            let rate = self.ratio(variant, 64, |cell| cell.rate);
            say("calls/s at 64 against the bare relay", rate, "≥ 0.8", rate >= 0.8);
            let cpu = self.ratio(variant, 64, |cell| cell.cpu);
            say("CPU per call at 64 against the bare relay", cpu, "≤ 1.5", cpu <= 1.5);
            if megabytes >= 1.0 {
                let added = median(
                    self.rounds(variant, 1)
                        .iter()
                        .zip(self.rounds(DIRECT, 1))
                        .map(|(cell, direct)| cell.p50 - direct.p50),
                ) / 1000.0
                    / megabytes;
                say("milliseconds added per MB over direct", added, "< 1", added < 1.0);
            }
        }
    }
}
