//! A server on the Rust SDK, as its users write one: something of everything.
//!
//! `rmcp_server` serves on stdio, `rmcp_server http` at an address of its own, which it tells on stderr. It speaks every revision that
//! the SDK knows, or those of `RMCP_SERVER_REVISIONS`, separated by commas. Its resource is `RMCP_SERVER_NOTE`.

#![allow(clippy::print_stderr, reason = "how an address is told")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a server that fails fails the test")]
#![allow(deprecated, reason = "what the newest revision gave up is tested, too")]

use std::borrow::Cow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, CompleteRequestParams, CompleteResult,
    ContentBlock, ElicitRequest, ElicitRequestParams, GetPromptRequestParams, GetPromptResponse,
    Implementation, InputRequest, InputRequests, InputRequiredResult, ListPromptsResult, ListResourcesResult,
    ListToolsResult, LoggingLevel, LoggingMessageNotificationParam, PaginatedRequestParams,
    ProgressNotificationParam, ProtocolVersion, ReadResourceRequestParams, ReadResourceResponse,
    ResourceUpdatedNotificationParam, ServerCapabilities, ServerConfig, SetLevelRequestParams,
    SubscribeRequestParams, SubscriptionFilter, UnsubscribeRequestParams,
};
use rmcp::service::{RequestContext, SubscriptionContext};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ErrorData, RoleServer, ServerHandler, ServiceExt};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::broadcast;

type Context = RequestContext<RoleServer>;

/// The URI of the one resource.
static NOTE: LazyLock<String> =
    LazyLock::new(|| std::env::var("RMCP_SERVER_NOTE").unwrap_or_else(|_| "note://one".to_owned()));

/// What all sessions share.
#[derive(Clone)]
struct Server {
    /// The least severe level that a legacy client wants to hear.
    level: Arc<Mutex<Option<LoggingLevel>>>,
    /// How many calls were cancelled.
    cancelled: Arc<AtomicUsize>,
    /// Whether a legacy client has subscribed to the note.
    subscribed: Arc<Mutex<bool>>,
    /// Tells the streams of modern clients that the note has changed.
    touched: broadcast::Sender<()>,
}

impl Server {
    fn new() -> Self {
        let (level, cancelled, subscribed) = Default::default();
        Self { level, cancelled, subscribed, touched: broadcast::channel(16).0 }
    }

