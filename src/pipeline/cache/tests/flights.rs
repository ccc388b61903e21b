//! Equal calls at the same time.

use std::collections::HashSet;

use futures_util::future::join_all;
use proptest::prelude::*;

use super::*;
use crate::pipeline::testing::failed;
use crate::protocol::ListKind;

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

/// What becomes of a call at the server.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Answered,
    Refused,
    Failed,
    /// It is answered after a question.
    Asked,
}

/// A server with a plan for its calls, which counts how many are there for the same wish.
struct Fated {
    fates: Vec<Fate>,
    calls: AtomicUsize,
    inside: Mutex<Vec<String>>,
    most: AtomicUsize,
}

impl Fated {
    /// A call begins; it ends when what is given is dropped.
    fn enter(&self, wish: &str) -> Inside<'_> {
        let mut inside = self.inside.lock().unwrap();
        inside.push(wish.to_owned());
        self.most.fetch_max(inside.iter().filter(|other| *other == wish).count(), Ordering::Relaxed);
        Inside(&self.inside, wish.to_owned())
    }
}

/// A call at the server.
struct Inside<'a>(&'a Mutex<Vec<String>>, String);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        let mut inside = self.0.lock().unwrap();
        let place = inside.iter().position(|wish| *wish == self.1).unwrap();
        inside.remove(place);
    }
}

impl Bottom for Fated {
    fn send(&self, request: Box<Request>) -> BoxFuture<'_, Outcome> {
        Box::pin(async move {
            let wish = String::from_utf8_lossy(&request.call.line).into_owned();
            let _inside = self.enter(&wish);
            let count = self.calls.fetch_add(1, Ordering::Relaxed);
            let fate = self.fates.get(count).copied().unwrap_or(Fate::Answered);
            tokio::time::sleep(Duration::from_millis(200)).await;
            if matches!(fate, Fate::Asked) {
                ask(&request);
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            match fate {
                Fate::Answered | Fate::Asked => result(&json!({ "wish": wish, "count": count }).to_string()),
                Fate::Refused => result(&json!({ "wish": wish, "isError": true }).to_string()),
                Fate::Failed => failed(Code::CallTimeout),
            }
        })
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// However calls come, are given up and fail: whoever waits is answered, for what he wanted, and nobody goes beside another
    /// one unless he must.
    #[test]
    fn everybody_who_waits_is_answered(
        calls in prop::collection::vec((0u64..1500, 0u8..2, proptest::option::of(1u64..500), prop::bool::weighted(0.1)), 1..30),
        fates in prop::collection::vec(
            prop::sample::select(vec![Fate::Answered, Fate::Answered, Fate::Refused, Fate::Failed, Fate::Asked]), 0..20),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let may_be_beside = calls.iter().any(|(.., vetoes)| *vetoes) || fates.iter().any(|fate| matches!(fate, Fate::Asked));
        let (cache, count) = (cache_with(CacheRules { ttl: Duration::from_millis(300), ..rules() }), calls.len());
        let server = Fated { fates, calls: AtomicUsize::new(0), inside: Mutex::default(), most: AtomicUsize::new(0) };
        let ends = runtime.block_on(join_all(calls.into_iter().map(|(at, argument, patience, vetoes)| {
            let (cache, server) = (&cache, &server);
            async move {
                tokio::time::sleep(Duration::from_millis(at)).await;
                let veto = if vetoes { r#","_meta":{"switchboard/cache":"no-cache"}"# } else { "" };
                let wish = format!(r#"{{"arguments":{argument}{veto}}}"#);
                let run = cache.around(look(&wish), Next::new(&[], server));
                let end = tokio::time::timeout(Duration::from_millis(patience.unwrap_or(60_000)), run).await;
                (argument, patience, end.ok())
            }
        })));
        for (argument, patience, end) in ends {
            prop_assert!(end.is_some() || patience.is_some(), "a call without an end");
            let Some(found) = end.as_ref().map(value) else { continue };
            if let Some(wish) = found["wish"].as_str() {
                let starts = format!(r#"{{"arguments":{argument}"#);
                prop_assert!(wish.starts_with(&starts), "{found} for {argument}");
            }
        }
        prop_assert!(cache.flights.is_empty() && server.inside.lock().unwrap().is_empty());
        prop_assert!(server.calls.load(Ordering::Relaxed) <= count);
        if !may_be_beside {
            prop_assert!(server.most.load(Ordering::Relaxed) <= 1);
        }
    }
}
