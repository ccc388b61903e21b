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
//! `Switchboard::with_auth("files", Arc::new(provider))`.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::process::Stdio;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use switchboard::failure::{Code, Failure};
use switchboard::names::ServerName;
use switchboard::transport::{AuthProvider, BoxFuture, Challenge};
use tokio::process::Command;
use tokio::sync::Mutex;

/// How long the command may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A bearer token that a command prints.
#[derive(Debug)]
struct TokenFromCommand {
    server: ServerName,
    program: &'static str,
    arguments: &'static [&'static str],
    /// The header with the last token. Whoever fetches a new one holds the lock, so that many calls that are refused at
    /// the same time run the command once.
    header: Mutex<Option<HeaderValue>>,
}

impl TokenFromCommand {
    fn new(server: &str, program: &'static str, arguments: &'static [&'static str]) -> Self {
        Self { server: server.into(), program, arguments, header: Mutex::default() }
    }

    async fn fetch(&self) -> Result<HeaderValue, Failure> {
        // What is said here reaches logs and the AI client: never the token, nor what the command printed.
        let failed = |why: &str| {
            Failure::new(Code::AuthRefused, format!("`{}` gave no token: {why}", self.program))
                .of(&self.server)
                .remedy("Run it in a terminal to see what is wrong")
        };
        let mut command = Command::new(self.program);
        command.args(self.arguments).stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
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

/// Plays the transport: one request, one refusal, one more request.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    // `$$` is another number in every run: a token that changes.
    let provider = TokenFromCommand::new("files", "sh", &["-c", "echo demo-token-$$"]);
    let url = "https://files.example/mcp";
    let first = provider.authorize(url).await?;
    println!("headers of the first request: {first:?}");

    let sent = first.first().map(|(_, value)| value.clone());
    let refusal = Challenge { url: url.into(), status: 401, www_authenticate: vec!["Bearer".into()], sent };
    provider.challenged(&refusal).await?;
    let second = provider.authorize(url).await?;
    println!("another token after a refusal: {}", first != second);
    Ok(())
}
