//! The grammar of the config language: what a key may hold. The tables in `keys` are written in it; the checker
//! and the JSON Schema both read those tables, so they cannot disagree.

/// What a value looks like.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    /// `true` or `false`.
    Bool,
    /// A string that is taken as it stands.
    Text,
    /// A string, number or boolean in which `${…}` is expanded.
    Template,
    /// As `Template`, and never shown.
    Secret,
    /// A whole number in this range.
    Whole { min: u64, max: u64 },
    /// A whole number of 32 bits, with or without sign.
    Integer,
    /// A duration string; `never` says whether "never" is a value too, and `zero` whether nothing at all is.
    Duration { never: bool, zero: bool },
    /// A duration string or a number of seconds: the mission's spelling.
    Seconds,
    /// A number of bytes, with or without unit.
    Size { min: u64, max: u64 },
    /// One of these words.
    Word(&'static [Word]),
    /// A string with a name of an environment variable.
    Variable,
    /// A list.
    List(&'static Shape),
    /// A list, or one element alone. It becomes a list.
    OneOrMore(&'static Shape),
    /// A mapping with any keys.
    Map(&'static Shape),
    /// A mapping with these keys.
    Table(&'static Table),
    /// A mapping with these keys, or `false` for none of it.
    Stage(&'static Table),
    /// The mapping or list of servers. Its entries are checked one by one, so that one cannot spoil another.
    Servers,
    /// Anything; kept as it is.
    Anything,
}

/// A word with its other spellings.
#[derive(Clone, Copy, Debug)]
pub(super) struct Word {
    pub(super) name: &'static str,
    pub(super) aliases: &'static [&'static str],
}

/// A mapping's keys, in groups that tables share.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) groups: &'static [&'static [Key]],
}

/// One key.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) aliases: &'static [&'static str],
    pub(super) shape: Shape,
    /// One sentence for editors.
    pub(super) about: &'static str,
    /// The built-in value, in JSON.
    pub(super) default: Option<&'static str>,
    pub(super) role: Role,
}

/// What this version does with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// It acts.
    InForce,
    /// It belongs to another program, which may go on using it. Nothing is said.
    Foreign,
    /// It belongs to another program and asks for something that we do another way; the text says how.
    Differs(&'static str),
}

// === impl Key ===

impl Key {
    pub(super) const fn new(name: &'static str, shape: Shape, about: &'static str) -> Self {
        Self { name, aliases: &[], shape, about, default: None, role: Role::InForce }
    }

    pub(super) const fn foreign(name: &'static str, aliases: &'static [&'static str]) -> Self {
        let about = "A key of another program, ignored.";
        Self { name, aliases, shape: Shape::Anything, about, default: None, role: Role::Foreign }
    }

    pub(super) const fn differs(
        name: &'static str,
        aliases: &'static [&'static str],
        instead: &'static str,
    ) -> Self {
        let role = Role::Differs(instead);
        Self { name, aliases, shape: Shape::Anything, about: instead, default: None, role }
    }

    pub(super) const fn aliases(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    pub(super) const fn default(mut self, json: &'static str) -> Self {
        self.default = Some(json);
        self
    }

    /// The first name of a word, if this key holds one of several words and this is one of them.
    pub(super) fn word(&self, text: &str) -> Option<&'static str> {
        match self.shape {
            Shape::Word(words) => words.iter().find(|word| word.is(text)).map(|word| word.name),
            _ => None,
        }
    }

    fn is_called(&self, name: &str) -> bool {
        self.name == name || self.aliases.contains(&name)
    }
}

// === impl Table ===

impl Table {
    pub(super) fn keys(&self) -> impl Iterator<Item = &'static Key> {
        self.groups.iter().flat_map(|group| group.iter())
    }

    pub(super) fn find(&self, name: &str) -> Option<&'static Key> {
        self.keys().find(|key| key.is_called(name))
    }
}

// === impl Word ===

impl Word {
    pub(super) const fn new(name: &'static str) -> Self {
        Self { name, aliases: &[] }
    }

    pub(super) const fn or(name: &'static str, aliases: &'static [&'static str]) -> Self {
        Self { name, aliases }
    }

    pub(super) fn is(&self, text: &str) -> bool {
        self.name == text || self.aliases.contains(&text)
    }
}

// === impl Shape ===

impl Shape {
    /// What is expected, as messages say it.
    pub(super) fn expected(&self) -> String {
        match self {
            Self::Bool => "`true` or `false`".to_owned(),
            Self::Text | Self::Template | Self::Secret => "a string".to_owned(),
            Self::Whole { min, max: u64::MAX } => format!("a whole number from {min}"),
            Self::Whole { min, max } => format!("a whole number from {min} to {max}"),
            Self::Integer => "a whole number".to_owned(),
            Self::Duration { never: false, .. } => {
                "a duration such as \"500ms\", \"30s\" or \"5m\"".to_owned()
            }
            Self::Duration { never: true, .. } => {
                "a duration such as \"30s\" or \"5m\", or \"never\"".to_owned()
            }
            Self::Seconds => "a number of seconds".to_owned(),
            Self::Size { .. } => "a size such as \"64KiB\" or \"16MiB\"".to_owned(),
            Self::Word(words) => {
                let names: Vec<String> = words.iter().map(|word| format!("`{}`", word.name)).collect();
                match names.split_last() {
                    Some((last, others)) if !others.is_empty() => format!("{} or {last}", others.join(", ")),
                    _ => names.concat(),
                }
            }
            Self::Variable => "the name of an environment variable".to_owned(),
            Self::List(_) => "a list".to_owned(),
            Self::OneOrMore(element) => format!("{} or a list", element.expected()),
            Self::Map(_) | Self::Table(_) => "a mapping".to_owned(),
            Self::Stage(_) => "a mapping, or `false`".to_owned(),
            Self::Servers => "a mapping from server names to entries".to_owned(),
            Self::Anything => "any value".to_owned(),
        }
    }
}
