//! Matching a URI against an RFC 6570 template, without a regular expression.

/// A template, taken apart. Malformed braces are plain text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, PartialEq, Eq)]
enum Part {
    Literal(Vec<u8>),
    Expression(Operator),
}

/// RFC 6570 §3.2.1, table of operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Simple,
    Reserved,
    Fragment,
    Label,
    Path,
    PathParameter,
    Query,
    QueryMore,
}

/// URIs longer than this match no template; matching takes time in proportion to template times URI.
const MAX_URI: usize = 16 * 1024;

impl Template {
    pub(super) fn parse(text: &str) -> Self {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((literal, after)) = rest.split_once('{') {
            let Some((expression, after)) = after.split_once('}') else { break };
            if !literal.is_empty() {
                parts.push(Part::Literal(literal.into()));
            }
            parts.push(Part::Expression(Operator::of(expression)));
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(rest.into()));
        }
        Self { parts }
    }

    /// How many bytes at the beginning are fixed. The longer, the more specific.
    pub(super) fn literal_prefix(&self) -> usize {
        match self.parts.first() {
            Some(Part::Literal(literal)) => literal.len(),
            _ => 0,
        }
    }

    /// Whether some values of the variables give this URI.
    pub(super) fn matches(&self, uri: &str) -> bool {
        let uri = uri.as_bytes();
        if let Some(Part::Literal(literal)) = self.parts.first()
            && !uri.starts_with(literal)
        {
            return false;
        }
        if uri.len() > MAX_URI {
            return false;
        }
        // Which ends are reachable with the parts so far. No backtracking, so no template can make this slow.
        let mut reached = vec![false; uri.len() + 1];
        reached[0] = true;
        for part in &self.parts {
            reached = match part {
                Part::Literal(literal) => after_literal(&reached, uri, literal),
                Part::Expression(operator) => operator.after(&reached, uri),
            };
        }
        reached[uri.len()]
    }
}

fn after_literal(reached: &[bool], uri: &[u8], literal: &[u8]) -> Vec<bool> {
    let mut next = vec![false; reached.len()];
    for (at, _) in reached.iter().enumerate().filter(|(_, reached)| **reached) {
        if uri[at..].starts_with(literal) {
            next[at + literal.len()] = true;
        }
    }
    next
}

impl Operator {
    fn of(expression: &str) -> Self {
        match expression.as_bytes().first() {
            Some(b'+') => Operator::Reserved,
            Some(b'#') => Operator::Fragment,
            Some(b'.') => Operator::Label,
            Some(b'/') => Operator::Path,
            Some(b';') => Operator::PathParameter,
            Some(b'?') => Operator::Query,
            Some(b'&') => Operator::QueryMore,
            _ => Operator::Simple,
        }
    }

    /// The character that an expansion begins with, unless all variables are undefined.
    fn lead(self) -> Option<u8> {
        match self {
            Operator::Simple | Operator::Reserved => None,
            Operator::Fragment => Some(b'#'),
            Operator::Label => Some(b'.'),
            Operator::Path => Some(b'/'),
            Operator::PathParameter => Some(b';'),
            Operator::Query => Some(b'?'),
            Operator::QueryMore => Some(b'&'),
        }
    }

    /// Which characters an expansion may hold. Wider than the RFC where clients expand carelessly, but never across
    /// the parts of a URI.
    fn holds(self, byte: u8) -> bool {
        match self {
            Operator::Reserved | Operator::Fragment => true,
            Operator::Simple | Operator::Label | Operator::PathParameter => {
                !matches!(byte, b'/' | b'?' | b'#')
            }
            Operator::Path => !matches!(byte, b'?' | b'#'),
            Operator::Query | Operator::QueryMore => byte != b'#',
        }
    }

    /// The ends that are reachable after this expression.
    fn after(self, reached: &[bool], uri: &[u8]) -> Vec<bool> {
        // A simple variable stands for at least one character; `{+x}` and those with a leading character may be empty.
        let mut next = if self == Operator::Simple { vec![false; reached.len()] } else { reached.to_vec() };
        let mut inside = false;
        for (at, &byte) in uri.iter().enumerate() {
            inside = match self.lead() {
                None => (inside || reached[at]) && self.holds(byte),
                Some(lead) => (inside && self.holds(byte)) || (reached[at] && byte == lead),
            };
            next[at + 1] |= inside;
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(template: &str, uri: &str, expected: bool) {
        assert_eq!(Template::parse(template).matches(uri), expected, "{template} {uri}");
    }

    #[test]
    fn matches_what_the_template_can_become() {
        check("test://static/{id}", "test://static/1", true);
        check("test://static/{id}", "test://static/", false);
        check("test://static/{id}", "test://static/1/2", false);
        check("test://static/{id}", "test://other/1", false);
        check("file:///{+path}", "file:///a/b/c.txt", true);
        check("file:///{path*}", "file:///a", true);
        check("repo://{owner}/{repo}/contents{/path*}", "repo://a/b/contents/x/y", true);
        check("repo://{owner}/{repo}/contents{/path*}", "repo://a/b/contents", true);
        check("repo://{owner}/{repo}/contents{/path*}", "repo://a/b/other", false);
        check("db://t{?limit,offset}", "db://t?limit=1&offset=2", true);
        check("db://t{?limit}{&more}", "db://t?limit=1&more=2", true);
        check("db://t{?limit}", "db://t/x", false);
        check("a:{x,y}", "a:1,2", true);
        check("a:b{#frag}", "a:b#c/d", true);
        check("a:b{.ext}", "a:b.txt", true);
        check("a:b{;p}", "a:b;p=1", true);
        check("a:{x}-{y}", "a:1-2-3", true);
        check("a:b", "a:b", true);
        check("a:{broken", "a:{broken", true);
        check("", "", true);
    }

    #[test]
    fn no_template_is_slow() {
        let template = Template::parse(&"{+a}".repeat(50));
        assert!(
            !Template { parts: template.parts.into_iter().chain([Part::Literal(b"!".into())]).collect() }
                .matches(&"x".repeat(MAX_URI))
        );
    }
}
