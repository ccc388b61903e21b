//! What a server sends that is no message: text, foreign encodings, messages in pieces.

use bytes::Bytes;
use tokio::time::Instant;

use super::Reader;
use super::budget::Spent;
use crate::wire::envelope;

/// How much of a message that is spread over several lines is kept while it is put together.
const MAX_SPREAD: usize = 4 << 20;

impl Reader {
    /// A line that is no JSON. It may be text, a message in a foreign encoding, a broken message, or a part of one
    /// that is spread over several lines.
    pub(super) fn broken(&mut self, line: &Bytes, what: &str) {
        if std::str::from_utf8(line).is_err() {
            let mended = Bytes::from(String::from_utf8_lossy(line).into_owned());
            if envelope::from_server(&mended).is_ok() {
                return self.whole(&mended);
            }
        }
        if self.spread(line) {
            return;
        }
        match line.trim_ascii_start().starts_with(b"{").then(|| envelope::recover_id(line)).flatten() {
            Some(id) => self.malformed(&id, what),
            None => self.noise(line),
        }
    }

    /// Puts together a message that was printed over several lines. Whether `line` was taken.
    fn spread(&mut self, line: &Bytes) -> bool {
        let begins = self.spread.is_empty();
        if begins && line.trim_ascii() != b"{" || self.spread.len() + line.len() > MAX_SPREAD {
            self.spread.clear();
            return false;
        }
        self.spread.extend_from_slice(line);
        // The message goes on as one line. No string in it can hold a line end, so a space means the same.
        self.spread.push(b' ');
        // Printers put the last brace in the first column; trying only there keeps this linear.
        if !begins && line.trim_ascii_end() == b"}" {
            let whole = Bytes::from(std::mem::take(&mut self.spread));
            match envelope::from_server(&whole) {
                Ok(message) => self.message(&whole, &message),
                Err(_) => self.noise(&whole),
            }
        }
        true
    }

    pub(super) fn noise(&mut self, line: &[u8]) {
        self.backend.tally(|tallies| tallies.noise += 1);
        match self.noise.spend(Instant::now()) {
            Spent::Within { dropped_before } => {
                let text = self.noise_log.shown(line);
                if dropped_before > 0 {
                    self.noise_log.write(&[&format!("({dropped_before} lines were left out)")]);
                }
                self.noise_log.write(&[&text]);
                self.backend.note_noise(text);
            }
            Spent::Over => {}
        }
    }
}
