//! The error catalogue: every failure that a user or a model can see has a stable code, one sentence of cause and
//! one of remedy. Rooms make a [`Failure`]; only `frontend` turns one into a protocol answer, only `cli` prints one.

use std::fmt;
use std::time::Duration;

use crate::effect::Ran;
use crate::names::ServerName;
use crate::wire::unseen::{Unseen, unseen};

macro_rules! codes {
    ($($variant:ident = $id:literal, $title:literal, $explanation:literal;)*) => {
        /// A stable failure code. Codes are never reused or renumbered.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code {
            $(#[doc = concat!("`", $id, "`: ", $title, ".")] $variant,)*
        }

        impl Code {
            /// Every code, in the order of the catalogue.
            pub const ALL: &'static [Code] = &[$(Code::$variant,)*];

            /// The code as users see it, for example `SB-SPAWN-001`.
            pub fn id(self) -> &'static str {
                match self { $(Code::$variant => $id,)* }
            }

            /// A few words: what went wrong.
            pub fn title(self) -> &'static str {
                match self { $(Code::$variant => $title,)* }
            }

            /// What `switchboard explain CODE` prints: why it happens and what to do.
            pub fn explanation(self) -> &'static str {
                match self { $(Code::$variant => $explanation,)* }
            }
        }
    };
}

