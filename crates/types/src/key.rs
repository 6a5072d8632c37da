//! Entity keys: their types, values, canonical bytes and bucket (`docs/formats/key.md`).
//!
//! The bytes order as the values do, field by field, so that sorting bytes sorts entities, and no two
//! different keys share bytes: nothing is concatenated without a boundary.

use std::fmt;

use minicbor::{Decode, Encode};

use crate::{Bucket, DataType, Hash, TimestampUs, limits};

/// The version of the key encoding, the first byte of every key.
pub const KEY_FORMAT_VERSION: u8 = 1;

/// The type of a join key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
pub enum KeyType {
    /// true or false.
    #[n(0)]
    Bool,
    /// Any integer, as 64 bits.
    #[n(1)]
    Int64,
    /// Text, compared byte by byte.
    #[n(2)]
    String,
    /// Bytes.
    #[n(3)]
    Bytes,
    /// Days since the epoch.
    #[n(4)]
    Date,
    /// Microseconds since the epoch, UTC.
    #[n(5)]
    Timestamp,
    /// A UUID.
    #[n(6)]
    Uuid,
}

/// One value of a join key; never null.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum KeyValue<'a> {
    Bool(bool),
    Int64(i64),
    String(&'a str),
    Bytes(&'a [u8]),
    Date(i32),
    Timestamp(TimestampUs),
    Uuid([u8; 16]),
}

/// The canonical bytes of one entity's keys.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct EntityKey(#[cbor(with = "minicbor::bytes")] Vec<u8>);

/// A key cannot be encoded or decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The encoded key is too long.
    #[error("the entity key takes {bytes} bytes; at most {} are allowed", limits::KEY_BYTES)]
    TooLong {
        /// Bytes of the encoded key.
        bytes: usize,
    },
    /// The bytes are not a canonical key.
    #[error("these bytes are not an entity key: {0}")]
    Malformed(&'static str),
}

impl KeyType {
    /// Every type, for tables and tests.
    pub const ALL: [Self; 7] =
        [Self::Bool, Self::Int64, Self::String, Self::Bytes, Self::Date, Self::Timestamp, Self::Uuid];

    /// The data type a column of such keys has.
    pub const fn data_type(self) -> DataType {
        match self {
            Self::Bool => DataType::Bool,
            Self::Int64 => DataType::Int64,
            Self::String => DataType::String,
            Self::Bytes => DataType::Bytes,
            Self::Date => DataType::Date,
            Self::Timestamp => DataType::Timestamp,
            Self::Uuid => DataType::Uuid,
        }
    }

    /// The key type that keeps values of a data type; integers of any width become `int64`.
    pub fn of(data_type: &DataType) -> Option<Self> {
        match data_type {
            DataType::Int32 => Some(Self::Int64),
            other => Self::ALL.into_iter().find(|key_type| key_type.data_type() == *other),
        }
    }

    const fn tag(self) -> u8 {
        match self {
            Self::Bool => 1,
            Self::Int64 => 2,
            Self::String => 3,
            Self::Bytes => 4,
            Self::Date => 5,
            Self::Timestamp => 6,
            Self::Uuid => 7,
        }
    }
}

impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.data_type().fmt(f)
    }
}

impl KeyValue<'_> {
    /// The type of this value.
    pub const fn key_type(&self) -> KeyType {
        match self {
            Self::Bool(_) => KeyType::Bool,
            Self::Int64(_) => KeyType::Int64,
            Self::String(_) => KeyType::String,
            Self::Bytes(_) => KeyType::Bytes,
            Self::Date(_) => KeyType::Date,
            Self::Timestamp(_) => KeyType::Timestamp,
            Self::Uuid(_) => KeyType::Uuid,
        }
    }
}

impl fmt::Display for KeyValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => value.fmt(f),
            Self::Int64(value) => value.fmt(f),
            Self::String(value) => f.write_str(value),
            Self::Bytes(value) => value.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
            Self::Date(days) => write_date(*days, f),
            Self::Timestamp(value) => value.fmt(f),
            Self::Uuid(value) => {
                for (position, byte) in value.iter().enumerate() {
                    let dash = if matches!(position, 4 | 6 | 8 | 10) { "-" } else { "" };
                    write!(f, "{dash}{byte:02x}")?;
                }
                Ok(())
            }
        }
    }
}

