//! Prefixes: the part of an exposed name that stands for a server.

use sha2::{Digest, Sha256};

/// The slug of our own tools. No server may have it.
pub const RESERVED: &str = "switchboard";

/// Turns a name into a prefix: lower case, `[a-z0-9-]`, every run of other characters one `-`, none at the ends.
/// The result may be empty.
pub fn slug(name: &str) -> String {
    let mut slug = String::with_capacity(name.len());
    for character in name.chars() {
        if character.is_ascii_alphanumeric() {
            slug.push(character.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.truncate(slug.trim_end_matches('-').len());
    slug
}

/// The first hexadecimal digits of a name's hash.
pub(super) fn name_hash(name: &str, digits: usize) -> String {
    hex(&Sha256::digest(name.as_bytes())).chars().take(digits).collect()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn slugs() {
        for (name, expected) in [
            ("files", "files"),
            ("My_Server", "my-server"),
            ("@scope/server--x", "scope-server-x"),
            ("  a  ", "a"),
            ("日本", ""),
            ("", ""),
            ("Zoë", "zo"),
        ] {
            assert_eq!(slug(name), expected, "{name}");
        }
    }

    proptest! {
        #[test]
        fn a_slug_is_legal_and_its_own_slug(name in "\\PC*") {
            let once = slug(&name);
            prop_assert!(once.chars().all(|c| matches!(c, 'a'..='z' | '0'..='9' | '-')));
            prop_assert!(!once.starts_with('-') && !once.ends_with('-') && !once.contains("--"));
            prop_assert_eq!(slug(&once), once);
        }
    }
}
