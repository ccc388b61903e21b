//! What a modern request says of itself is found where it stands, in any text; what we say instead is read as we meant it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use switchboard::bridge::meta::{Own, is_modern, read, strip_in};
use switchboard::protocol::Revision;
use switchboard::wire::json::{self, Kind};

fn look(params: &[u8]) {
    let found = read(params);
    let stripped = strip_in(params);
    // Over other texts nothing but an end is promised.
    if json::check(params).is_err() || json::kind(params) != Kind::Object {
        return;
    }
    if let Ok(found) = found {
        assert!(is_modern(params));
        assert_eq!(json::kind(found.protocol_version.of(params)), Kind::String);
        assert_eq!(json::kind(found.client_capabilities.of(params)), Kind::Object);
        let spans = [
            Some(found.protocol_version),
            Some(found.client_capabilities),
            found.client_info,
            found.progress_token,
        ];
        for span in spans.into_iter().flatten() {
            assert!(json::check(span.of(params)).is_ok());
        }
    }
    if let Some(stripped) = stripped {
        assert!(json::check(&stripped).is_ok());
        assert!(!is_modern(&stripped), "{}", String::from_utf8_lossy(&stripped));
        assert_eq!(strip_in(&stripped), None);
    }
    let own = Own {
        revision: Revision::newest_modern(),
        capabilities: b"{\"x\":1}",
        log_level: None,
        progress_token: Some(b"7"),
    };
    let stamped = own.params(Some(params));
    let found = read(&stamped).expect("what we say of ourselves");
    assert_eq!(found.client_capabilities.of(&stamped), b"{\"x\":1}");
    assert_eq!(found.progress_token.map(|span| span.of(&stamped)), Some(&b"7"[..]));
}

fuzz_target!(|input: (Vec<u8>, Vec<u8>, Vec<u8>)| {
    let (raw, version, capabilities) = input;
    look(&raw);
    look(
        &[
            b"{\"_meta\":{",
            &raw[..],
            b",\"io.modelcontextprotocol/protocolVersion\":",
            &version,
            b",\"io.modelcontextprotocol/clientCapabilities\":",
            &capabilities,
            b"}}",
        ]
        .concat(),
    );
});
