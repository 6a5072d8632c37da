//! The text forms of single values: what CSV cells, JSON strings and text columns hold.
//!
//! Every function takes the whole text or says why not; none trims, rounds or guesses. A decimal fraction
//! becomes the nearest float, which is what the text of a float means.

use base64::{Engine, engine::general_purpose::STANDARD};
use lineate_types::{TimestampUs, limits};

use super::refusal::excerpt;

const DAY_US: i64 = 86_400_000_000;

/// A value of a text form, or why it is none.
pub(super) type Parsed<T> = Result<T, String>;

/// Checks that text is one JSON value.
pub(super) fn check_json(text: &str) -> Parsed<()> {
    match serde_json::from_str::<serde::de::IgnoredAny>(text) {
        Ok(_) => Ok(()),
        Err(cause) => Err(format!("{} is not JSON: {cause}", excerpt(text))),
    }
}

/// `true` or `false`, in any case.
pub(super) fn bool(text: &str) -> Parsed<bool> {
    if text.eq_ignore_ascii_case("true") {
        Ok(true)
    } else if text.eq_ignore_ascii_case("false") {
        Ok(false)
    } else {
        Err(format!("expected bool (true or false), found {}", excerpt(text)))
    }
}

/// A whole number in decimal digits that fits the type.
pub(super) fn integer<T: std::str::FromStr>(text: &str, name: &str) -> Parsed<T> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let whole = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    match (text.parse(), whole) {
        (Ok(number), true) => Ok(number),
        (Err(_), true) => Err(format!("{} does not fit {name}", excerpt(text))),
        _ => Err(format!("expected {name}, found {}", excerpt(text))),
    }
}

/// A number, `NaN`, `Infinity` or `-Infinity` (`inf` too, any case). A finite number may not overflow.
pub(super) fn float<T: std::str::FromStr + Into<f64> + Copy>(text: &str, name: &str) -> Parsed<T> {
    let number: T = text.parse().map_err(|_| format!("expected {name}, found {}", excerpt(text)))?;
    if number.into().is_infinite() && text.bytes().any(|byte| byte.is_ascii_digit()) {
        return Err(format!("{} does not fit {name}", excerpt(text)));
    }
    Ok(number)
}

/// RFC 3339 with an offset, or microseconds since the epoch as `123us`. Without an offset only where the
/// view says so; a leap second has no place in microseconds since the epoch.
pub(super) fn timestamp(text: &str, naive_times_are_utc: bool) -> Parsed<i64> {
    if text.get(16..19) == Some(":60") {
        return Err(format!("{} is a leap second, which has no timestamp", excerpt(text)));
    }
    let parsed = text.parse::<TimestampUs>();
    let parsed = match parsed {
        Err(_) if naive_times_are_utc && text.len() >= "2013-06-01T12:00".len() => {
            format!("{text}Z").parse().or(parsed)
        }
        parsed => parsed,
    };
    parsed.map(|time| time.0).map_err(|cause| cause.to_string())
}

/// `2013-06-01`, or days since the epoch as `123d`.
pub(super) fn date(text: &str) -> Parsed<i32> {
    let wrong = || format!("expected a date such as 2013-06-01, found {}", excerpt(text));
    if let Some(days) = text.strip_suffix('d') {
        return integer(days, "date").map_err(|_| wrong());
    }
    let shape = |(at, byte): (usize, u8)| match at {
        4 | 7 => byte == b'-',
        _ => byte.is_ascii_digit(),
    };
    if text.len() != "2013-06-01".len() || !text.bytes().enumerate().all(shape) {
        return Err(wrong());
    }
    let midnight: TimestampUs = format!("{text}T00:00:00Z").parse().map_err(|_| wrong())?;
    i32::try_from(midnight.0.div_euclid(DAY_US)).map_err(|_| wrong())
}

/// A uuid as 32 hex digits, with the four hyphens or without any.
pub(super) fn uuid(text: &str) -> Parsed<[u8; 16]> {
    parse_uuid(text).ok_or_else(|| {
        format!("expected a uuid such as 123e4567-e89b-12d3-a456-426614174000, found {}", excerpt(text))
    })
}

fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let bytes = text.as_bytes();
    let hyphens = bytes.len() == 36;
    if !hyphens && bytes.len() != 32 {
        return None;
    }
    let mut nibbles = 0_usize;
    let mut uuid = [0_u8; 16];
    for (at, byte) in bytes.iter().enumerate() {
        if hyphens && matches!(at, 8 | 13 | 18 | 23) {
            if *byte != b'-' {
                return None;
            }
            continue;
        }
        let digit = u8::try_from(char::from(*byte).to_digit(16)?).ok()?;
        let slot = uuid.get_mut(nibbles / 2)?;
        *slot = (*slot << 4) | digit;
        nibbles += 1;
    }
    (nibbles == 32).then_some(uuid)
}

/// Base64 with padding (RFC 4648, section 4).
pub(super) fn bytes(text: &str) -> Parsed<Vec<u8>> {
    STANDARD
        .decode(text)
        .map_err(|cause| format!("expected bytes as base64, found {}: {cause}", excerpt(text)))
}

