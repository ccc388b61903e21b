//! Whoever else listens on a port.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Somebody who listens, and counts who comes. His threads live as long as the test.
pub(crate) struct Stranger {
    pub(crate) port: String,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    connections: AtomicUsize,
    open: AtomicUsize,
    most_open: AtomicUsize,
    requests: Mutex<Vec<String>>,
}

impl Stranger {
    /// Takes every connection and never says a word.
    pub(crate) fn silent() -> Self {
        Self::start(|mut stream, _| {
            let mut byte = [0; 1024];
            while stream.read(&mut byte).is_ok_and(|count| count > 0) {}
        })
    }

    /// Says this at once, and goes.
    pub(crate) fn rude(words: &'static [u8]) -> Self {
        Self::start(move |mut stream, _| {
            let _ = stream.write_all(words);
            let _ = stream.read(&mut [0; 1024]);
        })
    }

    /// Answers every HTTP request with this, and closes the connection.
    pub(crate) fn http(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::start(move |mut stream, state| {
            let Some(line) = request(&mut stream) else { return };
            state.requests.lock().unwrap().push(line);
            let _ = stream.write_all(&answer);
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
            while stream.read(&mut [0; 1024]).is_ok_and(|count| count > 0) {}
        })
    }

    fn start(talk: impl Fn(TcpStream, &State) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        let state = Arc::new(State::default());
        let (shared, talk) = (Arc::clone(&state), Arc::new(talk));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (state, talk) = (Arc::clone(&shared), Arc::clone(&talk));
                state.connections.fetch_add(1, Ordering::SeqCst);
                let open = state.open.fetch_add(1, Ordering::SeqCst) + 1;
                state.most_open.fetch_max(open, Ordering::SeqCst);
                std::thread::spawn(move || {
                    talk(stream, &state);
                    state.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { port, state }
    }

    /// How often somebody came.
    pub(crate) fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// How many were there at once.
    pub(crate) fn most_at_once(&self) -> usize {
        self.state.most_open.load(Ordering::SeqCst)
    }

    /// The first lines of all requests.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.state.requests.lock().unwrap().clone()
    }
}

/// Reads the head of a request and gives its first line.
fn request(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0; 1];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 || head.len() > 64 * 1024 {
            return None;
        }
        head.push(byte[0]);
    }
    String::from_utf8_lossy(&head).lines().next().map(str::to_owned)
}

/// An HTTP answer.
pub(crate) fn answer(head: &str, body: &[u8]) -> Vec<u8> {
    let mut answer =
        format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len())
            .into_bytes();
    answer.extend_from_slice(body);
    answer
}

/// A port on which nobody listens.
pub(crate) fn closed_port() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string()
}
