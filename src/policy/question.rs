//! What policies are asked, and what they answer.

use std::sync::Arc;

use crate::call::{Caller, ClientInfo};
use crate::config::Place;
use crate::effect::Effect;
use crate::failure::{Code, Failure};

/// Who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Client {
    /// The name of the token that it has shown, which nobody else can use.
    pub token: Option<Arc<str>>,
    /// The name of the profile by which it is served, if by one.
    pub profile: Option<Arc<str>>,
    /// What it says of itself.
    pub info: Arc<ClientInfo>,
}

impl Client {
    /// The client behind a caller.
    pub fn of(caller: &dyn Caller) -> Self {
        Self {
            token: caller.principal(),
            profile: caller.profile(),
            info: caller.client().unwrap_or_default(),
        }
    }

    /// The name that policies know it by: that of its token, else the one that it gives itself.
    pub fn name(&self) -> &str {
        match &self.token {
            Some(token) => token,
            None if self.info.name.is_empty() => "unknown",
            None => &self.info.name,
        }
    }
}

/// What a client wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// `tools/call`
    CallTool,
    /// `prompts/get`
    GetPrompt,
    /// `resources/read`, and following the resource
    ReadResource,
}

impl Action {
    /// The word of the policies.
    pub fn word(self) -> &'static str {
        match self {
            Action::CallTool => "call_tool",
            Action::GetPrompt => "get_prompt",
            Action::ReadResource => "read_resource",
        }
    }
}

/// What a client wants to do it with.
#[derive(Clone, Copy, Debug)]
pub struct Thing<'a> {
    /// What is done.
    pub action: Action,
    /// The name that clients see; the server's own URI of a resource.
    pub name: &'a str,
    /// The server's own name or URI.
    pub original: &'a str,
    /// The server.
    pub server: &'a str,
    /// The server's categories.
    pub categories: &'a [String],
    /// The definition that clients see; empty where there is none.
    pub definition: &'a [u8],
    /// What it does to the world.
    pub effect: Effect,
    /// Whether `name` is only a pattern of URIs.
    pub is_template: bool,
}

/// What comes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// It may be done.
    Permitted,
    /// It must not be done.
    Refused,
    /// It depends on the arguments or on the time.
    Depends,
}

/// One policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its `@id`, else `policy` and a number, counted from 0.
    pub id: String,
    /// Whether it forbids, and does not permit.
    pub forbids: bool,
    /// What it says to those whom it refuses: its `@reason`.
    pub reason: Option<String>,
    /// Where it begins.
    pub place: Place,
}

impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let file = self.place.file.file_name().unwrap_or(self.place.file.as_os_str());
        write!(f, "`{}` ({}:{})", self.id, file.display(), self.place.line)
    }
}

/// An answer, and the policies that it comes from.
#[derive(Clone, Debug)]
pub struct Decision {
    /// What comes out.
    pub ruling: Ruling,
    /// The policies that have decided, or may still do so. None if nothing permits it.
    pub by: Vec<Arc<Rule>>,
    /// The policies that could not be evaluated, and why. One that forbids refuses then.
    pub errors: Vec<(Arc<Rule>, String)>,
}

impl Decision {
    /// Weighs what the policies say. What a policy that forbids could not find out is no reason to let anybody pass.
    #[cfg(feature = "policy")]
    pub(super) fn new(ruling: Ruling, by: Vec<Arc<Rule>>, errors: Vec<(Arc<Rule>, String)>) -> Self {
        let is_unsure = errors.iter().any(|(rule, _)| rule.forbids);
        match ruling {
            Ruling::Permitted | Ruling::Depends if is_unsure => {
                Self { ruling: Ruling::Refused, by: Vec::new(), errors }
            }
            _ => Self { ruling, by, errors },
        }
    }

    /// Why it is as it is: a sentence without a period.
    pub fn why(&self) -> String {
        let verb = |verb: &str| {
            let rules: Vec<String> = self.by.iter().map(|rule| rule.to_string()).collect();
            format!("policy {} {verb}", rules.join(", "))
        };
        match self.ruling {
            Ruling::Permitted => verb("permits it"),
            Ruling::Depends => verb("decides by the arguments or the time"),
            Ruling::Refused if !self.by.is_empty() => verb("forbids it"),
            Ruling::Refused => match self.errors.iter().find(|(rule, _)| rule.forbids) {
                Some((rule, error)) => format!("policy {rule} could not be evaluated: {error}"),
                None => "no policy permits it".to_owned(),
            },
        }
    }

    /// What a client is told whose call is refused.
    pub(super) fn failure(&self, client: &Client, thing: &Thing<'_>) -> Failure {
        let reasons: Vec<&str> = self.by.iter().filter_map(|rule| rule.reason.as_deref()).collect();
        let name = thing.name;
        let why = self.why();
        let cause = if reasons.is_empty() {
            format!("client `{}` may not use `{name}`: {why}", client.name())
        } else {
            format!("client `{}` may not use `{name}`: {} ({why})", client.name(), reasons.join("; "))
        };
        let remedy = "It did not run; to repeat it as it is will not help";
        Failure::new(Code::PolicyDenied, cause).of(&thing.server.into()).not_run().remedy(remedy)
    }
}
