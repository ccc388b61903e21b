//! Paths of requests, taken apart at their slashes; a name between two of them may hold anything, percent-encoded.

use percent_encoding::percent_decode_str;

/// The segment that stands for a name.
const NAME: &str = "{}";

/// The names in a path that has this pattern, such as `/proxy/servers/{}`; `None` if it has not. There is one name at most.
pub(super) fn matches(pattern: &str, path: &str) -> Option<Option<String>> {
    let (mut pattern, mut path) = (pattern.split('/'), path.split('/'));
    let mut name = None;
    loop {
        match (pattern.next(), path.next()) {
            (None, None) => return Some(name),
            (Some(NAME), Some(segment)) if !segment.is_empty() => {
                name = Some(percent_decode_str(segment).decode_utf8().ok()?.into_owned());
            }
            (Some(expected), Some(segment)) if expected == segment => {}
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_between_slashes() {
        let name = |name: &str| Some(Some(name.to_owned()));
        assert_eq!(matches("/proxy/servers", "/proxy/servers"), Some(None));
        assert_eq!(matches("/proxy/servers/{}", "/proxy/servers/a"), name("a"));
        assert_eq!(matches("/proxy/servers/{}", "/proxy/servers/a%2Fb%20%E2%98%83"), name("a/b ☃"));
        assert_eq!(matches("/proxy/servers/{}/restart", "/proxy/servers/a/restart"), name("a"));
        for other in [
            "/proxy/servers/",
            "/proxy/servers",
            "/proxy/servers/a/b",
            "/proxy/servers/%ff",
            "proxy/servers/a",
            "",
        ] {
            assert_eq!(matches("/proxy/servers/{}", other), None, "{other}");
        }
    }
}
