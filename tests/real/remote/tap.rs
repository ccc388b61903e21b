//! What stands before a server that listens and keeps every message that it is sent: HTTP/1.1 in, the same bytes out.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

/// Stands before the server at `address` and appends the bodies of requests to `file`, a line each. Gives its own
/// address. Its threads live as long as the test.
pub(crate) fn before(address: SocketAddr, file: &Path) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let own = listener.local_addr().unwrap();
    let file = Arc::new(Mutex::new(OpenOptions::new().create(true).append(true).open(file).unwrap()));
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let file = Arc::clone(&file);
            thread::spawn(move || {
                if let Ok(server) = TcpStream::connect(address) {
                    // One side that breaks off ends the other: that is all there is to an error.
                    let _ = carry(&client, &server, &file);
                }
            });
        }
    });
    own
}

fn carry(client: &TcpStream, server: &TcpStream, file: &Mutex<File>) -> io::Result<()> {
    let (mut answers, mut back) = (server.try_clone()?, client.try_clone()?);
    let there = thread::spawn(move || {
        let _ = io::copy(&mut answers, &mut back);
        let _ = back.shutdown(std::net::Shutdown::Both);
    });
    let ended = requests(client, server, file);
    let _ = server.shutdown(std::net::Shutdown::Both);
    let _ = there.join();
    ended
}

fn requests(client: &TcpStream, mut server: &TcpStream, file: &Mutex<File>) -> io::Result<()> {
    let mut client = BufReader::new(client);
    loop {
        let mut message = String::new();
        let mut length = 0;
        while !message.ends_with("\r\n\r\n") {
            let begin = message.len();
            if client.read_line(&mut message)? == 0 {
                return Ok(());
            }
            let line = message[begin..].to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().map_err(io::Error::other)?;
            }
        }
        let mut message = message.into_bytes();
        let head = message.len();
        message.resize(head + length, 0);
        client.read_exact(&mut message[head..])?;
        if length > 0 {
            let line = [&message[head..], b"\n"].concat();
            file.lock().unwrap().write_all(&line)?;
        }
        server.write_all(&message)?;
    }
}
