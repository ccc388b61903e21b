//! A call in the words of the server's revision.
//!
//! Between a client and a server of one legacy revision nothing is translated, and the call is not even looked at beyond
//! its `_meta`: that is the way that has to be quick.

use ahash::HashMap;
use bytes::Bytes;
use memchr::memmem;

use crate::backend::compose::{self, Digits};
use crate::bridge::tasks::Support;
use crate::bridge::{capabilities, meta, request, tasks};
use crate::call::{Call, CallerId, TokenPlace};
use crate::protocol::meta::PREFIX;
use crate::protocol::{Method, Revision, Tasks};
use crate::wire::Span;
use crate::wire::outbox::render;

/// How calls are put to one run of a server.
pub(super) struct Words {
    /// The server's revision.
    pub(super) to: &'static Revision,
    /// Who called last, and in which revision: nearly always the same again.
    last: Option<(CallerId, &'static Revision)>,
    /// The tools that can be called as tasks, by their own names: as the server lists them (2025-11-25), or as it has said
    /// when they were called (SEP-2663). Nearly always empty.
    as_tasks: HashMap<String, Support>,
}

impl Words {
    pub(super) fn new(to: &'static Revision) -> Self {
        Self { to, last: None, as_tasks: HashMap::default() }
    }

    /// The revision of the caller.
    #[inline]
    pub(super) fn from(&mut self, call: &Call) -> &'static Revision {
        let id = call.caller.id();
        match self.last {
            Some((last, revision)) if last == id => revision,
            _ => {
                let revision = call.caller.introduction().revision;
                self.last = Some((id, revision));
                revision
            }
        }
    }

    /// The parameters of a call that has to be put in other words than it came in; `None` for almost every call between
    /// legacy revisions.
    #[inline]
    pub(super) fn params(&mut self, call: &Call, id: u64) -> Option<Bytes> {
        let from = self.from(call);
        if !self.as_tasks.is_empty()
            && let Some(params) = self.as_task(call, from, id)
        {
            return Some(params);
        }
        if self.to.is_modern() {
            return Some(self.modern(call, from, id, false));
        }
        let given = call.params?;
        let speaks_of_its_hop =
            call.meta.is_some_and(|span| memmem::find(span.of(&call.line), PREFIX.as_bytes()).is_some());
        let differs = from != self.to && differs(call.method, given.of(&call.line), from);
        (speaks_of_its_hop || differs).then(|| self.legacy(call, given, from, id))
    }

    fn legacy(&self, call: &Call, given: Span, from: &'static Revision, id: u64) -> Bytes {
        let digits = Digits::of(id);
        let text = render(|line| compose::edited_params(line, call, given, digits.as_bytes()));
        let text = request::params(call.method, &text, from, self.to).unwrap_or_else(|| text.into());
        meta::strip_in(&text).unwrap_or(text)
    }

    /// What is called, in the words of the server, without what we say of ourselves.
    pub(super) fn plain(&self, call: &Call, from: &'static Revision) -> Option<Bytes> {
        let given = call.params?;
        // The token is ours to set, and goes in with the rest of what we say.
        let text = render(|line| compose::edited(line, call, given, None));
        Some(request::params(call.method, &text, from, self.to).unwrap_or_else(|| text.into()))
    }

    /// Notes which tools can be called as tasks.
    pub(super) fn learn_tasks(&mut self, tools: HashMap<String, Support>) {
        self.as_tasks = tools;
    }

    /// Notes that this tool can be called as a task alone.
    pub(super) fn learn_task(&mut self, tool: &str) {
        self.as_tasks.insert(tool.to_owned(), Support::Required);
    }

    /// Whether we make a task of this call, and look after it: the client does not know how, or has left it to us.
    pub(super) fn makes_task(&mut self, call: &Call) -> bool {
        if self.as_tasks.is_empty() || call.method != Method::ToolsCall {
            return false;
        }
        let from = self.from(call);
        let makes = match self.as_tasks.get(call.label.as_str()) {
            Some(Support::Required) => true,
            Some(Support::Optional) => call.caller.is_patient(),
            Some(Support::Forbidden) | None => false,
        };
        makes && !self.is_task_of_client(call, from)
    }

