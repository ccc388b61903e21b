//! One catalog of what all servers show, as the config wants it.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use super::shown::Known;
use super::{Servers, trust};
use crate::catalog::{self, ArgumentWish, Catalog, Offering, Options, Overrides, Part, Remark, Source};
use crate::config::{ArgumentRule, ServerConfig, ToolRules};
use crate::names::ServerName;
use crate::trust::Neighbours;

/// The catalog of these servers. Its indexes are their places.
pub(super) fn merge(
    servers: &Servers,
    offerings: &HashMap<ServerName, Known>,
    own_tools: &[Bytes],
) -> Arc<Catalog> {
    let nothing = Offering::default();
    let trust = servers.trust();
    let configs: Vec<&ServerConfig> = servers.lanes().map(|lane| &**lane.config()).collect();
    let neighbours =
        if trust.wants_neighbours() { trust::neighbours(servers, offerings) } else { Neighbours::default() };
    let rules: Vec<OwnersRules<'_>> = configs
        .iter()
        .map(|config| OwnersRules::new(&config.tools, trust.remarks(&config.name, &neighbours)))
        .collect();
    let sources: Vec<Source<'_>> = configs
        .iter()
        .zip(&rules)
        .map(|(config, rules)| Source {
            name: &config.name,
            prefix: &config.prefix,
            rules,
            offering: offerings.get(&config.name).map_or(&nothing, |known| &known.offering),
        })
        .collect();
    let max_name = servers.config().expose.max_name;
    Arc::new(Catalog::build(&sources, own_tools, Options { max_name, ..Options::default() }))
}

/// The config's wishes, in the form in which the catalog asks for them.
struct OwnersRules<'a> {
    rules: &'a ToolRules,
    annotations: HashMap<&'a str, Vec<u8>>,
    arguments: HashMap<&'a str, Vec<(String, ArgumentWish)>>,
    remarks: HashMap<(Part, usize), Vec<Remark>>,
}

impl<'a> OwnersRules<'a> {
    fn new(rules: &'a ToolRules, remarks: HashMap<(Part, usize), Vec<Remark>>) -> Self {
        let annotations = rules
            .overrides
            .iter()
            .filter(|(_, words)| !words.annotations.is_empty())
            .filter_map(|(tool, words)| Some((tool.as_str(), serde_json::to_vec(&words.annotations).ok()?)))
            .collect();
        let arguments = rules
            .overrides
            .iter()
            .map(|(tool, words)| {
                let wishes = words.arguments.iter().map(|(name, rule)| (name.clone(), wish(rule)));
                (tool.as_str(), wishes.collect())
            })
            .collect();
        Self { rules, annotations, arguments, remarks }
    }
}

/// What clients see of an argument with this rule.
fn wish(rule: &ArgumentRule) -> ArgumentWish {
    match rule {
        ArgumentRule::Fixed(_) => ArgumentWish::Hidden,
        ArgumentRule::Open { rename, default } => ArgumentWish::Shown {
            name: rename.clone(),
            default: default.as_ref().and_then(|value| serde_json::to_vec(value).ok()).map(Bytes::from),
        },
    }
}

impl catalog::Rules for OwnersRules<'_> {
    fn allows(&self, original: &str) -> bool {
        self.rules.allows(original)
    }

    fn rename(&self, original: &str) -> Option<&str> {
        self.rules.renamed(original)
    }

    fn overrides(&self, original: &str) -> Option<Overrides<'_>> {
        let words = self.rules.override_of(original)?;
        Some(Overrides {
            title: words.title.as_deref(),
            description: words.description.as_deref(),
            annotations: self.annotations.get(original).map(Vec::as_slice),
            arguments: self.arguments.get(original).map(Vec::as_slice).unwrap_or_default(),
        })
    }

    fn remarks(&self, part: Part, index: usize) -> Vec<Remark> {
        self.remarks.get(&(part, index)).cloned().unwrap_or_default()
    }
}
