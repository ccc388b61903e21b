//! Switchboard as a server: the suite talks to its HTTP face, behind which stands a fixture server. The measure is the
//! fixture server of the suite's revision, spoken to directly.
//!
//! Four ways lead to a server: as a child or at an address, and in its own revision or bridged from the other one.

use std::sync::OnceLock;

use serde_json::json;

use crate::differences::{Difference, assert_equal};
use crate::process::{Fixture, Reach, switchboard};
use crate::suite::{Leg, Report, Revision, Status, judge_server, required};
use crate::support::real;
use crate::workshop::Workshop;

/// The suite's verdict on the fixture server itself, found once.
fn direct(revision: Revision) -> &'static Report {
    static LEGACY: OnceLock<Report> = OnceLock::new();
    static MODERN: OnceLock<Report> = OnceLock::new();
    let cell = match revision {
        Revision::Legacy => &LEGACY,
        Revision::Modern => &MODERN,
    };
    cell.get_or_init(|| {
        let workshop = Workshop::new();
        let server = Fixture::of(revision).listen(&workshop);
        judge_server(server.url(), revision, &workshop.folder("results"))
    })
}

/// The suite's verdict on a Switchboard in front of a server.
fn through(spoken: Revision, server: Revision, reach: Reach) -> Report {
    let workshop = Workshop::new();
    let fixture = Fixture::of(server);
    let listener = (reach == Reach::Http).then(|| fixture.listen(&workshop));
    let entry = match &listener {
        Some(listener) => json!({ "url": listener.url(), "prefix": "" }),
        None => fixture.as_child(&workshop),
    };
    let face = switchboard(&workshop.folder("home"), &entry);
    let report = judge_server(face.url(), spoken, &workshop.folder("results"));
    eprintln!("{}", face.log());
    report
}

fn equal_to_direct(spoken: Revision, server: Revision, reach: Reach, allowed: &[&[Difference]]) {
    if real::skipped() {
        return;
    }
    assert_equal(direct(spoken), &through(spoken, server, reach), allowed);
}

/// A comparison with a server that fails would show nothing.
fn direct_passes(revision: Revision) {
    if real::skipped() {
        return;
    }
    let complaints = direct(revision).complaints(&required(Leg::Server, revision));
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// An answer before which nothing is to be told comes as plain JSON, where the SDK opens a stream for every answer. The
/// specification leaves that to the server. So the scenario that watches a stream end and resume sees none, although
/// the fixture has ended the stream towards Switchboard, which took it up again.
const ANSWERS_IN_JSON: [Difference; 2] = [
    in_json("server-sse-multiple-streams", "server-sse-streams-functional"),
    in_json("server-sse-polling", "server-sse-disconnect-resume"),
];
/// What a stream begins with cannot be seen where there is none: the fixture ends one only over HTTP, and with a session.
const NO_STREAM_AT_ALL: [Difference; 2] = [
    in_json("server-sse-polling", "server-sse-priming-event"),
    in_json("server-sse-polling", "server-sse-retry-field"),
];

const fn in_json(scenario: &'static str, id: &'static str) -> Difference {
    let reason = "an answer without anything before it needs no stream";
    Difference { scenario, id, direct: Status::Success, through: Status::Info, reason }
}

/// A server with a handshake asks in requests, not in results. The scenarios of `input_required` know the names that their
/// own server gives its questions, and what it does with answers that it did not ask for.
const ASKED_IN_REQUESTS: [Difference; 6] = {
    let named = "a request of an older server has no name that could be kept";
    let one_by_one = "an older server asks one thing at a time, and waits";
    let unasked = "an answer to a question that nobody asked yet cannot be given to an older server";
    let once = "an older server hears once what clients can do, and asks this one for what it did not declare, which is refused";
    let abilities = "input-required-result-capability-check";
    let basic = "input-required-result-basic-elicitation";
    let multiple = "input-required-result-multiple-input-requests";
    let extra = "input-required-result-ignore-extra-params";
    [
        asked(basic, "sep-2322-elicitation-incomplete", Status::Failure, named),
        asked(basic, "sep-2322-elicitation-complete", Status::Info, named),
        asked(multiple, "sep-2322-multiple-inputs-incomplete", Status::Failure, one_by_one),
        asked(multiple, "sep-2322-multiple-inputs-complete", Status::Info, one_by_one),
        asked(extra, "sep-2322-ignore-unexpected-params", Status::Warning, unasked),
        asked(abilities, "sep-2322-respect-client-capabilities", Status::Failure, once),
    ]
};

const fn asked(
    scenario: &'static str,
    id: &'static str,
    through: Status,
    reason: &'static str,
) -> Difference {
    Difference { scenario, id, direct: Status::Success, through, reason }
}

/// A provider refuses every request of a client that holds one tool with a combination at the root of its `inputSchema`, so
/// its members are merged into the root (`catalog/hygiene`). A result of a revision that does not promise them is a skip.
const FLATTENED: [Difference; 1] = [flattened(Status::Failure)];
const FLATTENED_SKIPPED: [Difference; 1] = [flattened(Status::Skipped)];

const fn flattened(through: Status) -> Difference {
    let reason = "combinations at the root of an `inputSchema` are flattened on purpose";
    let id = "sep-2106-composition-keywords-preserved";
    Difference { scenario: "json-schema-2020-12", id, direct: Status::Success, through, reason }
}

/// The SDK knows no tasks and says so in place of the task's name, which is unknown too.
const UNKNOWN_TASK: [Difference; 1] = [Difference {
    scenario: "tasks-dispatch-and-envelope",
    id: "sep-2663-tasks-get-invalid-task-id-32602",
    direct: Status::Failure,
    through: Status::Success,
    reason: "the name of a task says to which server it belongs; this one says nothing",
}];

#[test]
fn the_legacy_fixture_passes() {
    direct_passes(Revision::Legacy);
}

#[test]
fn the_modern_fixture_passes() {
    direct_passes(Revision::Modern);
}

#[test]
fn a_legacy_server_at_an_address_is_equal() {
    equal_to_direct(Revision::Legacy, Revision::Legacy, Reach::Http, &[&ANSWERS_IN_JSON, &FLATTENED_SKIPPED]);
}

#[test]
fn a_legacy_child_is_equal() {
    equal_to_direct(
        Revision::Legacy,
        Revision::Legacy,
        Reach::Stdio,
        &[&ANSWERS_IN_JSON, &NO_STREAM_AT_ALL, &FLATTENED_SKIPPED],
    );
}

#[test]
fn a_modern_server_at_an_address_is_equal() {
    equal_to_direct(Revision::Modern, Revision::Modern, Reach::Http, &[&FLATTENED, &UNKNOWN_TASK]);
}

#[test]
fn a_modern_child_is_equal() {
    equal_to_direct(Revision::Modern, Revision::Modern, Reach::Stdio, &[&FLATTENED, &UNKNOWN_TASK]);
}

#[test]
fn a_modern_server_bridged_to_legacy_clients_is_equal() {
    equal_to_direct(
        Revision::Legacy,
        Revision::Modern,
        Reach::Http,
        &[&ANSWERS_IN_JSON, &NO_STREAM_AT_ALL, &FLATTENED_SKIPPED],
    );
}

#[test]
fn a_legacy_child_bridged_to_modern_clients_is_equal() {
    equal_to_direct(
        Revision::Modern,
        Revision::Legacy,
        Reach::Stdio,
        &[&ASKED_IN_REQUESTS, &FLATTENED, &UNKNOWN_TASK],
    );
}
