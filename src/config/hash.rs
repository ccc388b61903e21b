//! Hashes as text.

use sha2::{Digest, Sha256};

/// The first hexadecimal digits of a name's hash.
pub(super) fn name_hash(name: &str, digits: usize) -> String {
    hex(&Sha256::digest(name.as_bytes())).chars().take(digits).collect()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
