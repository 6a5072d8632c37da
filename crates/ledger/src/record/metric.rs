//! A metric's value as decimal text: exact, without floats in hashed bytes.

use std::{fmt, str::FromStr};

use minicbor::{Decode, Decoder, Encode, decode};

/// A number as text, kept as given: `-?digits[.digits][e[+-]digits]`, `NaN`, `Infinity` or `-Infinity`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Encode)]
#[cbor(transparent)]
pub struct MetricValue(String);

/// The text is not a number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a number; expected a decimal such as 0.93 or 1e-5, `NaN`, `Infinity` or `-Infinity`"
)]
pub struct ParseMetricError {
    text: String,
}

impl MetricValue {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<f64> for MetricValue {
    /// The shortest decimal that reads back as the same number; every NaN is `NaN`.
    fn from(value: f64) -> Self {
        Self(if value.is_infinite() {
            if value > 0.0 { "Infinity".to_owned() } else { "-Infinity".to_owned() }
        } else {
            format!("{value:?}")
        })
    }
}

impl FromStr for MetricValue {
    type Err = ParseMetricError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if matches!(text, "NaN" | "Infinity" | "-Infinity") || is_decimal(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ParseMetricError { text: text.chars().take(64).collect() })
        }
    }
}

fn is_decimal(text: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let mantissa_is_decimal = match mantissa.split_once('.') {
        Some((whole, fraction)) => digits(whole) && digits(fraction),
        None => digits(mantissa),
    };
    let exponent_is_integer =
        exponent.is_none_or(|exponent| digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)));
    mantissa_is_decimal && exponent_is_integer
}

impl fmt::Display for MetricValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'b, C> Decode<'b, C> for MetricValue {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
        d.str()?.parse().map_err(decode::Error::custom)
    }
}
