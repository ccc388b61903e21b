//! A client that speaks HTTP/1.1 by hand, so that nothing is put right on the way.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

pub(crate) const INITIALIZE: &str =
    r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}"#;
pub(crate) const BOTH: &str = "application/json, text/event-stream";

pub(crate) struct Client {
    stream: BufReader<TcpStream>,
    address: SocketAddr,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

/// An event of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) id: Option<String>,
    pub(crate) retry: Option<String>,
    /// Its type.
    pub(crate) kind: Option<String>,
    pub(crate) data: Option<String>,
    pub(crate) comment: bool,
}

impl Event {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(self.data.as_deref().unwrap_or_default()).unwrap_or_default()
    }

    pub(crate) fn text(&self) -> String {
        self.json()["params"]["text"].as_str().unwrap_or_default().to_owned()
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn is_events(&self) -> bool {
        self.header("content-type") == Some("text/event-stream")
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }

    /// The code of the JSON-RPC error.
    #[track_caller]
    pub(crate) fn code(&self) -> i64 {
        self.json()["error"]["code"].as_i64().unwrap_or_default()
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        self.body.split_terminator("\n\n").map(event).collect()
    }
}

fn event(text: &str) -> Event {
    let mut event = Event::default();
    for line in text.lines() {
        let (name, value) = line.split_once(':').unwrap();
        let value = value.strip_prefix(' ').unwrap_or(value).to_owned();
        match name {
            "" => event.comment = true,
            "id" => event.id = Some(value),
            "event" => event.kind = Some(value),
            "retry" => event.retry = Some(value),
            "data" => match &mut event.data {
                Some(data) => data.push_str(&format!("\n{value}")),
                None => event.data = Some(value),
            },
            _ => panic!("{line}"),
        }
    }
    event
}

pub(crate) fn request(id: u64, method: &str, params: &Value) -> String {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string()
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Client { stream: BufReader::new(stream), address }
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Sends the head of a request, with a `Host` unless there is one among the headers.
    pub(crate) async fn head(&mut self, method: &str, path: &str, headers: &[(&str, &str)]) {
        let mut head = format!("{method} {path} HTTP/1.1\r\n");
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            head.push_str(&format!("Host: {}\r\n", self.address));
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        self.write(head.as_bytes()).await;
    }

    pub(crate) async fn send_post(&mut self, headers: &[(&str, &str)], body: &str) {
        self.send_post_to("/mcp", headers, body).await;
    }

    async fn send_post_to(&mut self, path: &str, headers: &[(&str, &str)], body: &str) {
        let length = body.len().to_string();
        let mut all = vec![("Content-Length", length.as_str())];
        for (name, value) in [("Content-Type", "application/json"), ("Accept", BOTH)] {
            if !headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name)) {
                all.push((name, value));
            }
        }
        all.extend(headers.iter().filter(|(_, value)| *value != "-"));
        self.head("POST", path, &all).await;
        self.write(body.as_bytes()).await;
    }

    /// Posts and reads the whole answer. A header with the value `-` is left out.
    pub(crate) async fn post(&mut self, headers: &[(&str, &str)], body: &str) -> Answer {
        self.send_post(headers, body).await;
        self.answer().await
    }

    /// The same at another path.
    pub(crate) async fn post_to(&mut self, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        self.send_post_to(path, headers, body).await;
        self.answer().await
    }

    /// A request without a body, and its whole answer.
    pub(crate) async fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.head(method, path, headers).await;
        self.answer().await
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        let read = tokio::time::timeout(Duration::from_secs(10), self.stream.read_line(&mut line));
        read.await.expect("a line in time").unwrap();
        line.trim_end().to_owned()
    }

    /// Reads the head of an answer.
    pub(crate) async fn answer_head(&mut self) -> Answer {
        let first = self.line().await;
        let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.unwrap_or_else(|| panic!("{first:?}"));
        let mut headers = Vec::new();
        loop {
            let line = self.line().await;
            let Some((name, value)) = line.split_once(':') else { break };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        Answer { status, headers, body: String::new() }
    }

    /// Reads a whole answer.
    pub(crate) async fn answer(&mut self) -> Answer {
        let head = self.answer_head().await;
        self.rest(head).await
    }

    /// Reads the body behind a head.
    pub(crate) async fn rest(&mut self, mut answer: Answer) -> Answer {
        if answer.header("transfer-encoding") == Some("chunked") {
            while let Some(chunk) = self.chunk().await {
                answer.body.push_str(&chunk);
            }
        } else if let Some(length) = answer.header("content-length") {
            let mut body = vec![0; length.parse().unwrap()];
            self.stream.read_exact(&mut body).await.unwrap();
            answer.body = String::from_utf8(body).unwrap();
        }
        answer
    }

    /// The next chunk of a stream; `None` at its end.
    pub(crate) async fn chunk(&mut self) -> Option<String> {
        let size = usize::from_str_radix(&self.line().await, 16).unwrap_or_default();
        let mut chunk = vec![0; size + 2];
        self.stream.read_exact(&mut chunk).await.ok()?;
        chunk.truncate(size);
        (size > 0).then(|| String::from_utf8(chunk).unwrap())
    }

    /// The next event of a stream, comments left out; `None` at its end.
    pub(crate) async fn event(&mut self) -> Option<Event> {
        loop {
            let event = self.any_event().await?;
            if !event.comment {
                return Some(event);
            }
        }
    }

    /// The next event or comment of a stream.
    pub(crate) async fn any_event(&mut self) -> Option<Event> {
        let mut text = String::new();
        loop {
            text.push_str(&self.chunk().await?);
            if let Some(whole) = text.strip_suffix("\n\n") {
                assert!(!whole.contains("\n\n"), "one event: {whole}");
                return Some(event(whole));
            }
        }
    }

    /// Whether the other side closes the connection within a while.
    pub(crate) async fn is_closed(&mut self) -> bool {
        let mut rest = Vec::new();
        tokio::time::timeout(Duration::from_secs(5), self.stream.read_to_end(&mut rest)).await.is_ok()
    }
}
