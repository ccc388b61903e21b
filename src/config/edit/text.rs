//! Small things that every syntax needs: lines, line ends, quoting.

use std::ops::Range;

/// The line ending of a text: that of its first line.
pub(super) fn newline(text: &str) -> &'static str {
    match text.find('\n') {
        Some(at) if text[..at].ends_with('\r') => "\r\n",
        _ => "\n",
    }
}

/// Where the line of this byte begins.
pub(super) fn line_start(text: &str, at: usize) -> usize {
    memchr::memrchr(b'\n', &text.as_bytes()[..at]).map_or(0, |newline| newline + 1)
}

/// Where the line after this byte begins: behind the next line end, or at the end of the text.
pub(super) fn next_line(text: &str, at: usize) -> usize {
    text[at..].find('\n').map_or(text.len(), |newline| at + newline + 1)
}

/// Where the next line begins after something that ends here. A block scalar may end at the start of a line.
pub(super) fn line_after(text: &str, end: usize) -> usize {
    if end > 0 && text[..end].ends_with('\n') { end } else { next_line(text, end) }
}

/// The spaces and tabs with which the line of this byte begins.
pub(super) fn indentation(text: &str, at: usize) -> &str {
    let line = &text[line_start(text, at)..];
    &line[..line.len() - line.trim_start_matches([' ', '\t']).len()]
}

/// Whether nothing but spaces stands between the start of the line and this byte.
pub(super) fn begins_line(text: &str, at: usize) -> bool {
    text[line_start(text, at)..at].trim().is_empty()
}

/// How many characters stand before this byte in its line.
pub(super) fn column(text: &str, at: usize) -> usize {
    text[line_start(text, at)..at].chars().count()
}

/// The text with these bytes replaced.
pub(super) fn splice(text: &str, range: Range<usize>, with: &str) -> String {
    let mut spliced = String::with_capacity(text.len() + with.len());
    spliced.push_str(&text[..range.start]);
    spliced.push_str(with);
    spliced.push_str(&text[range.end..]);
    spliced
}

/// Puts whole lines (without the last line end) at the start of a line or at the end of the text.
pub(super) fn insert_lines(text: &str, at: usize, lines: &str) -> String {
    let newline = newline(text);
    let is_open = at == text.len() && !text.is_empty() && !text.ends_with('\n');
    let with = if is_open { format!("{newline}{lines}") } else { format!("{lines}{newline}") };
    splice(text, at..at, &with)
}

/// Takes whole lines out, with the empty line that set them apart. A text whose last line had no end keeps that.
pub(super) fn remove_lines(text: &str, lines: Range<usize>) -> String {
    let Range { mut start, end } = lines;
    let before = line_start(text, start.saturating_sub(1));
    let follows_gap = start > 0 && text[before..start].trim().is_empty();
    let precedes_gap = end == text.len() || text[end..next_line(text, end)].trim().is_empty();
    if follows_gap && precedes_gap {
        start = before;
    }
    if end == text.len() && !text.ends_with('\n') {
        start = text[..start].trim_end_matches(['\n', '\r']).len();
    }
    splice(text, start..end, "")
}

/// A string in double quotes, as all three syntaxes read it: JSON's escapes, and those for what YAML and TOML do not
/// take as it is.
pub(super) fn quoted(text: &str) -> String {
    let json = serde_json::Value::String(text.to_owned()).to_string();
    let mut quoted = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                quoted.push_str(&format!("\\u{:04x}", u32::from(character)));
            }
            _ => quoted.push(character),
        }
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_and_go_without_a_trace() {
        for text in ["a\nb\n", "a\r\nb\r\n", "a\nb"] {
            let at = text.len();
            let more = insert_lines(text, at, "c");
            let start = more.find('c').unwrap();
            assert_eq!(remove_lines(&more, start..more.len()), text, "{text:?}");
        }
        assert_eq!(insert_lines("", 0, "a"), "a\n");
    }

    #[test]
    fn quoting_escapes_what_one_of_the_syntaxes_refuses() {
        assert_eq!(quoted("a\"\\\n\u{7f}\u{85}\u{2028}ü🙂"), "\"a\\\"\\\\\\n\\u007f\\u0085\\u2028ü🙂\"");
    }
}
