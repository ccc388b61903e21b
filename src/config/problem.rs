//! What is wrong with a config, in words and with the place.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Element, Level, Renderer, Snippet};

use super::tree::Origin;
use crate::failure::{Code, Failure};
use crate::names::ServerName;

/// Whether something is unusable or only worth knowing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Something works differently from what one may expect.
    Warning,
    /// A key, an entry or the whole file cannot be used.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// A place in a file. Line and column start at 1; columns count characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// The character in the line, from 1.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file.display(), self.line, self.column)
    }
}

/// One thing that is wrong with the config.
#[derive(Clone, Debug)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// The stable code.
    pub code: Code,
    /// What was found and what is expected: a lower-case fragment without final period, which does not name
    /// the server again.
    pub message: String,
    /// Where it stands in the config file, if it stands there.
    pub place: Option<Place>,
    /// The server whose entry it concerns.
    pub server: Option<ServerName>,
    /// What mends it, if that is known.
    pub suggestion: Option<String>,
    excerpt: Option<Excerpt>,
}

/// The lines to show.
#[derive(Clone)]
struct Excerpt {
    source: Arc<Source>,
    span: Range<usize>,
    also: Option<(Range<usize>, &'static str)>,
}

/// What is shown of a file follows from the place.
impl PartialEq for Problem {
    fn eq(&self, other: &Self) -> bool {
        let parts = |problem: &Self| (problem.severity, problem.code);
        parts(self) == parts(other)
            && (&self.message, &self.place) == (&other.message, &other.place)
            && (&self.server, &self.suggestion) == (&other.server, &other.suggestion)
    }
}

impl fmt::Debug for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Excerpt({:?})", self.span)
    }
}

/// A config file's name and text. Secrets in the text are masked as soon as the tree tells where they stand.
pub(super) struct Source {
    path: PathBuf,
    text: String,
    line_starts: Vec<usize>,
}

// === impl Problem ===

impl Problem {
    /// A problem without a place.
    pub fn new(severity: Severity, code: Code, message: impl Into<String>) -> Self {
        Self {
            severity,
            code,
            message: message.into(),
            place: None,
            server: None,
            suggestion: None,
            excerpt: None,
        }
    }

    /// The same problem at a place of a file that the config names: these bytes of `text`, which `path` holds.
    #[must_use]
    pub fn in_file(mut self, path: &std::path::Path, text: &str, span: Range<usize>) -> Self {
        let source = Arc::new(Source::new(path.to_path_buf(), text.to_owned()));
        self.place = Some(source.place(&span));
        self.excerpt = Some(Excerpt { source, span, also: None });
        self
    }

    /// The same problem with what mends it.
    #[must_use]
    pub fn suggest(mut self, suggestion: impl Into<String>) -> Self {
        self.suggestion = Some(suggestion.into());
        self
    }

    /// One line for lists and logs, for example
    /// ``switchboard.yaml:5:7: server `github`: unknown key `comand`; did you mean `command`?``
    pub fn one_line(&self) -> String {
        let mut line = String::new();
        if let Some(place) = &self.place {
            line.push_str(&format!("{place}: "));
        }
        line.push_str(&self.title());
        if let Some(suggestion) = &self.suggestion {
            line.push_str("; ");
            line.push_str(suggestion);
        }
        line
    }

    /// The whole story for a terminal: title with code, the lines of the file, and what to do.
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let level = match self.severity {
            Severity::Warning => Level::WARNING,
            Severity::Error => Level::ERROR,
        };
        let mut group = level.primary_title(self.title()).id(self.code.id()).elements(None::<Element<'_>>);
        if let Some(excerpt) = &self.excerpt {
            let source = &excerpt.source;
            let mut snippet = Snippet::source(source.text.as_str())
                .path(source.path.to_string_lossy().into_owned())
                .annotation(AnnotationKind::Primary.span(source.shown(&excerpt.span)));
            if let Some((span, label)) = &excerpt.also {
                snippet = snippet.annotation(AnnotationKind::Context.span(source.shown(span)).label(*label));
            }
            group = group.element(snippet);
        }
        if let Some(suggestion) = &self.suggestion {
            group = group.element(Level::HELP.message(suggestion.as_str()));
        }
        renderer.render(&[group])
    }

    fn title(&self) -> String {
        match &self.server {
            Some(server) => format!("server `{server}`: {}", self.message),
            None => self.message.clone(),
        }
    }

    /// The same as a failure, for the rooms that report failures.
    pub fn failure(&self) -> Failure {
        let cause = match &self.place {
            Some(place) => format!("{place}: {}", self.message),
            None => self.message.clone(),
        };
        let mut failure = Failure::new(self.code, cause);
        failure.server = self.server.clone();
        failure.remedy = self.suggestion.clone();
        failure
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.severity, self.one_line(), self.code)
    }
}

// === impl Source ===

