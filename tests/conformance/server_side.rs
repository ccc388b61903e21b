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

fn equal_to_direct(spoken: Revision, server: Revision, reach: Reach, allowed: &[&Difference]) {
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

/// The server ends its stream in the middle of a call, to see the client come back. Switchboard comes back to the
/// server, and has no reason to end its own stream towards the client.
const KEEPS_ITS_STREAM: Difference = Difference {
    scenario: "server-sse-polling",
    id: "server-sse-disconnect-resume",
    direct: Status::Success,
    through: Status::Info,
    reason: "the stream towards the client is another one than the one that the server ended",
};

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
    equal_to_direct(Revision::Legacy, Revision::Legacy, Reach::Http, &[&KEEPS_ITS_STREAM]);
}

#[test]
fn a_legacy_child_is_equal() {
    equal_to_direct(Revision::Legacy, Revision::Legacy, Reach::Stdio, &[&KEEPS_ITS_STREAM]);
}

#[test]
fn a_modern_server_at_an_address_is_equal() {
    equal_to_direct(Revision::Modern, Revision::Modern, Reach::Http, &[]);
}

#[test]
fn a_modern_child_is_equal() {
    equal_to_direct(Revision::Modern, Revision::Modern, Reach::Stdio, &[]);
}

#[test]
fn a_modern_server_bridged_to_legacy_is_equal() {
    equal_to_direct(Revision::Legacy, Revision::Modern, Reach::Http, &[&KEEPS_ITS_STREAM]);
}

#[test]
fn a_legacy_server_bridged_to_modern_is_equal() {
    equal_to_direct(Revision::Modern, Revision::Legacy, Reach::Http, &[]);
}
