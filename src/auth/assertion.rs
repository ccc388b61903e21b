//! Proof by signature instead of by a secret that both know: the assertion of `private_key_jwt` (RFC 7523 §2.2, §3).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use super::pkce;
use super::record::now;
use crate::config::SigningKey;
use crate::failure::Failure;

/// What kind of assertion it is, for the field `client_assertion_type`.
pub(super) const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// How long an assertion is good, in seconds. It is used at once; the rest is for clocks that differ. Some authorization
/// servers take none of more than five minutes.
const LIFE: u64 = 240;

/// Says to one authorization server, once, that we are this client. The audience is its issuer and nothing else: an
/// assertion for an address could be carried from one authorization server to another.
///
/// # Errors
/// The system has no randomness to give.
pub(super) fn sign(key: &SigningKey, client: &str, issuer: &str) -> Result<String, Failure> {
    let SigningKey { key, id } = key;
    let mut header = json!({ "alg": key.algorithm().name(), "typ": "JWT" });
    if let Some(id) = id {
        header["kid"] = id.as_str().into();
    }
    let issued = now();
    let claims = json!({
        "iss": client,
        "sub": client,
        "aud": issuer,
        "jti": pkce::random()?,
        "iat": issued,
        "exp": issued + LIFE,
    });
    let encode = |part: &[u8]| URL_SAFE_NO_PAD.encode(part);
    let said = format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()));
    let signature = key.sign(said.as_bytes())?;
    Ok(format!("{said}.{}", encode(&signature)))
}
