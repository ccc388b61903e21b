//! "Equal to the server driven directly", as a comparison. What a client sees through Switchboard must be what
//! the server says, except for the following mapping and nothing else:
//!
//! - tool and prompt names are exposed names, `server__name`;
//! - the lists of all servers are one list, in config order, with Switchboard's own tools among them;
//! - ids of requests are each hop's own, and the members of the JSON-RPC envelope have no order;
//! - a log message's `logger` is `server`, or `server/logger` where the server named one;
//! - the `message` of an elicitation starts with `[server] `;
//! - a method that a server does not know lists nothing, where direct it is an error.
//!
//! Everything else counts: the order of keys, the text of numbers, nulls, fields nobody knows, error codes,
//! messages and data, the order of messages.

use serde_json::{Value, json};

/// The longest exposed name; longer ones are cut and get a hash, which no case of ours needs.
const LONGEST_NAME: usize = 52;

/// The mapping for one server of the config.
#[derive(Clone, Debug)]
pub(crate) struct Mapping {
    server: String,
}

impl Mapping {
    /// The mapping for the server with this key in the config.
    pub(crate) fn new(server: &str) -> Self {
        Self { server: server.to_owned() }
    }

    /// The prefix of the server's exposed names, with its separator.
    pub(crate) fn prefix(&self) -> String {
        let slug = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '-' };
        format!("{}__", self.server.to_ascii_lowercase().chars().map(slug).collect::<String>())
    }

    /// The exposed name of one of the server's tools or prompts.
    pub(crate) fn exposed(&self, name: &str) -> String {
        let fits = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-';
        let tool: String = name.chars().map(|letter| if fits(letter) { letter } else { '_' }).collect();
        let exposed = self.prefix() + &tool;
        assert!(exposed.len() <= LONGEST_NAME, "{exposed} would be cut; give the server a shorter name");
        exposed
    }

    /// The params of a request as a client of Switchboard says them.
    pub(crate) fn params(&self, method: &str, params: &Value) -> Value {
        let mut params = params.clone();
        let name = match method {
            "tools/call" | "prompts/get" => params.get_mut("name"),
            "completion/complete" => params.pointer_mut("/ref/name"),
            _ => None,
        };
        if let Some(Value::String(name)) = name {
            *name = self.exposed(name);
        }
        params
    }

    /// The items of a direct list as Switchboard shows them.
    pub(crate) fn items(&self, method: &str, items: &[Value]) -> Vec<Value> {
        let mut items = items.to_vec();
        if matches!(method, "tools/list" | "prompts/list") {
            for item in &mut items {
                item["name"] = json!(self.exposed(item["name"].as_str().unwrap()));
            }
        }
        items
    }

    /// A direct message of the server as Switchboard passes it on.
    pub(crate) fn message(&self, direct: &Value) -> Value {
        let mut message = content(direct);
        match direct["method"].as_str() {
            Some("notifications/message") => {
                let logger = match direct["params"]["logger"].as_str() {
                    Some(logger) => format!("{}/{logger}", self.server),
                    None => self.server.clone(),
                };
                message["logger"] = json!(logger);
            }
            Some("elicitation/create") => {
                let text = direct["params"]["message"].as_str().unwrap();
                message["params"]["message"] = json!(format!("[{}] {text}", self.server));
            }
            _ => {}
        }
        message
    }

    /// Whether a message that came through Switchboard is this server's. Only log messages and elicitations
    /// carry a name; anything else is for the caller to tell apart.
    pub(crate) fn is_mine(&self, through: &Value) -> bool {
        let params = &through["params"];
        match through["method"].as_str() {
            Some("notifications/message") => params["logger"].as_str().is_some_and(|logger| {
                logger == self.server || logger.starts_with(&format!("{}/", self.server))
            }),
            Some("elicitation/create") => params["message"]
                .as_str()
                .is_some_and(|message| message.starts_with(&format!("[{}] ", self.server))),
            _ => true,
        }
    }
}

