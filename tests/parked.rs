//! Calls of modern clients that wait here for an answer of the user, because an older server asks in the middle of its work: what
//! becomes of them when clients are honest, forgetful, hasty or hostile. The numbers are those of the list of checks in the
//! project's brief of the protocol.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper that fails fails the test")]

#[path = "support/board.rs"]
mod board;
#[path = "support/peer.rs"]
mod peer;

use std::collections::HashSet;
use std::time::{Duration, Instant};

use board::{DEADLINE, Message, Setup};
use peer::{EVERY_LEGACY, House, MODERN, Peer, Request, Round};
use serde_json::{Value, json};

/// One server `a` of the older era that asks the user in every way there is.
fn asking() -> Setup {
    Setup::new().script("a", &older())
}

fn older() -> String {
    peer::speaking(EVERY_LEGACY, "asks")
}

fn serve(http: bool) -> (House, Peer) {
    let house = House::over(http, asking());
    let peer = house.peer(MODERN);
    peer.list_with("tools/list", "a__form");
    (house, peer)
}

fn form(nonce: &str) -> Value {
    json!({ "name": "a__form", "arguments": { "nonce": nonce } })
}

fn accept(name: &str) -> Value {
    json!({ "action": "accept", "content": { "name": name } })
}

/// Fails unless a call was refused because its time or its turn is over; gives what is said about it.
#[track_caller]
fn expect_over(answer: &Message) -> String {
    let text = match &answer.error {
        Some(_) => {
            assert_eq!(answer.code(), -32602, "{}", answer.raw);
            answer.error()["message"].as_str().unwrap().to_owned()
        }
        None => {
            assert_eq!(answer.result()["isError"], true, "{}", answer.raw);
            assert_eq!(answer.result()["resultType"], "complete", "{}", answer.raw);
            answer.text()
        }
    };
    assert!(text.contains("SB-BRIDGE-002") || text.contains("interaction is over"), "{text}");
    text
}

/// Whether a server was sent this answer to a question of its own.
fn is_answer(message: &Value, action: &str) -> bool {
    message["result"]["action"] == action
}

fn is_cancel(message: &Value) -> bool {
    message["method"] == "notifications/cancelled"
}

// === the honest way ===

