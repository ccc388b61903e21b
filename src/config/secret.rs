//! Values that must not be shown.

use std::fmt;
use std::sync::Arc;

/// What stands in the place of a secret.
pub(super) const MASK: &str = "***";

/// A text that neither `Debug` nor `Display` prints. [`Secret::expose`] is the one way to it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

impl Secret {
    /// Takes a text into keeping.
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that uses it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

/// The values that logs must not contain, collected while the config is resolved.
///
/// Not everything under `env` deserves it: if `LOG_LEVEL: info` were masked, no log line could say `info` any
/// more. So a harmless-looking value is left out unless its name speaks of a secret.
#[derive(Clone, Debug, Default)]
pub(super) struct Redactions {
    all: Vec<Secret>,
    /// Those whose name speaks of a secret.
    named: Vec<Secret>,
}

impl Redactions {
    /// Notes a value that stands under this name (of a variable, header or file).
    pub(super) fn note(&mut self, name: &str, value: &str) {
        // `Bearer abc` is looked for as a whole and by its credential alone.
        let credential = value.split_once(' ').map_or("", |(_, credential)| credential);
        for text in [value, credential] {
            let is_named = names_a_secret(name);
            let add = |secrets: &mut Vec<Secret>| {
                if text.len() >= 4 && !secrets.iter().any(|secret| secret.expose() == text) {
                    secrets.push(Secret::new(text));
                }
            };
            if is_named || !looks_harmless(text) {
                add(&mut self.all);
            }
            if is_named {
                add(&mut self.named);
            }
        }
    }

    /// The secrets, longest first: a secret inside of another one must not break the other's redaction.
    pub(super) fn into_secrets(mut self) -> Vec<Secret> {
        self.all.sort_by_key(|secret| std::cmp::Reverse(secret.expose().len()));
        self.all
    }

    /// Those that are secrets by their name, and not by a guess: what may be hidden even where it changes what is said.
    pub(super) fn named(&self) -> Vec<Secret> {
        let mut named = self.named.clone();
        named.sort_by_key(|secret| std::cmp::Reverse(secret.expose().len()));
        named
    }
}

/// Whether a variable's, header's or key's name says that its value is a secret.
pub(super) fn names_a_secret(name: &str) -> bool {
    const WORDS: [&str; 13] = [
        "key",
        "token",
        "secret",
        "pass",
        "auth",
        "cred",
        "cookie",
        "session",
        "pwd",
        "pat",
        "dsn",
        "private",
        "signature",
    ];
    let name = name.to_ascii_lowercase();
    // `pat` is a word of its own (`GITHUB_PAT`), not a part of `PATH` or `pattern`.
    name.split(|character: char| !character.is_ascii_alphanumeric()).any(|word| {
        WORDS.iter().any(|known| if *known == "pat" { word == "pat" } else { word.contains(known) })
    })
}

fn looks_harmless(value: &str) -> bool {
    let word = value.len() <= 16 && value.chars().all(|character| character.is_ascii_alphabetic());
    let number = value.len() <= 6 && value.parse::<f64>().is_ok();
    word || number || value.starts_with('/') || value.starts_with("~/") || value.starts_with("./")
}

/// Hides what may be a secret in a text: long runs of letters and digits together. The length in bytes stays the
/// same, so that spans stay right.
pub(super) fn mask_suspicious(text: &str) -> String {
    replace_suspicious(text, |run| "*".repeat(run.len()))
}

/// Puts [`MASK`] in the place of what may be a secret.
pub(super) fn hide_suspicious(text: &str) -> String {
    replace_suspicious(text, |_| MASK.to_owned())
}

fn replace_suspicious(text: &str, replace: impl Fn(&str) -> String) -> String {
    let is_part = |character: char| character.is_ascii_alphanumeric() || "_-+=".contains(character);
    let mut replaced = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let (run, after) = rest.split_at(rest.find(|character| !is_part(character)).unwrap_or(rest.len()));
        let has = |kind: fn(&char) -> bool| run.chars().any(|character| kind(&character));
        let suspicious = run.len() >= 16 && has(char::is_ascii_digit) && has(char::is_ascii_alphabetic);
        if suspicious {
            replaced.push_str(&replace(run))
        } else {
            replaced.push_str(run)
        }
        let (between, next) = after.split_at(after.find(is_part).unwrap_or(after.len()));
        replaced.push_str(between);
        rest = next;
    }
    replaced
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_print() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret} {secret:?} {:?}", Some(&secret)), "*** *** Some(***)");
        assert_eq!(secret.expose(), "hunter2");
    }

    #[test]
    fn harmless_values_are_not_redacted() {
        let noted = |name: &str, value: &str| {
            let mut redactions = Redactions::default();
            redactions.note(name, value);
            redactions.into_secrets().iter().map(|secret| secret.expose().to_owned()).collect::<Vec<_>>()
        };
        assert!(noted("LOG_LEVEL", "info").is_empty());
        assert!(noted("PORT", "8080").is_empty());
        assert!(noted("DATA", "/var/data").is_empty());
        assert!(noted("API_KEY", "abc").is_empty());
        assert_eq!(noted("API_KEY", "info"), ["info"]);
        assert_eq!(noted("X", "sk-12345"), ["sk-12345"]);
        assert_eq!(noted("Authorization", "Bearer abcdef"), ["Bearer abcdef", "abcdef"]);
        assert!(noted("PATHS", "plain").is_empty());
        assert_eq!(noted("GITHUB_PAT", "plain"), ["plain"]);
    }

    #[test]
    fn suspicious_runs_are_masked_in_place() {
        assert_eq!(
            mask_suspicious("{\"k\": \"sk-abcdef0123456789\", \"ключ\": 1"),
            "{\"k\": \"*******************\", \"ключ\": 1"
        );
        assert_eq!(mask_suspicious("command: some-long-command-name"), "command: some-long-command-name");
    }
}
