//! What a login asks for at servers that greet everybody, and ask for a login only then.

use serde_json::json;

use super::world::World;
use super::{any, check_needs_login};

/// A server that says so with `status` what it thinks of a handshake, and wants `basic` for everything else.
async fn greeting(status: u16) -> std::sync::Arc<World> {
    let world = World::new().await;
    world.rule(|rules| {
        rules.greets = Some(status);
        rules.scope = "basic";
        rules.resource = json!({ "scopes_supported": ["profile"] });
    });
    world
}

#[tokio::test]
async fn the_refusal_after_a_greeting_says_what_to_ask_for() {
    // Of a revision with a handshake, and of the one without.
    for status in [200, 400] {
        let world = greeting(status).await;
        world.log_in(any()).await.unwrap();
        assert_eq!(world.record().login.unwrap().requested, ["basic"], "{status}");
    }
}

#[tokio::test]
async fn a_step_up_loses_nothing_that_was_asked_for() {
    let world = greeting(200).await;
    world.log_in(any()).await.unwrap();
    let provider = world.provider(any());
    check_needs_login(world.call(&*provider, "write").await);
    world.log_in(any()).await.unwrap();
    assert_eq!(world.record().login.unwrap().requested, ["basic", "write"]);
    assert_eq!(world.call(&*provider, "basic write").await.unwrap(), 200);
}

#[tokio::test]
async fn a_refused_greeting_is_refusal_enough() {
    let world = World::new().await;
    world.log_in(any()).await.unwrap();
    assert_eq!(world.paths().iter().filter(|path| *path == "/team/mcp").count(), 1);
}
