//! The dialects in which programs write down their servers, and how an entry of each is said here.

use serde_json::{Map, Value};

use super::references::{References, Style};

/// How one program writes its servers.
#[derive(Debug)]
pub(super) struct Dialect {
    /// Where they stand: paths of keys.
    pub(super) sections: &'static [&'static [&'static str]],
    /// Whether each of its projects has servers of its own.
    pub(super) has_projects: bool,
    /// How values refer to variables.
    style: Style,
    /// What `url` means where nothing says how the server speaks.
    url_speaks: Option<&'static str>,
    /// In what `timeout` is counted, in milliseconds; `None` ignores it.
    timeout_unit: Option<u64>,
}

const BASE: Dialect = Dialect {
    sections: &[&["mcpServers"]],
    has_projects: false,
    style: Style::Literal,
    url_speaks: None,
    timeout_unit: None,
};

/// `mcpServers`, and values are what they are.
pub(super) static PLAIN: Dialect = BASE;
/// Any file with one of the usual sections, in the references of our own config.
pub(super) static OURS: Dialect =
    Dialect { sections: &[&["mcpServers"], &["servers"], &["proxy", "servers"]], style: Style::Ours, ..BASE };
pub(super) static CLAUDE_CODE: Dialect =
    Dialect { has_projects: true, style: Style::Braces, timeout_unit: Some(1), ..BASE };
pub(super) static CURSOR: Dialect = Dialect { style: Style::Named, ..BASE };
pub(super) static VSCODE: Dialect =
    Dialect { sections: &[&["servers"], &["mcpServers"], &["mcp", "servers"]], style: Style::Named, ..BASE };
pub(super) static ZED: Dialect = Dialect { sections: &[&["context_servers"]], ..BASE };
pub(super) static CODEX: Dialect = Dialect { sections: &[&["mcp_servers"]], ..BASE };
pub(super) static GEMINI: Dialect =
    Dialect { style: Style::Dollar, url_speaks: Some("sse"), timeout_unit: Some(1), ..BASE };
pub(super) static CLINE: Dialect = Dialect { url_speaks: Some("sse"), timeout_unit: Some(1000), ..BASE };
pub(super) static OPENCODE: Dialect =
    Dialect { sections: &[&["mcp"]], style: Style::Curly, timeout_unit: Some(1), ..BASE };
pub(super) static CRUSH: Dialect =
    Dialect { sections: &[&["mcp"]], style: Style::Dollar, timeout_unit: Some(1000), ..BASE };
pub(super) static GOOSE: Dialect = Dialect { sections: &[&["extensions"]], timeout_unit: Some(1000), ..BASE };
pub(super) static AMP: Dialect =
    Dialect { sections: &[&["amp.mcpServers"], &["mcpServers"]], style: Style::Braces, ..BASE };

/// The dialect of a file of which nobody knows whose it is, by the section that it has.
pub(super) fn of_content(root: &Value) -> &'static Dialect {
    let has = |key: &str| root.get(key).is_some_and(|section| section.is_object() || section.is_array());
    match () {
        () if has("mcpServers") || has("proxy") => &OURS,
        () if has("context_servers") => &ZED,
        () if has("mcp_servers") => &CODEX,
        () if has("amp.mcpServers") => &AMP,
        () if has("servers") && has("inputs") => &VSCODE,
        () if has("servers") => &OURS,
        () if has("extensions") => &GOOSE,
        () if has("mcp") => &OPENCODE,
        () => &OURS,
    }
}

/// An entry in our words.
pub(super) struct Translated {
    pub(super) entry: Value,
    /// What could not be said.
    pub(super) problem: Option<String>,
}

impl Dialect {
    /// Says an entry in our words; `None` if it is no server that could be one of ours: one that is built into its program, or
    /// Switchboard itself.
    pub(super) fn translate(&self, said: &Map<String, Value>) -> Option<Translated> {
        let said = flattened(said);
        let mut references = References::new(self.style);
        let mut entry = Map::new();
        let first =
            |keys: &[&str]| keys.iter().find_map(|key| said.get(*key)).filter(|value| !value.is_null());
        let url =
            first(&["url", "serverUrl", "httpUrl", "baseUrl", "uri", "endpoint"]).and_then(Value::as_str);
        match (first(&["command", "cmd", "executable"]), url) {
            (Some(command), _) => self.command(command, &said, &mut entry, &mut references)?,
            (None, Some(url)) => {
                entry.insert("url".to_owned(), references.text(url).into());
                if let Some(speaks) = self.speaks(&said) {
                    entry.insert("type".to_owned(), speaks.into());
                }
            }
            (None, None) => return None,
        }
        for (ours, theirs) in [
            ("headers", &["headers", "http_headers"][..]),
            ("env_http_headers", &["env_http_headers"]),
            ("bearer_token_env_var", &["bearer_token_env_var"]),
            ("auth_token", &["auth_token"]),
            ("inherit_env", &["env_vars", "env_keys", "inherit_env"]),
            ("description", &["description"]),
            ("categories", &["categories", "tags"]),
        ] {
            if let Some(value) = first(theirs).filter(|value| !is_empty(value)) {
                let is_template = matches!(ours, "headers" | "auth_token");
                entry.insert(
                    ours.to_owned(),
                    if is_template { references.value(value) } else { value.clone() },
                );
            }
        }
        self.tools(&said, &mut entry);
        self.timeouts(&said, &mut entry);
        let is_off = first(&["enabled"]).and_then(Value::as_bool) == Some(false)
            || first(&["disabled"]).and_then(Value::as_bool) == Some(true);
        let mut problems = references.into_problems();
        if first(&["envFile"]).is_some() {
            problems
                .push("it reads variables from a file there (`envFile`): write them under `env`".to_owned());
        }
        if is_off {
            problems.push("it is switched off there".to_owned());
        }
        let problem = (!problems.is_empty()).then(|| problems.join("; "));
        Some(Translated { entry: entry.into(), problem })
    }

