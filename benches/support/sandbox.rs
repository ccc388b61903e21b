//! A folder of its own for one Switchboard, with a config in it.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::support::Outcome;

/// What a small team's policies look like; the calls of the benchmark are permitted.
const POLICY: &str = r#"permit (principal, action, resource) when { resource.effect == "read" };
permit (principal, action, resource in Server::"s0");
forbid (principal, action == Action::"call_tool", resource in Category::"dangerous");
@id("no-etc") forbid (principal, action == Action::"call_tool", resource)
  when { context.arguments has path && context.arguments.path like "/etc/*" };
"#;

/// A config, and the state that a Switchboard keeps beside it.
pub(crate) struct Sandbox {
    folder: TempDir,
}

/// The servers of a config: all alike, each this very program as an echo server.
#[derive(Default)]
pub(crate) struct Servers {
    /// How many: they are called `s0`, `s1` and so on.
    pub(crate) count: usize,
    /// How many tools each has.
    pub(crate) tools: usize,
    /// Whether they start at once.
    pub(crate) eager: bool,
    /// Further members of each entry, as JSON.
    pub(crate) keys: &'static str,
    /// Further members of the config, as JSON.
    pub(crate) config: &'static str,
}

impl Sandbox {
    pub(crate) fn new(servers: &Servers) -> Outcome<Sandbox> {
        let folder = tempfile::tempdir()?;
        let program = std::env::current_exe()?;
        let start = if servers.eager { "eager" } else { "lazy" };
        let entries: Vec<String> = (0..servers.count)
            .map(|index| {
                format!(
                    r#""s{index}":{{"command":{},"args":["--child","{}"],"start":"{start}"{}{}}}"#,
                    serde_json::Value::from(program.to_string_lossy()),
                    servers.tools,
                    if servers.keys.is_empty() { "" } else { "," },
                    servers.keys,
                )
            })
            .collect();
        fs::write(
            folder.path().join("switchboard.json"),
            format!(
                "{{\"servers\":{{{}}}{}{}}}",
                entries.join(","),
                if servers.config.is_empty() { "" } else { "," },
                servers.config
            ),
        )?;
        fs::write(folder.path().join("policy.cedar"), POLICY)?;
        Ok(Sandbox { folder })
    }

    /// A Switchboard with this config and this state.
    pub(crate) fn command(&self) -> Command {
        self.command_of(Path::new(env!("CARGO_BIN_EXE_switchboard")))
    }

    /// The same with another build of it.
    pub(crate) fn command_of(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .arg("serve")
            .arg("--config")
            .arg(self.folder.path().join("switchboard.json"))
            .env("SWITCHBOARD_HOME", self.folder.path())
            .env_remove("SWITCHBOARD_LOG")
            .env_remove("RUST_LOG");
        command
    }

    /// How many catalogs are stored.
    pub(crate) fn stored(&self) -> usize {
        fn count(folder: &Path) -> usize {
            let Ok(entries) = fs::read_dir(folder) else { return 0 };
            entries
                .flatten()
                .map(|entry| {
                    let path = entry.path();
                    let is_catalog = path.extension().is_some_and(|ending| ending == "json")
                        && path.parent().is_some_and(|folder| folder.ends_with("catalog"));
                    if path.is_dir() { count(&path) } else { usize::from(is_catalog) }
                })
                .sum()
        }
        count(self.folder.path())
    }
}
