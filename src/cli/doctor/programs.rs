//! The programs of servers: are they there, and are the runtimes well that they need?

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::Patient;
use super::finding::{Area, Finding, Level};
use crate::config::{Launch, StdioLaunch};
use crate::names::ServerName;
use crate::supervisor::{SpawnPlan, Supervisor, SupervisorOptions};

/// How long a runtime may take to tell its version. Docker's asks its daemon.
const PATIENCE: Duration = Duration::from_secs(5);

/// The oldest Node that current MCP servers run on.
const OLDEST_NODE: u32 = 18;

pub(super) async fn examine(patient: &Patient) -> Vec<Finding> {
    let supervisor = Supervisor::new(SupervisorOptions::default());
    let mut findings = Vec::new();
    // Each program once, with the first server that needs it and the `PATH` that it would get.
    let mut runtimes: BTreeMap<&'static str, (String, PathBuf, OsString)> = BTreeMap::new();
    let mut found: BTreeMap<PathBuf, Vec<String>> = BTreeMap::new();
    for server in patient.loaded.config.ready() {
        for launch in std::iter::once(&server.launch).chain(&server.others) {
            let Launch::Stdio(launch) = launch else { continue };
            match supervisor.find_program(&plan(&server.name, launch)).await {
                Ok((program, path)) => {
                    if let Some(runtime) = runtime_of(&program) {
                        runtimes.entry(runtime).or_insert((server.name.to_string(), program.clone(), path));
                    }
                    let servers = found.entry(program).or_default();
                    if servers.last().map(String::as_str) != Some(server.name.as_str()) {
                        servers.push(server.name.to_string());
                    }
                }
                Err(failure) => {
                    let what = format!("{} ({})", failure.cause, failure.code);
                    let finding = Finding::new(Area::Programs, Level::Error, what).of(server.name.as_str());
                    let explain = format!("switchboard explain {}", failure.code);
                    findings.push(finding.remedy(failure.remedy.unwrap_or(explain)));
                    break;
                }
            }
        }
    }
    for (program, servers) in &found {
        let what = format!("{} for {}", program.display(), servers.join(", "));
        findings.insert(0, Finding::new(Area::Programs, Level::Well, what));
    }
    for (runtime, (server, program, path)) in &runtimes {
        findings.extend(look_at(runtime, program, path).await.map(|finding| finding.of(server)));
    }
    findings
}

fn plan(server: &ServerName, launch: &StdioLaunch) -> SpawnPlan {
    SpawnPlan {
        server: server.clone(),
        generation: 0,
        command: launch.command.clone(),
        args: Vec::new(),
        env: launch.env.iter().map(|(name, value)| (name.clone(), value.expose().to_owned())).collect(),
        inherit_env: launch.inherit_env.clone(),
        cwd: launch.cwd.clone(),
        redact: Vec::new(),
    }
}

/// The runtime behind a program's name.
fn runtime_of(program: &Path) -> Option<&'static str> {
    match program.file_stem()?.to_str()? {
        "npx" | "npm" | "pnpm" | "yarn" | "node" => Some("node"),
        "uvx" | "uv" => Some("uv"),
        "docker" => Some("docker"),
        "podman" => Some("podman"),
        name if name == "python" || name.starts_with("python3") => Some("python"),
        _ => None,
    }
}

/// What is wrong with a runtime. Only itself is started, to tell its version.
async fn look_at(runtime: &str, program: &Path, path: &OsString) -> Option<Finding> {
    let finding = |level, what: String| Some(Finding::new(Area::Programs, level, what));
    match runtime {
        "node" => {
            let Some(node) = which::which_in_global("node", Some(path)).ok().and_then(|mut all| all.next())
            else {
                let what = format!("{} is there, but no `node` on the PATH that it gets", program.display());
                return finding(Level::Error, what)
                    .map(|it| it.remedy("install Node.js: https://nodejs.org"));
            };
            let version = said(&node, &["--version"], path).await;
            let major = version.as_deref().ok().and_then(major);
            match (major, version) {
                (Some(major), _) if major >= OLDEST_NODE => None,
                (Some(major), _) => finding(Level::Warning, format!("{} is version {major}", node.display()))
                    .map(|it| it.remedy(format!("most servers need Node {OLDEST_NODE} or newer"))),
                (None, Ok(said)) => {
                    finding(Level::Note, format!("{} says of its version: {said}", node.display()))
                }
                (None, Err(why)) => finding(Level::Error, format!("{} does not work: {why}", node.display()))
                    .map(|it| it.remedy("install Node.js anew: https://nodejs.org")),
            }
        }
        "docker" | "podman" => {
            let asked = said(program, &["version", "--format", "{{.Server.Version}}"], path).await;
            asked.err().and_then(|why| {
                let what = format!("{} cannot reach its engine: {why}", program.display());
                finding(Level::Warning, what)
                    .map(|it| it.remedy(format!("start it; `{runtime} info` says more")))
            })
        }
        _ => said(program, &["--version"], path).await.err().and_then(|why| {
            finding(Level::Error, format!("{} does not work: {why}", program.display()))
                .map(|it| it.remedy("install it anew"))
        }),
    }
}

/// The first line that a program prints, or why there is none.
async fn said(program: &Path, arguments: &[&str], path: &OsString) -> Result<String, String> {
    let mut command = Command::new(program);
    command.args(arguments).env("PATH", path).stdin(Stdio::null()).kill_on_drop(true);
    let output = match tokio::time::timeout(PATIENCE, command.output()).await {
        Err(_) => return Err(format!("it did not answer within {} s", PATIENCE.as_secs())),
        Ok(Err(error)) => return Err(error.to_string()),
        Ok(Ok(output)) => output,
    };
    let first =
        |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().lines().next().unwrap_or_default().to_owned();
    match output.status.success() {
        true => Ok(first(&output.stdout)),
        false if output.stderr.is_empty() => Err(output.status.to_string()),
        false => Err(first(&output.stderr)),
    }
}

/// `v22.3.0`
fn major(version: &str) -> Option<u32> {
    version.trim_start_matches('v').split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runtimes_are_known_by_their_programs() {
        for (program, runtime) in [
            ("/usr/bin/npx", Some("node")),
            ("/x/uvx", Some("uv")),
            ("/usr/bin/python3.11", Some("python")),
            ("/usr/bin/docker", Some("docker")),
            ("/x/mcp-server", None),
        ] {
            assert_eq!(runtime_of(Path::new(program)), runtime, "{program}");
        }
        assert_eq!((major("v22.3.0"), major("16.1"), major("what?")), (Some(22), Some(16), None));
    }
}
