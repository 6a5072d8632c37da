//! An optional match mode as its word, absent where every view's own default holds.

use lineate_types::MatchMode;
use minicbor::{
    Decoder, Encoder,
    decode::Error as DecodeError,
    encode::{Error as EncodeError, Write},
};

pub(crate) fn encode<C, W: Write>(
    mode: &Option<MatchMode>,
    e: &mut Encoder<W>,
    _: &mut C,
) -> Result<(), EncodeError<W::Error>> {
    match mode {
        Some(mode) => e.str(mode.as_str())?.ok(),
        None => e.null()?.ok(),
    }
}

pub(crate) fn decode<C>(d: &mut Decoder<'_>, _: &mut C) -> Result<Option<MatchMode>, DecodeError> {
    let word = d.str()?;
    [MatchMode::Event, MatchMode::Known, MatchMode::Served]
        .into_iter()
        .find(|mode| mode.as_str() == word)
        .map(Some)
        .ok_or_else(|| DecodeError::message(format!("`{word}` is not a match mode")))
}

pub(crate) fn nil() -> Option<Option<MatchMode>> {
    Some(None)
}

pub(crate) fn is_nil(mode: &Option<MatchMode>) -> bool {
    mode.is_none()
}
