//! Our checker and serde_json agree on what is JSON, as far as the latter can go; views never panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use switchboard::wire::json;

fuzz_target!(|bytes: &[u8]| {
    let ours = json::check(bytes);
    json::members(bytes).count();
    json::elements(bytes).count();
    let _ = json::string(bytes);
    if std::str::from_utf8(bytes).is_ok() {
        let theirs = serde_json::from_slice::<&serde_json::value::RawValue>(bytes);
        match (&ours, &theirs) {
            (Ok(_), Ok(_)) | (Err(_), Err(_)) | (Err(json::JsonError::TooDeep), Ok(_)) => {}
            _ => panic!("ours: {ours:?}, theirs: {theirs:?}"),
        }
    }
});
