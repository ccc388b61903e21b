//! Characters that a reader does not see, or that make him see something else.
//!
//! Whoever prints a stranger's words, logs them, or looks for what is hidden in them asks here, so that all mean the same.

/// What an unseen character does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unseen {
    /// A C0 or C1 control, or DEL; the beginning of every terminal command. Line ends and tabs are none.
    Control,
    /// Changes the direction of the text after it.
    Direction,
    /// A mark of direction, as honest texts in Arabic or Hebrew have it.
    Mark,
    /// Takes no room and means nothing to a reader.
    ZeroWidth,
    /// Joins or parts letters without taking room; emoji and several scripts need it.
    Joiner,
    /// A copy of an ASCII character that no font shows (the block of tags).
    Tag,
    /// Chooses the look of the character before it. Any byte can be written with them.
    Selector,
    /// A blank that counts as a letter.
    Blank,
    /// Means what two parties have agreed on.
    Private,
    /// Stands for no character at all.
    Noncharacter,
}

/// What kind of unseen character this is; `None` if it is seen, or is an ordinary space.
pub fn unseen(character: char) -> Option<Unseen> {
    if (' '..='~').contains(&character) {
        return None;
    }
    match character {
        '\n' | '\r' | '\t' => None,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' => Some(Unseen::Control),
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => Some(Unseen::Direction),
        '\u{200e}' | '\u{200f}' | '\u{61c}' => Some(Unseen::Mark),
        '\u{ad}'
        | '\u{34f}'
        | '\u{180e}'
        | '\u{200b}'
        | '\u{2028}'
        | '\u{2029}'
        | '\u{2060}'..='\u{2065}'
        | '\u{206a}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}' => Some(Unseen::ZeroWidth),
        '\u{200c}' | '\u{200d}' => Some(Unseen::Joiner),
        '\u{e0000}'..='\u{e007f}' => Some(Unseen::Tag),
        '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}' => Some(Unseen::Selector),
        '\u{115f}' | '\u{1160}' | '\u{2800}' | '\u{3164}' | '\u{ffa0}' => Some(Unseen::Blank),
        '\u{e000}'..='\u{f8ff}' => Some(Unseen::Private),
        '\u{fdd0}'..='\u{fdef}' => Some(Unseen::Noncharacter),
        // The last two of every plane.
        _ if u32::from(character) & 0xfffe == 0xfffe => Some(Unseen::Noncharacter),
        '\u{f0000}'..='\u{10ffff}' => Some(Unseen::Private),
        _ => None,
    }
}

impl Unseen {
    /// Whether a terminal may be led astray by it: it steers, reorders, or hides in what a person copies.
    pub fn misleads(self) -> bool {
        matches!(self, Unseen::Control | Unseen::Direction | Unseen::ZeroWidth | Unseen::Tag)
    }
}

/// Appends `text`, a checked JSON text, with every misleading character as an escape. What it means stays the same: such
/// characters stand only inside of strings.
pub fn push_escaped(out: &mut Vec<u8>, text: &str) {
    let mut done = 0;
    for (at, character) in text.char_indices() {
        if character.is_ascii() && character != '\u{7f}' || !unseen(character).is_some_and(Unseen::misleads) {
            continue;
        }
        out.extend_from_slice(&text.as_bytes()[done..at]);
        for unit in character.encode_utf16(&mut [0; 2]) {
            out.extend_from_slice(format!("\\u{unit:04x}").as_bytes());
        }
        done = at + character.len_utf8();
    }
    out.extend_from_slice(&text.as_bytes()[done..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_seen() {
        for letter in "a Z~\t\n\r\u{a0}é日本語🦀👍🏽العربية".chars() {
            assert_eq!(unseen(letter), None, "{letter:?}");
        }
    }

    #[test]
    fn every_kind_is_told() {
        let kinds = [
            ('\u{1b}', Unseen::Control),
            ('\u{9b}', Unseen::Control),
            ('\u{202e}', Unseen::Direction),
            ('\u{200f}', Unseen::Mark),
            ('\u{200b}', Unseen::ZeroWidth),
            ('\u{feff}', Unseen::ZeroWidth),
            ('\u{200d}', Unseen::Joiner),
            ('\u{e0041}', Unseen::Tag),
            ('\u{fe0f}', Unseen::Selector),
            ('\u{e0100}', Unseen::Selector),
            ('\u{3164}', Unseen::Blank),
            ('\u{e000}', Unseen::Private),
            ('\u{100000}', Unseen::Private),
            ('\u{10ffff}', Unseen::Noncharacter),
            ('\u{1ffff}', Unseen::Noncharacter),
        ];
        for (letter, kind) in kinds {
            assert_eq!(unseen(letter), Some(kind), "U+{:04X}", u32::from(letter));
        }
    }

    #[test]
    fn escaped_json_means_the_same() {
        let text = "{\"a\":\"x\u{9b}31m\u{202e}\u{e0041}é\",\n\"b\":1.10}";
        let mut out = Vec::new();
        push_escaped(&mut out, text);
        let escaped = String::from_utf8(out).unwrap();
        assert_eq!(escaped, "{\"a\":\"x\\u009b31m\\u202e\\udb40\\udc41é\",\n\"b\":1.10}");
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(read(&escaped), read(text));
    }
}
