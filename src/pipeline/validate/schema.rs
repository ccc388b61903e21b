//! Schemas of strangers, made into checks that cost bounded time and memory.
//!
//! One is admitted only if it is small and shallow and refers to nothing outside of itself; nothing is fetched in any case. Patterns are
//! matched in linear time; one that needs more than that is left out. A schema in which references multiply is used for
//! yes or no alone: that answer is remembered where references meet, while a list of all faults could grow without bound.

use std::collections::HashMap;

use jsonschema::{PatternOptions, Validator};
use serde_json::{Map, Value};

/// The largest schema that is compiled, in bytes.
pub(super) const MAX_SIZE: usize = 256 << 10;
/// How deep a schema may nest, along its references.
const MAX_DEPTH: usize = 128;
/// How deep the schema and the value together may lead, where the schema refers to itself.
const MAX_STACK: usize = 512;
/// With all references followed, this many parts are few.
const FEW: u64 = 20_000;
/// Patterns of one schema that are compiled, and the memory for each.
const MAX_PATTERNS: usize = 100;
const PATTERN_SIZE: usize = 256 << 10;
/// How much work one check may be: the bytes of the value times the parts of the schema.
const MAX_WORK: u64 = 1 << 26;

/// A schema that is ready to check values.
#[derive(Debug)]
pub(in crate::pipeline) struct Schema {
    pub(super) tree: Value,
    pub(in crate::pipeline) validator: Validator,
    /// Whether all faults of a value may be listed.
    pub(super) is_tame: bool,
    /// The deepest value that is looked at.
    pub(super) max_depth: usize,
    parts: u64,
    /// Patterns that are not checked.
    pub(super) unchecked: usize,
}

impl Schema {
    /// Compiles a schema; a `closed` one refuses what it does not name.
    ///
    /// # Errors
    /// It cannot be used: why, as a fragment.
    pub(in crate::pipeline) fn compile(text: &[u8], closed: bool) -> Result<Self, String> {
        if text.len() > MAX_SIZE {
            return Err(format!("it has {} bytes; at most {MAX_SIZE} are looked at", text.len()));
        }
        let mut tree: Value =
            serde_json::from_slice(text).map_err(|error| format!("it cannot be read: {error}"))?;
        let mut patterns = Patterns::default();
        patterns.sift(&mut tree);
        if closed {
            super::close::close(&mut tree);
        }
        let measure = Measure::of(&tree)?;
        let validator = jsonschema::options()
            .offline()
            .should_validate_formats(false)
            .with_pattern_options(PatternOptions::regex().size_limit(PATTERN_SIZE))
            .build(&tree)
            .map_err(|error| format!("it is no valid JSON Schema: {error}"))?;
        let max_depth = if measure.is_cyclic { MAX_STACK / measure.depth.max(1) } else { MAX_DEPTH };
        Ok(Self {
            tree,
            validator,
            is_tame: !measure.is_cyclic && measure.parts <= FEW,
            max_depth,
            parts: measure.parts.min(FEW),
            unchecked: patterns.left_out,
        })
    }

    /// Whether a value of this size is too much to check.
    pub(super) fn is_too_much(&self, bytes: usize) -> bool {
        self.parts.saturating_mul(bytes as u64) > MAX_WORK
    }
}

/// Takes out the patterns that cannot be matched in linear time and small space.
#[derive(Default)]
struct Patterns {
    known: HashMap<String, bool>,
    left_out: usize,
}

impl Patterns {
    fn sift(&mut self, value: &mut Value) {
        match value {
            Value::Array(elements) => elements.iter_mut().for_each(|element| self.sift(element)),
            Value::Object(members) => {
                if let Some(Value::String(pattern)) = members.get("pattern")
                    && !self.is_good(&pattern.clone())
                {
                    members.remove("pattern");
                    self.left_out += 1;
                }
                if let Some(Value::Object(named)) = members.get_mut("patternProperties") {
                    let before = named.len();
                    named.retain(|pattern, _| self.is_good(pattern));
                    // What such a pattern would have named must not be refused for want of a name.
                    if named.len() < before {
                        self.left_out += before - named.len();
                        members.remove("additionalProperties");
                        members.insert("additionalProperties".to_owned(), Value::Bool(true));
                    }
                }
                members.values_mut().for_each(|value| self.sift(value));
            }
            _ => {}
        }
    }