codes! {
    ConfigSyntax = "SB-CFG-001", "the config file cannot be read as JSON, YAML or TOML",
        "The file's syntax is chosen by its extension: .json and .jsonc (JSON with comments), .yaml and .yml, .toml. \
         The message names line and column. Run `switchboard config validate` after the change.";
    ConfigUnknownKey = "SB-CFG-002", "the config has a key that nobody knows",
        "A key of ours is misspelt or stands at the wrong place. The message names the nearest known key. \
         `switchboard config schema` prints every key.";
    ConfigValue = "SB-CFG-003", "a config value has the wrong type or range",
        "Durations are strings with a unit (\"30s\", \"5m\", \"500ms\"), sizes too (\"16MiB\"). The message says what is expected.";
    ConfigMissing = "SB-CFG-004", "a config entry lacks a key it needs",
        "A server needs `command` (a stdio child) or `url` (an HTTP endpoint).";
    ConfigConflict = "SB-CFG-005", "two config entries contradict each other",
        "Two servers have the same name or the same prefix after mapping, or one server has keys that exclude each other.";
    ConfigFile = "SB-CFG-006", "the config file cannot be opened",
        "The file is missing or not readable. `switchboard config path` shows which file is used and why.";
    ConfigUnset = "SB-CFG-007", "a server refers to a variable that is not set",
        "`${VAR}` has no value and no default. Set the variable where your client starts Switchboard, write \
         `${VAR:-default}`, or use `${file:path}`. Only this server is held back until then.";
    ConfigNotInForce = "SB-CFG-008", "a config key is understood but not in force in this version",
        "The key is part of the config language and is checked, but this version does not act on it.";
    ConfigProfile = "SB-CFG-009", "there is no such profile",
        "`--profile` or `http.profiles` names a profile that is not under `profiles:` of the config. The message lists those that are. \
         Until then nothing is served by it.";
    SpawnNotFound = "SB-SPAWN-001", "the server's command was not found",
        "The command is not on the PATH that Switchboard searched; the message lists it. Install the program, or write \
         its absolute path as `command`.";
    SpawnDenied = "SB-SPAWN-002", "the server's command may not be executed",
        "The file exists but is not executable for this user, is a directory, or its interpreter (first line) is missing.";
    SpawnDirectory = "SB-SPAWN-003", "the server's working directory is missing",
        "`cwd` names a folder that does not exist or cannot be entered.";
    SpawnResources = "SB-SPAWN-004", "the system refused to start another process",
        "Too many open files or processes, or no memory. Stop other programs or raise the limit (`ulimit -n`, `ulimit -u`).";
    ProcessExitedEarly = "SB-PROC-001", "the server ended before it finished its handshake",
        "Its last lines on stderr usually say why: a missing variable, a missing package, a wrong argument. Run \
         `switchboard check NAME` to see them.";
    ProcessExited = "SB-PROC-002", "the server ended",
        "The process exited or was killed. Switchboard starts it again with growing pauses.";
    ProcessCrashLoop = "SB-PROC-003", "the server keeps ending right after its start",
        "It was started several times within a minute and ended each time. One more attempt is made later, or at once \
         after its config changed. Run `switchboard check NAME`.";
    ProcessWedged = "SB-PROC-004", "the server stopped reading its input",
        "It accepted no byte for ten seconds although calls were waiting, so it was restarted.";
    ProcessFlood = "SB-PROC-005", "the server wrote a line that does not end",
        "A message is one line. This one passed four times `limits.message` without an end, so the server was stopped.";
    HandshakeTimeout = "SB-HAND-001", "the server did not answer `initialize` in time",
        "`timeouts.start` (60s) ran out. First starts of `npx` and `uvx` download packages: raise the limit, or install \
         the package beforehand.";
    HandshakeInvalid = "SB-HAND-002", "the server's answer to `initialize` cannot be used",
        "The server answered with an error or with something that is not an initialize result. It may not be an MCP server.";
    HandshakeRevision = "SB-HAND-003", "the server speaks a protocol revision that Switchboard does not know",
        "The server chose a revision outside the known ones. Update the server or Switchboard, or pin `protocol:`.";
    CallTimeout = "SB-CALL-001", "the server did not answer in time",
        "`timeouts.call` passed without an answer or progress, or `timeouts.total` passed. The call was cancelled at the server.";
    CallOutcomeUnknown = "SB-CALL-002", "the server ended while the call was running: outcome unknown",
        "The call may or may not have taken effect, so it was not sent again. Look at the result before you repeat it.";
    CallUnavailable = "SB-CALL-003", "the server is not available",
        "The server could not be started or is waiting for its next start. `switchboard__status` tells its state and the remedy.";
    CallBusy = "SB-CALL-004", "too many calls are waiting for this server",
        "The server's queue is full. Call again when some have been answered.";
    CallTooLarge = "SB-CALL-005", "the answer is too large",
        "Clients hang up on messages over 10 MiB, so Switchboard sends none over 8 MiB, and reads none over \
         `limits.message` (16 MiB) from a server. Ask for less: a page, a range, a filter.";
    CallMalformed = "SB-CALL-006", "the server answered with something that is not JSON-RPC",
        "The answer was not valid JSON or had neither a result nor an error. This is a fault of the server.";
    CallShutdown = "SB-CALL-007", "Switchboard is ending",
        "The client closed the connection or asked Switchboard to end while the call was running.";
    CallNotSupported = "SB-CALL-008", "the client or server does not support this request",
        "One side did not declare the capability that this request needs.";
    ToolRepaired = "SB-TOOL-001", "a definition was repaired",
        "Some clients drop a server's whole list for one definition they cannot read. The offending part was mended; \
         everything else is unchanged.";
    ToolHeld = "SB-TOOL-002", "a definition was held back",
        "It cannot be shown without making some clients drop the whole list, and it cannot be mended.";
    NetUnreachable = "SB-NET-002", "the server cannot be reached over the network",
        "No connection: nobody listens at the address, the name is unknown, or the way there is closed. Check `url`, the \
         network and the proxy variables (`HTTPS_PROXY`, `NO_PROXY`).";
    NetTls = "SB-NET-003", "the server's certificate was not accepted",
        "The certificate is not signed by an authority that this machine knows, has expired, or is for another name. For a \
         private authority set `tls: { ca: FILE }`.";
    NetTimeout = "SB-NET-004", "the server did not answer in time over the network",
        "The connection, or the head of the answer, took too long.";
    NetStatus = "SB-NET-005", "the server answered with an HTTP error",
        "The message names the status. 404 and 405 usually mean a wrong path in `url`; 5xx is a fault of the server; on 429 and \
         503 the server asks to be called later.";
    NetProtocol = "SB-NET-006", "the server's answer is not what this transport needs",
        "Not JSON and not an event stream, or a stream that breaks the rules. It may not be an MCP server: check `url` and `type`.";
    NetRedirect = "SB-NET-007", "the server redirects to another origin",
        "Credentials and calls are never carried to another origin. Write the new address as `url` if it is right.";
    NetLost = "SB-NET-008", "the connection to the server was lost",
        "The stream or socket broke, or the server no longer knows the session. Switchboard connects again.";
    NetServerError = "SB-NET-009", "the server answered with an HTTP error of its own",
        "It was reached and said with a status of 5xx that it is not well, or that something between it and us is not. It counts \
         against the server where there is a circuit breaker. Its log says more.";
    AuthNeedsLogin = "SB-AUTH-001", "the server wants you to log in",
        "The server needs credentials that only you can give. Run `switchboard auth login NAME`.";
    AuthFailed = "SB-AUTH-002", "logging in to the server failed",
        "The authorization server refused, or its answers do not fit together. The message says which step.";
    AuthRefused = "SB-AUTH-003", "the server refused the credentials",
        "The configured token or header is wrong, has expired, or lacks a permission. Change it in the config.";
    BridgeUnsupported = "SB-BRIDGE-001", "client and server speak revisions that cannot do this together",
        "The message says what one side asked for and why the other side cannot do it.";
    BridgeExpired = "SB-BRIDGE-002", "the interaction has expired",
        "A question was answered too late, twice, or by another call. Call again.";
    MockScript = "SB-MOCK-001", "the mock script cannot be used",
        "The file is missing, is not YAML, or has a key or value that the mock server does not know. The message names \
         file, line and column. `docs/mock.md` describes every key.";
    HttpListen = "SB-HTTP-001", "the address for HTTP clients cannot be listened on",
        "Another program listens there (another Switchboard, perhaps), the address is not one of this machine, or the port \
         needs more rights. Choose another one with `serve --http ADDR` or `http.listen`.";
    HttpOpen = "SB-HTTP-002", "an address that others can reach needs a token",
        "Everybody who reaches Switchboard can use every tool behind it. Add `http: { tokens: { NAME: \"${env:TOKEN}\" } }`, or \
         listen on 127.0.0.1.";
    AdminListen = "SB-ADMIN-001", "the administration interface cannot be opened",
        "Another program listens at `admin.listen` (another Switchboard, perhaps), the address is not one of this machine, or the folder \
         of the socket is missing. Switchboard serves without it. Choose another place, or let the system choose a port: \
         `listen: 127.0.0.1:0`.";
    LimitRate = "SB-LIMIT-001", "the server is called too often",
        "`rate_limit` of this server allows no more calls at the moment; the message says when the next one is possible. The call \
         did not run.";
    LimitQueue = "SB-LIMIT-002", "too many calls wait for this server",
        "`concurrency.max` calls run and `concurrency.queue` wait for their turn, so no more are taken. The call did not run.";
    LimitWait = "SB-LIMIT-003", "the call waited too long for its turn",
        "`concurrency.max` calls kept the server busy for `concurrency.wait`. The call did not run.";
    AuditUnwritable = "SB-AUDIT-001", "the audit log cannot be written",
        "`telemetry.audit_log.fail` is `closed`, so that no call is made of which nothing is noted, and the last entry could not be \
         written. The log is in the folder `audit` of the state folder; the message says what is wrong. Each call tries again. The \
         call did not run.";
    ArgumentsInvalid = "SB-VALID-001", "the arguments do not fit the tool's schema",
        "`validate.input` of this server checks them before they are sent. The message names each place, what is expected and what \
         was found. The call did not run.";
    ResultInvalid = "SB-VALID-002", "the result does not fit the tool's schema",
        "`validate.output: strict` of this server refuses results that break the promise of `outputSchema`. This is a fault of the \
         server. The tool has run and may have taken effect.";
    PolicyDenied = "SB-POLICY-001", "a policy refuses the call",
        "The policies of this Switchboard (`policy.file`) do not let this client do this, or not with these arguments; the message \
         names the policy. The call did not run, and will not run if it is repeated. `switchboard explain TOOL --client NAME` \
         shows which policy decides.";
    PolicyBroken = "SB-POLICY-002", "the policies cannot be used",
        "The file that `policy.file` names is missing, is not Cedar, or says what cannot be meant; the message names file and line. \
         Until it is mended nobody may call anything. A file that breaks while Switchboard runs changes nothing: the last good \
         policies stay in force.";
    BreakerOpen = "SB-BREAKER-001", "the server has failed too often and is left alone",
        "Too many calls in a row, or too large a part of them, got no answer (`breaker` of this server). Calls are refused at once \
         until the time that the message names; then one call is let through, and its answer lets all others follow. The call did \
         not run.";
    HookDenied = "SB-HOOK-001", "an interceptor refused the call",
        "One of the `interceptors` of the config looked at the call, or at its result, and said no; the message has its name and its \
         reason. Change the call as the reason asks, or change the interceptor.";
    HookFailed = "SB-HOOK-002", "an interceptor failed, and nothing passes without it",
        "It could not be started or reached, ended, answered with nonsense or with too much, or its entry in the config is wrong; the \
         message says which. Mend it, or let calls pass without it: `fail: open` in its entry.";
    HookTimeout = "SB-HOOK-003", "an interceptor took too long, and nothing passes without it",
        "It gave no verdict within its `timeout`. Make it quicker, raise the timeout, or let calls pass without it: `fail: open` in \
         its entry.";
    TrustChanged = "SB-TRUST-001", "a definition is not what it was",
        "The server shows a tool or prompt that is new or says something else than when it was seen first or approved last \
         (`definitions: { changes: flag }`). It is shown. `switchboard approve` shows what changed, `switchboard approve SERVER/NAME` \
         accepts it.";
    TrustHeld = "SB-TRUST-002", "a definition is held back until somebody approves it",
        "It changed, is new, or looks dishonest, and the config says to hold such definitions back (`definitions` of this server). \
         It is not shown and not called. `switchboard approve` shows why and what changed, `switchboard approve SERVER/NAME` \
         releases it, in a running Switchboard too.";
    TrustSuspicious = "SB-TRUST-003", "a definition looks dishonest",
        "It has text that nobody sees, words that give the model orders, names of other servers' tools, or claims that contradict \
         each other. Such findings are hints, no proofs. Read the definition (`switchboard approve`, `switchboard check --json`); \
         `switchboard approve SERVER/NAME` says that it is good.";
    TrustLock = "SB-TRUST-004", "the definitions are not those of the lock file",
        "`switchboard check --locked` compares what servers show with `switchboard.lock`. Look at the differences; if they are \
         wanted, write the file anew with `switchboard check --write-lock` and commit it.";
    ManageExists = "SB-MANAGE-001", "there is a server of this name already",
        "Servers are known by their names, each of which stands once. Choose another one, or change the server that has it.";
    ManageUnknown = "SB-MANAGE-002", "there is no server of this name",
        "The name is the key under `servers` of the config, or the one that was given at registration. The message names the nearest \
         one; `switchboard status` shows all.";
    ManageInvalid = "SB-MANAGE-003", "the new config cannot be used",
        "The entry or the file has a mistake; the message says what and where. Nothing has changed: what was in force before stays.";
    ManageUnwritable = "SB-MANAGE-004", "the config file cannot be changed",
        "The change was to be kept in the config file, which is not there or cannot be read as it is now. Nothing has changed.";
    EditByHand = "SB-EDIT-001", "the config file is written in a way that cannot be changed safely",
        "Comments, order and layout of the file stay as they are, and nothing else may change its meaning by an edit. Here that cannot be \
         promised (anchors, merge keys, or an entry that stands in more than one place, for example), so nothing was written. The message \
         says what to write by hand.";
    EditTwice = "SB-EDIT-002", "something stands twice in the config file",
        "Two entries or keys have the same name, and nobody can say which of them is meant. Nothing was written. Remove one of them first.";
    EditChanged = "SB-EDIT-003", "the config file was changed by somebody else meanwhile",
        "It does not hold any more what was read a moment ago, and overwriting it would undo what somebody has just done. Nothing was \
         written. Do the same once more.";
    EditWrite = "SB-EDIT-004", "the config file cannot be written",
        "The file is read-only, or the system does not let this user write it or into its folder; the message says why. The old text is \
         as it was.";
    HealthCheck = "SB-HEALTH-001", "the server does not answer health checks",
        "`health_check.max_failures` checks in a row (`ping`, or `server/discover`) got no answer within `health_check.timeout`. \
         Calls go to other instances while there are any, and to this one again as soon as a check succeeds.";
}

