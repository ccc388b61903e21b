//! Every way in which a process can end, and what it may leave behind.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::support::*;
use super::*;

/// Asked at once, killed late: for whoever must be asked.
const ASK: Ending = Ending { term_after: Duration::from_millis(20), kill_after: DEADLINE };

/// Asked at once, killed soon: for whoever does not listen.
const INSIST: Ending =
    Ending { term_after: Duration::from_millis(20), kill_after: Duration::from_millis(60) };

#[tokio::test]
async fn a_polite_process_goes_by_itself() {
    let child = Script::start(&plain(), "cat; exit 7").await;
    let pid = child.process.pid() as i32;
    let ended = child.end(PATIENT).await;
    assert_eq!(ended, Ended { exit: Exit::Code(7), by: EndedBy::Itself, stragglers: 0 });
    assert!(!is_alive(pid));
}

#[tokio::test]
async fn one_that_ignores_the_end_of_its_input_is_asked() {
    let mut child =
        Script::start(&plain(), "trap 'exit 3' TERM; echo ready; while :; do sleep 0.01; done").await;
    assert_eq!(child.line().await, "ready");
    let ended = child.end(ASK).await;
    assert_eq!(ended, Ended { exit: Exit::Code(3), by: EndedBy::Term, stragglers: 0 });
}

#[tokio::test]
async fn one_that_does_not_listen_is_killed_with_its_children() {
    let script = "trap '' TERM; (while :; do sleep 1; done) & echo $!; while :; do sleep 1; done";
    let mut child = Script::start(&plain(), script).await;
    let grandchild = child.pid().await;
    let ended = child.end(INSIST).await;
    assert_eq!(ended, Ended { exit: Exit::Signal(9), by: EndedBy::Kill, stragglers: 0 });
    assert!(!is_alive(grandchild));
}

#[tokio::test]
async fn now_means_now_and_still_tells_who_was_faster() {
    let child = Script::start(&plain(), "sleep 1000").await;
    assert_eq!(child.end(Ending::NOW).await.by, EndedBy::Kill);

    let mut child = Script::start(&plain(), "exit 5").await;
    assert_eq!(child.process.wait().await, Exit::Code(5));
    assert_eq!(child.process.wait().await, Exit::Code(5), "the second answer is the first one");
    assert_eq!(
        child.end(Ending::NOW).await,
        Ended { exit: Exit::Code(5), by: EndedBy::Itself, stragglers: 0 }
    );
}

