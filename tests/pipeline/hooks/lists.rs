//! Hooks on lists: what a client is shown may be changed or refused, and nobody is asked who does not say that it wants to be.

use serde_json::json;

use super::{asked, with};

/// Hides what begins with `a__c`, adds a note to the rest, and says no to prompts.
const EDITS: &str = r#"
from hook import *

def answer(question):
    event, phase, payload = question["event"], question["phase"], question["payload"]
    if event == "prompts/list" and phase == "request": return deny("no prompts for you")
    if event == "tools/list" and phase == "response":
        tools = [tool for tool in payload["tools"] if not tool["name"].startswith("a__c")]
        for tool in tools: tool["description"] = "seen"
        return {"modified": True, "payload": dict(payload, tools=tools)}
    if event == "resources/list" and phase == "response":
        return {"modified": True, "payload": {"resources": [{"title": "nameless"}]}}
    if event == "resources/templates/list" and phase == "request":
        return {"answer": {"resourceTemplates": [{"name": "mine", "uriTemplate": "mine://{x}"}]}}

serve(answer)
"#;

#[test]
fn a_hook_on_lists_hides_changes_answers_and_refuses() {
    let entry =
        "  - { command: [./edits.py], on: [before, after], events: '*/list', match: 'b__*', timeout: 30s }";
    with(entry, &[("edits.py", EDITS)], |house, peer| {
        let tools = peer.call("tools/list", json!({}));
        let names = tools.names();
        assert!(
            names.contains(&"a__echo".to_owned()) && !names.contains(&"a__count".to_owned()),
            "{names:?}"
        );
        assert_eq!(tools.result()["tools"][0]["description"], "seen", "{}", tools.raw);
        let prompts = peer.call("prompts/list", json!({})).error();
        assert_eq!(prompts["data"]["code"], "SB-HOOK-001", "{prompts}");
        assert!(prompts["message"].as_str().unwrap().contains("no prompts for you"), "{prompts}");
        // A list of things without names is none.
        let resources = peer.call("resources/list", json!({})).error();
        assert_eq!(resources["data"]["code"], "SB-HOOK-002", "{resources}");
        assert!(resources["message"].as_str().unwrap().contains("without `uri`"), "{resources}");
        let templates = peer.call("resources/templates/list", json!({})).result();
        assert_eq!(templates["resourceTemplates"][0]["uriTemplate"], "mine://{x}", "{templates}");
        // What is hidden is not out of reach: that is what hooks on calls are for. This one does not ask for them.
        let before = asked(house, "edits.py").len();
        let counted = peer.tool("a__count", json!({}));
        assert!(counted.text().starts_with("count"), "{}", counted.raw);
        assert_eq!(asked(house, "edits.py").len(), before);
        let question = &asked(house, "edits.py")[0];
        assert_eq!((&question["event"], &question["payload"]), (&json!("tools/list"), &json!({})));
    });
}

#[test]
fn without_a_word_about_lists_nobody_is_asked_about_them() {
    let entry = "  - { command: [./edits.py], on: [before, after, error], match: '*' }";
    with(entry, &[("edits.py", EDITS)], |house, peer| {
        assert!(peer.call("tools/list", json!({})).names().contains(&"a__count".to_owned()));
        peer.call("prompts/list", json!({})).result();
        assert_eq!(asked(house, "edits.py").len(), 0);
    });
}

#[test]
fn a_hook_that_hangs_over_a_list_costs_its_timeout_and_what_the_entry_says() {
    let script = "import time\ntime.sleep(3600)\n";
    for (fail, passes) in [("open", true), ("closed", false)] {
        let entry = format!(
            "  - {{ url: 'http://{}/', on: after, events: tools/list, timeout: 300ms, fail: {fail} }}\n  - {{ command: [./late.py], events: prompts/get }}",
            super::listen(|_, body| {
                if body.contains("tools/list") {
                    std::thread::sleep(std::time::Duration::from_secs(20));
                }
                super::ok(r#"{"valid":true}"#)
            })
        );
        let setup = crate::board::Setup::new().script("a", super::SERVER);
        let house = super::furnished(setup, &entry, &[("late.py", script)], false);
        let peer = house.peer("2025-11-25");
        let begun = std::time::Instant::now();
        let list = peer.call("tools/list", json!({}));
        assert!(begun.elapsed().as_secs() < 10, "{:?}", begun.elapsed());
        match passes {
            true => assert!(list.names().contains(&"a__echo".to_owned()), "{}", list.raw),
            false => assert_eq!(list.error()["data"]["code"], "SB-HOOK-003", "{}", list.raw),
        }
        // The other lists have nothing to do with it.
        peer.call("resources/list", json!({})).result();
        drop(peer);
        house.close();
    }
}
