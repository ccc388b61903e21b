//! What a script lets happen: reactions, made of steps.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::ask::{Ask, UrlRequired};
use super::script::{List, Signal};

/// What happens at a moment, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Reaction {
    pub(super) steps: Vec<Step>,
    /// Go on although the caller cancelled.
    pub(super) ignore_cancel: bool,
}

impl Reaction {
    /// Whether every step is done without waiting for time or for the client, so that the reader may do it itself.
    pub(super) fn is_immediate(&self) -> bool {
        self.steps.iter().all(|step| {
            !matches!(
                step,
                Step::Sleep(_)
                    | Step::Ask(_)
                    | Step::UrlRequired(_)
                    | Step::Hang
                    | Step::WaitCancel(_)
                    | Step::Repeat { .. }
                    | Step::Noise(_)
            )
        })
    }
}

/// One thing the server does. Every text and JSON value in it is a template.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Answers the request; a second answer is a second response.
    Answer(Answer),
    /// Does what the server would have done without this reaction. Stands in no item's own reaction, which would
    /// come back to itself.
    Default,
    Sleep(Duration),
    /// The params of a progress notification; without `progressToken` the caller's is used.
    Progress(Map<String, Value>),
    /// The params of a log message, sent if the client's level allows.
    Log(Map<String, Value>),
    Notify {
        method: String,
        params: Option<Value>,
    },
    /// Asks the client: with requests of our own in the legacy era, with an interim result in the modern one.
    Ask(Arc<Ask>),
    /// Lets a call through only when somebody visited a page.
    UrlRequired(UrlRequired),
    /// Tells that a visit is complete; its id.
    ElicitationComplete(String),
    /// Says how the task goes.
    Status(String),
    /// Ends all open `subscriptions/listen`.
    EndSubscriptions,
    /// Bytes on stdout.
    Raw(Vec<Part>),
    Noise(Noise),
    Stderr(String),
    Exit(u8),
    Crash(Signal),
    Hang,
    CloseStdout,
    CloseStdin,
    /// For good, or for a while.
    StopReading(Option<Duration>),
    /// Shows only these items and tells that the list changed.
    Show {
        list: List,
        names: Vec<String>,
    },
    /// Tells that a resource changed, if the client subscribed to it.
    Updated(String),
    /// Waits this long for a cancellation; `{{cancelled}}` says whether it came.
    WaitCancel(Duration),
    Repeat {
        times: u64,
        every: Duration,
        steps: Vec<Step>,
    },
}

/// An answer to a request.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    Result(Value),
    /// A tool result with structured content, which is shown as text too, as the specification asks.
    Structured {
        structured: Value,
        is_error: bool,
    },
    Error(Value),
    /// The bytes of the last answer once more.
    Again,
}

/// A piece of raw output.
#[derive(Clone, Debug)]
pub(super) enum Part {
    Text(String),
    Bytes(Vec<u8>),
}

/// Much output that is no message.
#[derive(Clone, Debug)]
pub(super) struct Noise {
    pub(super) text: String,
    pub(super) amount: Amount,
    /// Whether each repetition ends its line.
    pub(super) newline: bool,
    pub(super) to_stderr: bool,
}

/// How much noise.
#[derive(Clone, Copy, Debug)]
pub(super) enum Amount {
    Lines(u64),
    Bytes(u64),
}
