//! A server driven directly: the measure of all comparisons. It is also compared with itself, which shows that
//! what the tables call equal does not depend on the run.

use serde_json::Value;

use crate::cases;
use crate::servers::{self, Server};
use crate::side::{REVISION, Side, Way, capabilities, script};
use crate::support::raw::Client;
use crate::support::real;
use crate::world::World;

/// Starts the server and shakes hands.
pub(crate) fn connect(world: &World, server: &Server, revision: &str) -> Client {
    let client = Client::spawn(&mut server.command(world));
    client.answer_with(script(world));
    client.initialize(revision, capabilities());
    client
}

/// Every outcome of the server's table and scenes, in a world as it was in the beginning.
pub(crate) fn outcomes(world: &World, server: &Server, revision: &str) -> Vec<(String, Value)> {
    world.reset();
    let client = connect(world, server, revision);
    cases::outcomes(world, &Side { client: &client, server, way: Way::Direct })
}

fn equal_to_itself(name: &str) {
    if real::skipped() {
        return;
    }
    let world = World::new();
    let server = servers::named(&world, name);
    let first = outcomes(&world, &server, REVISION);
    cases::assert_all_same(&first, &outcomes(&world, &server, REVISION));
}

#[test]
fn everything_is_equal_to_itself() {
    equal_to_itself("everything");
}

#[test]
fn filesystem_is_equal_to_itself() {
    equal_to_itself("filesystem");
}

#[test]
fn memory_is_equal_to_itself() {
    equal_to_itself("memory");
}

#[test]
fn time_is_equal_to_itself() {
    equal_to_itself("time");
}

#[test]
fn git_is_equal_to_itself() {
    equal_to_itself("git");
}

#[test]
fn old_everything_is_equal_to_itself() {
    equal_to_itself("everything-old");
}

#[test]
fn old_time_is_equal_to_itself() {
    equal_to_itself("time-old");
}
