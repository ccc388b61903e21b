//! How lines hang together: each ends with the hash of all that stands before it in the line, and that holds the hash of the
//! line before.

use std::io::Write as _;

use sha2::{Digest, Sha256};

/// What stands before the hash at the end of a line.
const MARK: &[u8] = br#","hash":""#;
/// What stands after it.
const END: &[u8] = br#""}"#;
/// The hash in hexadecimal digits.
const DIGITS: usize = 64;

/// A line as the next one sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its number, counted from one.
    pub number: u64,
    /// Its hash.
    pub hash: String,
}

impl Link {
    /// What the first line of all hangs on.
    pub fn none() -> Self {
        Self { number: 0, hash: "0".repeat(DIGITS) }
    }

    /// Closes a line: `members` are the members of a JSON object. Appends the line with its end, and gives what the next
    /// one hangs on.
    pub(super) fn forge(&self, out: &mut Vec<u8>, members: &[u8]) -> Link {
        let number = self.number + 1;
        let start = out.len();
        // A vector takes whatever is written to it.
        let _ = write!(out, r#"{{"number":{number},"previous":"{}","#, self.hash);
        out.extend_from_slice(members);
        let hash = hash(&out[start..]);
        out.extend_from_slice(MARK);
        out.extend_from_slice(hash.as_bytes());
        out.extend_from_slice(END);
        out.push(b'\n');
        Link { number, hash }
    }
}

/// A line that agrees with its own hash.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sound<'a> {
    pub(super) link: Link,
    /// The hash of the line before, as it says.
    pub(super) previous: &'a str,
}

/// Reads a line (without its end); `None` if it does not agree with its own hash.
pub(super) fn read(line: &[u8]) -> Option<Sound<'_>> {
    let body = line.strip_suffix(END)?;
    let (body, digits) = body.split_at_checked(body.len().checked_sub(DIGITS)?)?;
    let body = body.strip_suffix(MARK)?;
    if hash(body).as_bytes() != digits {
        return None;
    }
    let rest = std::str::from_utf8(body).ok()?.strip_prefix(r#"{"number":"#)?;
    let (number, rest) = rest.split_once(r#","previous":""#)?;
    let previous = rest.get(..DIGITS)?;
    let hash = std::str::from_utf8(digits).ok()?.to_owned();
    Some(Sound { link: Link { number: number.parse().ok()?, hash }, previous })
}

fn hash(text: &[u8]) -> String {
    crate::wire::hex(&Sha256::digest(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_holds_on_to_the_one_before() {
        let mut out = Vec::new();
        let first = Link::none().forge(&mut out, br#""a":1"#);
        let second = first.forge(&mut out, br#""a":"x","hash":"y""#);
        let lines: Vec<&[u8]> = out.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
        let read: Vec<Sound<'_>> = lines.iter().map(|line| read(line).unwrap()).collect();
        assert_eq!((&read[0].link, read[0].previous), (&first, &*Link::none().hash));
        assert_eq!((&read[1].link, read[1].previous), (&second, &*first.hash));
        assert!(serde_json::from_slice::<serde_json::Value>(lines[0]).is_ok());
    }

    #[test]
    fn a_change_of_any_byte_is_seen() {
        let mut out = Vec::new();
        Link::none().forge(&mut out, br#""a":1,"b":"text""#);
        out.pop();
        assert!(read(&out).is_some());
        for place in 0..out.len() {
            let mut changed = out.clone();
            changed[place] ^= 1;
            assert!(read(&changed).is_none(), "at {place}");
            assert!(read(&out[..place]).is_none(), "cut at {place}");
        }
    }
}
