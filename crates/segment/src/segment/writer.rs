//! Writes sorted rows as a segment: the same rows give the same bytes, however they are cut into batches.

use std::io::{self, Write};

use arrow::{
    array::{AsArray, RecordBatch, TimestampMicrosecondArray},
    compute::{concat_batches, max, min},
    datatypes::{FieldRef, SchemaRef, TimestampMicrosecondType},
};
use lineate_storage::blob::{BlobStore, BlobWriter};
use lineate_types::{Bucket, HistoryId, TimestampUs, limits};
use parquet::{arrow::ArrowWriter, errors::ParquetError, file::metadata::KeyValue};

use super::{
    SegmentCommit, SegmentInfo, TimeRange,
    layout::{
        BUCKETS_KEY, COMMIT_KEY, CREATED_TIME_KEY, EVENT_TIME_KEY, EVENT_TIMES_KEY, FORMAT_KEY, HISTORY_KEY,
        KEYS_KEY, ROWS_KEY, SEGMENT_FORMAT_VERSION, properties,
    },
};
use crate::{
    Error, Result,
    error::write_error,
    key_index::{KeyIndexWriter, SegmentChecksums},
    logical_hash::TableHasher,
    run::{KeyRef, RowSource, SortedRun},
    schema::{COMMIT_TIME_COLUMN, ORDINAL_COLUMN, ViewSchema},
};

/// Where readers of a segment find the commit times of its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitSource {
    /// In a column of the file.
    Column,
    /// In the manifest: the rows are a bulk load that is not committed yet.
    Manifest,
}

/// Takes rows in run order and leaves two blobs. Holds one row group in memory.
pub struct SegmentWriter {
    schema: ViewSchema,
    stored: SchemaRef,
    commit: CommitSource,
    history: HistoryId,
    parquet: ArrowWriter<ChecksummedBlob>,
    index: KeyIndexWriter,
    hasher: TableHasher,
    /// Rows not yet handed to `parquet`, fewer than a page.
    rest: Option<RecordBatch>,
    seen: Seen,
}

/// What was seen of the rows so far.
#[derive(Debug, Default)]
struct Seen {
    rows: u64,
    tombstones: u64,
    buckets: Option<(Bucket, Bucket)>,
    event_times: Option<TimeRange>,
    created_times: Option<TimeRange>,
    commit_times: Option<TimeRange>,
}

impl SegmentWriter {
    /// Begins a segment of rows of this version of a view, the newest of its history.
    ///
    /// # Errors
    /// The blobs cannot be written.
    pub fn new(
        blobs: &dyn BlobStore,
        history: HistoryId,
        schema: ViewSchema,
        commit: CommitSource,
    ) -> Result<Self> {
        let stored = schema.stored(commit == CommitSource::Column);
        let sink = ChecksummedBlob { blob: Some(blobs.writer()?), checksums: SegmentChecksums::default() };
        let parquet = ArrowWriter::try_new(sink, stored.clone(), Some(properties(&schema, &stored)));
        Ok(Self {
            commit,
            history,
            parquet: parquet.map_err(parquet_error)?,
            index: KeyIndexWriter::new(blobs)?,
            hasher: TableHasher::new(&stored)?,
            rest: None,
            seen: Seen::default(),
            schema,
            stored,
        })
    }

    /// The columns of the batches to push: the canonical ones, then the commit time if the file keeps it, then
    /// the ordinal.
    pub fn stored_schema(&self) -> &SchemaRef {
        &self.stored
    }

    /// Checks that the segment has a place for every column of a run, so that none is lost.
    ///
    /// # Errors
    /// The run has rows of a newer version of the view than this segment is written as.
    pub fn check_columns(&self, run: &dyn RowSource) -> Result<()> {
        let is_lost = |column: &FieldRef| {
            let is_reserved = [COMMIT_TIME_COLUMN, ORDINAL_COLUMN].contains(&column.name().as_str());
            !is_reserved && self.stored.column_with_name(column.name()).is_none()
        };
        match run.columns().iter().find(|column| is_lost(column)) {
            None => Ok(()),
            Some(column) => Err(Error::Invalid(format!(
                "column `{}` would be lost; write the rows as the newest version of the view",
                column.name()
            ))),
        }
    }

