//! Where programs are looked for.
//!
//! Desktop applications start us with a `PATH` that lacks nearly everything a person installed. So we also look where
//! their login shell would, and in the places that installers use. The shell is asked at most once per run, and only
//! when there is need: it may take as long as somebody's start-up files do.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use tokio::sync::OnceCell;

#[cfg(unix)]
mod login_shell;
mod usual;

/// What desktop applications hand down.
const MINIMAL: &[&str] = &["/usr/bin", "/bin", "/usr/sbin", "/sbin"];

/// The folders to search, as far as they are known by now.
#[derive(Debug)]
pub(super) struct SearchPath {
    own: Vec<PathBuf>,
    usual: Vec<PathBuf>,
    of_shell: OnceCell<Vec<PathBuf>>,
}

// === impl SearchPath ===

impl SearchPath {
    pub(super) fn of_this_process() -> Self {
        let own =
            std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default();
        let home = std::env::home_dir();
        Self { own, usual: usual::existing(home.as_deref()), of_shell: OnceCell::new() }
    }

    /// One that asks nobody.
    #[cfg(test)]
    pub(super) fn fixed(own: &str, usual: &str, of_shell: &str) -> Self {
        let folders = |path: &str| std::env::split_paths(path).collect();
        Self {
            own: folders(own),
            usual: folders(usual),
            of_shell: OnceCell::new_with(Some(folders(of_shell))),
        }
    }

    /// Our own folders and the usual ones. Asks the shell only if ours are hardly any.
    pub(super) async fn quick(&self) -> Vec<PathBuf> {
        if is_minimal(&self.own) || self.of_shell.initialized() {
            return self.full().await;
        }
        merge([&self.own, &self.usual])
    }

    /// All folders, those of the login shell included.
    pub(super) async fn full(&self) -> Vec<PathBuf> {
        let of_shell = self.of_shell.get_or_init(ask_shell).await;
        if is_minimal(&self.own) {
            // As in a terminal: what a person installed comes before what the system brought.
            merge([of_shell, &self.own, &self.usual])
        } else {
            merge([&self.own, of_shell, &self.usual])
        }
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

fn merge<const N: usize>(lists: [&Vec<PathBuf>; N]) -> Vec<PathBuf> {
    let mut merged: Vec<PathBuf> = Vec::new();
    for folder in lists.into_iter().flatten() {
        if !folder.as_os_str().is_empty() && !merged.contains(folder) {
            merged.push(folder.clone());
        }
    }
    merged
}

#[cfg(unix)]
async fn ask_shell() -> Vec<PathBuf> {
    let shell = login_shell::of_this_user();
    login_shell::ask(&shell, login_shell::PATIENCE).await
}

#[cfg(not(unix))]
async fn ask_shell() -> Vec<PathBuf> {
    Vec::new()
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
