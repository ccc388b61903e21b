//! What `--fix` can do. Nothing here loses what somebody may want back.

use std::fmt;
use std::fs;
use std::io;
use std::path::PathBuf;

use crate::supervisor::{self, Orphan};

/// One repair.
#[derive(Debug)]
pub(super) enum Repair {
    /// Takes rights away from others.
    Mode { path: PathBuf, mode: u32 },
    /// Removes what a killed process left.
    Remove(PathBuf),
    /// Puts a damaged file aside, as `<name>.damaged`.
    Aside(PathBuf),
    /// Kills a process whose owner is gone.
    Kill(Orphan),
}

impl Repair {
    pub(super) fn carry_out(&self) -> io::Result<()> {
        match self {
            #[cfg(unix)]
            Self::Mode { path, mode } => {
                use std::os::unix::fs::PermissionsExt;
                fs::set_permissions(path, fs::Permissions::from_mode(*mode))
            }
            #[cfg(not(unix))]
            Self::Mode { .. } => Err(io::ErrorKind::Unsupported.into()),
            Self::Remove(path) => fs::remove_file(path),
            Self::Aside(path) => fs::rename(path, aside(path)),
            Self::Kill(orphan) if supervisor::kill_orphan(orphan) => Ok(()),
            Self::Kill(_) => Err(io::Error::other("it is not there any more")),
        }
    }
}

fn aside(path: &std::path::Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".damaged");
    path.with_file_name(name)
}

impl fmt::Display for Repair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mode { path, mode } => write!(f, "chmod {mode:o} {}", path.display()),
            Self::Remove(path) => write!(f, "rm {}", path.display()),
            Self::Aside(path) => write!(f, "mv {} {}", path.display(), aside(path).display()),
            Self::Kill(orphan) => write!(f, "kill -9 {}", orphan.pid),
        }
    }
}
