//! The mock as a process of its own: takes stdin and stdout away from everybody else, counts its starts, starts its
//! grandchildren, and ends as the script says.

use std::path::Path;
use std::process::ExitCode;
#[cfg(unix)]
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::faces::{Face, listen};
use super::script::{Script, Signal};
use super::serve::{Hooks, Outcome, serve};
use super::template::Scope;

/// Serves the client on stdin and stdout until it closes them or the script ends the process.
///
/// Returns the exit code: 0 when the client closed the connection, 1 when the process could not be prepared.
pub fn run_stdio(script: Script) -> ExitCode {
    ExitCode::from(run(script))
}

/// Listens at `face` and serves whoever comes; says on stderr where.
///
/// Returns the exit code: 1 when the process could not be prepared, else what the script says.
pub fn run_face(script: Script, face: &Face) -> ExitCode {
    ExitCode::from(end(prepare_and_run(script, Some(face))))
}

/// Does the work of [`run_stdio`]; gives the exit code as a number.
pub(super) fn run(script: Script) -> u8 {
    end(prepare_and_run(script, None))
}

/// Ends as the script says; gives the exit code if that is a matter of one.
fn end(outcome: std::io::Result<Outcome>) -> u8 {
    match outcome {
        Ok(Outcome::Ended) => 0,
        Ok(Outcome::Exit(code)) => code,
        Ok(Outcome::Crash(signal)) => die_of(signal),
        Err(error) => {
            use std::io::Write as _;
            let _ = writeln!(std::io::stderr(), "mock: {error}");
            1
        }
    }
}

fn prepare_and_run(script: Script, face: Option<&Face>) -> std::io::Result<Outcome> {
    let hooks = Hooks::of_process(1);
    let scope = Scope::new(hooks.environment.clone(), 1);
    let file = |template: &Option<String>| {
        template.as_deref().map(|template| scope.text(template)).filter(|path| !path.is_empty())
    };
    let start = match file(&script.state) {
        Some(path) => count_start(Path::new(&path))?,
        None => 1,
    };
    let plan = script.plan(start);
    let stdio = OwnStdio::take()?;
    let children = start_children(&plan.children, &stdio)?;
    if let Some(path) = file(&plan.record_process) {
        append_line(Path::new(&path), &process_record(start, &children))?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(async {
        let hooks = Hooks { start, ..hooks };
        let Some(face) = face else {
            let (reader, writer) = stdio.open()?;
            return Ok(serve(script, reader, writer, hooks).await);
        };
        let listening = listen(script, face, hooks).await?;
        {
            use std::io::Write as _;
            writeln!(std::io::stderr(), "listening on {}", listening.url)?;
        }
        Ok(listening.run().await)
    });
    // A read of a terminal or file may still block a helper thread; nobody waits for it.
    runtime.shutdown_background();
    outcome
}

/// Adds one to the number in the file and gives the new number. Starts are not expected to overlap.
fn count_start(path: &Path) -> std::io::Result<u64> {
    let before =
        std::fs::read_to_string(path).ok().and_then(|text| text.trim().parse::<u64>().ok()).unwrap_or(0);
    let now = before + 1;
    std::fs::write(path, format!("{now}\n"))?;
    Ok(now)
}

fn append_line(path: &Path, line: &Value) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path)?;
    file.write_all(format!("{line}\n").as_bytes())
}

/// What tests want to know of this process: one JSON object.
fn process_record(start: u64, children: &[(String, u32)]) -> Value {
    let environment: std::collections::BTreeMap<_, _> = std::env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
        .collect();
    let children: serde_json::Map<_, _> =
        children.iter().map(|(name, pid)| (name.clone(), json!(pid))).collect();
    let mut record = json!({
        "start": start,
        "pid": std::process::id(),
        "cwd": std::env::current_dir().ok().map(|path| path.to_string_lossy().into_owned()),
        "args": std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect::<Vec<_>>(),
        "env": environment,
        "children": children,
    });
    #[cfg(unix)]
    {
        record["ppid"] = json!(nix::unistd::getppid().as_raw());
        record["pgid"] = json!(nix::unistd::getpgrp().as_raw());
        record["sid"] = json!(nix::unistd::getsid(None).map(|sid| sid.as_raw()).unwrap_or(-1));
        record["fds"] = json!(open_files());
    }
    record
}

/// What each open descriptor is, by number; empty where the system does not tell.
#[cfg(unix)]
fn open_files() -> std::collections::BTreeMap<String, String> {
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else { return Default::default() };
    entries
        .flatten()
        .filter_map(|entry| {
            let target = std::fs::read_link(entry.path()).ok()?;
            Some((entry.file_name().to_string_lossy().into_owned(), target.to_string_lossy().into_owned()))
        })
        .collect()
}

// === Standard input and output ===

