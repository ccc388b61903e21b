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
    let failure = not_found(command, &folders, "on the `PATH` in this server's `env`");
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
            "on the `PATH`, in what your login shell adds to it, or in the usual places",
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

fn not_found(command: &str, folders: &[PathBuf], place: &str) -> Failure {
    let candidates = folders.iter().map(|folder| folder.join(command));
    if let Some(file) = candidates.into_iter().find(|file| file.is_file()) {
        return not_executable(&file);
    }
    let cause = format!("command `{command}` was not found {place}: {}", display(folders));
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

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A folder with a program, a file that is none, and a folder.
    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, mode) in [("program", 0o755), ("plain", 0o644)] {
            fs::write(folder.path().join(name), "#!/bin/sh\n").unwrap();
            fs::set_permissions(folder.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        fs::create_dir(folder.path().join("folder")).unwrap();
        folder
    }

    async fn resolved(plan: &SpawnPlan, search_path: &SearchPath) -> Result<PathBuf, (Code, String)> {
        let resolved = resolve(plan, search_path).await;
        resolved.map(|found| found.program).map_err(|failure| (failure.code, failure.to_string()))
    }

    #[tokio::test]
    async fn a_program_is_found_where_a_desktop_application_would_not_look() {
        let folder = folder();
        let here = folder.path().to_str().unwrap();
        let plan = crate::supervisor::tests::plan("program", []);
        for search_path in [
            SearchPath::fixed(here, "", ""),
            SearchPath::fixed("/usr/bin:/bin", here, ""),
            SearchPath::fixed("/usr/bin:/bin", "", here),
            SearchPath::fixed("/usr/bin:/usr/local/bin", "", here),
        ] {
            assert_eq!(
                resolved(&plan, &search_path).await,
                Ok(folder.path().join("program")),
                "{search_path:?}"
            );
            let handed_down = resolve(&plan, &search_path).await.unwrap().path;
            assert!(
                std::env::split_paths(&handed_down).any(|found| found == folder.path()),
                "{search_path:?}"
            );
        }
    }

    #[tokio::test]
    async fn a_relative_command_starts_at_the_working_directory() {
        let folder = folder();
        let mut plan = crate::supervisor::tests::plan("./program", []);
        plan.cwd = Some(folder.path().to_owned());
        let found = resolved(&plan, &SearchPath::fixed("/bin", "", "")).await;
        assert_eq!(
            found.unwrap().canonicalize().unwrap(),
            folder.path().join("program").canonicalize().unwrap()
        );
    }

    #[tokio::test]
    async fn every_reason_has_its_own_words() {
        let folder = folder();
        let here = folder.path().to_str().unwrap();
        let search_path = SearchPath::fixed("/usr/bin:/bin", here, "/of-shell");
        let check = async |command: &str, env_path: Option<&str>, code: Code, words: &[&str]| {
            let mut plan = crate::supervisor::tests::plan(command, []);
            plan.env = env_path.map(|path| ("PATH".to_owned(), path.to_owned())).into_iter().collect();
            let (found, text) = resolved(&plan, &search_path).await.unwrap_err();
            assert_eq!(found, code, "{command}: {text}");
            words.iter().for_each(|word| assert!(text.contains(word), "{command}: {text}"));
        };
        let (not_found, denied) = (Code::SpawnNotFound, Code::SpawnDenied);
        check("no-such", None, not_found, &["`no-such`", "/of-shell:/usr/bin:/bin:", here]).await;
        check("npx", Some("/nowhere"), not_found, &["`npx`", ": /nowhere"]).await;
        check("program", Some("/nowhere"), not_found, &["It exists as", &format!("{here}/program")]).await;
        check("plain", None, denied, &["chmod +x", here]).await;
        check(&format!("{here}/plain"), None, denied, &["is not executable"]).await;
        check(&format!("{here}/folder"), None, denied, &["is a directory"]).await;
        check(&format!("{here}/none"), None, not_found, &["does not exist"]).await;
        check("~/bin/server", None, not_found, &["${HOME}"]).await;
        check("", None, not_found, &["no command"]).await;
    }

    #[test]
    fn refusals_of_the_system_are_told_apart() {
        use nix::errno::Errno;
        let plan = crate::supervisor::tests::plan("program", []);
        for (errno, code) in [
            (Errno::EMFILE, Code::SpawnResources),
            (Errno::ENFILE, Code::SpawnResources),
            (Errno::ENOMEM, Code::SpawnResources),
            (Errno::EAGAIN, Code::SpawnResources),
            (Errno::ETXTBSY, Code::SpawnResources),
            (Errno::EACCES, Code::SpawnDenied),
            (Errno::E2BIG, Code::SpawnDenied),
            (Errno::ENOEXEC, Code::SpawnDenied),
            (Errno::ENOENT, Code::SpawnNotFound),
        ] {
            assert_eq!(spawn_failure(&plan, Path::new("/no/such"), &errno.into()).code, code, "{errno}");
        }
    }
}
