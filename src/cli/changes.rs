//! Differences between definitions as lines for people. What nobody would see is made visible in them.

use crate::cli::terminal::{Paint, one_line, visible};
use crate::trust::diff::{Change, Piece};

/// Letters of an unchanged piece that are kept on each side of it.
const KEPT: usize = 60;
/// Letters of a new or lost piece that are shown.
const SHOWN: usize = 2000;

/// The lines of one change.
pub(super) fn lines(change: &Change, paint: Paint) -> Vec<String> {
    match change {
        Change::Text { member, pieces } => {
            let text = text(pieces, paint);
            let mut lines = vec![format!("{}:", one_line(member))];
            lines.extend(text.lines().map(|line| format!("  {line}")));
            lines
        }
        Change::Value { place, before, after } => {
            let part = |value: &Option<String>| value.as_deref().map(visible);
            let value = match (part(before), part(after)) {
                (Some(before), Some(after)) => format!("{} → {}", paint.red(&before), paint.green(&after)),
                (None, Some(after)) => format!("new: {}", paint.green(&after)),
                (Some(before), None) => format!("gone: {}", paint.red(&before)),
                (None, None) => String::new(),
            };
            vec![format!("{}: {value}", visible(place))]
        }
    }
}

/// A text with its changes: `[-gone-]` and `{+new+}`, in colours as well where there are some.
pub(super) fn text(pieces: &[Piece], paint: Paint) -> String {
    let mut out = String::new();
    let last = pieces.len().saturating_sub(1);
    for (index, piece) in pieces.iter().enumerate() {
        match piece {
            Piece::Same(text) => out.push_str(&visible(&shortened(text, index > 0, index < last))),
            Piece::Gone(text) => out.push_str(&paint.red(&format!("[-{}-]", visible(&cut(text))))),
            Piece::New(text) => out.push_str(&paint.green(&format!("{{+{}+}}", visible(&cut(text))))),
        }
    }
    out
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}… ({} bytes in all)", &text[..end], text.len()),
        None => text.to_owned(),
    }
}

/// An unchanged text, of which only the parts beside changes are worth reading.
fn shortened(text: &str, after_change: bool, before_change: bool) -> String {
    let letters: Vec<char> = text.chars().collect();
    let head = if after_change { KEPT } else { 0 };
    let tail = if before_change { KEPT } else { 0 };
    if letters.len() <= head + tail + KEPT {
        return text.to_owned();
    }
    let head: String = letters[..head].iter().collect();
    let tail: String = letters[letters.len() - tail..].iter().collect();
    format!("{head} … {tail}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::diff;

    #[test]
    fn a_change_is_marked_and_what_surrounds_it_shortened() {
        let before = format!("{}Reads a file. {}", "word ".repeat(100), "more ".repeat(100));
        let after = before.replace("a file", "a \u{202e}secret file");
        let text = text(&diff::pieces(&before, &after), Paint::plain());
        assert!(text.contains("Reads a {+‹U+202E›secret +}file. more"), "{text}");
        assert!(text.chars().count() < 300, "{text}");
    }
}
