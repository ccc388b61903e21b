//! What differs between two runs of the same server, made equal. Each function says which server does it and
//! why; a case names the one it needs, and most need none.

use serde_json::{Value, json};

/// How a case makes an outcome comparable.
pub(crate) type Blur = fn(&mut Value);

/// Nothing differs.
pub(crate) fn nothing(_: &mut Value) {}

/// `everything` stamps its dynamic resources with the time of day; in a blob that stamp is inside the base64,
/// after 45 bytes (60 letters) of fixed text.
pub(crate) fn time_of_day(outcome: &mut Value) {
    each_text(outcome, &|key, text| {
        if key == "blob" && text.len() > 60 {
            text.truncate(60);
        }
        for pattern in ["dd:dd:dd AM", "dd:dd:dd PM", "d:dd:dd AM", "d:dd:dd PM", "dd:dd:dd"] {
            *text = replace_pattern(text, pattern, "<time>");
        }
    });
}

/// `time` answers with the current time.
pub(crate) fn now(outcome: &mut Value) {
    date(outcome);
    each_text(outcome, &|_, text| *text = replace_pattern(text, "Tdd:dd:dd", "T<time>"));
}

/// `time` converts a time of the current day, so the date in its answer changes at midnight.
pub(crate) fn date(outcome: &mut Value) {
    const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
    each_text(outcome, &|_, text| {
        *text = replace_pattern(text, "dddd-dd-dd", "<date>");
        for day in DAYS {
            *text = text.replace(day, "<day>");
        }
    });
}

/// `filesystem` tells creation, modification and access times of a file that the world made anew.
pub(crate) fn file_times(outcome: &mut Value) {
    each_text(outcome, &|_, text| {
        let stamped = |line: &str| match line.split_once(": ") {
            Some((key @ ("created" | "modified" | "accessed"), _)) => format!("{key}: <time>"),
            _ => line.to_owned(),
        };
        *text = text.split('\n').map(stamped).collect::<Vec<_>>().join("\n");
    });
}

/// `everything` returns its whole environment, and Switchboard gives a child its own small one. Only what
/// the config sets is compared.
pub(crate) fn environment(outcome: &mut Value) {
    each_text(outcome, &|key, text| {
        if key == "text" {
            let environment: Value = serde_json::from_str(text).unwrap();
            *text = json!({ "DEMO_SETTING": environment["DEMO_SETTING"] }).to_string();
        }
    });
}

/// `everything` logs a message of random level.
pub(crate) fn random_log(outcome: &mut Value) {
    for message in outcome["seen"].as_array_mut().into_iter().flatten() {
        message["params"]["level"] = json!("<level>");
        message["params"]["data"] = json!("<data>");
    }
}

/// `everything` makes up an id for each URL elicitation that it asks for by error.
pub(crate) fn elicitation_id(outcome: &mut Value) {
    if let Some(id) = outcome.pointer_mut("/answer/error/data/elicitations/0/elicitationId") {
        *id = json!("<id>");
    }
}

/// Over a network `everything` says in which session it speaks; over stdio it has none.
pub(crate) fn sessions(outcome: &mut Value) {
    each_text(outcome, &|_, text| {
        *text = replace_pattern(text, "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx", "undefined");
        *text = text.replace("from session undefined", "");
    });
}

/// The Python SDKs put the keys of a schema in another order where they speak 2026-07-28.
pub(crate) fn key_order(outcome: &mut Value) {
    match outcome {
        Value::Array(items) => items.iter_mut().for_each(key_order),
        Value::Object(map) => {
            map.values_mut().for_each(key_order);
            map.sort_keys();
        }
        _ => {}
    }
}

/// Calls `change` with every text in the value and the key it stands under (empty in arrays).
fn each_text(value: &mut Value, change: &dyn Fn(&str, &mut String)) {
    fn walk(key: &str, value: &mut Value, change: &dyn Fn(&str, &mut String)) {
        match value {
            Value::String(text) => change(key, text),
            Value::Array(items) => items.iter_mut().for_each(|item| walk("", item, change)),
            Value::Object(map) => map.iter_mut().for_each(|(key, value)| walk(key, value, change)),
            _ => {}
        }
    }
    walk("", value, change);
}

/// Replaces every place that fits the pattern, in which `d` stands for one digit and `x` for one of sixteen.
fn replace_pattern(text: &str, pattern: &str, with: &str) -> String {
    let fits = |rest: &str| {
        rest.len() >= pattern.len()
            && rest.bytes().zip(pattern.bytes()).all(|(letter, wanted)| match wanted {
                b'd' => letter.is_ascii_digit(),
                b'x' => letter.is_ascii_hexdigit(),
                _ => letter == wanted,
            })
    };
    let mut replaced = String::new();
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let taken = if fits(rest) {
            replaced.push_str(with);
            pattern.len()
        } else {
            replaced.push(letter);
            letter.len_utf8()
        };
        rest = &rest[taken..];
    }
    replaced
}
