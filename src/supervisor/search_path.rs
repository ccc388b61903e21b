//! Where programs are looked for.
//!
//! Desktop applications start us with a `PATH` that lacks nearly everything a person installed. So we also look where
//! their login shell would, and in the places that installers use. The shell is asked at most once per run, and only
//! when there is need: it may take as long as somebody's start-up files do. Its answer is remembered on disk for the
//! next run; a command that is not found there makes us ask again.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use tokio::sync::OnceCell;

#[cfg(unix)]
mod login_shell;
#[cfg(unix)]
mod remembered;
mod usual;

/// What desktop applications hand down.
const MINIMAL: &[&str] = &["/usr/bin", "/bin", "/usr/sbin", "/sbin"];

/// The folders to search, as far as they are known by now.
#[derive(Debug)]
pub(super) struct SearchPath {
    own: Vec<PathBuf>,
    usual: Vec<PathBuf>,
    /// What the login shell answered in this run.
    of_shell: OnceCell<Vec<PathBuf>>,
    /// The folder of the file that remembers the answer.
    state: Option<PathBuf>,
}

// === impl SearchPath ===

impl SearchPath {
    pub(super) fn of_this_process(state: Option<PathBuf>) -> Self {
        let own = std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect());
        let usual = usual::existing(std::env::home_dir().as_deref());
        Self { own: own.unwrap_or_default(), usual, of_shell: OnceCell::new(), state }
    }

    /// One that asks nobody.
    #[cfg(test)]
    pub(super) fn fixed(own: &str, usual: &str, of_shell: &str) -> Self {
        let folders = |path: &str| std::env::split_paths(path).collect();
        let of_shell = OnceCell::new_with(Some(folders(of_shell)));
        Self { own: folders(own), usual: folders(usual), of_shell, state: None }
    }

    /// Our own folders and the usual ones. If ours are hardly any, also what the shell said, now or earlier.
    pub(super) async fn quick(&self) -> Vec<PathBuf> {
        if let Some(of_shell) = self.of_shell.get() {
            return self.with(of_shell);
        }
        if !is_minimal(&self.own) {
            return self.with(&[]);
        }
        match self.remembered() {
            Some(of_shell) => self.with(&of_shell),
            None => self.full().await,
        }
    }

    /// All folders, those of the login shell included.
    pub(super) async fn full(&self) -> Vec<PathBuf> {
        self.with(self.of_shell.get_or_init(|| self.ask_shell()).await)
    }

    fn with(&self, of_shell: &[PathBuf]) -> Vec<PathBuf> {
        if is_minimal(&self.own) {
            // As in a terminal: what a person installed comes before what the system brought.
            merge([of_shell, &self.own, &self.usual])
        } else {
            merge([&self.own, of_shell, &self.usual])
        }
    }
}

#[cfg(unix)]
impl SearchPath {
    fn remembered(&self) -> Option<Vec<PathBuf>> {
        remembered::read(self.state.as_deref()?, &login_shell::of_this_user())
    }

    async fn ask_shell(&self) -> Vec<PathBuf> {
        let shell = login_shell::of_this_user();
        let folders = login_shell::ask(&shell, login_shell::PATIENCE).await;
        if let Some(state) = self.state.as_deref().filter(|_| !folders.is_empty()) {
            remembered::write(state, &shell, &folders);
        }
        folders
    }
}

/// There is no login shell on other systems.
#[cfg(not(unix))]
impl SearchPath {
    fn remembered(&self) -> Option<Vec<PathBuf>> {
        None
    }

    async fn ask_shell(&self) -> Vec<PathBuf> {
        Vec::new()
    }
}

/// The folders as the value of a `PATH`.
pub(super) fn join(folders: &[PathBuf]) -> OsString {
    let separator = if cfg!(windows) { ";" } else { ":" };
    // `std::env::join_paths` refuses them all for one folder with a separator in its name, which nobody can search.
    let mut path = OsString::new();
    for folder in folders.iter().filter(|folder| !folder.to_string_lossy().contains(separator)) {
        if !path.is_empty() {
            path.push(separator);
        }
        path.push(folder);
    }
    path
}

/// The folders as a person reads them.
pub(super) fn display(folders: &[PathBuf]) -> String {
    if folders.is_empty() {
        "(empty)".to_owned()
    } else {
        join(folders).to_string_lossy().escape_debug().to_string()
    }
}

fn is_minimal(folders: &[PathBuf]) -> bool {
    folders.iter().all(|folder| MINIMAL.iter().any(|minimal| folder == Path::new(minimal)))
}

fn merge(lists: [&[PathBuf]; 3]) -> Vec<PathBuf> {
    let mut merged: Vec<PathBuf> = Vec::new();
    for folder in lists.into_iter().flatten() {
        if !folder.as_os_str().is_empty() && !merged.contains(folder) {
            merged.push(folder.clone());
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folders(path: &str) -> Vec<PathBuf> {
        std::env::split_paths(path).collect()
    }

    #[test]
    fn a_desktop_application_has_a_minimal_path() {
        for path in ["/usr/bin:/bin", "/usr/bin:/bin:/usr/sbin:/sbin"] {
            assert!(is_minimal(&folders(path)), "{path}");
        }
        assert!(is_minimal(&[]));
        assert!(!is_minimal(&folders("/usr/bin:/bin:/usr/local/bin")));
    }

    #[tokio::test]
    async fn what_the_shell_knows_comes_first_only_for_a_minimal_path() {
        let check = async |own: &str, expected: &str| {
            let path = SearchPath::fixed(own, "/usual:/shell", "/shell:/bin");
            assert_eq!(display(&path.full().await), expected);
            assert_eq!(display(&path.quick().await), expected);
        };
        check("/usr/bin:/bin", "/shell:/bin:/usr/bin:/usual").await;
        check("/mine:/bin", "/mine:/bin:/shell:/usual").await;
        check("", "/shell:/bin:/usual").await;
    }
}