/// A decimal number, an exponent allowed, as the unscaled value of `decimal(precision,scale)`.
pub(super) fn decimal(text: &str, precision: u8, scale: u8) -> Parsed<i128> {
    let wrong = || format!("expected decimal({precision},{scale}), found {}", excerpt(text));
    let too_long = || format!("{} has more digits than decimal({precision},{scale}) holds", excerpt(text));
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, integer::<i32>(exponent, "exponent").map_err(|_| wrong())?),
        None => (text, 0),
    };
    let unsigned = mantissa.strip_prefix(['-', '+']).unwrap_or(mantissa);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let digits = || whole.bytes().chain(fraction.bytes());
    if digits().next().is_none() || !digits().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let significant: Vec<u8> = digits().map(|byte| byte - b'0').skip_while(|digit| *digit == 0).collect();
    if significant.is_empty() {
        return Ok(0);
    }
    // The value is `significant` times ten to the power of `shift`, in units of the scale.
    let dropped = i64::try_from(fraction.len()).unwrap_or(i64::MAX);
    let shift = i64::from(exponent).saturating_add(i64::from(scale)).saturating_sub(dropped);
    let trailing_zeros = significant.iter().rev().take_while(|digit| **digit == 0).count();
    let cut = usize::try_from(shift.min(0).unsigned_abs()).unwrap_or(usize::MAX);
    if cut > trailing_zeros {
        return Err(format!("{} has more than {scale} digits after the point", excerpt(text)));
    }
    let kept = significant.len() - cut;
    let zeros = usize::try_from(shift.max(0)).unwrap_or(usize::MAX);
    if kept.saturating_add(zeros) > usize::from(precision) {
        return Err(too_long());
    }
    // At most 38 digits, which 127 bits hold.
    let padded = significant.iter().take(kept).copied().chain(std::iter::repeat_n(0, zeros));
    let unscaled = padded.fold(0_i128, |sum, digit| sum * 10 + i128::from(digit));
    Ok(if mantissa.starts_with('-') { -unscaled } else { unscaled })
}

/// Checks the length of one line or record of a text file.
pub(super) fn check_line(bytes: usize) -> Parsed<()> {
    if bytes > limits::INTAKE_LINE_BYTES {
        return Err(format!("it is longer than {} bytes", limits::INTAKE_LINE_BYTES));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_exact_or_refused() {
        for (text, expected) in [
            ("0", Some(0)),
            ("-0.00", Some(0)),
            ("1", Some(100)),
            ("1.5", Some(150)),
            ("-1.50", Some(-150)),
            ("1.500", Some(150)),
            ("1.505", None),
            ("123.45", Some(12345)),
            ("1234.5", None),
            ("1e2", Some(10000)),
            ("1e3", None),
            ("15e-1", Some(150)),
            ("1500E-3", Some(150)),
            (".5", Some(50)),
            ("5.", Some(500)),
            ("", None),
            (".", None),
            ("-", None),
            ("1e", None),
            ("1,5", None),
            (" 1", None),
            ("0x10", None),
            ("NaN", None),
            ("1e999999999999", None),
            ("0e2147483647", Some(0)),
            ("1e-2147483648", None),
        ] {
            assert_eq!(decimal(text, 5, 2).ok(), expected, "{text}");
        }
        let nines = "9".repeat(38);
        assert_eq!(decimal(&nines, 38, 0).ok(), nines.parse().ok());
        assert!(decimal(&format!("{nines}9"), 38, 0).is_err());
    }

    #[test]
    fn times_need_an_offset_unless_the_view_says_utc() {
        let noon = 1_370_088_000_000_000;
        assert_eq!(timestamp("2013-06-01T12:00:00Z", false), Ok(noon));
        assert_eq!(timestamp("2013-06-01T14:00:00+02:00", true), Ok(noon));
        assert!(timestamp("2013-06-01T12:00:00", false).is_err());
        assert_eq!(timestamp("2013-06-01T12:00:00", true), Ok(noon));
        assert_eq!(timestamp("2013-06-01 12:00:00.000001", true), Ok(noon + 1));
        assert!(timestamp("2013-06-01T12:00:00.0000001Z", true).is_err());
        assert!(timestamp("2013-06-01", true).is_err());
        assert!(timestamp("2016-12-31T23:59:60Z", false).is_err());
        assert!(timestamp("12", true).is_err());
    }

    #[test]
    fn dates_uuids_and_numbers_are_read_strictly() {
        assert_eq!(date("2013-06-01"), Ok(15_857));
        assert_eq!(date("1969-12-31"), Ok(-1));
        assert_eq!(date("-4d"), Ok(-4));
        for text in ["2013-6-1", "2013-02-30", "20130601", "2013-06-01T00:00:00Z", ""] {
            assert!(date(text).is_err(), "{text}");
        }
        assert!(uuid("123e4567-e89b-12d3-a456-426614174000").is_ok());
        assert!(uuid("123E4567E89B12D3A456426614174000").is_ok());
        for text in ["123e4567-e89b-12d3-a456-42661417400", "{123e4567-e89b-12d3-a456-426614174000}", ""] {
            assert!(uuid(text).is_err(), "{text}");
        }
        assert_eq!(integer::<i32>("-2147483648", "int32"), Ok(i32::MIN));
        for text in ["2147483648", "1.0", "", "-", "1e3", " 1", "+-1"] {
            assert!(integer::<i32>(text, "int32").is_err(), "{text}");
        }
        assert_eq!(float::<f64>("-0", "float64").map(f64::to_bits), Ok((-0.0_f64).to_bits()));
        assert!(float::<f64>("1e999", "float64").is_err());
        assert!(float::<f32>("1e39", "float32").is_err());
        assert_eq!(float::<f64>("Infinity", "float64"), Ok(f64::INFINITY));
        assert!(float::<f64>("1_0", "float64").is_err());
    }
}
