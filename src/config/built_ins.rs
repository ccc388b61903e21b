//! The built-in interceptors of the list `interceptors`: what is hidden, and which calls are logged.

use super::model::Glob;
use super::problem::Reporter;
use super::resolve::texts;
use super::secret::Secret;
use super::stages::SecurityLevel;
use super::tree::Node;
use crate::failure::Code;

/// The built-in interceptors, in the order of the config.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BuiltIns {
    /// What is hidden.
    pub redact: Vec<RedactRules>,
    /// Which calls are logged.
    pub log: Vec<LogRules>,
}

/// What is hidden in arguments and results.
#[derive(Clone, Debug, PartialEq)]
pub struct RedactRules {
    /// Patterns of exposed names; `None` for all.
    pub tools: Option<Vec<Glob>>,
    /// Whether it is hidden from servers.
    pub arguments: bool,
    /// Whether it is hidden from clients.
    pub results: bool,
    /// Kinds of secrets that are recognised by their form.
    pub kinds: Vec<SecretKind>,
    /// Further regular expressions (crate `regex`), each of which can be compiled.
    pub patterns: Vec<String>,
    /// Secrets of the config.
    pub secrets: Vec<Secret>,
    /// What stands in their place.
    pub with: String,
}

/// Which calls are logged, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct LogRules {
    /// Patterns of exposed names; `None` for all.
    pub tools: Option<Vec<Glob>>,
    /// Whether arguments are logged, without the secrets in them.
    pub arguments: bool,
    /// Secrets of the config.
    pub secrets: Vec<Secret>,
}

/// A kind of secret that is recognised by its form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretKind {
    /// `Bearer …`
    Bearer,
    /// A private key in PEM.
    PrivateKey,
    /// An access key id of AWS.
    Aws,
    /// A token of GitHub.
    Github,
    /// A token of Slack.
    Slack,
    /// A JSON Web Token.
    Jwt,
    /// A key of a model provider, of Stripe or of Google (`sk-…`, `sk_live_…`, `AIza…`).
    ApiKey,
    /// An e-mail address: no secret, and so only hidden if it is named.
    Email,
}

impl SecretKind {
    /// All that are hidden if none is named.
    pub const SECRETS: [SecretKind; 7] =
        [Self::Bearer, Self::PrivateKey, Self::Aws, Self::Github, Self::Slack, Self::Jwt, Self::ApiKey];

    fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "bearer" => Self::Bearer,
            "private_key" => Self::PrivateKey,
            "aws" => Self::Aws,
            "github" => Self::Github,
            "slack" => Self::Slack,
            "jwt" => Self::Jwt,
            "api_key" => Self::ApiKey,
            "email" => Self::Email,
            _ => return None,
        })
    }

    /// The regular expression (crate `regex`) that recognises it.
    pub fn pattern(self) -> &'static str {
        match self {
            Self::Bearer => r"(?i:\bbearer[ \t]+[a-z0-9._~+/-]{16,}=*)",
            Self::PrivateKey => {
                r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\z)"
            }
            Self::Aws => r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
            Self::Github => r"\b(?:gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{22,255})",
            Self::Slack => r"\bx(?:ox[abeoprs]|app)-[A-Za-z0-9-]{10,}",
            Self::Jwt => r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*",
            Self::ApiKey => r"\b(?:sk-[A-Za-z0-9_-]{20,}|[rs]k_live_[A-Za-z0-9]{16,}|AIza[A-Za-z0-9_-]{35})",
            Self::Email => r"\b[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+\b",
        }
    }
}

impl BuiltIns {
    /// The same for a server of this level: at the highest one secrets are hidden, whatever is said.
    pub(super) fn at(&self, level: SecurityLevel, secrets: &[Secret]) -> Self {
        let mut own = self.clone();
        if level == SecurityLevel::High && !own.redact.iter().any(|rules| rules.tools.is_none()) {
            own.redact.push(RedactRules {
                tools: None,
                arguments: true,
                results: true,
                kinds: SecretKind::SECRETS.to_vec(),
                patterns: Vec::new(),
                secrets: long(secrets),
                with: WITH.to_owned(),
            });
        }
        own
    }
}

/// The secrets that are long enough to be looked for: a short text would be found everywhere.
fn long(secrets: &[Secret]) -> Vec<Secret> {
    secrets.iter().filter(|secret| secret.expose().len() >= 8).cloned().collect()
}

/// What stands in the place of something hidden, if the config does not say.
const WITH: &str = "[redacted]";
/// The memory that a regular expression may take.
const PATTERN_SIZE: usize = 1 << 20;

/// Reads the built-in ones of the checked list `interceptors`.
pub(super) fn decode(root: &Node, secrets: &[Secret], reporter: &mut Reporter) -> BuiltIns {
    let mut built_ins = BuiltIns::default();
    let secrets = long(secrets);
    for entry in root.get("interceptors").map(Node::elements).unwrap_or_default() {
        let globs = |node: &Node| texts(Some(node)).into_iter().map(Glob::new).collect();
        let tools = entry.get("match").map(globs);
        if let Some(said) = entry.get("redact") {
            let on = texts(entry.get("on"));
            let kinds = said
                .get("secrets")
                .map(|node| texts(Some(node)).iter().filter_map(|word| SecretKind::parse(word)).collect());
            built_ins.redact.push(RedactRules {
                tools: tools.clone(),
                arguments: on.is_empty() || on.iter().any(|on| on == "before"),
                results: on.is_empty() || on.iter().any(|on| on != "before"),
                kinds: kinds.unwrap_or_else(|| SecretKind::SECRETS.to_vec()),
                patterns: patterns(said, reporter),
                secrets: secrets.clone(),
                with: said.get("with").and_then(Node::as_str).unwrap_or(WITH).to_owned(),
            });
        }
        if let Some(said) = entry.get("log") {
            let arguments = said.get("arguments").and_then(Node::as_bool).unwrap_or(false);
            built_ins.log.push(LogRules { tools, arguments, secrets: secrets.clone() });
        }
    }
    built_ins
}

fn patterns(said: &Node, reporter: &mut Reporter) -> Vec<String> {
    let mut good = Vec::new();
    for node in said.get("patterns").map(Node::elements).unwrap_or_default() {
        let Some(pattern) = node.as_str() else { continue };
        match regex::RegexBuilder::new(pattern).size_limit(PATTERN_SIZE).build() {
            Ok(regex) if !regex.is_match("") => good.push(pattern.to_owned()),
            Ok(_) => {
                let message = "this pattern of `redact` matches the empty text, and so everywhere";
                reporter
                    .error(Code::ConfigValue, &node.origin, message)
                    .hint("write `+` in the place of `*`");
            }
            Err(error) => {
                let error = error.to_string();
                let why = error.lines().last().unwrap_or_default().trim_start_matches("error: ");
                let message = format!("this pattern of `redact` is no regular expression: {why}");
                reporter
                    .error(Code::ConfigValue, &node.origin, message)
                    .hint("look-around and back-references are not supported");
            }
        }
    }
    good
}
