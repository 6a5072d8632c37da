//! How keys and values look inside sled; `docs/formats/kv.md` describes the bytes.
//!
//! A long value is a head that names its chunks, and the chunks under keys of their own.

use crate::{
    Result,
    kv::envelope::{ENVELOPE, WHOLE, corrupt, seal, unseal},
};

/// The longest payload stored as one value.
pub(super) const CHUNK_BYTES: usize = 48 * 1024;
/// Heads are stored under this byte and the key.
pub(super) const HEAD_PREFIX: u8 = 1;
/// Chunks are stored under this byte, the key's length, the key and the chunk's number.
pub(super) const CHUNK_PREFIX: u8 = 2;

/// What a tree says about itself is stored under this byte alone.
pub(super) const STATE_KEY: u8 = 0;

const CHUNKED: u8 = 1;
const CHUNK: u8 = 2;

/// A stored head that verified.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Head<'a> {
    /// The value itself.
    Whole(&'a [u8]),
    /// The value is in chunks.
    Chunked(Chunks),
}

/// What a head says of its chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chunks {
    pub(super) bytes: u64,
    pub(super) count: u32,
    /// CRC-32C of the whole value.
    pub(super) checksum: u32,
}

/// The stored key of a head.
pub(super) fn head_key(key: &[u8]) -> Vec<u8> {
    [&[HEAD_PREFIX], key].concat()
}

/// The stored key of a chunk.
pub(super) fn chunk_key(key: &[u8], chunk: u32) -> Vec<u8> {
    let length = u16::try_from(key.len()).unwrap_or(u16::MAX);
    [&[CHUNK_PREFIX], &length.to_be_bytes()[..], key, &chunk.to_be_bytes()].concat()
}

/// The key a chunk belongs to.
pub(super) fn key_of_chunk(stored_key: &[u8]) -> Option<&[u8]> {
    let (length, rest) = stored_key.strip_prefix(&[CHUNK_PREFIX])?.split_first_chunk()?;
    let key = rest.get(..usize::from(u16::from_be_bytes(*length)))?;
    (rest.len() == key.len() + 4).then_some(key)
}

/// The stored pairs of a value: its head, then its chunks.
pub(super) fn encode(key: &[u8], value: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let stored_key = head_key(key);
    if value.len() <= CHUNK_BYTES {
        let sealed = seal(&stored_key, WHOLE, value);
        return vec![(stored_key, sealed)];
    }
    let chunks: Vec<_> = (0_u32..)
        .zip(value.chunks(CHUNK_BYTES))
        .map(|(number, chunk)| {
            let chunk_key = chunk_key(key, number);
            let sealed = seal(&chunk_key, CHUNK, chunk);
            (chunk_key, sealed)
        })
        .collect();
    let mut head = (value.len() as u64).to_le_bytes().to_vec();
    head.extend_from_slice(&u32::try_from(chunks.len()).unwrap_or(u32::MAX).to_le_bytes());
    head.extend_from_slice(&crc32c::crc32c(value).to_le_bytes());
    let sealed = seal(&stored_key, CHUNKED, &head);
    [vec![(stored_key, sealed)], chunks].concat()
}

/// Reads a stored head.
pub(super) fn decode_head<'a>(tree: &str, stored_key: &[u8], stored: &'a [u8]) -> Result<Head<'a>> {
    let (flag, payload) = unseal(tree, stored_key, stored)?;
    match flag {
        WHOLE => Ok(Head::Whole(payload)),
        CHUNKED => {
            decode_chunks(payload).map(Head::Chunked).ok_or_else(|| corrupt(tree, "its head is not one"))
        }
        _ => Err(corrupt(tree, "a chunk is where a head should be")),
    }
}

/// Reads a stored chunk.
pub(super) fn decode_chunk<'a>(tree: &str, stored_key: &[u8], stored: &'a [u8]) -> Result<&'a [u8]> {
    match unseal(tree, stored_key, stored)? {
        (CHUNK, payload) => Ok(payload),
        _ => Err(corrupt(tree, "a head is where a chunk should be")),
    }
}

/// What a tree says about itself: enough to notice that sled lost or kept back some of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct TreeState {
    /// Batches applied so far.
    pub(super) batches: u64,
    /// Stored pairs, heads and chunks.
    pub(super) pairs: u64,
    /// The sum of [`fingerprint`] over the stored pairs, wrapping.
    pub(super) sum: u128,
}

