//! What a call through Switchboard costs, against a bare relay of the same bytes and against no relay at all.
//!
//! `cargo bench --bench relay` takes a few minutes; `-- --quick` gives a first idea. `-- --size 200B` and `-- --flight 64` measure
//! one size and one number of calls in flight only, `-- --flavours` compares runtime flavours, for a build that takes the number of workers
//! from `SWITCHBOARD_BENCH_WORKERS`, `-- --stages` measures what each stage adds, `-- --telemetry` what metrics and traces do, and `-- --before PROGRAM` compares with another build of Switchboard. See
//! `docs/benchmarks.md` for what the columns mean.

#![expect(clippy::print_stdout, reason = "the table is the result")]

mod bare;
mod report;
#[path = "../support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use bare::{Engine, Scan};
use report::{Cell, Mode, Table};
use support::client::Client;
use support::process::{Cores, Memory, cpu_nanoseconds};
use support::sandbox::{Sandbox, Servers};
use support::{Outcome, child};

/// Calls in flight.
const FLIGHTS: [usize; 3] = [1, 16, 64];
const SIZE_NAMES: [&str; 3] = ["200 B", "100 KB", "5 MB"];

/// What stands between the driver and the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    Direct,
    Bare,
    BareTokio,
    IdOnly,
    Switchboard,
    SwitchboardTen,
    /// Switchboard on so many worker threads, for `--flavours`.
    Workers(usize),
    /// Another build of Switchboard, for `--before`.
    Before,
    /// Switchboard with one of [`STAGES`] in the way of calls, for `--stages`.
    Stage(usize),
    /// Switchboard with one of [`TELEMETRY`], for `--telemetry`.
    Told(usize),
}

