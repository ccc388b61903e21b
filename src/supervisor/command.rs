//! From a command in the config to a program that can be started, or to the reason why not.

use std::ffi::{OsStr, OsString};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::SpawnPlan;
use super::environment::configured_path;
use super::search_path::{SearchPath, display, join};
use crate::failure::{Code, Failure};

/// A program that exists and may be executed.
#[derive(Debug)]
pub(super) struct Resolved {
    /// Its absolute path.
    pub program: PathBuf,
    /// The `PATH` for the child.
    pub path: OsString,
}

/// Fails with [`Code::SpawnDirectory`] if a process cannot start in this directory.
pub(super) fn check_directory(cwd: Option<&Path>) -> Result<(), Failure> {
    let Some(cwd) = cwd else { return Ok(()) };
    let problem = match std::fs::metadata(cwd) {
        Ok(found) if !found.is_dir() => "is not a directory".to_owned(),
        Ok(_) if !may_execute(cwd) => "may not be entered by this user".to_owned(),
        Ok(_) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => "does not exist".to_owned(),
        Err(error) => format!("cannot be used: {error}"),
    };
    let cause = format!("the working directory `{}` {problem}", cwd.display());
    Err(Failure::new(Code::SpawnDirectory, cause).remedy("Create it, or change `cwd`"))
}

/// Finds the program of the plan.
pub(super) async fn resolve(plan: &SpawnPlan, search_path: &SearchPath) -> Result<Resolved, Failure> {
    let command = plan.command.as_str();
    if command.is_empty() || command.contains('\0') {
        return Err(Failure::new(Code::SpawnNotFound, format!("`{}` is no command", command.escape_debug())));
    }
    if command.contains(std::path::is_separator) {
        let program = absolute(command, plan.cwd.as_deref())?;
        let path = match configured_path(plan) {
            Some(path) => path.to_owned(),
            None => join(&search_path.quick().await),
        };
        return check_file(&program).map(|()| Resolved { program, path });
    }
    match configured_path(plan) {
        Some(path) => resolve_on_configured(command, path, search_path).await,
        None => resolve_on_ours(command, search_path).await,
    }
}

/// What the system's refusal to start this program means.
pub(super) fn spawn_failure(plan: &SpawnPlan, program: &Path, error: &io::Error) -> Failure {
    let shown = program.display();
    match error.kind() {
        io::ErrorKind::NotFound => missing_interpreter(program),
        io::ErrorKind::PermissionDenied => {
            Failure::new(Code::SpawnDenied, format!("`{shown}` may not be executed"))
                .remedy("Check the permissions of the file, of its folders and of its file system (`noexec`)")
        }
        io::ErrorKind::InvalidInput => Failure::new(
            Code::SpawnDenied,
            format!("`{}` has a zero byte in its command line or environment", plan.command),
        ),
        io::ErrorKind::ArgumentListTooLong => {
            Failure::new(Code::SpawnDenied, format!("the arguments and variables for `{shown}` are too long"))
        }
        io::ErrorKind::ExecutableFileBusy => {
            Failure::new(Code::SpawnResources, format!("`{shown}` is being written by another process"))
        }
        _ if is_wrong_format(error) => {
            Failure::new(Code::SpawnDenied, format!("`{shown}` is not a program for this machine"))
        }
        _ => Failure::new(Code::SpawnResources, format!("the system did not start `{shown}`: {error}"))
            .remedy("Stop other programs or raise the limit (`ulimit -n`, `ulimit -u`)"),
    }
}

async fn resolve_on_configured(
    command: &str,
    path: &OsStr,
    search_path: &SearchPath,
) -> Result<Resolved, Failure> {
    let folders: Vec<PathBuf> = std::env::split_paths(path).collect();
    if let Some(program) = find(command, &folders) {
        return Ok(Resolved { program, path: path.to_owned() });
    }
    let failure = not_found(command, &folders, "the `PATH` in this server's `env`");
    Err(match find(command, &search_path.full().await) {
        Some(elsewhere) => failure.remedy(format!(
            "It exists as `{}`: write this path as `command`, or add its folder to `PATH` in `env`",
            elsewhere.display()
        )),
        None => failure,
    })
}

async fn resolve_on_ours(command: &str, search_path: &SearchPath) -> Result<Resolved, Failure> {
    let quick = search_path.quick().await;
    if let Some(program) = find(command, &quick) {
        return Ok(Resolved { program, path: join(&quick) });
    }
    let full = search_path.full().await;
    match find(command, &full) {
        Some(program) => Ok(Resolved { program, path: join(&full) }),
        None => Err(not_found(
            command,
            &full,
            "the `PATH`, what your login shell adds to it, and the usual places",
        )),
    }
}

