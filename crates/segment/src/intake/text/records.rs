//! The records of a CSV text (RFC 4180), strictly: a quote where none belongs is an error, not data.
//!
//! Taken beyond the RFC: lines may end in LF alone, lines of blanks between records are skipped, a byte order
//! mark may come first.

use std::io::Read;

use super::lines::{Lines, utf8};
use crate::{Error, Result, intake::value};

/// Reads records one by one.
#[derive(Debug)]
pub(in crate::intake) struct Records {
    lines: Lines,
    /// The fields' text, without quotes, one after another.
    text: Vec<u8>,
    fields: Vec<(usize, bool)>,
}

/// One record: its fields and the line it begins on.
#[derive(Debug, Clone, Copy)]
pub(in crate::intake) struct Record<'a> {
    text: &'a str,
    /// Where each field ends in the text, and whether it was quoted.
    fields: &'a [(usize, bool)],
    /// The line, from 1.
    pub line: u64,
}

impl<'a> Record<'a> {
    /// Each field's text, and whether it was quoted.
    pub(in crate::intake) fn fields(self) -> impl Iterator<Item = (&'a str, bool)> {
        let mut start = 0;
        self.fields.iter().map(move |(end, quoted)| {
            let field = self.text.get(start..*end).unwrap_or_default();
            start = *end;
            (field, *quoted)
        })
    }

    /// Fields of the record.
    pub(in crate::intake) fn len(self) -> usize {
        self.fields.len()
    }
}

/// What was read last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Start,
    Unquoted,
    Quoted,
    /// A quote inside a quoted field: its end, or the first of two.
    Quote,
}

impl Records {
    pub(in crate::intake) fn new(text: Box<dyn Read + Send>) -> Self {
        Self { lines: Lines::new(text), text: Vec::new(), fields: Vec::new() }
    }

    /// The next record; none at the end.
    ///
    /// # Errors
    /// The text is not CSV, not UTF-8, or a record is too long.
    pub(in crate::intake) fn next(&mut self) -> Result<Option<Record<'_>>> {
        self.text.clear();
        self.fields.clear();
        let mut state = State::Start;
        let mut begins: Option<u64> = None;
        loop {
            let Some((line, number)) = self.lines.next()? else {
                return match begins {
                    Some(line) => Err(Error::Format(format!(
                        "line {line}: a quoted field does not end; the file may be cut short"
                    ))),
                    None => Ok(None),
                };
            };
            let begin = *begins.get_or_insert(number);
            let body = line.strip_suffix(b"\n").map(|body| body.strip_suffix(b"\r").unwrap_or(body));
            if state == State::Start && body.unwrap_or(line).iter().all(u8::is_ascii_whitespace) {
                begins = None;
                continue;
            }
            // Inside quotes the end of a line is data, as it stands.
            let ended = split(line, body.unwrap_or(line).len(), &mut state, &mut self.text, &mut self.fields)
                .map_err(|why| Error::Format(format!("line {number}: {why}")))?;
            value::check_line(self.text.len())
                .map_err(|why| Error::Format(format!("line {begin}: {why}")))?;
            if ended {
                let text = utf8(&self.text, begin)?;
                check_boundaries(text, &self.fields, begin)?;
                return Ok(Some(Record { text, fields: &self.fields, line: begin }));
            }
        }
    }
}

/// Splits one line, `body` bytes of it before its end; whether the record ends with it.
fn split(
    line: &[u8],
    body: usize,
    state: &mut State,
    text: &mut Vec<u8>,
    fields: &mut Vec<(usize, bool)>,
) -> std::result::Result<bool, &'static str> {
    for byte in line.get(..body).unwrap_or_default() {
        *state = match (*state, *byte) {
            (State::Start, b'"') => State::Quoted,
            (State::Start | State::Unquoted, b',') => {
                fields.push((text.len(), false));
                State::Start
            }
            (State::Quote, b',') => {
                fields.push((text.len(), true));
                State::Start
            }
            (State::Unquoted, b'"') => return Err("a quote inside a field that does not begin with one"),
            (State::Start | State::Unquoted, b'\r') => return Err("a carriage return without a line feed"),
            (State::Start | State::Unquoted, byte) => {
                text.push(byte);
                State::Unquoted
            }
            (State::Quoted, b'"') => State::Quote,
            (State::Quoted, byte) => {
                text.push(byte);
                State::Quoted
            }
            (State::Quote, b'"') => {
                text.push(b'"');
                State::Quoted
            }
            (State::Quote, _) => return Err("text after the closing quote of a field"),
        };
    }
    match *state {
        State::Quoted => {
            text.extend_from_slice(line.get(body..).unwrap_or_default());
            Ok(false)
        }
        State::Start | State::Unquoted => {
            fields.push((text.len(), false));
            Ok(true)
        }
        State::Quote => {
            fields.push((text.len(), true));
            Ok(true)
        }
    }
}

/// Text that is UTF-8 as a whole could still be split inside a character.
fn check_boundaries(text: &str, fields: &[(usize, bool)], line: u64) -> Result<()> {
    match fields.iter().all(|(end, _)| text.is_char_boundary(*end)) {
        true => Ok(()),
        false => Err(Error::Format(format!("line {line} is not UTF-8"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(text: &str) -> std::result::Result<Vec<Vec<String>>, String> {
        let mut records = Records::new(Box::new(std::io::Cursor::new(text.as_bytes().to_vec())));
        let mut all = Vec::new();
        while let Some(record) = records.next().map_err(|cause| cause.to_string())? {
            all.push(
                record
                    .fields()
                    .map(|(text, quoted)| if quoted { format!("'{text}'") } else { text.into() })
                    .collect(),
            );
        }
        Ok(all)
    }

    #[test]
    fn records_are_split_as_rfc_4180_says() {
        let text = "a,b\r\n1,\"x, \"\"y\"\"\r\nz\"\n\n\"\",\r\n,é";
        let expected = [["a", "b"], ["1", "'x, \"y\"\r\nz'"], ["''", ""], ["", "é"]];
        assert_eq!(records(text), Ok(expected.map(|record| record.map(String::from).to_vec()).to_vec()));
    }

    #[test]
    fn what_is_no_csv_is_refused_with_its_line() {
        for (text, expected) in [
            ("a\n\"b", "line 2: a quoted field does not end"),
            ("a\nb\"c", "line 2: a quote inside"),
            ("a\n\"b\"c", "line 2: text after the closing quote"),
            ("a\rb", "line 1: a carriage return"),
        ] {
            let error = records(text).expect_err(text);
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
