//! Where logins are kept: one file per server, mode 0600, in a folder with mode 0700.
//!
//! Several Switchboards share the folder. A file is replaced as a whole, so that no reader sees half of one; who wants to
//! renew a login holds the server's lock while it does, and reads again once it has it.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::record::Record;
use crate::failure::{Code, Failure};
use crate::names::{ServerName, slug};

/// Larger files are not ours.
const MAX_FILE: u64 = 1 << 20;
/// How long to wait for another process to renew a login. Its requests have shorter limits.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often to look whether it is done.
const LOOK: Duration = Duration::from_millis(20);

/// The folder of all logins.
#[derive(Clone, Debug)]
pub struct AuthStore {
    folder: Option<PathBuf>,
}

/// The place of one server's login.
#[derive(Clone, Debug)]
pub struct Shelf {
    server: ServerName,
    path: Option<PathBuf>,
}

/// Tells one content of a file from another without reading it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stamp(Option<(Option<SystemTime>, u64, u64)>);

/// As long as it lives, nobody else renews this login.
#[derive(Debug)]
pub struct Lock {
    _file: Option<File>,
}

// === impl AuthStore ===

impl AuthStore {
    /// The store below the folder of Switchboard's state. Nothing is created before something is kept.
    pub fn new(state: &Path) -> Self {
        Self { folder: Some(state.join("auth")) }
    }

    /// A store that keeps nothing.
    pub fn nowhere() -> Self {
        Self { folder: None }
    }

    /// The place for the login at a server. The same name with another address is another server.
    pub fn shelf(&self, server: &ServerName, url: &str) -> Shelf {
        let mut hash = Sha256::new();
        hash.update((server.as_str().len() as u64).to_le_bytes());
        hash.update(server.as_str());
        hash.update(url);
        let digits = crate::wire::hex(&hash.finalize()[..8]);
        let slug = slug(server.as_str());
        let file = format!("{}-{digits}.json", &slug[..slug.len().min(40)]);
        Shelf { server: server.clone(), path: self.folder.as_ref().map(|folder| folder.join(file)) }
    }
}

// === impl Shelf ===

impl Shelf {
    /// The file.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Changes whenever the file is replaced or removed.
    pub fn stamp(&self) -> Stamp {
        let metadata = self.path.as_ref().and_then(|path| fs::symlink_metadata(path).ok());
        Stamp(metadata.map(|data| (data.modified().ok(), data.len(), inode(&data))))
    }

