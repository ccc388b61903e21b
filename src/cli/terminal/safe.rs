//! What strangers wrote, made fit for a terminal. Every text of a server passes through here before it is printed.
//!
//! A terminal obeys what it prints: sequences move the cursor, rename the window, write to the clipboard, or paint over what
//! was said before; overrides of direction and characters without width show something else than what is copied. All of that
//! is taken out, whole sequences at a time, so that no remainder (`[31m`) is left in the text.

use std::borrow::Cow;

use crate::wire::unseen::{Unseen, unseen};

/// One line: the first one that is not empty.
pub fn one_line(text: &str) -> String {
    let text = tame(text);
    text.trim_start().lines().next().unwrap_or_default().replace('\t', " ")
}

/// Several lines.
pub fn tame(text: &str) -> String {
    strip(text, Colours::Removed).into_owned()
}

/// Several lines in which what nobody would see is written out (`‹U+202E›`), for those who have to judge a text.
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match unseen(letter) {
            None if letter == '\r' => {}
            None | Some(Unseen::Joiner | Unseen::Selector) => out.push(letter),
            Some(_) => out.push_str(&format!("‹U+{:04X}›", u32::from(letter))),
        }
    }
    out
}

/// Our own output, in which only colours may steer the terminal: the last look at everything that is printed.
pub(in crate::cli) fn printable(text: &str) -> Cow<'_, str> {
    strip(text, Colours::Kept)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Colours {
    Kept,
    Removed,
}

fn strip(text: &str, colours: Colours) -> Cow<'_, str> {
    let leads_astray = |letter: char| letter == '\r' || unseen(letter).is_some_and(Unseen::misleads);
    if !text.contains(leads_astray) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(leads_astray) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let length = sequence(rest);
        if colours == Colours::Kept && is_colour(&rest[..length]) {
            out.push_str(&rest[..length]);
        }
        rest = &rest[length..];
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// How many bytes the control sequence takes with which a text begins (ECMA-48, 5.4 and 8.3), or the one character.
fn sequence(text: &str) -> usize {
    let mut letters = text.chars();
    let Some(first) = letters.next() else { return 0 };
    let (introducer, start) = match (first, letters.next()) {
        ('\u{1b}', Some(second)) => (second, 1 + second.len_utf8()),
        ('\u{9b}', _) => ('[', 2),
        ('\u{9d}', _) => (']', 2),
        ('\u{90}' | '\u{98}' | '\u{9e}' | '\u{9f}', _) => ('P', 2),
        _ => return first.len_utf8(),
    };
    let rest = &text[start..];
    match introducer {
        '[' => {
            let parameters = rest.bytes().take_while(|byte| (0x20..0x40).contains(byte)).count();
            let ends = rest.as_bytes().get(parameters).is_some_and(|byte| (0x40..0x7f).contains(byte));
            start + parameters + usize::from(ends)
        }
        // A string goes on to its terminator. One without an end hides nothing but its introducer.
        ']' | 'P' | 'X' | '^' | '_' => {
            let ends = ["\u{7}", "\u{1b}\\", "\u{9c}"];
            let end = ends.iter().filter_map(|end| Some(rest.find(end)? + end.len())).min();
            start + end.unwrap_or(0)
        }
        ' '..='/' => {
            let between = rest.bytes().take_while(|byte| (0x20..0x30).contains(byte)).count();
            let ends = rest.as_bytes().get(between).is_some_and(|byte| (0x30..0x7f).contains(byte));
            start + between + usize::from(ends)
        }
        '0'..='~' => start,
        _ => 1,
    }
}

/// `ESC [ … m` with nothing but numbers: what we paint with.
fn is_colour(sequence: &str) -> bool {
    let numbers = sequence.strip_prefix("\u{1b}[").and_then(|rest| rest.strip_suffix('m'));
    numbers.is_some_and(|numbers| numbers.bytes().all(|byte| byte.is_ascii_digit() || byte == b';'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_do_not_steer_the_terminal() {
        assert_eq!(one_line("\n  red \x1b[31malert\x07\tnow\nmore"), "red alert now");
        assert_eq!(tame("a\x1b[2J\r\nb\tc"), "a\nb\tc");
        for (text, plain) in [
            ("a\x1b]0;title\x07b", "ab"),
            ("a\x1b]52;c;Y2xpcA==\x1b\\b", "ab"),
            ("a\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\b", "alinkb"),
            ("a\u{9b}31mb\u{9d}0;t\u{9c}c", "abc"),
            ("a\x1bPq#0\x1b\\b\x1b_x\x1b\\c", "abc"),
            ("a\x1b(0b\x1b7c\x1bcd", "abcd"),
            ("a\x1b[1;31;é", "aé"),
            ("a\x1b]never ended", "anever ended"),
            ("a\x1b", "a"),
            ("a\x1b\x1b[31mb", "ab"),
            ("pay\u{202e}lap\u{2066}\u{200b}\u{feff}\u{e0041}!", "paylap!"),
            ("progress 1\rprogress 2", "progress 1progress 2"),
            ("日本語 é 👨‍👩‍👧 \u{a0}", "日本語 é 👨‍👩‍👧 \u{a0}"),
        ] {
            assert_eq!(tame(text), plain, "{text:?}");
        }
    }

    #[test]
    fn our_own_colours_pass_and_nothing_else() {
        assert_eq!(
            printable("\x1b[1mbold\x1b[0m \x1b[1;94mx\x1b[2J\u{202e}y\x1b]0;t\x07"),
            "\x1b[1mbold\x1b[0m \x1b[1;94mxy"
        );
        assert!(matches!(printable("plain\n\ttext"), Cow::Borrowed(_)));
    }

    #[test]
    fn who_has_to_judge_sees_everything() {
        assert_eq!(visible("a\u{202e}b\x1b[31m\u{e0041}\r\nc"), "a‹U+202E›b‹U+001B›[31m‹U+E0041›\nc");
    }
}
