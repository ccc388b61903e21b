//! `switchboard tools`, `prompts`, `resources`: what an AI client gets to see.

use std::collections::HashSet;

use bytes::Bytes;

use crate::cli::Global;
use crate::cli::exit::{self, Exit};
use crate::cli::inside::{Inside, Selected, Setup};
use crate::cli::terminal::{self, Paint};
use crate::protocol::ListKind;
use crate::wire::json;

/// Arguments of the lists.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// Only what this server has
    server: Option<String>,
    /// Print the definitions as JSON, as clients get them
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    selected: Selected,
}

/// What to list. Resources come with their templates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// `tools`
    Tools,
    /// `prompts`
    Prompts,
    /// `resources`
    Resources,
}

impl What {
    fn kinds(self) -> &'static [ListKind] {
        match self {
            What::Tools => &[ListKind::Tools],
            What::Prompts => &[ListKind::Prompts],
            What::Resources => &[ListKind::Resources, ListKind::Templates],
        }
    }
}

/// Prints a list. Code 3 if a server is missing in it.
pub fn run(global: &Global, what: What, args: ListArgs) -> Exit {
    let mut setup = Setup::read_for(global, &args.selected);
    let only: Vec<String> = args.server.into_iter().collect();
    if let Some(exit) = setup.refuse_empty().or_else(|| setup.refuse_unknown(&only)) {
        return exit;
    }
    setup.mention_problems();
    setup.keep_only(&only);
    setup.run(async move |mut inside| {
        inside.lists_complete(&only).await;
        let mut lists = Vec::new();
        for kind in what.kinds() {
            match inside.client.list(*kind).await {
                Ok(items) => lists.push((*kind, of_server(&inside, *kind, items, only.first()))),
                Err(error) => {
                    exit::print_err(&format!("error: the list did not come: {error}"));
                    return exit::FAILED;
                }
            }
        }
        if args.json {
            exit::print_raw_json(&as_json(&lists));
        } else {
            print_rows(&lists);
        }
        if inside.mention_missing(&only) { exit::PARTLY } else { exit::OK }
    })
}

/// What of a merged list comes from this server.
fn of_server(inside: &Inside, kind: ListKind, items: Vec<Bytes>, server: Option<&String>) -> Vec<Bytes> {
    let Some(server) = server else { return items };
    let catalog = inside.registry.catalog();
    let targets = match kind {
        ListKind::Prompts => catalog.prompts(),
        _ => catalog.tools(),
    };
    let names: HashSet<&str> = targets
        .iter()
        .filter(|target| target.server.as_str() == server)
        .map(|target| target.exposed.as_str())
        .collect();
    let belongs = |item: &Bytes| {
        let id = text(item, kind.id_key());
        match kind {
            ListKind::Tools | ListKind::Prompts => names.contains(id.as_str()),
            ListKind::Resources | ListKind::Templates => {
                catalog.route_uri(&id).is_some_and(|route| route.server.as_str() == server)
            }
        }
    };
    items.into_iter().filter(belongs).collect()
}

/// Every definition stays as it came, on a line of its own.
fn as_json(lists: &[(ListKind, Vec<Bytes>)]) -> Vec<u8> {
    let mut out = br#"{"schema":1"#.to_vec();
    for (kind, items) in lists {
        out.extend_from_slice(format!(",\"{}\":[", kind.key()).as_bytes());
        for (index, item) in items.iter().enumerate() {
            out.extend_from_slice(if index > 0 { b",\n" } else { b"\n" });
            out.extend_from_slice(item);
        }
        out.extend_from_slice(if items.is_empty() { b"]" } else { b"\n]" });
    }
    out.push(b'}');
    out
}

fn print_rows(lists: &[(ListKind, Vec<Bytes>)]) {
    let rows: Vec<(String, String)> = lists
        .iter()
        .flat_map(|(kind, items)| items.iter().map(|item| (text(item, kind.id_key()), about(*kind, item))))
        .collect();
    let paint = Paint::stdout();
    let screen = terminal::width();
    let name_width = rows.iter().map(|(name, _)| terminal::columns(name)).max().unwrap_or(0).min(52);
    for (name, about) in &rows {
        let name = terminal::padded(&terminal::one_line(name), name_width);
        let room = screen.map(|screen| screen.saturating_sub(terminal::columns(&name) + 2));
        let row = format!("{}  {}", paint.bold(&name), terminal::cut(about, room));
        exit::print_out(row.trim_end());
    }
    if rows.is_empty() {
        let nouns: Vec<String> = lists.iter().map(|(kind, _)| format!("{}s", kind.noun())).collect();
        exit::print_err(&format!("no {}", nouns.join(", no ")));
    }
}

/// The first line of the description, or the title.
fn about(kind: ListKind, item: &[u8]) -> String {
    let description = terminal::one_line(&text(item, "description"));
    let title = terminal::one_line(&text(item, "title"));
    match kind {
        ListKind::Tools | ListKind::Prompts if description.is_empty() => title,
        ListKind::Tools | ListKind::Prompts => description,
        ListKind::Resources | ListKind::Templates => {
            let name = if title.is_empty() { terminal::one_line(&text(item, "name")) } else { title };
            if description.is_empty() { name } else { format!("{name}: {description}") }
        }
    }
}

fn text(item: &[u8], member: &str) -> String {
    json::get(item, member)
        .and_then(|span| json::string(span.of(item)))
        .map(|text| text.into_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_keeps_every_byte_of_a_definition() {
        let items = vec![Bytes::from_static(br#"{"name":"a","x":1.10}"#), Bytes::from_static(b"{}")];
        let text = as_json(&[(ListKind::Resources, items), (ListKind::Templates, Vec::new())]);
        let text = String::from_utf8(text).unwrap();
        assert_eq!(
            text,
            "{\"schema\":1,\"resources\":[\n{\"name\":\"a\",\"x\":1.10},\n{}\n],\"resourceTemplates\":[]}"
        );
        assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
    }

    #[test]
    fn a_row_has_one_line_about_the_item() {
        let item = br#"{"name":"a","title":"T","description":"\n First.\nSecond."}"#;
        assert_eq!(about(ListKind::Tools, item), "First.");
        assert_eq!(about(ListKind::Prompts, br#"{"name":"a","title":"T"}"#), "T");
        assert_eq!(about(ListKind::Resources, br#"{"name":"n","description":"d"}"#), "n: d");
    }
}
