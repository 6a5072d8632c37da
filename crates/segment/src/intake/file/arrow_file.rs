//! Files in the Arrow IPC file format: messages found through the footer.

use std::vec;

use arrow::{
    array::RecordBatch,
    ipc::{Block, root_as_footer},
};

use super::{ForeignFile, Typing};
use crate::{
    Error, Result,
    intake::ipc::{IpcDecoder, IpcLimits, MessageFrame, PREFIX},
};

const MAGIC: &[u8] = b"ARROW1";
/// The length of the footer and the magic.
const TAIL: usize = 4 + MAGIC.len();

pub(super) fn open(file: &ForeignFile) -> Result<Typing> {
    let footer = footer(file)?;
    let footer = root_as_footer(&footer).map_err(|cause| damaged(cause.to_string()))?;
    let mut decoder = IpcDecoder::new(IpcLimits::FILE);
    decoder.take_schema(footer.schema().ok_or_else(|| damaged("its footer has no schema"))?)?;
    for block in footer.dictionaries().into_iter().flatten() {
        read(file, &mut decoder, Place::of(block)?)?;
    }
    let places = footer.recordBatches().into_iter().flatten().map(Place::of);
    let places = places.collect::<Result<Vec<_>>>()?.into_iter();
    let schema = decoder.schema().cloned().ok_or_else(|| damaged("its footer has no schema"))?;
    let batches = Box::new(Batches { file: file.clone(), decoder, places });
    Ok(Typing { schema, batches, total_rows: None })
}

fn damaged(why: impl Into<String>) -> Error {
    Error::Format(format!("the arrow file is damaged: {}", why.into()))
}

fn footer(file: &ForeignFile) -> Result<bytes::Bytes> {
    let cut_short = || Error::Format("the arrow file is cut short".into());
    let tail_at = file.bytes().checked_sub(TAIL as u64).ok_or_else(cut_short)?;
    let tail = file.read_at(tail_at, TAIL)?;
    let (length, magic) = tail.split_first_chunk::<4>().ok_or_else(cut_short)?;
    if magic != MAGIC {
        return Err(cut_short());
    }
    let length = u32::from_le_bytes(*length);
    let at = tail_at.checked_sub(u64::from(length)).ok_or_else(|| damaged("its footer is too long"))?;
    file.read_at(at, usize::try_from(length).unwrap_or(usize::MAX))
}

/// Where a message stands in the file.
#[derive(Debug, Clone, Copy)]
struct Place {
    offset: u64,
    /// Bytes of the marker, the length and the flatbuffer.
    header: usize,
    body: usize,
}

impl Place {
    fn of(block: &Block) -> Result<Self> {
        let limit = IpcLimits::FILE.bytes;
        let bounded = |length: i64| usize::try_from(length).ok().filter(|length| *length <= limit);
        let place = u64::try_from(block.offset())
            .ok()
            .zip(bounded(i64::from(block.metaDataLength())).zip(bounded(block.bodyLength())));
        let (offset, (header, body)) =
            place.ok_or_else(|| damaged("its footer places a message out of bounds"))?;
        Ok(Self { offset, header, body })
    }
}

fn read(file: &ForeignFile, decoder: &mut IpcDecoder, place: Place) -> Result<Option<RecordBatch>> {
    let header = file.read_at(place.offset, place.header)?;
    let (prefix, header) =
        header.split_first_chunk::<PREFIX>().ok_or_else(|| damaged("a message is too short"))?;
    match MessageFrame::parse(*prefix, place.header)? {
        MessageFrame::Header(length) if length <= header.len() => {}
        _ => return Err(damaged("a message is longer than its place")),
    }
    if MessageFrame::body_length(header, IpcLimits::FILE.bytes)? > place.body {
        return Err(damaged("a message is longer than its place"));
    }
    let body_at = place.offset.checked_add(place.header as u64);
    let body_at = body_at.ok_or_else(|| damaged("its footer places a message out of bounds"))?;
    decoder.message(header, file.read_at(body_at, place.body)?)
}

struct Batches {
    file: ForeignFile,
    decoder: IpcDecoder,
    places: vec::IntoIter<Place>,
}

impl Iterator for Batches {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let place = self.places.next()?;
        self.file.set_bytes_read(place.offset.saturating_add((place.header + place.body) as u64));
        match read(&self.file, &mut self.decoder, place) {
            Ok(Some(batch)) => Some(Ok(batch)),
            Ok(None) => Some(Err(damaged("its footer takes another message for a batch"))),
            Err(cause) => Some(Err(cause)),
        }
    }
}
