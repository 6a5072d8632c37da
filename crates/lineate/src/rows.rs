//! NDJSON from a file or a pipe, cut into batches at line ends, bounded in rows and bytes.

use std::{io, time::Duration};

use bytes::{Bytes, BytesMut};
use futures::{Stream, stream};
use lineate_client::{Rows, RowsPayload};
use lineate_types::limits;
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    time::timeout,
};

/// Bytes after which a batch is sent.
const BATCH_BYTES: usize = 512 * 1024;
/// Lines of one batch.
const BATCH_LINES: usize = 8_192;
/// How long rows of a slow pipe wait for more before they are sent.
const LINGER: Duration = Duration::from_millis(20);

const _: () = assert!(BATCH_LINES <= limits::BATCH_ROWS, "a batch is within the node's bound");
const _: () = assert!(BATCH_BYTES + limits::ROW_BYTES < limits::COMMAND_BYTES, "a batch fits a command");

struct Cutter<Reader> {
    reader: Reader,
    buffer: BytesMut,
    /// The number of the first line in the buffer, from 1.
    line: u64,
    ended: bool,
}

/// The batches of an NDJSON stream.
pub(crate) fn batches(reader: impl AsyncRead + Unpin) -> impl Stream<Item = io::Result<Rows>> {
    let start = Cutter { reader, buffer: BytesMut::new(), line: 1, ended: false };
    stream::try_unfold(start, |mut cutter| async move { Ok(cutter.next().await?.map(|rows| (rows, cutter))) })
}

impl<Reader: AsyncRead + Unpin> Cutter<Reader> {
    async fn next(&mut self) -> io::Result<Option<Rows>> {
        loop {
            let end = self.batch_end();
            let full = end.is_some() && (self.buffer.len() >= BATCH_BYTES || self.lines() >= BATCH_LINES);
            if full || self.ended {
                return Ok(self.cut(end.unwrap_or(self.buffer.len())));
            }
            if end.is_none() && self.buffer.len() > limits::ROW_BYTES {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!(
                        "line {} is longer than {} bytes, the most a row may take",
                        self.line,
                        limits::ROW_BYTES
                    ),
                ));
            }
            self.buffer.reserve(64 * 1024);
            let read = self.reader.read_buf(&mut self.buffer);
            let count = match end {
                // Whole lines are waiting: they wait for more only a moment.
                Some(end) => match timeout(LINGER, read).await {
                    Ok(count) => count?,
                    Err(_) => return Ok(self.cut(end)),
                },
                None => read.await?,
            };
            self.ended = count == 0;
        }
    }

    /// Where the batch in the buffer may end: behind its last line end, or behind the line that fills it.
    fn batch_end(&self) -> Option<usize> {
        let mut ends = self.line_ends();
        match ends.nth(BATCH_LINES - 1) {
            Some(end) => Some(end),
            None => self.buffer.iter().rposition(|byte| *byte == b'\n').map(|position| position + 1),
        }
    }

    fn lines(&self) -> usize {
        self.line_ends().count()
    }

    fn line_ends(&self) -> impl Iterator<Item = usize> {
        self.buffer.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(position, _)| position + 1)
    }

    fn cut(&mut self, end: usize) -> Option<Rows> {
        let batch: Bytes = self.buffer.split_to(end).freeze();
        if batch.is_empty() {
            return None;
        }
        let first_row = self.line;
        self.line += batch.iter().filter(|byte| **byte == b'\n').count() as u64;
        Some(Rows { payload: RowsPayload::Ndjson(batch), first_row })
    }
}

/// The number of the last line of a batch of this module, from 1.
pub(crate) fn last_line(batch: &Rows) -> u64 {
    let (RowsPayload::Ndjson(text) | RowsPayload::ArrowIpc(text)) = &batch.payload;
    let ends = text.iter().filter(|byte| **byte == b'\n').count() as u64;
    let unended = u64::from(text.last().is_some_and(|byte| *byte != b'\n'));
    (batch.first_row + ends + unended).saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt;
    use proptest::prelude::*;
    use tokio::io::AsyncWriteExt;

    use super::*;

    fn collect(text: &[u8]) -> io::Result<Vec<(u64, Vec<u8>)>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let batches: Vec<Rows> = runtime.block_on(batches(text).try_collect())?;
        Ok(batches
            .into_iter()
            .map(|rows| match rows.payload {
                RowsPayload::Ndjson(bytes) | RowsPayload::ArrowIpc(bytes) => (rows.first_row, bytes.to_vec()),
            })
            .collect())
    }

    fn lines(bytes: &[u8]) -> usize {
        bytes.iter().filter(|byte| **byte == b'\n').count()
    }

    #[test]
    fn a_large_file_is_cut_at_line_ends_and_nothing_is_lost() {
        let text: Vec<u8> =
            (0..100_000).flat_map(|number| format!("{{\"number\":{number}}}\n").into_bytes()).collect();
        let batches = collect(&text).expect("reads");
        assert!(batches.len() > 10);
        let mut line = 1;
        for (first_row, bytes) in &batches {
            assert_eq!(*first_row, line);
            assert_eq!(bytes.last(), Some(&b'\n'));
            let payload = RowsPayload::Ndjson(bytes.clone().into());
            assert_eq!(last_line(&Rows { payload, first_row: line }), line + lines(bytes) as u64 - 1);
            assert!(lines(bytes) <= BATCH_LINES && bytes.len() <= BATCH_BYTES + 64 * 1024);
            line += lines(bytes) as u64;
        }
        assert_eq!(batches.into_iter().flat_map(|(_, bytes)| bytes).collect::<Vec<_>>(), text);
    }

    #[test]
    fn the_last_line_of_a_batch_counts_without_its_end_too() {
        let last =
            |text: &'static str| last_line(&Rows { payload: RowsPayload::Ndjson(text.into()), first_row: 5 });
        assert_eq!((last("{}\n"), last("{}\n{}"), last("\n\n{}\n")), (5, 6, 7));
    }

    #[test]
    fn a_line_too_long_is_refused_by_its_number() {
        let mut text = b"{}\n".to_vec();
        text.extend(std::iter::repeat_n(b'x', limits::ROW_BYTES + 200_000));
        let error = collect(&text).expect_err("too long").to_string();
        assert!(error.starts_with("line 2 "), "{error}");
    }

    #[tokio::test]
    async fn rows_of_a_slow_pipe_are_sent_without_waiting_for_its_end() {
        let (mut pipe, reader) = tokio::io::duplex(1024);
        let mut batches = std::pin::pin!(batches(reader));
        pipe.write_all(b"{\"a\":1}\n{\"a\":").await.expect("writes");
        let first = batches.try_next().await.expect("reads").expect("a batch");
        assert!(matches!(&first.payload, RowsPayload::Ndjson(bytes) if bytes == "{\"a\":1}\n"));
        pipe.write_all(b"2}").await.expect("writes");
        drop(pipe);
        let second = batches.try_next().await.expect("reads").expect("a batch");
        assert_eq!(second.first_row, 2);
        assert!(matches!(&second.payload, RowsPayload::Ndjson(bytes) if bytes == "{\"a\":2}"));
        assert!(batches.try_next().await.expect("reads").is_none());
    }

    proptest! {
        #[test]
        fn any_text_comes_through_byte_by_byte(text in "[a\n]{0,200}") {
            let batches = collect(text.as_bytes()).expect("reads");
            let joined: Vec<u8> = batches.into_iter().flat_map(|(_, bytes)| bytes).collect();
            prop_assert_eq!(joined, text.into_bytes());
        }
    }
}
