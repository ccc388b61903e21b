//! A client on the Rust SDK, as its users write one: it answers every question and keeps what it hears.

use std::time::Duration;

use rmcp::model::{
    CallToolRequest, CallToolRequestParams, CallToolResult, ClientCapabilities, ClientConfig, ClientRequest,
    CreateMessageRequestParams, CreateMessageResult, ElicitRequestParams, ElicitResult, ElicitationAction,
    Implementation, ListRootsResult, LoggingMessageNotificationParam, ProgressNotificationParam,
    ProtocolVersion, ResourceUpdatedNotificationParam, Root, SamplingMessage,
};
use rmcp::service::{
    ClientServiceExt as _, NotificationContext, PeerRequestOptions, RequestContext, RequestHandle,
    RunningService,
};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{ClientHandler, ClientLifecycleMode, ErrorData, RoleClient, ServiceError};
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

use crate::board::{DEADLINE, Setup};
use crate::peer::{House, MODERN};

/// How a client begins.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mode {
    /// With `initialize` in these words. The SDK's own default names the newest revision, which knows no `initialize`.
    Initialize(&'static str),
    /// With `server/discover`.
    Discover,
    /// With `server/discover` first.
    Auto,
}

impl Mode {
    /// The revision that is spoken in the end.
    pub(crate) fn revision(self) -> &'static str {
        match self {
            Self::Initialize(MODERN) => "2025-11-25",
            Self::Initialize(revision) => revision,
            Self::Discover | Self::Auto => MODERN,
        }
    }

    pub(crate) fn is_modern(self) -> bool {
        self.revision() == MODERN
    }

    fn lifecycle(self) -> ClientLifecycleMode {
        let preferred_versions = vec![ProtocolVersion::V_2026_07_28];
        match self {
            Self::Initialize(_) => ClientLifecycleMode::Initialize,
            Self::Discover => ClientLifecycleMode::Discover { preferred_versions },
            Self::Auto => ClientLifecycleMode::Auto { preferred_versions, legacy_version: None },
        }
    }
}

/// What a client hears outside of answers. The SDK hands each notification to a task of its own, so that neither their order nor
/// their place before the answer is left: tests wait for what must come and sort it.
#[derive(Clone, Debug)]
pub(crate) enum Heard {
    Progress(ProgressNotificationParam),
    Log(LoggingMessageNotificationParam),
    Updated(String),
    ToolsChanged,
}

pub(crate) struct Ears {
    config: ClientConfig,
    heard: mpsc::UnboundedSender<Heard>,
}

impl Ears {
    fn tell(&self, what: Heard) {
        let _ = self.heard.send(what);
    }
}

impl ClientHandler for Ears {
    fn get_info(&self) -> ClientConfig {
        self.config.clone()
    }

    async fn create_elicitation(
        &self,
        request: ElicitRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        let ElicitRequestParams::FormElicitationParams { message, .. } = request else {
            return Err(ErrorData::invalid_params("no form", None));
        };
        assert!(message.contains("Who?"), "{message}");
        Ok(ElicitResult::new(ElicitationAction::Accept).with_content(json!({ "name": "Ada" })))
    }

    async fn create_message(
        &self,
        request: CreateMessageRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<CreateMessageResult, ErrorData> {
        assert_eq!((request.max_tokens, request.system_prompt.as_deref()), (10, Some("Be brief.")));
        Ok(CreateMessageResult::new(SamplingMessage::assistant_text("It."), "model".to_owned()))
    }

    async fn list_roots(&self, _: RequestContext<RoleClient>) -> Result<ListRootsResult, ErrorData> {
        Ok(ListRootsResult::new(vec![Root::new("file:///work")]))
    }

    async fn on_progress(&self, params: ProgressNotificationParam, _: NotificationContext<RoleClient>) {
        self.tell(Heard::Progress(params));
    }

    async fn on_logging_message(
        &self,
        params: LoggingMessageNotificationParam,
        _: NotificationContext<RoleClient>,
    ) {
        self.tell(Heard::Log(params));
    }

    async fn on_resource_updated(
        &self,
        params: ResourceUpdatedNotificationParam,
        _: NotificationContext<RoleClient>,
    ) {
        self.tell(Heard::Updated(params.uri));
    }

    async fn on_tool_list_changed(&self, _: NotificationContext<RoleClient>) {
        self.tell(Heard::ToolsChanged);
    }
}

/// A connected client and the Switchboard before it.
pub(crate) struct Guest {
    pub(crate) mode: Mode,
    pub(crate) service: RunningService<RoleClient, Ears>,
    heard: mpsc::UnboundedReceiver<Heard>,
    board: Board,
}

enum Board {
    Stdio(Setup, Child),
    Http(House),
}

/// Waits for what must come in time.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let come = tokio::time::timeout(DEADLINE, future).await;
    come.unwrap_or_else(|_| panic!("{what} did not come in time"))
}

