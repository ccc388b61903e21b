//! Switchboard as a client: the suite plays the server, and judges what it is sent. Behind stdio stands a client of an
//! official SDK, so that Switchboard has something to relay. The measure is that client speaking to the suite directly.

use std::process::Command;
use std::sync::OnceLock;

use serde_json::json;

use crate::differences::{Difference, assert_equal};
use crate::process::program;
use crate::suite::{Leg, Report, Revision, Status, judge_client, judge_client_in, required};
use crate::support::real;
use crate::workshop::Workshop;

/// Whether Switchboard stands between the client and the suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Direct,
    Through,
    /// The same, and Switchboard is told which revision the scenario speaks. It would try that of its client first, and these
    /// scenarios take an `initialize` for a request of theirs that lacks something.
    Told(&'static str),
}

/// The command that plays the client, of the SDK that speaks a revision.
fn client(workshop: &Workshop, spoken: Revision, way: Way) -> Command {
    let (set, module) = match spoken {
        Revision::Legacy => ("sdk-1-new", "sdk-1.mjs"),
        Revision::Modern => ("client-2", "client-2.mjs"),
    };
    let mut command = Command::new(real::node());
    command.arg(workshop.scripts("clients", set).join("client.mjs")).env("FIXTURE_CLIENT", module);
    if way != Way::Direct {
        let protocol = match way {
            Way::Told(revision) => Some(revision),
            Way::Direct | Way::Through => None,
        };
        let through = json!({ "program": program(), "home": workshop.folder("homes"), "protocol": protocol });
        command.env("FIXTURE_THROUGH", through.to_string());
    }
    command
}

/// The suite's verdict on a client of the revision's own SDK.
fn judge(revision: Revision, way: Way) -> Report {
    let workshop = Workshop::new();
    let client = client(&workshop, revision, way);
    let mut report = judge_client(&client, revision, &workshop.folder("results"));
    judge_time_again(&mut report, &client, revision, &workshop);
    report
}

/// Legacy scenarios whose verdict depends on how busy the machine is, and their checks:
/// - how long a client waits before it takes up a stream again. Any GET is taken for the one that takes it up, and the call is
///   answered there: also the general stream, which clients open beside their first requests. Where that one comes late, it looks
///   like a return that was too early;
/// - whether the client calls the tool that it finds. It asks for the list once, and the first list waits a second at most
///   for a server that has just been started.
const TIMED: [(&str, &str); 2] =
    [("sse-retry", "client-sse-retry-timing"), ("tools_call", "tool-add-numbers")];
/// So often it is tried before its verdict counts.
const TRIES: usize = 4;

/// Judges those again that are not well. A client that does it wrong fails each time.
fn judge_time_again(report: &mut Report, client: &Command, revision: Revision, workshop: &Workshop) {
    if revision == Revision::Modern {
        return;
    }
    for (scenario, check) in TIMED {
        for again in 1..TRIES {
            if report.is_well(scenario, check) {
                break;
            }
            let results = workshop.folder(&format!("{scenario}-{again}"));
            report.replace(scenario, judge_client_in(scenario, client, revision, &results));
        }
    }
}

/// What is bridged where the client speaks another revision than the server. How Switchboard logs in does not depend on
/// who stands behind it.
const BRIDGED: [(Revision, &[&str]); 2] = [
    (Revision::Legacy, &["initialize", "tools_call", "elicitation-sep1034-client-defaults", "sse-retry"]),
    (
        Revision::Modern,
        &[
            "tools_call",
            "request-metadata",
            "sep-2322-client-request-state",
            "http-standard-headers",
            "http-custom-headers",
            "http-invalid-tool-headers",
            "json-schema-ref-no-deref",
        ],
    ),
];