impl Code {
    /// Finds a code by what users type: `SB-SPAWN-001`, in any case.
    pub fn parse(text: &str) -> Option<Code> {
        Code::ALL.iter().copied().find(|code| code.id().eq_ignore_ascii_case(text.trim()))
    }

    /// Whether the way to the server is what failed: its start, its process, its handshake, or the connection. What a server
    /// answers is not meant, nor what it refuses (`NetStatus`), nor anything that we refuse.
    pub fn is_of_the_way(self) -> bool {
        matches!(
            self,
            Code::SpawnNotFound
                | Code::SpawnDenied
                | Code::SpawnDirectory
                | Code::SpawnResources
                | Code::ProcessExitedEarly
                | Code::ProcessExited
                | Code::ProcessCrashLoop
                | Code::ProcessWedged
                | Code::ProcessFlood
                | Code::HandshakeTimeout
                | Code::HandshakeInvalid
                | Code::HandshakeRevision
                | Code::NetUnreachable
                | Code::NetTls
                | Code::NetTimeout
                | Code::NetProtocol
                | Code::NetLost
        )
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

/// One failure: what happened, to whom, and what mends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The stable code.
    pub code: Code,
    /// The server it happened to, if it happened to one.
    pub server: Option<ServerName>,
    /// One sentence of cause, without a final period: lower case, names in back-ticks.
    pub cause: String,
    /// One sentence of remedy, if there is one that the reader can act on; a command where possible.
    pub remedy: Option<String>,
    /// How long the server wants to be left alone (RFC 9110, 10.2.3).
    pub retry_after: Option<Duration>,
    /// Whether the call that failed may have taken effect.
    pub ran: Ran,
}

impl Failure {
    /// A failure that belongs to no server. Control characters in the cause, which often quotes a stranger, are
    /// escaped: it is one line wherever it is shown.
    pub fn new(code: Code, cause: impl Into<String>) -> Self {
        let mut cause = cause.into();
        let misleads =
            |character: char| character.is_control() || unseen(character).is_some_and(Unseen::misleads);
        if cause.contains(misleads) {
            let escaped = |character: char| match misleads(character) {
                true => character.escape_default().to_string(),
                false => character.to_string(),
            };
            cause = cause.chars().map(escaped).collect();
        }
        Self { code, server: None, cause, remedy: None, retry_after: None, ran: Ran::Unknown }
    }

