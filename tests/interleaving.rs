//! Hundreds of calls at once that differ in nothing but a nonce: no answer, no progress, no question and no news ever reaches
//! another one. Clients of both eras share one Switchboard, on stdio one process.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper that fails fails the test")]

#[path = "support/board.rs"]
mod board;
#[path = "support/peer.rs"]
mod peer;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use board::{Message, Setup};
use peer::{EVERY, EVERY_LEGACY, House, MODERN, Peer, Round};
use serde_json::{Value, json};

/// The servers: their names, and what they speak.
const SERVERS: [(&str, &str); 3] = [("old", EVERY_LEGACY), ("new", MODERN), ("both", EVERY)];

const SCRIPT: &str = r#"
tools:
  mirror: { structured: { nonce: "{{json nonce}}", meta: "{{json mock.meta}}", id: "{{json mock.id}}" } }
  walk:
    steps:
      - repeat: { times: 3, every: 1ms, steps: [ { progress: { progress: "{{json mock.n}}", total: 3, message: "{{nonce}}" } } ] }
      - { answer: walked, structured: { nonce: "{{json nonce}}", meta: "{{json mock.meta}}", id: "{{json mock.id}}" } }
  stroll:
    steps:
      - repeat: { times: 3, every: 7ms, steps: [ { progress: { progress: "{{json mock.n}}", total: 3, message: "{{nonce}}" } } ] }
      - { answer: strolled, structured: { nonce: "{{json nonce}}", meta: "{{json mock.meta}}", id: "{{json mock.id}}" } }
  ask:
    steps:
      - ask:
          method: elicitation/create
          save: reply
          params: { message: "<{{nonce}}>", requestedSchema: { type: object, properties: { nonce: { type: string } } } }
      - { answer: asked, structured: { nonce: "{{json nonce}}", reply: "{{json reply.content.nonce}}" } }
  touch: { updated: "res://{{nonce}}", answer: "{{nonce}}" }
templates:
  "res://{nonce}": { name: Res, text: "{{nonce}}" }
"#;

fn house(http: bool) -> House {
    let server = |setup: Setup, (name, revisions): &(&str, &str)| {
        setup.script(name, &format!("revisions: {revisions}\n{SCRIPT}"))
    };
    House::over(http, SERVERS.iter().fold(Setup::new(), server))
}

/// Clients of both eras: on stdio one of each, over HTTP several.
fn crowd(house: &House, http: bool, capabilities: &Value) -> Vec<Peer> {
    let revisions: &[&'static str] = match http {
        false => &["2025-11-25", MODERN],
        true => &["2025-06-18", "2025-06-18", "2025-11-25", "2025-11-25", MODERN, MODERN],
    };
    let peers: Vec<Peer> =
        revisions.iter().map(|revision| house.peer_with(revision, capabilities.clone())).collect();
    for peer in &peers {
        for (server, _) in SERVERS {
            peer.list_with("tools/list", &format!("{server}__ask"));
        }
    }
    peers
}

fn structured(answer: &Message) -> Value {
    answer.result()["structuredContent"].clone()
}

fn is_progress(message: &Message) -> bool {
    message.method.as_deref() == Some("notifications/progress")
}