impl TreeState {
    /// Counts a stored pair.
    pub(super) fn add(&mut self, stored_key: &[u8], stored: &[u8]) {
        self.pairs = self.pairs.wrapping_add(1);
        self.sum = self.sum.wrapping_add(fingerprint(stored_key, stored));
    }

    /// No longer counts a stored pair.
    pub(super) fn remove(&mut self, stored_key: &[u8], stored: &[u8]) {
        self.pairs = self.pairs.wrapping_sub(1);
        self.sum = self.sum.wrapping_sub(fingerprint(stored_key, stored));
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let fields: [&[u8]; 3] =
            [&self.batches.to_le_bytes(), &self.pairs.to_le_bytes(), &self.sum.to_le_bytes()];
        seal(&[STATE_KEY], WHOLE, &fields.concat())
    }

    pub(super) fn decode(tree: &str, stored: &[u8]) -> Result<Self> {
        let (_, payload) = unseal(tree, &[STATE_KEY], stored)?;
        let read = || {
            let (batches, rest) = payload.split_first_chunk()?;
            let (pairs, rest) = rest.split_first_chunk()?;
            let sum = u128::from_le_bytes(rest.try_into().ok()?);
            Some(Self { batches: u64::from_le_bytes(*batches), pairs: u64::from_le_bytes(*pairs), sum })
        };
        read().ok_or_else(|| corrupt(tree, "what its tree says about itself has another length"))
    }
}

/// 128 bits of BLAKE3 over a stored key and the envelope of its value, whose checksum covers the rest.
fn fingerprint(stored_key: &[u8], stored: &[u8]) -> u128 {
    let mut hasher = lineate_types::Hasher::new();
    hasher.update(stored.get(..ENVELOPE).unwrap_or(stored));
    hasher.update(stored_key);
    let hash = hasher.finalize();
    let half = hash.as_bytes().first_chunk().copied().unwrap_or_default();
    u128::from_le_bytes(half)
}

fn decode_chunks(payload: &[u8]) -> Option<Chunks> {
    let (bytes, rest) = payload.split_first_chunk()?;
    let (count, rest) = rest.split_first_chunk()?;
    let checksum = rest.try_into().ok()?;
    Some(Chunks {
        bytes: u64::from_le_bytes(*bytes),
        count: u32::from_le_bytes(*count),
        checksum: u32::from_le_bytes(checksum),
    })
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn a_short_value_is_these_bytes() {
        let pairs = encode(b"key", b"value");
        let text: Vec<_> = pairs.iter().map(|(key, value)| format!("{} {}", hex(key), hex(value))).collect();
        expect!["016b6579 01000325de6776616c7565"].assert_eq(&text.join("\n"));
    }

    #[test]
    fn a_long_value_is_a_head_and_chunks_of_48_kib() {
        let value = vec![7; 2 * CHUNK_BYTES + 1];
        let pairs = encode(b"key", &value);
        let text: Vec<_> = pairs
            .iter()
            .map(|(key, value)| {
                format!("{} {} ({} bytes)", hex(key), hex(&value[..22.min(value.len())]), value.len())
            })
            .collect();
        expect![[r#"
            016b6579 01018b6c7187018001000000000003000000cb023750 (22 bytes)
            0200036b657900000000 0102617591bd07070707070707070707070707070707 (49158 bytes)
            0200036b657900000001 0102c7a4a23807070707070707070707070707070707 (49158 bytes)
            0200036b657900000002 01026514369807 (7 bytes)"#]]
        .assert_eq(&text.join("\n"));
    }

    #[test]
    fn the_state_of_a_tree_is_these_bytes_and_comes_back() {
        let mut state = TreeState { batches: 3, ..TreeState::default() };
        for (key, value) in [(&b"a"[..], &b"1"[..]), (b"b", b"2")] {
            let (stored_key, stored) = encode(key, value).remove(0);
            state.add(&stored_key, &stored);
        }
        assert_eq!(TreeState::decode("t", &state.encode()).expect("verifies"), state);
        expect!["0100d8a63b050300000000000000020000000000000077fbb21426c9a2e68ad747021f8f3acf"]
            .assert_eq(&hex(&state.encode()));
        let (stored_key, stored) = encode(b"b", b"2").remove(0);
        state.remove(&stored_key, &stored);
        assert_eq!(state.pairs, 1);
    }

    #[test]
    fn chunk_keys_name_their_key() {
        assert_eq!(key_of_chunk(&chunk_key(b"key", 9)), Some(&b"key"[..]));
        assert_eq!(key_of_chunk(&head_key(b"key")), None);
    }
}
