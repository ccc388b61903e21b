//! Words that give orders to the model instead of saying what a tool does.
//!
//! Nobody can tell orders from descriptions by their words alone, so this looks for few phrases, each of a group with
//! points. A group counts once for a definition; two points are a note, four are grave. So one odd phrase in a harmless text
//! holds nothing back, while what attacks have in common (an order to read a secret, to pass it on, and to keep quiet) does.
//! The phrases are English; what is said in other languages is not found.

use std::collections::HashMap;
use std::sync::OnceLock;

use memchr::memmem;

use super::{Finding, Severity, Text};
use crate::wire::unseen::{Unseen, unseen};

/// Points from which on all phrases of a definition are grave, and from which on they are told at all.
const GRAVE: u32 = 4;
const WORTH_TELLING: u32 = 2;

/// Words of which one has to stand there.
type Slot = &'static [&'static str];

/// A phrase: one word of each slot, with at most so many others between two of them.
struct Phrase {
    group: &'static str,
    points: u32,
    gap: usize,
    slots: &'static [Slot],
}

const fn phrase(group: &'static str, points: u32, gap: usize, slots: &'static [Slot]) -> Phrase {
    Phrase { group, points, gap, slots }
}

const TELL: Slot =
    &["tell", "mention", "inform", "reveal", "disclose", "telling", "informing", "revealing", "disclosing"];
const NOTIFY: Slot = &["notify", "alert", "notifying", "alerting", "mentioning"];
const PERSON: Slot = &["user", "users", "human", "anyone", "anybody", "them", "person"];
const NOT: Slot = &["not", "never", "don't", "dont", "without", "avoid", "cannot"];
const SECRETS: Slot = &["password", "passwords", "credential", "credentials", "secret", "secrets", "apikey"];

/// The phrases, by group.
static PHRASES: &[Phrase] = &[
    // "Ignore all previous instructions."
    phrase(
        "instructions-override",
        4,
        3,
        &[
            &["ignore", "disregard", "forget", "override", "bypass", "discard"],
            &["previous", "prior", "above", "earlier", "preceding", "other", "existing", "system", "your"],
            &[
                "instruction",
                "instructions",
                "prompt",
                "prompts",
                "rules",
                "guidelines",
                "directives",
                "safety",
            ],
        ],
    ),
    phrase(
        "instructions-override",
        2,
        1,
        &[
            &["new", "real", "actual", "updated"],
            &["instructions", "task", "directives"],
            &["are", "is", "follow"],
        ],
    ),
    phrase("instructions-override", 1, 1, &[&["you"], &["are"], &["now"]]),
    // "Do not tell the user."
    phrase("instructions-secrecy", 4, 2, &[NOT, TELL, PERSON]),
    phrase("instructions-secrecy", 2, 2, &[NOT, NOTIFY, PERSON]),
    phrase(
        "instructions-secrecy",
        4,
        2,
        &[
            PERSON,
            &["must", "should", "need"],
            &["not", "never"],
            &["know", "see", "notice", "aware", "notified", "informed"],
        ],
    ),
    phrase(
        "instructions-secrecy",
        2,
        2,
        &[&["keep", "do"], &["this", "it"], &["secret", "secretly", "silently", "hidden", "confidential"]],
    ),
    phrase(
        "instructions-secrecy",
        2,
        2,
        &[NOT, &["mention", "reveal", "disclose", "explain", "say"], &["this", "these", "that", "it"]],
    ),
    phrase(
        "instructions-secrecy",
        2,
        2,
        &[&["avoid"], &["raising", "arousing", "causing"], &["suspicion", "alarm", "upset"]],
    ),
    // "Before using any other tool …"
    phrase(
        "instructions-precedence",
        2,
        3,
        &[
            &["before"],
            &["using", "calling", "invoking", "running", "use", "call", "any"],
            &["other", "any", "another", "every", "all"],
            &["tool", "tools"],
        ],
    ),
    phrase(
        "instructions-precedence",
        2,
        2,
        &[&["instead"], &["of"], &["other", "any", "another", "every", "all"], &["tool", "tools"]],
    ),
    phrase(
        "instructions-precedence",
        2,
        3,
        &[
            &["must", "always", "required"],
            &["call", "use", "invoke", "run", "called", "used"],
            &["this", "it", "tool"],
            &["first", "before"],
        ],
    ),
    phrase(
        "instructions-precedence",
        2,
        3,
        &[
            &["when", "whenever", "after"],
            &["tool", "tools"],
            &["used", "called", "invoked", "available", "present"],
            &["must", "always", "should"],
        ],
    ),
    // "Pass its content as …", "send the credentials to …"
    phrase(
        "instructions-exfiltration",
        2,
        5,
        &[
            &[
                "send",
                "forward",
                "upload",
                "transmit",
                "exfiltrate",
                "leak",
                "post",
                "append",
                "include",
                "attach",
                "bcc",
            ],
            SECRETS,
        ],
    ),
    phrase(
        "instructions-exfiltration",
        1,
        3,
        &[
            &["pass", "put", "write", "provide", "place"],
            &["its", "their", "the"],
            &["content", "contents"],
            &["as", "in", "into", "to"],
        ],
    ),
    phrase(
        "instructions-exfiltration",
        2,
        3,
        &[
            &["read", "open", "access"],
            &["file", "contents", "content"],
            &["and"],
            &["pass", "send", "provide", "include", "attach", "forward"],
        ],
    ),
    // "Otherwise the tool will not work."
    phrase(
        "instructions-pressure",
        1,
        3,
        &[
            &["otherwise", "or", "else"],
            &["tool", "tools", "it", "you", "everything"],
            &["not", "fail", "fails", "deleted", "crash", "penalized", "shut"],
        ],
    ),
    phrase(
        "instructions-pressure",
        1,
        3,
        &[&["without"], &["asking", "confirmation", "confirming", "permission", "consent", "approval"]],
    ),
];

