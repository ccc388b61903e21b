//! The HTTP faces, driven by a client that writes its requests by hand.

mod faults;
mod legacy;
mod modern;
mod sse;

use tokio::net::TcpStream;

use super::*;

/// A mock that listens in this process.
pub(super) struct Face {
    pub(super) url: String,
    address: String,
    task: JoinHandle<Outcome>,
}

impl Drop for Face {
    fn drop(&mut self) {
        self.task.abort();
    }
}

const HERE: std::net::SocketAddr =
    std::net::SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

impl Face {
    pub(super) async fn of(script: &str, face: &crate::mock::Face) -> Self {
        let script = parse(script).unwrap_or_else(|error| panic!("{error}"));
        let listening = listen(script, face, Hooks::in_memory()).await.unwrap();
        let url = listening.url.clone();
        let address = url.split("://").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or_default();
        Self { address: address.to_owned(), url: url.clone(), task: tokio::spawn(listening.run()) }
    }

    async fn http(script: &str) -> Self {
        Self::of(script, &crate::mock::Face::Http(HERE)).await
    }

    /// Sends a request of this head, without its host and length.
    async fn send(&self, verb: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        let mut text =
            format!("{verb} {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n", self.address, body.len());
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str(&format!("\r\n{body}"));
        stream.write_all(text.as_bytes()).await.unwrap();
        Answer::read(stream).await
    }

    async fn post(&self, headers: &[(&str, &str)], body: &Value) -> Answer {
        let both = [("Accept", "application/json, text/event-stream"), ("Content-Type", "application/json")];
        self.send("POST", "/mcp", &[&both, headers].concat(), &body.to_string()).await
    }
}

/// An answer whose body is read as it comes.
struct Answer {
    /// 0 if the connection ended without a head.
    status: u16,
    head: String,
    stream: TcpStream,
    raw: Vec<u8>,
    chunked: bool,
    /// What was read of the body.
    text: Vec<u8>,
    /// How much of it was given out as events.
    given: usize,
    ended: Option<End>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Clean,
    Broken,
}

impl Answer {
    async fn read(mut stream: TcpStream) -> Self {
        let mut raw = Vec::new();
        let head = loop {
            if let Some(at) = memchr::memmem::find(&raw, b"\r\n\r\n") {
                break String::from_utf8(raw.drain(..at + 4).collect()).unwrap();
            }
            let read = tokio::time::timeout(Duration::from_secs(20), stream.read_buf(&mut raw));
            if !matches!(read.await.expect("a head in time"), Ok(1..)) {
                break String::new();
            }
        };
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
        let chunked = head.to_lowercase().contains("transfer-encoding: chunked");
        Self { status, head, stream, raw, chunked, text: Vec::new(), given: 0, ended: None }
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (known, value) = line.split_once(": ")?;
            known.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    /// Reads some more of the body; false at its end.
    async fn more(&mut self) -> bool {
        loop {
            if self.ended.is_some() {
                return false;
            }
            if self.decode() {
                return true;
            }
            if self.ended.is_some() {
                return false;
            }
            let read = tokio::time::timeout(Duration::from_secs(20), self.stream.read_buf(&mut self.raw));
            if !matches!(read.await.expect("a piece in time"), Ok(1..)) {
                self.ended = Some(End::Broken);
            }
        }
    }

    /// Moves what arrived to the text; whether there was anything.
    fn decode(&mut self) -> bool {
        if !self.chunked {
            let length: usize = self.header("content-length").map_or(0, |length| length.parse().unwrap());
            self.text.append(&mut self.raw);
            if self.text.len() >= length {
                self.ended = Some(End::Clean);
            }
            return false;
        }
        let Some(line) = memchr::memmem::find(&self.raw, b"\r\n") else { return false };
        let size = usize::from_str_radix(std::str::from_utf8(&self.raw[..line]).unwrap(), 16).unwrap();
        if self.raw.len() < line + 2 + size + 2 {
            return false;
        }
        let chunk: Vec<u8> = self.raw.drain(..line + 2 + size + 2).collect();
        self.text.extend_from_slice(&chunk[line + 2..line + 2 + size]);
        if size == 0 {
            self.ended = Some(End::Clean);
        }
        size > 0
    }

    /// The whole body, and how it ended.
    async fn whole(&mut self) -> (String, End) {
        while self.more().await {}
        (String::from_utf8_lossy(&self.text).into_owned(), self.ended.unwrap())
    }

    async fn json(mut self) -> Value {
        let (text, _) = self.whole().await;
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}\n{}", self.head))
    }

