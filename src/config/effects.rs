//! What tools do to the world, by the owner's word (`effects`).

use std::collections::HashMap;

use super::model::Glob;
use super::tree::Node;
use crate::effect::Effect;

/// The effects of a server's tools, by their own names and by patterns.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Effects {
    named: HashMap<String, Effect>,
    patterns: Vec<(Glob, Effect)>,
}

impl Effects {
    /// What is said of a tool: what names it counts first, then the strictest pattern that fits.
    pub fn of(&self, tool: &str) -> Option<Effect> {
        let fits = |(glob, effect): &(Glob, Effect)| glob.matches(tool).then_some(*effect);
        let named = self.named.get(tool).copied();
        named.or_else(|| self.patterns.iter().filter_map(fits).max())
    }

    /// Whether anything is said to do nothing but read.
    pub fn any_reads(&self) -> bool {
        let patterns = self.patterns.iter().map(|(_, effect)| effect);
        self.named.values().chain(patterns).any(|effect| *effect == Effect::Read)
    }
}

impl<'a> FromIterator<(&'a str, Effect)> for Effects {
    fn from_iter<I: IntoIterator<Item = (&'a str, Effect)>>(said: I) -> Self {
        let mut effects = Self::default();
        for (name, effect) in said {
            match name.contains(['*', '?']) {
                true => effects.patterns.push((Glob::new(name), effect)),
                false => drop(effects.named.insert(name.to_owned(), effect)),
            }
        }
        effects
    }
}

/// Reads `effects` of a checked server entry.
pub(super) fn decode(node: &Node) -> Effects {
    let said = node.get("effects").map(Node::members).unwrap_or_default();
    let effect = |value: &Node| Effect::parse(value.as_str()?);
    said.iter().filter_map(|member| Some((member.key.as_str(), effect(&member.value)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_counts_before_patterns_and_the_strictest_of_those() {
        let said = [
            ("query_*", Effect::Read),
            ("*_purge", Effect::Destructive),
            ("query_log", Effect::Idempotent),
            ("query_and_purge", Effect::Read),
        ];
        let effects: Effects = said.into_iter().collect();
        assert_eq!(effects.of("query_all"), Some(Effect::Read));
        assert_eq!(effects.of("query_log"), Some(Effect::Idempotent));
        assert_eq!(effects.of("query_purge"), Some(Effect::Destructive));
        assert_eq!(effects.of("query_and_purge"), Some(Effect::Read));
        assert_eq!(effects.of("other"), None);
    }
}
