//! `switchboard demo`: two sample servers behind a real Switchboard, driven by a real client, in a few seconds.
//!
//! Nothing is staged but the servers: the client is the official Rust SDK, the Switchboard is this program started
//! as an AI client starts it, and every number that is printed was measured while it ran.

mod caller;
mod stage;

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::cli::exit::{self, Exit};
use crate::cli::runtime;
use crate::cli::terminal::{self, Paint};

use caller::{Caller, Said, Trouble};
use stage::{Stage, gone};

/// The whole demo is over long before this.
const PATIENCE: Duration = Duration::from_secs(30);
/// Where lines of text are broken.
const WIDTH: usize = 96;

/// Runs the demo.
pub fn run() -> Exit {
    let runtime = match runtime::start() {
        Ok(runtime) => runtime,
        Err(exit) => return exit,
    };
    runtime.block_on(async {
        tokio::select! {
            played = tokio::time::timeout(PATIENCE, play()) => match played {
                Ok(Ok(())) => exit::OK,
                Ok(Err(trouble)) => failed(&trouble),
                Err(_) => failed(&"it took too long".into()),
            },
            Ok(()) = tokio::signal::ctrl_c() => exit::INTERRUPTED,
        }
    })
}

fn failed(trouble: &Trouble) -> Exit {
    exit::print_err(&format!("error: the demo could not go on: {trouble}"));
    exit::FAILED
}

async fn play() -> Result<(), Trouble> {
    let page = Page { paint: Paint::stdout() };
    let stage = Stage::build()?;
    let begun = Instant::now();
    let mut child = stage.serve()?;
    let pid = child.id().unwrap_or_default();
    let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err("the pipes of the child are missing".into());
    };
    page.picture(pid);

    let mut caller = Caller::connect(stdout, stdin).await?;
    let handshake = begun.elapsed();
    page.chapter("One connection, one list");
    page.fact(handshake, "from starting the program to a finished handshake");
    list(&page, &caller).await?;

    page.chapter("Calls go to the server that has the tool");
    let said = caller.call("notes__add", json!({ "text": "Buy cinnamon" }), |_, _| {}).await?;
    page.call("notes__add", "text=\"Buy cinnamon\"", &said);
    let said = caller.call("weather__now", json!({ "place": "Lisbon" }), |_, _| {}).await?;
    page.call("weather__now", "place=Lisbon", &said);

    page.chapter("Progress is relayed while a call runs");
    let said = caller.call("weather__forecast", json!({ "place": "Lisbon" }), |at, step| {
        let total = step.total.map(|total| format!("/{total}")).unwrap_or_default();
        let message = step.message.as_deref().unwrap_or_default();
        page.aside(at, &format!("{}{total} {message}", step.progress));
    });
    let said = said.await?;
    page.call("weather__forecast", "place=Lisbon", &said);

    page.chapter("A server dies in the middle of a call");
    let said = caller.call("weather__storm", json!({}), |_, _| {}).await?;
    page.call("weather__storm", "", &said);
    page.say("The caller was told at once, and nothing was sent twice. The other server noticed nothing:");
    let said = caller.call("notes__list", json!({}), |_, _| {}).await?;
    page.call("notes__list", "", &said);
    page.say("And the next call finds the dead one alive again; it waited for the restart:");
    let said = caller.call("weather__now", json!({ "place": "Lisbon" }), |_, _| {}).await?;
    page.call("weather__now", "place=Lisbon", &said);

    page.chapter("One tool of its own says how everything is");
    let said = caller.call("switchboard__status", json!({}), |_, _| {}).await?;
    page.call("switchboard__status", "", &said);

    let left = Instant::now();
    caller.leave().await;
    let by_itself = gone(&mut child).await;
    page.chapter("The client leaves, and everything with it");
    if !by_itself {
        return Err("Switchboard did not end by itself".into());
    }
    page.fact(left.elapsed(), "from closing the connection to the end of Switchboard and both servers");
    page.closing(stage.program());
    Ok(())
}

