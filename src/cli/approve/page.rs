//! A definition that waits, as a page for people.

use crate::cli::changes;
use crate::cli::terminal::{Paint, one_line};
use crate::trust::{Case, Severity, diff};

/// How many findings are shown of one definition.
const SHOWN: usize = 6;

/// `files/read  changed, held back`, what differs, and what looks dishonest.
pub(super) fn render(case: &Case, paint: Paint) -> String {
    let name = format!("{}/{}", case.server, case.definition.name);
    let state = if case.holds { "held back" } else { "shown" };
    let head = format!("{} {}, {state}", case.definition.kind.noun(), case.reason.word());
    let mut lines = vec![format!("{}  {}", paint.bold(&one_line(&name)), paint.yellow(&head))];
    for change in diff::changes(case.before.as_ref(), &case.definition.members) {
        lines.extend(changes::lines(&change, paint).into_iter().map(|line| format!("  {line}")));
    }
    for finding in case.findings.iter().take(SHOWN) {
        let severity = match finding.severity {
            Severity::Grave => paint.red("!"),
            Severity::Note => paint.dim("·"),
        };
        lines.push(format!("  {severity} {}", one_line(&finding.to_string())));
    }
    if case.findings.len() > SHOWN {
        lines.push(format!("  … and {} more; `--json` has them all", case.findings.len() - SHOWN));
    }
    lines.push(String::new());
    lines.join("\n")
}