    async fn slow(&self, context: &Context) -> Result<CallToolResponse, ErrorData> {
        for step in 1..=3 {
            if let Some(token) = context.meta.get_progress_token() {
                let progress = ProgressNotificationParam::new(token, f64::from(step))
                    .with_total(3.0)
                    .with_message(format!("step {step}"));
                context.peer.notify_progress(progress).await.map_err(internal)?;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(text("done"))
    }

    async fn log(&self, context: &Context) -> Result<CallToolResponse, ErrorData> {
        let level = if is_modern(context) { context.meta.log_level() } else { *self.level.lock().unwrap() };
        for (of, severity) in [(LoggingLevel::Debug, 0), (LoggingLevel::Warning, 4)] {
            let is_wanted = match level {
                Some(LoggingLevel::Debug) => true,
                Some(LoggingLevel::Warning) => severity >= 4,
                Some(_) => false,
                None => !is_modern(context),
            };
            if is_wanted {
                let log = LoggingMessageNotificationParam::new(of, json!({ "mind": "the gap" }));
                context.peer.notify_logging_message(log.with_logger("guide")).await.map_err(internal)?;
            }
        }
        Ok(text("logged"))
    }

    /// Asks for a name, in the way of the caller's era.
    async fn ask(
        &self,
        request: CallToolRequestParams,
        context: &Context,
    ) -> Result<CallToolResponse, ErrorData> {
        let question: ElicitRequestParams = of(json!({
            "mode": "form", "message": "Who?",
            "requestedSchema": { "type": "object", "properties": { "name": { "type": "string" } }, "required": ["name"] },
        }))?;
        let answer = if is_modern(context) {
            let Some(mut answers) = request.input_responses else {
                let question = InputRequest::Elicitation(ElicitRequest::new(question));
                let questions = InputRequests::from([("who".to_owned(), question)]);
                let state = Some("st.ate with \"quotes\"".to_owned());
                return Ok(InputRequiredResult::new(Some(questions), state).into());
            };
            if request.request_state.as_deref() != Some("st.ate with \"quotes\"") {
                return Err(ErrorData::invalid_params("another state came back", None));
            }
            answers.remove("who").unwrap_or_default()
        } else {
            let answer = context.peer.create_elicitation(question).await.map_err(internal)?;
            serde_json::to_value(answer).map_err(internal)?
        };
        Ok(text(&match answer["content"]["name"].as_str() {
            Some(name) => format!("Hello {name}"),
            None => format!("{} it is", answer["action"].as_str().unwrap_or("nothing")),
        }))
    }

    async fn touch(&self, context: &Context) -> Result<CallToolResponse, ErrorData> {
        // No stream may listen.
        let _ = self.touched.send(());
        let is_subscribed = *self.subscribed.lock().unwrap();
        if !is_modern(context) && is_subscribed {
            let updated = ResourceUpdatedNotificationParam::new(NOTE.as_str());
            context.peer.notify_resource_updated(updated).await.map_err(internal)?;
        }
        Ok(text("touched"))
    }
}

fn is_modern(context: &Context) -> bool {
    context.protocol_version().is_some_and(|version| version >= ProtocolVersion::V_2026_07_28)
}

fn internal(error: impl std::fmt::Display) -> ErrorData {
    ErrorData::internal_error(error.to_string(), None)
}

fn text(text: &str) -> CallToolResponse {
    CallToolResult::success(vec![ContentBlock::text(text)]).into()
}

/// A typed value from its JSON.
fn of<T: DeserializeOwned>(value: Value) -> Result<T, ErrorData> {
    serde_json::from_value(value).map_err(internal)
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_prompts()
            .enable_resources()
            .enable_resources_subscribe()
            .enable_completions()
            .enable_logging()
            .build();
        ServerConfig::new(capabilities)
            .with_server_info(Implementation::new("rmcp-server", "1"))
            .with_instructions("Be gentle.")
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        match std::env::var("RMCP_SERVER_REVISIONS") {
            Ok(only) => only.split(',').map(|name| of(json!(name)).unwrap()).collect(),
            Err(_) => Cow::Borrowed(ProtocolVersion::KNOWN_VERSIONS),
        }
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: Context,
    ) -> Result<ListToolsResult, ErrorData> {
        let number = json!({ "type": "number" });
        let mut tools: Vec<Value> = ["slow", "log", "ask", "fail", "wait", "cancelled", "touch"]
            .map(|name| json!({ "name": name, "inputSchema": { "type": "object" } }))
            .into();
        tools.push(json!({ "name": "echo", "title": "Echo", "annotations": { "readOnlyHint": true },
            "inputSchema": { "type": "object", "properties": { "input": { "type": "string" } } } }));
        tools.push(json!({ "name": "add", "description": "Adds two numbers.",
            "inputSchema": { "type": "object", "properties": { "a": number, "b": number }, "required": ["a", "b"] },
            "outputSchema": { "type": "object", "properties": { "sum": number }, "required": ["sum"] } }));
        of(json!({ "tools": tools }))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: Context,
    ) -> Result<CallToolResponse, ErrorData> {
        let argument = |name| request.arguments.as_ref().and_then(|all| all.get(name));
        match request.name.as_ref() {
            "echo" => Ok(text(argument("input").and_then(Value::as_str).unwrap_or_default())),
            "add" => match (argument("a").and_then(Value::as_i64), argument("b").and_then(Value::as_i64)) {
                (Some(a), Some(b)) => Ok(CallToolResult::structured(json!({ "sum": a + b })).into()),
                _ => Err(ErrorData::invalid_params(
                    "`a` and `b` must be whole numbers",
                    Some(json!({ "id": 7 })),
                )),
            },
            "slow" => self.slow(&context).await,
            "log" => self.log(&context).await,
            "ask" => self.ask(request, &context).await,
            "fail" => Ok(CallToolResult::error(vec![ContentBlock::text("It did not work.")]).into()),
            "wait" => {
                if let Some(token) = context.meta.get_progress_token() {
                    let waiting = ProgressNotificationParam::new(token, 1.0);
                    context.peer.notify_progress(waiting).await.map_err(internal)?;
                }
                context.ct.cancelled().await;
                self.cancelled.fetch_add(1, Ordering::Relaxed);
                Ok(text("cancelled"))
            }
            "cancelled" => Ok(text(&self.cancelled.load(Ordering::Relaxed).to_string())),
            "touch" => self.touch(&context).await,
            other => Err(ErrorData::invalid_params(format!("no tool {other}"), None)),
        }
    }

    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        _: Context,
    ) -> Result<ListPromptsResult, ErrorData> {
        of(json!({ "prompts": [{ "name": "greet", "arguments": [{ "name": "who", "required": true }] }] }))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        _: Context,
    ) -> Result<GetPromptResponse, ErrorData> {
        let who = request.arguments.unwrap_or_default().remove("who").unwrap_or_default();
        let who = who.as_str().unwrap_or("nobody");
        let message =
            json!({ "role": "user", "content": { "type": "text", "text": format!("Greet {who}.") } });
        Ok(GetPromptResponse::Complete(of(json!({ "messages": [message] }))?))
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        _: Context,
    ) -> Result<CompleteResult, ErrorData> {
        let names = ["Ada", "Alan", "Grace"].into_iter();
        let values: Vec<_> = names.filter(|name| name.starts_with(&request.argument.value)).collect();
        of(json!({ "completion": { "values": values } }))
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: Context,
    ) -> Result<ListResourcesResult, ErrorData> {
        of(json!({ "resources": [{ "uri": *NOTE, "name": "One", "mimeType": "text/plain" }] }))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: Context,
    ) -> Result<ReadResourceResponse, ErrorData> {
        if request.uri != *NOTE {
            return Err(ErrorData::resource_not_found("no such note", Some(json!({ "uri": request.uri }))));
        }
        let contents = json!([{ "uri": *NOTE, "mimeType": "text/plain", "text": "first" }]);
        Ok(ReadResourceResponse::Complete(of(json!({ "contents": contents }))?))
    }

