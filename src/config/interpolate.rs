//! `${…}` in the values where the config language allows it: one pass, no nesting, nothing left over.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::Read;
use std::path::PathBuf;

use super::environment::Environment;
use super::secret::MASK;

/// The most that `${file:…}` reads, in bytes. Tokens and certificates are far smaller.
const MAX_FILE: u64 = 1 << 20;

/// What references are looked up in.
pub(super) struct Context<'a> {
    pub(super) environment: &'a Environment,
    /// The folder of the config file.
    pub(super) folder: PathBuf,
    /// The files that were looked into.
    files: RefCell<BTreeSet<PathBuf>>,
}

impl<'a> Context<'a> {
    pub(super) fn new(environment: &'a Environment, folder: impl Into<PathBuf>) -> Self {
        Self { environment, folder: folder.into(), files: RefCell::default() }
    }

    /// The files that were looked into, readable or not.
    pub(super) fn into_files(self) -> Vec<PathBuf> {
        self.files.into_inner().into_iter().collect()
    }
}

/// A text without references.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Expanded {
    pub(super) text: String,
    /// What was put in, with the name that tells whether it is a secret.
    pub(super) pieces: Vec<(String, String)>,
}

/// Why a reference has no value.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Something has to be provided first: the sentence and what to do.
    Missing { message: String, remedy: String },
    /// The reference is not written as it should be.
    Malformed { message: String, remedy: String },
}

/// Expands all references of a text, or says everything that is wrong with them.
pub(super) fn expand(text: &str, context: &Context<'_>) -> Result<Expanded, Vec<Trouble>> {
    let mut expanded = Expanded::default();
    let mut troubles = Vec::new();
    for part in parts(text) {
        match part {
            Part::Literal(literal) => expanded.text.push_str(literal),
            Part::Unclosed(rest) => troubles.push(Trouble::Malformed {
                message: format!("the reference `{}` has no closing brace", super::check::shorten(rest)),
                remedy: "write `$${` for a literal `${`".to_owned(),
            }),
            Part::Reference(body) => match look_up(body, context) {
                Ok(Value::Plain(value)) => expanded.text.push_str(&value),
                Ok(Value::Noted { name, value }) => {
                    expanded.text.push_str(&value);
                    expanded.pieces.push((name, value));
                }
                Err(trouble) => troubles.push(trouble),
            },
        }
    }
    if troubles.is_empty() { Ok(expanded) } else { Err(troubles) }
}

/// The text as `config show` prints it: references stay, their defaults are hidden.
pub(super) fn describe(text: &str) -> String {
    parts(text)
        .map(|part| match part {
            Part::Literal(literal) => literal.to_owned(),
            Part::Unclosed(rest) => rest.to_owned(),
            Part::Reference(body) => match body.split_once(":-") {
                Some((name, _)) => format!("${{{name}:-{MASK}}}"),
                None => format!("${{{body}}}"),
            },
        })
        .collect()
}

enum Part<'a> {
    Literal(&'a str),
    /// What stands between the braces.
    Reference(&'a str),
    /// `${` and everything after it.
    Unclosed(&'a str),
}

fn parts(text: &str) -> impl Iterator<Item = Part<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        if let Some(after) = rest.strip_prefix("$${") {
            rest = after;
            return Some(Part::Literal("${"));
        }
        if let Some(after) = rest.strip_prefix("${") {
            let Some(end) = after.find('}') else {
                return Some(Part::Unclosed(std::mem::take(&mut rest)));
            };
            let body = &after[..end];
            rest = &after[end + 1..];
            return Some(Part::Reference(body));
        }
        let end = rest.match_indices("${").map(|(at, _)| at).next().unwrap_or(rest.len());
        // `$${` begins one character before the `${` that was found.
        let end = if end > 0 && rest[..end].ends_with('$') && end < rest.len() { end - 1 } else { end };
        let (literal, after) = rest.split_at(end);
        rest = after;
        Some(Part::Literal(literal))
    })
}

