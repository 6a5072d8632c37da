//! Lines of a text file, with their numbers.

use std::io::{BufRead, BufReader, Read};

use crate::{Error, Result, intake::value};

/// Bytes read at a time.
const CHUNK: usize = 256 * 1024;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The lines of a text, one at a time, each of bounded length.
pub(in crate::intake) struct Lines {
    text: BufReader<Box<dyn Read + Send>>,
    line: Vec<u8>,
    number: u64,
}

impl Lines {
    pub(in crate::intake) fn new(text: Box<dyn Read + Send>) -> Self {
        Self::numbered(text, 1)
    }

    /// The lines of a part of a text whose first line has a number, from 1.
    pub(super) fn numbered(text: Box<dyn Read + Send>, first_line: u64) -> Self {
        let number = first_line.saturating_sub(1);
        Self { text: BufReader::with_capacity(CHUNK, text), line: Vec::new(), number }
    }

    /// The next line with its end (`\n`, which the last one may lack) and its number from 1; none at the end.
    ///
    /// # Errors
    /// It is longer than [`lineate_types::limits::INTAKE_LINE_BYTES`], or cannot be read.
    pub(in crate::intake) fn next(&mut self) -> Result<Option<(&[u8], u64)>> {
        self.line.clear();
        let number = self.number.saturating_add(1);
        loop {
            let chunk = match self.text.fill_buf() {
                Ok(chunk) => chunk,
                Err(cause) if cause.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(cause) => return Err(Error::Format(format!("the text cannot be read: {cause}"))),
            };
            if chunk.is_empty() {
                break;
            }
            let end = chunk.iter().position(|byte| *byte == b'\n');
            let taken = end.map_or(chunk.len(), |end| end + 1);
            self.line.extend_from_slice(chunk.get(..taken).unwrap_or_default());
            self.text.consume(taken);
            value::check_line(self.line.len())
                .map_err(|why| Error::Format(format!("line {number}: {why}")))?;
            if end.is_some() {
                break;
            }
        }
        if self.line.is_empty() {
            return Ok(None);
        }
        self.number = number;
        let skipped =
            if number == 1 && self.line.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
        Ok(Some((self.line.get(skipped..).unwrap_or_default(), number)))
    }
}

impl std::fmt::Debug for Lines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lines").field("number", &self.number).finish_non_exhaustive()
    }
}

/// The text of a line.
///
/// # Errors
/// It is not UTF-8.
pub(super) fn utf8(bytes: &[u8], line: u64) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|cause| {
        Error::Format(format!("line {line} is not UTF-8: byte {} of it is odd", cause.valid_up_to() + 1))
    })
}
