//! JSON with comments and trailing commas.

use jsonc_parser::ast::Value;
use jsonc_parser::common::Ranged;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};

use super::{Kind, MAX_DEPTH, Member, Node, Origin, SyntaxError};

/// What people paste has comments and trailing commas. A missing comma or a word without quotes is more
/// likely a slip that hides another mistake, so those are errors.
const OPTIONS: ParseOptions = ParseOptions {
    allow_comments: true,
    allow_trailing_commas: true,
    allow_loose_object_property_names: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

pub(super) fn parse(text: &str) -> Result<Node, SyntaxError> {
    let parsed = parse_to_ast(text, &CollectOptions::default(), &OPTIONS).map_err(|error| {
        let range = error.range();
        SyntaxError { message: lower_first(&error.kind().to_string()), span: range.start..range.end }
    })?;
    match parsed.value {
        Some(value) => convert(value, 0),
        None => Ok(Node::empty_map(Origin::File(0..0))),
    }
}

fn convert(value: Value<'_>, depth: usize) -> Result<Node, SyntaxError> {
    let span = value.start()..value.end();
    if depth > MAX_DEPTH {
        return Err(SyntaxError { message: format!("more than {MAX_DEPTH} levels of nesting"), span });
    }
    let kind = match value {
        Value::NullKeyword(_) => Kind::Null,
        Value::BooleanLit(literal) => Kind::Bool(literal.value),
        Value::NumberLit(literal) => Kind::Number(literal.value.to_owned()),
        Value::StringLit(literal) => Kind::String(literal.value.into_owned()),
        Value::Array(array) => Kind::List(
            array
                .elements
                .into_iter()
                .map(|element| convert(element, depth + 1))
                .collect::<Result<_, _>>()?,
        ),
        Value::Object(object) => Kind::Map(
            object
                .properties
                .into_iter()
                .map(|property| {
                    Ok(Member {
                        origin: Origin::File(property.name.start()..property.name.end()),
                        key: property.name.into_string(),
                        value: convert(property.value, depth + 1)?,
                    })
                })
                .collect::<Result<_, _>>()?,
        ),
    };
    Ok(Node { kind, origin: Origin::File(span) })
}

/// The parser's sentences start with a capital; ours are fragments.
fn lower_first(message: &str) -> String {
    let mut chars = message.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}
