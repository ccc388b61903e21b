//! Any headers are a challenge or none, and whatever stands before it, a well-written one says what its writer meant.
#![no_main]

use libfuzzer_sys::fuzz_target;
use switchboard::auth::challenge::bearer;

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fuzz_target!(|input: (Vec<String>, String, String)| {
    let (mut headers, error, metadata) = input;
    let found = bearer(&headers);
    for scope in &found.asked.scopes {
        assert!(!scope.is_empty() && scope.bytes().all(|byte| byte.is_ascii_graphic()));
    }
    headers.push(format!(
        "Basic realm=\"a, Bearer error=b\", Bearer error={}, scope=\"read write\", resource_metadata={}",
        quoted(&error),
        quoted(&metadata)
    ));
    let found = bearer(&headers);
    assert_eq!((found.error, found.asked.resource_metadata), (Some(error), Some(metadata)));
    assert_eq!(found.asked.scopes, ["read", "write"]);
});
