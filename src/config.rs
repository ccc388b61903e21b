//! The config: from what was said to what is meant.
//!
//! In comes a config file in JSON, YAML or TOML and a snapshot of the environment; out goes a [`Config`] in which
//! everything is checked and resolved, and a list of [`Problem`]s with their places. Loading never fails: a broken
//! entry is left out, a broken file gives an empty config. The room reads files and variables; it never looks at
//! the running system, starts nothing and changes nothing.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

mod arguments;
mod audit;
mod auth;
mod built_ins;
mod check;
mod definitions;
mod effects;
mod environment;
mod hash;
mod http;
mod interceptors;
mod interpolate;
mod keys;
mod mission;
mod model;
mod overrides;
mod presets;
mod private_key;
mod probe;
mod problem;
mod resolve;
mod schema;
mod secret;
mod servers;
mod shape;
mod show;
mod stages;
mod tree;
mod values;

pub use arguments::ArgumentRule;
pub use audit::{AuditArguments, AuditRules};
pub use auth::{AuthConfig, ClientCredentialsConfig, ClientProof, ConfiguredClient, OauthConfig, SigningKey};
pub use built_ins::{BuiltIns, LogRules, RedactRules, SecretKind};
pub use definitions::{Answer, DefinitionRules};
pub use effects::Effects;
pub use environment::{ConfigReason, Environment, Locations, locate};
pub use http::{HttpFace, parse_listen};
pub use interceptors::{
    Fail, InterceptorConfig, InterceptorKind, InterceptorMode, InterceptorRules, InterceptorWay, Phase,
};
pub use model::{
    Config, Entry, Expose, Glob, Launch, Limits, PolicyFile, ProtocolChoice, Questions, RemoteKind,
    RemoteLaunch, ServerConfig, Share, Start, StdioLaunch, Timeouts, ToolOverride, ToolRules,
};
pub use private_key::{Algorithm, PrivateKey};
pub use problem::{Place, Problem, Severity};
pub use schema::json_schema;
pub use secret::Secret;
pub use show::{Setting, Settings};
pub use stages::{
    Balance, BreakerRules, CacheRules, Concurrency, Each, HealthCheck, InputCheck, OutputCheck, Probe,
    RateLimit, Retry, SecurityLevel, Stages, Validation,
};
pub use tree::Syntax;
pub use values::parse_duration;

use crate::failure::Code;
use problem::{Reporter, Source};
use tree::{Kind, Node, Origin};

/// The largest config file that is read, in bytes.
const MAX_FILE: u64 = 4 << 20;

/// What loading gives.
#[derive(Debug)]
pub struct Loaded {
    /// The config, as far as it can be used.
    pub config: Config,
    /// Everything that is wrong or worth knowing, in the order of the file.
    pub problems: Vec<Problem>,
    /// Every setting with the place it comes from, for `config show`.
    pub settings: Settings,
}

impl Loaded {
    /// Whether anything is wrong, as opposed to worth knowing.
    pub fn has_errors(&self) -> bool {
        self.problems.iter().any(|problem| problem.severity == Severity::Error)
    }
}

/// Loads the config file. A missing or broken file gives an empty config and the reason among the problems.
pub fn load(locations: &Locations, environment: &Environment) -> Loaded {
    let mut early = Vec::new();
    for path in &locations.ignored {
        let message = format!("the config file {} is not used", path.display());
        let used = locations.config.as_deref().unwrap_or(Path::new(""));
        early.push(
            Problem::new(Severity::Warning, Code::ConfigFile, message)
                .suggest(format!("{} is used; remove one of them", used.display())),
        );
    }
    let Some(path) = &locations.config else {
        let suggestion = "write a config there, or name one with `--config FILE`";
        let message = format!("no config file: {}", locations.config_reason);
        early.push(Problem::new(Severity::Warning, Code::ConfigFile, message).suggest(suggestion));
        return finish(Node::empty_map(Origin::BuiltIn), None, Path::new("/"), environment, early);
    };
    let read = syntax_of(path).and_then(|syntax| Ok((read(path)?, syntax)));
    let mut loaded = match read {
        Ok((text, syntax)) => {
            early.extend(writable_by_everybody(path));
            load_text_at(text, syntax, path, environment)
        }
        Err(problem) => {
            let config = Config::unreadable(&problem);
            early.push(*problem);
            Loaded { config, problems: Vec::new(), settings: Settings::default() }
        }
    };
    early.append(&mut loaded.problems);
    loaded.problems = early;
    loaded
}

/// Loads a config from memory, as if it stood in this file, whose absolute path gives relative ones a meaning.
/// Takes any text; tests and fuzzers use it as well.
pub fn load_text(text: &str, syntax: Syntax, path: &Path, environment: &Environment) -> Loaded {
    load_text_at(text.to_owned(), syntax, path, environment)
}

