//! `mcp-server-git` in a repository whose commits have fixed dates, so that their hashes are fixed too.

use serde_json::{Value, json};

use crate::case::{Case, call};
use crate::world::World;

pub(crate) fn cases(world: &World) -> Vec<Case> {
    let repository = world.text("repository");
    let git = |tool: &str, mut arguments: Value| {
        arguments["repo_path"] = json!(repository);
        call(tool, arguments)
    };
    vec![
        git("git_status", json!({})),
        git("git_branch", json!({ "branch_type": "local" })),
        git("git_diff_unstaged", json!({})),
        git("git_diff_unstaged", json!({ "context_lines": 0 })).with("no context"),
        git("git_log", json!({ "max_count": 5 })),
        git("git_show", json!({ "revision": "HEAD" })),
        git("git_add", json!({ "files": ["a.txt", "new.txt"] })),
        git("git_diff_staged", json!({})),
        git("git_reset", json!({})),
        git("git_add", json!({ "files": ["new.txt"] })).with("again"),
        git("git_commit", json!({ "message": "Third: ä \"quoted\"\n\nWith a body ☃" })),
        git("git_create_branch", json!({ "branch_name": "side", "base_branch": "main" })),
        git("git_checkout", json!({ "branch_name": "side" })),
        git("git_diff", json!({ "target": "HEAD~1" })),
        git("git_branch", json!({ "branch_type": "all", "contains": "HEAD" })).with("containing"),
        git("git_log", json!({ "max_count": 1, "start_timestamp": "2020-01-01" })).with("since"),
        git("git_show", json!({ "revision": "no-such-revision" })).with("missing"),
        git("git_checkout", json!({ "branch_name": "--help" })).with("an option for a name"),
        git("git_commit", json!({})).with("argument missing"),
        call("git_status", json!({ "repo_path": world.text("files") })).with("no repository"),
        call("git_status", json!({ "repo_path": 5 })).with("argument of wrong type"),
        call("no_such_tool", json!({})).refused_here(),
    ]
}
