//! Servers on a Unix socket that speak in lines, as children do on their pipes.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedReadHalf;
use tokio::sync::watch;

use super::http::unreachable;
use super::{BoxFuture, Connection, Opening, Over, Patience, Peer, Traffic, Transport};
use crate::config::RemoteLaunch;
use crate::failure::{Code, Failure};
use crate::supervisor::Ending;

/// The way to a server on a socket.
pub(super) struct UnixTransport {
    path: PathBuf,
    patience: Patience,
}

impl UnixTransport {
    pub(super) fn new(launch: &RemoteLaunch, patience: Patience) -> Result<Self, Failure> {
        let wrong = || {
            Failure::new(Code::ConfigValue, "`url` names no socket")
                .remedy("Write the whole path after `unix://`, as in `unix:///run/user/1000/server.sock`")
        };
        let path = launch.url.strip_prefix("unix://").ok_or_else(wrong)?;
        let path = percent_encoding::percent_decode_str(path).decode_utf8().map_err(|_| wrong())?;
        if !path.starts_with('/') {
            return Err(wrong());
        }
        Ok(Self { path: PathBuf::from(path.into_owned()), patience })
    }

    async fn open(&self, opening: Opening) -> Result<Connection, Failure> {
        let place = format!("the socket {}", self.path.display());
        let connecting = tokio::time::timeout(self.patience.connect, UnixStream::connect(&self.path));
        let failed = |error: io::Error| {
            let timeout = error.kind() == io::ErrorKind::TimedOut;
            unreachable(&error, timeout, &place).of(&opening.server)
        };
        let stream = connecting.await.unwrap_or(Err(io::ErrorKind::TimedOut.into())).map_err(failed)?;
        let (input, output) = stream.into_split();
        let over = watch::Sender::new(None);
        let peer = UnixPeer { place, server: opening.server, over: over.subscribe() };
        let traffic = Traffic::Lines { input: Box::new(Watched { input, over }), output: Box::new(output) };
        Ok(Connection { traffic, peer: Box::new(peer) })
    }
}

impl Transport for UnixTransport {
    fn connect(&self, opening: Opening) -> BoxFuture<'_, Result<Connection, Failure>> {
        Box::pin(self.open(opening))
    }
}

impl fmt::Debug for UnixTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnixTransport").field("path", &self.path).finish_non_exhaustive()
    }
}

/// What the server writes. It tells the peer when that has come to its end.
struct Watched {
    input: OwnedReadHalf,
    over: watch::Sender<Option<String>>,
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut self.input).poll_read(context, buffer));
        match &read {
            Ok(()) if buffer.filled().len() == before && buffer.remaining() > 0 => {
                self.over.send_replace(Some("was closed by the server".to_owned()));
            }
            Ok(()) => {}
            Err(error) => {
                self.over.send_replace(Some(format!("broke: {error}")));
            }
        }
        Poll::Ready(read)
    }
}

struct UnixPeer {
    place: String,
    server: crate::names::ServerName,
    over: watch::Receiver<Option<String>>,
}

impl Peer for UnixPeer {
    fn over(&mut self) -> BoxFuture<'_, Over> {
        Box::pin(async {
            let how = match self.over.wait_for(Option::is_some).await {
                Ok(how) => how.clone().unwrap_or_default(),
                Err(_) => "is not read any more".to_owned(),
            };
            Over::Lost(Failure::new(Code::NetLost, format!("{} {how}", self.place)).of(&self.server))
        })
    }

    /// Both halves of the socket lie with whoever has the traffic; when they are dropped, nothing is left.
    fn end(self: Box<Self>, _ending: Ending) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixListener;

    use super::*;
    use crate::config::RemoteKind;
    use crate::transport::HeaderParams;

    fn transport(url: String) -> Result<UnixTransport, Failure> {
        let launch = RemoteLaunch { url, kind: RemoteKind::Unix, headers: Vec::new(), ca: None };
        UnixTransport::new(&launch, Patience::default())
    }

    fn opening() -> Opening {
        Opening {
            server: "s".into(),
            generation: 1,
            max_message: 1000,
            header_params: Arc::new(HeaderParams::default()),
        }
    }

    #[tokio::test]
    async fn lines_on_a_socket() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let transport = transport(format!("unix://{}", path.display())).unwrap();
        let Connection { traffic, mut peer } = transport.connect(opening()).await.unwrap();
        let Traffic::Lines { mut input, mut output } = traffic else { panic!() };
        let (mut server, _) = listener.accept().await.unwrap();
        output.write_all(b"{}\n").await.unwrap();
        let mut line = [0; 3];
        server.read_exact(&mut line).await.unwrap();
        server.write_all(b"[]\n").await.unwrap();
        drop(server);
        let mut all = String::new();
        input.read_to_string(&mut all).await.unwrap();
        assert_eq!((&line[..], all.as_str()), (&b"{}\n"[..], "[]\n"));
        let Over::Lost(failure) = peer.over().await else { panic!() };
        assert_eq!(failure.code, Code::NetLost, "{failure}");
    }

    #[tokio::test]
    async fn nobody_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.sock");
        let transport = transport(format!("unix://{}", path.display())).unwrap();
        let failure = transport.connect(opening()).await.err().unwrap();
        assert_eq!(
            (failure.code, failure.cause.contains("does not exist")),
            (Code::NetUnreachable, true),
            "{failure}"
        );
        drop(UnixListener::bind(&path).unwrap());
        let failure = transport.connect(opening()).await.err().unwrap();
        assert!(failure.cause.contains("nobody listens"), "{failure}");
    }

    #[test]
    fn an_address_without_a_path() {
        assert_eq!(transport("unix://relative.sock".to_owned()).unwrap_err().code, Code::ConfigValue);
    }
}
