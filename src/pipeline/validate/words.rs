//! What is wrong with a value, in words that a model can act on.

use jsonschema::ValidationError;
use jsonschema::error::{TypeKind, ValidationErrorKind as Kind};
use serde_json::Value;

use super::schema::{Schema, excerpt};

/// So many faults are told.
const MOST: usize = 8;
/// How far choices within choices are looked into.
const MAX_DEPTH: usize = 3;

/// The faults of a value, one fragment each; `None` if it has none. `what` is what the value is called; of a large one only the first
/// fault is told, for it may have as many as it has parts.
pub(super) fn faults(schema: &Schema, value: &Value, what: &str, is_large: bool) -> Option<Vec<String>> {
    if schema.validator.is_valid(value) {
        return None;
    }
    if !schema.is_tame {
        return Some(vec![format!("`{what}` does not fit the schema, which refers to itself")]);
    }
    let words = Words { schema, what };
    if is_large {
        return Some(
            schema.validator.validate(value).map_or_else(|error| words.of(&error, 0), |()| Vec::new()),
        );
    }
    let mut errors = schema.validator.iter_errors(value);
    let mut faults: Vec<String> = Vec::new();
    for error in errors.by_ref() {
        for fault in words.of(&error, 0) {
            if !faults.contains(&fault) {
                faults.push(fault);
            }
        }
        if faults.len() >= MOST {
            break;
        }
    }
    let more = errors.count() + faults.len().saturating_sub(MOST);
    faults.truncate(MOST);
    if more > 0 {
        faults.push(format!("and {more} more"));
    }
    Some(faults)
}

struct Words<'a> {
    schema: &'a Schema,
    what: &'a str,
}