    fn command(
        &self,
        command: &Value,
        said: &Map<String, Value>,
        entry: &mut Map<String, Value>,
        references: &mut References,
    ) -> Option<()> {
        let mut words: Vec<&str> = match command {
            Value::String(word) => vec![word],
            Value::Array(words) => words.iter().filter_map(Value::as_str).collect(),
            _ => return None,
        };
        let program = *words.first()?;
        if program.is_empty() || is_ourselves(program) {
            return None;
        }
        words.extend(
            said.get("args").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str),
        );
        entry.insert("command".to_owned(), references.text(program).into());
        if words.len() > 1 {
            let args: Value = words[1..].iter().map(|word| references.text(word)).collect();
            entry.insert("args".to_owned(), args);
        }
        for (ours, theirs) in
            [("env", ["env", "environment", "envs"]), ("cwd", ["cwd", "working_dir", "workingDirectory"])]
        {
            let value = theirs.iter().find_map(|key| said.get(*key)).filter(|value| !is_empty(value));
            if let Some(value) = value {
                entry.insert(ours.to_owned(), references.value(value));
            }
        }
        Some(())
    }

    /// How the server at an address speaks, if that is said.
    fn speaks(&self, said: &Map<String, Value>) -> Option<&'static str> {
        let word = ["type", "transport", "transportType"]
            .iter()
            .find_map(|key| said.get(*key))
            .and_then(Value::as_str);
        match word {
            Some("sse") => Some("sse"),
            Some("ws" | "wss" | "websocket") => Some("websocket"),
            Some(_) => Some("http"),
            None if said.contains_key("httpUrl") => Some("http"),
            None if said.contains_key("url") => self.url_speaks,
            None => None,
        }
    }

    fn tools(&self, said: &Map<String, Value>, entry: &mut Map<String, Value>) {
        let list = |keys: [&str; 3]| {
            keys.iter()
                .find_map(|key| said.get(*key))
                .filter(|value| value.is_array() && !is_empty(value))
                .cloned()
        };
        let mut tools = Map::new();
        if let Some(include) = list(["includeTools", "enabled_tools", "available_tools"]) {
            tools.insert("include".to_owned(), include);
        }
        if let Some(exclude) = list(["excludeTools", "disabled_tools", "disabledTools"]) {
            tools.insert("exclude".to_owned(), exclude);
        }
        if !tools.is_empty() {
            entry.insert("tools".to_owned(), tools.into());
        }
    }

    fn timeouts(&self, said: &Map<String, Value>, entry: &mut Map<String, Value>) {
        let millis = |key: &str, unit: u64| {
            let count = said.get(key).and_then(Value::as_f64).filter(|count| *count > 0.0)?;
            // A day is more than anybody waits.
            Some(format!("{}ms", (count * unit as f64).clamp(1.0, 86_400_000.0) as u64))
        };
        let call = self
            .timeout_unit
            .and_then(|unit| millis("timeout", unit))
            .or_else(|| millis("tool_timeout_sec", 1000));
        let start = millis("startup_timeout_sec", 1000).or_else(|| millis("startup_timeout_ms", 1));
        let mut timeouts = Map::new();
        for (key, value) in [("start", start), ("call", call)] {
            if let Some(value) = value {
                timeouts.insert(key.to_owned(), value.into());
            }
        }
        if !timeouts.is_empty() {
            entry.insert("timeouts".to_owned(), timeouts.into());
        }
    }
}

/// Whether a value says nothing.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(elements) => elements.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}

/// An entry without the nesting that some programs have: Zed's older `command: { path, args, env }`, Cline's `transport: { … }`.
fn flattened(said: &Map<String, Value>) -> Map<String, Value> {
    let mut flat = said.clone();
    for key in ["command", "transport"] {
        if let Some(Value::Object(inner)) = said.get(key) {
            flat.remove(key);
            for (name, value) in inner {
                let name = if key == "command" && name == "path" { "command" } else { name };
                flat.entry(name.to_owned()).or_insert_with(|| value.clone());
            }
        }
    }
    flat
}

/// Whether a program is Switchboard: behind itself it would be found again and again.
fn is_ourselves(program: &str) -> bool {
    let name = program.rsplit(['/', '\\']).next().unwrap_or(program);
    name.strip_suffix(".exe").unwrap_or(name) == "switchboard"
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn switchboard_is_not_proposed_behind_itself() {
        for program in ["switchboard", "/usr/local/bin/switchboard", r"C:\bin\switchboard.exe"] {
            let Value::Object(entry) = json!({ "command": program, "args": ["serve"] }) else { panic!() };
            assert!(PLAIN.translate(&entry).is_none(), "{program}");
        }
        let Value::Object(entry) = json!({ "command": "my-switchboard" }) else { panic!() };
        assert!(PLAIN.translate(&entry).is_some());
    }
}
