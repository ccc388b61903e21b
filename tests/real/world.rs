//! The world that the servers act in: a folder with files, a git repository, a memory file. It is made anew
//! before every run, at the same paths and with the same times, so that two runs can be compared.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// The date of every commit, so that hashes are the same in every run.
const COMMIT_DATE: &str = "1767323045 +0000";

/// A PNG of one pixel.
const PIXEL: &[u8] = &[
    0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 0x0d, b'I', b'H', b'D', b'R', 0, 0, 0, 1, 0, 0,
    0, 1, 8, 6, 0, 0, 0, 0x1f, 0x15, 0xc4, 0x89,
];

/// A temporary folder with all that the servers touch.
pub(crate) struct World {
    folder: TempDir,
}

impl World {
    /// A new world, at a new path.
    pub(crate) fn new() -> Self {
        let world = Self { folder: tempfile::Builder::new().prefix("switchboard-real-").tempdir().unwrap() };
        world.reset();
        world
    }

    /// Makes everything as it was in the beginning.
    pub(crate) fn reset(&self) {
        for part in ["files", "repository", "home", "taps", "switchboard"] {
            let folder = self.path(part);
            let _ = fs::remove_dir_all(&folder);
            fs::create_dir_all(&folder).unwrap();
        }
        let _ = fs::remove_file(self.memory());
        self.make_files();
        self.make_repository();
    }

    /// A path below the world's folder.
    pub(crate) fn path(&self, below: &str) -> PathBuf {
        // Servers resolve links before they print a path (`/tmp` is one on some machines).
        self.folder.path().canonicalize().unwrap().join(below)
    }

    /// A path as text, for arguments.
    pub(crate) fn text(&self, below: &str) -> String {
        self.path(below).to_str().unwrap().to_owned()
    }

    /// The file in which the memory server keeps its graph.
    pub(crate) fn memory(&self) -> PathBuf {
        self.path("memory.jsonl")
    }

    /// The variables with which git makes the same commit every time.
    pub(crate) fn git_variables(&self) -> Vec<(String, String)> {
        let home = self.text("home");
        [
            ("GIT_AUTHOR_NAME", "Ada"),
            ("GIT_AUTHOR_EMAIL", "ada@example.test"),
            ("GIT_AUTHOR_DATE", COMMIT_DATE),
            ("GIT_COMMITTER_NAME", "Ada"),
            ("GIT_COMMITTER_EMAIL", "ada@example.test"),
            ("GIT_COMMITTER_DATE", COMMIT_DATE),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("HOME", &home),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
    }

    fn make_files(&self) {
        let files = self.path("files");
        fs::create_dir_all(files.join("deep/er")).unwrap();
        fs::write(files.join("notes.txt"), "first line\nsecond line\nthird line\n").unwrap();
        fs::write(files.join("windows.txt"), "one\r\ntwo\r\n").unwrap();
        fs::write(
            files.join("umlaut ä 文.txt"),
            "snow ☃, \u{2028} separator, tab\t, quote \" and \u{1f600}\n",
        )
        .unwrap();
        fs::write(files.join("data.json"), "{\"big\": 12345678901234567890, \"float\": 1.0}\n").unwrap();
        fs::write(files.join("pixel.png"), PIXEL).unwrap();
        fs::write(files.join("deep/er/found.txt"), "deep\n").unwrap();
    }

    fn make_repository(&self) {
        let repository = self.path("repository");
        self.git(&["init", "--quiet", "--initial-branch=main"]);
        fs::write(repository.join("a.txt"), "alpha\n").unwrap();
        self.git(&["add", "a.txt"]);
        self.git(&["commit", "--quiet", "--message", "First: ä ☃"]);
        fs::write(repository.join("b.txt"), "beta\n").unwrap();
        self.git(&["add", "b.txt"]);
        self.git(&["commit", "--quiet", "--message", "Second"]);
        fs::write(repository.join("a.txt"), "alpha\nchanged\n").unwrap();
        fs::write(repository.join("new.txt"), "new\n").unwrap();
    }

    fn git(&self, arguments: &[&str]) {
        let output = Command::new("git")
            .args(arguments)
            .current_dir(self.path("repository"))
            .envs(self.git_variables())
            .output()
            .unwrap();
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// A `file:` URI for a path of the world; its paths hold nothing that needs escaping.
pub(crate) fn file_uri(path: &Path) -> String {
    format!("file://{}", path.display())
}
