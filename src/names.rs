//! The names that rooms exchange. Three roles, three types: what the config calls a server, what a server calls
//! its own tool, and what a client sees. Mixing them up does not compile.
//!
//! [`slug`] is how a name becomes the part of other names that stands for a server.

use std::fmt;
use std::sync::Arc;

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes the name as it is.
            pub fn new(name: impl Into<Arc<str>>) -> Self {
                Self(name.into())
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl From<&str> for $name {
            fn from(name: &str) -> Self {
                Self::new(name)
            }
        }
    };
}

name_type! {
    /// The key of a server in the config, as its owner wrote it.
    ServerName
}
name_type! {
    /// A tool's or prompt's own name, as its server spells it.
    OriginalName
}
name_type! {
    /// The name under which a client sees a tool or prompt of ours.
    ExposedName
}

/// The slug of our own tools. No server gets it.
pub const RESERVED_SLUG: &str = "switchboard";

/// Turns a name into a slug: lower case, `[a-z0-9-]`, every run of other characters one `-`, none at the ends.
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