async fn list(page: &Page, caller: &Caller) -> Result<(), Trouble> {
    let began = Instant::now();
    let tools = caller.tools().await?;
    page.fact(began.elapsed(), "to start both servers and list what they have:");
    let width = tools.iter().map(|tool| tool.name.len()).max().unwrap_or(0);
    for tool in &tools {
        let about = terminal::one_line(tool.description.as_deref().unwrap_or_default());
        let about = terminal::cut(&about, Some(WIDTH.saturating_sub(width + 6)));
        page.line(&format!("    {}  {}", page.paint.bold(&terminal::padded(&tool.name, width)), about));
    }
    Ok(())
}

/// How the demo looks.
struct Page {
    paint: Paint,
}

impl Page {
    fn line(&self, text: &str) {
        exit::print_out(text);
    }

    fn chapter(&self, title: &str) {
        self.line(&format!("\n{}", self.paint.bold(title)));
    }

    fn picture(&self, pid: u32) {
        let row = |left: &str, middle: &str, right: &str| {
            let middle = self.paint.bold(&terminal::padded(middle, 18));
            self.line(&format!("  {left:<19} {middle} {right}"));
        };
        self.line(&self.paint.bold("Switchboard: one MCP server in front of all of yours."));
        self.line("");
        row("this demo", "switchboard serve", "  ┌─▶ notes    a sample server, a process");
        row("an MCP client  ──▶", &format!("pid {pid}"), "──┤");
        row("(official SDK)", "(this program)", "  └─▶ weather  another one");
    }

    /// A measured time and what took it.
    fn fact(&self, took: Duration, what: &str) {
        self.line(&format!("  {} {what}", self.paint.green(&milliseconds(took))));
    }

    fn aside(&self, at: Duration, text: &str) {
        let text = terminal::one_line(text);
        self.line(&self.paint.dim(&format!("    after {}: {text}", milliseconds(at))));
    }

    fn say(&self, text: &str) {
        self.line(&format!("  {text}"));
    }

    /// A call with its answer and time.
    fn call(&self, tool: &str, arguments: &str, said: &Said) {
        let head = format!("{} {arguments}", self.paint.bold(tool));
        let took = self.paint.green(&milliseconds(said.took));
        self.line(&format!("  ▶ {}  {took}", head.trim_end()));
        for line in terminal::tame(&said.text).lines().flat_map(|line| wrapped(line, WIDTH - 4)) {
            self.line(&format!("    {}", if said.failed { self.paint.red(&line) } else { line }));
        }
    }

    fn closing(&self, program: &Path) {
        let entry = json!({ "command": program, "args": ["serve"] });
        self.chapter("Your turn");
        self.say(
            "1. Put your servers into ~/.config/switchboard/switchboard.json: any `mcpServers` block works.",
        );
        let check = self.paint.bold("switchboard check");
        self.say(&format!("2. {check} starts each of them and says what is wrong."));
        self.say("3. Give your AI client one server instead of many:");
        self.line(&format!("     {}", self.paint.bold(&format!("\"switchboard\": {entry}"))));
    }
}

fn milliseconds(time: Duration) -> String {
    match time.as_secs_f64() * 1000.0 {
        short if short < 10.0 => format!("{short:.1} ms"),
        long => format!("{long:.0} ms"),
    }
}

/// The words of a line in lines of at most `width` columns; the line's indentation is repeated.
fn wrapped(line: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut current = String::new();
    for word in line.split(' ') {
        if !current.trim().is_empty() && terminal::columns(&current) + 1 + terminal::columns(word) > width {
            lines.push(std::mem::take(&mut current));
        } else if !current.is_empty() {
            current.push(' ');
        }
        current.push_str(word);
    }
    lines.push(current);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_between_words() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("averylongword x", 5), ["averylongword", "x"]);
        assert_eq!(wrapped("", 5), [""]);
    }

    #[test]
    fn short_times_have_a_decimal() {
        assert_eq!(milliseconds(Duration::from_micros(1234)), "1.2 ms");
        assert_eq!(milliseconds(Duration::from_millis(480)), "480 ms");
    }
}
