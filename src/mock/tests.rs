//! Tests of the mock: the other side is played over in-memory pipes; where the process matters, over a real one.

mod basics;
mod faces;
mod fixtures;
mod http;
mod modern;
#[cfg(unix)]
mod process;
mod scripts;
mod steps;
mod tasks;

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::JoinHandle;

use super::*;

/// A client of one mock in memory.
struct Client {
    input: Option<DuplexStream>,
    output: DuplexStream,
    buffer: bytes::BytesMut,
    server: JoinHandle<Outcome>,
    stderr: Shared,
    next_id: u64,
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Client {
    fn of(script: &str) -> Self {
        Self::with(script, |_| {})
    }

    fn with(script: &str, change: impl FnOnce(&mut Hooks)) -> Self {
        let script = parse(script).unwrap_or_else(|error| panic!("{error}"));
        let (input, reader) = tokio::io::duplex(64 * 1024);
        let (output, writer) = tokio::io::duplex(64 * 1024);
        let stderr = Shared::default();
        let mut hooks = Hooks { stderr: Box::new(stderr.clone()), ..Hooks::in_memory() };
        change(&mut hooks);
        let server = tokio::spawn(serve(script, reader, writer, hooks));
        Self { input: Some(input), output, buffer: bytes::BytesMut::new(), server, stderr, next_id: 1 }
    }

    async fn send(&mut self, line: &str) {
        self.input.as_mut().unwrap().write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }

    /// The next line as it was written, or none at the end of the output.
    async fn line(&mut self) -> Option<Vec<u8>> {
        let read = async {
            loop {
                if let Some(at) = memchr::memchr(b'\n', &self.buffer) {
                    return Some(self.buffer.split_to(at + 1)[..at].to_vec());
                }
                if self.output.read_buf(&mut self.buffer).await.unwrap() == 0 {
                    return (!self.buffer.is_empty()).then(|| self.buffer.split().to_vec());
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(20), read).await.expect("a line in time")
    }

    async fn text(&mut self) -> String {
        String::from_utf8(self.line().await.expect("a line")).unwrap()
    }

    async fn json(&mut self) -> Value {
        let text = self.text().await;
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// Sends a request; gives its id.
    async fn request(&mut self, method: &str, params: Value) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string()).await;
        id
    }

    /// Sends a request and takes the next message as its response.
    async fn ask(&mut self, method: &str, params: Value) -> Value {
        let id = self.request(method, params).await;
        let response = self.json().await;
        assert_eq!(response["id"], json!(id), "{response}");
        response
    }

    async fn call(&mut self, tool: &str, arguments: Value) -> Value {
        self.ask("tools/call", json!({"name": tool, "arguments": arguments})).await
    }

    /// Calls without waiting, with a progress token.
    async fn begin(&mut self, tool: &str) -> u64 {
        let token = format!("t{}", self.next_id);
        self.request("tools/call", json!({"name": tool, "arguments": {}, "_meta": {"progressToken": token}}))
            .await
    }

    async fn notify(&mut self, method: &str, params: Value) {
        self.send(&json!({"jsonrpc": "2.0", "method": method, "params": params}).to_string()).await;
    }

    /// Waits for the server to end of itself.
    async fn outcome(self) -> Outcome {
        tokio::time::timeout(Duration::from_secs(20), self.server).await.expect("an end in time").unwrap()
    }

    /// Closes the input and waits for the end.
    async fn close(mut self) -> Outcome {
        self.input = None;
        self.outcome().await
    }

    fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr.0.lock().unwrap()).into_owned()
    }
}

/// The text of a tool result.
fn said(response: &Value) -> &str {
    response["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("no text in {response}"))
}