    /// Adds the next rows in run order; `keys` says how many of them, in turn, are of which key.
    ///
    /// # Errors
    /// The batch has other columns, the keys descend or count other rows, or the blobs cannot be written.
    pub fn push<'k>(
        &mut self,
        keys: impl IntoIterator<Item = (KeyRef<'k>, u32)>,
        batch: &RecordBatch,
    ) -> Result<()> {
        if batch.schema_ref().fields() != self.stored.fields() {
            return Err(Error::Invalid("rows to write have other columns than the segment".to_owned()));
        }
        let rows_before = self.index.rows();
        for (key, rows) in keys {
            self.index.push(key, rows)?;
            let first = self.seen.buckets.map_or(key.bucket, |(first, _)| first);
            self.seen.buckets = Some((first, key.bucket));
        }
        let counted = self.index.rows() - rows_before;
        if counted as usize != batch.num_rows() {
            let rows = batch.num_rows();
            return Err(Error::Invalid(format!(
                "{rows} rows to write have keys for {counted}; expected as many"
            )));
        }
        self.observe(batch)?;
        self.hasher.update(batch)?;
        self.write_whole_pages(batch)
    }

    /// Ends the segment.
    ///
    /// # Errors
    /// There were no rows, or the blobs cannot be written.
    pub fn finish(mut self) -> Result<SegmentInfo> {
        let empty = || Error::Invalid("a segment has at least one row".to_owned());
        let (first_bucket, last_bucket) = self.seen.buckets.ok_or_else(empty)?;
        let event_times = self.seen.event_times.ok_or_else(empty)?;
        let commit = match self.commit {
            CommitSource::Manifest => SegmentCommit::Pending,
            CommitSource::Column => SegmentCommit::Column(self.seen.commit_times.ok_or_else(empty)?),
        };
        if let Some(rest) = self.rest.take() {
            self.parquet.write(&rest).map_err(parquet_error)?;
        }
        for (key, value) in self.metadata((first_bucket, last_bucket), event_times) {
            self.parquet.append_key_value_metadata(KeyValue::new(key.to_owned(), value));
        }
        // Not by `into_inner`: that makes a text of why the last bytes cannot be written.
        self.parquet.finish().map_err(parquet_error)?;
        let sink = self.parquet.inner_mut();
        let checksums = std::mem::take(&mut sink.checksums);
        let blob = sink.blob.take().ok_or_else(|| write_error(ended()))?;
        let segment = blob.finish()?;
        let keys = self.index.keys();
        let key_index = self.index.finish(checksums)?;
        Ok(SegmentInfo {
            segment: segment.hash,
            segment_bytes: segment.bytes,
            key_index: key_index.hash,
            key_index_bytes: key_index.bytes,
            logical: self.hasher.finish(),
            history: self.history,
            rows: self.seen.rows,
            keys,
            tombstones: self.seen.tombstones,
            first_bucket,
            last_bucket,
            event_times,
            created_times: self.seen.created_times,
            commit,
        })
    }

    fn metadata(&self, buckets: (Bucket, Bucket), event_times: TimeRange) -> Vec<(&'static str, String)> {
        let from = match self.commit {
            CommitSource::Column => "column",
            CommitSource::Manifest => "manifest",
        };
        let fields = self.stored.fields();
        let name_of = |position: usize| fields.get(position).map(|field| field.name().clone());
        let keys: Vec<String> = self.schema.key_columns().filter_map(name_of).collect();
        let mut metadata = vec![
            (FORMAT_KEY, SEGMENT_FORMAT_VERSION.to_owned()),
            (HISTORY_KEY, self.history.to_string()),
            (BUCKETS_KEY, format!("{}-{}", buckets.0, buckets.1)),
            (ROWS_KEY, self.seen.rows.to_string()),
            (COMMIT_KEY, from.to_owned()),
            (KEYS_KEY, keys.join(",")),
            (EVENT_TIMES_KEY, format!("{}..{}", event_times.min.0, event_times.max.0)),
        ];
        metadata.extend(name_of(self.schema.event_time()).map(|name| (EVENT_TIME_KEY, name)));
        let created_time = self.schema.created_time().and_then(name_of);
        metadata.extend(created_time.map(|name| (CREATED_TIME_KEY, name)));
        metadata
    }

