//! An interceptor that is a program: it reads a question per line and writes a verdict per line, in any order, with the question's
//! `id`. It is started with the first question, and again, after growing pauses, when it has ended.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::AsyncReadExt;
use tokio::process::ChildStdout;
use tokio::sync::{Notify, Semaphore, mpsc, oneshot, watch};
use tokio_util::task::TaskTracker;

use super::outside::Outside;
use super::process::{ending, last_words, serve, spawn_plan};
use super::{CallView, Error, Moment, Rules, Surroundings, Verdict, words};
use crate::config::StdioLaunch;
use crate::supervisor::{Cause, Child, Decision, Ending, NoiseLog, RestartLimits, RestartPolicy, Supervisor};
use crate::wire::{Line, LineReader, json};

/// So many questions may be open at once; further ones wait.
const MAX_OPEN: usize = 64;
/// The longest line that is read: the largest result, and what may be added to it.
const MAX_LINE: usize = (16 << 20) + words::MAX_VERDICT;
/// Who writes so many lines in a row that answer nothing is stopped. More than there are questions that can have come too late.
const MAX_USELESS: usize = 2 * MAX_OPEN;
/// How much longer the first verdict may take: interpreters start slowly on a busy machine.
const START: Duration = Duration::from_secs(5);
/// A pause before the next start that is no longer than this is waited for.
const SHORT: Duration = Duration::from_secs(1);
/// What a program gets to end by itself when it is stopped for a fault.
const STOP: Ending =
    Ending { term_after: Duration::from_millis(100), kill_after: Duration::from_millis(500) };

/// See the module.
#[derive(Debug)]
pub(super) struct Program {
    shared: Arc<Shared>,
    slots: Semaphore,
    config: Option<String>,
}

struct Shared {
    name: String,
    launch: StdioLaunch,
    timeout: Duration,
    supervisor: Supervisor,
    tasks: TaskTracker,
    shutdown: watch::Receiver<Option<Ending>>,
    state: Mutex<State>,
}

struct State {
    run: Run,
    policy: RestartPolicy,
    generation: u64,
    next_id: u64,
    open: HashMap<u64, oneshot::Sender<Result<Bytes, String>>>,
    /// When it last said something that means anything.
    heard: Option<Instant>,
}

enum Run {
    /// It is not running, and nothing is wrong.
    Idle,
    /// It runs, or is being started.
    On { lines: mpsc::Sender<Bytes>, has_spoken: bool, hangs: Arc<Notify> },
    /// It has ended, and is not started before this.
    Rests { until: Instant, why: String },
    /// We are ending.
    Over,
}

/// What became of a question.
enum Asked {
    /// It is on its way.
    Open(Open, oneshot::Receiver<Result<Bytes, String>>),
    /// It may be asked again then.
    Later(Instant),
    /// There is nobody to ask.
    Nobody(String),
}

impl Program {
    pub(super) fn new(
        rules: &Rules,
        launch: StdioLaunch,
        config: Option<String>,
        surroundings: &Surroundings<'_>,
    ) -> Self {
        let state = State {
            run: Run::Idle,
            policy: RestartPolicy::new(RestartLimits::default()),
            generation: 0,
            next_id: 1,
            open: HashMap::new(),
            heard: None,
        };
        let shared = Shared {
            name: rules.name.clone(),
            launch,
            timeout: rules.timeout,
            supervisor: surroundings.supervisor.clone(),
            tasks: surroundings.tasks.clone(),
            shutdown: surroundings.shutdown.clone(),
            state: Mutex::new(state),
        };
        Self { shared: Arc::new(shared), slots: Semaphore::new(MAX_OPEN), config }
    }
}

impl Outside for Program {
    async fn ask(&self, call: &CallView, moment: Moment) -> Result<Verdict, Error> {
        let _slot = self.slots.acquire().await?;
        let shared = &self.shared;
        let question = words::question(&shared.name, call, &moment, shared.timeout, self.config.as_deref());
        let length = question.len();
        let question = Bytes::from(question);
        let answer = loop {
            match shared.ask(&question) {
                Asked::Open(_open, answer) => break answer.await?,
                Asked::Later(then) => tokio::time::sleep_until(then.into()).await,
                Asked::Nobody(why) => return Err(why.into()),
            }
        };
        words::verdict(&answer?, length, call, &moment)
    }

