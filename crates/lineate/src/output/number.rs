//! Numbers as people read them, and times as JSON carries them.

use std::time::Duration;

use lineate_types::TimestampUs;
use serde_json::Value;

/// `336776` as `336,776`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position != 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 row`, `2 rows`.
pub(crate) fn counted(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(number), if number == 1 { "" } else { "s" })
}

/// `12.4 MiB`.
pub(crate) fn bytes(number: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut size = number as f64;
    let mut text = format!("{number} B");
    for unit in UNITS {
        if size < 1024.0 {
            break;
        }
        size /= 1024.0;
        text = format!("{size:.1} {unit}");
    }
    text
}

/// `840 µs`, `1.2 ms`, `3.4 s`, `2 min 05 s`.
pub(crate) fn duration(duration: Duration) -> String {
    let micros = duration.as_micros();
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..1_000_000 => format!("{:.1} ms", micros as f64 / 1e3),
        1_000_000..60_000_000 => format!("{:.1} s", micros as f64 / 1e6),
        _ => format!("{} min {:02} s", duration.as_secs() / 60, duration.as_secs() % 60),
    }
}

/// Microseconds since the epoch as RFC 3339.
pub(crate) fn time(micros: i64) -> String {
    TimestampUs(micros).to_string()
}

/// A time that may be unknown, for JSON: 0 on the wire means there is none.
pub(crate) fn time_or_null(micros: i64) -> Value {
    if micros == 0 { Value::Null } else { time(micros).into() }
}

/// Text that may be absent, for JSON: empty on the wire means there is none.
pub(crate) fn text_or_null(text: &str) -> Value {
    if text.is_empty() { Value::Null } else { text.into() }
}

/// The first digits of a content hash, for people: `b3:6437b3ac3846`.
pub(crate) fn short_hash(hash: &str) -> String {
    hash.chars().take("b3:".len() + 12).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(
            [0, 999, 1000, 336_776, 1_234_567].map(count),
            ["0", "999", "1,000", "336,776", "1,234,567"]
        );
        assert_eq!([counted(1, "row"), counted(2, "row")], ["1 row", "2 rows"]);
        assert_eq!([0, 1023, 1024, 13_002_342].map(bytes), ["0 B", "1023 B", "1.0 KiB", "12.4 MiB"]);
        let spans = [7, 1_234, 3_400_000, 125_000_000].map(|us| duration(Duration::from_micros(us)));
        assert_eq!(spans, ["7 µs", "1.2 ms", "3.4 s", "2 min 05 s"]);
        assert_eq!(time_or_null(0), Value::Null);
        assert_eq!(time(1), "1970-01-01T00:00:00.000001Z");
        assert_eq!(short_hash("b3:6437b3ac38465133ffb6"), "b3:6437b3ac3846");
    }
}