    fn observe(&mut self, batch: &RecordBatch) -> Result<()> {
        let seen = &mut self.seen;
        let columns = batch.columns();
        let times = |position: usize| {
            let column = columns.get(position).and_then(|column| column.as_primitive_opt());
            column.ok_or_else(|| Error::Invalid(format!("column {position} is no time")))
        };
        seen.rows += batch.num_rows() as u64;
        widen(&mut seen.event_times, times(self.schema.event_time())?);
        if let Some(position) = self.schema.created_time() {
            widen(&mut seen.created_times, times(position)?);
        }
        if self.commit == CommitSource::Column {
            widen(&mut seen.commit_times, times(self.schema.deleted() + 1)?);
        }
        let deleted = columns.get(self.schema.deleted()).and_then(|column| column.as_boolean_opt());
        seen.tombstones += deleted.map_or(0, |deleted| deleted.true_count() as u64);
        Ok(())
    }

    /// Hands whole pages of rows to the Parquet writer, which cuts pages and row groups where batches end.
    fn write_whole_pages(&mut self, batch: &RecordBatch) -> Result<()> {
        let mut offset = 0;
        if let Some(rest) = self.rest.take() {
            offset = batch.num_rows().min(limits::SEGMENT_PAGE_ROWS.saturating_sub(rest.num_rows()));
            let page = concat_batches(&self.stored, [&rest, &batch.slice(0, offset)])?;
            self.write_or_keep(page)?;
        }
        while offset < batch.num_rows() {
            let rows = limits::SEGMENT_PAGE_ROWS.min(batch.num_rows() - offset);
            self.write_or_keep(batch.slice(offset, rows))?;
            offset += rows;
        }
        Ok(())
    }

    fn write_or_keep(&mut self, rows: RecordBatch) -> Result<()> {
        if rows.num_rows() < limits::SEGMENT_PAGE_ROWS {
            self.rest = Some(rows);
            return Ok(());
        }
        self.parquet.write(&rows).map_err(parquet_error)
    }
}

/// Rows gathered at a time while a sorted run is written, at most.
const WRITE_ROWS: usize = limits::SEGMENT_PAGE_ROWS * 4;
/// Bytes of the rows gathered at a time, roughly.
const WRITE_BYTES: usize = 32 * 1024 * 1024;

/// Writes a whole sorted run as a segment.
///
/// # Errors
/// The run is empty, its rows do not fit the schema, or the blobs cannot be written.
pub fn write_run(
    blobs: &dyn BlobStore,
    history: HistoryId,
    schema: ViewSchema,
    run: &SortedRun,
    commit: CommitSource,
) -> Result<SegmentInfo> {
    let mut writer = SegmentWriter::new(blobs, history, schema, commit)?;
    writer.check_columns(run)?;
    let stored = writer.stored_schema().clone();
    let keys = run.run_keys();
    let mut position = 0;
    let rows_at_once = (WRITE_BYTES / run.row_bytes(&stored).max(1)).clamp(1, WRITE_ROWS);
    for start in (0..run.rows()).step_by(rows_at_once) {
        let end = (start + rows_at_once).min(run.rows());
        let rows: Vec<u32> = (start as u32..end as u32).collect();
        let mut key_rows = Vec::new();
        while let Some(key) = keys.keys().get(position) {
            let of_key = keys.rows_of(position);
            let here = of_key.start.max(start)..of_key.end.min(end);
            key_rows.push((key, here.len() as u32));
            if of_key.end > end {
                break;
            }
            position += 1;
            if of_key.end == end {
                break;
            }
        }
        writer.push(key_rows, &run.gather(&rows, &stored)?)?;
    }
    writer.finish()
}

fn widen(range: &mut Option<TimeRange>, times: &TimestampMicrosecondArray) {
    for time in [min::<TimestampMicrosecondType>(times), max::<TimestampMicrosecondType>(times)] {
        *range = time.map(|time| TimeRange::with(*range, TimestampUs(time))).or(*range);
    }
}

/// A blob being written, and the checksums of what went into it.
struct ChecksummedBlob {
    /// Taken when the segment ends.
    blob: Option<Box<dyn BlobWriter>>,
    checksums: SegmentChecksums,
}

fn ended() -> io::Error {
    io::Error::other("the segment is ended")
}

impl Write for ChecksummedBlob {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.blob.as_mut().ok_or_else(ended)?.write(bytes)?;
        self.checksums.update(bytes.get(..written).unwrap_or_default());
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.blob.as_mut().ok_or_else(ended)?.flush()
    }
}

fn parquet_error(cause: ParquetError) -> Error {
    match cause {
        ParquetError::External(cause) => match cause.downcast::<io::Error>() {
            Ok(cause) => write_error(*cause),
            Err(cause) => Error::Invalid(format!("rows cannot be written: {cause}")),
        },
        cause => Error::Invalid(format!("rows cannot be written: {cause}")),
    }
}
