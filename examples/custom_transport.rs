//! A transport of your own: JSON-RPC messages as lines over TCP, which MCP does not define and some servers speak.
//!
//! A transport opens connections; a connection is a pair of queues of messages and a [`Peer`], who knows how it ends.
//! Nothing else is needed: ids, handshakes, timeouts and restarts are the relay's. (A transport that has nothing but a
//! stream of lines can hand that out as [`Traffic::Lines`] and leave the framing to the relay too.)
//!
//! `cargo run --example custom_transport` starts a server on this machine, connects to it and shows what comes back. In a
//! program of yours the transport is handed to `Switchboard::with_transport("my-server", Arc::new(transport))`.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use switchboard::failure::{Code, Failure};
use switchboard::supervisor::Ending;
use switchboard::transport::{
    BoxFuture, Connection, HeaderParams, Inbound, Opening, Over, Peer, Traffic, Transport,
};
use switchboard::wire::{Line, LineReader};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// The way to a server that speaks lines over TCP.
#[derive(Debug)]
struct LinesOverTcp {
    address: String,
}

impl Transport for LinesOverTcp {
    fn connect(&self, opening: Opening) -> BoxFuture<'_, Result<Connection, Failure>> {
        Box::pin(async move {
            // Say what failed, where, and what would mend it: people read this, and models.
            let failed = |error: io::Error| {
                Failure::new(Code::NetUnreachable, format!("`{}` cannot be reached: {error}", self.address))
                    .remedy("Start the server, or correct its address")
                    .of(&opening.server)
            };
            let connecting = TcpStream::connect(&self.address);
            let stream = tokio::time::timeout(Duration::from_secs(5), connecting)
                .await
                .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
                .map_err(failed)?;

            // Bounded, so that whoever reads slowly makes the other side wait instead of filling our memory.
            let (outgoing, from_relay) = mpsc::channel(64);
            let (to_relay, incoming) = mpsc::channel(64);
            let (over, is_over) = watch::channel(None);
            let task = tokio::spawn(async move {
                let ended = carry(stream, from_relay, to_relay, opening.max_message).await;
                let why = ended.map_or_else(|error| error.to_string(), |()| "the server hung up".to_owned());
                let lost = Failure::new(Code::NetLost, format!("the connection has ended: {why}"));
                over.send_replace(Some(lost.of(&opening.server)));
            });
            Ok(Connection {
                traffic: Traffic::Messages { outgoing, incoming },
                peer: Box::new(TcpPeer { is_over, task }),
            })
        })
    }
}

/// Carries messages both ways until the server hangs up. When the relay has nothing more to say, the server is told so,
/// and its last words are waited for.
async fn carry(
    stream: TcpStream,
    mut from_relay: mpsc::Receiver<Bytes>,
    to_relay: mpsc::Sender<Inbound>,
    max_message: usize,
) -> io::Result<()> {
    let (mut input, mut output) = stream.into_split();
    let writing = async {
        while let Some(message) = from_relay.recv().await {
            output.write_all(&message).await?;
            output.write_all(b"\n").await?;
        }
        output.shutdown().await
    };
    let reading = async {
        let mut lines = LineReader::new(max_message);
        while input.read_buf(lines.space()).await? > 0 {
            while let Some(line) = lines.next_line() {
                let inbound = match line {
                    Line::Whole(text) => Inbound::Message { text, about: None },
                    Line::TooLong { head, tail, length } => {
                        Inbound::TooLong { about: None, ends: [head, tail], length }
                    }
                };
                if to_relay.send(inbound).await.is_err() {
                    return Ok(());
                }
            }
        }
        Ok(())
    };
    tokio::select! {
        ended = reading => ended,
        Err(error) = writing => Err(error),
    }
}

/// The other side of a connection.
struct TcpPeer {
    is_over: watch::Receiver<Option<Failure>>,
    task: JoinHandle<()>,
}

impl Peer for TcpPeer {
    fn over(&mut self) -> BoxFuture<'_, Over> {
        Box::pin(async {
            let lost = match self.is_over.wait_for(Option::is_some).await {
                Ok(lost) => lost.clone(),
                Err(_) => None,
            };
            Over::Lost(lost.unwrap_or_else(|| Failure::new(Code::NetLost, "the connection has ended")))
        })
    }

    fn end(self: Box<Self>, ending: Ending) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            // The relay has closed its queue, so the server was told; it has the time that is given.
            let task = self.task.abort_handle();
            if tokio::time::timeout(ending.kill_after, self.task).await.is_err() {
                task.abort();
            }
        })
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let transport = LinesOverTcp { address: listener.local_addr()?.to_string() };
    tokio::spawn(serve(listener));

    // What the relay does with a transport, in short.
    let opening = Opening {
        server: "example".into(),
        generation: 1,
        max_message: 16 << 20,
        header_params: Arc::new(HeaderParams::default()),
    };
    let Connection { traffic, peer } = transport.connect(opening).await?;
    let Traffic::Messages { outgoing, mut incoming } = traffic else {
        return Err("the transport carries messages".into());
    };
    outgoing.send(Bytes::from_static(br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#)).await?;
    let Some(Inbound::Message { text, .. }) = incoming.recv().await else {
        return Err("the server says something".into());
    };
    drop(outgoing);
    peer.end(Ending::SHUTDOWN).await;

    let mut stdout = tokio::io::stdout();
    stdout.write_all(&text).await?;
    stdout.write_all(b"\n").await?;
    stdout.flush().await?;
    Ok(())
}

/// A server that knows one answer.
async fn serve(listener: TcpListener) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        let (input, mut output) = stream.into_split();
        let mut lines = BufReader::new(input).lines();
        while let Some(_line) = lines.next_line().await? {
            output.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n").await?;
        }
    }
}