/// Frames that models take for the words of their owner, and the places of secrets.
static MARKS: &[(&str, u32, &str)] = &[
    ("instructions-frame", 2, "<important>"),
    ("instructions-frame", 2, "<system>"),
    ("instructions-frame", 2, "</system>"),
    ("instructions-frame", 2, "<instructions>"),
    ("instructions-frame", 2, "<secret>"),
    ("instructions-frame", 2, "<hidden>"),
    ("instructions-frame", 2, "<critical>"),
    ("instructions-frame", 2, "[system]"),
    ("instructions-frame", 2, "system prompt:"),
    ("instructions-frame", 2, "<!--"),
    ("instructions-frame", 4, "<|im_start|>"),
    ("instructions-frame", 4, "<|system|>"),
    ("instructions-frame", 4, "[/inst]"),
    ("instructions-frame", 4, "<<sys>>"),
    ("instructions-secret-place", 2, ".ssh/"),
    ("instructions-secret-place", 2, "id_rsa"),
    ("instructions-secret-place", 2, "id_ed25519"),
    ("instructions-secret-place", 2, ".aws/credentials"),
    ("instructions-secret-place", 2, "/etc/passwd"),
    ("instructions-secret-place", 2, "/etc/shadow"),
    ("instructions-secret-place", 2, "mcp.json"),
    ("instructions-secret-place", 2, "claude_desktop_config"),
    ("instructions-secret-place", 2, ".git-credentials"),
    ("instructions-secret-place", 2, ".netrc"),
    ("instructions-secret-place", 2, "wallet.dat"),
];

/// What gives orders in one definition.
#[derive(Default)]
pub(super) struct Orders {
    /// By group: its points, and the weightiest phrase.
    groups: Vec<(&'static str, u32, Finding)>,
}

impl Orders {
    pub(super) fn look(&mut self, text: &Text<'_>) {
        let folded = fold(text.text);
        for (group, points, mark) in MARKS {
            if let Some(at) = memmem::find(folded.text.as_bytes(), mark.as_bytes()) {
                self.note(group, *points, text, folded.origin(at));
            }
        }
        let words = split(&folded.text);
        for (index, (_, word)) in words.iter().enumerate() {
            for phrase in beginning_with(word) {
                if matches(phrase, &words[index + 1..]) {
                    self.note(phrase.group, phrase.points, text, folded.origin(words[index].0));
                }
            }
        }
    }

