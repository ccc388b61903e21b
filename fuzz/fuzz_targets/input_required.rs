//! The questions in an `input_required` result, and the answers in a retry, are found where they stand, in any text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use switchboard::bridge::input_required::{
    is_retry, read, read_retry, retry, url_elicitations, write_responses,
};
use switchboard::wire::json::{self, Kind};

fn look(text: &[u8], params: &[u8]) {
    let found = read(text);
    let again = read_retry(params);
    url_elicitations(text).len();
    let is_object = |text: &[u8]| json::check(text).is_ok() && json::kind(text) == Kind::Object;
    // Over other texts nothing but an end is promised.
    if !is_object(text) || !is_object(params) {
        return;
    }
    if let Ok(Some(again)) = again {
        assert!(is_retry(params));
        for (key, value) in &again.responses {
            assert_eq!(json::kind(key.of(params)), Kind::String);
            assert!(json::check(value.of(params)).is_ok());
        }
    }
    let Ok(found) = found else { return };
    for (place, request) in found.requests.iter().enumerate() {
        assert_eq!(json::kind(request.key.of(text)), Kind::String);
        request.params.into_iter().for_each(|span| assert!(json::check(span.of(text)).is_ok()));
        assert!(found.requests[..place].iter().all(|other| other.name(text) != request.name(text)));
    }
    // What the server is asked again with is what it asked for.
    let answers = write_responses(found.requests.iter().map(|request| (request.key.of(text), &b"{}"[..])));
    let state = found.request_state.map(|span| span.of(text));
    let Some(next) = retry(params, Some(&answers), state) else { return };
    let seen = read_retry(&next).expect("a retry of ours").expect("a retry");
    assert_eq!(seen.responses.len(), found.requests.len());
    for request in &found.requests {
        // A key that is no text, such as half a surrogate pair, has no name to be found by.
        if json::string(request.key.of(text)).is_some() {
            assert_eq!(seen.response(&next, &request.name(text)), Some(&b"{}"[..]));
        }
    }
    assert_eq!(seen.request_state.map(|span| span.of(&next)), state);
}

fuzz_target!(|input: (Vec<u8>, Vec<u8>, Vec<u8>)| {
    let (raw, params, key) = input;
    look(&raw, &params);
    look(
        &[b"{\"inputRequests\":{", &key[..], b":{\"method\":\"roots/list\",\"params\":", &raw, b"}}}"]
            .concat(),
        b"{}",
    );
});
