//! A real etcd, of the package `etcd-server`. Where there is none the test fails: `.ci/run` installs it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::board::DEADLINE;
use crate::mock::Mock;
use crate::strangers::closed_port;
use crate::{Machine, names, port, server, tools};

struct Etcd {
    child: Child,
    port: String,
    _data: TempDir,
}

impl Etcd {
    fn start() -> Self {
        let program =
            which::which("etcd").expect("etcd is needed for this test: apt-get install etcd-server");
        let data = tempfile::tempdir().unwrap();
        let end = Instant::now() + DEADLINE;
        loop {
            let (port, peers) = (closed_port(), closed_port());
            let (ours, theirs) = (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{peers}"));
            let child = Command::new(&program)
                .args(["--data-dir", data.path().to_str().unwrap(), "--name", "test", "--log-level", "error"])
                .args(["--listen-client-urls", &ours, "--advertise-client-urls", &ours])
                .args(["--listen-peer-urls", &theirs, "--initial-advertise-peer-urls", &theirs])
                .args(["--initial-cluster", &format!("test={theirs}")])
                // Debian builds it for machines that its makers do not test.
                .env("ETCD_UNSUPPORTED_ARCH", std::env::consts::ARCH.replace("aarch64", "arm64"))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let mut etcd = Self { child, port, _data: tempfile::tempdir().unwrap() };
            while etcd.child.try_wait().unwrap().is_none() {
                if etcd.try_put("/ready", "yes").is_some_and(|answer| answer["header"].is_object()) {
                    etcd._data = data;
                    return etcd;
                }
                assert!(Instant::now() < end, "etcd does not answer");
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
            // One that ends has met somebody who was quicker to take a port.
            assert!(Instant::now() < end, "etcd does not start");
        }
    }

    fn put(&self, key: &str, value: &str) {
        let answer = self.try_put(key, value).unwrap();
        assert!(answer["header"].is_object(), "{answer}");
    }

    fn try_put(&self, key: &str, value: &str) -> Option<Value> {
        self.post("/v3/kv/put", &json!({ "key": STANDARD.encode(key), "value": STANDARD.encode(value) }))
    }

    /// From now on it asks everybody who he is, and this user may read servers.
    fn lock(&self, user: &str, password: &str) {
        let range = json!({
            "permType": "READ",
            "key": STANDARD.encode("/mcp/servers/"),
            "range_end": STANDARD.encode("/mcp/servers0"),
        });
        for (path, body) in [
            ("user/add", json!({ "name": "root", "password": "r00t" })),
            ("role/add", json!({ "name": "root" })),
            ("user/grant", json!({ "user": "root", "role": "root" })),
            ("role/add", json!({ "name": "mcp" })),
            ("role/grant", json!({ "name": "mcp", "perm": range })),
            ("user/add", json!({ "name": user, "password": password })),
            ("user/grant", json!({ "user": user, "role": "mcp" })),
            ("enable", json!({})),
        ] {
            let answer = self.post(&format!("/v3/auth/{path}"), &body).unwrap();
            assert!(answer["header"].is_object(), "{path}: {answer}");
        }
    }

    fn post(&self, path: &str, body: &Value) -> Option<Value> {
        let body = body.to_string();
        let mut stream = TcpStream::connect(("127.0.0.1", self.port.parse::<u16>().unwrap())).ok()?;
        write!(
            stream,
            "POST {path} HTTP/1.0\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        serde_json::from_str(answer.split_once("\r\n\r\n")?.1.trim()).ok()
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_real_etcd_names_servers_below_a_prefix() {
    let etcd = Etcd::start();
    let files = Mock::http("server: { name: anything }\ntools: { read: ok }\n");
    let events = Mock::start("--sse", "tools: { listen: ok }\n");
    etcd.put("/mcp/servers/files", &files.url);
    etcd.put(
        "/mcp/servers/team/events",
        &json!({ "url": events.url, "transport": "sse", "description": "News." }).to_string(),
    );
    etcd.put(
        "/mcp/servers/tool",
        r#"{"command":"npx","args":["-y","tool"],"env":{"K":"${HOME}"},"start":"eager"}"#,
    );
    etcd.put("/mcp/servers/odd", "no address");
    etcd.put("/mcp/serverz", "http://127.0.0.1:1/mcp");
    etcd.put("/other/files", &files.url);
    let machine = Machine::new();
    let found = machine.discover(&["--service", &format!("etcd://localhost:{}", etcd.port)]);
    assert_eq!(names(&found), ["events", "files", "tool"], "{found:#}");
    assert_eq!(
        (tools(server(&found, "files")), tools(server(&found, "events"))),
        (vec!["read"], vec!["listen"])
    );
    assert_eq!(server(&found, "events")["entry"]["url"], events.url.as_str());
    // A command is proposed and not run, and takes nothing of ours along.
    let tool = server(&found, "tool");
    assert_eq!((&tool["asked"], &tool["entry"]["start"]), (&json!(false), &Value::Null));
    assert_eq!(tool["entry"]["env"]["K"], "***");
    machine.discover(&["--service", &format!("etcd://localhost:{}", etcd.port), "--add", "tool"]);
    assert!(machine.read("switchboard.json").contains("$${HOME}"));

    let found = machine.discover(&["--service", &format!("etcd://localhost:{}/other/", etcd.port)]);
    assert_eq!(
        (names(&found), port(&files.url)),
        (vec!["files"], port(server(&found, "files")["endpoint"].as_str().unwrap()))
    );
}

#[test]
fn a_real_etcd_lets_in_a_user_with_a_password_that_nobody_gets_to_see() {
    const PASSWORD: &str = "pa:s/s@w0rd-hunter2";
    let etcd = Etcd::start();
    let files = Mock::http("tools: { read: ok }\n");
    etcd.put("/mcp/servers/files", &files.url);
    let at = |login: &str, path: &str| format!("etcd://{login}localhost:{}{path}", etcd.port);
    let encoded = PASSWORD.replace(':', "%3A").replace('/', "%2F").replace('@', "%40");
    let login = format!("reader:{encoded}@");
    let machine = Machine::new();
    // Where nobody is asked who he is, a login does no harm.
    assert_eq!(names(&machine.discover(&["--service", &at(&login, "")])), ["files"]);

    etcd.lock("reader", PASSWORD);
    let found = machine.discover(&["--service", &at(&login, "")]);
    assert_eq!(names(&found), ["files"], "{found:#}");
    assert!(!found.to_string().contains("hunter2"), "{found:#}");
    for (login, path, said) in [
        ("", "", "it wants to know who asks"),
        ("reader:wrong-hunter2@", "", "it does not let in the user `reader`"),
        (login.as_str(), "/other/", "its user may not read `/other/`"),
    ] {
        let found = machine.discover(&["--service", &at(login, path)]);
        assert!(names(&found).is_empty() && found.to_string().contains(said), "{said}: {found:#}");
        assert!(!found.to_string().contains("hunter2"), "{found:#}");
    }

    // In a config the password is a reference.
    machine.write("password", &encoded);
    let service = at("reader:${file:password}@", "");
    machine.write("switchboard.json", &json!({ "discovery": { "services": [service] } }).to_string());
    let found = machine.discover(&["--services"]);
    assert_eq!(names(&found), ["files"], "{found:#}");
    assert!(!found.to_string().contains("hunter2"), "{found:#}");
}