/// Checks 3, 44, 49, 79, 84: answers, progress and metadata reach the request that they belong to, whatever else is under way. That
/// nothing comes on another request's stream or under a token that nobody waits for is checked for every message.
#[test]
fn answers_progress_and_metadata_never_cross() {
    const CALLS: usize = 400;
    for http in [false, true] {
        let house = house(http);
        let peers = crowd(&house, http, &json!({}));
        let mut sent: Vec<(usize, String, Value, Value)> = Vec::new();
        for at in 0..CALLS {
            let peer = at % peers.len();
            let (server, _) = SERVERS[fastrand::usize(..SERVERS.len())];
            let tool = ["mirror", "walk", "stroll"][at % 3];
            // Tokens of both kinds that look alike.
            let token = if fastrand::bool() { json!(at) } else { json!(at.to_string()) };
            let nonce = json!(format!("nonce {at}"));
            let params = json!({
                "name": format!("{server}__{tool}"),
                "arguments": { "nonce": nonce },
                "_meta": { "example.com/nonce": nonce, "progressToken": token },
            });
            let id = if fastrand::bool() {
                peers[peer].fresh_id()
            } else {
                format!("\"{}\"", peers[peer].fresh_id())
            };
            peers[peer].request(&id, "tools/call", params);
            sent.push((peer, id, nonce, token));
        }
        for (peer, id, nonce, _) in &sent {
            let answer = peers[*peer].answer(id);
            let content = structured(&answer);
            assert_eq!(content["nonce"], *nonce, "{}", answer.raw);
            assert_eq!(content["meta"]["example.com/nonce"], *nonce, "{}", answer.raw);
            assert_eq!(content["meta"]["progressToken"], content["id"], "check 49: the token is ours there");
        }
        for (at, peer) in peers.iter().enumerate() {
            let mut heard: HashMap<String, Vec<Value>> = HashMap::new();
            for message in peer.heard_of(is_progress) {
                let params = message.params();
                heard.entry(params["progressToken"].to_string()).or_default().push(params);
            }
            if http || at == 0 {
                // On stdio all share one pipe, and the first one has heard for all.
                let mine = sent.iter().enumerate().filter(|(_, call)| !http || call.0 == at);
                for (number, (_, _, nonce, token)) in mine {
                    let steps = heard.remove(&token.to_string()).unwrap_or_default();
                    let values: Vec<String> = steps.iter().map(|step| step["progress"].to_string()).collect();
                    let expected: &[&str] = if number % 3 == 0 { &[] } else { &["1", "2", "3"] };
                    assert_eq!(values, expected, "{nonce} {token}");
                    let alike = |step: &Value| step.get("message").is_none_or(|message| message == nonce);
                    assert!(steps.iter().all(alike), "{nonce}: {steps:?}");
                }
            }
            assert!(heard.is_empty(), "{heard:?}");
        }
        drop(peers);
        house.close();
    }
}

/// Checks 54, 56, 62: calls that ask their user, of many clients of both eras at one server that does not say in which call it asks.
/// Modern calls take turns until they are asked, wait for their users all at once, and are answered in any order.
#[test]
fn questions_and_their_answers_never_cross() {
    for http in [false, true] {
        let house = house(http);
        let peers = crowd(&house, http, &json!({ "elicitation": {} }));
        let (modern, legacy): (Vec<&Peer>, Vec<&Peer>) = peers.iter().partition(|peer| peer.is_modern());
        let call = |server: &str, nonce: &str| json!({ "name": format!("{server}__ask"), "arguments": { "nonce": nonce } });
        for (server, _) in SERVERS {
            // Sent in one breath, in the order of a shuffled deck.
            let mut deck: Vec<(&Peer, String)> = Vec::new();
            deck.extend((0..54).map(|at| (modern[at % modern.len()], format!("m{at}"))));
            deck.extend((0..12).map(|at| (legacy[at % legacy.len()], format!("l{at}"))));
            fastrand::shuffle(&mut deck);
            let sent: Vec<(&Peer, String, String)> = deck
                .into_iter()
                .map(|(peer, nonce)| (peer, nonce.clone(), peer.ask("tools/call", call(server, &nonce))))
                .collect();
            std::thread::scope(|scope| {
                // Users of older clients answer as they are asked, each for the calls of their own client.
                for peer in &legacy {
                    let count = sent.iter().filter(|(of, ..)| std::ptr::eq(*of, *peer)).count();
                    let mine: HashSet<String> = sent
                        .iter()
                        .filter(|(of, ..)| std::ptr::eq(*of, *peer))
                        .map(|(_, nonce, _)| format!("[{server}] <{nonce}>"))
                        .collect();
                    scope.spawn(move || {
                        for _ in 0..count {
                            let question = peer.hear("a question", |message| message.id.is_some());
                            let message = question.params()["message"].as_str().unwrap().to_owned();
                            assert!(mine.contains(&message), "{message} is another client's");
                            let nonce = message.trim_start_matches(|c| c != '<').trim_matches(['<', '>']);
                            std::thread::sleep(Duration::from_micros(fastrand::u64(..2000)));
                            peer.respond(
                                &question.id.unwrap(),
                                &json!({ "action": "accept", "content": { "nonce": nonce } }),
                            );
                        }
                    });
                }
                let mut parked = Vec::new();
                for (peer, nonce, id) in sent.iter().filter(|(peer, ..)| peer.is_modern()) {
                    let round = Round::expect(&peer.answer(id));
                    assert_eq!(round.questions.len(), 1);
                    assert_eq!(round.questions[0].params["message"], format!("[{server}] <{nonce}>"));
                    parked.push((*peer, nonce.clone(), round));
                }
                let states: HashSet<String> =
                    parked.iter().map(|(_, _, round)| round.state.as_ref().unwrap().to_string()).collect();
                assert_eq!(states.len(), 54, "no state is like another");
                fastrand::shuffle(&mut parked);
                let retried: Vec<(&Peer, String, String)> = parked
                    .into_iter()
                    .map(|(peer, nonce, round)| {
                        let answer = json!({ "action": "accept", "content": { "nonce": nonce } });
                        let id = peer.ask("tools/call", round.retry_all(&call(server, &nonce), &answer));
                        (peer, nonce, id)
                    })
                    .collect();
                let older = sent.iter().filter(|(peer, ..)| !peer.is_modern());
                for (peer, nonce, id) in older.chain(&retried) {
                    let answer = peer.answer(id);
                    let content = structured(&answer);
                    assert_eq!(content, json!({ "nonce": nonce, "reply": nonce }), "{}", answer.raw);
                }
            });
        }
        drop(peers);
        house.close();
    }
}

