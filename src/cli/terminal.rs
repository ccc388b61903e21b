//! What the terminal can do, and texts that fit it. Where there is none, texts are plain and whole.

mod safe;

use std::io::{IsTerminal, stderr, stdout};

use terminal_size::{Width, terminal_size_of};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

pub(in crate::cli) use safe::printable;
pub use safe::{one_line, tame, visible};

/// Colours a text, or not.
#[derive(Clone, Copy, Debug)]
pub struct Paint {
    colour: bool,
}

impl Paint {
    /// For stdout.
    pub fn stdout() -> Self {
        Self { colour: stdout().is_terminal() && colours_wanted() }
    }

    /// For stderr.
    pub fn stderr() -> Self {
        Self { colour: stderr().is_terminal() && colours_wanted() }
    }

    /// Never any colour.
    pub fn plain() -> Self {
        Self { colour: false }
    }

    /// Whether it colours.
    pub fn is_on(self) -> bool {
        self.colour
    }

    /// Names and headings.
    pub fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    /// What may be passed over.
    pub fn dim(self, text: &str) -> String {
        self.with("2", text)
    }

    /// All is well.
    pub fn green(self, text: &str) -> String {
        self.with("32", text)
    }

    /// Look here.
    pub fn yellow(self, text: &str) -> String {
        self.with("33", text)
    }

    /// It failed.
    pub fn red(self, text: &str) -> String {
        self.with("31", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// <https://no-color.org>: any value but an empty one says no.
fn colours_wanted() -> bool {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    set("NO_COLOR").is_none() && set("TERM").is_none_or(|term| term != "dumb")
}

/// The columns of the terminal behind stdout, if there is one.
pub fn width() -> Option<usize> {
    terminal_size_of(stdout()).map(|(Width(columns), _)| usize::from(columns)).filter(|columns| *columns > 0)
}

/// How many columns a text takes.
pub fn columns(text: &str) -> usize {
    text.width()
}

/// The text with as many spaces as it lacks.
pub fn padded(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(columns(text))))
}

/// The text, cut to so many columns if that is a limit.
pub fn cut(text: &str, width: Option<usize>) -> String {
    let Some(width) = width.filter(|width| columns(text) > *width) else { return text.to_owned() };
    let mut cut = String::new();
    let mut used = 1;
    for letter in text.chars() {
        used += letter.width().unwrap_or(0);
        if used > width {
            break;
        }
        cut.push(letter);
    }
    if width > 0 {
        cut.push('…');
    }
    cut
}

/// A count with its noun.
pub fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_by_columns() {
        assert_eq!(cut("abcdef", Some(6)), "abcdef");
        assert_eq!(cut("abcdefg", Some(6)), "abcde…");
        assert_eq!(cut("日本語", Some(5)), "日本…");
        assert_eq!(cut("日本語", Some(4)), "日…");
        assert_eq!(cut("abc", Some(0)), "");
        assert_eq!(cut("abc", None), "abc");
        assert_eq!(padded("日", 4), "日  ");
    }
}