    /// What is kept.
    ///
    /// # Errors
    /// Others could have read or changed the file, or it cannot be read.
    pub fn load(&self) -> Result<Record, Failure> {
        let Some(path) = &self.path else { return Ok(Record::default()) };
        let file = match open_own(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Record::default()),
            Err(error) => return Err(self.trouble("cannot be read", &error)),
        };
        self.refuse_loose(path.parent(), 0o700)?;
        self.refuse_loose(Some(path), 0o600)?;
        let mut text = String::new();
        let read = file.take(MAX_FILE + 1).read_to_string(&mut text);
        read.map_err(|error| self.trouble("cannot be read", &error))?;
        if text.len() as u64 > MAX_FILE {
            return Err(self.trouble("cannot be read", &"it is larger than 1MiB"));
        }
        // What serde says about a wrong value may quote it, so only its place is told.
        serde_json::from_str(&text).map_err(|error| {
            let place = format!("it is damaged in line {}", error.line());
            let remedy = format!("Remove it and {}", super::login_remedy(&self.server, "run"));
            self.trouble("cannot be used", &place).remedy(remedy)
        })
    }

    /// Replaces what is kept. Blocks until it is on disk.
    ///
    /// # Errors
    /// It cannot be written, or others could read it; what was kept before stays.
    pub fn save(&self, _: &Lock, record: &Record) -> Result<(), Failure> {
        let Some(path) = &self.path else { return Ok(()) };
        self.make_folder()?;
        let failed = |error: &dyn std::fmt::Display| self.trouble("cannot be written", error);
        let text = serde_json::to_vec_pretty(record).map_err(|error| failed(&error))?;
        // Whoever holds the lock is alone; what a killed process left is in the way.
        let temporary = path.with_extension("tmp");
        let _ = fs::remove_file(&temporary);
        let written = write_new(&temporary, &text).and_then(|()| fs::rename(&temporary, path));
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        written.map_err(|error| failed(&error))
    }

    /// Removes what is kept.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn remove(&self, _: &Lock) -> Result<(), Failure> {
        let Some(path) = &self.path else { return Ok(()) };
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(self.trouble("cannot be removed", &error))
            }
            _ => Ok(()),
        }
    }

    /// Waits until nobody else renews this login, in this process or another. A process that dies lets go.
    ///
    /// # Errors
    /// There is no lock to be had, or it took too long.
    pub async fn lock(&self) -> Result<Lock, Failure> {
        let Some(path) = &self.path else { return Ok(Lock { _file: None }) };
        self.make_folder()?;
        let mut options = File::options();
        options.write(true).create(true).truncate(false);
        private(&mut options);
        let file = options.open(path.with_extension("lock"));
        let file = file.map_err(|error| self.trouble("cannot be locked", &error))?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Lock { _file: Some(file) }),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    tokio::time::sleep(LOOK).await;
                }
                Err(TryLockError::WouldBlock) => {
                    let why = "another Switchboard has been renewing this login for a minute";
                    return Err(self.trouble("cannot be locked", &why));
                }
                Err(TryLockError::Error(error)) => return Err(self.trouble("cannot be locked", &error)),
            }
        }
    }

    fn make_folder(&self) -> Result<(), Failure> {
        let Some(folder) = self.path.as_deref().and_then(Path::parent) else { return Ok(()) };
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(folder).map_err(|error| self.trouble("cannot be written", &error))?;
        self.refuse_loose(Some(folder), 0o700)
    }

    /// Whoever can read these files can act for the user; whoever can change them can send our secrets elsewhere.
    #[cfg(unix)]
    fn refuse_loose(&self, path: Option<&Path>, mode: u32) -> Result<(), Failure> {
        use std::os::unix::fs::{MetadataExt, PermissionsExt};
        let Some(path) = path else { return Ok(()) };
        let data = fs::metadata(path).map_err(|error| self.trouble("cannot be read", &error))?;
        let shown = path.display();
        if data.uid() != nix::unistd::geteuid().as_raw() {
            return Err(self.trouble("are not used", &format!("{shown} belongs to another user")));
        }
        let found = data.permissions().mode() & 0o777;
        if found & 0o077 == 0 {
            return Ok(());
        }
        let why = format!("other users may open {shown} (its mode is {found:04o})");
        Err(self.trouble("are not used", &why).remedy(format!("Run `chmod {mode:o} '{shown}'`")))
    }

    #[cfg(not(unix))]
    fn refuse_loose(&self, _: Option<&Path>, _: u32) -> Result<(), Failure> {
        Ok(())
    }

    fn trouble(&self, what: &str, why: &dyn std::fmt::Display) -> Failure {
        let path = self.path.as_deref().unwrap_or(Path::new("")).display();
        let cause = format!("the stored credentials in {path} {what}: {why}");
        Failure::new(Code::AuthFailed, cause).of(&self.server)
    }
}

/// Opens a file for reading, unless it is a link to somewhere else.
fn open_own(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(
        &mut options,
        (nix::fcntl::OFlag::O_NOFOLLOW | nix::fcntl::OFlag::O_NONBLOCK).bits(),
    );
    options.open(path)
}

fn write_new(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut options = File::options();
    options.write(true).create_new(true);
    private(&mut options);
    let mut file = options.open(path)?;
    file.write_all(text)?;
    // Without this the rename may reach the disk before the content does.
    file.sync_all()
}

fn private(options: &mut fs::OpenOptions) {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    #[cfg(not(unix))]
    let _ = options;
}

#[cfg(unix)]
fn inode(data: &fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(data)
}

