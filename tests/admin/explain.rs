//! `switchboard explain TOOL` while a Switchboard with the same config runs, and while none does.

use serde_json::{Value, json};

use crate::world::{SERVERS, World, command, until};

fn explain(world: &World, args: &[&str]) -> String {
    let output = command(world.folder.path(), &[&["explain"], args].concat()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// What it says of the one tool that is meant, for programs.
fn live(world: &World, tool: &str) -> Value {
    let mut json: Value = serde_json::from_str(&explain(world, &[tool, "--json"])).unwrap();
    json["tools"][0]["live"].take()
}

#[test]
fn figures_of_the_one_that_runs_stand_there_until_it_ends() {
    let turns = "  turns: { command: BIN, args: [mock, HERE/files.mock.yaml], concurrency: { max: 1, wait: 10s }, timeouts: { call: 10s } }";
    let mut world = World::with(&format!("{SERVERS}{turns}"), "");
    for server in ["notes", "files", "turns"] {
        world.until_state(server, "ready");
    }
    for _ in 0..3 {
        world.post("/proxy/tools/notes__both", json!({}));
    }
    world.refused("POST", "/proxy/tools/files__slow", None);

    let found = live(&world, "notes__both");
    assert_eq!((found.as_array().unwrap().len(), &found[0]["pid"]), (1, &json!(world.pid())), "{found:#}");
    assert_eq!(
        (&found[0]["calls"]["total"], &found[0]["calls"]["failed"]),
        (&json!(3), &json!(0)),
        "{found:#}"
    );
    let server = &found[0]["server"];
    assert_eq!((&server["state"], &server["work"]["breakers"]), (&json!("ready"), &json!(["closed"])));
    assert!(server["work"]["p50"].as_f64() <= server["work"]["p95"].as_f64(), "{server:#}");
    let out = explain(&world, &["notes__both"]);
    assert!(out.contains(&format!("running     process {}: healthy, ready", world.pid())), "{out}");
    assert!(out.contains("0 calls in flight, breaker closed"), "{out}");
    assert!(out.contains("this tool: 3 calls, 0 of them failed; p50 "), "{out}");
    let out = explain(&world, &["files__slow"]);
    assert!(out.contains("of `slow`: ") && out.contains("(SB-CALL-001)"), "{out}");
    assert!(out.contains("this tool: 1 call, 1 of them failed"), "{out}");
    let out = explain(&world, &["notes__add"]);
    assert!(out.contains("this tool: 0 calls"), "{out}");

    std::thread::scope(|scope| {
        let _calls = [(); 2].map(|()| {
            scope.spawn(|| world.ask("POST", "/proxy/tools/turns__slow", None));
        });
        until("one call is at the server, and one waits", || {
            let report = &world.get("/proxy/servers/turns")["report"];
            (report["work"]["in_flight"] == 1 && report["work"]["queued"] == 1).then_some(())
        });
        let out = explain(&world, &["turns__slow"]);
        assert!(out.contains("1 call in flight, 1 waiting for their turn"), "{out}");
    });
    world.terminate();
    assert_eq!(live(&world, "notes__both"), json!([]));
    assert!(explain(&world, &["notes__both"]).contains("no Switchboard with this config is running"));
}

#[test]
fn another_config_is_another_switchboard_and_what_is_not_counted_is_said() {
    let world = World::with(SERVERS, "\ntelemetry: { metrics: false }");
    world.until_state("notes", "ready");
    world.post("/proxy/tools/notes__both", json!({}));
    let out = explain(&world, &["notes__both"]);
    assert!(out.contains("calls of tools are not counted") && out.contains("on average (1 call)"), "{out}");
    std::fs::copy(world.path("config.yaml"), world.path("other.yaml")).unwrap();
    let out = explain(&world, &["notes__both", "--config", "other.yaml"]);
    assert!(out.contains("no Switchboard with this config is running"), "{out}");
}
