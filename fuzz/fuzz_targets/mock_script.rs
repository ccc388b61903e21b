//! Any text is a mock script or a list of problems.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = switchboard::mock::parse(text);
});
