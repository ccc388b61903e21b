use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::advance;

use super::*;
use crate::call::{Ask, AskKey, AskKind, Asker, Call, Ticket};
use crate::effect::Effect;
use crate::names::ExposedName;
use crate::pipeline::Bottom;
use crate::pipeline::testing::{Client, call, failed, server};
use crate::protocol::{ListKind, Revision};
use crate::wire::{Body, Id, Span, json as raw};

const TTL: Duration = Duration::from_secs(60);

fn rules() -> CacheRules {
    CacheRules { ttl: TTL, ..CacheRules::default() }
}

fn cache_with(rules: CacheRules) -> Arc<Cache> {
    Arc::new(Cache::new(server(), rules, Arc::default()))
}

fn cache() -> Arc<Cache> {
    cache_with(rules())
}

/// A call of something that only reads, with these parameters.
fn wish(principal: Option<&str>, method: Method, label: &str, params: &str) -> Request {
    let client = Client::new(principal);
    let line = Bytes::from(params.to_owned());
    let whole = Span { start: 0, end: line.len() };
    let meta = raw::get(&line, "_meta");
    Request {
        call: Call { method, params: Some(whole), meta, line, ..call(&client, label) },
        exposed: ExposedName::from(label),
        definition: Bytes::new(),
        effect: Effect::Read,
        attempt: 1,
        deadline: Instant::now() + Duration::from_secs(1800),
    }
}

fn look(params: &str) -> Request {
    wish(None, Method::ToolsCall, "look", params)
}

fn read(uri: &str) -> Request {
    wish(None, Method::ResourcesRead, uri, &format!("{{\"uri\":{uri:?}}}"))
}

fn says(text: &str, is_error: bool, revision: &'static Revision) -> Outcome {
    let line = Bytes::from(text.to_owned());
    let whole = Span { start: 0, end: line.len() };
    let body = if is_error { Body::Error(whole) } else { Body::Result(whole) };
    Outcome::Reply { line, body, revision }
}

fn result(text: &str) -> Outcome {
    says(text, false, Revision::newest_legacy())
}

fn modern(text: &str) -> Outcome {
    says(text, false, Revision::newest_modern())
}

/// A server that takes a second, counts what it gets, and answers as it is told.
struct Server {
    answer: Box<dyn Fn(&Request, usize) -> Outcome + Send + Sync>,
    calls: AtomicUsize,
    asks: bool,
    seen: Mutex<Vec<String>>,
}

