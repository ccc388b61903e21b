//! Text that a model reads and a person does not see.
//!
//! | id | what | grave |
//! |---|---|---|
//! | `hidden-control` | control characters, the beginning of terminal commands among them | but for form feeds and their like |
//! | `hidden-direction` | overrides and isolates of direction, by which a line shows something else than it says | yes |
//! | `hidden-zero-width` | characters without width | inside of words, side by side, or many |
//! | `hidden-tags` | the invisible copy of ASCII (but for flags) | yes |
//! | `hidden-selectors` | variation selectors | several in a row |
//! | `hidden-private` | private use, and what stands for no character | many beyond the basic plane |
//! | `hidden-padding` | text after so much space that nobody scrolls there | yes |
//! | `hidden-blank`, `hidden-mark` | blanks that count as letters; marks of direction without such a script | no |

use super::{Finding, Severity, Text};
use crate::wire::unseen::{Unseen, unseen};

/// Spaces in a row, and line ends in a row, after which nobody expects text.
const FAR_RIGHT: usize = 120;
const FAR_DOWN: usize = 30;
/// This many characters without width have no honest reason in one text.
const MANY: usize = 8;

/// What was seen of one kind in one text.
#[derive(Clone, Copy, Default)]
struct Tally {
    count: usize,
    first: usize,
    grave: bool,
}

impl Tally {
    fn add(&mut self, at: usize, grave: bool) {
        if self.count == 0 || grave && !self.grave {
            self.first = at;
        }
        self.count += 1;
        self.grave |= grave;
    }
}

#[derive(Default)]
struct Tallies {
    control: Tally,
    direction: Tally,
    zero_width: Tally,
    tags: Tally,
    selectors: Tally,
    private: Tally,
    padding: Tally,
    blank: Tally,
    mark: Tally,
}

pub(super) fn look(text: &Text<'_>, findings: &mut Vec<Finding>) {
    let mut seen = Tallies::default();
    padding(text.text, &mut seen.padding);
    if !text.text.is_ascii() || text.text.bytes().any(|byte| byte < b' ' || byte == 0x7f) {
        characters(text.text, &mut seen);
    }
    seen.zero_width.grave |= seen.zero_width.count >= MANY;
    seen.private.grave &= seen.private.count >= 4;
    let all = [
        ("hidden-control", seen.control),
        ("hidden-direction", seen.direction),
        ("hidden-zero-width", seen.zero_width),
        ("hidden-tags", seen.tags),
        ("hidden-selectors", seen.selectors),
        ("hidden-private", seen.private),
        ("hidden-padding", seen.padding),
        ("hidden-blank", seen.blank),
        ("hidden-mark", seen.mark),
    ];
    for (id, tally) in all.into_iter().filter(|(_, tally)| tally.count > 0) {
        let severity = if tally.grave { Severity::Grave } else { Severity::Note };
        findings.push(text.finding(id, severity, tally.first));
    }
}

fn characters(text: &str, seen: &mut Tallies) {
    let mut before: Option<char> = None;
    let mut is_flag = false;
    let mut right_to_left = false;
    let mut letters = text.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        let after = letters.peek().map(|(_, letter)| *letter);
        right_to_left |=
            matches!(letter, '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefc}');
        let inside = || {
            let is_word = |letter: Option<char>| letter.is_some_and(|letter| letter.is_ascii_alphanumeric());
            is_word(before) && is_word(after)
        };
        let again = || before.and_then(unseen).is_some();
        match unseen(letter) {
            None => {}
            Some(Unseen::Control) => {
                seen.control.add(at, !matches!(letter, '\u{b}' | '\u{c}' | '\u{85}'));
            }
            Some(Unseen::Direction) => seen.direction.add(at, true),
            Some(Unseen::Mark) => seen.mark.add(at, false),
            Some(Unseen::ZeroWidth) => {
                // Soft hyphens stand inside of words, and the separators of lines where there are two of them.
                let is_typography = matches!(letter, '\u{ad}' | '\u{2028}' | '\u{2029}');
                seen.zero_width.add(at, !is_typography && (inside() || again()));
            }
            Some(Unseen::Joiner) => {
                let joins = |letter: Option<char>| letter.is_some_and(|letter| !letter.is_ascii());
                if !joins(before) || !joins(after) || again() && before != Some('\u{fe0f}') {
                    seen.zero_width.add(at, inside() || again());
                }
            }
            Some(Unseen::Tag) => {
                // 🏴 and tags are the flag of a region.
                is_flag =
                    before == Some('\u{1f3f4}') || is_flag && before.and_then(unseen) == Some(Unseen::Tag);
                if !is_flag {
                    seen.tags.add(at, true);
                }
            }
            Some(Unseen::Selector) => {
                let again = before.and_then(unseen) == Some(Unseen::Selector);
                if again || before.is_none_or(|before| before.is_ascii_alphabetic() || before == ' ') {
                    seen.selectors.add(at, again);
                }
            }
            Some(Unseen::Blank) => seen.blank.add(at, false),
            Some(Unseen::Private) => seen.private.add(at, u32::from(letter) > 0xffff),
            Some(Unseen::Noncharacter) => seen.private.add(at, false),
        }
        before = Some(letter);
    }
    if right_to_left {
        seen.mark = Tally::default();
    }
}

fn padding(text: &str, tally: &mut Tally) {
    let (mut spaces, mut lines) = (0_usize, 0_usize);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b' ' | b'\t' => spaces += 1,
            b'\n' => (spaces, lines) = (0, lines + 1),
            b'\r' => {}
            _ => {
                if (spaces >= FAR_RIGHT || lines >= FAR_DOWN) && text.is_char_boundary(at) {
                    tally.add(at, true);
                }
                (spaces, lines) = (0, 0);
            }
        }
    }
}
