//! Keys with which we prove who we are: read and checked with the config, so that whoever holds one can sign.

use std::fmt;
use std::sync::Arc;

use ring::error::KeyRejected;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;

use super::secret::Secret;
use crate::failure::{Code, Failure};

/// What makes a key of most others one that we read.
const CONVERT: &str = "`openssl pkcs8 -topk8 -nocrypt -in KEY -out KEY.pem` writes it as it should be";

/// How a key signs, by its name in JSON Web Algorithms (RFC 7518 §3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Algorithm {
    /// ECDSA on the curve P-256, with SHA-256.
    #[default]
    Es256,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
}

/// A private key that fits its algorithm.
#[derive(Clone)]
pub struct PrivateKey {
    /// As it was given. Two keys are the same if their texts are.
    text: Secret,
    algorithm: Algorithm,
    pair: Arc<Pair>,
}

enum Pair {
    Es256(EcdsaKeyPair),
    Rs256(RsaKeyPair),
}

// === impl Algorithm ===

impl Algorithm {
    /// The name in the standard.
    pub fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
        }
    }

    /// The algorithm of this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        [Self::Es256, Self::Rs256].into_iter().find(|algorithm| algorithm.name() == name)
    }

    fn other(self) -> Self {
        match self {
            Self::Es256 => Self::Rs256,
            Self::Rs256 => Self::Es256,
        }
    }

    fn pair(self, key: &PrivateKeyDer<'_>) -> Result<Pair, KeyRejected> {
        match (self, key) {
            (Self::Es256, _) => {
                let random = SystemRandom::new();
                EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.secret_der(), &random)
                    .map(Pair::Es256)
            }
            (Self::Rs256, PrivateKeyDer::Pkcs1(_)) => RsaKeyPair::from_der(key.secret_der()).map(Pair::Rs256),
            (Self::Rs256, _) => RsaKeyPair::from_pkcs8(key.secret_der()).map(Pair::Rs256),
        }
    }
}

// === impl PrivateKey ===

impl PrivateKey {
    /// Reads a key in PEM, as PKCS#8 (`BEGIN PRIVATE KEY`), or for RSA as PKCS#1 (`BEGIN RSA PRIVATE KEY`). Line breaks
    /// may be written as `\n`, as variables that hold one line have them.
    ///
    /// # Errors
    /// It cannot be read, or is none for this algorithm. The failure does not quote it.
    pub fn from_pem(text: &str, algorithm: Algorithm) -> Result<Self, Failure> {
        let refused = |why: &str, remedy: &str| {
            Failure::new(Code::ConfigValue, format!("`auth.private_key` {why}")).remedy(remedy)
        };
        let pem = text.replace("\\n", "\n");
        let Ok(key) = PrivateKeyDer::from_pem_slice(pem.as_bytes()) else {
            return Err(match pem.contains("ENCRYPTED") {
                true => refused("is locked with a passphrase", CONVERT),
                false => refused(
                    "is no private key in PEM",
                    "give the text from `-----BEGIN PRIVATE KEY-----` on, for example by `${file:key.pem}`",
                ),
            });
        };
        if matches!(key, PrivateKeyDer::Sec1(_)) {
            return Err(refused("is an `EC PRIVATE KEY`, not in PKCS#8", CONVERT));
        }
        let (name, other) = (algorithm.name(), algorithm.other());
        match algorithm.pair(&key) {
            Ok(pair) => Ok(Self { text: Secret::new(text), algorithm, pair: Arc::new(pair) }),
            Err(_) if other.pair(&key).is_ok() => {
                let (found, remedy) = (other.name(), format!("write `algorithm: {}`", other.name()));
                Err(refused(&format!("is a key for {found}, and `auth.algorithm` is {name}"), &remedy))
            }
            Err(why) => Err(refused(
                &format!("is no key that {name} can use ({why})"),
                "ES256 needs a key on the curve P-256, RS256 one of RSA with 2048 to 4096 bits",
            )),
        }
    }

    /// How it signs.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The signature of a message, as JSON Web Signatures have it (RFC 7518 §3.3, §3.4).
    ///
    /// # Errors
    /// The system has no randomness to give.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Failure> {
        let random = SystemRandom::new();
        let signed = match &*self.pair {
            Pair::Es256(pair) => pair.sign(&random, message).map(|signature| signature.as_ref().to_vec()),
            Pair::Rs256(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).map(|()| signature)
            }
        };
        signed.map_err(|_| Failure::new(Code::AuthFailed, "the private key could not sign"))
    }
}

impl PartialEq for PrivateKey {
    fn eq(&self, other: &Self) -> bool {
        (&self.text, self.algorithm) == (&other.text, other.algorithm)
    }
}

impl Eq for PrivateKey {}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateKey").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RSA: &str = include_str!("private_key/rsa-for-tests.pem");

    fn check_refused(text: &str, algorithm: Algorithm, why: &str, remedy: &str) {
        let failure = PrivateKey::from_pem(text, algorithm).unwrap_err();
        let told = failure.remedy.as_deref().unwrap();
        assert!(failure.cause.contains("`auth.private_key`") && failure.cause.contains(why), "{failure}");
        assert!(told.contains(remedy), "{told}");
        assert!(!failure.to_string().contains("MII"), "{failure}");
    }

    #[test]
    fn keys_in_one_line_are_read_too() {
        let key = PrivateKey::from_pem(RSA, Algorithm::Rs256).unwrap();
        let line = PrivateKey::from_pem(&RSA.replace('\n', "\\n"), Algorithm::Rs256).unwrap();
        assert_eq!(key.sign(b"x").unwrap(), line.sign(b"x").unwrap());
        assert_eq!(format!("{key:?}"), "PrivateKey { algorithm: Rs256, .. }");
    }

    #[test]
    fn what_is_no_key_is_told_with_its_remedy() {
        let other = |label: &str| RSA.replace("PRIVATE KEY", label);
        check_refused("/etc/key.pem", Algorithm::Es256, "no private key in PEM", "${file:key.pem}");
        check_refused("", Algorithm::Es256, "no private key in PEM", "-----BEGIN");
        check_refused(&other("PUBLIC KEY"), Algorithm::Rs256, "no private key in PEM", "-----BEGIN");
        check_refused(&other("ENCRYPTED PRIVATE KEY"), Algorithm::Rs256, "passphrase", "openssl pkcs8");
        check_refused(&other("EC PRIVATE KEY"), Algorithm::Es256, "not in PKCS#8", "openssl pkcs8");
    }

    #[test]
    fn a_key_must_fit_its_algorithm() {
        let curve = rcgen::KeyPair::generate().unwrap().serialize_pem();
        check_refused(RSA, Algorithm::Es256, "is a key for RS256", "write `algorithm: RS256`");
        check_refused(&curve, Algorithm::Rs256, "is a key for ES256", "write `algorithm: ES256`");
        let ed25519 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap().serialize_pem();
        check_refused(&ed25519, Algorithm::Es256, "no key that ES256 can use", "P-256");
    }
}
