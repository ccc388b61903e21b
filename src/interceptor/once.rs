//! An interceptor that is a program for one call: the question on its stdin, the verdict on its stdout, and an exit code that is zero.

use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;

use super::outside::Outside;
use super::process::{last_words, spawn_plan};
use super::{CallView, Error, Moment, Rules, Verdict, words};
use crate::config::StdioLaunch;
use crate::supervisor::{Child, Ending, Exit, Supervisor};

/// So many of them run at once; further calls wait.
const MAX_RUNS: usize = 8;

/// See the module.
#[derive(Debug)]
pub(super) struct Once {
    name: String,
    launch: StdioLaunch,
    timeout: Duration,
    config: Option<String>,
    supervisor: Supervisor,
    slots: Semaphore,
}

impl Once {
    pub(super) fn new(
        rules: &Rules,
        launch: StdioLaunch,
        config: Option<String>,
        supervisor: &Supervisor,
    ) -> Self {
        Self {
            name: rules.name.clone(),
            launch,
            timeout: rules.timeout,
            config,
            supervisor: supervisor.clone(),
            slots: Semaphore::new(MAX_RUNS),
        }
    }
}

impl Outside for Once {
    async fn ask(&self, call: &CallView, moment: Moment) -> Result<Verdict, Error> {
        let _slot = self.slots.acquire().await?;
        let question = words::question(&self.name, call, &moment, self.timeout, self.config.as_deref());
        // Dropping the process, when the time is up, kills it and what it has started.
        let child = self.supervisor.spawn(spawn_plan(&self.name, 1, &self.launch)).await?;
        let Child { mut stdin, stdout, noise: _, mut process } = child;
        let writing = async move {
            // Who does not want to read the question may still have an answer.
            let _ = stdin.write_all(&question).await;
            let _ = stdin.write_all(b"\n").await;
            question.len()
        };
        let reading = async {
            let mut answer = Vec::new();
            let limit = words::longest(words::longest(call.arguments.len() + moment.length()));
            let read = stdout.take(limit as u64 + 1).read_to_end(&mut answer).await;
            read.map(|_| answer)
        };
        let (length, answer) = tokio::join!(writing, reading);
        let answer = Bytes::from(answer?);
        if answer.len() > words::longest(length) {
            return Err(format!("it wrote more than {} bytes", words::longest(length)).into());
        }
        let exit = process.wait().await;
        let stderr = process.stderr();
        process.end(Ending::NOW).await;
        if exit != Exit::Code(0) {
            return Err(last_words(format!("it {exit}"), &stderr.last_lines(1)).into());
        }
        words::verdict(&answer, length, call, &moment)
    }
}
