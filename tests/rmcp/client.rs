//! The SDK as a client, before servers of every era.

use rmcp::ServiceError;
use rmcp::model::{
    GetPromptRequestParams, LoggingLevel, ReadResourceRequestParams, ServerNotification,
    SetLevelRequestParams, SubscribeRequestParams, SubscriptionFilter, UnsubscribeRequestParams,
};
use serde_json::json;

use super::board::Setup;
use super::guest::{Guest, Heard, Mode, within};
use super::peer::{MODERN, REVISIONS, speaking};

/// Every way in which the SDK begins.
const MODES: [Mode; 7] = [
    Mode::Initialize("2024-11-05"),
    Mode::Initialize("2025-03-26"),
    Mode::Initialize("2025-06-18"),
    Mode::Initialize("2025-11-25"),
    Mode::Initialize(MODERN),
    Mode::Discover,
    Mode::Auto,
];

/// The servers behind: one per revision that differs to a client.
const SERVERS: [&str; 3] = ["2024-11-05", "2025-11-25", MODERN];

fn scheme(revision: &str) -> String {
    format!("s{}", revision.replace('-', ""))
}

/// Two servers for each revision: `v…` with everything but questions, `q…` with questions.
fn setup() -> Setup {
    SERVERS.iter().fold(Setup::new(), |setup, revision| {
        let script = |fixture: &str| {
            let script = speaking(revision, fixture);
            let scheme = scheme(revision);
            script.replace("note://", &format!("{scheme}://")).replace("ask://", &format!("{scheme}://"))
        };
        setup
            .script(&format!("v{revision}"), &script("matrix"))
            .script(&format!("q{revision}"), &script("matrix-asks"))
    })
}

/// One client and one of the servers.
struct Cell<'a> {
    guest: &'a mut Guest,
    server: &'static str,
}

