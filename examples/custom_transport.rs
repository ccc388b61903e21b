//! A transport of your own: JSON-RPC messages as lines over TCP, which MCP does not define and some servers speak.
//!
//! A transport opens connections; a connection is a pair of queues of messages and a [`Peer`], who knows how it ends.
//! Nothing else is needed: ids, handshakes, timeouts and restarts are the relay's. (A transport that has nothing but a
//! stream of lines can hand that out as [`Traffic::Lines`] and leave the framing to the relay too.)
//!
//! `cargo run --example custom_transport` starts a server on this machine, puts a Switchboard before it that reaches it by
//! this transport, and calls a tool as a client would. In a program of yours the transport is handed over where the program
//! is put together, under the name of a server of the config: `Switchboard::builder(loaded).transport("clock", …)`.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use switchboard::app::Switchboard;
use switchboard::cli::client::{Answer, Client};
use switchboard::config::{self, Environment, Syntax};
use switchboard::failure::{Code, Failure};
use switchboard::mock::{self, Hooks};
use switchboard::protocol::{ListKind, Method};
use switchboard::supervisor::Ending;
use switchboard::transport::{BoxFuture, Connection, Inbound, Opening, Over, Peer, Traffic, Transport};
use switchboard::wire::{Line, LineReader};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
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

/// The entry of the server is there for everything else that can be said of it; how it is started is not looked at.
const CONFIG: &str = "servers: { clock: { command: lines-over-tcp, timeouts: { call: 10s } } }";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let transport = LinesOverTcp { address: listener.local_addr()?.to_string() };
    tokio::spawn(serve(listener));

    let loaded =
        config::load_text(CONFIG, Syntax::Yaml, Path::new("/switchboard.yaml"), &Environment::default());
    let switchboard = Switchboard::builder(loaded).transport("clock", Arc::new(transport)).build();

    // A client on the other end of a pipe. In a program of yours these are stdin and stdout.
    let (ours, theirs) = tokio::io::duplex(64 << 10);
    let (input, output) = tokio::io::split(theirs);
    let serving = tokio::spawn(switchboard.serve(input, output, std::future::pending()));
    let mut client = Client::new(ours);
    client.introduce().await?;
    for tool in client.list(ListKind::Tools).await? {
        println!("tool:   {}", String::from_utf8_lossy(&tool));
    }
    let call = br#"{"name":"clock__strike","arguments":{"hour":3}}"#;
    match client.request(Method::ToolsCall, call, |_, _| {}).await? {
        Answer::Result(result) => println!("result: {}", String::from_utf8_lossy(&result)),
        Answer::Error(error) => return Err(String::from_utf8_lossy(&error).into()),
    }
    drop(client);
    serving.await?;
    Ok(())
}

/// A server with one tool. `switchboard mock` would speak these lines on stdin and stdout.
async fn serve(listener: TcpListener) -> io::Result<()> {
    let script = mock::parse("tools: { strike: { answer: \"The clock struck {{hour}}.\" } }");
    let script = script.map_err(io::Error::other)?;
    loop {
        let (stream, _) = listener.accept().await?;
        let (input, output) = stream.into_split();
        mock::serve(script.clone(), input, output, Hooks::in_memory()).await;
    }
}
