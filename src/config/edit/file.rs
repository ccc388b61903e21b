//! A config file that is being changed.

use std::path::{Path, PathBuf};

use super::super::problem::Problem;
use super::{EditError, SaveError, Saved, put_server, remove_server, server_names, set_enabled};
use crate::config::Syntax;

/// A config file in memory: read, changed once or more, and saved, unless somebody else changed it meanwhile.
#[derive(Debug)]
pub struct ConfigFile {
    path: PathBuf,
    syntax: Syntax,
    /// What the file held. Nothing if there is none yet.
    before: Option<String>,
    text: String,
}

impl ConfigFile {
    /// Reads the file. One that does not exist is an empty config, which [`save`](Self::save) creates.
    pub fn open(path: &Path) -> Result<Self, Box<Problem>> {
        let syntax = super::super::syntax_of(path)?;
        let before = match path.try_exists() {
            Ok(false) if !path.is_symlink() => None,
            _ => Some(super::super::read(path)?),
        };
        let text = before.clone().unwrap_or_default();
        Ok(Self { path: path.to_owned(), syntax, before, text })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How it is written.
    pub fn syntax(&self) -> Syntax {
        self.syntax
    }

    /// What it holds now, with all changes.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the file exists.
    pub fn exists(&self) -> bool {
        self.before.is_some()
    }

    /// The names of its servers, in its order.
    pub fn names(&self) -> Result<Vec<String>, EditError> {
        server_names(&self.text, self.syntax)
    }

    /// Adds a server or replaces its entry: [`put_server`].
    pub fn put(&mut self, name: &str, entry: &serde_json::Value) -> Result<(), EditError> {
        self.text = put_server(&self.text, self.syntax, name, entry)?;
        Ok(())
    }

    /// Removes a server: [`remove_server`].
    pub fn remove(&mut self, name: &str) -> Result<(), EditError> {
        self.text = remove_server(&self.text, self.syntax, name)?;
        Ok(())
    }

    /// Says whether a server is served: [`set_enabled`].
    pub fn set_enabled(&mut self, name: &str, enabled: bool) -> Result<(), EditError> {
        self.text = set_enabled(&self.text, self.syntax, name, enabled)?;
        Ok(())
    }

    /// Writes it: [`save`](super::save()).
    pub fn save(&self) -> Result<Saved, SaveError> {
        super::save(&self.path, self.before.as_deref(), &self.text)
    }
}