/// Checks 54, 56: an answer to the question of another call, under that call's key, answers nothing.
#[test]
fn an_answer_under_another_calls_key_is_none() {
    let house = house(false);
    let peer = house.peer(MODERN);
    let (server, _) = SERVERS[0];
    peer.list_with("tools/list", &format!("{server}__ask"));
    let call = |nonce: &str| json!({ "name": format!("{server}__ask"), "arguments": { "nonce": nonce } });
    let rounds = ["a", "b"].map(|nonce| Round::expect(&peer.call("tools/call", call(nonce))));
    let answer = |nonce: &str| json!({ "action": "accept", "content": { "nonce": nonce } });
    // `b`'s key in `a`'s retry: `a` is asked again, and `b` has not been answered.
    let crossed = rounds[0].retry(&call("a"), [(rounds[1].questions[0].key.clone(), answer("b"))]);
    let again = Round::expect(&peer.call("tools/call", crossed));
    assert_eq!(again.questions[0].params["message"], format!("[{server}] <a>"));
    for (nonce, round) in [("b", &rounds[1]), ("a", &again)] {
        let content = structured(&peer.call("tools/call", round.retry_all(&call(nonce), &answer(nonce))));
        assert_eq!(content, json!({ "nonce": nonce, "reply": nonce }));
    }
    drop(peer);
    house.close();
}

/// Checks 63, 64, 66, 79: a hundred streams of news, each for one resource: each hears of its own, under its own id, and nothing
/// after it was given up.
#[test]
fn news_reach_those_who_asked_for_them() {
    const STREAMS: usize = 100;
    for http in [false, true] {
        let house = house(http);
        let peers: Vec<Peer> = (0..if http { 3 } else { 1 }).map(|_| house.peer(MODERN)).collect();
        let (server, _) = SERVERS[0];
        peers.iter().for_each(|peer| drop(peer.list_with("tools/list", &format!("{server}__touch"))));
        let uri = |at: usize| format!("res://{at:03}");
        // Ids that look alike, of both kinds.
        let ids: Vec<String> = (0..STREAMS)
            .map(|at| {
                let peer = &peers[at % peers.len()];
                let id =
                    if at % 2 == 0 { format!("{}", 9000 + at) } else { format!("\"{}\"", 9000 + at - 1) };
                let wanted = json!({ "notifications": { "resourceSubscriptions": [uri(at)] } });
                peer.request(&id, "subscriptions/listen", wanted);
                id
            })
            .collect();
        let subscription = |message: &Message| {
            message.params()["_meta"]["io.modelcontextprotocol/subscriptionId"].to_string()
        };
        let of = |at: usize| &peers[at % peers.len()];
        for (at, id) in ids.iter().enumerate() {
            let first = of(at).hear("an acknowledgement", |message| subscription(message) == *id);
            assert_eq!(
                first.method.as_deref(),
                Some("notifications/subscriptions/acknowledged"),
                "{}",
                first.raw
            );
            assert_eq!(first.params()["notifications"], json!({ "resourceSubscriptions": [uri(at)] }));
        }
        house.await_received(server, STREAMS, |line| line["method"] == "resources/subscribe");
        let mut order: Vec<usize> = (0..STREAMS).collect();
        fastrand::shuffle(&mut order);
        // The last ten are given up before anything happens.
        let (left, gone) = order.split_at(STREAMS - 10);
        gone.iter().for_each(|at| of(*at).cancel(&ids[*at]));
        let ended = house.await_received(server, 10, |line| line["method"] == "resources/unsubscribe");
        let uris: HashSet<String> =
            ended.iter().map(|line| line["params"]["uri"].as_str().unwrap().to_owned()).collect();
        assert_eq!(uris, gone.iter().map(|at| uri(*at)).collect(), "check 64");
        for at in &order {
            let touched = peers[0].tool(&format!("{server}__touch"), json!({ "nonce": format!("{at:03}") }));
            assert_eq!(touched.text(), format!("{at:03}"));
        }
        for at in left {
            let news = of(*at).hear("news", |message| subscription(message) == ids[*at]);
            assert_eq!(news.method.as_deref(), Some("notifications/resources/updated"));
            assert_eq!(news.params()["uri"], uri(*at), "{}", news.raw);
        }
        peers.iter().for_each(|peer| drop(peer.call("server/discover", json!({}))));
        let rest: Vec<String> =
            peers.iter().flat_map(|peer| peer.heard()).map(|message| message.raw).collect();
        assert!(rest.is_empty(), "{rest:#?}");
        left.iter().for_each(|at| of(*at).cancel(&ids[*at]));
        drop(peers);
        house.close();
    }
}

