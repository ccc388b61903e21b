//! The chain with interceptors of this process, and the words for all others.

use std::sync::Mutex;

use proptest::prelude::*;
use tokio::time::{Instant, sleep};

use super::words::{question, verdict};
use super::*;
use crate::config::Glob;
use crate::failure::Code;
use crate::wire::json;

type Say = Box<dyn Fn(&CallView, &Moment) -> Result<Verdict, Error> + Send + Sync>;

/// Says what it is told to, after a while, and notes what it was asked.
struct Told {
    after: Duration,
    say: Say,
    heard: Arc<Mutex<Vec<String>>>,
    name: &'static str,
}

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Told {
    async fn ask(&self, call: &CallView, moment: Moment) -> Result<Verdict, Error> {
        self.heard.lock().unwrap().push(self.name.to_owned());
        sleep(self.after).await;
        (self.say)(call, &moment)
    }
}

impl Interceptor for Told {
    fn before<'a>(&'a self, call: &'a CallView) -> BoxFuture<'a, Result<Verdict, Error>> {
        Box::pin(self.ask(call, Moment::Before))
    }

    fn after<'a>(&'a self, call: &'a CallView, result: &'a Bytes) -> BoxFuture<'a, Result<Verdict, Error>> {
        Box::pin(self.ask(call, Moment::After(result.clone())))
    }
}

#[derive(Default)]
struct House {
    heard: Arc<Mutex<Vec<String>>>,
    own: Vec<(Rules, Arc<dyn Interceptor>)>,
}

impl House {
    fn with(
        mut self,
        name: &'static str,
        rules: impl FnOnce(&mut Rules),
        after: u64,
        say: impl Fn(&CallView, &Moment) -> Result<Verdict, Error> + Send + Sync + 'static,
    ) -> Self {
        let mut own = Rules { on: vec![Phase::Before, Phase::After], ..Rules::named(name) };
        rules(&mut own);
        let (after, heard) = (Duration::from_millis(after), Arc::clone(&self.heard));
        self.own.push((own, Arc::new(Told { after, say: Box::new(say), heard, name })));
        self
    }

    async fn ask_with(self, moment: Moment, recheck: Option<Recheck>) -> Result<Ruling, Failure> {
        let (shutdown, changes) = (tokio::sync::watch::Sender::new(None), tokio::sync::watch::Sender::new(0));
        let surroundings = Surroundings {
            supervisor: crate::supervisor::Supervisor::new(Default::default()),
            tasks: Default::default(),
            shutdown: shutdown.subscribe(),
            changes: changes.subscribe(),
            backends: &[],
        };
        let interceptors = Interceptors::new(self.own, Vec::new(), &surroundings).unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        interceptors.ask(&call(), moment, deadline, recheck.as_ref()).await
    }

    async fn ask(self, moment: Moment) -> Result<Ruling, Failure> {
        self.ask_with(moment, None).await
    }
}

