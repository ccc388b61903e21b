//! How soon after its start Switchboard answers, and what it takes while nothing happens.
//!
//! `cargo bench --bench startup`; `-- --quick` for a first idea. See `docs/benchmarks.md` for what the columns mean.

#![expect(clippy::print_stdout, reason = "the table is the result")]

#[path = "../support/mod.rs"]
mod support;

use std::process::Command;
use std::time::{Duration, Instant};

use support::client::Client;
use support::process::{Memory, children};
use support::sandbox::{Sandbox, Servers};
use support::{Outcome, child, median, range};

/// Tools per server.
const TOOLS: usize = 100;
/// How long a condition is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// Milliseconds since the moment before the process was started.
struct Start {
    initialized: f64,
    listed: f64,
    complete: f64,
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1000.0
}

/// Starts a Switchboard, says hello and lists until all tools are there.
fn start(sandbox: &Sandbox, tools: usize) -> Outcome<(Start, Client)> {
    let begun = Instant::now();
    let mut client = Client::start(sandbox.command())?;
    client.initialize()?;
    let initialized = milliseconds(begun);
    let first = client.count_tools()?;
    let listed = milliseconds(begun);
    if first < tools {
        client.wait_for_tools(tools)?;
    }
    Ok((Start { initialized, listed, complete: milliseconds(begun) }, client))
}

fn wait_for(what: &str, mut condition: impl FnMut() -> Outcome<bool>) -> Outcome<()> {
    let begun = Instant::now();
    while !condition()? {
        if begun.elapsed() > PATIENCE {
            return Err(format!("{what} did not come true").into());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn row(name: &str, servers: usize, starts: &[Start]) {
    let column = |of: fn(&Start) -> f64| {
        let (low, high) = range(starts.iter().map(of));
        format!("{:.1} ({low:.1}–{high:.1})", median(starts.iter().map(of)))
    };
    println!(
        "| {name} | {servers} | {} | {} | {} |",
        column(|start| start.initialized),
        column(|start| start.listed),
        column(|start| start.complete)
    );
}

fn startup(rounds: usize) -> Outcome<()> {
    println!(
        "\n## Start, {TOOLS} tools per server; milliseconds after the start of the process: median (least–most)\n"
    );
    println!("| catalogue | servers | `initialize` answered | first `tools/list` answered | list complete |");
    println!("|---|---:|---:|---:|---:|");
    let mut verdicts = Vec::new();
    for servers in [1, 10, 50] {
        let tools = servers * TOOLS;
        let mut cold = Vec::new();
        let mut stored = Vec::new();
        for _ in 0..rounds.div_ceil(5) {
            let sandbox =
                Sandbox::new(&Servers { count: servers, tools: TOOLS, eager: false, ..Servers::default() })?;
            let (figures, client) = start(&sandbox, tools)?;
            cold.push(figures);
            wait_for("storing every catalogue", || Ok(sandbox.stored() == servers))?;
            client.leave()?;
            for _ in 0..5 {
                let (figures, client) = start(&sandbox, tools)?;
                stored.push(figures);
                client.leave()?;
            }
        }
        row("none yet", servers, &cold);
        row("stored", servers, &stored);
        let initialized = median(stored.iter().map(|start| start.initialized));
        verdicts.push((format!("`initialize` with {servers} stored servers"), initialized, 10.0));
        let listed = median(stored.iter().map(|start| start.complete));
        verdicts.push((format!("complete list of {servers} × {TOOLS} stored tools"), listed, 50.0));
    }
    println!();
    for (what, value, target) in verdicts {
        let met = if value < target { "met" } else { "NOT MET" };
        println!("- {what}: {value:.1} ms (target < {target} ms): {met}");
    }
    Ok(())
}

/// The system's share of every start: a process that does nothing.
fn nothing(rounds: usize) -> Outcome<()> {
    let times: Vec<f64> = (0..rounds)
        .map(|_| {
            let begun = Instant::now();
            Command::new("true").status().map(|_| milliseconds(begun))
        })
        .collect::<Result<_, _>>()?;
    println!("\nFor comparison: starting `true` and waiting for its end takes {:.1} ms.", median(times));
    Ok(())
}

fn idle() -> Outcome<()> {
    println!("\n## At rest with ten servers running; MiB\n");
    println!("| process | tools per server | VmRSS | VmHWM | Pss | anonymous |");
    println!("|---|---:|---:|---:|---:|---:|");
    let mut verdicts = Vec::new();
    for (tools, reused) in [(10, false), (TOOLS, false), (TOOLS, true)] {
        let sandbox = Sandbox::new(&Servers { count: 10, tools, eager: true, ..Servers::default() })?;
        if reused {
            let (_, client) = start(&sandbox, 10 * tools)?;
            wait_for("storing every catalogue", || Ok(sandbox.stored() == 10))?;
            client.leave()?;
        }
        let (_, mut client) = start(&sandbox, 10 * tools)?;
        let pid = client.pid();
        let echoes = |pid| -> Outcome<usize> {
            Ok(children(pid)?.iter().filter(|(_, line)| line.contains("--child")).count())
        };
        wait_for("ten running servers", || Ok(echoes(pid)? == 10))?;
        // A call each, so that every server is greeted and at work.
        for server in 0..10 {
            client.call(&format!("s{server}__echo"), 0, child::SIZES[0], 1, Duration::ZERO, 10)?;
        }
        wait_for("storing every catalogue", || Ok(sandbox.stored() == 10))?;
        let mut last = 0;
        wait_for("a resident size that stands still", || {
            std::thread::sleep(Duration::from_millis(500));
            let now = Memory::of(pid)?.resident;
            Ok(std::mem::replace(&mut last, now) == now)
        })?;
        let name = if reused { "switchboard, stored catalogue" } else { "switchboard, first start" };
        let memory = Memory::of(pid)?;
        print_memory(name, tools, &memory);
        verdicts.push((format!("{name}, {tools} tools each"), memory.resident as f64 / 1024.0));
        for (pid, line) in children(pid)?.iter().filter(|(_, line)| !line.contains("--child")) {
            let words: Vec<&str> = line.split_whitespace().skip(1).collect();
            print_memory(&format!("its `{}`", words.join(" ")), tools, &Memory::of(*pid)?);
        }
        client.leave()?;
    }
    println!();
    for (what, value) in verdicts {
        let met = if value < 12.0 { "met" } else { "NOT MET" };
        println!("- resident memory, {what}: {value:.1} MiB (target < 12 MB): {met}");
    }
    Ok(())
}

fn print_memory(name: &str, tools: usize, memory: &Memory) {
    let [resident, peak, proportional, anonymous] =
        [memory.resident, memory.peak, memory.proportional, memory.anonymous]
            .map(|kibibytes| format!("{:.1}", kibibytes as f64 / 1024.0));
    println!("| {name} | {tools} | {resident} | {peak} | {proportional} | {anonymous} |");
}

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, tools] = &arguments[..]
        && flag == "--child"
    {
        return Ok(child::run(tools.parse()?)?);
    }
    let quick = arguments.iter().any(|argument| argument == "--quick");
    let rounds = if quick { 5 } else { 25 };
    startup(rounds)?;
    nothing(rounds)?;
    idle()
}
