//! Logs: JSON lines in a file that rotates by the day, short human lines on stderr.
//!
//! Neither ever makes us wait: both go through bounded queues, and what does not fit is dropped. Arguments and results
//! of calls are not logged at any level, unless the owner asks for arguments (`interceptors: [{ log: { arguments: true } }]`).

pub mod events;
pub mod metrics;
pub mod otlp;
pub mod tail;

use std::fmt;
use std::io;
use std::path::Path;
use std::time::Duration;

use tracing::field::Field;
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_appender::rolling::{Builder, Rotation};
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt as log};

use crate::wire::unseen::{Unseen, unseen};

/// Lines that may wait for a slow disk or an unread stderr.
const QUEUE: usize = 4096;
/// Days that are kept.
const KEEP: usize = 7;

/// How long the end waits for the last lines to be written. Nobody may read our stderr any more.
const LAST_LINES: Duration = Duration::from_millis(50);

/// Keeps the log writers alive; what waits is written when it is dropped, as far as that goes quickly.
#[must_use]
pub struct Logs {
    guards: Vec<WorkerGuard>,
}

impl Drop for Logs {
    fn drop(&mut self) {
        let guards = std::mem::take(&mut self.guards);
        let (done, written) = std::sync::mpsc::channel();
        // The guards have a patience of their own, of seconds, while a client has none left for us.
        let writing = std::thread::Builder::new().spawn(move || {
            drop(guards);
            let _ = done.send(());
        });
        if writing.is_ok() {
            let _ = written.recv_timeout(LAST_LINES);
        }
    }
}

/// What to log where.
pub struct LogOptions<'a> {
    /// What the user asked for: a level or a filter (`debug`, `switchboard::backend=trace`).
    pub filter: Option<String>,
    /// The level on stderr when the user asked for nothing.
    pub stderr_default: &'static str,
    /// The folder of the log file; `None` writes none.
    pub folder: Option<&'a Path>,
}

/// Starts logging. A second call in the same process changes nothing.
pub fn start(options: &LogOptions<'_>) -> Logs {
    let mut guards = Vec::new();
    let wanted = options.filter.as_deref().unwrap_or(options.stderr_default);
    let (stderr, guard) = non_blocking(io::stderr());
    guards.push(guard);
    let on_stderr = log::layer()
        .with_writer(stderr)
        .with_ansi(io::IsTerminal::is_terminal(&io::stderr()) && std::env::var_os("NO_COLOR").is_none())
        .with_target(false)
        .without_time()
        .compact()
        .fmt_fields(debug_fn(one_line).delimited(" "))
        .with_filter(filter(wanted));
    let in_file = options.folder.and_then(log_file).map(|(writer, guard)| {
        guards.push(guard);
        let wanted = options.filter.as_deref().unwrap_or("info");
        log::layer().json().flatten_event(true).with_writer(writer).with_filter(filter(wanted))
    });
    // A subscriber may be there already, in tests that run several instances in one process.
    let _ = tracing_subscriber::registry().with(on_stderr).with(in_file).try_init();
    Logs { guards }
}

/// Writes one field of an event. What strangers say stands in many of them: no value may end the line or reach the
/// terminal as a command.
fn one_line(writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    if field.name() != "message" {
        write!(writer, "{field}=")?;
    }
    for character in format!("{value:?}").chars() {
        if character.is_control() || unseen(character).is_some_and(Unseen::misleads) {
            write!(writer, "{}", character.escape_default())?;
        } else {
            writer.write_char(character)?;
        }
    }
    Ok(())
}

/// A bad filter is not worth failing for. The SDK logs whole payloads, so it is kept quiet whatever is asked.
fn filter(wanted: &str) -> EnvFilter {
    let filter = EnvFilter::try_new(wanted).unwrap_or_else(|_| EnvFilter::new("warn"));
    match "rmcp=warn".parse() {
        Ok(directive) => filter.add_directive(directive),
        Err(_) => filter,
    }
}

fn non_blocking(writer: impl io::Write + Send + 'static) -> (NonBlocking, WorkerGuard) {
    NonBlockingBuilder::default().buffered_lines_limit(QUEUE).lossy(true).finish(writer)
}

fn log_file(folder: &Path) -> Option<(NonBlocking, WorkerGuard)> {
    std::fs::create_dir_all(folder).ok()?;
    let file = Builder::new()
        .rotation(Rotation::DAILY)
        .filename_prefix("switchboard")
        .filename_suffix("log")
        .max_log_files(KEEP)
        .build(folder)
        .ok()?;
    Some(non_blocking(file))
}
