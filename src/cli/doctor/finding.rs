//! One thing that was found.

use serde_json::{Value, json};

use super::repair::Repair;
use crate::cli::terminal::{Paint, one_line};

/// What it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Area {
    /// The config file: valid, complete, closed to others
    Config,
    /// The programs of servers, and the runtimes they need
    Programs,
    /// The state folder: permissions, damage, leftovers
    State,
    /// Ports, proxies, certificates, the clock
    Network,
    /// Servers that have outlived their Switchboard
    Processes,
}

impl Area {
    /// In the order in which they are told.
    pub(super) const ALL: [Area; 5] =
        [Area::Config, Area::Programs, Area::State, Area::Network, Area::Processes];

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Programs => "programs",
            Self::State => "state",
            Self::Network => "network",
            Self::Processes => "processes",
        }
    }
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    /// As it should be.
    Well,
    /// Worth knowing.
    Note,
    /// Something may not work, or others can read what they should not.
    Warning,
    /// Something does not work, or others can change what runs as its owner.
    Error,
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Self::Well => "ok",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One thing that was found.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) area: Area,
    pub(super) level: Level,
    /// The server that it concerns.
    server: Option<String>,
    /// What was found.
    what: String,
    /// What mends it.
    remedy: Option<String>,
    repair: Option<Repair>,
    /// What became of the repair, once it was tried.
    mended: Option<Result<(), String>>,
}

impl Finding {
    pub(super) fn new(area: Area, level: Level, what: impl Into<String>) -> Self {
        Self { area, level, server: None, what: what.into(), remedy: None, repair: None, mended: None }
    }

    pub(super) fn of(mut self, server: &str) -> Self {
        self.server = Some(server.to_owned());
        self
    }

    pub(super) fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// What `--fix` does about it. Its words are the remedy if there is no other.
    pub(super) fn repair(mut self, repair: Repair) -> Self {
        self.remedy.get_or_insert_with(|| repair.to_string());
        self.repair = Some(repair);
        self
    }

    /// Repairs it, if that is possible.
    pub(super) fn mend(&mut self) {
        self.mended =
            self.repair.as_ref().map(|repair| repair.carry_out().map_err(|error| error.to_string()));
    }

    pub(super) fn is_mended(&self) -> bool {
        matches!(self.mended, Some(Ok(())))
    }

    /// Whether `--fix` would repair it.
    pub(super) fn is_mendable(&self) -> bool {
        self.repair.is_some() && self.mended.is_none()
    }

    /// The finding for people, its area in front.
    pub(super) fn lines(&self, area: &str, paint: Paint) -> Vec<String> {
        let mark = match self.level {
            _ if self.is_mended() => paint.green("✓"),
            Level::Well => paint.green("✓"),
            Level::Note => paint.dim("·"),
            Level::Warning => paint.yellow("!"),
            Level::Error => paint.red("✗"),
        };
        let server = self.server.as_ref().map(|server| format!("{}: ", one_line(server))).unwrap_or_default();
        let head = format!("{} {mark} {server}{}", paint.bold(&format!("{area:<10}")), one_line(&self.what));
        let below = match (&self.mended, &self.remedy) {
            (Some(Ok(())), _) => self.repair.as_ref().map(|repair| format!("done: {repair}")),
            (Some(Err(error)), remedy) => {
                Some(format!("not repaired: {error}; {}", remedy.as_deref().unwrap_or_default()))
            }
            (None, remedy) => remedy.clone(),
        };
        let below = below.map(|text| format!("{:10}   {} {}", "", paint.dim("╰"), one_line(&text)));
        std::iter::once(head).chain(below).collect()
    }

    pub(super) fn to_json(&self) -> Value {
        let fix = match (&self.repair, &self.mended) {
            (None, _) => Value::Null,
            (Some(_), None) => "possible".into(),
            (Some(_), Some(Ok(()))) => "done".into(),
            (Some(_), Some(Err(error))) => format!("failed: {error}").into(),
        };
        json!({
            "area": self.area.word(),
            "level": self.level.word(),
            "server": self.server,
            "what": self.what,
            "remedy": self.remedy,
            "fix": fix,
        })
    }
}
