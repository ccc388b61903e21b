//! The client of the demo: the official Rust SDK, over the pipes of a child process.

use std::time::{Duration, Instant};

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, ClientCapabilities, ClientConfig, Implementation,
    ProgressNotificationParam, ProtocolVersion, Tool,
};
use rmcp::service::{NotificationContext, RunningService};
use rmcp::{ClientHandler, RoleClient, ServiceError, ServiceExt};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::mpsc;

use crate::protocol::VERSION;

/// What can go wrong between us and Switchboard.
pub(super) type Trouble = Box<dyn std::error::Error>;

/// A connected client.
pub(super) struct Caller {
    service: RunningService<RoleClient, Listener>,
    progress: mpsc::UnboundedReceiver<ProgressNotificationParam>,
}

/// An answer, and how long it took.
pub(super) struct Said {
    pub(super) text: String,
    pub(super) failed: bool,
    pub(super) took: Duration,
}

/// Hears what Switchboard tells in the middle of a call.
struct Listener(mpsc::UnboundedSender<ProgressNotificationParam>);

impl ClientHandler for Listener {
    async fn on_progress(&self, params: ProgressNotificationParam, _: NotificationContext<RoleClient>) {
        let _ = self.0.send(params);
    }

    fn get_info(&self) -> ClientConfig {
        ClientConfig::new(ClientCapabilities::default(), Implementation::new("switchboard-demo", VERSION))
            .with_protocol_version(ProtocolVersion::LATEST_WITH_INITIALIZE)
    }
}

impl Caller {
    /// Shakes hands.
    pub(super) async fn connect(stdout: ChildStdout, stdin: ChildStdin) -> Result<Self, Trouble> {
        let (sender, progress) = mpsc::unbounded_channel();
        Ok(Self { service: Listener(sender).serve((stdout, stdin)).await?, progress })
    }

    /// The first page of tools, which is all of them here.
    pub(super) async fn tools(&self) -> Result<Vec<Tool>, ServiceError> {
        Ok(self.service.list_tools(None).await?.tools)
    }

    /// Calls a tool. Each step of progress is handed to `heard` as it comes, with the time since the call began.
    pub(super) async fn call(
        &mut self,
        tool: &'static str,
        arguments: serde_json::Value,
        mut heard: impl FnMut(Duration, &ProgressNotificationParam),
    ) -> Result<Said, Trouble> {
        let mut params = CallToolRequestParams::new(tool);
        if let serde_json::Value::Object(arguments) = arguments {
            params = params.with_arguments(arguments);
        }
        let began = Instant::now();
        let answer = self.service.call_tool_once(params);
        tokio::pin!(answer);
        let answer = loop {
            tokio::select! {
                biased;
                Some(step) = self.progress.recv() => heard(began.elapsed(), &step),
                answer = &mut answer => break answer?,
            }
        };
        let took = began.elapsed();
        let CallToolResponse::Complete(result) = answer else {
            return Err(format!("`{tool}` did not answer with a result").into());
        };
        let texts = result.content.iter().filter_map(|block| Some(block.as_text()?.text.as_str()));
        let text = texts.collect::<Vec<_>>().join("\n");
        Ok(Said { text, failed: result.is_error == Some(true), took })
    }

    /// Leaves, which closes Switchboard's stdin.
    pub(super) async fn leave(mut self) {
        let _ = self.service.close_with_timeout(Duration::from_secs(1)).await;
    }
}
