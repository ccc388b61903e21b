//! What was found, for people.

use super::take::Taken;
use crate::cli::terminal::{self, Paint, columns, counted, padded};
use crate::discovery::{Finding, Findings};

/// So many tools of a server are named; the others are counted.
const TOOLS_SHOWN: usize = 5;

/// The page: what is new, what could not be used, and what to type; `again` is the command that looks at the same places.
pub(super) fn render(findings: &Findings, taken: &[Taken], again: &str, paint: Paint) -> String {
    let mut page = String::new();
    let (known, new): (Vec<&Finding>, Vec<&Finding>) =
        findings.servers.iter().partition(|finding| finding.known_as.is_some());
    let width = new.iter().map(|finding| columns(&finding.name)).max().unwrap_or_default();
    for finding in &new {
        let name = paint.bold(&padded(&finding.name, width));
        let place = terminal::one_line(&finding.endpoint);
        page.push_str(&format!("{name}  {place}  {}\n", paint.dim(&format!("({})", sources(finding)))));
        let indent = " ".repeat(width + 2);
        if let Some(description) = &finding.description {
            page.push_str(&format!(
                "{indent}{}\n",
                terminal::cut(&terminal::one_line(description), Some(100))
            ));
        }
        if let Some(tools) = tools(finding) {
            page.push_str(&format!("{indent}{tools}\n"));
        }
        if let Some(problem) = &finding.problem {
            page.push_str(&format!("{indent}{}\n", paint.yellow(&terminal::one_line(problem))));
        }
    }
    if !new.is_empty() {
        page.push('\n');
    }
    for failed in &findings.failed {
        let place = terminal::one_line(&failed.place);
        page.push_str(&format!(
            "{} {place}: {}\n",
            paint.dim("not usable:"),
            terminal::one_line(&failed.failure.cause)
        ));
    }
    page.push_str(&format!(
        "{}, {} in the config already, {} looked at{}\n",
        counted(new.len(), "new server"),
        known.len(),
        counted(findings.looked_at, "place"),
        if findings.is_partial { "; there was more than could be looked at" } else { "" },
    ));
    for taken in taken {
        page.push_str(&format!(
            "{} {} is in {} now: {}\n",
            paint.green("added:"),
            taken.name,
            taken.file,
            taken.entry
        ));
    }
    let rest: Vec<&&Finding> =
        new.iter().filter(|finding| taken.iter().all(|taken| taken.name != finding.name)).collect();
    if let Some(first) = rest.first() {
        page.push_str(&format!("To take one: {again} --add {}\n", first.name));
        if rest.len() > 1 {
            page.push_str(&format!("To take all without a problem: {again} --add-all\n"));
        }
    } else if new.is_empty() && known.is_empty() {
        page.push_str(
            "To look elsewhere: switchboard discover --port N, --url URL, --service REGISTRY, --file PATH\n",
        );
    }
    page.truncate(page.trim_end().len());
    page
}

fn sources(finding: &Finding) -> String {
    let source = terminal::one_line(&finding.source.to_string());
    match finding.also.len() {
        0 => source,
        more => format!("{source} and {more} more"),
    }
}

fn tools(finding: &Finding) -> Option<String> {
    let tools = finding.tools.as_ref()?;
    let mut names: Vec<String> =
        tools.iter().take(TOOLS_SHOWN).map(|tool| terminal::one_line(&tool.name)).collect();
    if tools.len() > TOOLS_SHOWN {
        names.push(format!("… {} more", tools.len() - TOOLS_SHOWN));
    }
    match names.is_empty() {
        true => Some("no tools".to_owned()),
        false => Some(format!("{}: {}", counted(tools.len(), "tool"), names.join(", "))),
    }
}
