//! Reading a body to its end, within bounds of size and time.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::Response;
use tokio::time::Instant;

use super::errors;
use crate::failure::{Code, Failure};
use crate::transport::Patience;

/// A peer that sends slower than this, in bytes a second, only wants to keep us busy.
const SLOWEST: u32 = 1024;

/// Until when so many bytes must be there, if the first was awaited from `began` on.
pub(super) fn deadline(began: Instant, patience: Duration, bytes: u64) -> Instant {
    let earned = Duration::from_secs(1).saturating_mul(u32::try_from(bytes).unwrap_or(u32::MAX)) / SLOWEST;
    began + patience.saturating_add(earned)
}

/// Why there is no whole body.
pub(super) enum Unread {
    /// It has this many bytes or more, and that is too many.
    TooLarge(u64),
    /// It broke off.
    Broken(Failure),
}

/// Reads a whole body. The limit holds for what comes out of compression too.
pub(super) async fn read(
    mut response: Response,
    limit: usize,
    patience: &Patience,
    place: &str,
) -> Result<Bytes, Unread> {
    // The length that is announced is that of the compressed body; reqwest gives none then.
    if let Some(length) = response.content_length().filter(|length| *length > limit as u64) {
        return Err(Unread::TooLarge(length));
    }
    let began = Instant::now();
    let mut whole = BytesMut::new();
    loop {
        let until = deadline(began, patience.body, whole.len() as u64).min(Instant::now() + patience.body);
        let chunk = match tokio::time::timeout_at(until, response.chunk()).await {
            Ok(Ok(Some(chunk))) => chunk,
            Ok(Ok(None)) => return Ok(whole.freeze()),
            Ok(Err(error)) => return Err(Unread::Broken(errors::of_error(&error, place))),
            Err(_) => {
                let cause = format!("{place} stopped in the middle of its answer, or sends it too slowly");
                return Err(Unread::Broken(Failure::new(Code::NetTimeout, cause)));
            }
        };
        if whole.len() + chunk.len() > limit {
            return Err(Unread::TooLarge((whole.len() + chunk.len()) as u64));
        }
        whole.extend_from_slice(&chunk);
    }
}

/// Reads what is left of a body and forgets it, so that its connection can be used again.
pub(super) async fn drain(mut response: Response, within: Duration) {
    let rest = async { while let Ok(Some(_)) = response.chunk().await {} };
    let _ = tokio::time::timeout(within, rest).await;
}
