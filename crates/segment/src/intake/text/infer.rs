//! The types of spine columns in text, which says no types: found over the whole file, conservatively.
//!
//! A column gets a type only if every value of it reads back as it was written: digits with a leading zero,
//! or more digits than a float holds, stay text.

use lineate_types::DataType;
use serde_json::value::RawValue;

use crate::intake::value;

/// Significant digits up to which the text of a float is taken to mean a float.
const FLOAT_DIGITS: usize = 17;
/// Up to here every whole number is a float.
const FLOAT_WHOLE: u64 = 1 << 53;
/// The shortest time with an offset.
const LEAST_TIME: usize = "2013-06-01T12:00Z".len();

/// What the values of one column could be.
#[derive(Debug, Clone)]
pub(super) struct Guess {
    bool: bool,
    int64: bool,
    float64: bool,
    timestamp: bool,
    string: bool,
    /// A value that is not null was seen.
    seen: bool,
    /// A plain number was seen, rather than only NaN and infinities.
    number: bool,
    naive_times_are_utc: bool,
}

impl Guess {
    pub(super) fn new(naive_times_are_utc: bool) -> Self {
        Self {
            bool: true,
            int64: true,
            float64: true,
            timestamp: true,
            string: true,
            seen: false,
            number: false,
            naive_times_are_utc,
        }
    }

    /// Sees a CSV field.
    pub(super) fn see_cell(&mut self, text: &str, quoted: bool) {
        if text.is_empty() && !quoted {
            return;
        }
        self.seen = true;
        self.bool &= matches!(text, "true" | "false");
        self.see_number(text);
        self.see_time(text);
    }

    /// Sees a JSON value.
    pub(super) fn see_json(&mut self, raw: &RawValue) {
        let text = raw.get();
        if text == "null" {
            return;
        }
        self.seen = true;
        self.bool &= matches!(text, "true" | "false");
        let inner = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        self.string &= inner.is_some();
        match inner {
            Some(inner) => {
                self.int64 = false;
                self.float64 &= matches!(inner, "NaN" | "Infinity" | "-Infinity");
                self.see_time(inner);
            }
            None => {
                self.see_number(text);
                self.timestamp = false;
            }
        }
    }

    fn see_number(&mut self, text: &str) {
        let special = matches!(text, "NaN" | "Infinity" | "-Infinity" | "inf" | "-inf");
        let number = is_number(text);
        self.number |= number;
        self.int64 &= number && is_int64(text);
        self.float64 &= special || number && is_float64(text);
    }

    fn see_time(&mut self, text: &str) {
        // Microseconds written `123us` are more likely something else here.
        let shaped = text.len() >= LEAST_TIME - 1 && text.as_bytes().get(4) == Some(&b'-');
        self.timestamp = self.timestamp && shaped && value::timestamp(text, self.naive_times_are_utc).is_ok();
    }

    /// The type for a CSV column.
    pub(super) fn of_cells(&self) -> DataType {
        self.narrowest().unwrap_or(DataType::String)
    }

    /// The type for a JSON field.
    pub(super) fn of_json(&self) -> DataType {
        match self.narrowest() {
            Some(data_type) => data_type,
            None if self.string => DataType::String,
            None => DataType::Json,
        }
    }

    fn narrowest(&self) -> Option<DataType> {
        if !self.seen {
            return None;
        }
        let candidates = [
            (self.bool, DataType::Bool),
            (self.int64, DataType::Int64),
            (self.float64 && self.number, DataType::Float64),
            (self.timestamp, DataType::Timestamp),
        ];
        candidates.into_iter().find(|(fits, _)| *fits).map(|(_, data_type)| data_type)
    }
}

/// A number as JSON writes it: no leading zeros, no plus, digits on both sides of the point.
fn is_number(text: &str) -> bool {
    text.starts_with(|c: char| c == '-' || c.is_ascii_digit())
        && serde_json::from_str::<&RawValue>(text).is_ok_and(|raw| raw.get() == text)
}

/// Whole, in range, and not the negative zero that an integer cannot keep.
fn is_int64(number: &str) -> bool {
    number != "-0" && number.parse::<i64>().is_ok()
}

/// Finite as a float, with no more digits than one holds; a whole number below 2^53.
fn is_float64(number: &str) -> bool {
    let Ok(float) = number.parse::<f64>() else { return false };
    if !float.is_finite() {
        return false;
    }
    if !number.contains(['.', 'e', 'E']) {
        return number.parse::<i64>().is_ok_and(|whole| whole.unsigned_abs() <= FLOAT_WHOLE);
    }
    let mantissa = number.split(['e', 'E']).next().unwrap_or_default();
    let digits = mantissa.trim_start_matches(['-', '0', '.']).bytes().filter(u8::is_ascii_digit).count();
    digits <= FLOAT_DIGITS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_cells(values: &[&str]) -> String {
        let mut guess = Guess::new(false);
        values.iter().for_each(|value| guess.see_cell(value, false));
        guess.of_cells().to_string()
    }

    fn of_json(values: &[&str]) -> String {
        let mut guess = Guess::new(false);
        for value in values {
            guess.see_json(serde_json::from_str(value).expect("JSON"));
        }
        guess.of_json().to_string()
    }

    #[test]
    fn csv_columns_get_a_type_only_if_every_value_reads_back() {
        for (values, expected) in [
            (&["1", "", "-2"][..], "int64"),
            (&["1", "2.5", "1e3", "NaN"], "float64"),
            (&["9007199254740993", "0.5"], "string"),
            (&["9007199254740992", "0.5"], "float64"),
            (&["02134", "10001"], "string"),
            (&["9223372036854775808"], "string"),
            (&["0.1234567890123456789"], "string"),
            (&["-0"], "float64"),
            (&["+1"], "string"),
            (&["NaN"], "string"),
            (&["true", "false"], "bool"),
            (&["True"], "string"),
            (&["true", "1"], "string"),
            (&["2013-06-01T12:00:00Z", "2013-06-01T12:00:00+02:00"], "timestamp"),
            (&["2013-06-01T12:00:00"], "string"),
            (&["12345us"], "string"),
            (&["", ""], "string"),
            (&["1", "x"], "string"),
        ] {
            assert_eq!(of_cells(values), expected, "{values:?}");
        }
    }

    #[test]
    fn json_fields_of_several_kinds_stay_json() {
        for (values, expected) in [
            (&["1", "null"][..], "int64"),
            (&["1", "1.5", "\"NaN\""], "float64"),
            (&["\"a\"", "\"1\""], "string"),
            (&["\"2013-06-01T12:00:00Z\""], "timestamp"),
            (&["1", "\"a\""], "json"),
            (&["[1]", "[2]"], "json"),
            (&["{\"a\":1}"], "json"),
            (&["123456789012345678901234567890"], "json"),
            (&["null"], "string"),
        ] {
            assert_eq!(of_json(values), expected, "{values:?}");
        }
    }
}
