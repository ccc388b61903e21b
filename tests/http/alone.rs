//! What is open, and what is not, when nobody asks for HTTP.

use std::collections::HashSet;
use std::fs;

use crate::rig::{Rig, Server};

/// The sockets of a process that somebody else than its own family could reach.
fn network_sockets(pid: i32) -> Vec<String> {
    let mut known: HashSet<u64> = HashSet::new();
    for table in ["tcp", "tcp6", "udp", "udp6", "raw", "raw6"] {
        let text = fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default();
        known.extend(
            text.lines().skip(1).filter_map(|line| line.split_whitespace().nth(9)?.parse::<u64>().ok()),
        );
    }
    let files = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let targets =
        files.filter_map(|file| fs::read_link(file.ok()?.path()).ok()?.into_os_string().into_string().ok());
    let inode = |target: &String| target.strip_prefix("socket:[")?.strip_suffix(']')?.parse::<u64>().ok();
    targets.filter(|target| inode(target).is_some_and(|inode| known.contains(&inode))).collect()
}

#[test]
fn without_a_word_about_http_there_is_no_socket() {
    let mut rig = Rig::of([Server::mock("s", "healthy")]);
    rig.echo("s");
    rig.status();
    assert_eq!(network_sockets(rig.pid()), Vec::<String>::new());
    rig.finish();
}

#[tokio::test]
async fn with_it_there_is_one() {
    let served = crate::served::Served::new(crate::rig::Setup::of([]));
    assert_eq!(network_sockets(served.pid()).len(), 1, "this shows that the other test can fail");
    let mut client = crate::client::Client::connect(served.address).await;
    assert_eq!(client.send("GET", "/healthz", &[]).await.body, "ok");
    let begun = client.post(&[], crate::client::INITIALIZE);
    assert_eq!(begun.await.status, 200);
}
