//! Files in the Arrow IPC streaming format.

use arrow::array::RecordBatch;
use bytes::Bytes;

use super::{ForeignFile, Typing};
use crate::{
    Error, Result,
    intake::ipc::{IpcDecoder, IpcLimits, MessageFrame, PREFIX, cut_short},
};

pub(super) fn open(file: &ForeignFile) -> Result<Typing> {
    let mut messages =
        Messages { file: file.clone(), offset: 0, decoder: IpcDecoder::new(IpcLimits::FILE), done: false };
    // The first message is the schema; the decoder refuses anything else.
    messages.step()?;
    let schema = messages.decoder.schema().cloned();
    let schema = schema.ok_or_else(|| Error::Format("the arrow stream has no schema".into()))?;
    Ok(Typing { schema, batches: Box::new(messages), total_rows: None })
}

struct Messages {
    file: ForeignFile,
    offset: u64,
    decoder: IpcDecoder,
    done: bool,
}

impl Messages {
    /// Takes the next message; sets `done` at the end mark.
    fn step(&mut self) -> Result<Option<RecordBatch>> {
        let limit = IpcLimits::FILE.bytes;
        let prefix: [u8; PREFIX] = self.take(PREFIX)?.as_ref().try_into().map_err(|_| cut_short())?;
        let MessageFrame::Header(length) = MessageFrame::parse(prefix, limit)? else {
            self.done = true;
            return match self.file.bytes() - self.offset {
                0 => Ok(None),
                more => Err(Error::Format(format!("{more} bytes follow the end of the arrow stream"))),
            };
        };
        let header = self.take(length)?;
        let body = self.take(MessageFrame::body_length(&header, limit)?)?;
        self.decoder.message(&header, body)
    }

    fn take(&mut self, length: usize) -> Result<Bytes> {
        let end = self.offset.checked_add(length as u64).filter(|end| *end <= self.file.bytes());
        let end = end.ok_or_else(cut_short)?;
        let bytes = self.file.read_at(self.offset, length)?;
        self.offset = end;
        self.file.set_bytes_read(end);
        Ok(bytes)
    }
}

impl Iterator for Messages {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.done {
            match self.step() {
                Ok(Some(batch)) => return Some(Ok(batch)),
                Ok(None) => {}
                Err(cause) => {
                    self.done = true;
                    return Some(Err(cause));
                }
            }
        }
        None
    }
}