    fn is_task_of_client(&self, call: &Call, from: &'static Revision) -> bool {
        match self.to.tasks {
            Tasks::Extension => capabilities::takes_tasks(&call.caller.introduction().capabilities),
            Tasks::Core => {
                from.tasks == Tasks::Core
                    && call.params.is_some_and(|params| tasks::asks_for_task(params.of(&call.line)))
            }
            Tasks::None => false,
        }
    }

    fn as_task(&mut self, call: &Call, from: &'static Revision, id: u64) -> Option<Bytes> {
        if !self.makes_task(call) {
            return None;
        }
        Some(match self.to.tasks {
            Tasks::Extension => self.modern(call, from, id, true),
            Tasks::Core | Tasks::None => {
                tasks::ask_for_task(&self.legacy(call, call.params?, from, id), None)
            }
        })
    }

    /// Every request to a modern server says who we are and what the caller of this very call can do.
    fn modern(&self, call: &Call, from: &'static Revision, id: u64, as_task: bool) -> Bytes {
        let introduction = call.caller.introduction();
        let tasks =
            as_task || call.caller.is_patient() || capabilities::takes_tasks(&introduction.capabilities);
        let told = capabilities::for_server(&introduction.capabilities, from, self.to, tasks);
        let digits = Digits::of(id);
        let own = meta::Own {
            revision: self.to,
            capabilities: &told,
            log_level: call.caller.level(),
            progress_token: (call.token != TokenPlace::None).then(|| digits.as_bytes()),
        };
        own.params(self.plain(call, from).as_deref())
    }
}

