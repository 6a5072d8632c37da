//! What a redb store says about itself: how often it was synced.

use crate::{
    Result,
    kv::envelope::{WHOLE, corrupt, seal, unseal},
};

/// The tree that holds it; no tree of a caller begins with two underscores.
pub(super) const TREE: &str = "__state";
/// Its key there.
pub(super) const KEY: &[u8] = b"syncs";

pub(super) fn encode(syncs: u64) -> Vec<u8> {
    seal(KEY, WHOLE, &syncs.to_le_bytes())
}

pub(super) fn decode(stored: &[u8]) -> Result<u64> {
    let (_, payload) = unseal(TREE, KEY, stored)?;
    let syncs = payload.try_into().map_err(|_| corrupt(TREE, "it is not a number of 8 bytes"))?;
    Ok(u64::from_le_bytes(syncs))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn the_count_is_these_bytes_and_comes_back() {
        let bytes = encode(258);
        assert_eq!(decode(&bytes).expect("verifies"), 258);
        let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        expect!["0100ee1cdb4e0201000000000000"].assert_eq(&text);
    }
}