    fn is_good(&mut self, pattern: &str) -> bool {
        if let Some(known) = self.known.get(pattern) {
            return *known;
        }
        let schema = Value::Object(Map::from_iter([("pattern".to_owned(), pattern.into())]));
        let options = PatternOptions::regex().size_limit(PATTERN_SIZE);
        let good = self.known.len() < MAX_PATTERNS
            && jsonschema::options().offline().with_pattern_options(options).build(&schema).is_ok();
        if self.known.len() < MAX_PATTERNS {
            self.known.insert(pattern.to_owned(), good);
        }
        good
    }
}

/// How large a schema is with its references followed.
struct Measure {
    parts: u64,
    depth: usize,
    is_cyclic: bool,
}

impl Measure {
    fn of(tree: &Value) -> Result<Self, String> {
        let mut walk = Walk { root: tree, seen: HashMap::new(), is_cyclic: false };
        let (parts, depth) = walk.visit(tree, 0)?;
        Ok(Self { parts, depth, is_cyclic: walk.is_cyclic })
    }
}

struct Walk<'a> {
    root: &'a Value,
    /// By address; `None` while it is being looked at.
    seen: HashMap<*const Value, Option<(u64, usize)>>,
    is_cyclic: bool,
}

impl<'a> Walk<'a> {
    fn visit(&mut self, value: &'a Value, depth: usize) -> Result<(u64, usize), String> {
        if depth > MAX_DEPTH {
            return Err(format!("it nests deeper than {MAX_DEPTH} levels"));
        }
        let place: *const Value = value;
        match self.seen.get(&place) {
            Some(Some(known)) if depth + known.1 > MAX_DEPTH => {
                return Err(format!("it nests deeper than {MAX_DEPTH} levels"));
            }
            Some(Some(known)) => return Ok(*known),
            Some(None) => {
                self.is_cyclic = true;
                return Ok((1, 1));
            }
            None => {}
        }
        // What is no object is no schema.
        let mut total = (u64::from(value.is_object()), 0usize);
        let mut add = |(parts, depth): (u64, usize)| {
            total = (total.0.saturating_add(parts), total.1.max(depth));
        };
        match value {
            Value::Array(elements) => {
                for element in elements {
                    add(self.visit(element, depth + 1)?);
                }
            }
            Value::Object(members) => {
                self.seen.insert(place, None);
                for (key, value) in members {
                    match (key.as_str(), value) {
                        ("$ref" | "$dynamicRef" | "$recursiveRef", Value::String(target)) => {
                            let target = self.target(target)?;
                            add(self.visit(target, depth + 1)?);
                        }
                        ("$id", Value::String(_)) if depth > 0 => {
                            return Err("it holds another schema with an `$id` of its own".to_owned());
                        }
                        _ => add(self.visit(value, depth + 1)?),
                    }
                }
                self.seen.insert(place, Some((total.0, total.1 + 1)));
            }
            _ => {}
        }
        Ok((total.0, total.1 + 1))
    }

    fn target(&self, target: &str) -> Result<&'a Value, String> {
        let Some(fragment) = target.strip_prefix('#') else {
            return Err(format!("it refers to `{}`, outside of itself", excerpt(target)));
        };
        let fragment = percent_encoding::percent_decode_str(fragment).decode_utf8_lossy();
        let found = match fragment.is_empty() || fragment.starts_with('/') {
            true => self.root.pointer(&fragment),
            false => anchored(self.root, &fragment, 0),
        };
        found.ok_or_else(|| format!("it refers to `{}`, which is not there", excerpt(target)))
    }
}

fn anchored<'a>(value: &'a Value, name: &str, depth: usize) -> Option<&'a Value> {
    if depth > MAX_DEPTH {
        return None;
    }
    match value {
        Value::Array(elements) => elements.iter().find_map(|element| anchored(element, name, depth + 1)),
        Value::Object(members) => {
            let is_named = ["$anchor", "$dynamicAnchor"]
                .iter()
                .any(|key| members.get(*key).and_then(Value::as_str) == Some(name));
            match is_named {
                true => Some(value),
                false => members.values().find_map(|value| anchored(value, name, depth + 1)),
            }
        }
        _ => None,
    }
}

/// The beginning of a text, for sentences that quote it.
pub(super) fn excerpt(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