/// `2013-06-01`, or a count of days outside the years that RFC 3339 can write.
fn write_date(days: i32, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let midnight = TimestampUs(i64::from(days).saturating_mul(86_400_000_000)).to_string();
    match midnight.split_once('T') {
        Some((date, _)) => f.write_str(date),
        None => write!(f, "{days}d"),
    }
}

impl EntityKey {
    /// Encodes keys in their declared order.
    ///
    /// # Errors
    /// The encoding is longer than [`limits::KEY_BYTES`].
    pub fn encode(values: &[KeyValue<'_>]) -> Result<Self, KeyError> {
        let mut bytes = Vec::with_capacity(1 + values.len() * 10);
        Self::encode_behind(values.iter().copied(), &mut bytes)?;
        Ok(Self(bytes))
    }

    /// Encodes keys in their declared order behind other bytes, which stay as they are on an error.
    ///
    /// # Errors
    /// As [`EntityKey::encode`].
    pub fn encode_behind<'v>(
        values: impl IntoIterator<Item = KeyValue<'v>>,
        bytes: &mut Vec<u8>,
    ) -> Result<(), KeyError> {
        let start = bytes.len();
        bytes.push(KEY_FORMAT_VERSION);
        for value in values {
            encode_value(&value, bytes);
        }
        match bytes.len() - start {
            length if length <= limits::KEY_BYTES => Ok(()),
            length => {
                bytes.truncate(start);
                Err(KeyError::TooLong { bytes: length })
            }
        }
    }

    /// Takes bytes that were encoded before, checking that they are canonical.
    ///
    /// # Errors
    /// The bytes are no canonical key.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, KeyError> {
        let key = Self(bytes);
        key.visit(|_| ())?;
        Ok(key)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Calls back with each value in turn.
    ///
    /// # Errors
    /// The bytes are no canonical key.
    pub fn visit(&self, mut visit: impl FnMut(KeyValue<'_>)) -> Result<(), KeyError> {
        let Some((&KEY_FORMAT_VERSION, mut rest)) = self.0.split_first() else {
            return Err(KeyError::Malformed("unknown format version"));
        };
        while let Some((&tag, tail)) = rest.split_first() {
            let key_type = KeyType::ALL
                .into_iter()
                .find(|key_type| key_type.tag() == tag)
                .ok_or(KeyError::Malformed("unknown type tag"))?;
            rest = decode_value(key_type, tail, &mut visit)?;
        }
        Ok(())
    }

    /// The bucket of this key, which costs one hash.
    pub fn bucket(&self) -> Bucket {
        Bucket::of_key(&self.0)
    }
}

impl fmt::Debug for EntityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for EntityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        match self.visit(|value| parts.push(value.to_string())) {
            Ok(()) => write!(f, "({})", parts.join(", ")),
            Err(_) => write!(f, "(malformed key of {} bytes)", self.0.len()),
        }
    }
}

impl Bucket {
    /// The bucket of the canonical bytes of a key: the first eight bytes of their BLAKE3 as a little-endian number,
    /// modulo [`limits::BUCKETS`].
    pub fn of_key(key: &[u8]) -> Self {
        let hash = Hash::of(key);
        let [b0, b1, b2, b3, b4, b5, b6, b7, ..] = *hash.as_bytes();
        let number = u64::from_le_bytes([b0, b1, b2, b3, b4, b5, b6, b7]) % u64::from(limits::BUCKETS);
        Self(u16::try_from(number).unwrap_or(u16::MAX))
    }
}

