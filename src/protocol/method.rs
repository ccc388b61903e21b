//! The methods a client may send us, as data.

use crate::protocol::Era;

/// A request method, from client to server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// `initialize`
    Initialize,
    /// `ping`
    Ping,
    /// One of the four lists.
    List(ListKind),
    /// `tools/call`
    ToolsCall,
    /// `prompts/get`
    PromptsGet,
    /// `resources/read`
    ResourcesRead,
    /// `resources/subscribe`
    Subscribe,
    /// `resources/unsubscribe`
    Unsubscribe,
    /// `completion/complete`
    Complete,
    /// `logging/setLevel`
    SetLevel,
    /// `server/discover`
    Discover,
    /// `subscriptions/listen`
    Listen,
    /// One of the methods about a task.
    Task(TaskMethod),
}

/// What is asked of a task: experimental in 2025-11-25, an extension since (SEP-2663).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TaskMethod {
    /// `tasks/get`
    Get,
    /// `tasks/result`, only in 2025-11-25
    Result,
    /// `tasks/cancel`
    Cancel,
    /// `tasks/list`, only in 2025-11-25
    List,
    /// `tasks/update`, only in the extension
    Update,
}

/// What a list lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ListKind {
    /// `tools/list`
    Tools,
    /// `prompts/list`
    Prompts,
    /// `resources/list`
    Resources,
    /// `resources/templates/list`
    Templates,
}

const METHODS: [(&str, Method); 20] = [
    ("tools/call", Method::ToolsCall),
    ("tools/list", Method::List(ListKind::Tools)),
    ("resources/read", Method::ResourcesRead),
    ("prompts/get", Method::PromptsGet),
    ("prompts/list", Method::List(ListKind::Prompts)),
    ("resources/list", Method::List(ListKind::Resources)),
    ("resources/templates/list", Method::List(ListKind::Templates)),
    ("completion/complete", Method::Complete),
    ("resources/subscribe", Method::Subscribe),
    ("resources/unsubscribe", Method::Unsubscribe),
    ("logging/setLevel", Method::SetLevel),
    ("initialize", Method::Initialize),
    ("ping", Method::Ping),
    ("server/discover", Method::Discover),
    ("subscriptions/listen", Method::Listen),
    ("tasks/get", Method::Task(TaskMethod::Get)),
    ("tasks/result", Method::Task(TaskMethod::Result)),
    ("tasks/cancel", Method::Task(TaskMethod::Cancel)),
    ("tasks/list", Method::Task(TaskMethod::List)),
    ("tasks/update", Method::Task(TaskMethod::Update)),
];

impl Method {
    /// The method of this name, if it is one of ours.
    pub fn parse(name: &str) -> Option<Method> {
        METHODS.iter().find(|(known, _)| *known == name).map(|(_, method)| *method)
    }

    /// Whether revisions of this era have the method.
    pub fn is_of(self, era: Era) -> bool {
        match self {
            Method::Discover | Method::Listen | Method::Task(TaskMethod::Update) => era == Era::Modern,
            Method::Initialize
            | Method::Ping
            | Method::Subscribe
            | Method::Unsubscribe
            | Method::SetLevel
            | Method::Task(TaskMethod::Result | TaskMethod::List) => era == Era::Legacy,
            Method::List(_)
            | Method::ToolsCall
            | Method::PromptsGet
            | Method::ResourcesRead
            | Method::Complete
            | Method::Task(TaskMethod::Get | TaskMethod::Cancel) => true,
        }
    }

    /// The method's name on the wire.
    pub fn name(self) -> &'static str {
        METHODS.iter().find(|(_, method)| *method == self).map_or("", |(name, _)| name)
    }
}

impl ListKind {
    /// All four, in the order in which we ask a server for them.
    pub const ALL: [ListKind; 4] =
        [ListKind::Tools, ListKind::Prompts, ListKind::Resources, ListKind::Templates];

    /// The member of the list's result that holds the items.
    pub fn key(self) -> &'static str {
        match self {
            ListKind::Tools => "tools",
            ListKind::Prompts => "prompts",
            ListKind::Resources => "resources",
            ListKind::Templates => "resourceTemplates",
        }
    }

    /// The member of an item that tells it from its siblings.
    pub fn id_key(self) -> &'static str {
        match self {
            ListKind::Tools | ListKind::Prompts => "name",
            ListKind::Resources => "uri",
            ListKind::Templates => "uriTemplate",
        }
    }

    /// What one item is called in texts.
    pub fn noun(self) -> &'static str {
        match self {
            ListKind::Tools => "tool",
            ListKind::Prompts => "prompt",
            ListKind::Resources => "resource",
            ListKind::Templates => "resource template",
        }
    }

    /// The notification that says the list has changed; templates share that of resources.
    pub fn changed_notification(self) -> &'static str {
        match self {
            ListKind::Tools => "notifications/tools/list_changed",
            ListKind::Prompts => "notifications/prompts/list_changed",
            ListKind::Resources | ListKind::Templates => "notifications/resources/list_changed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_again() {
        for (name, method) in METHODS {
            assert_eq!(Method::parse(name), Some(method));
            assert_eq!(method.name(), name);
        }
        assert_eq!(Method::parse("tools/List"), None);
    }
}
