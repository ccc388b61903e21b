//! What policies may speak of, as Cedar wants to know it.

use cedar_policy::{Schema, SchemaFragment};
use serde_json::Value;

/// The schema, in the language in which people read it.
pub(super) const TEXT: &str = include_str!("switchboard.cedarschema");

/// What is known of the arguments of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arguments {
    /// Nothing is certain to be there: whoever looks at one must ask first whether the call has it.
    Absent,
    /// Anything may be there. The language of schemas cannot say so, but the form that Cedar reads can.
    Open,
}

/// The schema, with this view of arguments.
///
/// # Errors
/// The schema is wrong, in Cedar's words.
pub(super) fn schema(arguments: Arguments) -> Result<Schema, String> {
    let (fragment, _) = SchemaFragment::from_cedarschema_str(TEXT).map_err(|error| error.to_string())?;
    let mut json = fragment.to_json_value().map_err(|error| error.to_string())?;
    if arguments == Arguments::Open {
        for action in ["call_tool", "get_prompt"] {
            // The namespace of all is the one without a name.
            let place = format!("//actions/{action}/appliesTo/context/attributes/arguments");
            match json.pointer_mut(&place) {
                Some(Value::Object(arguments)) => {
                    arguments.insert("additionalAttributes".to_owned(), Value::Bool(true));
                }
                _ => return Err(format!("there is no {place}")),
            }
        }
    }
    Schema::from_json_value(json).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_is_one() {
        let (_, warnings) = SchemaFragment::from_cedarschema_str(TEXT).unwrap();
        assert_eq!(warnings.count(), 0);
        for arguments in [Arguments::Absent, Arguments::Open] {
            assert_eq!(schema(arguments).err(), None, "{arguments:?}");
        }
    }
}