fn encode_value(value: &KeyValue<'_>, bytes: &mut Vec<u8>) {
    bytes.push(value.key_type().tag());
    match value {
        KeyValue::Bool(value) => bytes.push(u8::from(*value)),
        KeyValue::Int64(value) => bytes.extend(ordered_i64(*value)),
        KeyValue::String(value) => encode_bytes(value.as_bytes(), bytes),
        KeyValue::Bytes(value) => encode_bytes(value, bytes),
        KeyValue::Date(value) => bytes.extend((value.cast_unsigned() ^ (1 << 31)).to_be_bytes()),
        KeyValue::Timestamp(value) => bytes.extend(ordered_i64(value.0)),
        KeyValue::Uuid(value) => bytes.extend(value),
    }
}

/// Big-endian with the sign bit turned, so that bytes order as numbers do.
fn ordered_i64(value: i64) -> [u8; 8] {
    (value.cast_unsigned() ^ (1 << 63)).to_be_bytes()
}

/// Ends with `00 00`; a zero byte inside becomes `00 FF`, so that a prefix sorts before what extends it.
fn encode_bytes(value: &[u8], bytes: &mut Vec<u8>) {
    for byte in value {
        bytes.push(*byte);
        if *byte == 0 {
            bytes.push(0xff);
        }
    }
    bytes.extend([0, 0]);
}

fn decode_value<'a>(
    key_type: KeyType,
    bytes: &'a [u8],
    visit: &mut impl FnMut(KeyValue<'_>),
) -> Result<&'a [u8], KeyError> {
    let rest = match key_type {
        KeyType::Bool => {
            let (value, rest) = take::<1>(bytes)?;
            match value {
                [0] => visit(KeyValue::Bool(false)),
                [1] => visit(KeyValue::Bool(true)),
                _ => return Err(KeyError::Malformed("a bool is 0 or 1")),
            }
            rest
        }
        KeyType::Int64 => {
            let (value, rest) = take(bytes)?;
            visit(KeyValue::Int64(unordered_i64(value)));
            rest
        }
        KeyType::Timestamp => {
            let (value, rest) = take(bytes)?;
            visit(KeyValue::Timestamp(TimestampUs(unordered_i64(value))));
            rest
        }
        KeyType::Date => {
            let (value, rest) = take(bytes)?;
            visit(KeyValue::Date((u32::from_be_bytes(value) ^ (1 << 31)).cast_signed()));
            rest
        }
        KeyType::Uuid => {
            let (value, rest) = take(bytes)?;
            visit(KeyValue::Uuid(value));
            rest
        }
        KeyType::Bytes => {
            let (value, rest) = decode_bytes(bytes)?;
            visit(KeyValue::Bytes(&value));
            rest
        }
        KeyType::String => {
            let (value, rest) = decode_bytes(bytes)?;
            let text =
                std::str::from_utf8(&value).map_err(|_| KeyError::Malformed("a string is not UTF-8"))?;
            visit(KeyValue::String(text));
            rest
        }
    };
    Ok(rest)
}

fn take<const N: usize>(bytes: &[u8]) -> Result<([u8; N], &[u8]), KeyError> {
    bytes
        .split_first_chunk::<N>()
        .map(|(value, rest)| (*value, rest))
        .ok_or(KeyError::Malformed("it is cut short"))
}

fn unordered_i64(bytes: [u8; 8]) -> i64 {
    (u64::from_be_bytes(bytes) ^ (1 << 63)).cast_signed()
}

