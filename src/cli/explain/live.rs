//! What running Switchboards with the same config know of a tool: figures that tell why it is slow or fails.
//!
//! They are read from the status sockets, like `switchboard status`: nothing is started for them, and nobody is called.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::admin::local::{Instance, instances};
use crate::cli::status::{number, text, times, work};
use crate::cli::terminal::{counted, one_line};
use crate::config::Locations;

/// What those say that run.
pub(super) struct Live(Vec<Running>);

/// One Switchboard with this config.
struct Running {
    pid: u64,
    /// Its reports on servers.
    servers: Vec<Value>,
    tools: Vec<Value>,
}

/// What one of them knows of one tool.
pub(super) struct Figures {
    pid: u64,
    /// How its server is; `None` if it has no such server.
    server: Option<Value>,
    /// What became of its calls, null if they are not counted; `None` if clients do not see it there.
    calls: Option<Value>,
}

impl Live {
    /// Asks those that run. Waits for them.
    pub(super) fn look(locations: &Locations) -> Self {
        let config = locations.config.as_deref().map(whole);
        let found = instances(&locations.state).unwrap_or_default();
        Self(found.iter().filter_map(|instance| Running::of(instance, config.as_deref())).collect())
    }

    /// What they know of a tool, by its server's own name of it.
    pub(super) fn of(&self, server: &str, original: &str) -> Vec<Figures> {
        self.0.iter().map(|running| running.of_tool(server, original)).collect()
    }
}

/// One path for a file, however it is named.
fn whole(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

impl Running {
    /// `None` for one that has another config, or has just ended.
    fn of(instance: &Instance, config: Option<&Path>) -> Option<Self> {
        let get = |target: &str| -> Option<Value> {
            let mut answer: Value = serde_json::from_slice(&instance.get(target).ok()?).ok()?;
            Some(answer["data"].take())
        };
        let mut status = get("/proxy/status")?;
        let its = status["config"].as_str().map(|path| whole(Path::new(path)));
        if its.as_deref() != config {
            return None;
        }
        let list = |value: Value| match value {
            Value::Array(list) => list,
            _ => Vec::new(),
        };
        Some(Self {
            pid: number(&status, "pid"),
            servers: list(status["servers"].take()),
            tools: get("/proxy/tools").map(list).unwrap_or_default(),
        })
    }

    fn of_tool(&self, server: &str, original: &str) -> Figures {
        let is_it =
            |tool: &&Value| text(tool, "server_id") == server && text(tool, "original_name") == original;
        Figures {
            pid: self.pid,
            server: self.servers.iter().find(|one| text(one, "server") == server).cloned(),
            calls: self.tools.iter().find(is_it).map(|tool| tool["calls"].clone()),
        }
    }
}

impl Figures {
    /// A few lines, without line ends.
    pub(super) fn render(&self) -> Vec<String> {
        let pid = self.pid;
        let Some(server) = &self.server else { return vec![format!("process {pid}: it has no such server")] };
        let [level, state] = ["level", "state"].map(|member| one_line(text(server, member)));
        let mut lines = vec![format!("process {pid}: {level}, {state}")];
        let mut inner: Vec<String> = work(&server["work"]);
        if let Some(cause) = server["failure"]["cause"].as_str() {
            inner.insert(0, format!("{} ({})", one_line(cause), one_line(text(&server["failure"], "code"))));
        }
        inner.push(match &self.calls {
            None => "this tool is not shown there".to_owned(),
            Some(Value::Null) => not_counted(server),
            Some(calls) => {
                let total = counted(number(calls, "total") as usize, "call");
                let times = times(calls).map(|times| format!("; {times}")).unwrap_or_default();
                format!("this tool: {total}, {} of them failed{times}", number(calls, "failed"))
            }
        });
        lines.extend(inner.into_iter().map(|line| format!("  {line}")));
        lines
    }

    pub(super) fn to_json(&self) -> Value {
        json!({ "pid": self.pid, "server": self.server, "calls": self.calls })
    }
}

/// What is known all the same where calls are not counted.
fn not_counted(server: &Value) -> String {
    let average = server["work"]["avg_response_time"].as_f64();
    let known = average.map(|seconds| {
        let answers = counted(number(server, "calls") as usize, "call");
        format!("; its server answers in {:.1} ms on average ({answers})", seconds * 1000.0)
    });
    format!("calls of tools are not counted (`telemetry.metrics: true` does it){}", known.unwrap_or_default())
}

/// What is said where none runs.
pub(super) const NOBODY: &str =
    "no Switchboard with this config is running; while one does, its figures of this tool stand here";
