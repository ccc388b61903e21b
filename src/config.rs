//! The config: from what was said to what is meant.
//!
//! In comes a config file in JSON, YAML or TOML and a snapshot of the environment; out goes a [`Config`] in which
//! everything is checked and resolved, and a list of [`Problem`]s with their places. Loading never fails: a broken
//! entry is left out, a broken file gives an empty config. The room reads files and variables; it never looks at
//! the running system, starts nothing and changes nothing.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

mod admin;
mod arguments;
mod audit;
mod auth;
mod built_ins;
mod check;
mod definitions;
mod discovery;
pub mod edit;
mod effects;
mod environment;
mod hash;
mod hide;
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
mod profiles;
mod recipe;
mod resolve;
mod schema;
mod secret;
mod servers;
mod shape;
mod show;
mod stages;
mod telemetry;
mod tree;
mod values;

pub use admin::{AdminConfig, AdminDoor};
pub use arguments::ArgumentRule;
pub use audit::{AuditArguments, AuditRules};
pub use auth::{AuthConfig, ClientCredentialsConfig, ClientProof, ConfiguredClient, OauthConfig, SigningKey};
pub use built_ins::{BuiltIns, LogRules, RedactRules, SecretKind};
pub(crate) use check::nearest;
pub use definitions::{Answer, DefinitionRules};
pub use discovery::{AutoRegister, CLIENT_NAMES, DiscoveryConfig, NetworkDiscovery};
pub use effects::Effects;
pub use environment::{ConfigReason, Environment, Locations, locate};
pub use hide::{hide_in_text, hide_secrets};
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
pub use profiles::Profile;
pub use recipe::Recipe;
pub use schema::json_schema;
pub use secret::Secret;
pub use show::{Setting, Settings};
pub use stages::{
    Balance, BreakerRules, CacheRules, Concurrency, Each, HealthCheck, InputCheck, OutputCheck, Probe,
    RateLimit, Retry, SecurityLevel, Stages, Validation,
};
pub use telemetry::{Collector, TelemetryRules};
pub use tree::Syntax;
pub(crate) use values::seconds_as_duration;
pub use values::{parse_duration, show_size};

use crate::failure::Code;
use interpolate::Context;
use problem::{Reporter, Source};
use recipe::File;
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
    /// What all of this was made of.
    pub recipe: Recipe,
    /// The files that values were taken from (`${file:…}`), readable or not.
    pub files: Vec<PathBuf>,
}

impl Loaded {
    /// What is left of a file that has no tree.
    fn without_tree(config: Config, problems: Vec<Problem>, recipe: &Recipe) -> Self {
        let (settings, files) = (Settings::default(), Vec::new());
        Self { config, problems, settings, recipe: recipe.clone(), files }
    }

    /// Whether anything is wrong, as opposed to worth knowing.
    pub fn has_errors(&self) -> bool {
        self.problems.iter().any(|problem| problem.severity == Severity::Error)
    }
}

/// Loads the config file. A missing or broken file gives an empty config and the reason among the problems.
pub fn load(locations: &Locations, environment: &Environment) -> Loaded {
    Recipe::of_file(locations, environment).load()
}

/// The same with a profile in force for everybody, if one is named: the others' servers are [left out](Entry::LeftOut).
pub fn load_for(locations: &Locations, environment: &Environment, profile: Option<&str>) -> Loaded {
    Recipe::of_file(locations, environment).for_profile(profile).load()
}

/// Loads a config from memory, as if it stood in this file, whose absolute path gives relative ones a meaning.
/// Takes any text; tests and fuzzers use it as well.
pub fn load_text(text: &str, syntax: Syntax, path: &Path, environment: &Environment) -> Loaded {
    Recipe::of_text(text, syntax, path, environment).load()
}

fn load_recipe(recipe: &Recipe) -> Loaded {
    let mut early = Vec::new();
    for path in recipe.ignored() {
        let message = format!("the config file {} is not used", path.display());
        let used = recipe.path().unwrap_or(Path::new(""));
        early.push(
            Problem::new(Severity::Warning, Code::ConfigFile, message)
                .suggest(format!("{} is used; remove one of them", used.display())),
        );
    }
    let (root, source) = match &recipe.file {
        File::None => {
            let suggestion = "write a config there, or name one with `--config FILE`";
            let reason = recipe.reason().map(ToString::to_string).unwrap_or_default();
            let message = format!("no config file: {reason}");
            early.push(Problem::new(Severity::Warning, Code::ConfigFile, message).suggest(suggestion));
            (Node::empty_map(Origin::BuiltIn), None)
        }
        File::Unreadable { problem, .. } => {
            let config = Config::unreadable(problem);
            early.push((**problem).clone());
            return Loaded::without_tree(config, early, recipe);
        }
        File::Text { path, syntax, text } => {
            if recipe.path().is_some() {
                early.extend(writable_by_everybody(path));
            }
            match parse(text, *syntax, path) {
                Ok((root, source)) => (root, Some(Arc::new(source))),
                Err(problems) => {
                    let config = problems.first().map_or_else(Config::default, Config::unreadable);
                    early.extend(problems);
                    return Loaded::without_tree(config, early, recipe);
                }
            }
        }
    };
    finish(root, source, recipe, early)
}

/// The tree of a text and the text itself, without its secrets; or what is wrong with it.
fn parse(text: &str, syntax: Syntax, path: &Path) -> Result<(Node, Source), Vec<Problem>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).to_owned();
    let source = Source::new(path.to_path_buf(), text);
    let wrong = match tree::parse(source.text(), syntax) {
        Ok(root @ Node { kind: Kind::Map(_), .. }) => {
            let source = source.masked(&show::secret_spans(&root));
            return Ok((root, source));
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
    Err(reporter.into_problems())
}

/// Parses a text in one of the three syntaxes, whatever it means: for the configs of other programs.
///
/// # Errors
/// What is wrong with it first, in words.
pub fn parse_tree(text: &str, syntax: Syntax) -> Result<serde_json::Value, String> {
    let parsed = tree::parse(text, syntax);
    let first = |errors: Vec<tree::SyntaxError>| errors.into_iter().next().map(|error| error.message);
    parsed
        .map(|node| node.to_json())
        .map_err(|errors| first(errors).unwrap_or_else(|| "it is empty".to_owned()))
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
    recipe: &Recipe,
    mut problems: Vec<Problem>,
) -> Loaded {
    let environment = &*recipe.environment;
    let mut reporter = Reporter::new(source);
    let is_mission = mission::translate(&mut root, &mut reporter);
    servers::gather(&mut root, &mut reporter);
    recipe.lay_over(&mut root);
    mission::apply_variables(&mut root, environment, is_mission, &mut reporter);
    overrides::apply(&mut root, environment, &mut reporter);
    let context = Context::new(environment, recipe.base());
    let (config, effective) = resolve::resolve(root, &context, recipe.profile(), &mut reporter);
    let settings = Settings::new(&effective, &reporter);
    // What is wrong with servers that nobody is served concerns nobody.
    let is_left_out = |problem: &Problem| {
        let server = problem.server.as_ref().and_then(|server| config.entry(server.as_str()));
        matches!(server, Some(Entry::LeftOut { .. }))
    };
    problems.extend(reporter.into_problems().into_iter().filter(|problem| !is_left_out(problem)));
    Loaded { config, problems, settings, recipe: recipe.clone(), files: context.into_files() }
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