/// Checks 64, 65: news are followed at the server as long as anybody listens for them, and again after it was restarted.
#[test]
fn a_resource_is_followed_as_long_as_anybody_listens() {
    let script = "
tools: { touch: { updated: \"res://x\", answer: ok }, die: { exit: 3 } }
resources: { \"res://x\": { name: X, text: x } }
";
    let house = House::http(Setup::new().script("a", script));
    let peers: Vec<Peer> = (0..3).map(|_| house.peer(MODERN)).collect();
    peers[0].list_with("tools/list", "a__touch");
    let wanted = json!({ "notifications": { "resourceSubscriptions": ["res://x"] } });
    let ids: Vec<String> =
        peers.iter().map(|peer| peer.ask("subscriptions/listen", wanted.clone())).collect();
    for peer in &peers {
        let first = peer.notification("notifications/subscriptions/acknowledged");
        assert_eq!(first.params()["notifications"], json!({ "resourceSubscriptions": ["res://x"] }));
    }
    let news = |peer: &Peer| drop(peer.notification("notifications/resources/updated"));
    assert_eq!(peers[0].tool("a__touch", json!({})).text(), "ok");
    peers.iter().for_each(news);
    let died = peers[0].tool("a__die", json!({}));
    assert_eq!(died.result()["isError"], true, "{}", died.raw);
    assert_eq!(peers[0].tool("a__touch", json!({})).text(), "ok");
    peers.iter().for_each(news);
    let is = |method: &'static str| move |line: &Value| line["method"] == method;
    let before = house.received("a").iter().filter(|line| is("resources/unsubscribe")(line)).count();
    assert_eq!(before, 0);
    for (peer, id) in peers.iter().zip(&ids).take(2) {
        peer.cancel(id);
    }
    assert_eq!(peers[2].tool("a__touch", json!({})).text(), "ok");
    news(&peers[2]);
    let early = house.received("a").iter().filter(|line| is("resources/unsubscribe")(line)).count();
    assert_eq!(early, 0, "one still listens");
    peers[2].cancel(&ids[2]);
    house.await_received("a", 1, is("resources/unsubscribe"));
    drop(peers);
    house.close();
}

/// Checks 62, 79: a server that asks again in the middle of a call that waits for its user. Whose the question is cannot be known
/// then; with `questions: exclusive` nobody else is there whose it could be.
#[test]
fn a_second_question_of_a_resting_call_reaches_nobody_else() {
    let script = r#"
tools:
  twice:
    steps:
      - ask: { method: elicitation/create, wait: false, params: { message: "first of {{nonce}}", requestedSchema: { type: object, properties: {} } } }
      - sleep: 150ms
      - ask: { method: elicitation/create, params: { message: "second of {{nonce}}", requestedSchema: { type: object, properties: {} } } }
      - answer: "{{nonce}}"
  busy: { delay: 400ms, answer: "{{nonce}}" }
"#;
    let house = House::stdio(Setup::new().script("a", script).keys("questions: exclusive"));
    let peer = house.peer(MODERN);
    peer.list_with("tools/list", "a__twice");
    let call =
        |tool: &str, nonce: &str| json!({ "name": format!("a__{tool}"), "arguments": { "nonce": nonce } });
    let params = call("twice", "A");
    let accept = json!({ "action": "accept" });
    let first = Round::expect(&peer.call("tools/call", params.clone()));
    assert_eq!(first.questions[0].params["message"], "[a] first of A");
    let other = peer.ask("tools/call", call("busy", "B"));
    let second = Round::expect(&peer.call("tools/call", first.retry_all(&params, &accept)));
    assert_eq!(second.questions[0].params["message"], "[a] second of A");
    assert_eq!(peer.call("tools/call", second.retry_all(&params, &accept)).text(), "A");
    assert_eq!(peer.answer(&other).text(), "B");
    drop(peer);
    house.close();
}