/// What is told of calls: a name, and the keys of the config. Nobody listens where spans are sent, so that only the making of them is
/// measured.
const TELEMETRY: [(&str, &str); 2] = [
    ("metrics", r#""telemetry":{"metrics":true}"#),
    ("metrics and traces", r#""telemetry":{"otlp":"http://127.0.0.1:9"}"#),
];

/// What can stand in the way of calls: a name, its keys in the entry of the server, and in the config. None of them ever refuses a
/// call of the benchmark.
const STAGES: [(&str, &str, &str); 11] = [
    ("rate_limit", r#""rate_limit":{"calls":1000000000,"per":"1s","burst":1000000000}"#, ""),
    ("concurrency", r#""concurrency":{"max":1000}"#, ""),
    ("retry", r#""retry":{}"#, ""),
    ("breaker", r#""breaker":{}"#, ""),
    ("validate", r#""validate":{"input":"standard","output":"warn"}"#, ""),
    ("limits", r#""limits":{"result":"8MiB"}"#, ""),
    ("redact", "", r#""interceptors":[{"redact":{}}]"#),
    ("policy", "", r#""policy":{"file":"policy.cedar"}"#),
    ("audit", "", r#""telemetry":{"audit":true}"#),
    ("cache, all hits", r#""cache":{"ttl":"1h"},"effects":{"echo":"read"}"#, ""),
    (
        "all but the cache",
        r#""rate_limit":{"calls":1000000000,"per":"1s","burst":1000000000},"concurrency":{"max":1000},"retry":{},"breaker":{},"validate":{"input":"standard","output":"warn"},"limits":{"result":"8MiB"}"#,
        r#""interceptors":[{"redact":{}}],"policy":{"file":"policy.cedar"},"telemetry":{"audit":true}"#,
    ),
];

impl Variant {
    fn name(self) -> String {
        match self {
            Variant::Direct => "direct".into(),
            Variant::Bare => "bare relay (threads)".into(),
            Variant::BareTokio => "bare relay (tokio)".into(),
            Variant::IdOnly => "id and line end only".into(),
            Variant::Switchboard => "switchboard".into(),
            Variant::SwitchboardTen => "switchboard, 10 servers".into(),
            Variant::Workers(count) => format!("switchboard, {count} workers"),
            Variant::Before => "switchboard before".into(),
            Variant::Stage(place) => format!("with {}", STAGES[place].0),
            Variant::Told(place) => format!("with {}", TELEMETRY[place].0),
        }
    }
}

/// One variant that runs.
struct Runner {
    variant: Variant,
    client: Client,
    tool: &'static str,
    /// Kept for as long as its Switchboard runs.
    _sandbox: Option<Sandbox>,
}

impl Runner {
    fn start(variant: Variant, before: Option<&Path>) -> Outcome<Runner> {
        let own = |arguments: &[&str]| -> Outcome<Command> {
            let mut command = Command::new(std::env::current_exe()?);
            command.args(arguments);
            Ok(command)
        };
        let servers = if variant == Variant::SwitchboardTen { 10 } else { 1 };
        let (keys, config) = match variant {
            Variant::Stage(place) => (STAGES[place].1, STAGES[place].2),
            Variant::Told(place) => ("", TELEMETRY[place].1),
            _ => ("", ""),
        };
        let (command, tool, sandbox) = match variant {
            Variant::Direct => (own(&["--child", "1"])?, "echo", None),
            Variant::Bare => (own(&["--bare", "threads"])?, "echo", None),
            Variant::BareTokio => (own(&["--bare", "tokio"])?, "echo", None),
            Variant::IdOnly => (own(&["--bare", "id"])?, "echo", None),
            Variant::Switchboard
            | Variant::SwitchboardTen
            | Variant::Workers(_)
            | Variant::Before
            | Variant::Stage(_)
            | Variant::Told(_) => {
                let sandbox =
                    Sandbox::new(&Servers { count: servers, tools: 10, eager: true, keys, config })?;
                let mut command = match (variant, before) {
                    (Variant::Before, Some(program)) => sandbox.command_of(program),
                    _ => sandbox.command(),
                };
                if let Variant::Workers(count) = variant {
                    command.env("SWITCHBOARD_BENCH_WORKERS", count.to_string());
                }
                (command, "s0__echo", Some(sandbox))
            }
        };
        let mut client = Client::start(command)?;
        client.initialize()?;
        let tools = if sandbox.is_some() { 10 * servers } else { 1 };
        client.wait_for_tools(tools)?;
        Ok(Runner { variant, client, tool, _sandbox: sandbox })
    }

    fn measure(&mut self, place: usize, flight: usize, time: Duration) -> Outcome<Cell> {
        let pid = self.client.pid();
        let before = cpu_nanoseconds(pid)?;
        let least = if place == 2 { 2 * flight.max(4) } else { 0 };
        let series = self.client.call(self.tool, place, child::SIZES[place], flight, time, least)?;
        let cpu = cpu_nanoseconds(pid)? - before;
        Ok(Cell {
            p50: series.latency(0.5),
            p99: series.latency(0.99),
            rate: series.calls as f64 / series.elapsed.as_secs_f64(),
            cpu: cpu as f64 / 1000.0 / series.calls as f64,
        })
    }
}

struct Options {
    quick: bool,
    flavours: bool,
    sizes: Vec<usize>,
    flights: Vec<usize>,
    /// Only these modes.
    modes: Vec<Mode>,
    rounds: Option<usize>,
    /// Another build to compare with.
    before: Option<PathBuf>,
    /// What the stages cost.
    stages: bool,
    /// What metrics and traces cost.
    telemetry: bool,
}

fn options() -> Outcome<Options> {
    let mut options = Options {
        quick: false,
        flavours: false,
        sizes: vec![0, 1, 2],
        flights: FLIGHTS.to_vec(),
        modes: vec![Mode::OneCore, Mode::AllCores],
        rounds: None,
        before: None,
        stages: false,
        telemetry: false,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            // Cargo says this to every benchmark.
            "--bench" => {}
            "--quick" => options.quick = true,
            "--flavours" => options.flavours = true,
            "--stages" => options.stages = true,
            "--telemetry" => options.telemetry = true,
            "--pinned" => options.modes = vec![Mode::OneCore],
            "--unpinned" => options.modes = vec![Mode::AllCores],
            "--flight" => {
                let wanted = arguments.next().and_then(|count| count.parse().ok());
                options.flights =
                    vec![wanted.filter(|count| FLIGHTS.contains(count)).ok_or("--flight takes 1, 16 or 64")?];
            }
            "--before" => options.before = Some(arguments.next().ok_or("--before takes a program")?.into()),
            "--rounds" => options.rounds = arguments.next().and_then(|count| count.parse().ok()),
            "--size" => {
                let wanted = arguments.next().unwrap_or_default();
                let place = SIZE_NAMES.iter().position(|name| name.replace(' ', "") == wanted);
                options.sizes = vec![place.ok_or("--size takes 200B, 100KB or 5MB")?];
            }
            other => return Err(format!("unknown argument {other}").into()),
        }
    }
    Ok(options)
}

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).take(2).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["--child", tools] => return Ok(child::run(tools.parse()?)?),
        ["--bare", how] => {
            let (scan, engine) = match how {
                "id" => (Scan::Id, Engine::Threads),
                "tokio" => (Scan::Whole, Engine::Tokio),
                _ => (Scan::Whole, Engine::Threads),
            };
            return Ok(bare::run(scan, engine, &["--child", "1"])?);
        }
        _ => {}
    }
    let options = options()?;
    let cores = Cores::allowed()?;
    for &mode in &options.modes {
        for &place in &options.sizes {
            match mode {
                Mode::OneCore => cores.pin()?,
                Mode::AllCores => cores.unpin()?,
            }
            compare(&options, mode, place)?;
        }
    }
    Ok(())
}

fn compare(options: &Options, mode: Mode, place: usize) -> Outcome<()> {
    let mut variants = vec![Variant::Direct, Variant::Bare];
    if options.flavours {
        variants.extend([Variant::Switchboard, Variant::Workers(1), Variant::Workers(2)]);
    } else if options.stages {
        variants.push(Variant::Switchboard);
        variants.extend((0..STAGES.len()).map(Variant::Stage));
    } else if options.telemetry {
        variants.push(Variant::Switchboard);
        variants.extend((0..TELEMETRY.len()).map(Variant::Told));
    } else {
        variants.push(Variant::BareTokio);
        if place == 2 {
            variants.push(Variant::IdOnly);
        }
        variants.extend([Variant::Switchboard, Variant::SwitchboardTen]);
        variants.extend(options.before.as_ref().map(|_| Variant::Before));
    }
    let (rounds, time) = match (options.quick, place) {
        (true, _) => (3, Duration::from_millis(150)),
        (false, 0) => (11, Duration::from_millis(400)),
        (false, 1) => (7, Duration::from_millis(400)),
        (false, _) => (5, Duration::from_millis(500)),
    };
    let rounds = options.rounds.unwrap_or(rounds);
    let mut runners = variants
        .iter()
        .map(|variant| Runner::start(*variant, options.before.as_deref()))
        .collect::<Outcome<Vec<_>>>()?;
    for runner in &mut runners {
        runner.measure(place, 16, time / 4)?;
    }
    let names = variants.iter().map(|variant| variant.name()).collect();
    let mut table = Table::new(SIZE_NAMES[place], child::SIZES[place], mode, names);
    for round in 0..rounds {
        for &flight in &options.flights {
            // Whoever comes first in a round finds other caches: everybody does in turn.
            for turn in 0..runners.len() {
                let index = (turn + round) % runners.len();
                let cell = runners[index].measure(place, flight, time)?;
                table.add(index, flight, cell);
            }
        }
    }
    for (index, runner) in runners.iter().enumerate() {
        if runner.variant != Variant::Direct {
            table.memory(index, Memory::of(runner.client.pid())?);
        }
    }
    print!("{}", table.render());
    runners.into_iter().try_for_each(|runner| runner.client.leave())
}
