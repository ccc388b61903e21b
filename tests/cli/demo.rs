//! `demo`.

use std::path::Path;

use crate::home::{Home, until};

#[test]
fn the_demo_runs_to_its_end_and_leaves_nothing() {
    let home = Home::empty();
    let temporary = home.path("tmp");
    std::fs::create_dir(&temporary).unwrap();
    // What a user has set for real must not reach the demo.
    let mut command = home.command(&["demo"]);
    command.env("TMPDIR", &temporary).env("SWITCHBOARD_CONFIG", "/does/not/exist.yaml");
    let ran = home.finish(&mut command).code(0);
    let ran = ran.says("switchboard serve").says("notes__add").says("Noted on page 1: Buy cinnamon");
    let ran = ran.says("3/3 Asking the old radio").says("SB-CALL-002").says("lightning struck the mast");
    let ran = ran.says("2 of 2 servers usable").says("weather: ready").says("Your turn");
    assert_eq!(ran.out.matches("18 °C").count(), 2, "once before the storm, once after: {ran:#?}");
    assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0, "the folder is removed");
    until("the end of all processes", || processes_of(&temporary) == 0);
}

/// How many processes have this path in their command line or environment.
#[cfg(target_os = "linux")]
fn processes_of(path: &Path) -> usize {
    let path = path.as_os_str().as_encoded_bytes();
    let mentions = |file: std::path::PathBuf| {
        std::fs::read(file).is_ok_and(|bytes| bytes.windows(path.len()).any(|window| window == path))
    };
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter(|process| ["cmdline", "environ"].iter().any(|file| mentions(process.path().join(file))))
        .count()
}

#[cfg(not(target_os = "linux"))]
fn processes_of(_: &Path) -> usize {
    0
}
