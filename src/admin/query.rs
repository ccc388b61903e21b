//! The parameters behind the question mark: each is known, stands once, and is what it should be.

use percent_encoding::percent_decode_str;

use super::refusal::{Refusal, excerpt};

/// The parameters of a request.
#[derive(Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads them. Only those in `known` may be there.
    pub(super) fn read(query: Option<&str>, known: &[&str]) -> Result<Self, Refusal> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decoded(name)?, decoded(value)?);
            if !known.contains(&name.as_str()) {
                let known = match known {
                    [] => "none is known here".to_owned(),
                    known => format!("known here: {}", known.join(", ")),
                };
                let message = format!("the parameter `{}` is not known; {known}", excerpt(&name));
                return Err(Refusal::request(message));
            }
            if pairs.iter().any(|(other, _)| *other == name) {
                return Err(Refusal::request(format!("the parameter `{name}` stands twice")));
            }
            pairs.push((name, value));
        }
        Ok(Self(pairs))
    }

    /// A parameter as text; an empty one says nothing.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.said(name).filter(|value| !value.is_empty())
    }

    fn said(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// One of these words.
    pub(super) fn word<'w>(&self, name: &str, words: &[&'w str]) -> Result<Option<&'w str>, Refusal> {
        let Some(said) = self.said(name) else { return Ok(None) };
        let found = words.iter().find(|word| **word == said);
        found.map(|word| Some(*word)).ok_or_else(|| {
            let words = words.join(", ");
            Refusal::request(format!("`{name}` must be one of {words}, found `{}`", excerpt(said)))
        })
    }

    /// A whole number in this range.
    pub(super) fn whole(&self, name: &str, least: usize, most: usize) -> Result<Option<usize>, Refusal> {
        let Some(said) = self.said(name) else { return Ok(None) };
        let is_number = said.bytes().all(|byte| byte.is_ascii_digit());
        let number = said.parse().ok().filter(|number| is_number && (least..=most).contains(number));
        number.map(Some).ok_or_else(|| {
            let said = excerpt(said);
            Refusal::request(format!(
                "`{name}` must be a whole number from {least} to {most}, found `{said}`"
            ))
        })
    }

    /// `true` or `false`; without a word, false.
    pub(super) fn flag(&self, name: &str) -> Result<bool, Refusal> {
        Ok(self.word(name, &["true", "false"])? == Some("true"))
    }
}

/// A plus is a space, as forms write it.
fn decoded(text: &str) -> Result<String, Refusal> {
    let text = text.replace('+', " ");
    let decoded = percent_decode_str(&text).decode_utf8();
    decoded.map(|text| text.into_owned()).map_err(|_| Refusal::request("a parameter is not valid UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters() {
        let query = Query::read(
            Some("search=a+b%26c&lines=5&follow=true&status="),
            &["search", "lines", "follow", "status"],
        );
        let query = query.unwrap();
        assert_eq!(query.text("search"), Some("a b&c"));
        assert!(query.text("status").is_none() && query.word("status", &["x"]).is_err());
        assert_eq!(query.whole("lines", 1, 10).unwrap(), Some(5));
        assert!(query.whole("lines", 6, 10).is_err() && query.flag("follow").unwrap());
        assert!(query.word("search", &["x"]).is_err());
        for wrong in ["lines=+5", "lines=5&lines=6", "line=5", "lines=%ff"] {
            let whole = Query::read(Some(wrong), &["lines"]).and_then(|query| query.whole("lines", 0, 9));
            assert!(whole.is_err(), "{wrong}");
        }
        assert!(Query::read(None, &[]).is_ok());
    }
}