enum Value {
    /// A value that anybody may see.
    Plain(String),
    /// A value that came from outside and may be a secret.
    Noted { name: String, value: String },
}

fn look_up(body: &str, context: &Context<'_>) -> Result<Value, Trouble> {
    if body.contains("${") {
        return Err(malformed(body, "references cannot be nested"));
    }
    match body {
        "configDir" => return Ok(Value::Plain(context.folder.to_string_lossy().into_owned())),
        "HOME" | "userHome" => {
            let home = context.environment.get("HOME").map(|home| Value::Plain(home.to_owned()));
            return home.ok_or_else(|| unset("HOME"));
        }
        "workspaceFolder" | "workspaceFolderBasename" => {
            return Err(missing(
                format!("`${{{body}}}` is not known here: Switchboard serves all your projects"),
                "write the path itself, or `${HOME}/…` or `${configDir}/…`",
            ));
        }
        _ => {}
    }
    match body.split_once(':') {
        Some(("file", path)) => read_file(path, context),
        Some(("keyring", name)) => Err(missing(
            format!("`${{keyring:{name}}}` needs a keyring, which this version does not have"),
            "use `${env:NAME}` or `${file:path}` instead",
        )),
        Some(("input", id)) => Err(missing(
            format!("`${{input:{id}}}` asks its client for a value, which Switchboard cannot do"),
            "use `${env:NAME}` or `${file:path}` instead",
        )),
        Some(("env", variable)) => look_up_variable(variable, body, context),
        _ => look_up_variable(body, body, context),
    }
}

fn look_up_variable(text: &str, body: &str, context: &Context<'_>) -> Result<Value, Trouble> {
    let (name, default) = match text.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (text, None),
    };
    let starts_well = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    if !starts_well || !name.chars().all(|character| character.is_ascii_alphanumeric() || character == '_') {
        return Err(malformed(
            body,
            "it is none of `${VAR}`, `${VAR:-default}`, `${env:VAR}`, `${file:path}`",
        ));
    }
    match context.environment.get(name).or(default) {
        Some(value) => Ok(Value::Noted { name: name.to_owned(), value: value.to_owned() }),
        None => Err(unset(name)),
    }
}

fn read_file(path: &str, context: &Context<'_>) -> Result<Value, Trouble> {
    let full = context.folder.join(context.environment.expand_home(path));
    context.files.borrow_mut().insert(full.clone());
    let failed = |why: String| {
        missing(
            format!("`${{file:{path}}}` cannot be read: {why}"),
            "create the file, or correct the path (it is relative to the config file)",
        )
    };
    // A pipe or a device could keep us waiting for ever.
    let metadata = std::fs::metadata(&full).map_err(|error| failed(error.to_string()))?;
    if !metadata.is_file() {
        return Err(failed("it is not a file".to_owned()));
    }
    let mut text = String::new();
    std::fs::File::open(&full)
        .and_then(|file| file.take(MAX_FILE + 1).read_to_string(&mut text))
        .map_err(|error| failed(error.to_string()))?;
    if text.len() as u64 > MAX_FILE {
        return Err(failed("it is larger than 1MiB".to_owned()));
    }
    let value = text.strip_suffix('\n').map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text));
    if value.is_empty() {
        return Err(failed("it is empty".to_owned()));
    }
    if value.contains('\0') {
        return Err(failed("it contains a zero byte".to_owned()));
    }
    Ok(Value::Noted { name: "secret file".to_owned(), value: value.to_owned() })
}

fn unset(variable: &str) -> Trouble {
    missing(
        format!("the environment variable `{variable}` is not set"),
        &format!(
            "set `{variable}` where your client starts Switchboard, write `${{{variable}:-default}}`, or put the \
             value into a file and write `${{file:path}}`"
        ),
    )
}

fn missing(message: String, remedy: &str) -> Trouble {
    Trouble::Missing { message, remedy: remedy.to_owned() }
}