    fn note(&mut self, group: &'static str, points: u32, text: &Text<'_>, at: usize) {
        let known = self.groups.iter_mut().find(|(known, ..)| *known == group);
        match known {
            Some((_, known, _)) if *known >= points => {}
            Some(known) => *known = (group, points, text.finding(group, Severity::Note, at)),
            None => self.groups.push((group, points, text.finding(group, Severity::Note, at))),
        }
    }

    pub(super) fn findings(self) -> impl Iterator<Item = Finding> {
        let points: u32 = self.groups.iter().map(|(_, points, _)| points).sum();
        let severity = if points >= GRAVE { Severity::Grave } else { Severity::Note };
        let is_told = points >= WORTH_TELLING;
        self.groups
            .into_iter()
            .filter(move |_| is_told)
            .map(move |(_, _, finding)| Finding { severity, ..finding })
    }
}

/// The phrases that begin with a word.
fn beginning_with(word: &str) -> &'static [&'static Phrase] {
    static INDEX: OnceLock<HashMap<&'static str, Vec<&'static Phrase>>> = OnceLock::new();
    let index = INDEX.get_or_init(|| {
        let mut index: HashMap<&str, Vec<&Phrase>> = HashMap::new();
        for phrase in PHRASES {
            for word in phrase.slots.first().copied().unwrap_or_default() {
                index.entry(word).or_default().push(phrase);
            }
        }
        index
    });
    index.get(word).map(Vec::as_slice).unwrap_or_default()
}

/// Whether the slots after the first are filled by what follows. Each takes the first word that fits.
fn matches(phrase: &Phrase, mut rest: &[(usize, &str)]) -> bool {
    phrase.slots.iter().skip(1).all(|slot| {
        let found = rest.iter().take(phrase.gap + 1).position(|(_, word)| slot.contains(word));
        rest = &rest[found.map_or(0, |at| at + 1)..];
        found.is_some()
    })
}

/// The words of a text. `_` parts them too: names of arguments are phrases as well (`content_of_the_private_file`).
fn split(text: &str) -> Vec<(usize, &str)> {
    let mut words = Vec::new();
    let mut start = None;
    for (at, letter) in text.char_indices().chain([(text.len(), ' ')]) {
        match (letter.is_alphanumeric() || letter == '\'', start) {
            (true, None) => start = Some(at),
            (false, Some(from)) => {
                words.push((from, &text[from..at]));
                start = None;
            }
            _ => {}
        }
    }
    words
}

/// A text as a model takes it: small letters, without what is not seen, and with the hidden copy of ASCII made plain.
struct Folded {
    text: String,
    /// For some places in it, in their order, the place in the original.
    places: Vec<(usize, usize)>,
}

impl Folded {
    /// Near which place of the original this one stands.
    fn origin(&self, at: usize) -> usize {
        let index = self.places.partition_point(|(folded, _)| *folded <= at);
        let (folded, original) = self.places.get(index.saturating_sub(1)).copied().unwrap_or_default();
        original + at.saturating_sub(folded)
    }
}

fn fold(text: &str) -> Folded {
    let mut folded = Folded { text: String::with_capacity(text.len()), places: Vec::new() };
    let mut shift = 0;
    for (at, letter) in text.char_indices() {
        // A place is noted only where the distance between the two texts changes.
        let now = at as isize - folded.text.len() as isize;
        if now != shift {
            shift = now;
            folded.places.push((folded.text.len(), at));
        }
        match letter {
            '’' | '‘' | 'ʼ' => folded.text.push('\''),
            'A'..='Z' => folded.text.push(letter.to_ascii_lowercase()),
            '\0'..='\u{7f}' => folded.text.push(letter),
            '\u{ff01}'..='\u{ff5e}' => {
                let plain = char::from_u32(u32::from(letter) - 0xfee0).unwrap_or(letter);
                folded.text.push(plain.to_ascii_lowercase());
            }
            _ => match unseen(letter) {
                Some(Unseen::Tag) => {
                    let plain = char::from_u32(u32::from(letter) - 0xe0000).unwrap_or(' ');
                    folded.text.push(plain.to_ascii_lowercase());
                }
                Some(_) => {}
                None => folded.text.extend(letter.to_lowercase()),
            },
        }
    }
    folded
}