fn load_text_at(text: String, syntax: Syntax, path: &Path, environment: &Environment) -> Loaded {
    let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
    let source = Source::new(path.to_path_buf(), text);
    let folder = path.parent().unwrap_or(Path::new("/"));
    let wrong = match tree::parse(source.text(), syntax) {
        Ok(root @ Node { kind: Kind::Map(_), .. }) => {
            let source = Arc::new(source.masked(&show::secret_spans(&root)));
            return finish(root, Some(source), folder, environment, Vec::new());
        }
        Ok(root) => {
            let span = match &root.origin {
                Origin::File(span) => span.start..span.start,
                _ => 0..0,
            };
            let message = format!("a config is a mapping, found {}", root.describe());
            vec![tree::SyntaxError { message, span }]
        }
        Err(mut errors) => {
            for error in &mut errors {
                error.message = format!("not valid {}: {}", syntax.name(), error.message);
            }
            errors
        }
    };
    // Without a tree nobody knows where the secrets stand.
    let source = Source::new(path.to_path_buf(), secret::mask_suspicious(source.text()));
    let mut reporter = Reporter::new(Some(Arc::new(source)));
    for error in wrong {
        let hint = syntax_hint(&error.message);
        let problem = reporter.error(Code::ConfigSyntax, &Origin::File(error.span), error.message);
        if let Some(hint) = hint {
            problem.hint(hint);
        }
    }
    let problems = reporter.into_problems();
    let config = problems.first().map_or_else(Config::default, Config::unreadable);
    Loaded { config, problems, settings: Settings::default() }
}

/// What mends the slips that people make most, by the words of the parsers.
fn syntax_hint(message: &str) -> Option<&'static str> {
    [
        ("tabs disallowed", "indent with spaces"),
        ("single-quoted", "write double quotes"),
        ("unterminated", "close it with `}`, `]` or `*/`"),
        ("expected comma", "put a comma between two elements"),
        (
            "unknown anchor",
            "an alias `*name` needs an anchor `&name` before it; quote the text if it is none",
        ),
        ("a config is a mapping", "begin with `servers:`"),
    ]
    .into_iter()
    .find(|(words, _)| message.contains(words))
    .map(|(_, hint)| hint)
}

/// From the tree to the config. The order matters: the mission's shape becomes ours before the servers are
/// gathered, and overrides need to find the servers.
fn finish(
    mut root: Node,
    source: Option<Arc<Source>>,
    folder: &Path,
    environment: &Environment,
    mut problems: Vec<Problem>,
) -> Loaded {
    let mut reporter = Reporter::new(source);
    let is_mission = mission::translate(&mut root, &mut reporter);
    servers::gather(&mut root, &mut reporter);
    mission::apply_variables(&mut root, environment, is_mission, &mut reporter);
    overrides::apply(&mut root, environment, &mut reporter);
    let (config, effective) = resolve::resolve(root, environment, folder, &mut reporter);
    let settings = Settings::new(&effective, &reporter);
    problems.extend(reporter.into_problems());
    Loaded { config, problems, settings }
}

fn syntax_of(path: &Path) -> Result<Syntax, Box<Problem>> {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    Syntax::of_extension(extension).ok_or_else(|| {
        let message = format!("the name of {} does not tell its syntax", path.display());
        file_problem(message).suggest("end it with .json, .jsonc, .yaml, .yml or .toml").into()
    })
}

fn read(path: &Path) -> Result<String, Box<Problem>> {
    let failed = |error: std::io::Error| {
        let message = format!("the config file {} cannot be opened: {error}", path.display());
        Box::new(file_problem(message).suggest("`switchboard config path` shows which file is used and why"))
    };
    let refused = |why: &str| Box::new(file_problem(format!("the config file {} {why}", path.display())));
    // A pipe or a device could keep us waiting for ever.
    if !std::fs::metadata(path).map_err(failed)?.is_file() {
        return Err(refused("is not a file"));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes))
        .map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(refused("is larger than 4MiB"));
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(refused("is encoded as UTF-16; save it as UTF-8"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let line = memchr::memchr_iter(b'\n', &error.as_bytes()[..valid]).count() + 1;
        refused(&format!("is not valid UTF-8 in line {line}; save it as UTF-8"))
    })
}

fn file_problem(message: String) -> Problem {
    Problem::new(Severity::Error, Code::ConfigFile, message)
}

/// Who may change the config may start programs as its owner.
#[cfg(unix)]
fn writable_by_everybody(path: &Path) -> Option<Problem> {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(path).ok()?.permissions().mode();
    (mode & 0o002 != 0).then(|| {
        let message = format!("every user of this machine may change the config file {}", path.display());
        Problem::new(Severity::Warning, Code::ConfigFile, message)
            .suggest(format!("chmod o-w {}", path.display()))
    })
}

#[cfg(not(unix))]
fn writable_by_everybody(_: &Path) -> Option<Problem> {
    None
}

#[cfg(test)]
mod tests;
