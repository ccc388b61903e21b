//! Logging in on our own behalf with a signature.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{KeyPair, PublicKeyData};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey, VerificationAlgorithm,
};
use serde_json::{Value, json};

use super::super::record::now;
use super::own;
use super::world::World;
use crate::config::{Algorithm, AuthConfig, ClientProof, PrivateKey, SigningKey};

const RSA: &str = include_str!("../../config/private_key/rsa-for-tests.pem");

fn with_key(pem: &str, algorithm: Algorithm, id: Option<&str>) -> AuthConfig {
    let AuthConfig::ClientCredentials(mut own) = own(&[]) else { unreachable!() };
    let key = PrivateKey::from_pem(pem, algorithm).unwrap();
    own.proof = ClientProof::Key(SigningKey { key, id: id.map(str::to_owned) });
    AuthConfig::ClientCredentials(own)
}

/// Header and claims of an assertion whose signature is that of this key.
fn verified(assertion: &str, how: &'static dyn VerificationAlgorithm, public: &KeyPair) -> [Value; 2] {
    let (said, signature) = assertion.rsplit_once('.').unwrap();
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).unwrap();
    let key = UnparsedPublicKey::new(how, public.der_bytes());
    key.verify(said.as_bytes(), &decode(signature)).unwrap();
    let (header, claims) = said.split_once('.').unwrap();
    [header, claims].map(|part| serde_json::from_slice(&decode(part)).unwrap())
}

#[tokio::test]
async fn an_assertion_is_signed_for_one_issuer_and_for_once() {
    let pair = KeyPair::generate().unwrap();
    let world = World::new().await;
    world.register("me", "");
    world.rule(|rules| rules.scope = "read");
    let provider = world.provider(with_key(&pair.serialize_pem(), Algorithm::Es256, None));
    assert_eq!(world.call(&*provider, "read").await.unwrap(), 200);
    world.expire().await;
    assert_eq!(world.call(&*provider, "read").await.unwrap(), 200);

    let forms = world.forms("client_credentials");
    let [first, second] = &forms[..] else { panic!("{forms:?}") };
    assert_eq!(first["client_assertion_type"], "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    assert_eq!((first["scope"].as_str(), first.contains_key("basic")), ("read", false));
    let [header, claims] = verified(&first["client_assertion"], &ECDSA_P256_SHA256_FIXED, &pair);
    assert_eq!(header, json!({ "alg": "ES256", "typ": "JWT" }));
    assert_eq!([&claims["iss"], &claims["sub"], &claims["aud"]], ["me", "me", world.issuer()]);
    let (issued, end) = (claims["iat"].as_u64().unwrap(), claims["exp"].as_u64().unwrap());
    assert!(issued <= now() && now() < end && end - issued <= 300, "{claims}");
    let [_, again] = verified(&second["client_assertion"], &ECDSA_P256_SHA256_FIXED, &pair);
    assert_ne!(claims["jti"], again["jti"]);
}

#[tokio::test]
async fn an_rsa_key_signs_too_and_says_its_name() {
    let world = World::new().await;
    world.register("me", "");
    let provider = world.provider(with_key(RSA, Algorithm::Rs256, Some("k1")));
    assert_eq!(world.call(&*provider, "").await.unwrap(), 200);
    let form = &world.forms("client_credentials")[0];
    let pair = KeyPair::from_pem(RSA).unwrap();
    let [header, _] = verified(&form["client_assertion"], &RSA_PKCS1_2048_8192_SHA256, &pair);
    assert_eq!(header, json!({ "alg": "RS256", "typ": "JWT", "kid": "k1" }));
}

#[tokio::test]
async fn what_was_found_for_a_secret_does_not_serve_a_key() {
    let world = World::new().await;
    world.register("me", "s3cret");
    assert_eq!(world.call(&*world.provider(own(&[])), "").await.unwrap(), 200);
    world.register("me", "");
    let provider = world.provider(with_key(RSA, Algorithm::Rs256, None));
    assert_eq!(world.call(&*provider, "").await.unwrap(), 200);
    assert!(world.forms("client_credentials")[1].contains_key("client_assertion"));
}

#[tokio::test]
async fn a_key_that_is_refused_is_named() {
    let world = World::new().await;
    world.rule(|rules| rules.token_answer = Some((401, json!({ "error": "invalid_client" }))));
    let failure = world.call(&*world.provider(with_key(RSA, Algorithm::Rs256, None)), "").await.unwrap_err();
    assert!(failure.remedy.unwrap().contains("auth.private_key"));
}
