//! A map with text keys as an array of pairs, ascending by the bytes of the key. (CBOR would order the keys
//! of a map by their length first.)

use std::collections::BTreeMap;

use minicbor::{
    Decode, Decoder, Encode, Encoder,
    decode::Error as DecodeError,
    encode::{Error as EncodeError, Write},
};

pub(crate) fn encode<C, W: Write, V: Encode<C>>(
    pairs: &BTreeMap<String, V>,
    e: &mut Encoder<W>,
    ctx: &mut C,
) -> Result<(), EncodeError<W::Error>> {
    e.array(pairs.len() as u64)?;
    for (key, value) in pairs {
        e.array(2)?.str(key)?.encode_with(value, ctx)?;
    }
    Ok(())
}

pub(crate) fn decode<'b, C, V: Decode<'b, C>>(
    d: &mut Decoder<'b>,
    ctx: &mut C,
) -> Result<BTreeMap<String, V>, DecodeError> {
    let mut pairs = BTreeMap::new();
    let items = d.array_iter_with::<C, Pair<V>>(ctx)?;
    for item in items {
        let Pair(key, value) = item?;
        pairs.insert(key, value);
    }
    Ok(pairs)
}

struct Pair<V>(String, V);

impl<'b, C, V: Decode<'b, C>> Decode<'b, C> for Pair<V> {
    fn decode(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Self, DecodeError> {
        match d.array()? {
            Some(2) => Ok(Self(d.str()?.to_owned(), d.decode_with(ctx)?)),
            _ => Err(DecodeError::message("expected a pair")),
        }
    }
}