/// Check 56: the client gets `input_required`, and its retry completes the call that has been waiting. Check 60: the question
/// names its server. Check 19: no request is written to the client.
#[test]
fn a_retry_completes_the_call_that_has_been_waiting() {
    for http in [false, true] {
        let (house, peer) = serve(http);
        let asked = peer.call("tools/call", form("n1"));
        let round = Round::expect(&asked);
        assert_eq!(asked.result()["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "switchboard");
        assert!(round.state.as_ref().is_some_and(Value::is_string), "{}", asked.raw);
        assert!(asked.result().get("ttlMs").is_none(), "check 38: {}", asked.raw);
        let [question] = &round.questions[..] else { panic!("{}", asked.raw) };
        assert_eq!(question.method, "elicitation/create");
        assert_eq!(question.params["message"], "[a] Who are you, n1?");
        assert_eq!(question.params["requestedSchema"]["properties"]["age"]["minimum"].to_string(), "0");
        let answer = peer.call("tools/call", round.retry_all(&form("n1"), &accept("Ada")));
        assert_eq!(answer.text(), r#"n1: accept {"name":"Ada"}"#);
        assert_eq!(answer.result()["resultType"], "complete");
        assert!(peer.heard().iter().all(|message| message.id.is_none()));
        assert_eq!(house.await_received("a", 1, |line| line["params"]["name"] == "form").len(), 1);
        drop(peer);
        house.close();
    }
}

/// Check 56, several rounds: each has a state of its own, and progress goes to the round that asks for it.
#[test]
fn every_question_in_a_row_is_a_round() {
    for http in [false, true] {
        let (house, peer) = serve(http);
        let params = |token: &str| json!({ "name": "a__in_a_row", "arguments": { "nonce": "n" }, "_meta": { "progressToken": token } });
        let first = Round::expect(&peer.call("tools/call", params("one")));
        assert_eq!(first.questions[0].params["message"], "[a] First, n?");
        let second = Round::expect(&peer.call("tools/call", first.retry_all(&params("two"), &accept("x"))));
        assert_eq!(second.questions[0].params["message"], "[a] Second, n?");
        assert_ne!(first.state, second.state);
        let again = peer.call("tools/call", first.retry_all(&params("three"), &accept("x")));
        expect_over(&again);
        let last = second.retry_all(&params("four"), &json!({ "action": "decline" }));
        assert_eq!(peer.call("tools/call", last).text(), "n: accept decline");
        let progress = peer.heard_of(|message| message.method.as_deref() == Some("notifications/progress"));
        let tokens: Vec<Value> =
            progress.iter().map(|message| message.params()["progressToken"].clone()).collect();
        // The server knows one token; whoever waits for the call at the time hears of it.
        assert_eq!(tokens, ["two"], "{progress:#?}");
        drop(peer);
        house.close();
    }
}

/// Check 57: prompts and resources may ask, too.
#[test]
fn prompts_and_resources_may_ask() {
    let (house, peer) = serve(false);
    let roots = |_: &peer::Question| json!({ "roots": [{ "uri": "file:///r" }] });
    let prompt = peer.converse("prompts/get", json!({ "name": "a__ask" }), roots);
    assert!(
        prompt.raw.contains("file:///r") && prompt.result()["resultType"] == "complete",
        "{}",
        prompt.raw
    );
    let resource = peer.converse("resources/read", json!({ "uri": "ask://one" }), roots);
    assert!(resource.raw.contains("file:///r"), "{}", resource.raw);
    assert_eq!(resource.result()["cacheScope"], "private", "{}", resource.raw);
    drop(peer);
    house.close();
}

// === answers that do not fit ===

/// Check 58: what was left out is asked for again, under the same key; what was not asked for is ignored.
#[test]
fn partial_answers_are_asked_for_again_and_extra_ones_ignored() {
    for http in [false, true] {
        let (house, peer) = serve(http);
        let params = json!({ "name": "a__at_once", "arguments": { "nonce": "n" } });
        let round = Round::expect(&peer.call("tools/call", params.clone()));
        assert_eq!(round.questions.len(), 2, "{round:#?}");
        let of = |method: &str| {
            round.questions.iter().find(|question| question.method == method).unwrap().key.clone()
        };
        let (who, place) = (of("elicitation/create"), of("roots/list"));
        // Nothing, something foreign, and things of the wrong form: everything is asked for again.
        let foreign = [
            ("stranger".to_owned(), json!({ "action": "accept" })),
            (who.clone(), json!("accept")),
            (place.clone(), json!([])),
        ];
        let again = Round::expect(&peer.call("tools/call", round.retry(&params, foreign)));
        let keys = |round: &Round| {
            round.questions.iter().map(|question| question.key.clone()).collect::<HashSet<_>>()
        };
        assert_eq!(keys(&again), keys(&round));
        let half =
            again.retry(&params, [(who.clone(), json!({ "action": "cancel" })), ("x".to_owned(), json!({}))]);
        let rest = Round::expect(&peer.call("tools/call", half));
        assert_eq!(keys(&rest), HashSet::from([place.clone()]));
        // An answer that was given cannot be changed in a later round.
        let last = rest.retry(&params, [(who, accept("late")), (place, json!({ "roots": [] }))]);
        assert_eq!(peer.call("tools/call", last).text(), "n: cancel []");
        drop(peer);
        house.close();
    }
}

/// Checks 56 and 79: an answer with an action that no elicitation has reaches nobody as one.
#[test]
fn an_answer_that_is_none_is_an_error_to_the_server() {
    let (house, peer) = serve(false);
    let round = Round::expect(&peer.call("tools/call", form("n")));
    let answer = peer.call("tools/call", round.retry_all(&form("n"), &json!({ "action": "perhaps" })));
    assert!(answer.error.is_some() || answer.result()["content"][0]["text"].is_string(), "{}", answer.raw);
    house.await_received("a", 1, |line| line["error"]["code"] == -32602);
    drop(peer);
    house.close();
}

// === hostile states ===

/// Check 56: a state that is tampered with, foreign, of another request or no state at all is refused, and none of it harms the
/// call that waits.
#[test]
fn a_state_opens_nothing_but_its_own_call() {
    let (other_house, other) = serve(false);
    let foreign = Round::expect(&other.call("tools/call", form("n"))).state.unwrap();
    for http in [false, true] {
        let (house, peer) = serve(http);
        let round = Round::expect(&peer.call("tools/call", form("n")));
        let good = round.state.as_ref().unwrap().as_str().unwrap().to_owned();
        let flipped = |at: usize| {
            let mut bytes = good.clone().into_bytes();
            bytes[at] = if bytes[at] == b'0' { b'1' } else { b'0' };
            json!(String::from_utf8(bytes).unwrap())
        };
        let mut states: Vec<Value> =
            [0, 1, good.len() / 2, good.len() - 1].into_iter().map(flipped).collect();
        states.extend([
            json!(&good[..good.len() - 2]),
            json!(&good[2..]),
            json!(format!("{good}00")),
            json!(format!(" {good}")),
            json!(good.repeat(2)),
            json!(""),
            json!("x"),
            json!("\u{0}日🙂"),
            json!("f".repeat(100_000)),
            foreign.clone(),
            json!(null),
            json!(7),
            json!({ "state": good }),
            json!([good]),
        ]);
        let answers = |state: Value, params: Value| {
            let round = Round { state: Some(state), ..round.clone() };
            round.retry_all(&params, &accept("Mallory"))
        };
        for state in states {
            let answer = peer.call("tools/call", answers(state.clone(), form("n")));
            assert_eq!(answer.code(), -32602, "{:.80}: {:.300}", state.to_string(), answer.raw);
        }
        // The right state with another request.
        let stolen = json!(good);
        let others = [
            ("tools/call", form("m")),
            ("tools/call", json!({ "name": "a__form" })),
            ("tools/call", json!({ "name": "a__form", "arguments": { "nonce": "n", "x": 1 } })),
            ("tools/call", json!({ "name": "a__url", "arguments": { "nonce": "n" } })),
            ("tools/call", json!({ "name": "a__form", "arguments": { "nonce": "n" }, "extra": 1 })),
            ("prompts/get", json!({ "name": "a__form", "arguments": { "nonce": "n" } })),
            ("prompts/get", json!({ "name": "a__ask" })),
            ("resources/read", json!({ "uri": "ask://one" })),
        ];
        for (method, params) in others {
            let answer = peer.call(method, answers(stolen.clone(), params.clone()));
            assert_eq!(answer.code(), -32602, "{method} {params}: {:.300}", answer.raw);
        }
        assert!(!house.received("a").iter().any(|line| is_answer(line, "accept")), "nothing was answered");
        let honest = peer.call("tools/call", round.retry_all(&form("n"), &accept("Ada")));
        assert_eq!(honest.text(), r#"n: accept {"name":"Ada"}"#);
        // Used once, it is used up.
        expect_over(&peer.call("tools/call", round.retry_all(&form("n"), &accept("Ada"))));
        assert_eq!(house.received("a").iter().filter(|line| is_answer(line, "accept")).count(), 1);
        drop(peer);
        house.close();
    }
    drop(other);
    other_house.close();
}

/// Check 56: of two retries with one state that come at once, one goes on with the call.
#[test]
fn of_two_retries_at_once_one_counts() {
    let (house, peer) = serve(false);
    for turn in 0..10 {
        let params = form(&format!("n{turn}"));
        let round = Round::expect(&peer.call("tools/call", params.clone()));
        let ids: Vec<String> =
            ["Ada", "Bob"].map(|name| peer.ask("tools/call", round.retry_all(&params, &accept(name)))).into();
        let first = peer.answer(&ids[0]);
        assert_eq!(first.text(), format!(r#"n{turn}: accept {{"name":"Ada"}}"#));
        expect_over(&peer.answer(&ids[1]));
    }
    assert_eq!(house.received("a").iter().filter(|line| is_answer(line, "accept")).count(), 10);
    drop(peer);
    house.close();
}

/// Checks 56 and 59: a state whose time is over is refused, and so are all those of calls that were let go.
#[test]
fn a_state_expires() {
    for http in [false, true] {
        let setup = asking().keys("timeouts: { question: 100ms }");
        let house = House::over(http, setup);
        let peer = house.peer(MODERN);
        peer.list_with("tools/list", "a__form");
        let round = Round::expect(&peer.call("tools/call", form("n")));
        house.await_received("a", 1, is_cancel);
        house.await_received("a", 1, |line| is_answer(line, "cancel"));
        expect_over(&peer.call("tools/call", round.retry_all(&form("n"), &accept("Ada"))));
        assert!(!house.received("a").iter().any(|line| is_answer(line, "accept")));
        drop(peer);
        house.close();
    }
}

/// Check 56: a state given to one principal opens nothing for another one, or for nobody in particular.
#[test]
fn a_state_belongs_to_whom_it_was_given() {
    let setup = asking().config(&format!("http: {{ tokens: {{ alice: {ALICE}, bob: {BOB} }} }}"));
    let house = House::http(setup);
    let client = |token| house.stranger(MODERN, peer::everything(MODERN), token);
    let alice = client(Some(ALICE));
    let bob = client(Some(BOB));
    alice.list_with("tools/list", "a__form");
    let round = Round::expect(&alice.call("tools/call", form("n")));
    let retry = round.retry_all(&form("n"), &accept("Bob"));
    let stolen = bob.call("tools/call", retry.clone());
    assert_eq!(stolen.code(), -32602, "{}", stolen.raw);
    // Without a token, or with a wrong one, nobody comes as far as that.
    for token in [None, Some("alice-0123456789abcdeF"), Some("")] {
        let stranger = client(token);
        let params = stranger.dressed(retry.clone());
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params }).to_string();
        let headers = stranger.headers(Some(("tools/call", &params)));
        assert_eq!(Request { method: "POST", headers, body }.reply(house.address()).status, 401, "{token:?}");
    }
    let answer = alice.call("tools/call", round.retry_all(&form("n"), &accept("Ada")));
    assert_eq!(answer.text(), r#"n: accept {"name":"Ada"}"#);
    drop((alice, bob));
    house.close();
}

// === clients that leave, and servers ===

/// Check 59: a thousand calls whose clients never come back are let go: the servers hear that they are cancelled, and that nobody
/// answers; nothing is kept of them.
#[test]
fn a_thousand_calls_that_nobody_comes_back_to_leave_nothing() {
    forget_a_thousand(false);
}

/// The same over HTTP.
#[test]
fn a_thousand_calls_over_http_that_nobody_comes_back_to_leave_nothing() {
    forget_a_thousand(true);
}

fn forget_a_thousand(http: bool) {
    const SERVERS: usize = 20;
    let setup = (0..SERVERS).fold(Setup::new(), |setup, at| {
        setup.script(&format!("s{at}"), &older()).keys("timeouts: { question: 300ms, idle_stop: 1s }")
    });
    let house = House::over(http, setup);
    let peer = house.peer(MODERN);
    for at in 0..SERVERS {
        peer.list_with("tools/list", &format!("s{at}__form"));
    }
    let let_go = |line: &Value| is_answer(line, "cancel") || is_cancel(line);
    let wave = |each: usize, wave: &str| {
        let count = |at| house.received(&format!("s{at}")).iter().filter(|line| let_go(line)).count();
        let before: Vec<usize> = (0..SERVERS).map(count).collect();
        let call = |turn: usize, at: usize| json!({ "name": format!("s{at}__form"), "arguments": { "nonce": format!("{wave}-{turn}-{at}") } });
        let all: Vec<Value> = (0..each).flat_map(|turn| (0..SERVERS).map(move |at| call(turn, at))).collect();
        let ids: Vec<String> = all.iter().map(|params| peer.ask("tools/call", params.clone())).collect();
        let mut states = HashSet::new();
        for (id, params) in ids.iter().zip(&all) {
            let answer = peer.answer(id);
            let nonce = params["arguments"]["nonce"].as_str().unwrap();
            let Some(round) = Round::of(&answer) else {
                // The time began when the server asked; on a busy machine it may be over already.
                assert_eq!(answer.text(), format!("{nonce}: cancel "));
                continue;
            };
            assert!(round.questions[0].params["message"].as_str().unwrap().contains(nonce));
            assert!(states.insert(round.state.unwrap().to_string()));
        }
        assert!(states.len() > all.len() / 2, "{} of {} were parked", states.len(), all.len());
        for (at, before) in before.iter().enumerate() {
            let name = format!("s{at}");
            // It is told of each that it is cancelled, or that nobody answers, and of most of them both.
            house.await_received(&name, before + each, let_go);
        }
    };
    wave(25, "first");
    let (files, memory) = (peer::open_files(house.pid()), peer::resident_kib(house.pid()));
    wave(25, "second");
    let until = Instant::now() + DEADLINE;
    while peer::open_files(house.pid()) > files && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(
        peer::open_files(house.pid()) <= files,
        "{} open files, {files} before",
        peer::open_files(house.pid())
    );
    let grown = peer::resident_kib(house.pid()).saturating_sub(memory);
    assert!(grown < 8 << 10, "{grown} KiB more than before");
    // A server with a call open is not stopped for idleness.
    let until = Instant::now() + DEADLINE;
    while !(0..SERVERS).all(|at| peer.status(&format!("s{at}")).contains(": idle")) {
        assert!(Instant::now() < until, "{}", peer.tool("switchboard__status", json!({})).text());
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(peer);
    house.close();
}

/// Checks 50 and 51: cancelling the retry cancels the call, however many rounds it had; the state is used up.
#[test]
fn cancelling_a_retry_cancels_the_call() {
    let script = "
tools:
  form:
    steps:
      - ask: { method: elicitation/create, params: { message: m, requestedSchema: { type: object, properties: {} } } }
      - progress: 1
      - wait_cancel: 10s
      - stderr: 'was cancelled: {{cancelled}}'
      - answer: too late
";
    for http in [false, true] {
        let house = House::over(http, Setup::new().script("a", script));
        let peer = house.peer(MODERN);
        peer.list_with("tools/list", "a__form");
        let params = json!({ "name": "a__form", "_meta": { "progressToken": "t" } });
        let round = Round::expect(&peer.call("tools/call", params.clone()));
        let retry = round.retry_all(&params, &json!({ "action": "accept" }));
        let id = peer.ask("tools/call", retry.clone());
        peer.notification("notifications/progress");
        peer.cancel(&id);
        let cancel = house.await_received("a", 1, is_cancel);
        let calls = house.await_received("a", 1, |line| line["method"] == "tools/call");
        assert_eq!(cancel[0]["params"]["requestId"], calls[0]["id"]);
        assert!(peer.answer_within(Duration::from_millis(100), &id).is_none());
        expect_over(&peer.call("tools/call", retry));
        // One that is over, and one that never was, are ignored.
        if !http {
            peer.cancel(&id);
            peer.cancel("\"never was\"");
        }
        assert!(peer.call("tools/list", json!({})).names().contains(&"a__form".to_owned()));
        drop(peer);
        house.close();
    }
}

/// Check 50: calls that are cancelled before the client was asked leave no question open at the server, which could ask nothing
/// more after some hundreds of them.
#[test]
fn questions_of_cancelled_calls_do_not_pile_up() {
    cancel_many("2025-11-25");
}

/// The same with a modern client.
#[test]
fn questions_of_cancelled_modern_calls_do_not_pile_up() {
    cancel_many(MODERN);
}

fn cancel_many(revision: &'static str) {
    let script = "
tools:
  hasty:
    steps:
      - ask: { method: elicitation/create, wait: false, params: { message: m, requestedSchema: { type: object, properties: {} } } }
      - progress: 1
      - hang: true
  form:
    ask: { method: elicitation/create, save: reply, params: { message: m, requestedSchema: { type: object, properties: {} } } }
    answer: 'asked: {{reply.action}}'
";
    let house = House::stdio(Setup::new().script("a", script));
    let peer = house.peer(revision);
    peer.list_with("tools/list", "a__form");
    for turn in 0..300 {
        let id = peer.ask("tools/call", json!({ "name": "a__hasty", "_meta": { "progressToken": turn } }));
        peer.notification("notifications/progress");
        peer.cancel(&id);
    }
    house.await_received("a", 300, is_cancel);
    peer.heard();
    let params = json!({ "name": "a__form" });
    let answer = peer.converse("tools/call", params, |_| json!({ "action": "decline" }));
    assert_eq!(answer.text(), "asked: decline", "{revision}");
    drop(peer);
    house.close();
}

/// Check 53: when the server dies while the call waits for its user, the retry is told so, and the server is there again.
#[test]
fn a_server_that_dies_while_its_call_is_parked_is_told_of() {
    let script = "
tools:
  form:
    ask: { method: elicitation/create, params: { message: m, requestedSchema: { type: object, properties: {} } } }
    answer: asked
  die: { stderr: 'out of paper', exit: 3 }
";
    for http in [false, true] {
        let house = House::over(http, Setup::new().script("a", script));
        let peer = house.peer(MODERN);
        peer.list_with("tools/list", "a__form");
        let params = json!({ "name": "a__form" });
        let parked: Vec<Round> =
            (0..5).map(|_| Round::expect(&peer.call("tools/call", params.clone()))).collect();
        assert!(peer.tool("a__die", json!({})).result()["isError"].as_bool().unwrap());
        for round in parked {
            let retry = round.retry_all(&params, &json!({ "action": "accept" }));
            let answer = peer.call("tools/call", retry.clone());
            let text = answer.text();
            assert_eq!(answer.result()["isError"], true, "{text}");
            assert!(text.contains("`a`") && text.contains("out of paper"), "{text}");
            expect_over(&peer.call("tools/call", retry));
        }
        let answer = peer.converse("tools/call", params, |_| json!({ "action": "accept" }));
        assert_eq!(answer.text(), "asked");
        drop(peer);
        house.close();
    }
}

/// A server that takes its question back and goes on: the retry is answered with what became of the call.
#[test]
fn a_question_that_the_server_takes_back_needs_no_answer() {
    let script = "
tools:
  form:
    steps:
      - ask: { method: elicitation/create, wait: false, params: { message: m, requestedSchema: { type: object, properties: {} } } }
      - sleep: 200ms
      - answer: went on without you
";
    let house = House::stdio(Setup::new().script("a", script));
    let peer = house.peer(MODERN);
    peer.list_with("tools/list", "a__form");
    let params = json!({ "name": "a__form" });
    let round = Round::expect(&peer.call("tools/call", params.clone()));
    let answer = peer.call("tools/call", round.retry_all(&params, &json!({ "action": "accept" })));
    assert_eq!(answer.text(), "went on without you");
    drop(peer);
    house.close();
}

/// Check 9: a client on stdio that leaves while calls wait for it does not delay the end.
#[test]
fn a_client_that_leaves_ends_everything() {
    let (house, peer) = serve(false);
    for nonce in ["1", "2", "3"] {
        Round::expect(&peer.call("tools/call", form(nonce)));
    }
    let begun = Instant::now();
    drop(peer);
    house.close();
    assert!(begun.elapsed() < Duration::from_millis(1900), "{:?}", begun.elapsed());
}

/// Checks 50 and 53: a request that is given up while it waits for servers to show what they have is forgotten, and nobody is called
/// for it; everything else goes on.
#[test]
fn a_call_that_is_cancelled_before_its_server_is_known_never_reaches_it() {
    let script = "
on: { initialize: { delay: 400ms } }
tools: { late: { answer: here }, other: { answer: there } }
";
    for http in [false, true] {
        let house = House::over(http, Setup::new().script("a", script));
        let peer = house.peer(MODERN);
        let id = peer.ask("tools/call", json!({ "name": "a__late" }));
        let discovered = peer.call("server/discover", json!({}));
        assert_eq!(discovered.result()["resultType"], "complete", "check 42: it waits for nobody");
        peer.cancel(&id);
        assert_eq!(peer.tool("a__other", json!({})).text(), "there");
        let calls = house.await_received("a", 1, |line| line["method"] == "tools/call");
        assert_eq!(calls.len(), 1, "{calls:#?}");
        assert_eq!(calls[0]["params"]["name"], "other");
        drop(peer);
        house.close();
    }
}

// === hostile ids over HTTP ===

const ALICE: &str = "alice-0123456789abcdef";
const BOB: &str = "bob-0123456789abcdef";

/// Checks 76, 79: a session that is another's, forged, ended or not named is none, for every method; an answer given in another
/// session answers nothing.
#[test]
fn a_session_belongs_to_whom_it_was_given() {
    let config = format!("http: {{ tokens: {{ alice: {ALICE}, bob: {BOB} }} }}");
    let house = House::http(asking().config(&config));
    let client = |token| {
        let peer = house.stranger("2025-11-25", json!({ "elicitation": {} }), Some(token));
        peer.initialize();
        peer.list_with("tools/list", "a__form");
        peer
    };
    let (alice, bob) = (client(ALICE), client(BOB));
    let id = alice.session().unwrap();
    assert_ne!(alice.session(), bob.session());
    let send = |method, token: &str, sessions: &[&str], event: Option<&str>, body: &str| {
        let mut headers = vec![
            ("Accept".to_owned(), "application/json, text/event-stream".to_owned()),
            ("Authorization".to_owned(), format!("Bearer {token}")),
        ];
        headers.extend(sessions.iter().map(|id| ("Mcp-Session-Id".to_owned(), (*id).to_owned())));
        headers.extend(event.map(|event| ("Last-Event-ID".to_owned(), event.to_owned())));
        Request { method, headers, body: body.to_owned() }.reply(house.address()).status
    };
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    assert_eq!(send("POST", ALICE, &[&id], None, ping), 200);
    let swapped = if id.starts_with('0') { id.replacen('0', "1", 1) } else { format!("0{}", &id[1..]) };
    let forged = [&swapped, &id[1..], &format!("{id}0"), &id.to_uppercase(), "0", "../x", &"f".repeat(9000)];
    for (token, session) in forged.iter().map(|forged| (ALICE, *forged)).chain([(BOB, &*id)]) {
        if session == id && token == ALICE {
            continue;
        }
        for method in ["POST", "GET", "DELETE"] {
            assert_eq!(send(method, token, &[session], None, ping), 404, "{method} {session:.60}");
        }
    }
    assert_eq!(send("POST", ALICE, &[], None, ping), 400);
    assert_eq!(send("POST", ALICE, &[&id, &id], None, ping), 400);
    assert_eq!(send("POST", ALICE, &[""], None, ping), 404);
    assert_eq!(send("POST", "nobody", &[&id], None, ping), 401);
    for event in ["x", "0.0.0", "00000000.0.1", &format!("{id}.0.1"), "-1", &"9".repeat(5000)] {
        assert_eq!(send("GET", ALICE, &[&id], Some(event), ""), 400, "{event:.60}");
    }

    // A question of Alice's call, answered by Bob in his own session under the same number.
    let call = alice.ask("tools/call", form("n"));
    let question = alice.hear("a question", |message| message.id.is_some()).id.unwrap();
    bob.respond(&question, &accept("Bob"));
    assert_eq!(bob.call("ping", Value::Null).result(), json!({}));
    alice.respond(&question, &accept("Ada"));
    assert_eq!(alice.answer(&call).text(), r#"n: accept {"name":"Ada"}"#);
    assert!(!house.received("a").iter().any(|line| line["result"]["content"]["name"] == "Bob"));
    // Nor does he cancel it.
    let call = alice.ask("tools/call", form("m"));
    let question = alice.hear("a question", |message| message.id.is_some()).id.unwrap();
    bob.notify(
        "notifications/cancelled",
        json!({ "requestId": serde_json::from_str::<Value>(&call).unwrap() }),
    );
    alice.respond(&question, &accept("Ada"));
    assert_eq!(alice.answer(&call).text(), r#"m: accept {"name":"Ada"}"#);

    assert_eq!(send("DELETE", ALICE, &[&id], None, ""), 204);
    for method in ["POST", "GET", "DELETE"] {
        assert_eq!(send(method, ALICE, &[&id], None, ping), 404, "{method} after its end");
    }
    assert_eq!(bob.call("ping", Value::Null).result(), json!({}));
    drop((alice, bob));
    house.close();
}

/// Checks 63, 64, 79: a stream of news is known by its own request alone. Nobody else ends it, and no server writes on it what it
/// does not follow.
#[test]
fn a_stream_of_news_belongs_to_its_request() {
    let script = r#"
tools:
  touch: { updated: "res://x", answer: ok }
  forge:
    steps:
      - notify: { method: notifications/resources/updated, params: { uri: "res://secret", _meta: { "io.modelcontextprotocol/subscriptionId": "1" } } }
      - notify: { method: notifications/tools/list_changed, params: { _meta: { "io.modelcontextprotocol/subscriptionId": "1" } } }
      - notify: { method: notifications/subscriptions/acknowledged, params: { notifications: {}, _meta: { "io.modelcontextprotocol/subscriptionId": "1" } } }
      - answer: forged
resources: { "res://x": { name: X, text: x }, "res://secret": { name: S, text: s } }
"#;
    let house = House::http(Setup::new().script("a", script));
    let (ann, ben) = (house.peer(MODERN), house.peer(MODERN));
    ann.list_with("tools/list", "a__touch");
    let wanted = json!({ "notifications": { "resourceSubscriptions": ["res://x"] } });
    // The same id, each on a connection of its own.
    let id = "\"1\"";
    let subscription =
        |message: &Message| message.params()["_meta"]["io.modelcontextprotocol/subscriptionId"].clone();
    for peer in [&ann, &ben] {
        peer.request(id, "subscriptions/listen", wanted.clone());
        assert_eq!(subscription(&peer.notification("notifications/subscriptions/acknowledged")), "1");
    }
    let mallory = house.peer(MODERN);
    for hostile in [json!("1"), json!(1), json!(null), json!({}), json!("x")] {
        let cancel =
            json!({ "requestId": hostile, "_meta": { "io.modelcontextprotocol/subscriptionId": "1" } });
        mallory.notify("notifications/cancelled", cancel);
    }
    assert_eq!(mallory.tool("a__forge", json!({})).text(), "forged");
    assert_eq!(mallory.tool("a__touch", json!({})).text(), "ok");
    for peer in [&ann, &ben] {
        let news = peer.hear("news", |_| true);
        assert_eq!(news.method.as_deref(), Some("notifications/resources/updated"), "{}", news.raw);
        assert_eq!((news.params()["uri"].as_str(), subscription(&news)), (Some("res://x"), json!("1")));
    }
    ann.cancel(id);
    assert_eq!(mallory.tool("a__touch", json!({})).text(), "ok");
    assert_eq!(subscription(&ben.notification("notifications/resources/updated")), "1");
    assert!(mallory.heard().is_empty());
    drop((ann, ben, mallory));
    house.close();
}

/// Check 76: what is refused at the door, with the status and the code that the specification has for it.
#[test]
fn what_is_refused_at_the_door() {
    let house = House::http(asking());
    let peer = house.stranger(MODERN, json!({}), None);
    let params = peer.dressed(json!({ "name": "a__form" }));
    let body =
        |method: &str| json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
    let send = |verb, body: String, changes: &[(&str, &str)]| {
        let mut headers = peer.headers(Some(("tools/call", &params)));
        for (name, value) in changes {
            headers.retain(|(known, _)| known != name);
            headers.push(((*name).to_owned(), (*value).to_owned()));
        }
        headers.retain(|(_, value)| !value.is_empty());
        let reply = Request { method: verb, headers, body }.reply(house.address());
        (reply.status, reply.code())
    };
    let call = || body("tools/call");
    assert_eq!(send("POST", call(), &[("Origin", "https://evil.example")]).0, 403);
    assert_eq!(send("POST", call(), &[("Host", "evil.example")]).0, 403);
    assert_eq!(send("GET", String::new(), &[]).0, 405);
    assert_eq!(send("DELETE", String::new(), &[]).0, 405);
    assert_eq!(send("POST", call(), &[("Mcp-Name", "a__url")]), (400, Some(-32020)));
    assert_eq!(send("POST", call(), &[("Mcp-Method", "tools/list")]), (400, Some(-32020)));
    assert_eq!(send("POST", call(), &[("Mcp-Name", "")]), (400, Some(-32020)));
    assert_eq!(send("POST", call(), &[("MCP-Protocol-Version", "2025-11-25")]), (400, Some(-32020)));
    assert_eq!(send("POST", body("no/such"), &[("Mcp-Method", "no/such")]), (404, Some(-32601)));
    let unknown = call().replace(MODERN, "2099-01-01");
    assert_eq!(send("POST", unknown, &[("MCP-Protocol-Version", "2099-01-01")]), (400, Some(-32022)));
    drop(peer);
    house.close();
}