#[tokio::test]
async fn an_exit_is_noticed_while_a_grandchild_holds_the_pipes() {
    let script = "trap '' TERM; sleep 1000 & echo $!; echo last words >&2; exit 4";
    let mut child = Script::start(&plain(), script).await;
    let grandchild = child.pid().await;
    let exit = tokio::time::timeout(DEADLINE, child.process.wait()).await.expect("the exit of the leader");
    assert_eq!(exit, Exit::Code(4));
    assert!(is_alive(grandchild));
    let tail = child.process.stderr();
    eventually("the last words", || tail.last_lines(1) == ["last words"]).await;

    let ended = child.end(Ending::NOW).await;
    assert_eq!(ended, Ended { exit: Exit::Code(4), by: EndedBy::Itself, stragglers: 0 });
    assert!(!is_alive(grandchild), "it ignores SIGTERM, so it was killed");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn whoever_left_the_group_is_found() {
    let mut child = Script::start(&plain(), "setsid sh -c 'echo $$; exec sleep 1000' & wait").await;
    let stray = child.pid().await;
    // Another child of ours is none of its business.
    let neighbour = Script::start(&plain(), "cat").await;
    let ended = child.end(Ending::NOW).await;
    assert_eq!(ended.stragglers, 1);
    eventually("the end of the stray", || !is_alive(stray)).await;
    assert!(is_alive(neighbour.process.pid() as i32));
    neighbour.end(PATIENT).await;
}

#[tokio::test]
async fn dropping_a_process_kills_its_group() {
    let mut child = Script::start(&plain(), "trap '' TERM; sleep 1000 & echo $!; wait").await;
    let (leader, grandchild) = (child.process.pid() as i32, child.pid().await);
    drop(child);
    eventually("the end of both", || !is_alive(leader) && !is_alive(grandchild)).await;
}

#[tokio::test]
async fn dropping_a_graceful_end_cuts_it_short() {
    let mut child = Script::start(&plain(), "trap '' TERM; echo ready; while :; do sleep 1; done").await;
    let leader = child.process.pid() as i32;
    child.line().await;
    let cut = tokio::time::timeout(Duration::from_millis(50), child.end(PATIENT)).await;
    assert!(cut.is_err());
    eventually("its end", || !is_alive(leader)).await;
}

#[tokio::test]
async fn many_end_at_the_same_time_as_fast_as_one() {
    let supervisor = plain();
    let begin = Instant::now();
    let mut children = Vec::new();
    for _ in 0..10 {
        children.push(Script::start(&supervisor, "trap '' TERM; while :; do sleep 1; done").await);
    }
    let started = begin.elapsed();
    let ends: Vec<_> = children.into_iter().map(|child| tokio::spawn(child.end(Ending::SHUTDOWN))).collect();
    for end in ends {
        end.await.unwrap();
    }
    assert!(begin.elapsed() - started < Ending::SHUTDOWN.kill_after + Duration::from_millis(1_500));
}

#[test]
fn starting_and_ending_leaves_nothing_in_this_process() {
    if !plays("cycles") {
        let folder = tempfile::tempdir().unwrap();
        let mut part = another(
            "supervisor::tests::endings::starting_and_ending_leaves_nothing_in_this_process",
            "cycles",
            folder.path(),
        );
        assert!(part.wait().unwrap().success());
        return;
    }
    runtime().block_on(async {
        let supervisor = with_sidecar();
        let cycle = async || Script::start(&supervisor, "cat; sleep 100 &").await.end(PATIENT).await;
        // The first one brings the sidecar and what the runtime keeps for good.
        cycle().await;
        let before = open_files();
        for _ in 0..100 {
            assert_eq!(cycle().await.by, EndedBy::Itself);
        }
        eventually("the same number of open files", || open_files() <= before).await;
        assert_eq!(zombies(), 0);
    });
}

#[test]
fn a_sudden_death_takes_everybody_along() {
    if plays("victim") {
        return runtime().block_on(victim());
    }
    runtime().block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let mut part = another(
            "supervisor::tests::endings::a_sudden_death_takes_everybody_along",
            "victim",
            folder.path(),
        );
        let names = ["leader", "grandchild", "stray", "orphan"];
        let pid_of = |name: &str| std::fs::read_to_string(folder.path().join(name)).ok()?.trim().parse().ok();
        let all = || names.iter().map(|name| pid_of(name)).collect::<Option<Vec<i32>>>();
        eventually("the start of all", || all().is_some()).await;
        let pids = all().unwrap();
        // The orphan's leader has gone by itself; nobody has ended its group.
        assert!(pids.iter().all(|pid| is_alive(*pid)), "{pids:?}");

        // As clients do it: the whole group at once, which the sidecar must survive.
        let begin = Instant::now();
        killpg(Pid::from_raw(part.id() as i32), Signal::SIGKILL).unwrap();
        part.wait().unwrap();
        let alive = || pids.iter().filter(|pid| is_alive(**pid)).count();
        let expected = if cfg!(target_os = "linux") { 0 } else { 1 };
        eventually("the end of all", || alive() <= expected).await;
        assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
    });
}

/// Starts servers that want to live, tells their ids through files, and waits to be killed.
async fn victim() {
    let supervisor = with_sidecar();
    let stubborn = "trap '' TERM HUP INT; while :; do sleep 1; done";
    let tell = "tell() { echo $2 > $FOLDER/$1.new; mv $FOLDER/$1.new $FOLDER/$1; }";
    let scripts = [
        format!("{tell}; tell leader $$; sh -c \"{stubborn}\" & tell grandchild $!; {stubborn}"),
        format!("{tell}; setsid sh -c \"{stubborn}\" & tell stray $!; {stubborn}"),
        format!("{tell}; sh -c \"{stubborn}\" & tell orphan $!; exit 0"),
    ];
    let mut children = Vec::new();
    for script in &scripts {
        let mut plan = plan("sh", ["-c", script]);
        plan.env = vec![("FOLDER".into(), folder_of_part().display().to_string())];
        children.push(supervisor.spawn(plan).await.unwrap());
    }
    std::future::pending().await
}

/// Not a test but the sidecar of the parts above.
#[test]
fn sidecar() {
    if plays("sidecar") {
        reap_main();
    }
}

fn with_sidecar() -> Supervisor {
    let arguments = role("supervisor::tests::endings::sidecar", "sidecar");
    let reaper = ReaperCommand::Program(std::env::current_exe().unwrap(), arguments);
    Supervisor::new(SupervisorOptions { reaper, ..Default::default() })
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn open_files() -> usize {
    let folder = if cfg!(target_os = "linux") { "/proc/self/fd" } else { "/dev/fd" };
    std::fs::read_dir(folder).unwrap().count()
}

/// How many children of this process wait to be reaped.
fn zombies() -> usize {
    let output = std::process::Command::new("ps").args(["-A", "-o", "ppid=,stat="]).output().unwrap();
    let own = std::process::id().to_string();
    let lines = String::from_utf8(output.stdout).unwrap();
    let is_ours = |line: &&str| line.split_whitespace().next() == Some(&own) && line.contains('Z');
    lines.lines().filter(is_ours).count()
}
