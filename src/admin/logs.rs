//! The last lines of logs: what a server has written to stderr, or what we have logged ourselves.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use http::StatusCode;
use serde_json::json;
use tokio::time::{Duration, sleep};

use super::code::ApiCode;
use super::desk::{Asked, Desk};
use super::events::{sent, stream};
use super::refusal::{Refusal, Success};
use crate::web::events::{Event, Source};
use crate::web::reply::Reply;

/// How many lines are shown if nobody says, and at most.
const LINES: usize = 100;
const MOST_LINES: usize = 10_000;
/// So much of a file's end is looked at, and so much of what is new is read at once, in bytes.
const MOST_BYTES: u64 = 1 << 20;
/// How often a file that is followed is looked at.
const LOOK: Duration = Duration::from_millis(250);

pub(super) async fn show(desk: &Desk, asked: &Asked) -> Result<Reply, Refusal> {
    let count = asked.query.whole("lines", 0, MOST_LINES)?.unwrap_or(LINES);
    let follow = asked.query.flag("follow")?;
    let server = asked.query.text("server_id").map(str::to_owned);
    let path = match &server {
        Some(server) => desk.registry().log_path(&desk.manager.info(server)?.name),
        None => desk.around.state.as_deref().and_then(|state| ours(&state.join("logs"))),
    };
    let Some(path) = path else {
        let message = "there is no log: this Switchboard keeps nothing on disk";
        return Err(Refusal::new(StatusCode::NOT_FOUND, ApiCode::NotFound, message));
    };
    let file = path.clone();
    let tail = tokio::task::spawn_blocking(move || Tail::open(&file, count)).await;
    let tail = tail.map_err(io::Error::other).and_then(|tail| tail);
    let tail = tail.map_err(|error| Refusal::internal(format!("the log cannot be read: {error}")))?;
    if follow {
        return Ok(stream(desk, Follow { path, server, tail }));
    }
    let data = json!({
        "server_id": server, "path": path.display().to_string(), "lines": tail.lines, "truncated": tail.truncated,
    });
    Ok(Success::new(data, "log").reply())
}

/// Our own log of today, or of the last day on which there was one.
fn ours(logs: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(logs).ok()?.flatten().map(|entry| entry.path());
    let is_ours = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with("switchboard.") && name.ends_with(".log")
    };
    entries.filter(is_ours).max()
}

/// The end of a file, and where it was when it was read.
#[derive(Debug, Default)]
struct Tail {
    lines: Vec<String>,
    /// Whether there are earlier lines.
    truncated: bool,
    /// Up to where it has been read: always the end of a line.
    at: u64,
    identity: Option<(u64, u64)>,
}

impl Tail {
    /// Reads the last lines. A file that is not there yet has none.
    fn open(path: &Path, count: usize) -> io::Result<Self> {
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error),
        };
        let length = file.metadata()?.len();
        let from = length.saturating_sub(MOST_BYTES);
        let text = read(&mut file, from)?;
        // What stands before the first line end may be half a line, and what stands behind the last one is.
        let begin = if from == 0 {
            0
        } else {
            text.iter().position(|byte| *byte == b'\n').map_or(text.len(), |at| at + 1)
        };
        let end = text.iter().rposition(|byte| *byte == b'\n').map_or(begin, |at| at + 1).max(begin);
        let all = lines(&text[begin..end]);
        let skipped = all.len().saturating_sub(count);
        Ok(Self {
            truncated: skipped > 0 || from > 0,
            lines: all.into_iter().skip(skipped).collect(),
            at: from + end as u64,
            identity: identity(&file),
        })
    }

    /// Reads what has come since. A file that was put aside is left, and the new one read from its beginning.
    fn more(&mut self, path: &Path) -> io::Result<()> {
        let Ok(mut file) = File::open(path) else { return Ok(()) };
        let now = identity(&file);
        if now != self.identity || file.metadata()?.len() < self.at {
            (self.identity, self.at) = (now, 0);
        }
        let text = read(&mut file, self.at)?;
        let mut end = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        if end == 0 && text.len() as u64 >= MOST_BYTES {
            end = text.len();
        }
        self.lines.extend(lines(&text[..end]));
        self.at += end as u64;
        Ok(())
    }
}

fn read(file: &mut File, from: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(from))?;
    let mut text = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut text)?;
    Ok(text)
}

fn lines(text: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(text).lines().map(str::to_owned).collect()
}

#[cfg(unix)]
fn identity(file: &File) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    file.metadata().ok().map(|data| (data.dev(), data.ino()))
}

#[cfg(not(unix))]
fn identity(_: &File) -> Option<(u64, u64)> {
    None
}

/// A log that is followed.
struct Follow {
    path: PathBuf,
    server: Option<String>,
    tail: Tail,
}

impl Source for Follow {
    async fn next(&mut self) -> Option<Event> {
        loop {
            if !self.tail.lines.is_empty() {
                let lines = std::mem::take(&mut self.tail.lines);
                return Some(sent("lines", &json!({ "server_id": self.server, "lines": lines })));
            }
            sleep(LOOK).await;
            // Whatever is given up half-way, the place in the file is only changed when the lines are here.
            let (path, mut tail) = (self.path.clone(), Tail { lines: Vec::new(), ..self.tail });
            let read = tokio::task::spawn_blocking(move || tail.more(&path).map(|()| tail)).await;
            match read {
                Ok(Ok(tail)) => self.tail = tail,
                Ok(Err(_)) | Err(_) => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn the_end_of_a_file_and_what_comes_after_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        assert!(Tail::open(&path, 5).unwrap().lines.is_empty());
        std::fs::write(&path, "one\ntwo\nthree\nhal").unwrap();
        let mut tail = Tail::open(&path, 2).unwrap();
        assert_eq!((&tail.lines[..], tail.truncated), (&["two".to_owned(), "three".to_owned()][..], true));
        tail.lines.clear();
        let mut file = File::options().append(true).open(&path).unwrap();
        file.write_all(b"f\nfive\n").unwrap();
        tail.more(&path).unwrap();
        assert_eq!(tail.lines, ["half", "five"]);
        tail.lines.clear();
        std::fs::rename(&path, folder.path().join("a.log.1")).unwrap();
        tail.more(&path).unwrap();
        std::fs::write(&path, "new\n").unwrap();
        tail.more(&path).unwrap();
        assert_eq!(tail.lines, ["new"]);
    }

    #[test]
    fn a_long_file_is_read_from_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        std::fs::write(&path, "0123456789abcde\n".repeat(200_000)).unwrap();
        let tail = Tail::open(&path, MOST_LINES).unwrap();
        assert!(tail.lines.len() == MOST_LINES && tail.lines.iter().all(|line| line == "0123456789abcde"));
        assert_eq!(tail.at, 3_200_000);
    }

    #[test]
    fn our_own_log_is_the_newest() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(ours(folder.path()), None);
        for name in ["switchboard.2026-01-02.log", "switchboard.2026-01-10.log", "servers", "z.log"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        assert!(ours(folder.path()).unwrap().ends_with("switchboard.2026-01-10.log"));
    }
}
