//! However the bytes are cut into chunks, the same events come out, and none holds more than the limit.
#![no_main]

use libfuzzer_sys::fuzz_target;
use switchboard::wire::{Event, Line, SseReader};

const LIMIT: usize = 64;

fn read(chunks: &mut dyn Iterator<Item = &[u8]>) -> Vec<Event> {
    let mut reader = SseReader::new(LIMIT);
    let mut events = Vec::new();
    for chunk in chunks {
        reader.push(chunk);
        while let Some(event) = reader.next_event() {
            events.push(event);
        }
    }
    events.extend(reader.last_event());
    events
}

fuzz_target!(|input: (u8, u8, Vec<u8>)| {
    let (size, long, bytes) = input;
    // Names and ids have a limit of their own, which few inputs would reach.
    let filler = vec![b'1'; 1000 + usize::from(long)];
    let mut text = Vec::new();
    for part in bytes.split_inclusive(|byte| *byte == 0xff) {
        match part.split_last() {
            Some((0xff, part)) => text.extend_from_slice(&[part, &filler[..]].concat()),
            _ => text.extend_from_slice(part),
        }
    }
    let whole = read(&mut std::iter::once(&text[..]));
    let cut = read(&mut text.chunks(usize::from(size) + 1));
    assert_eq!(whole.len(), cut.len());
    for (one, other) in whole.iter().zip(&cut) {
        assert_eq!((&one.name, &one.id, &one.retry), (&other.name, &other.id, &other.retry));
        match (&one.data, &other.data) {
            (Line::Whole(one), Line::Whole(other)) => {
                assert_eq!(one, other);
                assert!(one.len() <= LIMIT);
            }
            (Line::TooLong { length: one, .. }, Line::TooLong { length: other, .. }) => {
                assert_eq!(one, other)
            }
            _ => panic!("{one:?} and {other:?}"),
        }
    }
});
