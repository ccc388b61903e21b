//! `ToolCallInterceptor` and `CustomToolInterceptor`, in Rust: `before_hook`, `after_hook`, `on_error`. Programs, addresses and servers
//! that do the same are tested in `pipeline/hooks/mission.rs`.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use serde_json::json;
use switchboard::interceptor::{BoxFuture, CallError, CallView, Error, Interceptor, Phase, Rules, Verdict};

use super::world::{Act, Mock, World, to};

/// Notes what it is told, checks arguments, and puts its mark on results.
#[derive(Debug, Default)]
struct Custom {
    told: Mutex<Vec<String>>,
}

impl Custom {
    fn note(&self, what: &str, call: &CallView, rest: &str) {
        self.told.lock().unwrap().push(format!("{what} {} of {} {rest}", call.original, call.server));
    }
}

impl Interceptor for Custom {
    fn before<'a>(&'a self, call: &'a CallView) -> BoxFuture<'a, Result<Verdict, Error>> {
        self.note("before", call, std::str::from_utf8(&call.arguments).unwrap());
        let verdict = match call.arguments.windows(6).any(|part| part == b"secret") {
            true => Verdict::Deny("no secrets".to_owned()),
            false => Verdict::Pass,
        };
        Box::pin(std::future::ready(Ok(verdict)))
    }

    fn after<'a>(&'a self, call: &'a CallView, result: &'a Bytes) -> BoxFuture<'a, Result<Verdict, Error>> {
        self.note("after", call, "");
        let text = String::from_utf8_lossy(result).replace("seen", "seen and checked");
        Box::pin(std::future::ready(Ok(Verdict::Change(text.into()))))
    }

    fn error<'a>(
        &'a self,
        call: &'a CallView,
        error: &'a CallError,
    ) -> BoxFuture<'a, Result<Verdict, Error>> {
        let is_lost = error.to_string().contains("lost");
        self.note("error", call, if is_lost { "lost" } else { "refused" });
        Box::pin(std::future::ready(Ok(Verdict::Pass)))
    }
}

#[tokio::test(start_paused = true)]
async fn tool_call_interceptor_hears_before_after_and_on_error() {
    let mock = Mock::new(&["look", "gone"], |call| match &*call.tool {
        "gone" => Act::Lose,
        _ => Act::Say("seen".to_owned()),
    });
    let custom = Arc::new(Custom::default());
    let rules = Rules { on: vec![Phase::Before, Phase::After, Phase::Error], ..Rules::named("custom") };
    let config = "servers: { a: { command: none, start: eager } }";
    let hook = Arc::clone(&custom);
    let world =
        World::open(config, |builder| builder.transport("a", to(&mock)).interceptor(rules, hook)).await;
    assert_eq!(world.call("a__look", json!({ "at": "sea" })).await, "seen and checked");
    assert!(world.call("a__gone", json!({})).await.contains("lost"));
    assert!(world.call("a__look", json!({ "at": "secret" })).await.contains("no secrets"));
    let told = custom.told.lock().unwrap().clone();
    let expected = [
        r#"before look of a {"at":"sea"}"#,
        "after look of a ",
        "before gone of a {}",
        "error gone of a lost",
        r#"before look of a {"at":"secret"}"#,
        "error look of a refused",
    ];
    assert_eq!(told, expected);
    assert_eq!(mock.calls().len(), 2);
}