fn malformed(body: &str, why: &str) -> Trouble {
    Trouble::Malformed {
        message: format!("`${{{}}}` is not a reference: {why}", super::check::shorten(body)),
        remedy: "write `$${` for a literal `${`".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_context<T>(use_it: impl FnOnce(&Context<'_>) -> T) -> T {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("token"), "from-file\n").unwrap();
        std::fs::write(folder.path().join("empty"), "\n").unwrap();
        let environment: Environment =
            [("A", "1"), ("B_2", "two"), ("HOME", "/home/me"), ("EMPTY", ""), ("REF", "${A}")]
                .into_iter()
                .collect();
        use_it(&Context::new(&environment, folder.path()))
    }

    fn check(text: &str, expected: &str) {
        let found = with_context(|context| expand(text, context));
        assert_eq!(found.map(|expanded| expanded.text), Ok(expected.to_owned()), "{text}");
    }

    fn check_trouble(text: &str, expected: &str) {
        let troubles = with_context(|context| expand(text, context)).unwrap_err();
        let text = format!("{troubles:?}");
        assert!(text.contains(expected), "{text}");
    }

    #[test]
    fn what_expands() {
        check("", "");
        check("plain", "plain");
        check("${A}", "1");
        check("x${A}y${B_2}z", "x1ytwoz");
        check("${env:A}", "1");
        check("${NOPE:-fallback}", "fallback");
        check("${env:NOPE:-a:-b}", "a:-b");
        check("${NOPE:-}", "");
        check("${EMPTY:-full}", "full");
        check("${A:-other}", "1");
        check("${HOME}/x ${userHome}", "/home/me/x /home/me");
        check("${file:token}", "from-file");
        check("$A $ $$ $}", "$A $ $$ $}");
        check("$${A}", "${A}");
        check("$$${A}", "$${A}");
        check("a$${A} ${A}", "a${A} 1");
        check("; rm -rf x $(id) `id` %PATH%", "; rm -rf x $(id) `id` %PATH%");
    }

    #[test]
    fn one_pass_only() {
        check("${REF}", "${A}");
        check_trouble("${A:-${A}}", "nested");
    }

    #[test]
    fn the_config_folder() {
        let (folder, text) = with_context(|context| {
            (context.folder.to_path_buf(), expand("${configDir}/x", context).unwrap().text)
        });
        assert_eq!(PathBuf::from(text), folder.join("x"));
    }

    #[test]
    fn what_does_not_expand() {
        check_trouble("${NOPE}", "`NOPE` is not set");
        check_trouble("${env:NOPE}", "`NOPE` is not set");
        check_trouble("${EMPTY}", "`EMPTY` is not set");
        check_trouble("${file:nope}", "cannot be read");
        check_trouble("${file:empty}", "it is empty");
        check_trouble("${file:.}", "not a file");
        check_trouble("${keyring:x}", "keyring");
        check_trouble("${input:x}", "asks its client");
        check_trouble("${workspaceFolder}", "all your projects");
        check_trouble("${}", "Malformed");
        check_trouble("${1A}", "Malformed");
        check_trouble("${A B}", "Malformed");
        check_trouble("${cmd:ls}", "Malformed");
        check_trouble("${A", "no closing brace");
    }

    #[test]
    fn everything_wrong_is_said_at_once() {
        assert_eq!(with_context(|context| expand("${X} ${Y} ${", context)).unwrap_err().len(), 3);
    }

    #[test]
    fn what_came_from_outside_is_noted() {
        let pieces = with_context(|context| expand("${HOME} ${A} ${file:token}", context)).unwrap().pieces;
        assert_eq!(
            pieces,
            [("A".to_owned(), "1".to_owned()), ("secret file".to_owned(), "from-file".to_owned())]
        );
    }

    #[test]
    fn defaults_are_hidden_when_shown() {
        assert_eq!(describe("x ${A} ${B:-secret} $${C}"), "x ${A} ${B:-***} ${C}");
    }
}
