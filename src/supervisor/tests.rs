//! Real processes, started and ended.
//!
//! What needs a process of its own (to be killed, or to be counted alone) runs this test program again with the name
//! of one test and an argument that the test looks for; without it, that test is empty.

use super::*;

pub(super) fn plan<const N: usize>(command: &str, args: [&str; N]) -> SpawnPlan {
    SpawnPlan {
        server: "test".into(),
        generation: 1,
        command: command.to_owned(),
        args: args.map(str::to_owned).to_vec(),
        env: Vec::new(),
        inherit_env: Vec::new(),
        cwd: None,
        redact: Vec::new(),
    }
}

#[cfg(unix)]
mod endings;
#[cfg(unix)]
mod faults;
#[cfg(unix)]
mod support;
