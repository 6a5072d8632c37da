//! The beginning of a content hash, as people copy it from what was printed.

use std::{fmt, ops::RangeInclusive, str::FromStr};

use crate::{Hash, ParseHashError};

/// The first 8 to 64 hex digits of a hash, printed as `b3:` and these digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HashPrefix {
    /// The digits, then zeros.
    least: crate::Hash,
    digits: usize,
}

impl HashPrefix {
    /// The fewest digits.
    pub const MIN_DIGITS: usize = 8;
    /// The digits of a whole hash.
    pub const MAX_DIGITS: usize = 64;

    /// The whole hash, if this is one.
    pub fn whole(&self) -> Option<Hash> {
        (self.digits == Self::MAX_DIGITS).then_some(self.least)
    }

    /// The hashes that begin so.
    pub fn range(&self) -> RangeInclusive<Hash> {
        let mut greatest = *self.least.as_bytes();
        for (place, byte) in greatest.iter_mut().enumerate() {
            match self.digits.saturating_sub(2 * place) {
                0 => *byte = 0xff,
                1 => *byte |= 0x0f,
                _ => {}
            }
        }
        self.least..=Hash::from_bytes(greatest)
    }
}

impl fmt::Display for HashPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = self.least.to_hex();
        write!(f, "b3:{}", hex.get(..self.digits).unwrap_or(&hex))
    }
}

impl FromStr for HashPrefix {
    type Err = ParseHashError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParseHashError::of_prefix(text);
        let hex = text.strip_prefix("b3:").ok_or_else(error)?;
        let digits = hex.len();
        if !(Self::MIN_DIGITS..=Self::MAX_DIGITS).contains(&digits) {
            return Err(error());
        }
        let padded = format!("b3:{hex}{}", "0".repeat(Self::MAX_DIGITS - digits));
        Ok(Self { least: padded.parse().map_err(|_| error())?, digits })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_holds_the_hashes_that_begin_so_and_no_other() {
        let hash = Hash::of(b"abc");
        let text = hash.to_string();
        for digits in [8, 9, 12, 63, 64] {
            let prefix: HashPrefix = text[..3 + digits].parse().expect("a prefix");
            assert_eq!(prefix.to_string(), text[..3 + digits]);
            assert!(prefix.range().contains(&hash), "{digits}");
            assert!(!prefix.range().contains(&Hash::of(b"x")), "{digits}");
            assert_eq!(prefix.whole(), (digits == 64).then_some(hash));
        }
        assert_eq!("b3:6437B3AC".parse::<HashPrefix>(), "b3:6437b3ac".parse());
    }

    #[test]
    fn other_text_is_refused() {
        let long = format!("b3:{}", "0".repeat(65));
        for text in ["", "b3:", "b3:6437b3a", "6437b3ac", "b3:6437b3ag", "b3:é437b3acé", long.as_str()] {
            assert!(text.parse::<HashPrefix>().is_err(), "{text}");
        }
    }
}
