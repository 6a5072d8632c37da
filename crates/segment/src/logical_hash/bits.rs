//! A stream of bits, packed from the least significant bit of each byte on; the last byte is filled with zeros.

use arrow::buffer::BooleanBuffer;
use lineate_types::Hash;

use super::stream::ByteStream;

#[derive(Debug)]
pub(super) struct BitStream {
    bytes: ByteStream,
    /// Bits that do not make a byte yet, from the least significant on.
    partial: u64,
    /// How many: less than eight.
    pending: u32,
}

impl BitStream {
    pub(super) fn new() -> Self {
        Self { bytes: ByteStream::new(), partial: 0, pending: 0 }
    }

    /// Adds the same bit, `count` times.
    pub(super) fn push_repeated(&mut self, bit: bool, count: usize) {
        const WORD: usize = 32;
        let word = if bit { u64::from(u32::MAX) } else { 0 };
        for _ in 0..count / WORD {
            self.push_low(word, WORD as u32);
        }
        let rest = (count % WORD) as u32;
        self.push_low(word & ((1 << rest) - 1), rest);
    }

    /// Adds the bits of a buffer.
    pub(super) fn push(&mut self, bits: &BooleanBuffer) {
        let chunks = bits.bit_chunks();
        for chunk in chunks.iter() {
            self.push_low(chunk & u64::from(u32::MAX), 32);
            self.push_low(chunk >> 32, 32);
        }
        let rest = chunks.remainder_bits();
        let length = chunks.remainder_len() as u32;
        let low = length.min(32);
        self.push_low(rest & ((1 << low) - 1), low);
        self.push_low((rest >> 32) & ((1 << (length - low)) - 1), length - low);
    }

    /// Adds the `count` low bits of a word, at most 32; the bits above are zero.
    fn push_low(&mut self, word: u64, count: u32) {
        self.partial |= word << self.pending;
        self.pending += count;
        let whole = (self.pending / 8) as usize;
        let bytes = self.partial.to_le_bytes();
        self.bytes.push(bytes.get(..whole).unwrap_or_default());
        self.partial = self.partial.checked_shr(8 * whole as u32).unwrap_or(0);
        self.pending %= 8;
    }

    pub(super) fn finish(mut self) -> Hash {
        if self.pending > 0 {
            let bytes = self.partial.to_le_bytes();
            self.bytes.push(bytes.get(..1).unwrap_or_default());
        }
        self.bytes.finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn bits_are_packed_however_they_come(
            pieces in proptest::collection::vec(
                prop_oneof![
                    proptest::collection::vec(any::<bool>(), 0..200),
                    (any::<bool>(), 0_usize..200).prop_map(|(bit, count)| vec![bit; count]),
                ],
                0..6,
            ),
            skipped in 0_usize..10,
        ) {
            let mut stream = BitStream::new();
            for bits in &pieces {
                let padded: BooleanBuffer =
                    std::iter::repeat_n(true, skipped).chain(bits.iter().copied()).collect();
                match bits.first() {
                    Some(bit) if bits.iter().all(|other| other == bit) => stream.push_repeated(*bit, bits.len()),
                    _ => stream.push(&padded.slice(skipped, bits.len())),
                }
            }
            let bits = pieces.concat();
            let packed: Vec<u8> = bits
                .chunks(8)
                .map(|chunk| chunk.iter().enumerate().map(|(at, bit)| u8::from(*bit) << at).sum())
                .collect();
            prop_assert_eq!(stream.finish(), Hash::of(&packed));
        }
    }
}