/// A message without its envelope: method and params, and for log messages the logger beside the params, since
/// where Switchboard puts an added key is its own affair.
pub(crate) fn content(message: &Value) -> Value {
    let mut params = message.get("params").cloned().unwrap_or(Value::Null);
    if message["method"] == "notifications/message" {
        let logger = params.as_object_mut().and_then(|params| params.shift_remove("logger"));
        return json!({ "method": message["method"], "logger": logger, "params": params });
    }
    json!({ "method": message["method"], "params": params })
}

/// An answer without its envelope: `{"result": ...}` or `{"error": ...}`.
pub(crate) fn outcome(answer: &Value) -> Value {
    match (answer.get("result"), answer.get("error")) {
        (Some(result), None) => json!({ "result": result }),
        (None, Some(error)) => json!({ "error": error }),
        _ => panic!("neither result nor error, or both: {answer}"),
    }
}

/// Panics unless both are the same JSON text, keys in the same order and numbers in the same spelling.
pub(crate) fn assert_same(what: &str, direct: &Value, through: &Value) {
    if let Some(difference) = difference(direct, through) {
        panic!("{what}: {difference}");
    }
}

/// The first place where two values differ as text, with both sides; `None` when they are the same.
pub(crate) fn difference(direct: &Value, through: &Value) -> Option<String> {
    if same_text(direct, through) {
        return None;
    }
    Some(first_difference("", direct, through).unwrap_or_else(|| "differs in a way not found".to_owned()))
}

fn first_difference(path: &str, direct: &Value, through: &Value) -> Option<String> {
    match (direct, through) {
        (Value::Object(left), Value::Object(right)) => {
            let keys = |map: &serde_json::Map<String, Value>| map.keys().cloned().collect::<Vec<_>>();
            if keys(left) != keys(right) {
                return Some(format!("at `{path}`: keys {:?} became {:?}", keys(left), keys(right)));
            }
            left.iter()
                .find_map(|(key, value)| first_difference(&format!("{path}/{key}"), value, &right[key]))
        }
        (Value::Array(left), Value::Array(right)) => {
            let inner =
                left.iter().zip(right).enumerate().find_map(|(index, (left, right))| {
                    first_difference(&format!("{path}/{index}"), left, right)
                });
            let lengths = || format!("at `{path}`: {} items became {}", left.len(), right.len());
            inner.or_else(|| (left.len() != right.len()).then(lengths))
        }
        _ => (!same_text(direct, through))
            .then(|| format!("at `{path}`:\n  direct:  {}\n  through: {}", short(direct), short(through))),
    }
}

/// Comparing the values would not do: objects are equal whatever the order of their keys.
fn same_text(direct: &Value, through: &Value) -> bool {
    let (direct, through) = (direct.to_string(), through.to_string());
    direct == through
}

fn short(value: &Value) -> String {
    value.to_string().chars().take(600).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn number_text_key_order_and_nulls_count() {
        let direct = parsed(r#"{"a":1.0,"b":null,"c":[12345678901234567890123]}"#);
        assert_same("itself", &direct, &direct.clone());
        for changed in [
            r#"{"a":1,"b":null,"c":[12345678901234567890123]}"#,
            r#"{"b":null,"a":1.0,"c":[12345678901234567890123]}"#,
            r#"{"a":1.0,"c":[12345678901234567890123]}"#,
            r#"{"a":1.0,"b":null,"c":[1.2345678901234568e22]}"#,
            r#"{"a":1.0,"b":null,"c":[12345678901234567890123,0]}"#,
        ] {
            assert!(difference(&direct, &parsed(changed)).is_some(), "missed {changed}");
        }
    }

    #[test]
    fn the_mapping_names_the_server() {
        let mapping = Mapping::new("Old_Time 2");
        assert_eq!(mapping.exposed("a.b/c"), "old-time-2__a_b_c");
        let log = json!({ "method": "notifications/message", "params": { "level": "info", "data": 1 } });
        assert_eq!(Mapping::new("time").message(&log)["logger"], "time");
        let ask = json!({ "method": "elicitation/create", "params": { "message": "Sure?" } });
        assert_eq!(Mapping::new("time").message(&ask)["params"]["message"], "[time] Sure?");
    }
}
