//! The last lines of logs: what a server has written to stderr, or what we have logged ourselves.

use std::io;

use http::StatusCode;
use serde_json::json;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Duration, sleep};

use super::code::ApiCode;
use super::desk::{Asked, Desk};
use super::events::{sent, stream};
use super::refusal::{Refusal, Success};
use crate::telemetry::tail::{Place, Tail};
use crate::web::events::{Event, Source};
use crate::web::reply::Reply;

/// How many lines are shown if nobody says, and at most.
const LINES: usize = 100;
const MOST_LINES: usize = 10_000;
/// How often a file that is followed is looked at.
const LOOK: Duration = Duration::from_millis(250);

pub(super) async fn show(desk: &Desk, asked: &Asked) -> Result<Reply, Refusal> {
    let count = asked.query.whole("lines", 0, MOST_LINES)?.unwrap_or(LINES);
    let follow = asked.query.flag("follow")?;
    let server = asked.query.text("server_id").map(str::to_owned);
    let place = match &server {
        Some(server) => desk.registry().log_path(&desk.manager.info(server)?.name).map(Place::File),
        None => desk.around.state.as_deref().map(|state| Place::Days(state.join("logs"))),
    };
    let Some((place, path)) = place.and_then(|place| place.file().map(|path| (place, path))) else {
        let message = "there is no log: this Switchboard keeps nothing on disk";
        return Err(Refusal::new(StatusCode::NOT_FOUND, ApiCode::NotFound, message));
    };
    let mut tail = Tail::new(place);
    let read = spawn_blocking(move || tail.last(count).map(|last| (tail, last))).await;
    let read = read.map_err(io::Error::other).and_then(|read| read);
    let (tail, last) = read.map_err(|error| Refusal::internal(format!("the log cannot be read: {error}")))?;
    if follow {
        return Ok(stream(desk, Follow { server, lines: last.lines, look: Look::Done(tail) }));
    }
    let data = json!({
        "server_id": server, "path": path.display().to_string(), "lines": last.lines, "truncated": last.is_cut,
    });
    Ok(Success::new(data, "log").reply())
}

/// A log that is followed.
struct Follow {
    server: Option<String>,
    /// What was read and not sent yet.
    lines: Vec<String>,
    look: Look,
}

/// The last look at a log. Whoever gives up waiting for it finds it here again, so no line is lost.
enum Look {
    Done(Tail),
    UnderWay(JoinHandle<io::Result<(Tail, Vec<String>)>>),
    /// The log cannot be read any more.
    Over,
}

impl Source for Follow {
    async fn next(&mut self) -> Option<Event> {
        loop {
            if !self.lines.is_empty() {
                let lines = std::mem::take(&mut self.lines);
                return Some(sent("lines", &json!({ "server_id": self.server, "lines": lines })));
            }
            if let Look::UnderWay(look) = &mut self.look {
                let read = look.await.map_err(io::Error::other).and_then(|read| read);
                self.look = match read {
                    Ok((tail, lines)) => {
                        self.lines = lines;
                        Look::Done(tail)
                    }
                    Err(_) => Look::Over,
                };
                continue;
            }
            sleep(LOOK).await;
            let Look::Done(mut tail) = std::mem::replace(&mut self.look, Look::Over) else { return None };
            self.look = Look::UnderWay(spawn_blocking(move || tail.more().map(|lines| (tail, lines))));
        }
    }
}