    async fn set_level(&self, request: SetLevelRequestParams, _: Context) -> Result<(), ErrorData> {
        *self.level.lock().unwrap() = Some(request.level);
        Ok(())
    }

    async fn subscribe(&self, _: SubscribeRequestParams, _: Context) -> Result<(), ErrorData> {
        *self.subscribed.lock().unwrap() = true;
        Ok(())
    }

    async fn unsubscribe(&self, _: UnsubscribeRequestParams, _: Context) -> Result<(), ErrorData> {
        *self.subscribed.lock().unwrap() = false;
        Ok(())
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        Some(requested.supported_by(&self.get_info().capabilities))
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let mut touched = self.touched.subscribe();
        loop {
            tokio::select! {
                () = context.cancelled() => return Ok(()),
                Ok(()) = touched.recv() => {
                    // A stream that did not ask for the note is not told.
                    let _ = context.sink().notify_resource_updated(NOTE.as_str()).await;
                }
            }
        }
    }
}

/// Serves over Streamable HTTP until the process is killed.
async fn serve_http() {
    let server = Server::new();
    let service = StreamableHttpService::new(
        move || Ok(server.clone()),
        Arc::new(LocalSessionManager::default()),
        StreamableHttpServerConfig::default(),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    eprintln!("http://{}/mcp", listener.local_addr().unwrap());
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let service = service.clone();
        tokio::spawn(async move {
            let answer = hyper::service::service_fn(move |request| {
                let service = service.clone();
                async move { Ok::<_, std::convert::Infallible>(service.handle(request).await) }
            });
            // A client may leave whenever it likes.
            let stream = hyper_util::rt::TokioIo::new(stream);
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(stream, answer).await;
        });
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    if std::env::args().nth(1).as_deref() == Some("http") {
        return serve_http().await;
    }
    // A client that leaves before it says what it speaks is no fault of the server.
    if let Ok(running) = Server::new().serve(rmcp::transport::stdio()).await {
        let _ = running.waiting().await;
    }
}
