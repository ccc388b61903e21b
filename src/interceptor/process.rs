//! The process of a program: how it is started, how lines are carried to it, and how its end is told.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncWriteExt;
use tokio::process::ChildStdin;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::timeout;

use crate::config::StdioLaunch;
use crate::names::ServerName;
use crate::supervisor::{Ending, Process, SpawnPlan};

/// How long the last lines of a program that has ended are waited for.
const LAST_LINES: Duration = Duration::from_millis(100);

/// How the process of a program is started.
pub(super) fn spawn_plan(name: &str, generation: u64, launch: &StdioLaunch) -> SpawnPlan {
    SpawnPlan {
        server: ServerName::new(format!("interceptor {name}")),
        generation,
        command: launch.command.clone(),
        args: launch.args.clone(),
        env: launch.env.iter().map(|(name, value)| (name.clone(), value.expose().to_owned())).collect(),
        inherit_env: launch.inherit_env.clone(),
        cwd: launch.cwd.clone(),
        redact: launch.env.iter().map(|(_, value)| value.expose().to_owned()).collect(),
    }
}

/// How an end is told, with what the program said last.
pub(super) fn last_words(why: String, process: &[String]) -> String {
    match process.last().filter(|line| !line.trim().is_empty()) {
        Some(line) => format!("{why}: {}", line.trim()),
        None => why,
    }
}

/// Resolves when we end, and says how.
pub(super) async fn ending(shutdown: &mut watch::Receiver<Option<Ending>>) -> Ending {
    match shutdown.wait_for(Option::is_some).await {
        Ok(ending) => ending.unwrap_or(Ending::NOW),
        Err(_) => Ending::NOW,
    }
}

/// Carries questions and answers. Resolves when the program has ended (`None`) or must be ended for this fault; its pipes are closed
/// then.
pub(super) async fn serve(
    reading: impl Future<Output = Option<String>>,
    mut stdin: ChildStdin,
    mut lines: mpsc::Receiver<Bytes>,
    process: &mut Process,
    hangs: &Notify,
) -> Option<String> {
    let writing = async {
        while let Some(line) = lines.recv().await {
            // Who does not read any more is about to end, or is found out by its silence.
            if stdin.write_all(&line).await.is_err() {
                break;
            }
        }
        std::future::pending::<()>().await;
    };
    let mut reading = pin!(reading);
    tokio::select! {
        fault = &mut reading => fault,
        () = writing => None,
        () = hangs.notified() => Some("it hung and was stopped".to_owned()),
        // What it said last may still be in the pipe, which somebody else may hold open.
        _ = process.wait() => timeout(LAST_LINES, reading).await.ok().flatten(),
    }
}
