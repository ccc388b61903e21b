//! What changed between two definitions, for people: texts word by word, schemas by their paths.

use serde_json::{Map, Value};

use super::canonical;
use super::detect::safe;

/// Longer texts are compared by their lines, and longer still only told to differ.
const MAX_WORDS: usize = 1200;
/// Changes that are told of one member.
const MAX_CHANGES: usize = 40;
/// Letters of a value that are shown.
const MAX_VALUE: usize = 160;

/// A piece of a text that is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// It is in both.
    Same(String),
    /// It is gone.
    Gone(String),
    /// It is new.
    New(String),
}

/// What happened to one member of a definition.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// A text, piece by piece.
    Text {
        /// The member.
        member: String,
        /// Its pieces, in the order of the text.
        pieces: Vec<Piece>,
    },
    /// A value somewhere in a member: what it was and is; `None` where there is none.
    Value {
        /// A JSON Pointer.
        place: String,
        /// What it was.
        before: Option<String>,
        /// What it is.
        after: Option<String>,
    },
}

/// The names of the members that differ.
pub fn changed_members(before: &Map<String, Value>, after: &Map<String, Value>) -> Vec<String> {
    let differs = |member: &&String| match (before.get(*member), after.get(*member)) {
        (Some(before), Some(after)) => canonical::text(before) != canonical::text(after),
        _ => true,
    };
    let only_before = before.keys().filter(|member| !after.contains_key(*member));
    after.keys().chain(only_before).filter(differs).cloned().collect()
}

/// What differs. With nothing before, everything is new.
pub fn changes(before: Option<&Map<String, Value>>, after: &Map<String, Value>) -> Vec<Change> {
    let nothing = Map::new();
    let before = before.unwrap_or(&nothing);
    let mut all = Vec::new();
    for member in changed_members(before, after) {
        match (before.get(&member), after.get(&member)) {
            (Some(Value::String(before)), Some(Value::String(after))) => {
                all.push(Change::Text { member, pieces: pieces(before, after) });
            }
            (None, Some(Value::String(text))) => {
                all.push(Change::Text { member, pieces: vec![Piece::New(text.clone())] });
            }
            (Some(Value::String(text)), None) => {
                all.push(Change::Text { member, pieces: vec![Piece::Gone(text.clone())] });
            }
            (before, after) => {
                let start = all.len();
                walk(&mut format!("/{member}"), before, after, &mut all);
                all.truncate(start + MAX_CHANGES);
            }
        }
    }
    all
}

fn walk(place: &mut String, before: Option<&Value>, after: Option<&Value>, changes: &mut Vec<Change>) {
    if changes.len() > 4 * MAX_CHANGES {
        return;
    }
    match (before, after) {
        (Some(Value::Object(before)), Some(Value::Object(after))) => {
            let mut keys: Vec<&String> = before.keys().chain(after.keys()).collect();
            keys.sort();
            keys.dedup();
            for key in keys {
                step(place, key, before.get(key), after.get(key), changes);
            }
        }
        (Some(Value::Array(before)), Some(Value::Array(after))) => {
            for index in 0..before.len().max(after.len()) {
                step(place, &index.to_string(), before.get(index), after.get(index), changes);
            }
        }
        (Some(one), Some(other)) if canonical::text(one) == canonical::text(other) => {}
        (None, None) => {}
        (before, after) => {
            let show = |value: Option<&Value>| value.map(|value| safe(&value.to_string(), 0, MAX_VALUE));
            changes.push(Change::Value { place: place.clone(), before: show(before), after: show(after) });
        }
    }
}

fn step(
    place: &mut String,
    step: &str,
    before: Option<&Value>,
    after: Option<&Value>,
    changes: &mut Vec<Change>,
) {
    let length = place.len();
    place.push('/');
    place.push_str(&safe(&step.replace('~', "~0").replace('/', "~1"), 0, 80));
    walk(place, before, after, changes);
    place.truncate(length);
}

/// Two texts, piece by piece: by words, or by lines if they are long.
pub fn pieces(before: &str, after: &str) -> Vec<Piece> {
    let words =
        |text: &'_ str| text.split_inclusive(char::is_whitespace).map(str::to_owned).collect::<Vec<_>>();
    let lines = |text: &'_ str| text.split_inclusive('\n').map(str::to_owned).collect::<Vec<_>>();
    let (mut one, mut other) = (words(before), words(after));
    if one.len().max(other.len()) > MAX_WORDS {
        (one, other) = (lines(before), lines(after));
    }
    if one.len().max(other.len()) > MAX_WORDS {
        return vec![Piece::Gone(before.to_owned()), Piece::New(after.to_owned())];
    }
    compare(&one, &other)
}

