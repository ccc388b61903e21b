//! An OpenTelemetry collector, as far as it keeps what it gets.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::board::DEADLINE;

/// What a collector does with requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    Takes,
    /// It answers with this status.
    Refuses(u16),
    /// It never answers.
    Hangs,
}

/// A request: its path, its head and its message.
#[derive(Clone, Debug)]
pub(crate) struct Got {
    pub(crate) path: String,
    pub(crate) head: String,
    pub(crate) message: Value,
}

/// See the module.
pub(crate) struct Collector {
    pub(crate) address: SocketAddr,
    got: Arc<Mutex<Vec<Got>>>,
    mood: Arc<Mutex<Mood>>,
}

impl Collector {
    pub(crate) fn start(mood: Mood) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (got, mood) = (Arc::<Mutex<Vec<Got>>>::default(), Arc::new(Mutex::new(mood)));
        let shared = (Arc::clone(&got), Arc::clone(&mood));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (got, mood) = (Arc::clone(&shared.0), Arc::clone(&shared.1));
                thread::spawn(move || serve(stream, &got, &mood));
            }
        });
        Self { address, got, mood }
    }

    pub(crate) fn is_now(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    pub(crate) fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }

    /// Every span so far.
    pub(crate) fn spans(&self) -> Vec<Value> {
        let got = self.got();
        let traces = got.iter().filter(|got| got.path == "/v1/traces");
        let spans = |got: &Got| got.message["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().cloned();
        traces.flat_map(|got| spans(got).unwrap_or_else(|| panic!("no spans in {}", got.message))).collect()
    }

    /// The spans once there are so many.
    #[track_caller]
    pub(crate) fn await_spans(&self, count: usize) -> Vec<Value> {
        let until = Instant::now() + DEADLINE;
        loop {
            let spans = self.spans();
            if spans.len() >= count {
                return spans;
            }
            assert!(Instant::now() < until, "{count} spans did not come: {spans:#?}");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

fn serve(stream: TcpStream, got: &Mutex<Vec<Got>>, mood: &Mutex<Mood>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).unwrap_or(0) == 0 {
                return;
            }
        }
        let head = head.to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
        let mut body = vec![0; length.expect("a length")];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let now = *mood.lock().unwrap();
        let status = match now {
            Mood::Hangs => {
                thread::sleep(Duration::from_secs(60));
                return;
            }
            Mood::Refuses(status) => status,
            Mood::Takes => {
                let message = serde_json::from_slice(&body).expect("JSON");
                got.lock().unwrap().push(Got { path, head, message });
                200
            }
        };
        let answer =
            format!("HTTP/1.1 {status} x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}");
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

/// An attribute of a span or a point; null if it has none of this name.
pub(crate) fn attribute(of: &Value, key: &str) -> Value {
    let attributes = of["attributes"].as_array().map(Vec::as_slice).unwrap_or_default();
    let found = attributes.iter().find(|attribute| attribute["key"] == key);
    let value = found.map(|found| &found["value"]);
    value.map_or(Value::Null, |value| {
        value.get("stringValue").or(value.get("intValue")).cloned().unwrap_or_default()
    })
}
