//! What servers tell on their own: changed lists, changed resources.

use serde_json::{Value, json};

use super::board::Message;
use super::{Cell, each};

fn subscription(message: &Message) -> Value {
    message.params()["_meta"]["io.modelcontextprotocol/subscriptionId"].clone()
}

/// Checks 63, 64, 66: news of a resource for those who follow it, in the way of the era.
fn updates(cell: &Cell<'_>) {
    let uri = cell.uri("//one");
    let is_news = |message: &Message| message.method.as_deref() == Some("notifications/resources/updated");
    assert_eq!(cell.tool("touch", json!({})).text(), "touched");
    assert!(cell.peer.heard_of(is_news).is_empty(), "nobody asked");
    let stop: Box<dyn Fn()> = if cell.has_modern_client() {
        let id = cell.peer.fresh_id();
        let wanted = json!({ "notifications": { "resourceSubscriptions": [uri] } });
        cell.peer.request(&id, "subscriptions/listen", wanted.clone());
        let first = cell.peer.notification("notifications/subscriptions/acknowledged");
        assert_eq!(first.params()["notifications"], wanted["notifications"], "{}", first.raw);
        assert_eq!(subscription(&first).to_string(), id, "check 63");
        Box::new(move || cell.peer.cancel(&id))
    } else {
        assert_eq!(cell.peer.call("resources/subscribe", json!({ "uri": uri })).result(), json!({}));
        Box::new(|| {
            let answer = cell.peer.call("resources/unsubscribe", json!({ "uri": cell.uri("//one") }));
            assert_eq!(answer.result(), json!({}));
        })
    };
    if cell.has_modern_server() {
        // Whoever follows a resource there is told that he does before the server has been.
        let is = |line: &Value| {
            line["method"] == "subscriptions/listen" && line.to_string().contains("resourceSubscriptions")
        };
        cell.house.await_received(&cell.named, 1, is);
    }
    cell.tool("touch", json!({}));
    let news = cell.peer.notification("notifications/resources/updated");
    assert_eq!(news.params()["uri"], uri, "check 66");
    assert_eq!(subscription(&news).is_null(), !cell.has_modern_client(), "{}", news.raw);
    stop();
    if cell.has_modern_server() {
        // Its stream is closed in its own time: the next listening is seen there.
        let gone = |line: &Value| line["method"] == "notifications/cancelled";
        cell.house.await_received(&cell.named, 1, gone);
    } else {
        cell.house.await_received(&cell.named, 1, |line| line["method"] == "resources/unsubscribe");
    }
    cell.tool("touch", json!({}));
    assert!(cell.peer.heard_of(is_news).is_empty(), "check 64");
}

#[test]
fn updates_over_stdio() {
    each(false, "matrix", updates);
}

#[test]
fn updates_over_http() {
    each(true, "matrix", updates);
}

/// Check 37: a list that changed is told of once, to those who want to know, and is another one then.
fn changes(cell: &Cell<'_>) {
    let is_change = |message: &Message| message.method.as_deref() == Some("notifications/tools/list_changed");
    let count = |names: &[String]| names.iter().filter(|name| name.starts_with(&cell.name(""))).count();
    let names = || cell.peer.call("tools/list", json!({})).names();
    let id = cell.peer.fresh_id();
    if cell.has_modern_client() {
        let wanted = json!({ "notifications": { "toolsListChanged": true } });
        cell.peer.request(&id, "subscriptions/listen", wanted);
        cell.peer.notification("notifications/subscriptions/acknowledged");
    }
    let before = names();
    assert!(count(&before) > 2, "{before:?}");
    cell.peer.heard();
    assert_eq!(cell.tool("hide", json!({})).text(), "hidden");
    let told = cell.peer.hear("a changed list", is_change);
    if cell.has_modern_client() {
        assert_eq!(subscription(&told).to_string(), id, "{}", told.raw);
        cell.peer.cancel(&id);
    }
    let after = cell.peer.list_with("tools/list", &cell.name("show"));
    assert_eq!(count(&after), 2, "{after:?}");
    assert_eq!(before.len() - after.len(), count(&before) - 2, "the others' are still there");
}

#[test]
fn changes_over_stdio() {
    each(false, "matrix", changes);
}

/// Check 67: listening brings neither logs nor anything that was not asked for.
#[test]
fn a_stream_of_news_carries_nothing_else() {
    each(true, "matrix", |cell| {
        if !cell.has_modern_client() {
            return;
        }
        let id =
            cell.peer.ask("subscriptions/listen", json!({ "notifications": { "promptsListChanged": true } }));
        let first = cell.peer.notification("notifications/subscriptions/acknowledged");
        assert_eq!(first.params()["notifications"], json!({ "promptsListChanged": true }));
        cell.tool("touch", json!({}));
        cell.tool("talk", json!({}));
        cell.tool("steps", json!({}));
        let rest = cell.peer.heard();
        assert!(rest.is_empty(), "{rest:#?}");
        cell.peer.cancel(&id);
    });
}
