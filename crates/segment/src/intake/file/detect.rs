//! The format of a file, by what is in it. Names of files are never looked at.

use std::fmt;

use super::ForeignFile;
use crate::{Error, Result};

/// A file format the intake reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileFormat {
    /// Apache Parquet.
    Parquet,
    /// The Arrow IPC file format, also called Feather 2.
    ArrowFile,
    /// The Arrow IPC streaming format.
    ArrowStream,
    /// One JSON object a line.
    Ndjson,
    /// RFC 4180 with a header line.
    Csv,
}

impl fmt::Display for FileFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Parquet => "parquet",
            Self::ArrowFile => "arrow file",
            Self::ArrowStream => "arrow stream",
            Self::Ndjson => "ndjson",
            Self::Csv => "csv",
        })
    }
}

/// Bytes looked at.
const HEAD: usize = 4_096;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// Formats that are not read, by their first bytes, and what to do about them.
const REFUSED: [(&[u8], &str); 8] = [
    (b"PARE", "a parquet file with an encrypted footer; decrypt it first"),
    (b"\x1f\x8b", "compressed by gzip; decompress it first"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstandard; decompress it first"),
    (b"PK\x03\x04", "a zip archive; unpack it first"),
    (b"ORC", "an orc file; write it as parquet"),
    (b"Obj\x01", "an avro file; write it as parquet"),
    (b"FEA1", "a feather file of version 1; write version 2"),
    (b"\xff\xfe", "text in UTF-16; write it as UTF-8"),
];

pub(super) fn format(file: &ForeignFile) -> Result<FileFormat> {
    let length = HEAD.min(usize::try_from(file.bytes()).unwrap_or(HEAD));
    let head = file.read_at(0, length)?;
    let head = head.as_ref();
    if head.is_empty() {
        return Err(Error::Format("the file is empty".into()));
    }
    if head.starts_with(b"PAR1") {
        return Ok(FileFormat::Parquet);
    }
    if head.starts_with(b"ARROW1") {
        return Ok(FileFormat::ArrowFile);
    }
    if head.starts_with(&[0xff; 4]) {
        return Ok(FileFormat::ArrowStream);
    }
    if let Some((_, what)) = REFUSED.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Err(Error::Format(format!("the file is {what}")));
    }
    if head.contains(&0) {
        return Err(Error::Format(
            "the file is of no known format; parquet, arrow, ndjson and csv in UTF-8 are read".into(),
        ));
    }
    let text = head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(head);
    match text.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{') => Ok(FileFormat::Ndjson),
        Some(b'[') => {
            Err(Error::Format("the file is a json array; write one json object a line instead".into()))
        }
        Some(_) => Ok(FileFormat::Csv),
        None => Err(Error::Format("the file is empty: it holds only blanks".into())),
    }
}