    /// The next event as its lines, without comments; none at the end.
    async fn event(&mut self) -> Option<Vec<String>> {
        loop {
            let rest = String::from_utf8_lossy(&self.text[self.given..]).into_owned();
            if let Some(at) = rest.find("\n\n") {
                self.given += at + 2;
                let lines = rest[..at].lines().filter(|line| !line.starts_with(':'));
                return Some(lines.map(str::to_owned).collect());
            }
            if !self.more().await {
                return None;
            }
        }
    }

    /// The id and the message of the next event that has data.
    async fn message(&mut self) -> (String, Value) {
        loop {
            let lines = self.event().await.unwrap_or_else(|| panic!("no event; {:?}", self.ended));
            let field = |name: &str| {
                lines.iter().find_map(|line| line.strip_prefix(name)).unwrap_or_default().to_owned()
            };
            let data = field("data: ");
            if !data.is_empty() {
                return (field("id: "), serde_json::from_str(&data).unwrap());
            }
        }
    }
}

fn request(id: u64, method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

/// A legacy client.
struct Legacy<'f> {
    face: &'f Face,
    revision: &'static str,
    session: String,
}

impl<'f> Legacy<'f> {
    async fn begin(face: &'f Face, revision: &'static str) -> Self {
        let hello = json!({"protocolVersion": revision, "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}});
        let mut answer = face.post(&[], &request(0, "initialize", hello)).await;
        let session = answer.header("mcp-session-id").unwrap_or_default().to_owned();
        let (text, _) = answer.whole().await;
        assert!(text.contains(revision), "{text}");
        let client = Self { face, revision, session };
        let note = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        let answer = face.post(&client.headers(), &note).await;
        assert_eq!(answer.status, 202, "{}", answer.head);
        client
    }

    fn headers(&self) -> Vec<(&str, &str)> {
        let mut headers = vec![("MCP-Protocol-Version", self.revision)];
        if !self.session.is_empty() {
            headers.push(("Mcp-Session-Id", &self.session));
        }
        headers
    }

    async fn ask(&self, id: u64, method: &str, params: Value) -> Answer {
        self.face.post(&self.headers(), &request(id, method, params)).await
    }

    async fn call(&self, id: u64, tool: &str) -> Answer {
        self.ask(id, "tools/call", json!({"name": tool, "arguments": {}, "_meta": {"progressToken": id}}))
            .await
    }

    async fn get(&self, last: Option<&str>) -> Answer {
        let mut headers = self.headers();
        headers.push(("Accept", "text/event-stream"));
        headers.extend(last.map(|last| ("Last-Event-ID", last)));
        self.face.send("GET", "/mcp", &headers, "").await
    }
}

/// A request of a modern client, with all its headers.
async fn modern(face: &Face, id: u64, method: &str, mut params: Value, more: &[(&str, &str)]) -> Answer {
    let meta = "io.modelcontextprotocol";
    params["_meta"][format!("{meta}/protocolVersion")] = json!("2026-07-28");
    if params["_meta"].get(format!("{meta}/clientCapabilities")).is_none() {
        params["_meta"][format!("{meta}/clientCapabilities")] = json!({"roots": {}});
    }
    let name = params.get("name").or(params.get("uri")).or(params.get("taskId"));
    let name = name.and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut headers = vec![("MCP-Protocol-Version", "2026-07-28"), ("Mcp-Method", method)];
    if !name.is_empty() {
        headers.push(("Mcp-Name", &name));
    }
    // A header without a value leaves out the usual one.
    headers.retain(|(name, _)| !more.iter().any(|(other, _)| name == other));
    headers.extend(more.iter().filter(|(_, value)| !value.is_empty()));
    face.post(&headers, &request(id, method, params)).await
}
