//! `switchboard mock`: the scriptable MCP server as a process.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::cli::exit;
use crate::mock::{self, Face};

/// What `mock` takes.
#[derive(Debug, clap::Args)]
pub struct MockArgs {
    /// The script, in YAML
    script: PathBuf,
    #[command(flatten)]
    face: FaceArgs,
}

/// Where the server is; without any of these, on stdin and stdout.
#[derive(Debug, clap::Args)]
#[group(multiple = false)]
struct FaceArgs {
    /// Listen for Streamable HTTP, such as at 127.0.0.1:0; the address is printed on stderr
    #[arg(long, value_name = "ADDR")]
    http: Option<SocketAddr>,
    /// Listen for HTTP+SSE, the transport of 2024-11-05
    #[arg(long, value_name = "ADDR")]
    sse: Option<SocketAddr>,
    /// Listen for WebSockets
    #[arg(long, value_name = "ADDR")]
    websocket: Option<SocketAddr>,
    /// Listen for lines at a Unix socket
    #[cfg(unix)]
    #[arg(long, value_name = "PATH")]
    unix: Option<PathBuf>,
}

impl FaceArgs {
    fn face(&self) -> Option<Face> {
        let face =
            self.http.map(Face::Http).or(self.sse.map(Face::Sse)).or(self.websocket.map(Face::WebSocket));
        #[cfg(unix)]
        let face = face.or(self.unix.clone().map(Face::Unix));
        face
    }
}

/// Runs the server until the script or the client ends it.
pub fn run(args: &MockArgs) -> ExitCode {
    let script = match mock::load(&args.script) {
        Ok(script) => script,
        Err(failure) => {
            exit::print_err(&format!("error: {failure}"));
            return exit::BAD_CONFIG.into();
        }
    };
    match args.face.face() {
        Some(face) => mock::run_face(script, &face),
        None => mock::run_stdio(script),
    }
}
