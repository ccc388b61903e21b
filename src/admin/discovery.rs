//! Looking for servers, and what was found.

use serde_json::{Value, json};

use super::desk::{Asked, Desk};
use super::refusal::{Refusal, Success};

pub(super) async fn discover(_desk: &Desk, _asked: &Asked) -> Result<Success, Refusal> {
    Err(Refusal::nothing_here())
}

pub(super) fn list(_desk: &Desk, _asked: &Asked) -> Result<Success, Refusal> {
    Err(Refusal::nothing_here())
}

pub(super) fn clear(_desk: &Desk) -> Success {
    Success::new(json!({ "cleared_count": 0 }), "nothing is remembered")
}

pub(super) fn stats(_desk: &Desk) -> Value {
    json!({ "last_run": null, "discovered_count": 0, "auto_registered": 0 })
}