fn call() -> CallView {
    CallView {
        event: Event::Request(crate::protocol::Method::ToolsCall),
        exposed: "s__t".into(),
        original: "t".into(),
        server: "s".into(),
        arguments: Bytes::from_static(br#"{"n":1.10}"#),
        definition: Bytes::from_static(br#"{"annotations":{"readOnlyHint":true}}"#),
        principal: None,
        effect: Effect::Unknown,
        attempt: 1,
        trace: None,
    }
}

fn result(text: &str) -> Bytes {
    format!(r#"{{"content":[],"text":"{text}"}}"#).into()
}

fn anything(_: &mut Rules) {}

/// Adds a letter to the arguments, or to the result.
fn adds(letter: &'static str) -> impl Fn(&CallView, &Moment) -> Result<Verdict, Error> {
    move |call, moment| {
        let text = match moment {
            Moment::After(text) => text,
            _ => &call.arguments,
        };
        let text = String::from_utf8(text.to_vec()).unwrap();
        Ok(Verdict::Change(text.replace('}', &format!(r#","{letter}":0}}"#)).into()))
    }
}

#[tokio::test(start_paused = true)]
async fn each_gets_what_the_one_before_it_has_left() {
    let house = || {
        House::default().with("b", |rules| rules.priority = Some(1), 0, adds("b")).with(
            "a",
            anything,
            0,
            adds("a"),
        )
    };
    let ruling = house().ask(Moment::Before).await.unwrap();
    assert_eq!(ruling, Ruling::Changed(Bytes::from_static(br#"{"n":1.10,"a":0,"b":0}"#)));
    let ruling = house().ask(Moment::After(result("x"))).await.unwrap();
    assert_eq!(ruling, Ruling::Changed(Bytes::from_static(br#"{"content":[],"text":"x","a":0,"b":0}"#)));
}

#[tokio::test(start_paused = true)]
async fn judges_look_at_what_goes_out_and_at_what_comes_in() {
    let judge = |rules: &mut Rules| rules.kind = Kind::Validation;
    let house = || {
        House::default()
            .with("judge", judge, 1000, |_, _| Ok(Verdict::Pass))
            .with("other judge", judge, 1000, |_, _| Ok(Verdict::Pass))
            .with("changes", anything, 10, adds("a"))
    };
    for (moment, order) in [
        (Moment::Before, ["changes", "judge", "other judge"]),
        (Moment::After(result("x")), ["judge", "other judge", "changes"]),
    ] {
        let (house, begun) = (house(), Instant::now());
        let heard = Arc::clone(&house.heard);
        house.ask(moment).await.unwrap();
        assert_eq!(*heard.lock().unwrap(), order);
        // Judges are asked at the same time.
        assert_eq!(begun.elapsed(), Duration::from_millis(1010));
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_late_or_fails_costs_what_the_rules_say() {
    let late = |fail| move |rules: &mut Rules| (rules.timeout, rules.fail) = (Duration::from_secs(1), fail);
    for (after, code) in [(5_000, Code::HookTimeout), (0, Code::HookFailed)] {
        for (fail, passes) in [(None, false), (Some(Fail::Closed), false), (Some(Fail::Open), true)] {
            let begun = Instant::now();
            let house = House::default().with("bad", late(fail), after, |_, _| Err("no idea".into()));
            let ruling = house.ask(Moment::Before).await;
            assert!(begun.elapsed() <= Duration::from_secs(1));
            match ruling {
                Ok(ruling) => assert!(passes && ruling == Ruling::Pass),
                Err(failure) => {
                    assert!(!passes && failure.code == code, "{failure}");
                    assert_eq!(failure.ran, crate::effect::Ran::No);
                    assert!(failure.to_string().contains("`bad`"), "{failure}");
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_is_no_time_of_the_interceptor() {
    let begun = Instant::now();
    let delay = |seconds| move |_: &CallView, _: &Moment| Ok(Verdict::Delay(Duration::from_secs(seconds)));
    let ruling = House::default().with("slow", anything, 0, delay(30)).ask(Moment::Before).await.unwrap();
    assert_eq!((ruling, begun.elapsed()), (Ruling::Pass, Duration::from_secs(30)));
    let failure =
        House::default().with("slow", anything, 0, delay(61)).ask(Moment::Before).await.unwrap_err();
    assert_eq!(failure.code, Code::HookFailed);
}

#[tokio::test(start_paused = true)]
async fn what_is_changed_is_checked_again() {
    let recheck: Recheck = Arc::new(|call, phase, new| match phase {
        Phase::Before if json::get(new, "n").is_none() => Err(format!("`{}` needs `n`", call.original)),
        Phase::After if json::get(new, "text").is_none() => Err("no text".to_owned()),
        _ => Ok(()),
    });
    let ask = |verdict: Verdict, moment: Moment| {
        let house = House::default().with("changes", anything, 0, move |_, _| Ok(verdict.clone()));
        house.ask_with(moment, Some(Arc::clone(&recheck)))
    };
    let new = |text: &'static str| Verdict::Change(Bytes::from_static(text.as_bytes()));
    assert!(ask(new(r#"{"n":2}"#), Moment::Before).await.is_ok());
    let failure = ask(new("{}"), Moment::Before).await.unwrap_err();
    assert!(failure.cause.contains("`t` needs `n`"), "{failure}");
    let failure = ask(new(r#"{"content":[]}"#), Moment::After(result("x"))).await.unwrap_err();
    assert!(failure.cause.contains("no text"), "{failure}");
    // What stands for a result is checked as one.
    let answer = Verdict::Answer(Bytes::from_static(br#"{"content":[]}"#));
    assert!(ask(answer, Moment::Before).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn nobody_is_asked_whom_it_does_not_concern() {
    let only = |change: fn(&mut Rules)| {
        House::default().with("no", change, 0, |_, _| Ok(Verdict::Deny("no".into())))
    };
    for change in [
        (|rules| rules.matches = vec![Glob::new("other__*")]) as fn(&mut Rules),
        |rules| rules.events = Some(vec![Glob::new("prompts/get")]),
        |rules| rules.on = vec![Phase::After],
        |rules| rules.mode = Some(Mode::Audit),
    ] {
        assert_eq!(only(change).ask(Moment::Before).await.unwrap(), Ruling::Pass);
    }
    assert_eq!(only(anything).ask(Moment::Before).await.unwrap_err().code, Code::HookDenied);
}

#[test]
fn a_question_is_one_line_of_json_that_keeps_every_number() {
    let mut call = call();
    call.arguments = Bytes::from_static(b"{\"n\": 1.10,\r\n \"s\":\"a\\nb\"}");
    call.principal = Some("lap\"top".into());
    call.trace = Trace::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    for moment in [
        Moment::Before,
        Moment::After(result("x")),
        Moment::Error(CallError::Failure(Failure::new(Code::CallTimeout, "late \"as ever\""))),
        Moment::Error(CallError::Answer(Bytes::from_static(br#"{"code":-1,"message":"x"}"#))),
    ] {
        let text = question("g", &call, &moment, Duration::from_secs(1), Some(r#"{"a":1}"#));
        assert!(json::check(&text).is_ok() && !text.contains(&b'\n'), "{}", String::from_utf8_lossy(&text));
        let read: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(read["context"]["principal"], serde_json::json!({ "type": "service", "id": "lap\"top" }));
        assert_eq!(read["context"]["switchboard"]["annotations"]["readOnlyHint"], true);
        assert!(String::from_utf8_lossy(&text).contains("1.10"));
    }
}

#[test]
fn traces() {
    assert!(Trace::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01").is_some());
    for wrong in [
        "",
        "00",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b71692033-01",
    ] {
        assert_eq!(Trace::parse(wrong), None, "{wrong}");
    }
}

fn read(text: &str, moment: &Moment) -> Result<Verdict, Error> {
    verdict(&Bytes::copy_from_slice(text.as_bytes()), 100, &call(), moment)
}

#[test]
fn verdicts_in_the_words_of_the_draft() {
    let before = |text: &str| read(text, &Moment::Before).unwrap();
    assert_eq!(before(r#" {"valid":true,"info":{"any":"thing"}} "#), Verdict::Pass);
    assert_eq!(before(r#"{"modified":false,"payload":{"name":"s__t"}}"#), Verdict::Pass);
    assert_eq!(before(r#"{"valid":false,"severity":"warn"}"#), Verdict::Pass);
    assert_eq!(before(r#"{"valid":false}"#), Verdict::Deny("it gives no reason".to_owned()));
    let denied = before(
        r#"{"valid":false,"messages":[{"path":"a.b","message":"x","severity":"error"},{"message":"y"}]}"#,
    );
    assert_eq!(denied, Verdict::Deny("a.b: x; y".to_owned()));
    let changed = before(r#"{"modified":true,"payload":{"name":"s__t","arguments":{"n": 2.0}}}"#);
    assert_eq!(changed, Verdict::Change(Bytes::from_static(br#"{"n": 2.0}"#)));
    assert_eq!(before(r#"{"delayMs":5}"#), Verdict::Delay(Duration::from_millis(5)));
    let after = read(r#"{"modified":true,"payload":{"content":[]}}"#, &Moment::After(result("x"))).unwrap();
    assert_eq!(after, Verdict::Change(Bytes::from_static(br#"{"content":[]}"#)));
}

proptest! {
    /// Whatever comes is a verdict or an error, and only what says so is a yes.
    #[test]
    fn no_nonsense_is_a_yes(text in "\\PC*") {
        if let Ok(Verdict::Pass) = read(&text, &Moment::Before) {
            prop_assert!(text.contains("valid") || text.contains("modified"));
        }
    }
}
