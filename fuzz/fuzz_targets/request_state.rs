//! A `requestState` opens to what was sealed, for the request it was sealed for; no other text opens at all.
#![no_main]

use libfuzzer_sys::fuzz_target;
use switchboard::frontend::seal_and_open;

fuzz_target!(|input: (Vec<u8>, Vec<u8>, String, u16, u8)| {
    let (state, params, text, place, flip) = input;
    let same = seal_and_open(&state, &params, |sealed| (sealed, params.clone()));
    assert_eq!(same.as_ref(), Some(&state));
    assert_eq!(seal_and_open(&state, &params, |_| (text.clone(), params.clone())), None);
    let mut is_same = false;
    let broken = |sealed: String| {
        let mut bytes = sealed.clone().into_bytes();
        let place = usize::from(place) % bytes.len();
        bytes[place] ^= flip;
        let broken = String::from_utf8_lossy(&bytes).into_owned();
        is_same = broken.eq_ignore_ascii_case(&sealed);
        (broken, params.clone())
    };
    let opened = seal_and_open(&state, &params, broken);
    assert_eq!(opened.is_some(), is_same);
    let cut = |sealed: String| (sealed[..usize::from(place) % sealed.len()].to_owned(), params.clone());
    assert_eq!(seal_and_open(&state, &params, cut), None);
});