impl Server {
    fn new(answer: impl Fn(&Request, usize) -> Outcome + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            answer: Box::new(answer),
            calls: AtomicUsize::new(0),
            asks: false,
            seen: Mutex::default(),
        })
    }

    /// It answers with the number of the call.
    fn counting() -> Arc<Self> {
        Self::new(|_, count| result(&format!(r#"{{"count":{count}}}"#)))
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
struct Unheard;

impl Asker for Unheard {
    fn answer(&self, _: &AskKey, _: &Bytes, _: Body) {}
}

impl Bottom for Server {
    fn send(&self, request: Request) -> BoxFuture<'_, Outcome> {
        Box::pin(async move {
            let count = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
            self.seen.lock().unwrap().push(String::from_utf8_lossy(&request.call.line).into_owned());
            tokio::time::sleep(Duration::from_millis(500)).await;
            if self.asks {
                let id = Id::new(b"1").unwrap();
                let ask = Ask {
                    key: AskKey { server: server(), generation: 1, id },
                    asker: Arc::new(Unheard),
                    revision: Revision::newest_legacy(),
                    kind: AskKind::Roots,
                    line: &Bytes::new(),
                    params: None,
                };
                let _ = request.call.caller.ask(Ticket(1), ask);
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
            (self.answer)(&request, count)
        })
    }
}

async fn get(cache: &Cache, server: &Server, request: Request) -> Outcome {
    cache.around(request, Next::new(&[], server)).await
}

fn value(outcome: &Outcome) -> Value {
    match outcome {
        Outcome::Reply { line, body: Body::Result(span) | Body::Error(span), .. } => {
            serde_json::from_slice(span.of(line)).unwrap()
        }
        Outcome::Failed(failure) => json!(failure.code.id()),
    }
}

/// Which call of the server the answer is from, and how old it says that it is.
async fn count(cache: &Cache, server: &Server, request: Request) -> (u64, Option<u64>) {
    let value = value(&get(cache, server, request).await);
    let mark = &value["_meta"]["switchboard/cache"];
    assert_eq!(mark.is_null(), mark["hit"] != json!(true));
    (value["count"].as_u64().unwrap(), mark["age_ms"].as_u64())
}

fn spawn(cache: &Arc<Cache>, server: &Arc<Server>, request: Request) -> JoinHandle<Outcome> {
    let (cache, server) = (Arc::clone(cache), Arc::clone(server));
    tokio::spawn(async move { get(&cache, &server, request).await })
}

#[tokio::test(start_paused = true)]
async fn the_same_wish_is_answered_once_until_its_time_is_over() {
    let (cache, server) = (cache(), Server::counting());
    let one = r#"{"name":"s__look","arguments":{"a":1,"b":[2]}}"#;
    assert_eq!(count(&cache, &server, look(one)).await, (1, None));
    advance(TTL - Duration::from_secs(1)).await;
    let same = r#"{ "_meta":{"progressToken":7}, "arguments": {"b":[ 2 ], "a":1}, "name":"other" }"#;
    assert_eq!(count(&cache, &server, look(same)).await, (1, Some(59_000)));
    for other in [r#""1""#, "1.0", "2"] {
        let other = one.replace('1', other);
        assert_eq!(count(&cache, &server, look(&other)).await.1, None, "{other}");
    }
    advance(Duration::from_secs(1)).await;
    assert_eq!(count(&cache, &server, look(one)).await, (5, None));
    let CacheTallies { hits, misses, answers, .. } = cache.tallies();
    assert_eq!((hits, misses, answers), (1, 5, 4));
}

#[tokio::test(start_paused = true)]
async fn only_what_reads_is_kept() {
    let (cache, server) = (cache(), Server::counting());
    for effect in [Effect::Idempotent, Effect::Unknown, Effect::Destructive] {
        for _ in 0..2 {
            assert_eq!(count(&cache, &server, Request { effect, ..look("{}") }).await.1, None);
        }
    }
    for params in
        [r#"{"task":{}}"#, r#"{"requestState":"x"}"#, r#"{"inputResponses":{}}"#, r#"{"a":1,"a":2}"#]
    {
        for _ in 0..2 {
            assert_eq!(count(&cache, &server, look(params)).await.1, None);
        }
    }
    for method in [Method::Complete, Method::Subscribe] {
        for _ in 0..2 {
            assert_eq!(count(&cache, &server, wish(None, method, "x", "{}")).await.1, None);
        }
    }
    assert_eq!(server.calls(), 18);
    let tools = Some(vec![crate::config::Glob::new("lo*")]);
    let cache = cache_with(CacheRules { tools, ..rules() });
    let ages = async |method, label| {
        count(&cache, &server, wish(None, method, label, "{}")).await;
        count(&cache, &server, wish(None, method, label, "{}")).await.1
    };
    assert!(ages(Method::ToolsCall, "look").await.is_some());
    assert!(ages(Method::ToolsCall, "take").await.is_none());
    assert!(ages(Method::PromptsGet, "take").await.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_client_may_want_an_answer_of_the_server_itself() {
    let (cache, server) = (cache(), Server::counting());
    let fresh = r#"{"_meta":{"switchboard/cache":"no-cache"}}"#;
    assert_eq!(count(&cache, &server, look("{}")).await, (1, None));
    assert_eq!(count(&cache, &server, look(fresh)).await, (2, None));
    assert_eq!(count(&cache, &server, look("{}")).await, (2, Some(0)));
}

/// Calls twice, one after the other, and tells whether the second one was answered from what was kept.
async fn is_kept(rules: CacheRules, wish: impl Fn() -> Request, answer: fn() -> Outcome) -> bool {
    let (cache, server) = (cache_with(rules), Server::new(move |_, _| answer()));
    let first = value(&get(&cache, &server, wish()).await);
    let second = value(&get(&cache, &server, wish()).await);
    assert_eq!(first.get("content"), second.get("content"));
    server.calls() == 1
}

#[tokio::test(start_paused = true)]
async fn what_is_no_plain_answer_is_never_kept() {
    let refusal = || result(r#"{"content":[],"isError":true}"#);
    let error = || says(r#"{"code":-32602,"message":"no"}"#, true, Revision::newest_legacy());
    let answers: [fn() -> Outcome; 8] = [
        refusal,
        error,
        || failed(Code::CallTimeout),
        || modern(r#"{"resultType":"input_required","inputRequests":{}}"#),
        || modern(r#"{"resultType":"task","task":{}}"#),
        || modern(r#"{"resultType":"later"}"#),
        || result(r#"{"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"t"}}}"#),
        || result(&format!("{:?}", "x".repeat((1 << 20) + 1))),
    ];
    for answer in answers {
        assert!(!is_kept(rules(), || look("{}"), answer).await, "{:?}", answer());
    }
    assert!(is_kept(rules(), || look("{}"), || modern(r#"{"resultType":"complete"}"#)).await);
    let negative = CacheRules { negative_ttl: Some(Duration::from_secs(5)), ..rules() };
    assert!(is_kept(negative.clone(), || look("{}"), refusal).await);
    assert!(is_kept(negative.clone(), || look("{}"), error).await);
    assert!(!is_kept(negative, || look("{}"), || failed(Code::CallTimeout)).await);
}

#[tokio::test(start_paused = true)]
async fn a_servers_own_word_makes_the_time_shorter() {
    let kept = async |hints: fn() -> Outcome| is_kept(rules(), || read("x:a"), hints).await;
    assert!(!kept(|| modern(r#"{"ttlMs":0,"cacheScope":"public"}"#)).await);
    assert!(kept(|| modern("{}")).await);
    assert!(
        kept(|| result(r#"{"ttlMs":0,"cacheScope":"public"}"#)).await,
        "a legacy server says nothing by this"
    );
    let (cache, server) = (cache(), Server::new(|_, _| modern(r#"{"cacheScope":"private","ttlMs":9000}"#)));
    get(&cache, &server, read("x:a")).await;
    advance(Duration::from_secs(8)).await;
    let again = value(&get(&cache, &server, read("x:a")).await);
    assert_eq!(
        (&again["ttlMs"], &again["_meta"]["switchboard/cache"]["age_ms"]),
        (&json!(1000), &json!(8000))
    );
    advance(Duration::from_secs(1)).await;
    get(&cache, &server, read("x:a")).await;
    assert_eq!(server.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn changes_end_what_they_are_about() {
    let (cache, server) = (cache(), Server::counting());
    let changes = Arc::clone(&cache.changes);
    let ages = async || {
        let tool = count(&cache, &server, look("{}")).await.1;
        let page = count(&cache, &server, read("x:a")).await.1;
        (tool.is_some(), page.is_some())
    };
    assert_eq!(ages().await, (false, false));
    assert_eq!(ages().await, (true, true));
    changes.list(ListKind::Tools);
    assert_eq!(ages().await, (false, true));
    changes.resource("x:b");
    assert_eq!(ages().await, (true, true));
    changes.resource("x:a");
    assert_eq!(ages().await, (true, false));
    changes.run();
    assert_eq!(ages().await, (false, false));
    assert_eq!(ages().await, (true, true));
    cache.clear();
    assert_eq!(cache.tallies().bytes, 0);
    assert_eq!(ages().await, (false, false));
    let other = Request { definition: Bytes::from_static(b"{}"), ..look("{}") };
    assert_eq!(count(&cache, &server, other).await.1, None, "the tool is another one now");
}

#[tokio::test(start_paused = true)]
async fn what_changes_under_way_is_not_kept() {
    for change in [|it: &Cache| it.changes.list(ListKind::Tools), Cache::clear] {
        let (cache, server) = (cache(), Server::counting());
        let first = spawn(&cache, &server, look("{}"));
        tokio::task::yield_now().await;
        change(&cache);
        assert_eq!(value(&first.await.unwrap())["count"], 1);
        assert_eq!(count(&cache, &server, look("{}")).await, (2, None));
    }
    // But for a run that begins with the call.
    let (cache, server) = (cache(), Server::counting());
    let first = spawn(&cache, &server, look("{}"));
    tokio::task::yield_now().await;
    cache.changes.run();
    first.await.unwrap();
    assert_eq!(count(&cache, &server, look("{}")).await, (1, Some(0)));
}

#[tokio::test(start_paused = true)]
async fn a_stampede_of_1000_equal_calls_is_one_call_to_the_server() {
    let (cache, server) = (cache(), Server::counting());
    let calls: Vec<_> = (0..1000).map(|_| spawn(&cache, &server, look("{}"))).collect();
    let mut hits = 0;
    for call in calls {
        let value = value(&call.await.unwrap());
        assert_eq!(value["count"], 1);
        hits += usize::from(value["_meta"]["switchboard/cache"]["hit"] == true);
    }
    assert_eq!((server.calls(), hits), (1, 999));
    assert!(cache.flights.is_empty());
}

#[tokio::test(start_paused = true)]
async fn nobody_is_lost_when_the_one_who_went_gives_up() {
    let (cache, server) = (cache(), Server::counting());
    let numbered = |number: usize| look(&format!(r#"{{"_meta":{{"number":{number}}}}}"#));
    let mut calls: Vec<_> = (0..100).map(|number| Some(spawn(&cache, &server, numbered(number)))).collect();
    for gone in 0..3 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let seen = server.seen.lock().unwrap().clone();
        assert_eq!(seen.len(), gone + 1);
        let leader: Value = serde_json::from_str(seen.last().unwrap()).unwrap();
        let number = usize::try_from(leader["_meta"]["number"].as_u64().unwrap()).unwrap();
        calls[number].take().expect("whoever gave up is gone").abort();
    }
    for call in calls.into_iter().flatten() {
        assert_eq!(value(&call.await.unwrap())["count"], 4);
    }
    assert!(cache.flights.is_empty());
    // One who waits may give up, too.
    let calls: Vec<_> = (0..3).map(|_| spawn(&cache, &server, look(r#"{"b":1}"#))).collect();
    tokio::task::yield_now().await;
    calls[1].abort();
    for (place, call) in calls.into_iter().enumerate() {
        assert_eq!(call.await.is_ok(), place != 1);
    }
    assert_eq!(server.calls(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_shared_by_those_who_wait_and_not_kept() {
    let (cache, server) = (cache(), Server::new(|_, _| failed(Code::CallTimeout)));
    let calls: Vec<_> = (0..10).map(|_| spawn(&cache, &server, look("{}"))).collect();
    for call in calls {
        assert_eq!(value(&call.await.unwrap()), "SB-CALL-001");
    }
    assert_eq!(server.calls(), 1);
    get(&cache, &server, look("{}")).await;
    assert_eq!(server.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn who_is_asked_something_has_an_answer_of_its_own() {
    let cache = cache();
    let answer = |_: &Request, count| result(&format!(r#"{{"count":{count}}}"#));
    let server = Arc::new(Server {
        answer: Box::new(answer),
        calls: AtomicUsize::new(0),
        asks: true,
        seen: Mutex::default(),
    });
    let calls: Vec<_> = (0..5).map(|_| spawn(&cache, &server, look("{}"))).collect();
    let mut counts = HashSet::new();
    for call in calls {
        counts.insert(value(&call.await.unwrap())["count"].as_u64());
    }
    assert_eq!((counts.len(), server.calls(), cache.tallies().answers), (5, 5, 0));
}

#[tokio::test(start_paused = true)]
async fn what_is_old_stands_in_for_a_server_that_fails_if_the_config_says_so() {
    let (stale, none) = (Some(Duration::from_secs(100)), None);
    for (stale_if_error, code, expected) in [
        (stale, Code::CallTimeout, json!(1)),
        (stale, Code::BreakerOpen, json!(1)),
        (stale, Code::AuthNeedsLogin, json!("SB-AUTH-001")),
        (stale, Code::LimitQueue, json!("SB-LIMIT-002")),
        (none, Code::CallTimeout, json!("SB-CALL-001")),
    ] {
        let cache = cache_with(CacheRules { stale_if_error, ..rules() });
        let server =
            Server::new(move |_, count| if count == 1 { result(r#"{"count":1}"#) } else { failed(code) });
        get(&cache, &server, look("{}")).await;
        advance(TTL + Duration::from_secs(10)).await;
        let found = value(&get(&cache, &server, look("{}")).await);
        assert_eq!(found.get("count").unwrap_or(&found), &expected);
        assert_eq!(found["_meta"]["switchboard/cache"]["stale"] == true, expected == json!(1));
        advance(Duration::from_secs(100)).await;
        assert_eq!(value(&get(&cache, &server, look("{}")).await), json!(code.id()));
    }
}

#[tokio::test]
async fn the_mark_fits_into_every_result() {
    let marked = |text: &str| {
        let landing = Landing::of(&result(text), Method::ToolsCall, &rules(), Instant::now());
        let Landing::Answer(kept) = landing else { panic!("it may be kept") };
        value(&kept.reply(Instant::now(), false))
    };
    for text in [
        "{}",
        "{ }",
        r#"{"a":1}"#,
        r#"{"_meta":{}}"#,
        r#"{ "a":1, "_meta": { } }"#,
        r#"{"_meta":{"b":1.0},"a":1}"#,
    ] {
        let mut found = marked(text);
        let mark = found["_meta"].as_object_mut().unwrap().remove("switchboard/cache").unwrap();
        assert_eq!(mark["hit"], true, "{text}");
        let mut before: Value = serde_json::from_str(text).unwrap();
        before.as_object_mut().unwrap().entry("_meta").or_insert(json!({}));
        assert_eq!(found, before, "{text}");
    }
    // Where there is no place for it, or somebody else's, it is left out.
    for text in [r#"{"_meta":5}"#, r#"{"_meta":{"switchboard/cache":5}}"#] {
        assert_eq!(marked(text), serde_json::from_str::<Value>(text).unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_is_bounded() {
    let max_bytes = 4 << 20;
    let cache = cache_with(CacheRules { max_bytes, ..rules() });
    let server = Server::new(|request, _| {
        let size = if request.call.label.as_str() == "large" { 1 << 20 } else { 10 };
        result(&format!(r#"{{"text":{:?}}}"#, "x".repeat(size - 20)))
    });
    for number in 0..100 {
        let params = format!(r#"{{"number":{number}}}"#);
        get(&cache, &server, wish(None, Method::ToolsCall, "large", &params)).await;
        assert!(cache.tallies().bytes <= max_bytes);
    }
    assert!(cache.tallies().answers >= 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// However calls follow each other, nobody gets an answer that was for another one, or to another wish.
    #[test]
    fn never_across_identities(
        calls in prop::collection::vec((proptest::option::of(0u8..3), 0usize..2, any::<bool>(), 0u8..2, 0u8..2, 0u8..2), 1..60),
        at_once in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let answers = runtime.block_on(async {
            let first = cache();
            let instances = [Arc::clone(&first), Arc::new(first.beside(Arc::default()))];
            // It says who called it for what; that it is this instance is said by whoever calls.
            let servers = [0, 1].map(|instance| Server::new(move |request, _| {
                let wish = String::from_utf8_lossy(&request.call.line).into_owned();
                let definition = String::from_utf8_lossy(&request.definition).into_owned();
                let said = json!([
                    request.call.caller.principal().as_deref(), instance, request.call.method.name(),
                    request.call.label.as_str(), wish, definition,
                ]);
                result(&json!({ "said": said }).to_string())
            }));
            let mut answers = Vec::new();
            let mut open = Vec::new();
            for (who, instance, is_tool, label, argument, definition) in calls {
                // A name that reads like another one's, with what follows it.
                let who = who.map(|who| ["", "a", "ab"][usize::from(who)]);
                let method = if is_tool { Method::ToolsCall } else { Method::PromptsGet };
                let label = ["b", "bc"][usize::from(label)];
                let params = format!(r#"{{"arguments":{argument}}}"#);
                let definition = Bytes::from(definition.to_string());
                let expected = json!([who, instance, method.name(), label, params, String::from_utf8_lossy(&definition)]);
                let request = Request { definition, ..wish(who, method, label, &params) };
                let running = spawn(&instances[instance], &servers[instance], request);
                if at_once {
                    open.push((expected, running));
                } else {
                    answers.push((expected, value(&running.await.unwrap())));
                }
            }
            for (expected, running) in open {
                answers.push((expected, value(&running.await.unwrap())));
            }
            answers
        });
        for (expected, answer) in answers {
            prop_assert_eq!(&answer["said"], &expected);
        }
    }
}