impl Guest {
    /// Starts a Switchboard and connects.
    pub(crate) async fn arrive(mode: Mode, http: bool, setup: Setup) -> Self {
        let capabilities: ClientCapabilities =
            serde_json::from_value(json!({ "roots": {}, "sampling": {}, "elicitation": { "form": {} } }))
                .unwrap();
        let mut config = ClientConfig::new(capabilities, Implementation::new("claude-ai", "1"));
        if let Mode::Initialize(revision) = mode {
            config.protocol_version = serde_json::from_value(json!(revision)).unwrap();
        }
        let (sender, heard) = mpsc::unbounded_channel();
        let ears = Ears { config, heard: sender };
        let (service, board) = if http {
            let house = House::http(setup);
            // Another test may have chosen it already.
            let _ = rustls::crypto::ring::default_provider().install_default();
            let config =
                StreamableHttpClientTransportConfig::with_uri(format!("http://{}/mcp", house.address()));
            let client = reqwest::Client::builder().no_proxy().build().unwrap();
            let transport = StreamableHttpClientTransport::with_client(client, config);
            let service = within("a handshake", ears.serve_with_lifecycle(transport, mode.lifecycle())).await;
            (service, Board::Http(house))
        } else {
            let mut command = Command::from(setup.command());
            let piped = std::process::Stdio::piped;
            let mut child =
                command.stdin(piped()).stdout(piped()).stderr(piped()).kill_on_drop(true).spawn().unwrap();
            let pipes = (child.stdout.take().unwrap(), child.stdin.take().unwrap());
            let service = within("a handshake", ears.serve_with_lifecycle(pipes, mode.lifecycle())).await;
            (service, Board::Stdio(setup, child))
        };
        let service = service.unwrap_or_else(|error| panic!("{mode:?}, HTTP {http}: {error}"));
        Self { mode, service, heard, board }
    }

    fn setup(&self) -> &Setup {
        match &self.board {
            Board::Stdio(setup, _) => setup,
            Board::Http(house) => &house.setup,
        }
    }

    /// Waits until a server has received a line with this text.
    pub(crate) async fn server_hears(&self, server: &str, text: &str) {
        let hears = async {
            while !self.setup().received(server).iter().any(|line| line.contains(text)) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        within(text, hears).await;
    }

    /// Calls a tool; what the server asks is answered on the way.
    pub(crate) async fn try_call(
        &self,
        tool: &str,
        arguments: Value,
    ) -> Result<CallToolResult, ServiceError> {
        within(tool, self.service.call_tool(params(tool, arguments))).await
    }

    /// The same, which must go well; as JSON.
    pub(crate) async fn call(&self, tool: &str, arguments: Value) -> Value {
        let answer = self.try_call(tool, arguments).await;
        let answer = answer.unwrap_or_else(|error| panic!("{:?}, {tool}: {error}", self.mode));
        serde_json::to_value(answer).unwrap()
    }

    /// The first text of what a tool answers.
    pub(crate) async fn text(&self, tool: &str, arguments: Value) -> String {
        let answer = self.call(tool, arguments).await;
        answer["content"][0]["text"].as_str().unwrap_or_else(|| panic!("no text: {answer}")).to_owned()
    }

    /// Calls a tool and does not wait.
    pub(crate) async fn begin(&self, tool: &str) -> RequestHandle<RoleClient> {
        let call = CallToolRequest::new(params(tool, json!({})));
        let call = ClientRequest::CallToolRequest(call);
        within(tool, self.service.send_cancellable_request(call, PeerRequestOptions::no_options()))
            .await
            .unwrap()
    }

    /// Waits for something to be heard, passing over the rest.
    pub(crate) async fn hear<T>(&mut self, what: &str, fits: impl Fn(Heard) -> Option<T>) -> T {
        let hears = async {
            loop {
                let heard = self.heard.recv().await.expect("a connection");
                if let Some(found) = fits(heard) {
                    return found;
                }
            }
        };
        within(what, hears).await
    }

    /// Forgets what was heard so far.
    pub(crate) fn forget(&mut self) {
        while self.heard.try_recv().is_ok() {}
    }

    /// Lists tools until one is there, or is not.
    pub(crate) async fn tools_until(&self, tool: &str, is_there: bool) -> Vec<rmcp::model::Tool> {
        let lists = async {
            loop {
                let tools = self.service.list_all_tools().await.unwrap();
                if tools.iter().any(|found| found.name == tool) == is_there {
                    return tools;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        within(tool, lists).await
    }

    /// Leaves, and checks that Switchboard ends well.
    pub(crate) async fn leave(self) {
        within("the end of the client", self.service.cancel()).await.unwrap();
        match self.board {
            Board::Stdio(_, mut child) => {
                let status = within("the end of Switchboard", child.wait()).await.unwrap();
                assert_eq!(status.code(), Some(0));
            }
            Board::Http(house) => house.close(),
        }
    }
}

fn params(tool: &str, arguments: Value) -> CallToolRequestParams {
    let params = CallToolRequestParams::new(tool.to_owned());
    match arguments {
        Value::Object(arguments) => params.with_arguments(arguments),
        _ => params,
    }
}
