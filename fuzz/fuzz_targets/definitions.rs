//! A repaired definition is one that needs no repair.
#![no_main]

use libfuzzer_sys::fuzz_target;
use switchboard::catalog::{Verdict, judge};
use switchboard::protocol::ListKind;
use switchboard::wire::json;

fuzz_target!(|item: &[u8]| {
    let Ok(span) = json::check(item) else { return };
    if std::str::from_utf8(item).is_err() {
        return;
    }
    let item = span.of(item);
    for kind in ListKind::ALL {
        if let Verdict::Repaired { item, .. } = judge(kind, item) {
            assert!(json::check(&item).is_ok());
            assert_eq!(judge(kind, &item), Verdict::Keep, "{}", String::from_utf8_lossy(&item));
        }
    }
});
