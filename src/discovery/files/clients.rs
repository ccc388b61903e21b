//! The programs whose configs are known, and where each keeps its own.

use std::path::{Path, PathBuf};

use super::dialect::{self, Dialect};
use crate::config::Environment;

/// A program that keeps MCP servers in a config.
#[derive(Debug)]
pub(super) struct Client {
    /// Its name in wishes.
    pub(super) name: &'static str,
    files: &'static [At],
    pub(super) dialect: &'static Dialect,
}

/// Where a file lies.
#[derive(Debug)]
enum At {
    /// Below the home folder.
    Home(&'static str),
    /// Below `$XDG_CONFIG_HOME` (`~/.config`); `%APPDATA%` on Windows.
    Config(&'static str),
    /// Below the folder where desktop programs keep their data: the same as `Config`, but `~/Library/Application Support` on
    /// macOS.
    Data(&'static str),
    /// Below the folder that this variable names, else below this one in the home folder.
    Variable(&'static str, &'static str, &'static str),
}

const VSCODE_CLINE: &str = "Code/User/globalStorage/saoudrizwan.claude-dev/settings/cline_mcp_settings.json";

/// In the order of [`CLIENT_NAMES`](crate::config::CLIENT_NAMES).
static CLIENTS: [Client; 18] = [
    Client { name: "amp", files: &[At::Config("amp/settings.json")], dialect: &dialect::AMP },
    Client {
        name: "antigravity",
        files: &[At::Home(".gemini/antigravity/mcp_config.json"), At::Home(".gemini/config/mcp_config.json")],
        dialect: &dialect::PLAIN,
    },
    Client {
        name: "claude-code",
        files: &[At::Variable("CLAUDE_CONFIG_DIR", "", ".claude.json")],
        dialect: &dialect::CLAUDE_CODE,
    },
    Client {
        name: "claude-desktop",
        files: &[
            At::Data("Claude/claude_desktop_config.json"),
            At::Data("claude/claude_desktop_config.json"),
        ],
        dialect: &dialect::PLAIN,
    },
    Client {
        name: "cline",
        files: &[At::Data(VSCODE_CLINE), At::Home(".cline/mcp.json")],
        dialect: &dialect::CLINE,
    },
    Client {
        name: "codex",
        files: &[At::Variable("CODEX_HOME", ".codex", "config.toml")],
        dialect: &dialect::CODEX,
    },
    Client { name: "continue", files: &[At::Home(".continue/config.yaml")], dialect: &dialect::PLAIN },
    Client {
        name: "copilot-cli",
        files: &[At::Variable("COPILOT_HOME", ".copilot", "mcp-config.json")],
        dialect: &dialect::PLAIN,
    },
    Client { name: "crush", files: &[At::Config("crush/crush.json")], dialect: &dialect::CRUSH },
    Client { name: "cursor", files: &[At::Home(".cursor/mcp.json")], dialect: &dialect::CURSOR },
    Client { name: "gemini-cli", files: &[At::Home(".gemini/settings.json")], dialect: &dialect::GEMINI },
    Client {
        name: "goose",
        files: &[At::Config("goose/config.yaml"), At::Data("Block/goose/config/config.yaml")],
        dialect: &dialect::GOOSE,
    },
    Client { name: "kiro", files: &[At::Home(".kiro/settings/mcp.json")], dialect: &dialect::CLAUDE_CODE },
    Client { name: "lm-studio", files: &[At::Home(".lmstudio/mcp.json")], dialect: &dialect::PLAIN },
    Client {
        name: "opencode",
        files: &[At::Config("opencode/opencode.json"), At::Config("opencode/opencode.jsonc")],
        dialect: &dialect::OPENCODE,
    },
    Client {
        name: "vscode",
        files: &[At::Data("Code/User/mcp.json"), At::Data("Code - Insiders/User/mcp.json")],
        dialect: &dialect::VSCODE,
    },
    Client {
        name: "windsurf",
        files: &[At::Home(".codeium/windsurf/mcp_config.json"), At::Home(".codeium/mcp_config.json")],
        dialect: &dialect::CURSOR,
    },
    Client { name: "zed", files: &[At::Config("zed/settings.json")], dialect: &dialect::ZED },
];

/// The folders of one user on one machine.
pub(super) struct Place<'a> {
    environment: &'a Environment,
    home: PathBuf,
    config: PathBuf,
    data: PathBuf,
}

impl<'a> Place<'a> {
    pub(super) fn of(environment: &'a Environment) -> Self {
        let folder = |name: &str| environment.get(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let home =
            folder("HOME").or_else(|| folder("USERPROFILE")).unwrap_or_else(|| PathBuf::from("/nonexistent"));
        let roaming = || folder("APPDATA").unwrap_or_else(|| home.join("AppData/Roaming"));
        let config = match cfg!(windows) {
            true => roaming(),
            false => folder("XDG_CONFIG_HOME").unwrap_or_else(|| home.join(".config")),
        };
        let data = match cfg!(target_os = "macos") {
            true => home.join("Library/Application Support"),
            false => config.clone(),
        };
        Self { environment, home, config, data }
    }
}

impl Client {
    /// The program of this name.
    pub(super) fn find(name: &str) -> Option<&'static Client> {
        CLIENTS.iter().find(|client| client.name == name)
    }

    /// The program that such a file belongs to, by where files of it lie: also those of projects.
    pub(super) fn of_path(path: &Path) -> Option<&'static Client> {
        let text = path.to_string_lossy().replace('\\', "/");
        let known = [
            ("/claude_desktop_config.json", "claude-desktop"),
            ("/.claude.json", "claude-code"),
            ("/.mcp.json", "claude-code"),
            ("/.cursor/mcp.json", "cursor"),
            ("/.vscode/mcp.json", "vscode"),
            ("/.gemini/settings.json", "gemini-cli"),
            ("/cline_mcp_settings.json", "cline"),
            ("/.codex/config.toml", "codex"),
            ("/windsurf/mcp_config.json", "windsurf"),
            ("/.zed/settings.json", "zed"),
            ("/zed/settings.json", "zed"),
            ("/opencode.json", "opencode"),
            ("/opencode.jsonc", "opencode"),
            ("/crush.json", "crush"),
            ("/goose/config.yaml", "goose"),
            ("/.kiro/settings/mcp.json", "kiro"),
        ];
        let text = format!("/{text}");
        known.iter().find(|(end, _)| text.ends_with(end)).and_then(|(_, name)| Self::find(name))
    }

    /// Where its files may lie.
    pub(super) fn paths(&self, place: &Place<'_>) -> Vec<PathBuf> {
        let mut paths: Vec<PathBuf> = self
            .files
            .iter()
            .map(|at| match at {
                At::Home(path) => place.home.join(path),
                At::Config(path) => place.config.join(path),
                At::Data(path) => place.data.join(path),
                At::Variable(variable, folder, path) => match place.environment.get(variable) {
                    Some(named) => place.environment.expand_home(named).join(path),
                    None => place.home.join(folder).join(path),
                },
            })
            .collect();
        // On a disk that does not tell upper from lower case two of them may be one file; what they hold is found once anyway.
        paths.dedup();
        paths
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::CLIENT_NAMES;

    #[test]
    fn every_name_of_the_config_language_is_a_program_here() {
        assert_eq!(CLIENTS.each_ref().map(|client| client.name), CLIENT_NAMES);
    }

    #[test]
    fn variables_move_what_they_are_there_to_move() {
        let environment: Environment =
            [("HOME", "/h"), ("XDG_CONFIG_HOME", "/x"), ("CODEX_HOME", "/c")].into_iter().collect();
        let place = Place::of(&environment);
        let paths = |name: &str| Client::find(name).unwrap().paths(&place);
        assert_eq!(paths("codex"), [Path::new("/c/config.toml")]);
        assert_eq!(paths("claude-code"), [Path::new("/h/.claude.json")]);
        assert_eq!(paths("cursor"), [Path::new("/h/.cursor/mcp.json")]);
        if cfg!(target_os = "linux") {
            assert_eq!(paths("claude-desktop")[0], Path::new("/x/Claude/claude_desktop_config.json"));
        }
    }
}
