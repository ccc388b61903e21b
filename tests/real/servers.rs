//! The servers: how each is started, directly and from the config, and what its resources are called.

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::real;
use crate::support::same::Mapping;
use crate::world::World;

/// One server of the config.
#[derive(Clone)]
pub(crate) struct Server {
    /// Its key in the config.
    pub(crate) name: &'static str,
    program: PathBuf,
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
    /// With what the URIs of its resources start. No two servers here share a beginning.
    uris: &'static str,
    /// Its entry in the config, where it listens at an address instead of being started.
    remote: Option<Value>,
    /// What it says outside of calls comes on another stream than its answers, so that nothing tells their order.
    pub(crate) has_streams: bool,
}

impl Server {
    /// The server itself, with the small environment that it would get as a child.
    pub(crate) fn command(&self, world: &World) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).env_clear().envs(base_variables(world)).envs(self.variables.clone());
        command.current_dir(world.path("home"));
        command
    }

    /// The same server, reached by this entry of the config: it was started already.
    pub(crate) fn at(self, entry: Value, has_streams: bool) -> Self {
        Self { remote: Some(entry), has_streams, ..self }
    }

    /// The same server with other arguments in the place of the last ones.
    pub(crate) fn instead(mut self, last: &[&str], others: &[&str]) -> Self {
        assert!(
            self.arguments.ends_with(&last.iter().map(|argument| (*argument).to_owned()).collect::<Vec<_>>())
        );
        self.arguments.truncate(self.arguments.len() - last.len());
        self.arguments.extend(others.iter().map(|argument| (*argument).to_owned()));
        self
    }

    /// The same server with one more variable.
    pub(crate) fn with_variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The command as clients' scenario files have it.
    pub(crate) fn scenario_command(&self, world: &World) -> Value {
        let mut variables = base_variables(world);
        variables.extend(self.variables.clone());
        json!({
            "command": self.program,
            "args": self.arguments,
            "env": object(variables),
            "cwd": world.path("home"),
        })
    }

    /// The entry of the config. A `tee` before the server's stdin keeps what Switchboard wrote to it.
    pub(crate) fn entry(&self, world: &World) -> Value {
        if let Some(remote) = &self.remote {
            return remote.clone();
        }
        let tap = self.tap(world);
        let mut arguments =
            vec![json!("-c"), json!("tee -- \"$0\" | \"$@\""), json!(tap), json!(self.program)];
        arguments.extend(self.arguments.iter().map(|argument| json!(argument)));
        json!({
            "command": "sh",
            "args": arguments,
            "env": object(self.variables.clone()),
            "cwd": world.path("home"),
        })
    }

    /// Whether an item of a merged list is this server's: by its URI, else by its name.
    pub(crate) fn owns(&self, item: &Value) -> bool {
        let uri = item.get("uri").or_else(|| item.get("uriTemplate")).and_then(Value::as_str);
        let name =
            || item["name"].as_str().is_some_and(|name| name.starts_with(&Mapping::new(self.name).prefix()));
        uri.map_or_else(name, |uri| uri.starts_with(self.uris))
    }

    /// The file that holds every line this server was sent through Switchboard.
    pub(crate) fn tap(&self, world: &World) -> PathBuf {
        world.path("taps").join(self.name)
    }
}

/// Variables as a JSON object.
pub(crate) fn object(variables: Vec<(String, String)>) -> Value {
    variables.into_iter().map(|(name, value)| (name, json!(value))).collect()
}

/// What every process of a test gets of the environment.
pub(crate) fn base_variables(world: &World) -> Vec<(String, String)> {
    let path = std::env::var("PATH").unwrap();
    vec![("PATH".to_owned(), path), ("HOME".to_owned(), world.text("home"))]
}

/// All servers, in the order of the config: the five current ones, then two that speak only 2024-11-05.
pub(crate) fn all(world: &World) -> Vec<Server> {
    vec![everything(), filesystem(world), memory(world), time(), git(world), everything_old(), time_old()]
}

/// The server with this name.
pub(crate) fn named(world: &World, name: &str) -> Server {
    all(world).into_iter().find(|server| server.name == name).unwrap()
}

/// The mock server with this script. It is not among all the others.
pub(crate) fn mock(world: &World, name: &'static str, script: &str) -> Server {
    let path = world.path("home").join(format!("{name}.yaml"));
    std::fs::write(&path, script).unwrap();
    let arguments = vec!["mock".to_owned(), path.to_str().unwrap().to_owned()];
    let program = PathBuf::from(env!("CARGO_BIN_EXE_switchboard"));
    self::program(name, program, arguments, "none://")
}

fn everything() -> Server {
    let variables = vec![("DEMO_SETTING".to_owned(), "42 ä \"quoted\" $HOME".to_owned())];
    Server { variables, ..node("everything", "servers", "server-everything", &[], "demo://") }
}

fn filesystem(world: &World) -> Server {
    node("filesystem", "servers", "server-filesystem", &[&world.text("files")], "none://")
}

fn memory(world: &World) -> Server {
    let variables = vec![("MEMORY_FILE_PATH".to_owned(), world.memory().to_str().unwrap().to_owned())];
    Server { variables, ..node("memory", "servers", "server-memory", &[], "memory://") }
}

fn everything_old() -> Server {
    node("everything-old", "servers-old", "server-everything", &[], "test://")
}

fn time() -> Server {
    python("time", "servers", &["mcp_server_time", "--local-timezone", "UTC"], Vec::new())
}

fn time_old() -> Server {
    python("time-old", "servers-old", &["mcp_server_time", "--local-timezone", "UTC"], Vec::new())
}

fn git(world: &World) -> Server {
    python("git", "servers", &["mcp_server_git"], world.git_variables())
}

fn node(name: &'static str, set: &str, package: &str, arguments: &[&str], uris: &'static str) -> Server {
    let script = real::npm_file(set, &format!("@modelcontextprotocol/{package}/dist/index.js"));
    let mut all = vec![script.to_str().unwrap().to_owned()];
    all.extend(arguments.iter().map(|argument| (*argument).to_owned()));
    program(name, real::node(), all, uris)
}

fn python(name: &'static str, set: &str, module: &[&str], variables: Vec<(String, String)>) -> Server {
    let mut arguments = vec!["-m".to_owned()];
    arguments.extend(module.iter().map(|argument| (*argument).to_owned()));
    Server { variables, ..program(name, real::python(set), arguments, "none://") }
}

fn program(name: &'static str, program: PathBuf, arguments: Vec<String>, uris: &'static str) -> Server {
    Server { name, program, arguments, variables: Vec::new(), uris, remote: None, has_streams: false }
}

/// `remote/server.py` on one of the Python SDKs.
pub(crate) fn python_sdk(name: &'static str, sdk: &'static str) -> Server {
    let file = real::source_folder().join("remote/server.py");
    let arguments = ["-B", file.to_str().unwrap(), sdk, "stdio"].map(str::to_owned);
    program(name, real::python(sdk), arguments.to_vec(), "note://")
}
