//! What is counted, against what was done. The names of the mission's `MetricsCollector` stand in the tests.

use std::time::Duration;

use super::*;

fn ended(ending: Ending, millis: u64) -> Ended {
    Ended { ending, code: None, took: Duration::from_millis(millis), sent: 2, received: 3 }
}

fn meters() -> (Meters, Arc<Meter>) {
    let meters = Meters::new(true);
    let meter = meters.of(&"files".into()).expect("calls are counted");
    (meters, meter)
}

#[test]
fn record_tool_call() {
    let (meters, meter) = meters();
    let tool = OriginalName::from("read");
    meter.record_tool_call(&tool, ended(Ending::Ok, 10));
    meter.record_tool_call(&tool, ended(Ending::ToolError, 20));
    meter.record_tool_call(&tool, Ended { code: Some(Code::CallTimeout), ..ended(Ending::Failed, 30) });
    meter.record_tool_call(&tool, ended(Ending::Cancelled, 40));
    meter.record(Method::PromptsGet, &tool, ended(Ending::Ok, 5));
    let stats = meters.stats();
    assert_eq!((stats.total, stats.successful, stats.failed, stats.cancelled), (5, 2, 2, 1));
    let counts = meter.counts();
    assert_eq!((counts.sent, counts.received), (10, 15));
    assert_eq!(counts.of(Kind::ToolsCall).ended(Ending::Ok), 1);
    assert_eq!(counts.of(Kind::PromptsGet).ended(Ending::Ok), 1);
    assert_eq!(counts.codes.get("SB-CALL-001"), Some(&1));
    let [(name, of_tool)] = &counts.tools[..] else { panic!("{:?}", counts.tools) };
    assert_eq!((name.as_str(), of_tool.timed(), of_tool.took.sum), ("read", 3, Duration::from_millis(60)));
}

#[test]
fn update_response_time_metrics() {
    let (meters, meter) = meters();
    assert_eq!((meters.stats().average(), meters.stats().min), (Duration::ZERO, None));
    for millis in [30, 10, 50] {
        meter.record_tool_call(&"read".into(), ended(Ending::Ok, millis));
    }
    // How long a client was patient is no response time.
    meter.record_tool_call(&"read".into(), ended(Ending::Cancelled, 9000));
    let stats = meters.stats();
    assert_eq!(stats.average(), Duration::from_millis(30));
    assert_eq!((stats.min, stats.max), (Some(Duration::from_millis(10)), Duration::from_millis(50)));
    let took = meter.counts().of(Kind::ToolsCall).took;
    assert_eq!((took.count(), took.sum), (3, Duration::from_millis(90)));
    assert_eq!(took.buckets[2..6], [1, 0, 2, 0], "up to 10, 20, 50 and 100 ms");
}

#[test]
fn record_discovery() {
    let meters = Meters::new(false);
    assert_eq!(meters.discovered(), Discovery::default());
    meters.record_discovery(3, 1);
    meters.record_discovery(2, 0);
    meters.record_failed_discovery();
    let Discovery { runs, failed, discovered, auto_registered, last_run } = meters.discovered();
    assert_eq!((runs, failed, discovered, auto_registered), (3, 1, 5, 1));
    assert!(last_run.is_some());
}

#[test]
fn too_many_tools_share_one_line() {
    let (meters, meter) = meters();
    let other = meters.of(&"other".into()).expect("calls are counted");
    for number in 0..MAX_TOOLS {
        meter.record_tool_call(&number.to_string().as_str().into(), ended(Ending::Ok, 1));
    }
    other.record_tool_call(&"late".into(), ended(Ending::Ok, 1));
    meter.record_tool_call(&"late".into(), ended(Ending::Ok, 1));
    meter.record_tool_call(&"7".into(), ended(Ending::Ok, 1));
    let (counts, others) = (meter.counts(), other.counts());
    assert_eq!((counts.tools.len(), others.tools.len()), (MAX_TOOLS, 0));
    assert_eq!((counts.other_tools.timed(), others.other_tools.timed()), (1, 1));
    assert_eq!(counts.tools[7].1.timed(), 2);
}

#[test]
fn a_server_that_comes_back_goes_on_with_its_counts_and_those_that_are_gone_are_forgotten() {
    let (meters, meter) = meters();
    meter.record_tool_call(&"a".into(), ended(Ending::Ok, 1));
    drop(meter);
    assert_eq!(meters.of(&"files".into()).expect("it is counted").counts().tools.len(), 1);
    for number in 0..3 * MAX_GONE {
        let server = ServerName::from(number.to_string().as_str());
        let meter = meters.of(&server).expect("it is counted");
        meter.record_tool_call(&"a".into(), ended(Ending::Ok, 1));
    }
    assert!(meters.counts().len() <= MAX_GONE);
    // The places of tools are free again.
    assert!(meters.shared.tools.load(Ordering::Relaxed) <= MAX_TOOLS);
    assert!(Meters::new(false).of(&"files".into()).is_none());
}
