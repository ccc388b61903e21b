//! The socket by which the own user looks at a running Switchboard: one per process, in the folder `run` of the state.
//!
//! Nothing can be changed through it, and nobody else reaches it: its folder and the socket itself are the user's alone, and
//! whoever connects must be the same user. The one that a killed process leaves behind is known by nobody answering, and removed.

use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream as Blocking;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

use super::desk::{Desk, Door};
use super::listen::Rounds;

/// The socket comes a moment after the start: the first client is answered before, and one that only probes leaves nothing.
const BREATH: Duration = Duration::from_millis(50);
/// A path of a socket has fewer bytes than this on every system (`sun_path`).
const MAX_PATH: usize = 100;
/// How long an answer may take, and how large it may be.
const PATIENCE: Duration = Duration::from_secs(5);
const MAX_ANSWER: u64 = 64 << 20;

/// The folder of the sockets.
pub fn folder(state: &Path) -> PathBuf {
    state.join("run")
}

/// Serves those who look, until `shutdown`.
pub(super) async fn serve(desk: Arc<Desk>, state: PathBuf, shutdown: CancellationToken) {
    if shutdown.run_until_cancelled(tokio::time::sleep(BREATH)).await.is_none() {
        return;
    }
    let bound = tokio::task::spawn_blocking(move || {
        let folder = folder(&state);
        make_folder(&folder)?;
        let socket = Socket::bind(&folder.join(format!("{}.sock", std::process::id())))?;
        // What others left behind is nobody's.
        let _ = instances(&state);
        Ok::<_, io::Error>(socket)
    });
    let socket = match bound.await.map_err(io::Error::other).and_then(|bound| bound) {
        Ok(socket) => socket,
        Err(error) => {
            tracing::warn!(%error, "`switchboard status` will not find this process");
            return;
        }
    };
    let rounds = Rounds::new(desk, Door { names: None, lock: None, looks_only: true });
    loop {
        let accepted = async { (rounds.connections.place().await, socket.accept().await) };
        tokio::select! {
            () = shutdown.cancelled() => break,
            (place, accepted) = accepted => match accepted {
                Ok(stream) => rounds.serve(stream, place),
                Err(error) => {
                    tracing::debug!(%error, "a connection could not be accepted");
                    tokio::time::sleep(BREATH).await;
                }
            },
        }
    }
    drop(socket);
    rounds.end().await;
}

/// A listening socket that only its user reaches. Its file is gone when it is dropped.
pub(super) struct Socket {
    listener: UnixListener,
    path: PathBuf,
    /// Tells our file from one that has taken its place.
    inode: u64,
}

impl Socket {
    /// Listens. What a process that has died left at the path is replaced. Must be called inside the runtime; waits for the disk.
    pub(super) fn bind(path: &Path) -> io::Result<Self> {
        match reach(path, |path| Blocking::connect(path)) {
            Ok(_) => return Err(io::ErrorKind::AddrInUse.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(_) if is_socket(path) => {}
            Err(error) => return Err(error),
        }
        // Under its own name it is never there without the rights that it is to have.
        let early = path.with_extension(format!("{}~", std::process::id()));
        let _ = std::fs::remove_file(&early);
        let listener = reach(&early, |path| UnixListener::bind(path))?;
        let placed = std::fs::set_permissions(&early, std::fs::Permissions::from_mode(0o600))
            .and_then(|()| std::fs::rename(&early, path))
            .and_then(|()| std::fs::symlink_metadata(path));
        match placed {
            Ok(data) => Ok(Self { listener, path: path.to_owned(), inode: data.ino() }),
            Err(error) => {
                let _ = std::fs::remove_file(&early);
                Err(error)
            }
        }
    }

    /// The next connection of the same user. Cancel safe.
    pub(super) async fn accept(&self) -> io::Result<UnixStream> {
        loop {
            let (stream, _) = self.listener.accept().await?;
            let user = stream.peer_cred()?.uid();
            if user == nix::unistd::geteuid().as_raw() {
                return Ok(stream);
            }
            tracing::warn!(user, "another user's connection to our socket was refused");
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if std::fs::symlink_metadata(&self.path).is_ok_and(|data| data.ino() == self.inode) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// A running Switchboard of this user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Its process.
    pub pid: u32,
    /// Its socket.
    pub path: PathBuf,
}

/// The Switchboards that run with this state folder, by their process ids. Sockets of dead ones are removed.
///
/// # Errors
/// The folder cannot be read. That there is none is no error.
pub fn instances(state: &Path) -> io::Result<Vec<Instance>> {
    let entries = match std::fs::read_dir(folder(state)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut instances = Vec::new();
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Some(pid) = name.strip_suffix(".sock").and_then(|pid| pid.parse().ok()) else { continue };
        match reach(&path, |path| Blocking::connect(path)) {
            Ok(_) => instances.push(Instance { pid, path }),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused && is_socket(&path) => {
                let _ = std::fs::remove_file(&path);
            }
            Err(_) => {}
        }
    }
    instances.sort_by_key(|instance| instance.pid);
    Ok(instances)
}

impl Instance {
    /// What it answers to `GET target`: the body. Waits for it.
    ///
    /// # Errors
    /// It is gone, does not answer, or refuses.
    pub fn get(&self, target: &str) -> io::Result<Vec<u8>> {
        let mut stream = reach(&self.path, |path| Blocking::connect(path))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        write!(stream, "GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.take(MAX_ANSWER).read_to_end(&mut answer)?;
        let end = memchr::memmem::find(&answer, b"\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        let status = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let body = answer.split_off(end + 4);
        match status.as_str() {
            "200" => Ok(body),
            status => Err(io::Error::other(format!("it answered with status {status}"))),
        }
    }
}

fn is_socket(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|data| data.file_type().is_socket())
}

fn make_folder(path: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))
}

/// Does something with the path of a socket; with another path to the same place if it is too long for one.
fn reach<T>(path: &Path, act: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    if path.as_os_str().len() <= MAX_PATH {
        return act(path);
    }
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidFilename.into());
    };
    // Linux shows every open folder under a short name.
    let folder = std::fs::File::open(folder)?;
    let short = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&folder));
    act(&Path::new(&short).join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_is_the_users_alone_and_goes_with_its_owner() {
        let state = tempfile::tempdir().unwrap();
        // Longer than the path of a socket may be.
        let state = state.path().join("x".repeat(120));
        make_folder(&folder(&state)).unwrap();
        let path = folder(&state).join("1.sock");
        let socket = Socket::bind(&path).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&folder(&state))), (0o600, 0o700));
        assert!(Socket::bind(&path).is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse));
        assert_eq!(instances(&state).unwrap(), [Instance { pid: 1, path: path.clone() }]);
        drop(socket);
        assert!(!path.exists() && instances(&state).unwrap().is_empty());
    }

    #[tokio::test]
    async fn what_a_dead_process_left_is_removed() {
        let state = tempfile::tempdir().unwrap();
        make_folder(&folder(state.path())).unwrap();
        let path = folder(state.path()).join("2.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "closing it leaves the file");
        let socket = Socket::bind(&path).unwrap();
        drop(socket);
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        std::fs::write(folder(state.path()).join("notes.txt"), "").unwrap();
        std::fs::write(folder(state.path()).join("3.sock"), "no socket").unwrap();
        assert!(instances(state.path()).unwrap().is_empty());
        assert!(!path.exists() && folder(state.path()).join("3.sock").exists());
    }
}
