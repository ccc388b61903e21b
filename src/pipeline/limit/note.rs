//! What is said in the place of something that is not shown as a whole: how large it is, and where the rest is.

/// The least that a text keeps, in bytes.
pub(super) const LEAST: usize = 200;

/// Of what a server hands out: a resource, a prompt. Of `size` bytes the first `shown` stand before the note; `uri` is where
/// all of it is kept, if it is.
pub(super) fn of_server(what: &str, shown: usize, size: usize, uri: Option<&str>) -> String {
    let part = part(what, shown, size);
    match uri {
        Some(uri) => format!("[Switchboard: {part}. {}]", rest(uri, shown)),
        None => format!("[Switchboard: {part}, and too large to be kept]"),
    }
}

/// Of a result of a tool: it did run, and can be asked for less.
pub(super) fn of_tool(what: &str, shown: usize, size: usize, uri: Option<&str>) -> String {
    let part = part(what, shown, size);
    match uri {
        Some(uri) => {
            format!("[Switchboard: {part}. The tool did run. {}, or ask the tool for less]", rest(uri, shown))
        }
        None => format!(
            "[Switchboard: {part}, and too large to be kept. The tool did run; ask it for less: a page, a range, a filter]"
        ),
    }
}

fn part(what: &str, shown: usize, size: usize) -> String {
    match shown {
        0 => format!("{what} has {size} bytes and is not shown"),
        shown => format!("{what} has {size} bytes; only the first {shown} are shown"),
    }
}

fn rest(uri: &str, shown: usize) -> String {
    format!(
        "Read the rest with resources/read of {uri}?offset={shown}&length=20000, ?lines=1-200 or ?search=TEXT"
    )
}