impl Cell<'_> {
    fn name(&self, original: &str) -> String {
        format!("v{}__{original}", self.server)
    }

    fn uri(&self, rest: &str) -> String {
        format!("{}://{rest}", scheme(self.server))
    }

    fn both_since(&self, revision: &str) -> bool {
        self.guest.mode.revision() >= revision && self.server >= revision
    }

    async fn calls(&self) {
        assert_eq!(self.guest.text(&self.name("echo"), json!({ "input": "hi" })).await, "hi");
        let failed = self.guest.call(&self.name("fails"), json!({})).await;
        assert_eq!(
            (&failed["isError"], &failed["content"][0]["text"]),
            (&json!(true), &json!("It did not work."))
        );
        match self.guest.try_call(&self.name("broken"), json!({})).await {
            Err(ServiceError::McpError(error)) => {
                assert_eq!((error.code.0, &*error.message), (-32602, "No such thing"));
            }
            other => panic!("{:?}: {other:?}", self.guest.mode),
        }
        if self.both_since("2025-06-18") {
            let structured = self.guest.call(&self.name("object"), json!({})).await;
            assert_eq!(structured["structuredContent"]["a"].to_string().parse(), Ok(1.1), "{structured}");
        }
    }

    async fn prompts_and_resources(&self) {
        let service = &self.guest.service;
        let prompts = service.list_all_prompts().await.unwrap();
        assert!(prompts.iter().any(|prompt| prompt.name == self.name("greet")), "{prompts:?}");
        let greet = GetPromptRequestParams::new(self.name("greet"))
            .with_arguments(serde_json::from_value(json!({ "who": "Ada" })).unwrap());
        let prompt = within("a prompt", service.get_prompt(greet)).await.unwrap();
        assert_eq!(serde_json::to_value(prompt).unwrap()["messages"][0]["content"]["text"], "Greet Ada.");

        let resources = service.list_all_resources().await.unwrap();
        let uri = self.uri("one");
        assert!(resources.iter().any(|resource| resource.uri == uri), "{uri} in {resources:?}");
        let templates = service.list_all_resource_templates().await.unwrap();
        assert!(templates.iter().any(|template| template.uri_template == self.uri("by/{author}")));
        let read = within("a resource", service.read_resource(ReadResourceRequestParams::new(uri))).await;
        assert_eq!(serde_json::to_value(read.unwrap()).unwrap()["contents"][0]["text"], "first");
        let gone = ReadResourceRequestParams::new(self.uri("gone"));
        match within("an error", service.read_resource(gone)).await {
            Err(ServiceError::McpError(error)) => {
                let code = if self.guest.mode.is_modern() { -32602 } else { -32002 };
                assert_eq!(error.code.0, code, "{:?}: {error:?}", self.guest.mode);
            }
            other => panic!("{:?}: {other:?}", self.guest.mode),
        }

        let names = within("names", service.complete_prompt_simple(self.name("greet"), "who", "A")).await;
        assert_eq!(names.unwrap(), ["Ada", "Alan"]);
        let authors = service.complete_resource_simple(self.uri("by/{author}"), "author", "G");
        assert_eq!(within("authors", authors).await.unwrap(), ["Grace"]);
    }

    /// The SDK asks for progress in every request.
    async fn progress(&mut self) {
        self.guest.forget();
        assert_eq!(self.guest.text(&self.name("steps"), json!({})).await, "done");
        let mut steps = Vec::new();
        for _ in 0..3 {
            let step = |heard| match heard {
                Heard::Progress(step) => Some((step.progress, step.total)),
                _ => None,
            };
            steps.push(self.guest.hear("a step", step).await);
        }
        steps.sort_by(|one, other| one.0.total_cmp(&other.0));
        assert_eq!(steps, [1.0, 2.0, 3.0].map(|step| (step, Some(3.0))), "{:?}", self.guest.mode);
    }

    /// A modern client would say in each request what it wants to hear, which the SDK's calls leave no room for.
    async fn logs(&mut self) {
        if self.guest.mode.is_modern() {
            self.guest.forget();
            self.guest.text(&self.name("talk"), json!({})).await;
            return;
        }
        let level = SetLevelRequestParams::new(LoggingLevel::Warning);
        within("a level", self.guest.service.set_level(level)).await.unwrap();
        self.guest.forget();
        assert_eq!(self.guest.text(&self.name("talk"), json!({})).await, "talked");
        let mut levels = Vec::new();
        for _ in 0..2 {
            let log = |heard| match heard {
                Heard::Log(log) => Some(format!("{:?} {}", log.level, log.data)),
                _ => None,
            };
            levels.push(self.guest.hear("a log", log).await);
        }
        levels.sort();
        assert_eq!(levels, ["Error \"no logger\"", "Warning {\"mind\":\"the gap\"}"]);
    }

    async fn questions(&self) {
        let ask = |tool| format!("q{}__{tool}", self.server);
        if self.server >= "2025-06-18" {
            let answer = self.guest.try_call(&ask("plain"), json!({})).await;
            if self.guest.mode.revision() >= "2025-06-18" {
                let answer = serde_json::to_value(answer.unwrap()).unwrap();
                let told = answer["content"][0]["text"].as_str().unwrap();
                assert!(told.contains(r#""action":"accept""#) && told.contains("Ada"), "{told}");
            } else {
                let told = format!("{answer:?}");
                assert!(told.contains("elicitation"), "{:?}: {told}", self.guest.mode);
            }
        }
        let told = self.guest.text(&ask("sample"), json!({})).await;
        assert!(told.contains(r#""text":"It.""#) && told.contains(r#""model":"model""#), "{told}");
        assert!(self.guest.text(&ask("roots"), json!({})).await.contains("file:///work"));
        assert!(self.guest.text(&ask("rounds"), json!({})).await.contains("file:///work"));
        let read = ReadResourceRequestParams::new(self.uri("roots"));
        let read = within("a resource that asks", self.guest.service.read_resource(read)).await.unwrap();
        assert!(format!("{read:?}").contains("file:///work"), "{read:?}");
    }

    /// Whoever follows a resource is told so before a modern server has been.
    async fn is_followed(&self) {
        let text = if self.server == MODERN { "resourceSubscriptions" } else { "resources/subscribe" };
        self.guest.server_hears(&format!("v{}", self.server), text).await;
    }

    async fn subscriptions(&mut self) {
        let (uri, touch) = (self.uri("one"), self.name("touch"));
        let (hide, show) = (self.name("hide"), self.name("show"));
        if self.guest.mode.is_modern() {
            let filter =
                SubscriptionFilter::builder().tools_list_changed().resource_subscription(uri.clone()).build();
            let mut news = within("a stream", self.guest.service.listen(filter.clone())).await.unwrap();
            assert_eq!(news.acknowledged(), &filter);
            self.is_followed().await;
            self.guest.text(&touch, json!({})).await;
            loop {
                match within("an update", news.next()).await.unwrap() {
                    Some(ServerNotification::ResourceUpdatedNotification(updated)) => {
                        assert_eq!(updated.params.uri, uri);
                        break;
                    }
                    Some(ServerNotification::ToolListChangedNotification(_)) => {}
                    other => panic!("{other:?}"),
                }
            }
            self.guest.text(&hide, json!({})).await;
            let changed = within("a change", news.next()).await.unwrap();
            assert!(
                matches!(changed, Some(ServerNotification::ToolListChangedNotification(_))),
                "{changed:?}"
            );
            self.guest.tools_until(&touch, false).await;
            self.guest.text(&show, json!({})).await;
            let changed = within("a change", news.next()).await.unwrap();
            assert!(
                matches!(changed, Some(ServerNotification::ToolListChangedNotification(_))),
                "{changed:?}"
            );
            within("the end", news.cancel()).await.unwrap();
        } else {
            let service = &self.guest.service;
            within("a subscription", service.subscribe(SubscribeRequestParams::new(uri.clone())))
                .await
                .unwrap();
            self.is_followed().await;
            self.guest.forget();
            self.guest.text(&touch, json!({})).await;
            let updated = |heard| match heard {
                Heard::Updated(uri) => Some(uri),
                _ => None,
            };
            assert_eq!(self.guest.hear("an update", updated).await, uri);
            let service = &self.guest.service;
            within("its end", service.unsubscribe(UnsubscribeRequestParams::new(uri))).await.unwrap();
            let changed = |heard| matches!(heard, Heard::ToolsChanged).then_some(());
            self.guest.forget();
            self.guest.text(&hide, json!({})).await;
            self.guest.hear("a change", changed).await;
            self.guest.tools_until(&touch, false).await;
            self.guest.text(&show, json!({})).await;
            self.guest.hear("a change", changed).await;
        }
        self.guest.tools_until(&self.name("mirror"), true).await;
    }

    async fn cancellation(&mut self) {
        self.guest.forget();
        let call = self.guest.begin(&self.name("wait")).await;
        let waiting = |heard| matches!(heard, Heard::Progress(_)).then_some(());
        self.guest.hear("progress", waiting).await;
        within("a cancellation", call.cancel(Some("enough".to_owned()))).await.unwrap();
        self.guest.server_hears(&format!("v{}", self.server), "notifications/cancelled").await;
        assert_eq!(self.guest.text(&self.name("echo"), json!({ "input": "on" })).await, "on");
    }
}

/// A whole visit in every mode.
async fn visit(http: bool, mode: Mode) {
    let mut guest = Guest::arrive(mode, http, setup()).await;
    let info = guest.service.peer_info().expect("an introduction");
    assert_eq!(info.protocol_version.as_str(), mode.revision(), "{mode:?}");
    for server in SERVERS {
        guest.tools_until(&format!("v{server}__echo"), true).await;
        guest.tools_until(&format!("q{server}__login"), true).await;
    }
    for server in SERVERS {
        let mut cell = Cell { guest: &mut guest, server };
        cell.calls().await;
        cell.prompts_and_resources().await;
        cell.progress().await;
        cell.logs().await;
        cell.questions().await;
        cell.cancellation().await;
        cell.subscriptions().await;
    }
    guest.leave().await;
}

/// Runs a visit in every mode, all at once, and tells of all that fail.
async fn every_mode(http: bool) {
    assert!(SERVERS.iter().all(|server| REVISIONS.contains(server)));
    let visits = MODES.map(|mode| (mode, tokio::spawn(visit(http, mode))));
    let mut failures = Vec::new();
    for (mode, visit) in visits {
        if let Err(error) = visit.await {
            let panic = error.into_panic();
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            failures.push(format!("{mode:?}: {}", text.unwrap_or_default()));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[tokio::test]
async fn the_sdk_s_client_over_stdio() {
    every_mode(false).await;
}

#[tokio::test]
async fn the_sdk_s_client_over_http() {
    every_mode(true).await;
}
