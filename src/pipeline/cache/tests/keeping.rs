//! What is kept, and how long.

use tokio::time::advance;

use super::*;
use crate::pipeline::testing::{Script, failed};
use crate::protocol::ListKind;

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
            assert_eq!(count(&cache, &server, Box::new(Request { effect, ..*look("{}") })).await.1, None);
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
async fn is_kept(rules: CacheRules, wish: impl Fn() -> Box<Request>, answer: fn() -> Outcome) -> bool {
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
        || result(&format!(r#"{{"text":"{}"}}"#, "x".repeat(1 << 20))),
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
    let other = Box::new(Request { definition: Bytes::from_static(b"{}"), ..*look("{}") });
    assert_eq!(count(&cache, &server, other).await.1, None, "the tool is another one now");
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
        result(&format!(r#"{{"text":"{}"}}"#, "x".repeat(size - 20)))
    });
    for number in 0..100 {
        let params = format!(r#"{{"number":{number}}}"#);
        get(&cache, &server, wish(None, Method::ToolsCall, "large", &params)).await;
        assert!(cache.tallies().bytes <= max_bytes);
    }
    assert!(cache.tallies().answers >= 2);
}

#[tokio::test]
async fn many_different_calls_do_not_fill_it() {
    let max_bytes = 64 << 10;
    let cache = cache_with(CacheRules { max_bytes, ..rules() });
    let script = Script::answers();
    for number in 0..20_000 {
        let request = look(&format!(r#"{{"number":{number}}}"#));
        cache.around(request, Next::new(&[], &script)).await;
        assert!(cache.store.tallies().bytes <= max_bytes);
    }
    assert_eq!(script.sent(), 20_000);
    assert!(cache.tallies().answers > 100);
}