    fn warm_up(&self) -> Duration {
        match self.shared.state().run {
            Run::On { has_spoken: true, .. } => Duration::ZERO,
            _ => START,
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(self: &Arc<Self>, question: &Bytes) -> Asked {
        let now = Instant::now();
        let mut state = self.state();
        match &state.run {
            Run::Rests { until, why } if now < *until => {
                return match *until - now > SHORT {
                    true => Asked::Nobody(why.clone()),
                    false => Asked::Later(*until),
                };
            }
            Run::Over => return Asked::Nobody("Switchboard is ending".to_owned()),
            Run::Idle | Run::Rests { .. } => self.start(&mut state, now),
            Run::On { .. } => {}
        }
        let id = state.next_id;
        state.next_id += 1;
        let Run::On { lines, hangs, .. } = &state.run else {
            return Asked::Nobody("it is not running".to_owned());
        };
        let hangs = Arc::clone(hangs);
        let mut line = format!(r#"{{"id":{id},"#).into_bytes();
        line.extend_from_slice(&question[1..]);
        line.push(b'\n');
        if lines.try_send(line.into()).is_err() {
            return Asked::Nobody("it does not read what it is asked".to_owned());
        }
        let (sender, answer) = oneshot::channel();
        state.open.insert(id, sender);
        Asked::Open(Open { shared: Arc::clone(self), id, since: now, hangs }, answer)
    }

    fn start(self: &Arc<Self>, state: &mut State, now: Instant) {
        let (sender, lines) = mpsc::channel(MAX_OPEN);
        state.generation += 1;
        state.policy.started(now);
        let hangs = Arc::new(Notify::new());
        state.run = Run::On { lines: sender, has_spoken: false, hangs: Arc::clone(&hangs) };
        let (shared, generation) = (Arc::clone(self), state.generation);
        self.tasks.spawn(async move { shared.live(generation, lines, &hangs).await });
    }

    /// One run of the program, from its start to its end.
    async fn live(&self, generation: u64, lines: mpsc::Receiver<Bytes>, hangs: &Notify) {
        let plan = spawn_plan(&self.name, generation, &self.launch);
        let mut shutdown = self.shutdown.clone();
        let (why, cause) = match self.supervisor.spawn(plan).await {
            Ok(child) => {
                let Child { stdin, stdout, noise, mut process } = child;
                let reading = self.read(stdout, noise);
                let (fault, ending) = tokio::select! {
                    fault = serve(reading, stdin, lines, &mut process, hangs) => (fault, STOP),
                    ending = ending(&mut shutdown) => (None, ending),
                };
                let stderr = process.stderr();
                let ended = process.end(ending).await;
                let why = fault.unwrap_or_else(|| format!("it {}", ended.exit));
                (last_words(why, &stderr.last_lines(1)), Cause::Transient)
            }
            Err(failure) => (failure.to_string(), Cause::from(failure.code)),
        };
        self.ended(&why, cause, shutdown.borrow().is_some());
    }

    async fn read(&self, mut stdout: ChildStdout, mut noise: NoiseLog) -> Option<String> {
        let (mut reader, mut useless) = (LineReader::new(MAX_LINE), 0);
        loop {
            if !matches!(stdout.read_buf(reader.space()).await, Ok(1..)) {
                return None;
            }
            while let Some(line) = reader.next_line() {
                let Line::Whole(line) = line else {
                    return Some("it wrote a line that is too long, and was stopped".to_owned());
                };
                if self.heard(&line) {
                    useless = 0;
                    continue;
                }
                useless += 1;
                let shown: String = noise.shown(&line).chars().take(200).collect();
                tracing::debug!(interceptor = self.name, line = shown, "a line on stdout answers nothing");
                noise.write(&[&shown]);
                if useless >= MAX_USELESS {
                    return Some(format!("it wrote {useless} lines that answer nothing, and was stopped"));
                }
            }
            if reader.pending() > MAX_LINE as u64 {
                return Some("it wrote a line that does not end, and was stopped".to_owned());
            }
        }
    }

    /// Takes in a line; whether it answers a question.
    fn heard(&self, line: &Bytes) -> bool {
        let is_json = json::check(line).is_ok();
        let id = json::get(line, "id").filter(|_| is_json).map(|span| span.of(line));
        let id = id.and_then(|id| std::str::from_utf8(id).ok()?.parse().ok());
        let now = Instant::now();
        let mut state = self.state();
        let Some(asker) = id.and_then(|id: u64| state.open.remove(&id)) else { return false };
        state.heard = Some(now);
        if let Run::On { has_spoken: has_spoken @ false, .. } = &mut state.run {
            *has_spoken = true;
            state.policy.ready(now);
        }
        // Who asked may have given up.
        let _ = asker.send(Ok(line.clone()));
        true
    }

    fn ended(&self, why: &str, cause: Cause, is_over: bool) {
        let now = Instant::now();
        let mut state = self.state();
        let pause = match state.policy.ended(now, cause, fastrand::f64()) {
            Decision::Wait(pause) => pause,
            Decision::CrashLooped { probe_in } => probe_in,
            Decision::OnDemand { not_before } => not_before,
        };
        state.run = match is_over {
            true => Run::Over,
            false => Run::Rests { until: now + pause, why: why.to_owned() },
        };
        let open: Vec<_> = state.open.drain().map(|(_, asker)| asker).collect();
        drop(state);
        if !is_over {
            tracing::warn!(interceptor = self.name, why, ?pause, "the program of an interceptor has ended");
        }
        for asker in open {
            let _ = asker.send(Err(why.to_owned()));
        }
    }
}

/// A question that is not answered yet.
struct Open {
    shared: Arc<Shared>,
    id: u64,
    since: Instant,
    /// Of the run that was asked.
    hangs: Arc<Notify>,
}

/// Who gives up after all the time that an answer may take, and has heard nothing of the program meanwhile, takes it to hang.
impl Drop for Open {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        let was_open = state.open.remove(&self.id).is_some();
        let is_silent = state.heard.is_none_or(|heard| heard < self.since);
        if was_open && is_silent && self.since.elapsed() >= self.shared.timeout {
            self.hangs.notify_one();
        }
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("name", &self.name).finish_non_exhaustive()
    }
}
