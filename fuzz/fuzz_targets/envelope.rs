//! Any line is a message or a fault; the places found lie inside it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use switchboard::wire::{Body, Message, Span, envelope};

fn inside(line: &[u8], span: Span) {
    assert!(span.start < span.end && span.end <= line.len());
    assert!(switchboard::wire::json::check(span.of(line)).is_ok());
}

fuzz_target!(|line: &[u8]| {
    for message in [envelope::from_client(line), envelope::from_server(line)].into_iter().flatten() {
        match message {
            Message::Request { id, params, .. } => {
                inside(line, id);
                params.into_iter().for_each(|span| inside(line, span));
            }
            Message::Notification { params, .. } => params.into_iter().for_each(|span| inside(line, span)),
            Message::Response { id, body: Body::Result(body) | Body::Error(body) } => {
                id.into_iter().for_each(|span| inside(line, span));
                inside(line, body);
            }
        }
    }
    let _ = envelope::recover_id(line);
});