/// Where logging in to servers of the modern era differs.
const MODERN_LOGIN: [Difference; 1] = [Difference {
    scenario: "auth/resource-mismatch",
    id: "authorization-server-metadata",
    direct: Status::Success,
    through: Status::Info,
    reason: "the server's metadata is about another resource, so nothing of it is used, also not the authorization \
             server that it names (RFC 9728 §3.3: \"the data contained in the response MUST NOT be used\"); the SDK asks \
             that one about itself first, and refuses then",
}];

/// The suite's verdict on Switchboard, relaying for a client that speaks another revision.
fn bridged(revision: Revision, spoken: Revision) -> Report {
    let workshop = Workshop::new();
    let way = match revision {
        Revision::Legacy => Way::Through,
        Revision::Modern => Way::Told("2026-07-28"),
    };
    let client = client(&workshop, spoken, way);
    let mut report = Report::default();
    for scenario in bridged_scenarios(revision) {
        report.extend(judge_client_in(scenario, &client, revision, &workshop.folder("results")));
    }
    judge_time_again(&mut report, &client, revision, &workshop);
    report
}

fn bridged_scenarios(revision: Revision) -> &'static [&'static str] {
    BRIDGED.iter().find(|(of, _)| *of == revision).unwrap().1
}

/// The suite's verdict on the SDK's client itself, found once.
fn direct(revision: Revision) -> &'static Report {
    static LEGACY: OnceLock<Report> = OnceLock::new();
    static MODERN: OnceLock<Report> = OnceLock::new();
    let cell = match revision {
        Revision::Legacy => &LEGACY,
        Revision::Modern => &MODERN,
    };
    cell.get_or_init(|| judge(revision, Way::Direct))
}

fn direct_passes(revision: Revision) {
    if real::skipped() {
        return;
    }
    let complaints = direct(revision).complaints(&required(Leg::Client, revision));
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

fn equal_to_direct(revision: Revision, allowed: &[&[Difference]]) {
    if real::skipped() {
        return;
    }
    assert_equal(direct(revision), &judge(revision, Way::Through), allowed);
}

fn bridged_is_equal(revision: Revision, spoken: Revision, allowed: &[&[Difference]]) {
    if real::skipped() {
        return;
    }
    let direct = direct(revision).only(bridged_scenarios(revision));
    assert_equal(&direct, &bridged(revision, spoken), allowed);
}

/// See the same on the other side.
const FLATTENED: [Difference; 1] = [flattened(Status::Failure)];
const FLATTENED_SKIPPED: [Difference; 1] = [flattened(Status::Skipped)];

const fn flattened(through: Status) -> Difference {
    let id = "sep-2106-client-composition-keywords-preserved";
    let reason = "combinations at the root of an `inputSchema` are flattened on purpose";
    Difference { scenario: "json-schema-2020-12-preservation", id, direct: Status::Success, through, reason }
}

/// Switchboard shows everything that a server has, so it asks for the lists that the SDK's client leaves out.
const LISTS_MORE: [Difference; 1] = [Difference {
    scenario: "http-standard-headers",
    id: "sep-2243-client-includes-standard-headers",
    direct: Status::Info,
    through: Status::Success,
    reason: "the check is there for each method that is called",
}];

#[test]
fn the_legacy_client_passes() {
    direct_passes(Revision::Legacy);
}

#[test]
fn the_modern_client_passes() {
    direct_passes(Revision::Modern);
}

#[test]
fn a_legacy_client_of_legacy_servers_is_equal() {
    equal_to_direct(Revision::Legacy, &[&FLATTENED_SKIPPED]);
}

#[test]
fn a_modern_client_of_modern_servers_is_equal() {
    equal_to_direct(Revision::Modern, &[&FLATTENED, &LISTS_MORE, &MODERN_LOGIN]);
}

#[test]
fn a_modern_client_of_legacy_servers_is_equal() {
    bridged_is_equal(Revision::Legacy, Revision::Modern, &[]);
}

#[test]
fn a_legacy_client_of_modern_servers_is_equal() {
    bridged_is_equal(Revision::Modern, Revision::Legacy, &[&LISTS_MORE]);
}
