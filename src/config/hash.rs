//! Hashes as text.

use sha2::{Digest, Sha256};

/// The first hexadecimal digits of a name's hash.
pub(super) fn name_hash(name: &str, digits: usize) -> String {
    crate::wire::hex(&Sha256::digest(name.as_bytes())).chars().take(digits).collect()
}