fn decode_bytes(bytes: &[u8]) -> Result<(Vec<u8>, &[u8]), KeyError> {
    let mut value = Vec::new();
    let mut rest = bytes;
    loop {
        match rest {
            [0, 0, tail @ ..] => return Ok((value, tail)),
            [0, 0xff, tail @ ..] => {
                value.push(0);
                rest = tail;
            }
            [0, ..] | [] => return Err(KeyError::Malformed("a string or bytes value does not end")),
            [byte, tail @ ..] => {
                value.push(*byte);
                rest = tail;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
    enum Owned {
        Bool(bool),
        Int64(i64),
        String(String),
        Bytes(Vec<u8>),
        Date(i32),
        Timestamp(i64),
        Uuid([u8; 16]),
    }

    impl Owned {
        fn borrow(&self) -> KeyValue<'_> {
            match self {
                Self::Bool(value) => KeyValue::Bool(*value),
                Self::Int64(value) => KeyValue::Int64(*value),
                Self::String(value) => KeyValue::String(value),
                Self::Bytes(value) => KeyValue::Bytes(value),
                Self::Date(value) => KeyValue::Date(*value),
                Self::Timestamp(value) => KeyValue::Timestamp(TimestampUs(*value)),
                Self::Uuid(value) => KeyValue::Uuid(*value),
            }
        }
    }

    fn value() -> impl Strategy<Value = Owned> {
        prop_oneof![
            any::<bool>().prop_map(Owned::Bool),
            any::<i64>().prop_map(Owned::Int64),
            "[\\x00-\\x02a-c]{0,4}".prop_map(Owned::String),
            proptest::collection::vec(prop_oneof![Just(0), Just(255), any::<u8>()], 0..5)
                .prop_map(Owned::Bytes),
            any::<i32>().prop_map(Owned::Date),
            any::<i64>().prop_map(Owned::Timestamp),
            any::<[u8; 16]>().prop_map(Owned::Uuid),
        ]
    }

    fn encode(values: &[Owned]) -> EntityKey {
        let borrowed: Vec<_> = values.iter().map(Owned::borrow).collect();
        EntityKey::encode(&borrowed).expect("short")
    }

    proptest! {
        #[test]
        fn bytes_order_as_values_do(a in proptest::collection::vec(value(), 1..4), b in proptest::collection::vec(value(), 1..4)) {
            prop_assert_eq!(encode(&a).cmp(&encode(&b)), a.cmp(&b));
        }

        #[test]
        fn keys_round_trip(values in proptest::collection::vec(value(), 1..4)) {
            let key = encode(&values);
            let mut seen = Vec::new();
            key.visit(|value| seen.push(value.to_string())).expect("canonical");
            let expected: Vec<String> = values.iter().map(|value| value.borrow().to_string()).collect();
            prop_assert_eq!(seen, expected);
            prop_assert_eq!(EntityKey::from_bytes(key.as_bytes().to_vec()), Ok(key));
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = EntityKey::from_bytes(bytes);
        }
    }

    #[test]
    fn fields_never_run_into_each_other() {
        assert_ne!(
            encode(&[Owned::String("1".into()), Owned::String("23".into())]),
            encode(&[Owned::String("12".into()), Owned::String("3".into())])
        );
    }

    /// The published test vectors of `docs/formats/key.md`.
    #[test]
    fn golden_bytes() {
        let vectors = [
            vec![Owned::Bool(true)],
            vec![Owned::Int64(0)],
            vec![Owned::Int64(-1)],
            vec![Owned::String("JFK".into())],
            vec![Owned::String("JFK".into()), Owned::String("LAX".into())],
            vec![Owned::String("a\0b".into())],
            vec![Owned::Bytes(vec![0, 255])],
            vec![Owned::Date(15_857)],
            vec![Owned::Timestamp(1_370_088_000_000_000)],
            vec![Owned::Uuid(*b"0123456789abcdef")],
        ];
        let mut lines = String::new();
        for values in vectors {
            let key = encode(&values);
            let hex: String = key.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
            lines += &format!("{} {hex} {}\n", format!("{key:?}").escape_debug(), key.bucket());
        }
        expect![[r#"
            (true) 010101 907
            (0) 01028000000000000000 169
            (-1) 01027fffffffffffffff 318
            (JFK) 01034a464b0000 233
            (JFK, LAX) 01034a464b0000034c41580000 25
            (a\0b) 01036100ff620000 936
            (00ff) 010400ffff0000 732
            (2013-06-01) 010580003df1 235
            (2013-06-01T12:00:00.000000Z) 01068004de16788d1000 63
            (30313233-3435-3637-3839-616263646566) 010730313233343536373839616263646566 978
        "#]]
        .assert_eq(&lines);
    }

    #[test]
    fn a_key_too_long_is_refused() {
        let long = "x".repeat(limits::KEY_BYTES);
        assert!(matches!(EntityKey::encode(&[KeyValue::String(&long)]), Err(KeyError::TooLong { .. })));
    }
}