impl Source {
    pub(super) fn new(path: PathBuf, text: String) -> Self {
        let line_starts = std::iter::once(0)
            .chain(memchr::memchr_iter(b'\n', text.as_bytes()).map(|newline| newline + 1))
            .collect();
        Self { path, text, line_starts }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The same source with these bytes hidden.
    pub(super) fn masked(&self, spans: &[Range<usize>]) -> Self {
        let mut secret = vec![false; self.text.len()];
        for span in spans {
            let end = span.end.min(secret.len());
            secret[span.start.min(end)..end].fill(true);
        }
        let mut text = String::with_capacity(self.text.len());
        for (byte, character) in self.text.char_indices() {
            let hidden = secret[byte] && !matches!(character, '\n' | '\r' | '"' | '\'');
            if hidden { text.push_str(&"*".repeat(character.len_utf8())) } else { text.push(character) }
        }
        Self::new(self.path.clone(), text)
    }

    pub(super) fn place(&self, span: &Range<usize>) -> Place {
        let start = self.boundary(span.start);
        let line = self.line_starts.partition_point(|line_start| *line_start <= start).max(1);
        let column = self.text[self.line_starts[line - 1]..start].chars().count() + 1;
        Place { file: self.path.clone(), line, column }
    }

    /// The part of a span that an excerpt underlines: its first line, without the blanks at its end.
    fn shown(&self, span: &Range<usize>) -> Range<usize> {
        let (start, end) = (self.boundary(span.start), self.boundary(span.end));
        let text = &self.text[start..end.max(start)];
        let first_line = text.lines().next().unwrap_or_default().trim_end();
        start..start + first_line.len()
    }

    /// The nearest character boundary at or before this byte.
    fn boundary(&self, byte: usize) -> usize {
        let byte = byte.min(self.text.len());
        (0..=byte).rev().find(|byte| self.text.is_char_boundary(*byte)).unwrap_or(0)
    }
}

/// Collects problems: knows the file, so that who reports needs only an origin.
pub(super) struct Reporter {
    source: Option<Arc<Source>>,
    problems: Vec<Problem>,
    /// The server whose entry is looked at now.
    server: Option<ServerName>,
}

impl Reporter {
    pub(super) fn new(source: Option<Arc<Source>>) -> Self {
        Self { source, problems: Vec::new(), server: None }
    }

    /// Everything that is reported from now on concerns this server (or none).
    pub(super) fn set_server(&mut self, server: Option<ServerName>) {
        self.server = server;
    }

    pub(super) fn place(&self, origin: &Origin) -> Option<Place> {
        match (origin, &self.source) {
            (Origin::File(span), Some(source)) => Some(source.place(span)),
            _ => None,
        }
    }

    /// How a reader finds this origin: `path:line`, the variable's name, or "built in".
    pub(super) fn describe(&self, origin: &Origin) -> String {
        match origin {
            Origin::Variable(name) => format!("variable {name}"),
            Origin::Said => "said while running".to_owned(),
            Origin::Preset(level) => format!("preset {level}"),
            Origin::BuiltIn => "built in".to_owned(),
            Origin::File(_) => match self.place(origin) {
                Some(place) => format!("{}:{}", place.file.display(), place.line),
                None => "config".to_owned(),
            },
        }
    }

    /// Adds a problem at this place.
    pub(super) fn report(
        &mut self,
        severity: Severity,
        code: Code,
        origin: &Origin,
        message: impl Into<String>,
    ) -> &mut Problem {
        let mut problem = Problem::new(severity, code, message);
        problem.server = self.server.clone();
        problem.place = self.place(origin);
        match (origin, &self.source) {
            (Origin::File(span), Some(source)) => {
                problem.excerpt = Some(Excerpt { source: source.clone(), span: span.clone(), also: None });
            }
            (Origin::Variable(name), _) => {
                problem.message = format!("environment variable `{name}`: {}", problem.message);
            }
            _ => {}
        }
        let at = self.problems.len();
        self.problems.push(problem);
        &mut self.problems[at]
    }

    /// Adds an error at this place.
    pub(super) fn error(&mut self, code: Code, origin: &Origin, message: impl Into<String>) -> &mut Problem {
        self.report(Severity::Error, code, origin, message)
    }

    /// Adds a warning at this place.
    pub(super) fn warn(&mut self, code: Code, origin: &Origin, message: impl Into<String>) -> &mut Problem {
        self.report(Severity::Warning, code, origin, message)
    }

    /// A mark to ask later whether something went wrong since.
    pub(super) fn mark(&self) -> usize {
        self.problems.len()
    }

    /// The errors since the mark.
    pub(super) fn errors_since(&self, mark: usize) -> impl Iterator<Item = &Problem> {
        self.problems[mark..].iter().filter(|problem| problem.severity == Severity::Error)
    }

    /// All problems, in the order of the file; what has no place comes first.
    pub(super) fn into_problems(mut self) -> Vec<Problem> {
        self.problems.sort_by_key(|problem| problem.place.as_ref().map(|place| (place.line, place.column)));
        self.problems
    }
}

impl Problem {
    /// Sets the suggestion of a problem that was just reported.
    pub(super) fn hint(&mut self, suggestion: impl Into<String>) -> &mut Self {
        self.suggestion = Some(suggestion.into());
        self
    }

    /// Shows a second place in the excerpt of a problem that was just reported.
    pub(super) fn also(&mut self, origin: &Origin, label: &'static str) -> &mut Self {
        if let (Some(excerpt), Origin::File(span)) = (&mut self.excerpt, origin) {
            excerpt.also = Some((span.clone(), label));
        }
        self
    }
}
