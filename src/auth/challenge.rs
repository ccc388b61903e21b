//! What a refusal says: the `WWW-Authenticate` header (RFC 9110 §11.6.1, RFC 6750 §3, RFC 9728 §5.1).

use super::record::Asked;

/// The parameters of a `Bearer` challenge that matter to us.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bearer {
    /// Why, as a code: `invalid_token`, `insufficient_scope`.
    pub error: Option<String>,
    /// What a login should ask for.
    pub asked: Asked,
}

/// The scopes of one challenge; a server that asks for more is not worth listening to.
const MAX_SCOPES: usize = 100;

/// The `Bearer` challenge of these headers; an empty one if there is none.
pub fn bearer(headers: &[String]) -> Bearer {
    let mut bearer = Bearer::default();
    for header in headers {
        let mut ours = false;
        for item in split(header) {
            let (scheme, parameter) = scheme_of(item);
            if let Some(scheme) = scheme {
                ours = scheme.eq_ignore_ascii_case("bearer");
            }
            let Some((name, value)) = parameter.split_once('=').filter(|_| ours) else { continue };
            let value = unquote(value.trim());
            match name.trim().to_ascii_lowercase().as_str() {
                "error" => bearer.error = Some(value),
                "scope" => bearer.asked.scopes = scopes(&value),
                "resource_metadata" => bearer.asked.resource_metadata = Some(value),
                _ => {}
            }
        }
    }
    bearer
}

/// The words of a scope parameter that are scopes (RFC 6749 §3.3).
pub(super) fn scopes(text: &str) -> Vec<String> {
    let is_scope = |word: &&str| word.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e));
    text.split(' ')
        .filter(|word| !word.is_empty())
        .filter(is_scope)
        .take(MAX_SCOPES)
        .map(str::to_owned)
        .collect()
}

/// The parts of a header between commas that stand outside of quotes.
fn split(header: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut quoted, mut escaped) = (0, false, false);
    for (at, byte) in header.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => {
                parts.push(header[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(header[start..].trim());
    parts
}

/// `Bearer realm="x"` begins a challenge, `scope="y"` goes on with it. An `=` may have spaces around it.
fn scheme_of(item: &str) -> (Option<&str>, &str) {
    let (first, rest) = item.split_once(' ').unwrap_or((item, ""));
    let rest = rest.trim_start();
    if first.is_empty() || first.contains('=') || rest.starts_with('=') {
        return (None, item);
    }
    (Some(first), rest)
}

fn unquote(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"') else { return value.to_owned() };
    let mut text = String::with_capacity(inner.len());
    let mut letters = inner.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => break,
            '\\' => text.extend(letters.next()),
            letter => text.push(letter),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(headers: &[&str], error: Option<&str>, scopes: &str, metadata: Option<&str>) {
        let headers: Vec<String> = headers.iter().map(|header| (*header).to_owned()).collect();
        let found = bearer(&headers);
        let wanted = Bearer {
            error: error.map(str::to_owned),
            asked: Asked {
                resource_metadata: metadata.map(str::to_owned),
                scopes: scopes.split_whitespace().map(str::to_owned).collect(),
            },
        };
        assert_eq!(found, wanted, "{headers:?}");
    }

    #[test]
    fn challenges() {
        check(&[], None, "", None);
        check(&["Bearer"], None, "", None);
        check(&["Basic realm=\"x\""], None, "", None);
        check(&["Bearer error=\"invalid_token\""], Some("invalid_token"), "", None);
        check(
            &["Bearer resource_metadata=\"https://a.example/m?x=1,2\", scope=\"a b\""],
            None,
            "a b",
            Some("https://a.example/m?x=1,2"),
        );
        check(&["bearer scope=a,error = insufficient_scope"], Some("insufficient_scope"), "a", None);
        check(&["Basic realm=\"a, Bearer scope=\\\"z\\\"\", Bearer scope=\"b\""], None, "b", None);
        check(&["DPoP scope=\"x\"", "Bearer scope=\"y\""], None, "y", None);
        check(&["Bearer scope=\"y\", Negotiate abc==, Basic scope=\"n\""], None, "y", None);
        check(
            &["Bearer error_description=\"say \\\"hi\\\", scope=\\\"n\\\"\", scope=\"y\""],
            None,
            "y",
            None,
        );
        check(&["Bearer scope=\"unfinished"], None, "unfinished", None);
        check(&["Bearer scope=\"good b\\\\ad ☃\""], None, "good", None);
        check(&[",, =, Bearer ,scope=x"], None, "x", None);
    }
}
