//! What a health check is: `ping`, or one of the keys `tool`, `path` and `command` under `health_check`.

use super::model::{Launch, RemoteKind};
use super::resolve::Resolver;
use super::stages::Probe;
use super::tree::{Kind, Node};
use crate::failure::Code;

impl Resolver<'_> {
    /// Reads the probe of a checked `health_check` for a server that is reached so. What is wrong is reported.
    pub(super) fn probe(&mut self, node: &Node, launch: Option<&Launch>) -> Probe {
        const WAYS: [&str; 3] = ["tool", "path", "command"];
        let said: Vec<&str> = WAYS.into_iter().filter(|way| node.get(way).is_some()).collect();
        if let [one, other, ..] = said[..] {
            let message = format!("`health_check` has `{one}` and `{other}`: only one can be meant");
            self.reporter.error(Code::ConfigConflict, &node.origin, message).hint("remove one of them");
            return Probe::Ping;
        }
        let arguments = node.get("arguments");
        if let Some(arguments) = arguments.filter(|_| said != ["tool"]) {
            let message = "`health_check.arguments` are those of `health_check.tool`, which is not there";
            self.reporter
                .error(Code::ConfigMissing, &arguments.origin, message)
                .hint("write, for example, `health_check: { tool: status, arguments: { deep: false } }`");
        }
        let text = |key: &str| node.get(key).and_then(Node::as_str).map(str::to_owned);
        if let Some(name) = text("tool") {
            let arguments =
                arguments.and_then(|node| node.to_json().as_object().cloned()).unwrap_or_default();
            return Probe::Tool { name, arguments };
        }
        if let Some(path) = text("path") {
            let is_http = |launch: &Launch| matches!(launch, Launch::Remote(remote) if !matches!(remote.kind, RemoteKind::WebSocket | RemoteKind::Unix));
            if !path.starts_with('/') || launch.is_some_and(|launch| !is_http(launch)) {
                let message = "`health_check.path` must begin with `/`, and the server must be one with an HTTP address";
                self.reporter
                    .error(Code::ConfigValue, &node.origin, message)
                    .hint("for other servers there are `health_check.tool` and `health_check.command`");
            }
            return Probe::Path(path);
        }
        let Some(command) = node.get("command") else { return Probe::Ping };
        // Only the program stands here: what it needs of the environment it finds by itself.
        let alone = Node { kind: Kind::Map(Vec::new()), origin: node.origin.clone() };
        match self.stdio(command, &alone) {
            Some(mut launch) => {
                launch.cwd.get_or_insert(self.absolute(""));
                Probe::Command(launch)
            }
            None => Probe::Ping,
        }
    }
}
