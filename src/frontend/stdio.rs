//! The client on our own stdin and stdout.
//!
//! Pipes and sockets are read and written without blocking; files and terminals, which cannot be polled, by a thread
//! of their own. Before anything else the two descriptors are moved away from 0 and 1: whatever prints by accident,
//! here or in a child, then prints to stderr and not into the protocol.

#[cfg(unix)]
use std::fs::File;
use std::io;
#[cfg(unix)]
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

#[cfg(unix)]
use nix::fcntl::{FcntlArg, OFlag, fcntl};
#[cfg(unix)]
use nix::sys::stat::{SFlag, fstat};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
#[cfg(unix)]
use tokio::net::unix::pipe;

use crate::frontend::Session;
use crate::wire::LineReader;

/// The longest line that is read from a client.
pub const MAX_LINE: usize = 16 << 20;

/// Reads the client's lines until it closes the connection.
pub async fn read_client(session: &Arc<Session>, mut input: impl AsyncRead + Unpin) -> io::Result<()> {
    let mut lines = LineReader::new(MAX_LINE);
    loop {
        // A client that does not read its answers is not read from either: the queue to it is bounded.
        if session.is_full() {
            session.room().await;
        }
        if input.read_buf(lines.space()).await? == 0 {
            if let Some(line) = lines.last_line() {
                session.line(&line);
            }
            return Ok(());
        }
        session.lines(&mut lines);
    }
}

/// Our own stdin and stdout, taken out of everybody else's reach.
pub struct Stdio {
    /// What the client writes.
    pub input: Box<dyn AsyncRead + Unpin + Send>,
    /// What the client reads.
    pub output: Box<dyn AsyncWrite + Unpin + Send>,
    /// Puts the descriptors' flags back when it is dropped.
    pub flags: Vec<Flags>,
}

/// The flags of an open file as we found them. We may share the file with others, who did not ask for non-blocking.
#[cfg(unix)]
pub struct Flags {
    fd: OwnedFd,
    flags: OFlag,
}

#[cfg(unix)]
impl Flags {
    fn of(fd: &OwnedFd) -> io::Result<Self> {
        let flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL)?);
        Ok(Self { fd: fd.try_clone()?, flags })
    }
}

#[cfg(unix)]
impl Drop for Flags {
    fn drop(&mut self) {
        let _ = fcntl(&self.fd, FcntlArg::F_SETFL(self.flags));
    }
}

#[cfg(unix)]
impl Stdio {
    /// Takes stdin and stdout. Must be called inside the runtime, once, before anything is printed or spawned.
    ///
    /// # Errors
    /// The descriptors are closed, or the system refuses to copy them.
    pub fn take() -> io::Result<Stdio> {
        // Copies made this way are not inherited by children.
        let input = io::stdin().as_fd().try_clone_to_owned()?;
        let output = io::stdout().as_fd().try_clone_to_owned()?;
        nix::unistd::dup2_stdin(File::open("/dev/null")?)?;
        nix::unistd::dup2_stdout(io::stderr())?;
        let flags = vec![Flags::of(&input)?, Flags::of(&output)?];
        Ok(Stdio { input: reader(input)?, output: writer(output)?, flags })
    }
}

/// Whether a descriptor is a pipe or a socket: somebody may be at its other end. A terminal, a file or `/dev/null` is not.
#[cfg(unix)]
pub fn is_held(fd: &impl AsFd) -> bool {
    fstat(fd).is_ok_and(|stat| {
        let kind = SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT;
        kind == SFlag::S_IFIFO || kind == SFlag::S_IFSOCK
    })
}

/// Whether somebody may be at the other end of our stdin.
#[cfg(not(unix))]
pub fn is_held(_: &std::io::Stdin) -> bool {
    false
}

#[cfg(unix)]
enum Kind {
    Pipe,
    Socket,
    Other,
}

#[cfg(unix)]
fn kind(fd: &OwnedFd) -> io::Result<Kind> {
    let kind = SFlag::from_bits_truncate(fstat(fd)?.st_mode) & SFlag::S_IFMT;
    Ok(match kind {
        SFlag::S_IFIFO => Kind::Pipe,
        SFlag::S_IFSOCK => Kind::Socket,
        _ => Kind::Other,
    })
}

#[cfg(unix)]
fn reader(fd: OwnedFd) -> io::Result<Box<dyn AsyncRead + Unpin + Send>> {
    Ok(match kind(&fd)? {
        Kind::Pipe => Box::new(pipe::Receiver::from_owned_fd(fd)?),
        Kind::Socket => Box::new(socket(fd)?),
        Kind::Other => Box::new(tokio::fs::File::from_std(File::from(fd))),
    })
}

#[cfg(unix)]
fn writer(fd: OwnedFd) -> io::Result<Box<dyn AsyncWrite + Unpin + Send>> {
    Ok(match kind(&fd)? {
        Kind::Pipe => Box::new(pipe::Sender::from_owned_fd(fd)?),
        Kind::Socket => Box::new(socket(fd)?),
        Kind::Other => Box::new(tokio::fs::File::from_std(File::from(fd))),
    })
}

/// Node gives its children sockets for stdin and stdout.
#[cfg(unix)]
fn socket(fd: OwnedFd) -> io::Result<tokio::net::UnixStream> {
    let socket = std::os::unix::net::UnixStream::from(fd);
    socket.set_nonblocking(true)?;
    tokio::net::UnixStream::from_std(socket)
}

#[cfg(not(unix))]
/// Nothing to put back on this system.
pub struct Flags;

#[cfg(not(unix))]
impl Stdio {
    /// Takes stdin and stdout.
    ///
    /// # Errors
    /// None on this system.
    pub fn take() -> io::Result<Stdio> {
        Ok(Stdio {
            input: Box::new(tokio::io::stdin()),
            output: Box::new(tokio::io::stdout()),
            flags: Vec::new(),
        })
    }
}
