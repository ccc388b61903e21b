//! What is counted of one server, as plain numbers.

use std::collections::BTreeMap;
use std::time::SystemTime;

use super::{Ended, Histogram};
use crate::failure::Failure;
use crate::names::OriginalName;
use crate::protocol::Method;

/// How a call ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ending {
    /// With a result.
    Ok,
    /// With a result in which the tool says that it has failed (`isError`).
    ToolError,
    /// With an error of the server (JSON-RPC).
    Error,
    /// Without an answer of the server: refused by a stage, or failed. A [`Code`](crate::failure::Code) says why.
    Failed,
    /// Its client gave it up.
    Cancelled,
}

impl Ending {
    /// All of them, in the order of the numbers.
    pub const ALL: [Ending; 5] =
        [Ending::Ok, Ending::ToolError, Ending::Error, Ending::Failed, Ending::Cancelled];

    /// One word, for labels.
    pub fn word(self) -> &'static str {
        match self {
            Ending::Ok => "ok",
            Ending::ToolError => "tool_error",
            Ending::Error => "error",
            Ending::Failed => "failed",
            Ending::Cancelled => "cancelled",
        }
    }

    fn place(self) -> usize {
        self as usize
    }
}

/// A kind of request that servers get from clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `tools/call`
    ToolsCall,
    /// `prompts/get`
    PromptsGet,
    /// `resources/read`
    ResourcesRead,
    /// `completion/complete`
    Complete,
    /// Anything else.
    Other,
}

impl Kind {
    /// All of them, in the order of the numbers.
    pub const ALL: [Kind; 5] =
        [Kind::ToolsCall, Kind::PromptsGet, Kind::ResourcesRead, Kind::Complete, Kind::Other];

    /// The kind of a method.
    pub fn of(method: Method) -> Self {
        match method {
            Method::ToolsCall => Kind::ToolsCall,
            Method::PromptsGet => Kind::PromptsGet,
            Method::ResourcesRead => Kind::ResourcesRead,
            Method::Complete => Kind::Complete,
            _ => Kind::Other,
        }
    }

    /// The method, for labels.
    pub fn word(self) -> &'static str {
        match self {
            Kind::ToolsCall => Method::ToolsCall.name(),
            Kind::PromptsGet => Method::PromptsGet.name(),
            Kind::ResourcesRead => Method::ResourcesRead.name(),
            Kind::Complete => Method::Complete.name(),
            Kind::Other => "other",
        }
    }

    fn place(self) -> usize {
        self as usize
    }
}

/// What is counted of one server.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// By [`Kind`].
    kinds: [KindCounts; Kind::ALL.len()],
    /// Failures of ours by their code.
    pub codes: BTreeMap<&'static str, u64>,
    /// The bytes of all parameters.
    pub sent: u64,
    /// The bytes of all results and errors.
    pub received: u64,
    /// By tool, in the order in which they were first called.
    pub tools: Vec<(OriginalName, ToolCounts)>,
    /// The tools that came when there were too many.
    pub other_tools: ToolCounts,
    /// The last call that got no answer.
    pub last_failure: Option<LastFailure>,
}

/// How a call failed that got no answer.
#[derive(Clone, Debug)]
pub struct LastFailure {
    /// The tool, prompt or resource, by the server's own name.
    pub item: OriginalName,
    /// When.
    pub at: SystemTime,
    /// Why.
    pub failure: Failure,
}

/// What is counted of one kind of request.
#[derive(Clone, Copy, Debug, Default)]
pub struct KindCounts {
    endings: [u64; Ending::ALL.len()],
    /// How long they took, but for those that were cancelled.
    pub took: Histogram,
}

/// What is counted of one tool.
#[derive(Clone, Copy, Debug, Default)]
pub struct ToolCounts {
    endings: [u64; Ending::ALL.len()],
    /// How long they took, but for those that were cancelled.
    pub took: Histogram,
}

impl KindCounts {
    /// How many have ended in this way.
    pub fn ended(&self, ending: Ending) -> u64 {
        self.endings[ending.place()]
    }
}

impl ToolCounts {
    /// How many calls have ended in this way.
    pub fn ended(&self, ending: Ending) -> u64 {
        self.endings[ending.place()]
    }

    /// The sum of both.
    pub fn and(mut self, other: Self) -> Self {
        for (count, more) in self.endings.iter_mut().zip(other.endings) {
            *count += more;
        }
        self.took = self.took.and(other.took);
        self
    }

    /// Whether there was any call.
    pub fn is_used(&self) -> bool {
        self.endings.iter().any(|count| *count > 0)
    }

    /// How many calls there were whose duration is known.
    pub fn timed(&self) -> u64 {
        self.endings.iter().sum::<u64>() - self.ended(Ending::Cancelled)
    }
}

impl Counts {
    /// What was counted of this kind of request.
    pub fn of(&self, kind: Kind) -> &KindCounts {
        &self.kinds[kind.place()]
    }

    pub(super) fn add(&mut self, kind: Kind, ended: Ended) {
        let counts = &mut self.kinds[kind.place()];
        counts.endings[ended.ending.place()] += 1;
        // How long a client was patient says nothing of the server.
        if ended.ending != Ending::Cancelled {
            counts.took.add(ended.took);
        }
        if let Some(code) = ended.code {
            *self.codes.entry(code.id()).or_default() += 1;
        }
        self.sent += ended.sent as u64;
        self.received += ended.received as u64;
    }

    /// A place for a tool.
    pub(super) fn new_tool(&mut self, tool: OriginalName) -> usize {
        self.tools.push((tool, ToolCounts::default()));
        self.tools.len() - 1
    }

    pub(super) fn add_tool(&mut self, place: Option<usize>, ended: Ended) {
        let own = place.and_then(|place| self.tools.get_mut(place)).map(|(_, counts)| counts);
        let counts = own.unwrap_or(&mut self.other_tools);
        counts.endings[ended.ending.place()] += 1;
        if ended.ending != Ending::Cancelled {
            counts.took.add(ended.took);
        }
    }
}
