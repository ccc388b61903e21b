//! `mcp-server-time`, current and 0.6.2: the same tools, written with two generations of the Python SDK.

use serde_json::json;

use crate::blur;
use crate::case::{Case, call};

pub(crate) fn cases() -> Vec<Case> {
    let convert = |from: &str, time: &str, to: &str| {
        call("convert_time", json!({ "source_timezone": from, "time": time, "target_timezone": to }))
            .with(&format!("{time} {from} to {to}"))
            .blurred(blur::date)
    };
    vec![
        call("get_current_time", json!({ "timezone": "UTC" })).blurred(blur::now),
        call("get_current_time", json!({ "timezone": "Asia/Kolkata" })).with("India").blurred(blur::now),
        convert("UTC", "12:00", "Asia/Tokyo"),
        convert("Asia/Kathmandu", "23:59", "UTC"),
        convert("UTC", "25:00", "Asia/Tokyo"),
        convert("Middle/Earth", "12:00", "UTC"),
        call("get_current_time", json!({})).with("argument missing"),
        call("convert_time", json!({ "source_timezone": 1, "time": null, "target_timezone": [] }))
            .with("arguments of wrong type"),
        call("no_such_tool", json!({})).refused_here(),
    ]
}
