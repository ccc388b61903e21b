use super::*;
use crate::call::Caller;
use crate::config::{Concurrency, Retry, ServerConfig, Stages};
use crate::failure::Code;
use crate::pipeline::testing::{Client, Nobody, call};
use crate::pipeline::{BoxFuture, Next, Outcome};

/// A server that nobody starts: calls wait in front of it.
fn lane(stages: Stages) -> (Lane, Arc<Journeys>) {
    let config = ServerConfig { stages, ..ServerConfig::stdio("s", "true", &[]) };
    let journeys = Arc::new(Journeys::default());
    (Lane::new(Backend::new(config, Arc::new(Nobody)), &Common::default(), &journeys), journeys)
}

fn with_stages() -> Stages {
    let concurrency = Concurrency { max: 1, ..Concurrency::default() };
    Stages { concurrency: Some(concurrency), retry: Some(Retry::default()), ..Stages::default() }
}

#[tokio::test]
async fn without_stages_a_call_goes_directly() {
    let (lane, journeys) = lane(Stages { trust_annotations: true, ..Stages::default() });
    assert!(!lane.has_stages());
    assert!(lane.item(|| panic!("nobody wants to know")).is_none());
    let client = Client::new(None);
    lane.call(call(&client, "look"), None);
    assert_eq!((journeys.count(), lane.backend().open_calls()), (0, 1));
    lane.cancel(client.id(), Ticket(1), None);
    assert_eq!(lane.backend().open_calls(), 0);
}

#[tokio::test]
async fn a_call_is_cancelled_wherever_it_is() {
    let (lane, journeys) = lane(with_stages());
    let (first, second) = (Client::new(None), Client::new(None));
    lane.call(call(&first, "look"), None);
    lane.call(call(&second, "look"), None);
    tokio::task::yield_now().await;
    assert_eq!((journeys.count(), lane.backend().open_calls()), (2, 1));
    // The one that waits for its turn leaves no trace; the other's turn passes to nobody.
    lane.cancel(second.id(), Ticket(1), None);
    lane.cancel(first.id(), Ticket(1), Some("enough"));
    tokio::task::yield_now().await;
    assert_eq!((journeys.count(), lane.backend().open_calls()), (0, 0));
    assert!(first.answers().is_empty() && second.answers().is_empty());
    let third = Client::new(None);
    lane.call(call(&third, "look"), None);
    tokio::task::yield_now().await;
    assert_eq!(lane.backend().open_calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn at_the_end_nobody_waits_in_a_stage() {
    let (lane, journeys) = lane(with_stages());
    let (first, second) = (Client::new(None), Client::new(None));
    lane.call(call(&first, "look"), None);
    lane.call(call(&second, "look"), None);
    tokio::task::yield_now().await;
    journeys.end();
    tokio::task::yield_now().await;
    let answers = second.answers();
    assert!(matches!(&answers[..], [Err(failure)] if failure.code == Code::CallShutdown), "{answers:?}");
    // The other one is at its server, which ends too and says so.
    assert!(first.answers().is_empty());
    lane.cancel(first.id(), Ticket(1), None);
    journeys.ended().await;
}

/// A stage with a fault.
#[derive(Debug)]
struct Broken;

impl Stage for Broken {
    fn around<'a>(&'a self, _: Box<Request>, _: Next<'a>) -> BoxFuture<'a, Outcome> {
        Box::pin(async { panic!("a fault, as the test wants it") })
    }
}

#[tokio::test]
async fn a_stage_that_breaks_down_leaves_nobody_without_an_answer() {
    let (lane, journeys) = lane(Stages::default());
    let client = Client::new(None);
    let track = Track {
        stages: Arc::new([Arc::new(Broken) as Arc<dyn Stage>]),
        shared: Shared::default(),
        cache: None,
        group: Arc::new(Group::new(
            lane.backend().name(),
            [Arc::clone(lane.backend())],
            None,
            None,
            Default::default(),
        )),
        is_bare: false,
        effects: Default::default(),
        trusts: false,
        total: Duration::from_secs(1),
    };
    let (config, backend) = (Arc::clone(lane.config()), Arc::clone(lane.backend()));
    let lane = Lane(Arc::new(Inner {
        config,
        backend,
        track: Some(track),
        journeys: Arc::clone(&journeys),
        meter: None,
        tracer: None,
    }));
    lane.call(call(&client, "look"), None);
    tokio::task::yield_now().await;
    assert!(matches!(&client.answers()[..], [Err(failure)] if failure.cause.contains("broke down")));
    assert_eq!(journeys.count(), 0);
}

#[tokio::test]
async fn another_instance_shares_the_turns_but_not_the_health() {
    let (shared, journeys) = lane(Stages { breaker: Some(Default::default()), ..with_stages() });
    let config = shared.backend().config().clone();
    let own = shared.beside(Backend::new(config, Arc::new(Nobody)));
    let (first, second) = (Client::new(None), Client::new(None));
    shared.call(call(&first, "look"), None);
    own.call(call(&second, "look"), None);
    tokio::task::yield_now().await;
    assert_eq!(journeys.count(), 2);
    assert_eq!((shared.backend().open_calls(), own.backend().open_calls()), (1, 0));
    let breaker = |lane: &Lane| {
        let member = lane.0.track.as_ref().and_then(|track| track.group.members().first());
        member.and_then(|member| member.breaker.clone()).expect("a breaker")
    };
    assert!(!Arc::ptr_eq(&breaker(&shared), &breaker(&own)));
}

#[tokio::test]
async fn the_effect_is_the_configs_word_and_the_servers_claims() {
    let effects = [("look", Effect::Read)].into_iter().collect();
    let (lane, _) = lane(Stages { effects, ..with_stages() });
    let track = lane.0.track.as_ref().expect("stages");
    let effect = |tool: &str, annotations: &str| {
        let definition = format!(r#"{{"name":"x","annotations":{annotations}}}"#);
        let request = track.request(
            call(&Client::new(None), tool),
            lane.item(|| Item {
                exposed: "s__x".into(),
                claims: Claims::of(definition.as_bytes()),
                definition: Bytes::from(definition),
            }),
            None,
        );
        assert_eq!(request.exposed.as_str(), "s__x");
        request.effect
    };
    assert_eq!(effect("look", "{}"), Effect::Read);
    assert_eq!(effect("look", r#"{"destructiveHint":true}"#), Effect::Destructive);
    assert_eq!(effect("other", r#"{"readOnlyHint":true}"#), Effect::Unknown);
}
