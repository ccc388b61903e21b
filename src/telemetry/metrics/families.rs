//! Every metric that there is: its name, its labels, and what it tells. `docs/telemetry.md` has the same table, and a test compares
//! the two.

use super::text::{Family, Kind};

macro_rules! families {
    ($($constant:ident: $kind:ident $name:literal [$($label:literal)*] $help:literal;)*) => {
        $(pub(super) static $constant: Family = Family { name: $name, kind: Kind::$kind, labels: &[$($label),*], help: $help };)*

        /// Every metric that there is, in the order of the text.
        pub static FAMILIES: &[&Family] = &[$(&$constant),*];
    };
}

families! {
    BUILD: Gauge "switchboard_build_info" ["version"] "Which Switchboard this is; always 1.";
    SERVERS: Gauge "switchboard_servers" ["level"] "Servers by how well they are: healthy, degraded, unhealthy or disabled.";
    SERVER_INFO: Gauge "switchboard_server_info" ["server" "transport" "strategy"] "How a server is reached, and how calls are spread over its instances; always 1.";
    SERVER_UP: Gauge "switchboard_server_up" ["server"] "Whether the tools of a server can be called: 1 if it is healthy or degraded.";
    SERVER_STATE: Gauge "switchboard_server_state" ["server" "state"] "What a server is doing, in one word; always 1.";
    DEFINITIONS: Gauge "switchboard_definitions" ["server" "kind"] "Tools, prompts, resources and templates that clients are shown.";
    NOTES: Gauge "switchboard_definition_notes" ["server"] "Definitions that were repaired or held back, changed, or look dishonest.";
    CONFIG_PROBLEMS: Gauge "switchboard_config_problems" ["severity"] "What is wrong with the config.";
    CALLS: Counter "switchboard_calls_total" ["server" "method" "outcome"] "Requests of clients that have ended.";
    DURATION: Histogram "switchboard_call_duration_seconds" ["server" "method"] "How long requests of clients took, but for those that were cancelled.";
    FAILURES: Counter "switchboard_call_failures_total" ["server" "code"] "Requests that got no answer of their server, by the code of the failure.";
    REQUEST_BYTES: Counter "switchboard_call_request_bytes_total" ["server"] "Parameters of requests that have ended.";
    RESPONSE_BYTES: Counter "switchboard_call_response_bytes_total" ["server"] "Results and errors of servers.";
    TOOL_CALLS: Counter "switchboard_tool_calls_total" ["server" "tool" "outcome"] "Calls of a tool that have ended, by the name that the server gives it.";
    TOOL_DURATION: Summary "switchboard_tool_call_duration_seconds" ["server" "tool"] "How long calls of a tool took, but for those that were cancelled.";
    JOURNEYS: Gauge "switchboard_staged_calls" [] "Calls that are on their way through stages.";
    PARKED: Gauge "switchboard_parked_calls" [] "Calls that wait for their client to come back with an answer.";
    SESSIONS: Gauge "switchboard_sessions" [] "Clients that are connected and hold a session.";
    OPEN: Gauge "switchboard_open_calls" ["server" "replica"] "Calls that are at an instance of a server, or wait for it.";
    INSTANCE_UP: Gauge "switchboard_instance_up" ["server" "replica"] "Whether an instance of a server takes calls.";
    ATTEMPTS: Counter "switchboard_attempts_total" ["server" "replica"] "Calls that were handed to an instance of a server, repeated ones each time.";
    ATTEMPT_FAILURES: Counter "switchboard_attempt_failures_total" ["server" "replica"] "Calls that got no answer of an instance.";
    STARTS: Counter "switchboard_server_starts_total" ["server" "replica"] "Starts of an instance: each is a generation of its own.";
    NOISE: Counter "switchboard_server_noise_lines_total" ["server"] "Lines of a server that were no protocol messages.";
    DROPPED_LOGS: Counter "switchboard_server_dropped_logs_total" ["server"] "Log messages of a server that were dropped because there were too many.";
    RETRIES: Counter "switchboard_retries_total" ["server"] "Calls that were sent again.";
    BREAKER: Gauge "switchboard_breaker_state" ["server" "replica" "state"] "1 for the state in which the breaker of an instance is: closed, half_open or open.";
    BREAKER_OPENINGS: Counter "switchboard_breaker_openings_total" ["server" "replica"] "How often the breaker of an instance has opened.";
    TURNS: Gauge "switchboard_concurrency_calls" ["server" "state"] "Calls that are running, or waiting for their turn.";
    TURNS_LIMIT: Gauge "switchboard_concurrency_limit" ["server"] "How many calls may run at once.";
    CACHE_HITS: Counter "switchboard_cache_hits_total" ["server"] "Calls that were answered without their server.";
    CACHE_MISSES: Counter "switchboard_cache_misses_total" ["server"] "Calls that might have been, and went to their server.";
    CACHE_ANSWERS: Gauge "switchboard_cache_answers" ["server"] "Answers that are kept.";
    CACHE_BYTES: Gauge "switchboard_cache_bytes" ["server"] "What kept answers take.";
    HOOKS: Counter "switchboard_interceptor_calls_total" ["interceptor"] "How often an interceptor was asked.";
    HOOKS_DENIED: Counter "switchboard_interceptor_denials_total" ["interceptor"] "How often an interceptor said no.";
    HOOKS_FAILED: Counter "switchboard_interceptor_failures_total" ["interceptor"] "How often an interceptor had no verdict.";
    AUDIT_KEPT: Counter "switchboard_audit_entries_total" [] "Entries that were written to the audit log.";
    AUDIT_LOST: Counter "switchboard_audit_lost_total" [] "Calls that the audit log lacks.";
    AUDIT_BROKEN: Gauge "switchboard_audit_broken" [] "Whether something is wrong with the audit log.";
    DISCOVERY_RUNS: Counter "switchboard_discovery_runs_total" ["outcome"] "Runs of the discovery.";
    DISCOVERED: Counter "switchboard_discovery_found_total" [] "Servers that all runs of the discovery have found together.";
    REGISTERED: Counter "switchboard_discovery_registered_total" [] "Found servers that were put in at once (auto_register).";
    DISCOVERY_LAST: Gauge "switchboard_discovery_last_run_timestamp_seconds" [] "When the discovery ran last.";
    CPU: Counter "process_cpu_seconds_total" [] "Processor time that we took.";
    MEMORY: Gauge "process_resident_memory_bytes" [] "Memory that we take.";
    FILES: Gauge "process_open_fds" [] "Open files, connections included.";
    MAX_FILES: Gauge "process_max_fds" [] "How many files may be open.";
    BEGAN: Gauge "process_start_time_seconds" [] "When we were started.";
}
