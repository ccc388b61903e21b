//! One text of instructions out of many, within what clients read.

use crate::names::ServerName;

/// Where clients cut, in bytes.
pub(super) const MAX_INSTRUCTIONS: usize = 2048;

/// Less of a server's text than this says nothing.
const LEAST: usize = 60;

/// Our own line, then `[server] text` for each server that has one, in config order. Short texts are whole, long ones
/// share what is left evenly; where even that gives too little, servers at the end are only counted.
pub(crate) fn merge(servers: usize, texts: &[(&ServerName, String)]) -> String {
    let mut merged = match servers {
        0 => "Switchboard: no server is configured. Call switchboard__status to see why.".to_owned(),
        1 => "Switchboard, in front of 1 server. If a tool is missing or fails, call switchboard__status."
            .to_owned(),
        _ => format!(
            "Switchboard, in front of {servers} servers; tools are named server__tool. If something is missing or \
             fails, call switchboard__status."
        ),
    };
    let parts: Vec<String> = texts
        .iter()
        .filter(|(_, text)| !text.trim().is_empty())
        .map(|(server, text)| format!("\n[{server}] {}", text.trim()))
        .collect();
    let room = MAX_INSTRUCTIONS - merged.len();
    let (shown, limit) = share(&parts, room);
    for part in &parts[..shown] {
        merged.push_str(&cut(part, limit));
    }
    if shown < parts.len() {
        merged.push_str(&rest(parts.len() - shown));
    }
    merged
}

fn rest(count: usize) -> String {
    format!("\n… and instructions of {count} more servers")
}

/// How many parts are shown, and how long each may be.
fn share(parts: &[String], room: usize) -> (usize, usize) {
    let mut shown = parts.len();
    while shown > 0 {
        let room = if shown < parts.len() { room.saturating_sub(rest(parts.len()).len()) } else { room };
        let limit = even_limit(&parts[..shown], room);
        if limit >= LEAST {
            return (shown, limit);
        }
        shown -= 1;
    }
    (0, 0)
}

/// The largest length that all parts can be cut to so that together they fit: what short ones leave goes to long ones.
fn even_limit(parts: &[String], mut room: usize) -> usize {
    let mut lengths: Vec<usize> = parts.iter().map(String::len).collect();
    lengths.sort_unstable();
    for (index, length) in lengths.iter().enumerate() {
        let fair = room / (lengths.len() - index);
        if *length > fair {
            return fair;
        }
        room -= length;
    }
    usize::MAX
}

/// Cuts at the end of a line or word and says so.
fn cut(text: &str, limit: usize) -> String {
    const MARK: &str = "…";
    if text.len() <= limit {
        return text.to_owned();
    }
    let mut end = limit.saturating_sub(MARK.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let head = &text[..end];
    let at_word =
        head.rfind(char::is_whitespace).filter(|at| *at > head.len() / 2).map_or(head, |at| &head[..at]);
    format!("{}{MARK}", at_word.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn merged(texts: &[(&str, &str)]) -> String {
        let names: Vec<ServerName> = texts.iter().map(|(name, _)| ServerName::from(*name)).collect();
        let texts: Vec<(&ServerName, String)> =
            names.iter().zip(texts).map(|(name, (_, text))| (name, (*text).to_owned())).collect();
        merge(texts.len(), &texts)
    }

    #[test]
    fn short_texts_are_whole_and_long_ones_share_the_rest() {
        let long = "word ".repeat(1000);
        let text = merged(&[("a", &long), ("b", "Read me first."), ("c", &long), ("d", "")]);
        assert!(text.len() <= MAX_INSTRUCTIONS && text.len() > MAX_INSTRUCTIONS - 40, "{}", text.len());
        assert!(text.contains("\n[b] Read me first.\n[c] word"));
        assert!(text.ends_with("word…") && !text.contains("[d]"));
        assert!(text.starts_with("Switchboard, in front of 4 servers"));
    }

    #[test]
    fn too_many_servers_are_counted() {
        let long = "word ".repeat(100);
        let names: Vec<String> = (0..100).map(|n| format!("server{n}")).collect();
        let texts: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), long.as_str())).collect();
        let text = merged(&texts);
        assert!(text.len() <= MAX_INSTRUCTIONS);
        assert!(text.contains("[server0] word") && text.contains("more servers"), "{text}");
    }

    proptest! {
        #[test]
        fn never_over_the_limit(texts in prop::collection::vec(("[a-z]{1,80}", ".{0,300}"), 0..30)) {
            let borrowed: Vec<(&str, &str)> = texts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
            prop_assert!(merged(&borrowed).len() <= MAX_INSTRUCTIONS);
        }
    }
}
