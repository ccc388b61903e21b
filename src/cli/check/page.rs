//! The findings of `check` as a page for people.

use crate::cli::check::finding::{Finding, Verdict};
use crate::cli::terminal::{Paint, columns, counted, one_line, padded};
use crate::failure::Code;
use crate::trust::Severity;

/// How many lines of one kind are shown about a server.
const SHOWN: usize = 5;

/// The whole page, without the line end at its end. `max_name` is the longest name that clients may see.
pub(super) fn render(findings: &[Finding], max_name: usize, paint: Paint) -> String {
    let width = findings.iter().map(|finding| columns(&finding.report.server)).max().unwrap_or(0).max(10);
    let mut lines: Vec<String> = Vec::new();
    for finding in findings {
        lines.extend(server(finding, width, paint));
    }
    lines.push(paint.bold(&summary(findings, max_name)));
    lines.join("\n")
}

fn server(finding: &Finding, width: usize, paint: Paint) -> Vec<String> {
    let name = paint.bold(&padded(&one_line(&finding.report.server), width));
    let (head, below) = match finding.verdict() {
        Verdict::Well => (format!("{}  {}", paint.green("✓"), numbers(finding)), details(finding)),
        Verdict::Lacking => (format!("{}  {}", paint.yellow("!"), numbers(finding)), details(finding)),
        Verdict::Failed => (format!("{}  {}", paint.red("✗"), cause(finding, paint)), failure(finding)),
        Verdict::Off => (paint.dim("-  disabled"), Vec::new()),
    };
    let mut lines = vec![format!("{name}  {head}").trim_end().to_owned()];
    let last = below.len().saturating_sub(1);
    for (index, text) in below.iter().enumerate() {
        let branch = if index == last { "╰" } else { "│" };
        lines.push(format!("{}  {} {text}", " ".repeat(width), paint.dim(branch)));
    }
    lines
}

/// `1.9 s   84 tools   ≈24.1k tokens   1 definition repaired`
fn numbers(finding: &Finding) -> String {
    let shown = finding.report.shown;
    let mut extras = Vec::new();
    let mut extra = |count: usize, what: &str, after: &str| {
        if count > 0 {
            extras.push(format!("{}{after}", counted(count, what)));
        }
    };
    extra(shown.prompts, "prompt", "");
    extra(shown.resources, "resource", "");
    extra(shown.templates, "template", "");
    extra(finding.repaired(), "definition", " repaired");
    extra(finding.held(), "definition", " held back");
    extra(finding.suspicious(), "suspicious definition", "");
    extra(finding.faults.len(), "bad schema", "");
    extra(finding.report.tallies.noise as usize, "noise line", " on stdout");
    let seconds = finding.took.unwrap_or_default().as_secs_f64();
    let tokens = approximately(finding.tokens());
    let tools = if shown.tools == 1 { "tool " } else { "tools" };
    format!("{seconds:>5.2} s  {:>4} {tools}  {tokens:>6} tokens  {}", shown.tools, extras.join(", "))
}

fn details(finding: &Finding) -> Vec<String> {
    let mut lines = Vec::new();
    if finding.partial {
        lines.push("a list could not be fetched; what it showed before is kept".to_owned());
    } else if finding.empty {
        lines.push("it declares tools and lists none".to_owned());
    }
    let ill = finding.report.instances.iter().enumerate().filter_map(|(index, one)| {
        let failure = one.failure.as_ref()?;
        Some(format!("instance {}: {} ({})", index + 1, one_line(&failure.cause), failure.code))
    });
    push_some(&mut lines, ill.collect());
    // What looks dishonest is told below, with its words.
    let others = || finding.notes.iter().filter(|note| note.code != Code::TrustSuspicious);
    let by_weight = |held: bool| others().filter(move |note| note.is_held() == held);
    let notes = by_weight(true).chain(by_weight(false));
    let notes: Vec<String> = notes
        .map(|note| {
            let (title, word) = (note.kind.title(&one_line(&note.original)), note.word());
            format!("{title} {word}: {}", one_line(&note.text))
        })
        .collect();
    push_some(&mut lines, notes);
    let suspicions = finding.suspicions.iter().map(|one| {
        let word = if one.finding.severity == Severity::Grave { "suspicious" } else { "worth a look" };
        format!("{} {word}: {}", one.kind.title(&one_line(&one.name)), one_line(&one.finding.to_string()))
    });
    push_some(&mut lines, suspicions.collect());
    let faults = finding
        .faults
        .iter()
        .map(|fault| format!("`{}` of `{}`: {}", fault.member, fault.tool, fault.text))
        .collect();
    push_some(&mut lines, faults);
    let noise = finding.noise.iter().take(2).map(|line| format!("noise: {}", one_line(line)));
    lines.extend(noise);
    lines
}

fn push_some(lines: &mut Vec<String>, mut more: Vec<String>) {
    let left = more.len().saturating_sub(SHOWN);
    if left > 1 {
        more.truncate(SHOWN);
        more.push(format!("… and {left} more; `--json` has them all"));
    }
    lines.append(&mut more);
}

fn cause(finding: &Finding, paint: Paint) -> String {
    match finding.failure() {
        Some(failure) => {
            format!("{}  {}", one_line(&failure.cause), paint.dim(&format!("({})", failure.code)))
        }
        None => "it did not show what it has in time".to_owned(),
    }
}

/// What the server said last, then what mends it.
fn failure(finding: &Finding) -> Vec<String> {
    let said = if finding.report.last_words.is_empty() { &finding.noise } else { &finding.report.last_words };
    let mut lines: Vec<String> = said.iter().map(|line| one_line(line)).collect();
    if let Some(failure) = finding.failure() {
        let remedy = match &failure.remedy {
            Some(remedy) => one_line(remedy),
            None => format!("more: switchboard explain {}", failure.code),
        };
        lines.push(remedy);
    }
    lines
}

fn summary(findings: &[Finding], max_name: usize) -> String {
    let all = findings.iter().filter(|finding| finding.verdict() != Verdict::Off).count();
    let usable: Vec<&Finding> = findings.iter().filter(|finding| finding.is_usable()).collect();
    let tools: usize = usable.iter().map(|finding| finding.names.len()).sum();
    let tokens: usize = usable.iter().map(|finding| finding.tokens()).sum();
    let longest = usable.iter().flat_map(|finding| &finding.names).map(String::len).max().unwrap_or(0);
    let tools = counted(tools, "tool");
    format!(
        "{} of {all} usable · {tools} · {} tokens · longest name {longest}/{max_name}",
        usable.len(),
        approximately(tokens)
    )
}

/// `≈240`, `≈24.1k`
fn approximately(count: usize) -> String {
    match count {
        0..1000 => format!("≈{count}"),
        1000..100_000 => format!("≈{:.1}k", count as f64 / 1000.0),
        _ => format!("≈{}k", count / 1000),
    }
}
