//! Real processes, started and ended.

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
