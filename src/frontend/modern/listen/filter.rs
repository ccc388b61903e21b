//! What a client wants to hear.

use crate::frontend::answer::Answer;
use crate::frontend::incoming::Incoming;
use crate::protocol::{ListKind, codes};
use crate::wire::json;

/// More resources, or tasks, than this cannot be followed by one request.
const MAX_FOLLOWED: usize = 1000;

/// What a client asked to hear.
#[derive(Default)]
pub(super) struct Filter {
    tools: bool,
    prompts: bool,
    resources: bool,
    /// In the client's spelling.
    pub(super) uris: Vec<String>,
    /// Tasks, by our names for them.
    pub(super) tasks: Vec<String>,
}

impl Filter {
    pub(super) fn read(incoming: &Incoming<'_>) -> Result<Self, Answer> {
        let invalid = |text: &str| Answer::error(codes::INVALID_PARAMS, text);
        let raw = incoming.member("notifications").map(|span| span.of(incoming.line));
        let Some(raw) = raw.filter(|raw| json::kind(raw) == json::Kind::Object) else {
            return Err(invalid("`notifications` must be an object that says what to listen for"));
        };
        let flag = |name| match json::get(raw, name).map(|span| span.of(raw)) {
            Some(b"true") => Ok(true),
            Some(b"false") | None => Ok(false),
            Some(_) => Err(invalid(&format!("`notifications.{name}` must be true or false"))),
        };
        let mut filter = Filter {
            tools: flag("toolsListChanged")?,
            prompts: flag("promptsListChanged")?,
            resources: flag("resourcesListChanged")?,
            uris: Vec::new(),
            tasks: Vec::new(),
        };
        let strings = |name: &str, what: &str| {
            let Some(span) = json::get(raw, name) else { return Ok(Vec::new()) };
            let list = span.of(raw);
            let found: Option<Vec<String>> = json::elements(list)
                .map(|item| json::string(item.of(list)).map(|item| item.into_owned()))
                .collect();
            let found =
                found.filter(|found| json::kind(list) == json::Kind::Array && found.len() <= MAX_FOLLOWED);
            found.ok_or_else(|| {
                invalid(&format!("`notifications.{name}` must be at most {MAX_FOLLOWED} {what}"))
            })
        };
        filter.uris = strings("resourceSubscriptions", "URIs")?;
        filter.tasks = strings("taskIds", "ids of tasks")?;
        Ok(filter)
    }

    pub(super) fn wants(&self, kind: ListKind) -> bool {
        match kind {
            ListKind::Tools => self.tools,
            ListKind::Prompts => self.prompts,
            ListKind::Resources | ListKind::Templates => self.resources,
        }
    }

    pub(super) fn to_json(&self) -> String {
        let mut members = Vec::new();
        for (name, wanted) in [
            ("toolsListChanged", self.tools),
            ("promptsListChanged", self.prompts),
            ("resourcesListChanged", self.resources),
        ] {
            if wanted {
                members.push(format!("\"{name}\":true"));
            }
        }
        for (name, followed) in [("resourceSubscriptions", &self.uris), ("taskIds", &self.tasks)] {
            let quote = |text: &String| String::from_utf8_lossy(&json::quote(text)).into_owned();
            if !followed.is_empty() {
                let followed: Vec<String> = followed.iter().map(quote).collect();
                members.push(format!("\"{name}\":[{}]", followed.join(",")));
            }
        }
        format!("{{{}}}", members.join(","))
    }
}