fn find(command: &str, folders: &[PathBuf]) -> Option<PathBuf> {
    // Relative entries would make the answer depend on where our client started us.
    let folders: Vec<PathBuf> = folders.iter().filter(|folder| folder.is_absolute()).cloned().collect();
    which::which_in_global(command, Some(join(&folders))).ok()?.next()
}

fn absolute(command: &str, cwd: Option<&Path>) -> Result<PathBuf, Failure> {
    let path = cwd.unwrap_or(Path::new("")).join(command);
    std::path::absolute(&path).map_err(|error| {
        Failure::new(Code::SpawnDirectory, format!("our own working directory is gone: {error}"))
    })
}

/// Why a file that is named by its path cannot be started, as far as one can see before trying.
fn check_file(program: &Path) -> Result<(), Failure> {
    let shown = program.display();
    match std::fs::metadata(program) {
        Ok(found) if found.is_dir() => {
            Err(Failure::new(Code::SpawnDenied, format!("`{shown}` is a directory"))
                .remedy("Name the program in it as `command`"))
        }
        Ok(_) if !may_execute(program) => Err(not_executable(program)),
        Ok(_) => Ok(()),
        // Windows finds `server` as `server.exe` or `server.cmd`.
        Err(_) if cfg!(windows) && which::which_global(program).is_ok() => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Err(Failure::new(Code::SpawnDenied, format!("`{shown}` cannot be reached: {error}")))
        }
        Err(_) => {
            let failure = Failure::new(Code::SpawnNotFound, format!("`{shown}` does not exist"));
            Err(if shown.to_string().contains("/~/") {
                failure.remedy("`~` is not expanded here: write `${HOME}`")
            } else {
                failure.remedy("Correct `command`, or install the program")
            })
        }
    }
}

fn not_found(command: &str, folders: &[PathBuf], what: &str) -> Failure {
    let candidates = folders.iter().map(|folder| folder.join(command));
    if let Some(file) = candidates.into_iter().find(|file| file.is_file()) {
        return not_executable(&file);
    }
    let cause = format!("command `{command}` was not found. Searched were {what}: {}", display(folders));
    Failure::new(Code::SpawnNotFound, cause).remedy(how_to_install(command))
}

fn how_to_install(command: &str) -> String {
    let remedy = match command {
        "npx" | "npm" | "node" => "Install Node.js, which brings it",
        "uvx" | "uv" => "Install uv, which brings it",
        "bunx" | "bun" => "Install Bun, which brings it",
        "docker" => "Install Docker",
        "python" => "Install Python, or write `python3`",
        _ => "Install the program",
    };
    format!("{remedy}, or write the program's absolute path as `command`")
}

fn not_executable(file: &Path) -> Failure {
    let shown = file.display();
    Failure::new(Code::SpawnDenied, format!("`{shown}` is not executable"))
        .remedy(format!("Run `chmod +x {shown}`"))
}

/// The file is there, yet the system says "not found": it means what the file needs in order to run.
fn missing_interpreter(program: &Path) -> Failure {
    let shown = program.display();
    match interpreter(program) {
        Some(interpreter) => {
            let cause = format!("`{shown}` needs the interpreter `{interpreter}`, which does not exist");
            Failure::new(Code::SpawnDenied, cause)
                .remedy("Install it, or correct the first line of the script")
        }
        None if program.exists() => Failure::new(
            Code::SpawnDenied,
            format!("`{shown}` was built for another system: its program loader does not exist here"),
        ),
        None => {
            Failure::new(Code::SpawnNotFound, format!("`{shown}` disappeared while it was being started"))
        }
    }
}

fn interpreter(program: &Path) -> Option<String> {
    let mut line = String::new();
    BufReader::new(std::fs::File::open(program).ok()?.take(256)).read_line(&mut line).ok()?;
    Some(line.strip_prefix("#!")?.split_whitespace().next()?.escape_debug().to_string())
}

#[cfg(unix)]
fn may_execute(path: &Path) -> bool {
    use nix::unistd::{AccessFlags, access};
    access(path, AccessFlags::X_OK).is_ok()
}

#[cfg(not(unix))]
fn may_execute(_path: &Path) -> bool {
    true
}

#[cfg(unix)]
fn is_wrong_format(error: &io::Error) -> bool {
    error.raw_os_error() == Some(nix::errno::Errno::ENOEXEC as i32)
}

/// `ERROR_BAD_EXE_FORMAT`.
#[cfg(not(unix))]
fn is_wrong_format(error: &io::Error) -> bool {
    error.raw_os_error() == Some(193)
}
