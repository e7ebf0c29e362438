//! Digests that annotations carry: a changed one in the pod template rolls the pods.

use std::fmt::Write;

use aws_lc_rs::digest::{Context, SHA256};

/// Digest of the settings, on the pod template.
pub const SETTINGS_HASH: &str = "threatrelay.dev/settings-hash";
/// Digest of the certificates of `upstream.caBundle`, on the pod template.
pub const CA_HASH: &str = "threatrelay.dev/ca-hash";
/// Digest of the OTX keys, on our Secret. Pods take new keys without a restart.
pub const KEYS_HASH: &str = "threatrelay.dev/keys-hash";

/// Bytes of a digest that are shown: enough to tell contents apart, too few to test guesses of one with certainty.
const SHOWN: usize = 8;

/// A short digest of several contents; where one ends and the next begins counts.
pub fn digest<'a>(contents: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut context = Context::new(&SHA256);
    for content in contents {
        context.update(&(content.len() as u64).to_be_bytes());
        context.update(content);
    }
    context.finish().as_ref().iter().take(SHOWN).fold(String::new(), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}
