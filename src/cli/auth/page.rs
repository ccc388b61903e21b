//! What `auth status` prints.

use std::time::Duration;

use serde_json::{Value, json};

use crate::auth::{AuthStatus, LoginState};
use crate::cli::terminal::{self, Paint};
use crate::config::ServerConfig;
use crate::failure::Failure;

type Row<'a> = (&'a ServerConfig, Result<AuthStatus, Failure>);

/// A line per server, and everything about it if it is the only one.
pub(super) fn render(rows: &[Row<'_>], detailed: bool, paint: Paint) -> String {
    if rows.is_empty() {
        return "no servers".to_owned();
    }
    let width = rows.iter().map(|(server, _)| terminal::columns(server.name.as_str())).max().unwrap_or(0);
    let mut lines = Vec::new();
    for (server, status) in rows {
        let name = paint.bold(&terminal::padded(server.name.as_str(), width));
        match status {
            Ok(status) => {
                lines.push(format!("{name}  {}{}", state(status, paint), terms(status)));
                if let Some(hint) = hint(server, status) {
                    lines.push(format!("{}  {}", " ".repeat(width), paint.dim(&hint)));
                }
                if detailed {
                    lines.extend(
                        details(status).into_iter().map(|line| format!("{}  {line}", " ".repeat(width))),
                    );
                }
            }
            Err(failure) => lines.push(format!("{name}  {}", paint.red(&failure.to_string()))),
        }
    }
    lines.join("\n")
}

fn state(status: &AuthStatus, paint: Paint) -> String {
    let word = match (status.state, status.kind) {
        (LoginState::NotNeeded, "header") => "header in the config",
        (LoginState::NotNeeded, "client_credentials") => "logs in by itself",
        (state, _) => state.word(),
    };
    match status.state {
        LoginState::LoggedIn => paint.green(word),
        LoginState::NeedsLogin => paint.yellow(word),
        LoginState::Never | LoginState::NotNeeded => paint.dim(word),
    }
}

/// Where, until when and for what somebody is logged in.
pub(super) fn terms(status: &AuthStatus) -> String {
    if status.state != LoginState::LoggedIn {
        return String::new();
    }
    let mut terms = String::new();
    if let Some(issuer) = &status.issuer {
        terms.push_str(&format!(" at {}", terminal::one_line(issuer)));
    }
    match (status.expires_in, status.renewable) {
        (_, true) => terms.push_str(", renewed by itself"),
        (Some(left), false) => terms.push_str(&format!(", for {}", span(left))),
        (None, false) => {}
    }
    if !status.scopes.is_empty() {
        terms.push_str(&format!(", scopes: {}", status.scopes.join(" ")));
    }
    terms
}

fn hint(server: &ServerConfig, status: &AuthStatus) -> Option<String> {
    let command = status.command(&server.name);
    match status.state {
        LoginState::NeedsLogin => Some(format!("run: {command}")),
        LoginState::Never => Some(format!("if the server asks for a login: {command}")),
        LoginState::LoggedIn | LoginState::NotNeeded => None,
    }
}

fn details(status: &AuthStatus) -> Vec<String> {
    let mut lines = vec![format!("kind:    {}", status.kind)];
    if let Some(left) = status.expires_in {
        lines.push(format!("token:   {}", if left.is_zero() { "ended".to_owned() } else { span(left) }));
    }
    if let Some(path) = &status.stored {
        lines.push(format!("stored:  {}", path.display()));
    }
    lines
}

/// The same for programs.
pub(super) fn as_json(server: &ServerConfig, status: &Result<AuthStatus, Failure>) -> Value {
    let name = server.name.as_str();
    match status {
        Ok(status) => json!({
            "server": name,
            "kind": status.kind,
            "state": status.state.word(),
            "issuer": status.issuer,
            "scopes": status.scopes,
            "expires_in": status.expires_in.map(|left| left.as_secs()),
            "renewable": status.renewable,
            "stored": status.stored,
            "command": (status.state == LoginState::NeedsLogin).then(|| status.command(&server.name)),
        }),
        Err(failure) => json!({
            "server": name,
            "state": "failed",
            "code": failure.code.id(),
            "cause": failure.cause,
            "remedy": failure.remedy,
        }),
    }
}

fn span(left: Duration) -> String {
    match left.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} days", seconds / 86_400),
    }
}