/// Whether a call may mean something else in another revision. What it names must at least be in its text.
fn differs(method: Method, params: &[u8], from: &Revision) -> bool {
    from.is_modern()
        || match method {
            Method::ToolsCall => memmem::find(params, b"\"task\"").is_some(),
            Method::Complete => memmem::find(params, b"\"context\"").is_some(),
            _ => false,
        }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::call::{Ask, AskKey, Caller, Introduction, NotAsked, Notice, Progress, Reply, Ticket};
    use crate::failure::Failure;
    use crate::names::ServerName;
    use crate::protocol::Level;
    use crate::wire::json;

    /// A caller that only says who it is.
    #[derive(Debug)]
    pub(crate) struct Somebody {
        id: CallerId,
        introduction: Introduction,
        level: Option<Level>,
    }

    impl Somebody {
        pub(crate) fn of(revision: &str, capabilities: &str) -> Arc<Self> {
            let capabilities = Bytes::copy_from_slice(capabilities.as_bytes());
            let revision = Revision::find(revision).unwrap();
            let level = revision.is_modern().then_some(Level::Warning);
            Arc::new(Self {
                id: CallerId::fresh(),
                introduction: Introduction { revision, capabilities },
                level,
            })
        }
    }

    impl Caller for Somebody {
        fn id(&self) -> CallerId {
            self.id
        }
        fn introduction(&self) -> Introduction {
            self.introduction.clone()
        }
        fn level(&self) -> Option<Level> {
            self.level
        }
        fn reply(&self, _: Ticket, _: Reply<'_>) {}
        fn fail(&self, _: Ticket, _: Failure) {}
        fn progress(&self, _: Ticket, _: Progress<'_>) {}
        fn log(&self, _: Ticket, _: &ServerName, _: Notice<'_>) {}
        fn ask(&self, _: Ticket, _: Ask<'_>) -> Result<(), NotAsked> {
            Err(NotAsked::Unsupported(String::new()))
        }
        fn withdraw(&self, _: &AskKey, _: &str) {}
    }

    /// A call with these parameters of the tool that they name, which is called `t` at the server.
    pub(crate) fn call(caller: Arc<dyn Caller>, method: Method, params: &str) -> Call {
        let line = Bytes::copy_from_slice(params.as_bytes());
        let meta = json::get(&line, "_meta");
        let token = json::get_path(&line, &["_meta", "progressToken"]);
        Call {
            ticket: Ticket(0),
            caller,
            method,
            label: "t".into(),
            params: Some(Span { start: 0, end: line.len() }),
            target: json::get(&line, "name").map(|span| (span, Bytes::from_static(b"\"t\""))),
            meta,
            token: token.map_or(TokenPlace::None, TokenPlace::Client),
            line,
        }
    }

    fn put(from: &str, to: &str, method: Method, params: &str) -> Option<String> {
        let capabilities =
            if from == "2026-07-28" { r#"{"elicitation":{"url":{}}}"# } else { r#"{"sampling":{}}"# };
        let call = call(Somebody::of(from, capabilities), method, params);
        let params = Words::new(Revision::find(to).unwrap()).params(&call, 7)?;
        Some(String::from_utf8(params.to_vec()).unwrap())
    }

    #[test]
    fn legacy_calls_pass_untouched() {
        for (from, to) in
            [("2025-11-25", "2025-11-25"), ("2024-11-05", "2025-11-25"), ("2025-11-25", "2025-03-26")]
        {
            for params in [r#"{"name":"a__t"}"#, r#"{"name":"a__t","_meta":{"progressToken":1,"v/x":2}}"#] {
                assert_eq!(put(from, to, Method::ToolsCall, params), None, "{from} to {to}: {params}");
            }
        }
    }

    #[test]
    fn what_belongs_to_one_hop_stays_there() {
        let params = r#"{"name":"a__t","_meta":{"progressToken":"x","io.modelcontextprotocol/logLevel":"debug","traceparent":"00"}}"#;
        let put = put("2025-11-25", "2025-11-25", Method::ToolsCall, params).unwrap();
        assert_eq!(put, r#"{"name":"t","_meta":{"progressToken":7,"traceparent":"00"}}"#);
    }

    #[test]
    fn an_older_server_is_not_asked_for_what_it_does_not_know() {
        let context = r#"{"ref":{},"argument":{},"context":{"arguments":{}}}"#;
        assert_eq!(
            put("2025-11-25", "2025-03-26", Method::Complete, context).as_deref(),
            Some(r#"{"ref":{},"argument":{}}"#)
        );
        let task = r#"{"name":"a__t","task":{"ttl":5}}"#;
        assert_eq!(
            put("2025-11-25", "2025-06-18", Method::ToolsCall, task).as_deref(),
            Some(r#"{"name":"t"}"#)
        );
        assert_eq!(put("2025-11-25", "2025-11-25", Method::ToolsCall, task), None);
    }

    #[test]
    fn a_modern_server_is_told_who_asks_and_what_he_can_do() {
        let params = r#"{"name":"a__t","arguments":{"n":1.0},"_meta":{"progressToken":"x","v/a":1}}"#;
        let put = put("2025-11-25", "2026-07-28", Method::ToolsCall, params).unwrap();
        assert!(put.starts_with(r#"{"name":"t","arguments":{"n":1.0},"_meta":{"#), "{put}");
        for part in [
            r#""progressToken":7"#,
            r#""v/a":1"#,
            r#""io.modelcontextprotocol/protocolVersion":"2026-07-28""#,
            r#""io.modelcontextprotocol/clientCapabilities":{"sampling":{}}"#,
            r#""io.modelcontextprotocol/clientInfo":{"name":"switchboard""#,
        ] {
            assert!(put.contains(part), "{part}: {put}");
        }
        assert!(!put.contains("logLevel"), "{put}");
    }

    #[test]
    fn a_retry_reaches_a_modern_server_whole_and_a_legacy_one_not_at_all() {
        let params = r#"{"name":"a__t","inputResponses":{"a":{}},"requestState":"s","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}"#;
        let modern = put("2026-07-28", "2026-07-28", Method::ToolsCall, params).unwrap();
        assert!(modern.contains(r#""inputResponses":{"a":{}},"requestState":"s""#), "{modern}");
        assert!(modern.contains(r#""io.modelcontextprotocol/logLevel":"warning""#), "{modern}");
        assert!(modern.contains(r#"{"elicitation":{"url":{}}}"#), "{modern}");
        let legacy = put("2026-07-28", "2025-11-25", Method::ToolsCall, params).unwrap();
        assert_eq!(legacy, r#"{"name":"t"}"#);
    }
}
