//! Writing a config file so that nobody ever reads half of it, and the old one is still there.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::failure::Code;

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    /// The file itself: behind symbolic links, if the config is one.
    pub path: PathBuf,
    /// Where the old text is, unless there was none or nothing changed.
    pub backup: Option<PathBuf>,
}

/// Why a file was not written. The old one is as it was.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// It does not hold any more what was changed.
    #[error("{} was changed by somebody else meanwhile", .0.display())]
    Changed(PathBuf),
    /// It is marked as not to be changed.
    #[error("{} is read-only", .0.display())]
    ReadOnly(PathBuf),
    /// The system refused.
    #[error("cannot write {}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl SaveError {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            SaveError::Changed(_) => Code::EditChanged,
            SaveError::ReadOnly(_) | SaveError::Io { .. } => Code::EditWrite,
        }
    }
}

/// Writes a config file atomically: into a temporary file beside it, to the disk, then into its place. Follows symbolic
/// links, keeps mode and owner, and keeps the old text as `<name>.bak` beside it. `before` is what the file held when it
/// was read (`None`: it did not exist); if it holds something else now, nothing is written. A new file, and folders that
/// are created for it, are for their owner alone, since configs may hold secrets.
pub fn save(path: &Path, before: Option<&str>, text: &str) -> Result<Saved, SaveError> {
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let failed = |source| SaveError::Io { path: target.clone(), source };
    let old = match fs::read(&target) {
        Ok(bytes) => Some(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed(error)),
    };
    if old.as_deref() != before.map(str::as_bytes) {
        return Err(SaveError::Changed(target));
    }
    if before == Some(text) {
        return Ok(Saved { path: target, backup: None });
    }
    let metadata = fs::metadata(&target).ok();
    if metadata.as_ref().is_some_and(|metadata| metadata.permissions().readonly()) {
        return Err(SaveError::ReadOnly(target));
    }
    let folder = target.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    create_folder(folder).map_err(|source| SaveError::Io { path: folder.to_owned(), source })?;
    let temporary = Temporary::beside(&target);
    write(&temporary.0, text, metadata.as_ref()).map_err(failed)?;
    let backup = match old {
        Some(_) => Some(back_up(&target).map_err(failed)?),
        None => None,
    };
    fs::rename(&temporary.0, &target).map_err(failed)?;
    sync_folder(folder);
    Ok(Saved { path: target, backup })
}

/// A file that is removed unless it was moved to its place.
struct Temporary(PathBuf);

impl Temporary {
    fn beside(target: &Path) -> Self {
        let mut name = OsString::from(".");
        name.push(target.file_name().unwrap_or_default());
        name.push(format!(".{:08x}.tmp", fastrand::u32(..)));
        Self(target.with_file_name(name))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // Usually it is gone already: it has become the file.
        let _ = fs::remove_file(&self.0);
    }
}

fn write(path: &Path, text: &str, like: Option<&fs::Metadata>) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    if let Some(like) = like {
        keep_owner(&file, like)?;
        file.set_permissions(like.permissions())?;
    }
    file.sync_all()
}

/// Somebody else's file, changed by an administrator, stays theirs.
#[cfg(unix)]
fn keep_owner(file: &File, like: &fs::Metadata) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    let own = file.metadata()?;
    if (own.uid(), own.gid()) == (like.uid(), like.gid()) {
        return Ok(());
    }
    std::os::unix::fs::fchown(file, Some(like.uid()), Some(like.gid()))
}

#[cfg(not(unix))]
fn keep_owner(_: &File, _: &fs::Metadata) -> io::Result<()> {
    Ok(())
}

/// Keeps the old file under the name of the backup, as it is; where the file system has no links, a copy of it.
fn back_up(target: &Path) -> io::Result<PathBuf> {
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(".bak");
    let backup = target.with_file_name(name);
    let temporary = Temporary::beside(&backup);
    if fs::hard_link(target, &temporary.0).is_err() {
        fs::copy(target, &temporary.0)?;
    }
    fs::rename(&temporary.0, &backup)?;
    Ok(backup)
}

fn create_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// That the file has its name survives a power failure only once the folder is on the disk. Not every system can do it.
fn sync_folder(folder: &Path) {
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_file_is_for_its_owner_and_has_no_backup() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("new/switchboard.yaml");
        let saved = save(&path, None, "a: 1\n").unwrap();
        assert_eq!(saved.backup, None);
        assert_eq!(fs::read_to_string(&path).unwrap(), "a: 1\n");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
        }
    }

    #[test]
    fn a_file_that_changed_meanwhile_is_left_alone() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("switchboard.yaml");
        fs::write(&path, "theirs").unwrap();
        assert!(matches!(save(&path, Some("ours"), "new"), Err(SaveError::Changed(_))));
        assert!(matches!(save(&path, None, "new"), Err(SaveError::Changed(_))));
        assert_eq!(fs::read_to_string(&path).unwrap(), "theirs");
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn links_and_modes_are_kept_and_the_old_text_is_beside() {
        use std::os::unix::fs::PermissionsExt;
        let home = tempfile::tempdir().unwrap();
        let real = home.path().join("dotfiles.yaml");
        let link = home.path().join("switchboard.yaml");
        fs::write(&real, "old").unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        for (before, after) in [("old", "new"), ("new", "newer")] {
            let saved = save(&link, Some(before), after).unwrap();
            assert!(link.is_symlink());
            assert_eq!(fs::read_to_string(&real).unwrap(), after);
            assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
            assert_eq!(fs::read_to_string(saved.backup.unwrap()).unwrap(), before);
        }
        assert_eq!(save(&link, Some("newer"), "newer").unwrap().backup, None);
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 3);
    }

    #[cfg(unix)]
    #[test]
    fn a_read_only_file_stays() {
        use std::os::unix::fs::PermissionsExt;
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("switchboard.yaml");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).unwrap();
        assert!(matches!(save(&path, Some("old"), "new"), Err(SaveError::ReadOnly(_))));
    }
}
