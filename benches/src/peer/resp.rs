//! The little of RESP 2 that is needed: commands out, replies in.

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};

/// Bytes of a bulk string, and elements of an array, at most.
const LONGEST: usize = 1024 * 1024;

/// Appends a command to what will be sent.
pub(super) fn command(out: &mut Vec<u8>, words: &[&[u8]]) {
    out.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
}

/// Reads one reply. Says how many values in it are not null.
///
/// # Errors
/// The connection broke, or the reply is an error.
pub(super) async fn reply(from: &mut (impl AsyncBufRead + Unpin)) -> io::Result<usize> {
    let mut pending = 1;
    let mut values = 0;
    let mut line = Vec::new();
    while pending > 0 {
        pending -= 1;
        line.clear();
        from.read_until(b'\n', &mut line).await?;
        let (kind, rest) = line.split_first().ok_or(io::ErrorKind::UnexpectedEof)?;
        let text = std::str::from_utf8(rest).map_err(io::Error::other)?.trim_end();
        match kind {
            b'+' | b':' => values += 1,
            b'-' => return Err(io::Error::other(text.to_owned())),
            b'*' => pending += length(text)?.unwrap_or(0),
            b'$' => {
                if let Some(length) = length(text)? {
                    line.resize(length + 2, 0);
                    from.read_exact(&mut line).await?;
                    values += 1;
                }
            }
            _ => return Err(io::Error::other("a reply of an unknown kind")),
        }
    }
    Ok(values)
}

/// A length; none for null.
fn length(text: &str) -> io::Result<Option<usize>> {
    if text == "-1" {
        return Ok(None);
    }
    let length: usize = text.parse().map_err(io::Error::other)?;
    if length > LONGEST { Err(io::Error::other("a reply that is too long")) } else { Ok(Some(length)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_arrays_of_bulk_strings() {
        let mut out = Vec::new();
        command(&mut out, &[b"HMGET", b"a:1", b"x"]);
        assert_eq!(out, b"*3\r\n$5\r\nHMGET\r\n$3\r\na:1\r\n$1\r\nx\r\n");
    }

    #[tokio::test]
    async fn replies_end_where_they_end_and_nulls_are_no_values() {
        let mut input: &[u8] = b"*3\r\n$1\r\nx\r\n$-1\r\n:7\r\n+OK\r\n*-1\r\n-ERR no\r\n";
        assert_eq!(reply(&mut input).await.expect("an array"), 2);
        assert_eq!(reply(&mut input).await.expect("a status"), 1);
        assert_eq!(reply(&mut input).await.expect("a null array"), 0);
        assert_eq!(reply(&mut input).await.expect_err("an error").to_string(), "ERR no");
        assert_eq!(reply(&mut input).await.expect_err("the end").kind(), io::ErrorKind::UnexpectedEof);
    }
}
