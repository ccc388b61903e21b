//! What goes wrong at the start, and what comes out of stderr.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::support::*;
use super::*;

#[tokio::test]
async fn a_flood_on_stderr_neither_blocks_nor_grows() {
    let script = "head -c 4194304 /dev/zero | tr '\\0' x >&2; printf END >&2; echo answered; cat";
    let mut child = Script::start(&plain(), script).await;
    assert_eq!(child.line().await, "answered");
    let tail = child.process.stderr();
    child.end(PATIENT).await;
    let lines = tail.last_lines(usize::MAX);
    let bytes: usize = lines.iter().map(String::len).sum();
    assert!((1..=128 * 1024).contains(&bytes), "{bytes}");
    assert!(lines.last().unwrap().ends_with("END"));
}

#[tokio::test]
async fn secrets_show_neither_in_the_tail_nor_in_the_log() {
    let logs = tempfile::tempdir().unwrap();
    let supervisor = Supervisor::new(SupervisorOptions {
        logs: Some(logs.path().to_owned()),
        redact: vec!["hunter22".to_owned()],
        reaper: ReaperCommand::Off,
        state: None,
    });
    let script =
        r"for i in 1 2 3; do echo key=$KEY old=hunter22 >&2; printf '\033[31mred\033[0m\007\n' >&2; done";
    let mut plan = plan("sh", ["-c", script]);
    plan.generation = 42;
    plan.env = vec![("KEY".into(), "sk-12345".into())];
    plan.redact = vec!["sk-12345".into()];
    let mut child = Script::of(supervisor.spawn(plan).await.unwrap());
    child.process.wait().await;
    let tail = child.process.stderr();
    child.end(Ending::NOW).await;
    assert_eq!(tail.last_lines(2), ["key=[redacted] old=[redacted]", "red\\u{7}"]);

    let path = supervisor.log_path(&"test".into()).unwrap();
    let log = fs::read_to_string(&path).unwrap();
    assert_eq!(log.lines().count(), 6);
    assert!(log.lines().all(|line| line.contains("Z #42 ")) && log.contains("key=[redacted]"), "{log}");
    assert!(!log.contains("sk-12345") && !log.contains("hunter22") && !log.contains('\u{1b}'), "{log}");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o077, 0, "logs are private");
}

#[tokio::test]
async fn no_file_appears_for_a_silent_server_and_a_bad_folder_hurts_nobody() {
    let logs = tempfile::tempdir().unwrap();
    let with_logs = |logs: PathBuf| {
        Supervisor::new(SupervisorOptions {
            logs: Some(logs),
            reaper: ReaperCommand::Off,
            ..Default::default()
        })
    };
    Script::start(&with_logs(logs.path().to_owned()), "cat").await.end(PATIENT).await;
    assert_eq!(fs::read_dir(logs.path()).unwrap().count(), 0);

    let child = Script::start(&with_logs("/dev/null/logs".into()), "echo hello >&2; cat").await;
    let tail = child.process.stderr();
    child.end(PATIENT).await;
    assert_eq!(tail.last_lines(1), ["hello"]);
}

#[tokio::test]
async fn a_child_sees_the_listed_variables_and_a_mark() {
    let mut plan = plan("env", []);
    plan.env = vec![("GIVEN".into(), "a=b c".into())];
    let child = plain().spawn(plan).await.unwrap();
    let mut output = String::new();
    let mut stdout = child.stdout;
    tokio::io::AsyncReadExt::read_to_string(&mut stdout, &mut output).await.unwrap();
    child.process.end(PATIENT).await;

    let names: Vec<&str> = output.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    let allowed = "HOME LOGNAME PATH SHELL TERM USER LANG LC_ALL LC_CTYPE TMPDIR TZ XDG_RUNTIME_DIR GIVEN \
                   SWITCHBOARD_CHILD __CF_USER_TEXT_ENCODING";
    for name in &names {
        assert!(allowed.split_whitespace().any(|allowed| allowed == *name), "{name} was handed down");
    }
    let is_withheld = |name: &std::ffi::OsStr| !allowed.split_whitespace().any(|allowed| allowed == name);
    assert!(std::env::vars_os().any(|(name, _)| is_withheld(&name)), "there was nothing to withhold");
    assert!(output.lines().any(|line| line == "GIVEN=a=b c"));
    assert!(output.lines().any(|line| line.starts_with("SWITCHBOARD_CHILD=") && line.ends_with("/test/1")));
}

#[test]
fn starting_may_move_between_threads() {
    fn check(_: impl Send) {}
    check(plain().spawn(plan("true", [])));
}

#[tokio::test]
async fn what_cannot_start_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    for (name, text) in [("bad", "#!/no/such/interpreter -x\n"), ("foreign", "\u{7f}ELF\u{1}\u{1}\u{1}")] {
        fs::write(path(name), text).unwrap();
        fs::set_permissions(path(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let check = async |plan: SpawnPlan, code: Code, words: &str| {
        let failure = plain().spawn(plan).await.unwrap_err();
        assert_eq!(failure.code, code, "{failure}");
        assert!(failure.to_string().contains(words), "{failure}");
        assert_eq!(failure.server, Some("test".into()));
    };
    check(plan("no-such-command", []), Code::SpawnNotFound, "/bin").await;
    check(plan(&path("bad"), []), Code::SpawnDenied, "`/no/such/interpreter`").await;
    check(plan(&path(""), []), Code::SpawnDenied, "is a directory").await;

    let in_directory = |cwd: String| SpawnPlan { cwd: Some(cwd.into()), ..plan("true", []) };
    check(in_directory(path("none")), Code::SpawnDirectory, "does not exist").await;
    check(in_directory(path("bad")), Code::SpawnDirectory, "is not a directory").await;

    let long = "x".repeat(8 * 1024 * 1024);
    check(plan("true", [&long]), Code::SpawnDenied, "too long").await;
    check(plan("true", ["a\0b"]), Code::SpawnDenied, "zero byte").await;
}

#[test]
fn a_full_file_table_is_a_failure_that_passes() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};

    if !plays("full") {
        let folder = tempfile::tempdir().unwrap();
        let test = "supervisor::tests::faults::a_full_file_table_is_a_failure_that_passes";
        assert!(another(test, "full", folder.path()).wait().unwrap().success());
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let supervisor = plain();
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, 3, hard).unwrap();
        let refused = supervisor.spawn(plan("/bin/cat", [])).await.map(drop).unwrap_err();
        setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();
        assert_eq!(refused.code, Code::SpawnResources, "{refused}");
        assert_eq!(Cause::from(refused.code), Cause::Transient);
        let child = supervisor.spawn(plan("/bin/cat", [])).await.unwrap();
        assert_eq!(Script::of(child).end(PATIENT).await.by, EndedBy::Itself);
    });
}
