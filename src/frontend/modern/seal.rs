//! What clients carry for us between the rounds of a call (`requestState`, MCP 2026-07-28, "Multi Round-Trip Requests").
//!
//! It passes through the hands of a client that may be anybody's, so it is encrypted and authenticated with a key that only
//! this process knows, bound to the request and to the principal it was given to, and dated.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::error::Unspecified;
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use sha2::{Digest, Sha256};

use crate::protocol::Method;
use crate::wire::json;

/// What is sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::frontend) enum State {
    /// A call that is kept open here: its number, and which of its rounds this is.
    Parked {
        /// The number.
        handle: u128,
        /// The round.
        round: u32,
    },
    /// The state that a server gave, as JSON.
    Relayed(Vec<u8>),
    /// Nothing but that the same call is to be made again.
    Again,
    /// A task of a server.
    Task {
        /// The server's name.
        server: String,
        /// The server's id for the task.
        id: String,
    },
    /// A task that we keep ourselves: its number.
    Kept(u128),
}

/// What a state belongs to: it opens nothing else.
#[derive(Clone, Copy, Debug)]
pub(in crate::frontend) struct Bound<'a> {
    /// The method of the request.
    pub(in crate::frontend) method: Method,
    /// Its [`digest`].
    pub(in crate::frontend) digest: [u8; 32],
    /// Who made it.
    pub(in crate::frontend) principal: Option<&'a str>,
}

/// Stands for what a request asks for: two requests with the same digest differ in nothing but `_meta` and what belongs to
/// their rounds.
pub(super) fn digest(params: &[u8]) -> [u8; 32] {
    let mut members: Vec<(&[u8], &[u8])> = json::members(params)
        .filter(|member| {
            !["_meta", "inputResponses", "requestState"].iter().any(|name| member.is(params, name))
        })
        .map(|member| (member.key.of(params), member.value.of(params)))
        .collect();
    members.sort_unstable();
    let mut hash = Sha256::new();
    for (key, value) in members {
        for part in [key, value] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
    }
    hash.finalize().into()
}

/// Seals and opens. One per process: what an earlier one sealed is refused.
pub(in crate::frontend) struct Seal {
    /// None if the system has no random numbers: then nothing is sealed and nothing opens.
    key: Option<LessSafeKey>,
    /// Makes the nonces of names.
    names: Option<hmac::Key>,
    random: SystemRandom,
}

impl Seal {
    pub(in crate::frontend) fn new() -> Self {
        let random = SystemRandom::new();
        let mut key = [0; 32];
        let key = random.fill(&mut key).and_then(|()| UnboundKey::new(&CHACHA20_POLY1305, &key));
        let names = hmac::Key::generate(hmac::HMAC_SHA256, &random).ok();
        Self { key: key.map(LessSafeKey::new).ok(), names, random }
    }

    /// A number that nobody can guess.
    pub(in crate::frontend) fn number(&self) -> Result<u128, Unspecified> {
        let mut bytes = [0; 16];
        self.random.fill(&mut bytes)?;
        Ok(u128::from_le_bytes(bytes))
    }

    /// Seals a state for so long.
    pub(in crate::frontend) fn seal(
        &self,
        state: &State,
        bound: Bound<'_>,
        life: Duration,
    ) -> Result<String, Unspecified> {
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce)?;
        let expires = (now() + life).as_millis().min(u128::from(u64::MAX)) as u64;
        self.close(nonce, state.text(expires), bound)
    }

    /// A name for what must be called the same for as long as we run: the same state is always sealed alike.
    pub(in crate::frontend) fn name(&self, state: &State, bound: Bound<'_>) -> Result<String, Unspecified> {
        let text = state.text(u64::MAX);
        // No two names share a nonce unless they are the same name.
        let mut context = hmac::Context::with_key(self.names.as_ref().ok_or(Unspecified)?);
        let aad = bound.text();
        context.update(&(aad.len() as u64).to_le_bytes());
        context.update(&aad);
        context.update(&text);
        let tag = context.sign();
        let nonce = tag.as_ref().first_chunk::<NONCE_LEN>().ok_or(Unspecified)?;
        self.close(*nonce, text, bound)
    }

    fn close(
        &self,
        nonce: [u8; NONCE_LEN],
        mut text: Vec<u8>,
        bound: Bound<'_>,
    ) -> Result<String, Unspecified> {
        let aad = Aad::from(bound.text());
        let key = self.key.as_ref().ok_or(Unspecified)?;
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut text)?;
        Ok(to_hex(&[&nonce[..], &text].concat()))
    }

    /// Opens what was sealed for the same request, by the same principal, not too long ago; `None` for anything else.
    pub(in crate::frontend) fn open(&self, sealed: &str, bound: Bound<'_>) -> Option<State> {
        let mut bytes = from_hex(sealed)?;
        if bytes.len() < NONCE_LEN {
            return None;
        }
        let mut text = bytes.split_off(NONCE_LEN);
        let nonce = Nonce::try_assume_unique_for_key(&bytes).ok()?;
        let text = self.key.as_ref()?.open_in_place(nonce, Aad::from(bound.text()), &mut text).ok()?;
        let (expires, rest) = text.split_first_chunk::<8>()?;
        if u128::from(u64::from_le_bytes(*expires)) < now().as_millis() {
            return None;
        }
        match rest.split_first()? {
            (1, rest) => {
                let (handle, rest) = rest.split_first_chunk::<16>()?;
                let (round, _) = rest.split_first_chunk::<4>()?;
                Some(State::Parked {
                    handle: u128::from_le_bytes(*handle),
                    round: u32::from_le_bytes(*round),
                })
            }
            (2, state) => Some(State::Relayed(state.to_vec())),
            (3, _) => Some(State::Again),
            (4, task) => {
                let (server, id) = std::str::from_utf8(task).ok()?.split_once('\0')?;
                Some(State::Task { server: server.to_owned(), id: id.to_owned() })
            }
            (5, number) => Some(State::Kept(u128::from_le_bytes(*number.first_chunk::<16>()?))),
            _ => None,
        }
    }
}