#[cfg(not(unix))]
fn inode(_: &fs::Metadata) -> u64 {
    0
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::super::record::{Asked, Client, ClientAuth, ClientOrigin, Grant, Login, Tokens};
    use super::*;
    use crate::config::Secret;

    fn record() -> Record {
        let client = Client {
            id: "id".into(),
            secret: Some(Secret::new("s3cret")),
            method: ClientAuth::ClientSecretBasic,
            origin: ClientOrigin::Registered,
            redirect_uri: Some("http://127.0.0.1:1/callback".into()),
        };
        let tokens = Tokens {
            access: Secret::new("acc3ss"),
            refresh: Some(Secret::new("r3fresh")),
            obtained_at: 1,
            expires_at: Some(2),
            scopes: vec!["a".into()],
        };
        let login = Login {
            issuer: "https://login.example".into(),
            resource: "https://a.example/mcp".into(),
            grant: Grant::AuthorizationCode,
            client,
            token_endpoint: "https://login.example/token".into(),
            revocation_endpoint: None,
            requested: vec!["a".into()],
            tokens: Some(tokens),
        };
        Record { asked: Some(Asked::default()), login: Some(login) }
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[tokio::test]
    async fn what_is_kept_comes_back_and_nobody_else_can_read_it() {
        let state = tempfile::tempdir().unwrap();
        let store = AuthStore::new(state.path());
        let shelf = store.shelf(&"a b".into(), "https://a.example/mcp");
        assert_eq!(shelf.load().unwrap(), Record::default());
        assert_eq!(shelf.stamp(), Stamp(None));
        let lock = shelf.lock().await.unwrap();
        shelf.save(&lock, &record()).unwrap();
        assert_eq!(shelf.load().unwrap(), record());
        assert_eq!((mode(shelf.path().unwrap()), mode(&state.path().join("auth"))), (0o600, 0o700));
        let first = shelf.stamp();
        shelf.save(&lock, &record()).unwrap();
        assert_ne!(shelf.stamp(), first);
        assert_eq!(fs::read_dir(state.path().join("auth")).unwrap().count(), 2, "the file and its lock");
        shelf.remove(&lock).unwrap();
        shelf.remove(&lock).unwrap();
        assert_eq!(shelf.load().unwrap(), Record::default());
    }

    #[test]
    fn nothing_of_it_is_printed() {
        let text = format!("{:?}", record());
        for secret in ["s3cret", "acc3ss", "r3fresh"] {
            assert!(!text.contains(secret), "{text}");
        }
    }

    #[test]
    fn servers_do_not_share() {
        let store = AuthStore::new(Path::new("/x"));
        let path = |name: &str, url: &str| store.shelf(&name.into(), url).path().unwrap().to_owned();
        assert_ne!(path("a", "https://a.example"), path("b", "https://a.example"));
        assert_ne!(path("a", "https://a.example"), path("a", "https://b.example"));
        assert_ne!(path("a", "b"), path("ab", ""));
    }

    #[tokio::test]
    async fn loose_permissions_links_and_damage_are_refused() {
        let state = tempfile::tempdir().unwrap();
        let shelf = AuthStore::new(state.path()).shelf(&"a".into(), "u");
        let lock = shelf.lock().await.unwrap();
        shelf.save(&lock, &record()).unwrap();
        let path = shelf.path().unwrap();
        let refused = |expected: &str| {
            let failure = shelf.load().unwrap_err().to_string();
            assert!(failure.contains(expected) && !failure.contains("acc3ss"), "{failure}");
        };
        fs::set_permissions(path, fs::Permissions::from_mode(0o640)).unwrap();
        refused("chmod 600");
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
        let folder = state.path().join("auth");
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        refused("chmod 700");
        assert!(shelf.save(&lock, &record()).is_err());
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();

        fs::write(path, "{\"login\": \"acc3ss\"}").unwrap();
        refused("damaged in line 1");
        fs::rename(path, state.path().join("elsewhere")).unwrap();
        std::os::unix::fs::symlink(state.path().join("elsewhere"), path).unwrap();
        refused("cannot be read");
    }

    #[tokio::test]
    async fn one_at_a_time() {
        let state = tempfile::tempdir().unwrap();
        let shelf = AuthStore::new(state.path()).shelf(&"a".into(), "u");
        let first = shelf.lock().await.unwrap();
        let again = shelf.clone();
        let mut second = tokio::spawn(async move { again.lock().await.map(drop) });
        let waited = tokio::time::timeout(Duration::from_millis(100), &mut second).await;
        assert!(waited.is_err(), "the second one did not wait");
        drop(first);
        second.await.unwrap().unwrap();
        AuthStore::nowhere().shelf(&"a".into(), "u").lock().await.unwrap();
    }
}
