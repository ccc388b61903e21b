//! A client of our own: it speaks MCP to a Switchboard in this process, one request at a time.
//!
//! It keeps results raw, so that what is printed is what a client would get.

use std::io;

use bytes::Bytes;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, ReadHalf, WriteHalf, split};

use crate::protocol::{ListKind, Method, Revision, VERSION};
use crate::wire::{Body, Message, envelope, json};

/// What we call ourselves.
pub const CLI_NAME: &str = "switchboard-cli";

/// See the module.
pub struct Client {
    input: BufReader<ReadHalf<DuplexStream>>,
    output: WriteHalf<DuplexStream>,
    next_id: u64,
}

/// What came back: raw JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The result.
    Result(Bytes),
    /// The JSON-RPC error object.
    Error(Bytes),
}

impl Client {
    /// A client on this end of a pipe.
    pub fn new(stream: DuplexStream) -> Self {
        let (input, output) = split(stream);
        Self { input: BufReader::new(input), output, next_id: 1 }
    }

    /// The handshake. We declare no capabilities, so servers never ask us anything.
    ///
    /// # Errors
    /// The other end has gone.
    pub async fn introduce(&mut self) -> io::Result<()> {
        let params = format!(
            r#"{{"protocolVersion":"{}","capabilities":{{}},"clientInfo":{{"name":"{CLI_NAME}","version":"{VERSION}"}}}}"#,
            Revision::newest_legacy().name
        );
        self.request(Method::Initialize, params.as_bytes(), |_, _| {}).await?;
        self.send(br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await
    }

    /// Sends a request and waits for its answer; `heard` gets the method and the raw parameters of every notification
    /// that comes before it.
    ///
    /// # Errors
    /// The other end has gone.
    pub async fn request(
        &mut self,
        method: Method,
        params: &[u8],
        mut heard: impl FnMut(&str, &[u8]),
    ) -> io::Result<Answer> {
        let id = self.next_id;
        self.next_id += 1;
        let head = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{}","params":"#, method.name());
        self.send(&[head.as_bytes(), params, b"}"].concat()).await?;
        loop {
            let line = self.line().await?;
            match envelope::from_server(&line) {
                Ok(Message::Response { id: Some(of), body })
                    if envelope::own_id(of.of(&line)) == Some(id) =>
                {
                    return Ok(match body {
                        Body::Result(span) => Answer::Result(line.slice(span.start..span.end)),
                        Body::Error(span) => Answer::Error(line.slice(span.start..span.end)),
                    });
                }
                Ok(Message::Notification { method, params }) => {
                    heard(&method, params.map(|span| span.of(&line)).unwrap_or_default());
                }
                _ => {}
            }
        }
    }

    /// All pages of a list; empty if the server says that it has no such list.
    ///
    /// # Errors
    /// The other end has gone.
    pub async fn list(&mut self, kind: ListKind) -> io::Result<Vec<Bytes>> {
        let mut items = Vec::new();
        let mut params = b"{}".to_vec();
        while let Answer::Result(page) = self.request(Method::List(kind), &params, |_, _| {}).await? {
            if let Some(list) = json::get(&page, kind.key()) {
                let offset = list.start;
                items.extend(json::elements(list.of(&page)).map(|item| {
                    let item = item.shifted(offset);
                    page.slice(item.start..item.end)
                }));
            }
            match json::get(&page, "nextCursor").map(|cursor| cursor.of(&page)) {
                Some(cursor) if cursor != b"null" => params = [br#"{"cursor":"#, cursor, b"}"].concat(),
                _ => break,
            }
        }
        Ok(items)
    }

    async fn send(&mut self, line: &[u8]) -> io::Result<()> {
        self.output.write_all(line).await?;
        self.output.write_all(b"\n").await?;
        self.output.flush().await
    }

    async fn line(&mut self) -> io::Result<Bytes> {
        let mut line = Vec::new();
        if self.input.read_until(b'\n', &mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        line.truncate(line.trim_ascii_end().len());
        Ok(line.into())
    }
}
