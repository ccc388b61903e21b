//! What a stranger wrote, made fit to be shown: without secrets, without control over the terminal.

use std::fmt::Write;

use memchr::memmem;

const REPLACEMENT: &[u8] = b"[redacted]";

/// Shorter values are words of ordinary text; replacing them would make every line unreadable and hide nothing.
const SHORTEST_SECRET: usize = 4;

/// Replaces known secret values.
#[derive(Clone, Default)]
pub(super) struct Redactor {
    /// Longest first, so that a secret that contains another one goes as a whole.
    secrets: Vec<Vec<u8>>,
}

// === impl Redactor ===

impl Redactor {
    pub(super) fn new<'a>(values: impl IntoIterator<Item = &'a String>) -> Self {
        // We look at one line at a time, so a secret of several lines (a key file) is several secrets.
        let lines = values.into_iter().flat_map(|value| value.lines()).map(str::trim);
        let mut secrets: Vec<Vec<u8>> =
            lines.filter(|line| line.len() >= SHORTEST_SECRET).map(|line| line.as_bytes().to_vec()).collect();
        secrets.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        secrets.dedup();
        Self { secrets }
    }

    /// How many bytes at the end of a text may be the beginning of a secret that is not complete yet.
    pub(super) fn overlap(&self) -> usize {
        self.secrets.first().map_or(0, |longest| longest.len() - 1)
    }

    pub(super) fn redact(&self, text: &mut Vec<u8>) {
        for secret in &self.secrets {
            let finder = memmem::Finder::new(secret);
            if finder.find(text).is_none() {
                continue;
            }
            let (mut clean, mut rest) = (Vec::with_capacity(text.len()), text.as_slice());
            while let Some(position) = finder.find(rest) {
                clean.extend_from_slice(&rest[..position]);
                clean.extend_from_slice(REPLACEMENT);
                rest = &rest[position + secret.len()..];
            }
            clean.extend_from_slice(rest);
            *text = clean;
        }
    }
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redactor({} secrets)", self.secrets.len())
    }
}

/// One line as text that is safe to print: terminal sequences removed, other control and direction characters escaped.
pub(super) fn printable(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let mut safe = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        match character {
            '\u{1b}' => skip_sequence(&mut rest),
            '\t' => safe.push('\t'),
            '\r' => {}
            character if character.is_control() || deceives(character) => {
                let _ = write!(safe, "{}", character.escape_unicode());
            }
            character => safe.push(character),
        }
    }
    safe
}

/// Consumes what belongs to an escape sequence (ECMA-48): CSI to its final byte, OSC and its kin to their terminator,
/// any other one for one character.
fn skip_sequence(rest: &mut std::str::Chars<'_>) {
    match rest.next() {
        Some('[') => {
            let _ = rest.find(|character| ('\u{40}'..='\u{7e}').contains(character));
        }
        Some(']' | 'P' | 'X' | '^' | '_') => {
            let _ = rest.find(|character| matches!(character, '\u{7}' | '\u{1b}' | '\u{9c}'));
            if rest.as_str().starts_with('\\') {
                rest.next();
            }
        }
        _ => {}
    }
}

/// Characters that change the direction of text or carry text that nobody sees.
fn deceives(character: char) -> bool {
    matches!(character,
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redacted(secrets: &[&str], text: &str) -> String {
        let secrets: Vec<String> = secrets.iter().map(|secret| (*secret).to_owned()).collect();
        let mut text = text.as_bytes().to_vec();
        Redactor::new(&secrets).redact(&mut text);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn secrets_go_and_the_rest_stays() {
        assert_eq!(redacted(&["hunter22"], "a hunter22 b hunter22"), "a [redacted] b [redacted]");
        assert_eq!(redacted(&["pass", "password"], "password"), "[redacted]");
        assert_eq!(redacted(&["", "a", "yes"], "yes, a"), "yes, a");
        assert_eq!(redacted(&["first-line\nsecond-line\n"], "second-line"), "[redacted]");
    }

    #[test]
    fn nothing_printable_moves_a_cursor() {
        let check = |line: &str, expected: &str| assert_eq!(printable(line.as_bytes()), expected);
        check("plain\tü ✓", "plain\tü ✓");
        check("\u{1b}[31mred\u{1b}[0m end\r", "red end");
        check("\u{1b}]0;title\u{7}after", "after");
        check("\u{1b}]8;;http://x\u{1b}\\link", "link");
        check("bell\u{7} null\0", "bell\\u{7} null\\u{0}");
        check("\u{202e}txt", "\\u{202e}txt");
        check("cut \u{1b}[3", "cut ");
        assert_eq!(printable(b"\xff"), "\u{fffd}");
    }
}