impl State {
    /// The text that is sealed. It begins with the millisecond from which on it is not good any more.
    fn text(&self, expires: u64) -> Vec<u8> {
        let mut text = expires.to_le_bytes().to_vec();
        match self {
            State::Parked { handle, round } => {
                text.push(1);
                text.extend_from_slice(&handle.to_le_bytes());
                text.extend_from_slice(&round.to_le_bytes());
            }
            State::Relayed(state) => {
                text.push(2);
                text.extend_from_slice(state);
            }
            State::Again => text.push(3),
            State::Task { server, id } => {
                text.push(4);
                text.extend_from_slice(server.as_bytes());
                text.push(0);
                text.extend_from_slice(id.as_bytes());
            }
            State::Kept(number) => {
                text.push(5);
                text.extend_from_slice(&number.to_le_bytes());
            }
        }
        text
    }
}

impl Bound<'_> {
    fn text(&self) -> Vec<u8> {
        let mut text = self.method.name().as_bytes().to_vec();
        text.push(0);
        text.extend_from_slice(&self.digest);
        text.push(u8::from(self.principal.is_some()));
        text.extend_from_slice(self.principal.unwrap_or_default().as_bytes());
        text
    }
}

/// A door for the fuzz target `request_state`: seals a state of a server for a request with these params, lets `alter` have the text
/// as a client has it, and gives what it then opens to.
#[doc(hidden)]
pub fn seal_and_open(
    state: &[u8],
    params: &[u8],
    alter: impl FnOnce(String) -> (String, Vec<u8>),
) -> Option<Vec<u8>> {
    let bound = |params| Bound { method: Method::ToolsCall, digest: digest(params), principal: None };
    let seal = Seal::new();
    let life = Duration::from_secs(60);
    let sealed = seal.seal(&State::Relayed(state.to_vec()), bound(params), life).ok()?;
    let (text, params) = alter(sealed);
    match seal.open(&text, bound(&params))? {
        State::Relayed(state) => Some(state),
        _ => None,
    }
}

/// Seconds of the wall clock: a state may be answered after the machine has slept.
fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn to_hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    text.as_bytes().chunks_exact(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIFE: Duration = Duration::from_secs(60);

    fn bound(params: &str) -> Bound<'static> {
        Bound { method: Method::ToolsCall, digest: digest(params.as_bytes()), principal: None }
    }

    #[test]
    fn a_state_opens_only_for_the_request_and_the_principal_that_it_was_made_for() {
        let seal = Seal::new();
        let call = bound(r#"{"name":"a","arguments":{"x":1}}"#);
        let state = State::Parked { handle: 7 << 100, round: 3 };
        let sealed = seal.seal(&state, call, LIFE).unwrap();
        let retry = r#"{"requestState":"s","arguments":{"x":1},"name":"a","_meta":{},"inputResponses":{}}"#;
        assert_eq!(seal.open(&sealed, bound(retry)), Some(state));
        assert_eq!(seal.open(&sealed, bound(r#"{"name":"a","arguments":{"x":2}}"#)), None);
        assert_eq!(seal.open(&sealed, Bound { method: Method::PromptsGet, ..call }), None);
        assert_eq!(seal.open(&sealed, Bound { principal: Some(""), ..call }), None);
        assert_eq!(Seal::new().open(&sealed, call), None, "the key of another process");
        let expired = seal.seal(&State::Again, call, Duration::ZERO).unwrap();
        std::thread::sleep(Duration::from_millis(2));
        assert_eq!(seal.open(&expired, call), None);
    }

    #[test]
    fn a_name_stays_the_same_and_belongs_to_its_principal() {
        let seal = Seal::new();
        let task = |id: &str| State::Task { server: "a".into(), id: id.into() };
        let name = seal.name(&task("1"), bound("{}")).unwrap();
        assert_eq!(seal.name(&task("1"), bound("{}")).unwrap(), name);
        assert_ne!(seal.name(&task("2"), bound("{}")).unwrap(), name);
        assert_eq!(seal.open(&name, bound("{}")), Some(task("1")));
        assert_eq!(seal.open(&name, Bound { principal: Some("x"), ..bound("{}") }), None);
        let kept = State::Kept(7 << 90);
        assert_eq!(seal.open(&seal.name(&kept, bound("{}")).unwrap(), bound("{}")), Some(kept));
    }

    proptest! {
        #[test]
        fn whatever_is_sealed_is_opened_and_nothing_else(text in proptest::collection::vec(any::<u8>(), 0..80), at in any::<prop::sample::Index>(), junk in ".{0,200}") {
            let seal = Seal::new();
            let call = bound("{}");
            let state = State::Relayed(text);
            let sealed = seal.seal(&state, call, LIFE).unwrap();
            prop_assert_eq!(seal.open(&sealed, call), Some(state));
            let mut broken = sealed.clone().into_bytes();
            let at = at.index(broken.len());
            broken[at] = if broken[at] == b'0' { b'1' } else { b'0' };
            prop_assert_eq!(seal.open(std::str::from_utf8(&broken).unwrap(), call), None);
            prop_assert_eq!(seal.open(&junk, call), None);
            prop_assert_eq!(seal.open(&format!("{sealed}-TAMPERED"), call), None);
        }
    }
}
