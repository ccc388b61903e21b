//! Whether what a server says of itself, its tools, prompts and resources is still what its owner has seen, and whether it looks honest.
//!
//! In come the definitions of servers whose config asks for it (`definitions: { changes, findings }`), and what is kept of
//! them; out go [`Remark`](crate::catalog::Remark)s for the catalog, which shows a definition with a note or holds it back,
//! differences for people ([`diff`]), and a lock file for repositories ([`lock`]). A server of which nothing is asked costs
//! nothing. This room reads and writes its own files alone; it never talks to a server and never changes a definition.

pub(crate) mod canonical;
mod definition;
pub mod detect;
pub mod diff;
mod keeper;
pub mod lock;
mod pins;
mod review;
mod store;

use sha2::{Digest, Sha256};

use crate::config::{Launch, ServerConfig};

pub use definition::Definition;
pub use detect::{Finding, Neighbours, Severity, detect};
pub use keeper::Keeper;
pub use pins::{Pin, Pins, Standing, Version};
pub use review::{Case, Cases, Reason, cases, command, examine};
pub use store::{Found, PinStore, Stamp};

/// What a server is, as its config says it: 32 hexadecimal digits over its program and arguments without their versions
/// and without secrets, or its address without query. Pins are kept under it: another program is another server, a newer
/// version is not.
pub fn identity(config: &ServerConfig) -> String {
    let mut hash = Sha256::new();
    let mut add = |tag: u8, part: &str| {
        hash.update([tag]);
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    };
    match &config.launch {
        Launch::Stdio(launch) => {
            add(b'c', &launch.command);
            launch.args.iter().for_each(|argument| add(b'a', without_version(argument)));
            if let Some(cwd) = &launch.cwd {
                add(b'd', &cwd.to_string_lossy());
            }
        }
        Launch::Remote(launch) => add(b'u', launch.url.split(['?', '#']).next().unwrap_or_default()),
    }
    crate::wire::hex(&hash.finalize()[..16])
}

/// An argument without the version of a package: `@scope/name@1.2.3`, `name@latest` (npm), `name==1.2.3` (Python),
/// `image:1.2.3` (containers).
fn without_version(argument: &str) -> &str {
    let is_version = |text: &str| {
        let text = text.trim_start_matches(['v', '^', '~', '=']);
        text == "latest" || text == "next" || text.starts_with(|letter: char| letter.is_ascii_digit())
    };
    let is_name = |text: &str| {
        !text.is_empty()
            && text.chars().all(|letter| letter.is_ascii_alphanumeric() || "@/._-[]".contains(letter))
    };
    for separator in ["==", "@", ":"] {
        if let Some((name, version)) = argument.rsplit_once(separator)
            && is_name(name)
            && is_version(version)
            && version.chars().all(|letter| letter.is_ascii_alphanumeric() || ".-+^~=*".contains(letter))
        {
            return name;
        }
    }
    argument
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_not_what_a_server_is() {
        for (argument, name) in [
            ("@scope/name@1.2.3", "@scope/name"),
            ("name@latest", "name"),
            ("mcp-server==2025.4.25", "mcp-server"),
            ("ghcr.io/team/image:1.2", "ghcr.io/team/image"),
            ("@scope/name", "@scope/name"),
            ("me@example.com", "me@example.com"),
            ("--port=8080", "--port=8080"),
            ("localhost:8080", "localhost"),
            ("/a/b", "/a/b"),
        ] {
            assert_eq!(without_version(argument), name);
        }
        let of = |args: &[&str]| identity(&ServerConfig::stdio("a", "npx", args));
        assert_eq!(of(&["-y", "pkg@1.0.0"]), of(&["-y", "pkg@1.1.0"]));
        assert_ne!(of(&["-y", "pkg@1.0.0"]), of(&["-y", "other@1.0.0"]));
        assert_ne!(of(&["a", "b"]), of(&["ab"]));
    }
}