    /// The same failure, of this server.
    pub fn of(mut self, server: &ServerName) -> Self {
        self.server = Some(server.clone());
        self
    }

    /// The same failure with a remedy.
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// The same failure, of a server that wants to be left alone for so long.
    pub fn retry_after(mut self, pause: Option<Duration>) -> Self {
        self.retry_after = pause;
        self
    }

    /// The same failure, of a call of which it is certain that nothing has run.
    pub fn not_run(self) -> Self {
        self.ran(Ran::No)
    }

    /// The same failure, of a call of which so much is known.
    pub fn ran(mut self, ran: Ran) -> Self {
        self.ran = ran;
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(server) = &self.server {
            write!(f, "server `{server}`: ")?;
        }
        f.write_str(&self.cause)?;
        if let Some(remedy) = &self.remedy {
            write!(f, ". {remedy}")?;
        }
        write!(f, " ({})", self.code)
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_found_again() {
        let mut seen = std::collections::HashSet::new();
        for code in Code::ALL {
            assert!(seen.insert(code.id()), "{code} stands twice");
            assert_eq!(Code::parse(&code.id().to_lowercase()), Some(*code));
        }
        assert_eq!(Code::parse("SB-NONE-000"), None);
    }

    #[test]
    fn a_failure_reads_as_one_line() {
        let failure = Failure::new(Code::SpawnNotFound, "command `npx` was not found")
            .of(&"files".into())
            .remedy("Install Node.js");
        assert_eq!(
            failure.to_string(),
            "server `files`: command `npx` was not found. Install Node.js (SB-SPAWN-001)"
        );
    }
}
