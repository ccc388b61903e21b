//! Where the fixtures work: a temporary folder in which each script stands beside the packages that it imports.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::support::real;

/// A temporary folder that is gone with the value.
pub(crate) struct Workshop {
    folder: TempDir,
}

impl Workshop {
    /// An empty one.
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::Builder::new().prefix("switchboard-conformance-").tempdir().unwrap() }
    }

    /// A new folder in it.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        let folder = self.folder.path().join(name);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    /// The scripts of `tests/conformance/KIND`, with the `node_modules` of an npm set beside them.
    pub(crate) fn scripts(&self, kind: &str, set: &str) -> PathBuf {
        let folder = self.folder.path().join(format!("{kind}-{set}"));
        if folder.exists() {
            return folder;
        }
        fs::create_dir_all(&folder).unwrap();
        for script in fs::read_dir(source(kind)).unwrap() {
            let script = script.unwrap();
            fs::copy(script.path(), folder.join(script.file_name())).unwrap();
        }
        symlink(real::npm(set).join("node_modules"), folder.join("node_modules")).unwrap();
        folder
    }
}

/// Something in this folder of the repository.
pub(crate) fn source(below: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance").join(below)
}