impl Words<'_> {
    fn of(&self, error: &ValidationError<'_>, depth: usize) -> Vec<String> {
        let place = self.place(error);
        let found = || shown(error.instance());
        let one = |text: String| vec![text];
        match error.kind() {
            Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
                unexpected.iter().take(MOST).map(|name| self.unknown(error, name)).collect()
            }
            Kind::Required { property } => {
                let name = property.as_str().unwrap_or_default();
                let wanted = self.kind_of(error, name).map(|kind| format!(" ({kind})")).unwrap_or_default();
                one(format!("`{}` is missing{wanted}", join(&place, name)))
            }
            Kind::Type { kind } => {
                let kinds = match kind {
                    TypeKind::Single(kind) => with_article(&kind.to_string()),
                    TypeKind::Multiple(kinds) => {
                        let kinds: Vec<String> =
                            kinds.iter().map(|kind| with_article(&kind.to_string())).collect();
                        kinds.join(" or ")
                    }
                };
                one(format!("`{place}` must be {kinds}, found {}", found()))
            }
            Kind::Enum { options } => one(format!(
                "`{place}` must be {}, found {}",
                self.options(options, error.instance()),
                found()
            )),
            Kind::Constant { expected_value } => {
                one(format!("`{place}` must be {}, found {}", shown(expected_value), found()))
            }
            Kind::AnyOf { context } | Kind::OneOfNotValid { context } if depth < MAX_DEPTH => {
                // The choice that fits best has come farthest into the value, and lacks least.
                let rank = |errors: &&Vec<ValidationError<'static>>| {
                    let deepest =
                        errors.iter().map(|error| error.instance_path().as_str().len()).max().unwrap_or(0);
                    let is_other_type = errors.iter().any(|error| {
                        matches!(error.kind(), Kind::Type { .. })
                            && error.instance_path().as_str().len() == place_length(context)
                    });
                    (is_other_type, usize::MAX - deepest, errors.len())
                };
                let kinds = alternatives(context);
                match (kinds, context.iter().min_by_key(rank)) {
                    (Some(kinds), _) => one(format!("`{place}` must be {kinds}, found {}", found())),
                    (None, Some(best)) => {
                        best.iter().take(3).flat_map(|error| self.of(error, depth + 1)).collect()
                    }
                    (None, None) => one(format!("`{place}` fits none of the choices, found {}", found())),
                }
            }
            Kind::OneOfMultipleValid { .. } => {
                one(format!("`{place}` fits more than one of the choices, found {}", found()))
            }
            Kind::Pattern { pattern } => {
                one(format!("`{place}` must match `{}`, found {}", excerpt(pattern), found()))
            }
            Kind::Minimum { limit } => one(format!("`{place}` must be at least {limit}, found {}", found())),
            Kind::Maximum { limit } => one(format!("`{place}` must be at most {limit}, found {}", found())),
            Kind::ExclusiveMinimum { limit } => {
                one(format!("`{place}` must be more than {limit}, found {}", found()))
            }
            Kind::ExclusiveMaximum { limit } => {
                one(format!("`{place}` must be less than {limit}, found {}", found()))
            }
            Kind::MinLength { limit } => {
                one(format!("`{place}` must have at least {limit} characters, found {}", found()))
            }
            Kind::MaxLength { limit } => {
                one(format!("`{place}` must have at most {limit} characters, found {}", found()))
            }
            Kind::MinItems { limit } => one(format!("`{place}` must have at least {limit} elements")),
            Kind::MaxItems { limit } => one(format!("`{place}` must have at most {limit} elements")),
            Kind::UniqueItems => one(format!("`{place}` has the same element twice")),
            _ => one(format!("`{place}`: {}", excerpt(&error.masked().to_string()))),
        }
    }

    /// A property that the schema does not name, with those that it may have been meant to be.
    fn unknown(&self, error: &ValidationError<'_>, name: &str) -> String {
        let at = error.schema_path().as_str();
        let names: Vec<&str> = at
            .rfind('/')
            .and_then(|end| self.schema.tree.pointer(&at[..end])?.get("properties")?.as_object())
            .map(|properties| properties.keys().map(String::as_str).collect())
            .unwrap_or_default();
        let place = join(&self.place(error), &excerpt(name));
        let near = |known: &&&str| strsim::jaro_winkler(&known.to_lowercase(), &name.to_lowercase()) > 0.8;
        let near: Vec<String> = names.iter().filter(near).take(3).map(|name| format!("`{name}`")).collect();
        let known: Vec<String> = names.iter().take(12).map(|name| format!("`{name}`")).collect();
        match (near.is_empty(), known.is_empty()) {
            (false, _) => format!("`{place}` is unknown; did you mean {}?", near.join(" or ")),
            (true, false) => format!("`{place}` is unknown; known are {}", known.join(", ")),
            (true, true) => format!("`{place}` is unknown; nothing is expected there"),
        }
    }

    /// The type of a property that is missing.
    fn kind_of(&self, error: &ValidationError<'_>, name: &str) -> Option<String> {
        let at = error.schema_path().as_str();
        let schema = self.schema.tree.pointer(&at[..at.rfind('/')?])?.get("properties")?.get(name)?;
        Some(with_article(schema.get("type")?.as_str()?))
    }

    fn options(&self, options: &Value, found: &Value) -> String {
        let Some(options) = options.as_array() else { return shown(options) };
        let listed: Vec<String> = options.iter().take(12).map(shown).collect();
        let more = if options.len() > listed.len() { ", …" } else { "" };
        let near = found.as_str().and_then(|found| {
            let found = found.to_lowercase();
            let alike = |option: &&str| strsim::jaro_winkler(&option.to_lowercase(), &found);
            let best = options
                .iter()
                .filter_map(Value::as_str)
                .max_by(|left, right| alike(left).total_cmp(&alike(right)))?;
            (listed.len() < options.len() && alike(&best) > 0.8)
                .then(|| format!(" (did you mean {}?)", shown(&Value::from(best))))
        });
        format!("one of {}{more}{}", listed.join(", "), near.unwrap_or_default())
    }

    /// The path of a value, as it is written in most languages: `arguments.items[2].name`.
    fn place(&self, error: &ValidationError<'_>) -> String {
        let mut place = self.what.to_owned();
        for part in error.instance_path().as_str().split('/').skip(1) {
            let part = part.replace("~1", "/").replace("~0", "~");
            match part.parse::<usize>() {
                Ok(index) => place.push_str(&format!("[{index}]")),
                Err(_) => place = join(&place, &excerpt(&part)),
            }
        }
        place
    }
}

fn join(place: &str, name: &str) -> String {
    format!("{place}.{name}")
}

/// How long the path of the value itself is, of which choices speak.
fn place_length(context: &[Vec<ValidationError<'static>>]) -> usize {
    context.iter().flatten().map(|error| error.instance_path().as_str().len()).min().unwrap_or(0)
}

/// The types that would do, if it is only the type that is wrong in every choice.
fn alternatives(context: &[Vec<ValidationError<'static>>]) -> Option<String> {
    let mut kinds = Vec::new();
    let length = place_length(context);
    for errors in context {
        match &errors[..] {
            [error] if error.instance_path().as_str().len() == length => match error.kind() {
                Kind::Type { kind: TypeKind::Single(kind) } => kinds.push(with_article(&kind.to_string())),
                _ => return None,
            },
            _ => return None,
        }
    }
    Some(kinds.join(" or "))
}

fn with_article(kind: &str) -> String {
    match kind {
        "null" => "null".to_owned(),
        "integer" | "array" | "object" => format!("an {kind}"),
        _ => format!("a {kind}"),
    }
}

/// A value as it is quoted: its kind, and its beginning if that says more.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => excerpt(&number.to_string()),
        Value::String(text) => format!("\"{}\"", excerpt(text)),
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}
