//! What a server writes to stdout although it is no message: fit to be shown, and kept in the server's log.

use super::log_file::LogFile;
use super::text::{Redactor, printable};

/// More of a line than this is not kept.
const MAX_LINE: usize = 800;

/// Where a server's noise goes. The lines are cut short and hold no known secret and no control characters.
#[derive(Debug)]
pub struct NoiseLog {
    redactor: Redactor,
    file: Option<LogFile>,
}

// === impl NoiseLog ===

impl NoiseLog {
    pub(super) fn new(redactor: Redactor, file: Option<LogFile>) -> Self {
        Self { redactor, file }
    }

    /// The beginning of a line as it may be shown.
    pub fn shown(&self, line: &[u8]) -> String {
        // A secret that is cut in two would not be found any more, so the cut comes last.
        let mut line = line[..line.len().min(2 * MAX_LINE + self.redactor.overlap())].to_vec();
        self.redactor.redact(&mut line);
        line.truncate(MAX_LINE);
        printable(&line)
    }

    /// Appends lines, each marked as noise, to the server's log.
    pub fn write(&mut self, lines: &[&str]) {
        if let Some(file) = &mut self.file {
            let lines: Vec<String> = lines.iter().map(|line| format!("stdout: {line}")).collect();
            file.write(&lines);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_cut_short_and_holds_no_part_of_a_secret() {
        let secret = "s3cret-value".to_owned();
        let noise = NoiseLog::new(Redactor::new([&secret]), None);
        for shift in 0..secret.len() {
            let line = format!("{}{secret} and more", ".".repeat(MAX_LINE - shift));
            let shown = noise.shown(line.as_bytes());
            assert!(shown.len() <= MAX_LINE && !shown.contains("s3c"), "{shift}: {shown}");
        }
        assert_eq!(noise.shown(b"a\x1b[31m b\x07"), "a b\\u{7}");
    }
}
