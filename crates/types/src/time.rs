//! Instants and durations in whole microseconds, UTC.

use std::{fmt, str::FromStr};

use minicbor::{Decode, Encode};

/// Microseconds since 1970-01-01T00:00:00Z. Printed as RFC 3339 with six digits and `Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Encode, Decode)]
#[cbor(transparent)]
pub struct TimestampUs(pub i64);

/// A length of time in microseconds, not negative. Written `1d12h`, `90s`, `500us`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct DurationUs(pub i64);

/// The text is not a time or a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {what}: {why}")]
pub struct ParseTimeError {
    text: String,
    what: &'static str,
    why: String,
}

impl TimestampUs {
    /// The smallest instant.
    pub const MIN: Self = Self(i64::MIN);
    /// The greatest instant.
    pub const MAX: Self = Self(i64::MAX);

    /// This instant less a duration, stopping at the ends of the range.
    pub const fn saturating_sub(self, duration: DurationUs) -> Self {
        Self(self.0.saturating_sub(duration.0))
    }

    /// This instant plus a duration, stopping at the ends of the range.
    pub const fn saturating_add(self, duration: DurationUs) -> Self {
        Self(self.0.saturating_add(duration.0))
    }
}

impl fmt::Display for TimestampUs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(timestamp) => write!(f, "{timestamp:.6}"),
            // Outside the years that RFC 3339 can write.
            Err(_) => write!(f, "{}us", self.0),
        }
    }
}

impl FromStr for TimestampUs {
    type Err = ParseTimeError;

    /// Reads RFC 3339 with an offset, or whole microseconds since the epoch written `123us`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = |why: String| ParseTimeError { text: text.to_owned(), what: "time with an offset", why };
        if let Some(micros) = text.strip_suffix("us") {
            return micros.parse().map(Self).map_err(|_| error("expected a whole number before `us`".into()));
        }
        let timestamp: jiff::Timestamp = text.parse().map_err(|cause| {
            error(format!("{cause}; write it like 2013-06-01T12:00:00Z or 2013-06-01T12:00:00+02:00"))
        })?;
        if timestamp.as_nanosecond() % 1_000 != 0 {
            return Err(error("it is finer than a microsecond".into()));
        }
        Ok(Self(timestamp.as_microsecond()))
    }
}

const UNITS: [(&str, i64); 7] = [
    ("w", 604_800_000_000),
    ("d", 86_400_000_000),
    ("h", 3_600_000_000),
    ("m", 60_000_000),
    ("s", 1_000_000),
    ("ms", 1_000),
    ("us", 1),
];

impl fmt::Display for DurationUs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0s");
        }
        let mut rest = self.0;
        for (unit, size) in UNITS {
            let count = rest / size;
            if count != 0 {
                write!(f, "{count}{unit}")?;
                rest -= count * size;
            }
        }
        Ok(())
    }
}

impl FromStr for DurationUs {
    type Err = ParseTimeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error =
            |why: &str| ParseTimeError { text: text.to_owned(), what: "duration", why: why.to_owned() };
        if text.is_empty() {
            return Err(error("it is empty; write it like 1d12h, 90s or 500us"));
        }
        let mut total: i64 = 0;
        let mut rest = text;
        let mut largest_allowed = 0;
        while !rest.is_empty() {
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let (number, tail) = rest.split_at(digits);
            let count: i64 =
                number.parse().map_err(|_| error("expected a number and a unit (w d h m s ms us)"))?;
            let letters = tail.len() - tail.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
            let (unit, tail) = tail.split_at(letters);
            let position = UNITS
                .iter()
                .position(|(name, _)| *name == unit)
                .ok_or_else(|| error("its unit is unknown; expected one of w d h m s ms us"))?;
            if position < largest_allowed {
                return Err(error("its units must go from large to small, each once"));
            }
            largest_allowed = position + 1;
            let size = UNITS.get(position).map_or(1, |(_, size)| *size);
            total = count
                .checked_mul(size)
                .and_then(|part| total.checked_add(part))
                .ok_or_else(|| error("it is longer than 64 bits of microseconds"))?;
            rest = tail;
        }
        Ok(Self(total))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_print_with_microseconds_and_z() {
        assert_eq!(TimestampUs(0).to_string(), "1970-01-01T00:00:00.000000Z");
        assert_eq!("2013-06-01T14:00:00+02:00".parse(), Ok(TimestampUs(1_370_088_000_000_000)));
        assert_eq!("1us".parse(), Ok(TimestampUs(1)));
    }

    #[test]
    fn times_without_offset_or_too_fine_are_refused() {
        for text in ["2013-06-01T14:00:00", "2013-06-01", "2013-06-01T14:00:00.0000001Z", "yesterday", ""] {
            assert!(text.parse::<TimestampUs>().is_err(), "{text}");
        }
    }

    #[test]
    fn durations_read_as_people_write_them() {
        assert_eq!("1d12h".parse(), Ok(DurationUs(129_600_000_000)));
        assert_eq!("500us".parse(), Ok(DurationUs(500)));
        assert_eq!("3h".parse::<DurationUs>().map(|d| d.to_string()), Ok("3h".into()));
        for text in ["", "3", "h", "1h1d", "1h1h", "-3h", "1y", "99999999999999w"] {
            assert!(text.parse::<DurationUs>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn times_round_trip(us in any::<i64>()) {
            let time = TimestampUs(us);
            prop_assert_eq!(time.to_string().parse(), Ok(time));
        }

        #[test]
        fn durations_round_trip(us in 0..i64::MAX) {
            let duration = DurationUs(us);
            prop_assert_eq!(duration.to_string().parse(), Ok(duration));
        }
    }
}
