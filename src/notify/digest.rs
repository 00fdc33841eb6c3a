//! Hashes in hexadecimal digits: names that are too long to be sent, keys that must not be kept, signatures.
//!
//! Used by the receivers.

use ring::{digest, hmac};

/// SHA-256 of a text.
pub(super) fn sha256(text: &str) -> String {
    hex(digest::digest(&digest::SHA256, text.as_bytes()).as_ref())
}

/// HMAC-SHA-256 of a text.
pub(super) fn hmac_sha256(secret: &str, text: &str) -> String {
    hex(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), text.as_bytes()).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
