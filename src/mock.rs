//! The mock room: `switchboard mock SCRIPT`, an MCP server whose whole behaviour is written in a YAML file.
//!
//! In: a script ([`load`], [`parse`]) and a client on stdin/stdout ([`run_stdio`]) or on any pair of pipes ([`serve`]).
//! Out: answers, notifications, questions, and every kind of misbehaviour that a test wants to see survived: noise,
//! silence, broken JSON, crashes, ignored signals. `docs/mock.md` describes the script language.
//!
//! The room knows nothing of the rest of Switchboard, shares no code with the relay it is used to test, and never
//! protects itself from its own script.

use std::path::Path;

use crate::failure::{Code, Failure};

mod answers;
mod ask;
mod asking;
mod decode;
mod faces;
mod http;
mod items;
mod lines;
mod listen;
mod lists;
mod members;
mod modern;
mod node;
mod output;
mod problems;
mod process;
mod receive;
mod results;
mod revision;
mod rounds;
mod run;
mod say;
mod script;
mod serve;
mod server;
mod session;
mod step;
mod steps;
mod tasks;
mod template;
#[cfg(test)]
mod tests;
mod websocket;
mod work;
mod working;

pub use faces::{Face, Listening, listen};
pub use node::Place;
pub use problems::{Problem, ScriptError};
pub use process::{run_face, run_stdio};
pub use script::{Script, Signal};
pub use serve::{Hooks, Outcome, serve};
pub use template::Environment;

/// Reads a script from its text.
///
/// # Errors
/// Everything that is wrong with it, each with line and column.
pub fn parse(text: &str) -> Result<Script, ScriptError> {
    decode::script(text)
}

/// Reads a script from a file, or from stdin where the path is `-`. A script from stdin can be checked but hardly
/// served, since [`run_stdio`] then finds its input at the end.
///
/// # Errors
/// [`Code::MockScript`] if the file cannot be read or the script has problems; the cause names file, line and column.
pub fn load(path: &Path) -> Result<Script, Failure> {
    let text = if path == Path::new("-") {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(path)
    };
    let shown = path.display();
    let text = text.map_err(|error| {
        Failure::new(Code::MockScript, format!("cannot read the mock script `{shown}`: {error}"))
            .remedy("Give the path of a YAML file, or `-` for stdin")
    })?;
    parse(&text).map_err(|error| {
        let lines = error.problems.iter().map(|problem| {
            let Problem { place, message, help } = problem;
            let help = help.as_deref().map(|help| format!("; {help}")).unwrap_or_default();
            format!("{shown}:{}:{}: {message}{help}", place.line, place.column)
        });
        Failure::new(Code::MockScript, lines.collect::<Vec<_>>().join("\n"))
    })
}