/// Private copies of stdin and stdout. The numbers 0 and 1 point nowhere afterwards, so that closing a copy really
/// closes the pipe and nothing else can write to it.
#[cfg(unix)]
struct OwnStdio {
    stdin: std::os::fd::OwnedFd,
    stdout: std::os::fd::OwnedFd,
}

#[cfg(unix)]
type Reader = Box<dyn tokio::io::AsyncRead + Unpin>;
#[cfg(unix)]
type Writer = Box<dyn tokio::io::AsyncWrite + Unpin>;

#[cfg(unix)]
impl OwnStdio {
    fn take() -> std::io::Result<Self> {
        use std::os::fd::AsFd as _;
        let stdin = std::io::stdin().as_fd().try_clone_to_owned()?;
        let stdout = std::io::stdout().as_fd().try_clone_to_owned()?;
        let nowhere = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
        nix::unistd::dup2_stdin(&nowhere)?;
        nix::unistd::dup2_stdout(&nowhere)?;
        Ok(Self { stdin, stdout })
    }

    /// Pipes are read and written without blocking; anything else through helper threads.
    fn open(self) -> std::io::Result<(Reader, Writer)> {
        use tokio::net::unix::pipe;
        let reader: Reader = match pipe::Receiver::from_owned_fd(self.stdin.try_clone()?) {
            Ok(pipe) => Box::new(pipe),
            Err(_) => Box::new(tokio::fs::File::from_std(self.stdin.into())),
        };
        let writer: Writer = match pipe::Sender::from_owned_fd(self.stdout.try_clone()?) {
            Ok(pipe) => Box::new(pipe),
            Err(_) => Box::new(tokio::fs::File::from_std(self.stdout.into())),
        };
        Ok((reader, writer))
    }
}

#[cfg(not(unix))]
struct OwnStdio;

#[cfg(not(unix))]
impl OwnStdio {
    fn take() -> std::io::Result<Self> {
        Ok(Self)
    }

    fn open(self) -> std::io::Result<(tokio::io::Stdin, tokio::io::Stdout)> {
        Ok((tokio::io::stdin(), tokio::io::stdout()))
    }
}

// === Grandchildren ===

/// Starts the script's sleeping processes; gives their names and pids.
#[cfg(unix)]
fn start_children(
    children: &[super::script::Grandchild],
    stdio: &OwnStdio,
) -> std::io::Result<Vec<(String, u32)>> {
    let keep = |wanted: bool, fd: &std::os::fd::OwnedFd| -> std::io::Result<Stdio> {
        if wanted { Ok(fd.try_clone()?.into()) } else { Ok(Stdio::null()) }
    };
    let start = |child: &super::script::Grandchild| {
        // An ignored signal stays ignored across exec.
        let ignore = if child.ignore_term { "trap '' TERM INT HUP; " } else { "" };
        let sleep = format!("{ignore}exec sleep {}", child.lifetime.as_secs().max(1));
        let mut command = match child.setsid {
            true => {
                let mut command = Command::new("setsid");
                command.arg("sh");
                command
            }
            false => Command::new("sh"),
        };
        command.args(["-c", &sleep]);
        command.stdin(keep(child.keep_stdin, &stdio.stdin)?).stdout(keep(child.keep_stdout, &stdio.stdout)?);
        if !child.keep_stderr {
            command.stderr(Stdio::null());
        }
        // Dropped without waiting: the grandchild is meant to outlive us.
        Ok((child.name.clone(), command.spawn()?.id()))
    };
    children.iter().map(start).collect()
}

#[cfg(not(unix))]
fn start_children(
    children: &[super::script::Grandchild],
    _: &OwnStdio,
) -> std::io::Result<Vec<(String, u32)>> {
    match children {
        [] => Ok(Vec::new()),
        _ => Err(std::io::Error::other("`children` are available on Unix only")),
    }
}

// === Death ===

/// Dies of the signal, without a core file.
#[cfg(unix)]
fn die_of(signal: Signal) -> u8 {
    use nix::sys::resource::{Resource, setrlimit};
    use nix::sys::signal::{Signal as Number, raise};
    let number = match signal {
        Signal::Kill => Number::SIGKILL,
        Signal::Segv => Number::SIGSEGV,
        Signal::Abort => Number::SIGABRT,
        Signal::Bus => Number::SIGBUS,
        Signal::Term => Number::SIGTERM,
        Signal::Int => Number::SIGINT,
        Signal::Hup => Number::SIGHUP,
    };
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    // The standard library's stack guard takes the first SIGSEGV or SIGBUS and restores the default for the next.
    for _ in 0..3 {
        let _ = raise(number);
    }
    128_u8.saturating_add(u8::try_from(number as i32).unwrap_or(0))
}

#[cfg(not(unix))]
fn die_of(_: Signal) -> u8 {
    std::process::abort()
}