/// The longest common subsequence, by the table of its lengths: at most `MAX_WORDS` squared steps.
fn compare(one: &[String], other: &[String]) -> Vec<Piece> {
    let head = one.iter().zip(other).take_while(|(one, other)| one == other).count();
    let (one_rest, other_rest) = (&one[head..], &other[head..]);
    let tail =
        one_rest.iter().rev().zip(other_rest.iter().rev()).take_while(|(one, other)| one == other).count();
    let (old, new) = (&one_rest[..one_rest.len() - tail], &other_rest[..other_rest.len() - tail]);
    let width = new.len() + 1;
    let mut lengths = vec![0_u16; (old.len() + 1) * width];
    for row in (0..old.len()).rev() {
        for column in (0..new.len()).rev() {
            lengths[row * width + column] = if old[row] == new[column] {
                lengths[(row + 1) * width + column + 1] + 1
            } else {
                lengths[(row + 1) * width + column].max(lengths[row * width + column + 1])
            };
        }
    }
    let mut pieces = Pieces::default();
    one[..head].iter().for_each(|word| pieces.same(word));
    let (mut row, mut column) = (0, 0);
    while row < old.len() || column < new.len() {
        let goes = column == new.len()
            || row < old.len() && lengths[(row + 1) * width + column] >= lengths[row * width + column + 1];
        if row < old.len() && column < new.len() && old[row] == new[column] {
            pieces.same(&old[row]);
            (row, column) = (row + 1, column + 1);
        } else if goes {
            pieces.lost(&old[row]);
            row += 1;
        } else {
            pieces.added(&new[column]);
            column += 1;
        }
    }
    one_rest[one_rest.len() - tail..].iter().for_each(|word| pieces.same(word));
    pieces.0
}

/// Joins pieces of one sort.
#[derive(Default)]
struct Pieces(Vec<Piece>);

impl Pieces {
    fn same(&mut self, word: &str) {
        match self.0.last_mut() {
            Some(Piece::Same(text)) => text.push_str(word),
            _ => self.0.push(Piece::Same(word.to_owned())),
        }
    }

    fn lost(&mut self, word: &str) {
        match self.0.last_mut() {
            Some(Piece::Gone(text)) => text.push_str(word),
            _ => self.0.push(Piece::Gone(word.to_owned())),
        }
    }

    fn added(&mut self, word: &str) {
        match self.0.last_mut() {
            Some(Piece::New(text)) => text.push_str(word),
            _ => self.0.push(Piece::New(word.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn words(before: &str, after: &str) -> String {
        let show = |piece: &Piece| match piece {
            Piece::Same(text) => text.clone(),
            Piece::Gone(text) => format!("[-{text}-]"),
            Piece::New(text) => format!("{{+{text}+}}"),
        };
        pieces(before, after).iter().map(show).collect()
    }

    #[test]
    fn texts_are_compared_by_words() {
        assert_eq!(words("Reads a file.", "Reads a secret file."), "Reads a {+secret +}file.");
        assert_eq!(words("Reads one file.", "Reads two file."), "Reads [-one -]{+two +}file.");
        assert_eq!(words("", "x"), "{+x+}");
        assert_eq!(words("same", "same"), "same");
        let long = "a\n".repeat(3000);
        assert_eq!(pieces(&long, "b").len(), 2);
    }

    #[test]
    fn schemas_are_compared_by_paths() {
        let map = |value: Value| value.as_object().cloned().unwrap();
        let before = map(
            json!({ "title": "T", "inputSchema": { "type": "object", "properties": { "a": { "type": "string" } } } }),
        );
        let after = map(
            json!({ "inputSchema": { "properties": { "a": { "type": "number" }, "b/c": {} }, "type": "object" } }),
        );
        let changes = changes(Some(&before), &after);
        let value = |place: &str, before: Option<&str>, after: Option<&str>| Change::Value {
            place: place.to_owned(),
            before: before.map(str::to_owned),
            after: after.map(str::to_owned),
        };
        assert_eq!(
            changes,
            [
                value("/inputSchema/properties/a/type", Some("\"string\""), Some("\"number\"")),
                value("/inputSchema/properties/b~1c", None, Some("{}")),
                Change::Text { member: "title".to_owned(), pieces: vec![Piece::Gone("T".to_owned())] },
            ]
        );
    }
}
