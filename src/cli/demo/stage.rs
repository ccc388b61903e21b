//! Where the demo happens: a folder of its own with a config, two sample servers, and a real `switchboard serve`.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::json;
use tokio::process::{Child, Command};

const NOTES: &str = include_str!("../../../examples/mock/notes.yaml");
const WEATHER: &str = include_str!("../../../examples/mock/weather.yaml");

/// Switchboard is gone within two seconds after its client has left; nobody waits longer.
const ENDING: Duration = Duration::from_millis(2500);

/// The folder; it is removed when this is dropped.
pub(super) struct Stage {
    folder: PathBuf,
    program: PathBuf,
}

impl Stage {
    /// Writes everything that the demo needs.
    ///
    /// # Errors
    /// The temporary folder cannot be written.
    pub(super) fn build() -> io::Result<Self> {
        let program = std::env::current_exe()?;
        let name = format!("switchboard-demo-{}-{:08x}", std::process::id(), fastrand::u32(..));
        let folder = std::env::temp_dir().join(name);
        create_private(&folder)?;
        let stage = Self { folder, program };
        stage.write("notes.yaml", NOTES)?;
        stage.write("weather.yaml", WEATHER)?;
        let server =
            |script: &str| json!({ "command": stage.program, "args": ["mock", stage.folder.join(script)] });
        let config =
            json!({ "mcpServers": { "notes": server("notes.yaml"), "weather": server("weather.yaml") } });
        stage.write("switchboard.json", &format!("{config:#}\n"))?;
        Ok(stage)
    }

    /// This program.
    pub(super) fn program(&self) -> &Path {
        &self.program
    }

    fn write(&self, name: &str, text: &str) -> io::Result<()> {
        std::fs::write(self.folder.join(name), text)
    }

    /// Starts `switchboard serve` on the folder's config, as an AI client would.
    ///
    /// # Errors
    /// The process cannot be started.
    pub(super) fn serve(&self) -> io::Result<Child> {
        let mut command = Command::new(&self.program);
        command.arg("serve").stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        // Nothing that the user has set may change what the demo shows.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("SWITCHBOARD_") {
                command.env_remove(name);
            }
        }
        command.env("SWITCHBOARD_HOME", &self.folder).env("SWITCHBOARD_LOG", "error");
        command.spawn()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Waits until a Switchboard whose client has left is gone; true if it went by itself.
pub(super) async fn gone(child: &mut Child) -> bool {
    if tokio::time::timeout(ENDING, child.wait()).await.is_ok() {
        return true;
    }
    let _ = child.kill().await;
    false
}

/// A new folder that only we may enter; fails if the name is taken.
fn create_private(folder: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    builder.create(folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, Syntax, load_text};

    #[test]
    fn the_stage_has_a_good_config_and_leaves_nothing() {
        let stage = Stage::build().unwrap();
        let path = stage.folder.join("switchboard.json");
        let text = std::fs::read_to_string(&path).unwrap();
        let loaded = load_text(&text, Syntax::Json, &path, &Environment::default());
        assert!(loaded.problems.is_empty(), "{:?}", loaded.problems);
        assert_eq!(loaded.config.ready().count(), 2);
        for script in ["notes.yaml", "weather.yaml"] {
            crate::mock::load(&stage.folder.join(script)).unwrap();
        }
        let folder = stage.folder.clone();
        drop(stage);
        assert!(!folder.exists());
    }
}
