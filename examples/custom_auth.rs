//! Credentials of your own for a server: here, a token that a command prints (`gcloud auth print-access-token`, a password
//! manager, a script of your company).
//!
//! ```text
//! cargo run --example custom_auth
//! ```
//!
//! An [`AuthProvider`] has two methods. `authorize` is called before every request and gives the headers that prove who we
//! are; it answers from memory whenever it can. `challenged` is called when the server refused a request: `Ok` means that
//! another try has other credentials. The transport then sends the request once more, and only once.
//!
//! A provider is plugged in where the program is put together, under the name of a server of the config:
//! `Switchboard::builder(loaded).auth("files", Arc::new(provider))`. The example does that with a server on this machine,
//! which refuses the first token that the command prints.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use switchboard::app::Switchboard;
use switchboard::cli::client::{Answer, Client};
use switchboard::config::{self, Environment, Syntax};
use switchboard::failure::{Code, Failure};
use switchboard::mock::{self, Face, Hooks};
use switchboard::names::ServerName;
use switchboard::protocol::{ListKind, Method};
use switchboard::transport::{AuthProvider, BoxFuture, Challenge};
use tokio::process::Command;
use tokio::sync::Mutex;

/// How long the command may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A bearer token that a command prints.
#[derive(Debug)]
struct TokenFromCommand {
    server: ServerName,
    program: String,
    arguments: Vec<String>,
    /// The header with the last token. Whoever fetches a new one holds the lock, so that many calls that are refused at
    /// the same time run the command once.
    header: Mutex<Option<HeaderValue>>,
}

impl TokenFromCommand {
    fn new(server: &str, program: &str, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        Self { server: server.into(), program: program.to_owned(), arguments, header: Mutex::default() }
    }

    async fn fetch(&self) -> Result<HeaderValue, Failure> {
        // What is said here reaches logs and the AI client: never the token, nor what the command printed.
        let failed = |why: &str| {
            Failure::new(Code::AuthRefused, format!("`{}` gave no token: {why}", self.program))
                .of(&self.server)
                .remedy("Run it in a terminal to see what is wrong")
        };
        println!("`{}` is run for a token", self.program);
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let output = match tokio::time::timeout(PATIENCE, command.output()).await {
            Ok(Ok(output)) if output.status.success() => output.stdout,
            Ok(Ok(output)) => return Err(failed(&output.status.to_string())),
            Ok(Err(error)) => return Err(failed(&error.to_string())),
            Err(_) => return Err(failed("it took too long")),
        };
        let text = [b"Bearer ", output.trim_ascii()].concat();
        let mut header =
            HeaderValue::from_bytes(&text).map_err(|_| failed("what it printed is not one line"))?;
        // Marked as sensitive, it is not shown by anything that prints headers.
        header.set_sensitive(true);
        Ok(header)
    }
}

impl AuthProvider for TokenFromCommand {
    fn authorize<'a>(
        &'a self,
        _url: &'a str,
    ) -> BoxFuture<'a, Result<Vec<(HeaderName, HeaderValue)>, Failure>> {
        Box::pin(async move {
            let mut header = self.header.lock().await;
            let value = match &*header {
                Some(value) => value.clone(),
                None => header.insert(self.fetch().await?).clone(),
            };
            Ok(vec![(http::header::AUTHORIZATION, value)])
        })
    }

    fn challenged<'a>(&'a self, challenge: &'a Challenge) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            let mut header = self.header.lock().await;
            if *header != challenge.sent {
                // Another call was refused before us and has fetched a new token already.
                return Ok(());
            }
            let fresh = self.fetch().await?;
            if Some(&fresh) == challenge.sent.as_ref() {
                let cause = format!("the server refuses the token of `{}`", self.program);
                return Err(Failure::new(Code::AuthRefused, cause).of(&self.server));
            }
            *header = Some(fresh);
            Ok(())
        })
    }
}

/// A server that lets in whoever knows this year's token.
const SERVER: &str = "
tools: { read: { answer: \"The file {{name}}.\" } }
http: { bearer: token-of-this-year }
";

/// Stands for a password manager: what it knows is old at first.
const PASSWORD_MANAGER: &str =
    "if test -e \"$0\"; then echo token-of-this-year; else echo token-of-last-year > \"$0\"; cat \"$0\"; fi";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let server = mock::listen(mock::parse(SERVER)?, &Face::Http(address), Hooks::in_memory()).await?;
    let text = format!("servers: {{ files: {{ url: {:?} }} }}", server.url);
    tokio::spawn(server.run());

    let memory = std::env::temp_dir().join(format!("custom-auth-{}", std::process::id()));
    let arguments = ["-c", PASSWORD_MANAGER, memory.to_str().unwrap_or("custom-auth")];
    let provider = TokenFromCommand::new("files", "sh", &arguments);
    let loaded =
        config::load_text(&text, Syntax::Yaml, Path::new("/switchboard.yaml"), &Environment::default());
    let switchboard = Switchboard::builder(loaded).auth("files", Arc::new(provider)).build();

    // A client on the other end of a pipe. In a program of yours these are stdin and stdout.
    let (ours, theirs) = tokio::io::duplex(64 << 10);
    let (input, output) = tokio::io::split(theirs);
    let serving = tokio::spawn(switchboard.serve(input, output, std::future::pending()));
    let mut client = Client::new(ours);
    client.introduce().await?;
    let call = br#"{"name":"files__read","arguments":{"name":"notes.txt"}}"#;
    client.list(ListKind::Tools).await?;
    match client.request(Method::ToolsCall, call, |_, _| {}).await? {
        Answer::Result(result) => println!("result: {}", String::from_utf8_lossy(&result)),
        Answer::Error(error) => return Err(String::from_utf8_lossy(&error).into()),
    }
    drop(client);
    serving.await?;
    tokio::fs::remove_file(memory).await?;
    Ok(())
}
