//! However the bytes are cut into chunks, the same lines come out, and none is over the limit.
#![no_main]

use libfuzzer_sys::fuzz_target;
use switchboard::wire::{Line, LineReader};

const LIMIT: usize = 256;

fn read(chunks: &mut dyn Iterator<Item = &[u8]>) -> Vec<Line> {
    let mut reader = LineReader::new(LIMIT);
    let mut lines = Vec::new();
    for chunk in chunks {
        reader.space().extend_from_slice(chunk);
        while let Some(line) = reader.next_line() {
            lines.push(line);
        }
    }
    lines.extend(reader.last_line());
    lines
}

fuzz_target!(|input: (usize, Vec<u8>)| {
    let (size, bytes) = input;
    let whole = read(&mut std::iter::once(&bytes[..]));
    let cut = read(&mut bytes.chunks(size % 64 + 1));
    assert_eq!(whole.len(), cut.len());
    for (one, other) in whole.iter().zip(&cut) {
        match (one, other) {
            (Line::Whole(one), Line::Whole(other)) => {
                assert_eq!(one, other);
                assert!(one.len() <= LIMIT && !one.contains(&b'\n'));
            }
            (Line::TooLong { length: one, .. }, Line::TooLong { length: other, .. }) => assert_eq!(one, other),
            _ => panic!("{one:?} and {other:?}"),
        }
    }
});
