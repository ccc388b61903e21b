//! The socket of the own user: it is there by default, only for looking, and goes with its process.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::Value;

use crate::world::{World, prepare, until};

/// The status and the body of a request on a socket.
fn ask(socket: &Path, request: &str) -> (u16, Value) {
    let mut stream = UnixStream::connect(socket).unwrap();
    write!(stream, "{request} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), serde_json::from_str(body).unwrap_or_default())
}

#[test]
fn it_is_only_for_looking_and_goes_with_its_process() {
    let mut world = World::new();
    let socket = world.path(&format!("state/run/{}.sock", world.pid()));
    until("the socket is there", || socket.exists().then_some(()));
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&socket), mode(socket.parent().unwrap())), (0o600, 0o700));
    world.until_state("notes", "ready");
    let (status, answer) = ask(&socket, "GET /proxy/status");
    assert_eq!((status, answer["data"]["pid"].as_u64()), (200, Some(world.pid().into())));
    assert_eq!(ask(&socket, "GET /proxy/servers").0, 200);
    for request in [
        "POST /proxy/servers",
        "POST /proxy/tools/notes__add",
        "POST /proxy/health",
        "POST /proxy/reload",
        "PUT /proxy/servers/notes",
        "DELETE /proxy/servers/notes",
        "POST /proxy/servers/notes/disable",
        "DELETE /proxy/discovery/servers",
    ] {
        let (status, answer) = ask(&socket, request);
        assert_eq!((status, answer["error"]["code"].as_str()), (403, Some("PROXY_FORBIDDEN")), "{request}");
    }
    assert_eq!(ask(&socket, "POST /proxy/nothing").0, 404);
    assert_eq!(world.get("/proxy/servers").as_array().unwrap().len(), 4);
    world.terminate();
    assert!(!socket.exists());
}

#[test]
fn whoever_does_not_want_it_has_none() {
    let world = World::with("", ", status: false");
    assert_eq!(world.get("/proxy/servers"), serde_json::json!([]));
    // It would be there a moment after the start.
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert!(!world.path("state/run").exists());
}

#[test]
fn the_interface_itself_may_be_a_socket() {
    let folder = prepare("", "admin: { listen: ./admin.sock }");
    let errors = folder.path().join("stderr");
    let mut child = crate::world::command(folder.path(), &["serve", "--http", "127.0.0.1:0"])
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::fs::File::create(&errors).unwrap())
        .spawn()
        .unwrap();
    let socket = folder.path().join("admin.sock");
    until("it listens", || {
        std::fs::read_to_string(&errors).unwrap().contains("administration at unix:").then_some(())
    });
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    let (status, answer) = ask(&socket, "POST /proxy/reload");
    assert_eq!(status, 200, "{answer}");
    let pid = nix::unistd::Pid::from_raw(child.id() as i32);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    until("it ends", || child.try_wait().unwrap());
    assert!(!socket.exists());
}
