//! Bodies of requests, within bounds of size and time.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::time::Duration;

/// How much of a refused body is read, and for how long.
const DRAINED: usize = 256 * 1024;
const DRAINING: Duration = Duration::from_millis(500);

/// How large a body may be, and how long it may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// In bytes.
    pub(crate) size: usize,
    /// For the next piece of it.
    pub(crate) pause: Duration,
    /// For all of it.
    pub(crate) whole: Duration,
}

/// Why a body could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    /// It is larger than allowed.
    TooLarge,
    /// It came too slowly.
    Slow,
    /// The connection broke.
    BrokeOff,
}

/// Reads a body to its end, if it has one within the bounds.
pub(crate) async fn read(body: &mut Incoming, bounds: Bounds) -> Result<Bytes, Unread> {
    if body.size_hint().lower() > bounds.size as u64 {
        return Err(Unread::TooLarge);
    }
    let late = tokio::time::sleep(bounds.whole);
    tokio::pin!(late);
    let mut whole = BytesMut::new();
    loop {
        let frame = tokio::select! {
            frame = body.frame() => frame,
            () = tokio::time::sleep(bounds.pause) => return Err(Unread::Slow),
            () = &mut late => return Err(Unread::Slow),
        };
        let data = match frame {
            Some(Ok(frame)) => frame.into_data(),
            Some(Err(_)) => return Err(Unread::BrokeOff),
            None => return Ok(whole.freeze()),
        };
        let Ok(data) = data else { continue };
        if whole.len() + data.len() > bounds.size {
            return Err(Unread::TooLarge);
        }
        if whole.is_empty() && body.is_end_stream() {
            return Ok(data);
        }
        whole.extend_from_slice(&data);
    }
}

/// Reads what is left of a body that nobody wants, if it is little: a connection that is closed on a client that still writes
/// takes the answer with it.
pub(crate) async fn drain(body: &mut Incoming) {
    let drained = async {
        let mut left = DRAINED;
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
            if left == 0 {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(DRAINING, drained).await;
}
