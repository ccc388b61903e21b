//! Servers that nobody here wrote.

use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::strangers::closed_port;
use crate::support::real;
use crate::{Machine, names, server, tools};

/// `server-everything`, listening for one transport.
struct Everything {
    child: Child,
    port: String,
}

impl Everything {
    fn start(transport: &str) -> Self {
        let file = real::npm_file("servers", "@modelcontextprotocol/server-everything/dist/index.js");
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            let port = closed_port();
            let mut child = Command::new(real::node())
                .arg(&file)
                .arg(transport)
                .env("PORT", &port)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            while child.try_wait().unwrap().is_none() {
                if TcpStream::connect(("127.0.0.1", port.parse::<u16>().unwrap())).is_ok() {
                    return Self { child, port };
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            assert!(Instant::now() < end, "server-everything does not listen");
        }
    }
}

impl Drop for Everything {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn server_everything_is_found_over_both_transports() {
    if real::skipped() {
        return;
    }
    let (streamable, events) = (Everything::start("streamableHttp"), Everything::start("sse"));
    // The machine is busy, and node is slow to answer the first time.
    let arguments = ["--port", &streamable.port, "--port", &events.port, "--timeout", "20s"];
    let found = Machine::new().discover(&arguments);
    let all = names(&found);
    let expected = |port: &str| {
        all.iter()
            .copied()
            .find(|name| name.ends_with(port))
            .unwrap_or_else(|| panic!("{found:#}"))
            .to_owned()
    };
    for (port, path, kind) in [(&streamable.port, "/mcp", "http"), (&events.port, "/sse", "sse")] {
        let one = server(&found, &expected(port));
        assert_eq!(one["endpoint"], format!("http://localhost:{port}{path}"), "{found:#}");
        assert_eq!(one["transport"], kind);
        assert!(tools(one).contains(&"echo"), "{found:#}");
    }
}
