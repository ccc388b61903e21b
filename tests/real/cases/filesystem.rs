//! `server-filesystem` in the world's files: all fourteen tools, and what it must refuse.

use serde_json::{Value, json};

use crate::blur;
use crate::case::{Case, call};
use crate::world::World;

pub(crate) fn cases(world: &World) -> Vec<Case> {
    [reading(world), listing(world), writing(world), refusals(world)].concat()
}

fn at(world: &World, tool: &str, path: &str, more: Value) -> Case {
    let mut arguments = json!({ "path": world.path("files").join(path) });
    for (key, value) in more.as_object().unwrap() {
        arguments[key] = value.clone();
    }
    call(tool, arguments).with(path)
}

fn reading(world: &World) -> Vec<Case> {
    let paths = ["notes.txt", "absent.txt", "data.json"].map(|name| world.path("files").join(name));
    vec![
        at(world, "read_file", "notes.txt", json!({})),
        at(world, "read_text_file", "umlaut ä 文.txt", json!({})),
        at(world, "read_text_file", "windows.txt", json!({})),
        at(world, "read_text_file", "notes.txt", json!({ "head": 1 })).with("head"),
        at(world, "read_text_file", "notes.txt", json!({ "tail": 2 })).with("tail"),
        at(world, "read_media_file", "pixel.png", json!({})),
        call("read_multiple_files", json!({ "paths": paths })),
        at(world, "get_file_info", "notes.txt", json!({})).blurred(blur::file_times),
    ]
}

fn listing(world: &World) -> Vec<Case> {
    vec![
        call("list_allowed_directories", json!({})),
        at(world, "list_directory", "", json!({})),
        at(world, "list_directory_with_sizes", "", json!({ "sortBy": "size" })),
        at(world, "directory_tree", "", json!({ "excludePatterns": ["*.png"] })),
        at(world, "search_files", "", json!({ "pattern": "**/*.txt" })),
    ]
}

fn writing(world: &World) -> Vec<Case> {
    let file = |name: &str| world.path("files").join(name);
    let edits = json!([{ "oldText": "second line", "newText": "2nd line ☃" }]);
    vec![
        at(world, "write_file", "written.txt", json!({ "content": "one\n\u{1f600}\r\n\"two\"" })),
        at(world, "read_text_file", "written.txt", json!({})).with("written before"),
        at(world, "edit_file", "notes.txt", json!({ "edits": edits, "dryRun": true })).with("dry run"),
        at(world, "edit_file", "notes.txt", json!({ "edits": edits })),
        at(world, "edit_file", "notes.txt", json!({ "edits": edits })).with("again, no longer fits"),
        at(world, "create_directory", "made/of/parts", json!({})),
        call("move_file", json!({ "source": file("written.txt"), "destination": file("made/moved.txt") })),
        call("move_file", json!({ "source": file("made/moved.txt"), "destination": file("notes.txt") }))
            .with("onto another"),
        at(world, "write_file", "large.txt", json!({ "content": "0123456789abcdef".repeat(40_000) })),
        at(world, "read_text_file", "large.txt", json!({})),
    ]
}

fn refusals(world: &World) -> Vec<Case> {
    vec![
        at(world, "read_text_file", "absent.txt", json!({})),
        at(world, "read_text_file", "notes.txt", json!({ "head": 1, "tail": 1 })).with("both ends"),
        call("read_text_file", json!({ "path": "/etc/hostname" })).with("outside"),
        call("read_text_file", json!({})).with("argument missing"),
        call("write_file", json!({ "path": world.path("files").join("x"), "content": 5 })).with("wrong type"),
        call("read_multiple_files", json!({ "paths": [] })).with("too few"),
        call("no_such_tool", json!({})).refused_here(),
    ]
}
