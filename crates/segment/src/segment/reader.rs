//! Reads a segment: its keys and times whole or for one key, its columns for the rows asked for.

use std::{
    ops::Range,
    sync::{Arc, OnceLock},
};

use arrow::{
    array::{
        Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, TimestampMicrosecondArray, UInt32Array,
        new_null_array,
    },
    compute::{concat_batches, take_record_batch},
    datatypes::{DataType as ArrowType, Field, FieldRef, Int64Type, Schema, SchemaRef},
};
use lineate_storage::blob::BlobStore;
use lineate_types::{EntityKey, TimestampUs};
use parquet::{
    arrow::{
        ProjectionMask,
        arrow_reader::{
            ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection,
        },
    },
    file::metadata::PageIndexPolicy,
};

use super::{
    SegmentCommit, SegmentInfo,
    checked_file::CheckedFile,
    layout::{CREATED_TIME_KEY, EVENT_TIME_KEY, FORMAT_KEY, SEGMENT_FORMAT_VERSION},
};
use crate::{
    Error, Result,
    decoded_bytes::{SAFE_ROWS, row_bytes, varying_bytes},
    key_index::KeyIndex,
    matcher::{Candidate, Cut, find},
    run::{CommitTimes, CreatedTimes, KeyRef, KeyTable, RowSource, RowTimes, RunKeys, batches::column_bytes},
    schema::{COMMIT_TIME_COLUMN, DELETED_COLUMN, ORDINAL_COLUMN},
};

/// An open segment: its footer and the directory of its key index are held, nothing else until
/// [`Self::hold_keys`].
pub struct Segment {
    info: SegmentInfo,
    file: CheckedFile,
    index: KeyIndex,
    metadata: ArrowReaderMetadata,
    /// The number of the first row of each row group, and the number of rows at the end.
    row_group_starts: Vec<u64>,
    event_time: Arc<Field>,
    created_time: Option<Arc<Field>>,
    held_keys: OnceLock<Arc<RunKeys>>,
}

/// Rows decoded at a time.
const READ_ROWS: usize = 65_536;
/// Bytes of one column of one batch: Arrow counts them in 32 bits.
const COLUMN_BYTES: usize = i32::MAX as usize;

impl Segment {
    /// Opens a segment of a manifest.
    ///
    /// # Errors
    /// Its load is not committed, a blob is missing or cannot be read, or the bytes are damaged or not those
    /// the manifest describes.
    pub fn open(blobs: &dyn BlobStore, info: &SegmentInfo) -> Result<Self> {
        if info.commit == SegmentCommit::Pending {
            return Err(Error::Invalid(format!("the load of segment {} is not committed", info.segment)));
        }
        let index = KeyIndex::open(blobs, &info.key_index)?;
        let blob = blobs.open(&info.segment)?;
        let length = blob.len();
        let file = CheckedFile::new(blob, info.segment, index.checksums().clone());
        if length != info.segment_bytes || length != index.segment_bytes() {
            let (expected, indexed) = (info.segment_bytes, index.segment_bytes());
            return Err(file.corrupt(format!(
                "it has {length} bytes; its manifest says {expected}, its key index {indexed}"
            )));
        }
        let options = ArrowReaderOptions::new()
            .with_offset_index_policy(PageIndexPolicy::Required)
            .with_column_index_policy(PageIndexPolicy::Skip);
        let reading = file.for_one_read();
        let metadata =
            ArrowReaderMetadata::load(&reading, options).map_err(|cause| reading.failure(&cause))?;
        let mut row_group_starts = vec![0];
        let mut rows = 0_u64;
        for row_group in metadata.metadata().row_groups() {
            rows = rows.saturating_add_signed(row_group.num_rows());
            row_group_starts.push(rows);
        }
        if rows != info.rows || rows != index.rows() || info.keys != index.keys() {
            return Err(file.corrupt(format!("it has {rows} rows; its manifest says {}", info.rows)));
        }
        let (event_time, created_time) = time_fields(&metadata).map_err(|why| file.corrupt(why))?;
        Ok(Self {
            info: info.clone(),
            file,
            index,
            metadata,
            row_group_starts,
            event_time,
            created_time,
            held_keys: OnceLock::new(),
        })
    }

    /// What the manifest says of it.
    pub fn info(&self) -> &SegmentInfo {
        &self.info
    }

    /// The columns of the file.
    pub fn stored_schema(&self) -> &SchemaRef {
        self.metadata.schema()
    }

    /// The latest row of a key that is visible at a time. Reads one block of the key index and, if the key is
    /// here, the pages that hold its times; nothing after [`Self::hold_keys`].
    ///
    /// # Errors
    /// The segment cannot be read or is damaged.
    pub fn find(&self, key: &EntityKey, at: TimestampUs, cut: &Cut) -> Result<Option<Candidate>> {
        let keys = self.keys_of([KeyRef::of(key)])?;
        Ok(find(&keys, key, at, cut))
    }

    /// The key part of the rows of some keys, given ascending and distinct, as those of a spine are: for many
    /// lookups at once, and for spines so small that the whole key part is not worth reading. Keys that are
    /// not here are left out; others may be there too.
    ///
    /// # Errors
    /// The keys do not ascend, or the segment cannot be read or is damaged.
    pub fn keys_of<'k>(&self, keys: impl IntoIterator<Item = KeyRef<'k>>) -> Result<Arc<RunKeys>> {
        if let Some(held) = self.held_keys.get() {
            return Ok(held.clone());
        }
        let found = self.index.find_all(keys)?;
        let mut table = KeyTable::with_capacity(found.len());
        let mut starts = Vec::with_capacity(found.len() + 1);
        let mut ranges = Vec::with_capacity(found.len());
        let mut total = 0_u32;
        for (key, rows) in found {
            table.push(key)?;
            starts.push(total);
            total = total.saturating_add(rows.count);
            ranges.push(rows.first..rows.first.saturating_add(rows.count));
        }
        starts.push(total);
        if !ranges.is_sorted_by(|a, b| a.end <= b.start) {
            return Err(self.file.corrupt("the rows of its keys overlap"));
        }
        let first_rows = ranges.iter().map(|range| range.start).collect();
        let keys = RunKeys::subset(table, starts, first_rows, self.times(&ranges)?);
        keys.map(Arc::new).map_err(|cause| self.file.corrupt(cause.to_string()))
    }

    /// Keys in order, a few blocks of the key index at a time ([`KeyIndex::keys_from`]).
    ///
    /// # Errors
    /// The key index cannot be read or is damaged.
    pub fn keys_from(&self, block: usize, enough: usize) -> Result<(Vec<EntityKey>, Option<usize>)> {
        self.index.keys_from(block, enough)
    }

    /// Keeps the whole key part in memory ([`RunKeys::memory_bytes`]) for as long as this value lives, so that
    /// finding reads nothing.
    ///
    /// # Errors
    /// The segment cannot be read or is damaged.
    pub fn hold_keys(&self) -> Result<Arc<RunKeys>> {
        let keys = self.keys()?;
        Ok(self.held_keys.get_or_init(|| keys).clone())
    }

    /// The times of some ranges of rows, which ascend.
    fn times(&self, ranges: &[Range<u32>]) -> Result<RowTimes> {
        let mut fields = vec![self.event_time.clone()];
        fields.extend(self.created_time.clone());
        fields.push(Arc::new(Field::new(DELETED_COLUMN, ArrowType::Boolean, false)));
        fields.push(Arc::new(Field::new(ORDINAL_COLUMN, ArrowType::Int64, false)));
        let stamped = match self.info.commit {
            SegmentCommit::Column(_) => None,
            SegmentCommit::At(time) => Some(CommitTimes::Constant(time)),
            SegmentCommit::Pending => Some(CommitTimes::Constant(TimestampUs::MAX)),
        };
        if stamped.is_none() {
            let data_type = self.event_time.data_type().clone();
            fields.push(Arc::new(Field::new(COMMIT_TIME_COLUMN, data_type, false)));
        }
        let batch = self.read(ranges, &Arc::new(Schema::new(fields)))?;
        let missing = |name: &str| self.file.corrupt(format!("column `{name}` is of another type"));
        let times = |name: &str| -> Result<&TimestampMicrosecondArray> {
            let column = batch.column_by_name(name).and_then(|column| column.as_primitive_opt());
            column.ok_or_else(|| missing(name))
        };
        let created = self.created_time.as_ref().map(|field| times(field.name())).transpose()?;
        let created = created.filter(|created| created.null_count() < created.len());
        let deleted = batch.column_by_name(DELETED_COLUMN).and_then(|column| column.as_boolean_opt());
        let deleted = deleted.ok_or_else(|| missing(DELETED_COLUMN))?;
        let ordinal =
            batch.column_by_name(ORDINAL_COLUMN).and_then(|column| column.as_primitive_opt::<Int64Type>());
        Ok(RowTimes {
            event: times(self.event_time.name())?.values().clone(),
            created: created.map(|created| CreatedTimes {
                values: created.values().clone(),
                nulls: created.nulls().filter(|nulls| nulls.null_count() > 0).cloned(),
            }),
            commit: match stamped {
                Some(commit) => commit,
                None => CommitTimes::Column(times(COMMIT_TIME_COLUMN)?.values().clone()),
            },
            ordinal: ordinal.ok_or_else(|| missing(ORDINAL_COLUMN))?.values().clone(),
            deleted: (deleted.true_count() > 0).then(|| deleted.values().clone()),
        })
    }

    /// The columns of `schema` of some ranges of rows, which ascend and are not empty.
    fn read(&self, ranges: &[Range<u32>], schema: &SchemaRef) -> Result<RecordBatch> {
        let rows: usize = ranges.iter().map(|range| range.len()).sum();
        let stored = self.decode(ranges, schema)?;
        let columns = schema.fields().iter().map(|field| self.column(field, &stored, rows));
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let columns = columns.collect::<Result<Vec<_>>>()?;
        Ok(RecordBatch::try_new_with_options(schema.clone(), columns, &options)?)
    }

    /// A column of `rows` rows: as decoded, from the manifest, or null where the file was written without it.
    fn column(&self, field: &Field, stored: &RecordBatch, rows: usize) -> Result<ArrayRef> {
        if let Some(column) = stored.column_by_name(field.name()) {
            return match column.data_type() == field.data_type() {
                true => Ok(column.clone()),
                false => Err(Error::Invalid(format!(
                    "column `{}` is stored as {}; asked for as {}",
                    field.name(),
                    column.data_type(),
                    field.data_type()
                ))),
            };
        }
        match self.info.commit {
            SegmentCommit::At(time) if field.name() == COMMIT_TIME_COLUMN => {
                Ok(Arc::new(TimestampMicrosecondArray::from_value(time.0, rows).with_timezone("UTC")))
            }
            _ if field.is_nullable() => Ok(new_null_array(field.data_type(), rows)),
            _ => Err(Error::Invalid(format!("column `{}` is not in these rows", field.name()))),
        }
    }

    /// Those of the columns of `schema` that the file has, in the file's order; only their pages that hold a
    /// row of the ranges are read.
    fn decode(&self, ranges: &[Range<u32>], schema: &SchemaRef) -> Result<RecordBatch> {
        let wanted = |(_, field): &(usize, &Arc<Field>)| schema.column_with_name(field.name()).is_some();
        let (roots, fields): (Vec<usize>, Vec<Arc<Field>>) = self
            .stored_schema()
            .fields()
            .iter()
            .enumerate()
            .filter(wanted)
            .map(|(position, field)| (position, field.clone()))
            .unzip();
        let decoded = Arc::new(Schema::new(fields));
        if roots.is_empty() || ranges.is_empty() {
            return Ok(RecordBatch::new_empty(decoded));
        }
        let (row_groups, selection) = self.select(ranges);
        let rows: usize = ranges.iter().map(|range| range.len()).sum();
        let reading = self.file.for_one_read();
        // Where the rows could be too many for the offsets of one batch, a few are decoded at a time.
        let varying = varying_bytes(self.metadata.metadata(), &row_groups, |root| roots.contains(&root));
        let rows_at_once = if varying <= COLUMN_BYTES as u64 { READ_ROWS } else { SAFE_ROWS };
        let projection = ProjectionMask::roots(self.metadata.parquet_schema(), roots);
        let reader =
            ParquetRecordBatchReaderBuilder::new_with_metadata(reading.clone(), self.metadata.clone())
                .with_projection(projection)
                .with_row_groups(row_groups)
                .with_row_selection(selection)
                .with_batch_size(rows.clamp(1, rows_at_once))
                .build()
                .map_err(|cause| reading.failure(&cause))?;
        let mut batches = Vec::new();
        let mut column_bytes = vec![0; decoded.fields().len()];
        for batch in reader {
            let batch = batch.map_err(|cause| reading.failure(&cause))?;
            check_column_bytes(&mut column_bytes, &batch)?;
            batches.push(batch);
        }
        let batch = match batches.as_slice() {
            [batch] => batch.clone(),
            batches => concat_batches(&decoded, batches)?,
        };
        if batch.num_rows() != rows {
            return Err(self.file.corrupt(format!("{} rows were decoded of {rows}", batch.num_rows())));
        }
        Ok(batch)
    }

    /// The row groups that hold a row of the ranges, and the ranges as a selection of their rows.
    fn select(&self, ranges: &[Range<u32>]) -> (Vec<usize>, RowSelection) {
        let mut row_groups = Vec::new();
        let mut selected: Vec<Range<usize>> = Vec::new();
        let mut rows_before = 0_u64;
        let mut ranges = ranges.iter().map(|range| u64::from(range.start)..u64::from(range.end)).peekable();
        for (row_group, bounds) in self.row_group_starts.array_windows().enumerate() {
            let [start, end] = *bounds;
            let mut is_touched = false;
            while let Some(range) = ranges.peek().filter(|range| range.start < end) {
                is_touched = true;
                let here = range.start.max(start)..range.end.min(end);
                let place = |row: u64| (row - start + rows_before) as usize;
                selected.push(place(here.start)..place(here.end));
                if range.end > end {
                    break;
                }
                ranges.next();
            }
            if is_touched {
                row_groups.push(row_group);
                rows_before += end - start;
            }
        }
        let selection = RowSelection::from_consecutive_ranges(selected.into_iter(), rows_before as usize);
        (row_groups, selection)
    }
}

impl RowSource for Segment {
    fn keys(&self) -> Result<Arc<RunKeys>> {
        if let Some(held) = self.held_keys.get() {
            return Ok(held.clone());
        }
        let (keys, starts) = self.index.load()?;
        // The key index counts rows in 32 bits, and as many as the manifest.
        let every_row = 0..self.info.rows as u32;
        let times = self.times(std::slice::from_ref(&every_row))?;
        let keys = RunKeys::new(keys, starts, times);
        keys.map(Arc::new).map_err(|cause| self.file.corrupt(cause.to_string()))
    }

    fn columns(&self) -> Vec<FieldRef> {
        self.stored_schema().fields().iter().cloned().collect()
    }

    fn row_bytes(&self, schema: &SchemaRef) -> usize {
        let fields = self.stored_schema().fields();
        let is_wanted = |root: usize| {
            fields.get(root).is_some_and(|field| schema.column_with_name(field.name()).is_some())
        };
        usize::try_from(row_bytes(self.metadata.metadata(), is_wanted)).unwrap_or(usize::MAX)
    }

    fn gather(&self, rows: &[u32], schema: &SchemaRef) -> Result<RecordBatch> {
        if let Some(row) = rows.last().filter(|row| u64::from(**row) >= self.info.rows) {
            return Err(Error::Invalid(format!("there is no row {row} in a segment of {}", self.info.rows)));
        }
        let mut ranges: Vec<Range<u32>> = Vec::new();
        // For each row asked for, its place among the distinct ones.
        let mut places = Vec::with_capacity(rows.len());
        let mut distinct = 0_u32;
        for row in rows {
            match ranges.last_mut() {
                Some(last) if *row + 1 == last.end => {}
                Some(last) if *row + 1 < last.end => {
                    return Err(Error::Invalid("the rows to gather from a segment never descend".to_owned()));
                }
                Some(last) if *row == last.end => {
                    last.end += 1;
                    distinct += 1;
                }
                _ => {
                    ranges.push(*row..*row + 1);
                    distinct += 1;
                }
            }
            places.push(distinct - 1);
        }
        let batch = self.read(&ranges, schema)?;
        match distinct as usize == rows.len() {
            true => Ok(batch),
            false => Ok(take_record_batch(&batch, &UInt32Array::from(places))?),
        }
    }
}

/// Adds the bytes of each column of a batch to those of the batches before, which it will be joined with.
///
/// # Errors
/// They are too many for one column.
fn check_column_bytes(before: &mut [usize], batch: &RecordBatch) -> Result<()> {
    for (bytes, column) in before.iter_mut().zip(batch.columns()) {
        *bytes += column_bytes(column);
        if *bytes > COLUMN_BYTES {
            let (actual, limit) = (*bytes as u64, COLUMN_BYTES as u64);
            return Err(Error::TooMuch { what: "bytes of a column of rows read together", actual, limit });
        }
    }
    Ok(())
}

/// The fields of the event time and the created time, as the metadata of the file names them.
fn time_fields(metadata: &ArrowReaderMetadata) -> Result<(Arc<Field>, Option<Arc<Field>>), String> {
    let pairs = metadata.metadata().file_metadata().key_value_metadata();
    let value_of = |key: &str| {
        let pair = pairs.and_then(|pairs| pairs.iter().find(|pair| pair.key == key));
        pair.and_then(|pair| pair.value.as_deref())
    };
    match value_of(FORMAT_KEY) {
        Some(SEGMENT_FORMAT_VERSION) => {}
        Some(other) => {
            return Err(format!("it has format version {other}; this build reads {SEGMENT_FORMAT_VERSION}"));
        }
        None => return Err(format!("its metadata has no `{FORMAT_KEY}`")),
    }
    let field_of = |name: &str| {
        let field = metadata.schema().fields().iter().find(|field| field.name() == name);
        let is_time = |field: &&Arc<Field>| {
            matches!(field.data_type(), ArrowType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, _))
        };
        field.filter(is_time).cloned().ok_or_else(|| format!("its column `{name}` is no time"))
    };
    let event_time =
        value_of(EVENT_TIME_KEY).ok_or_else(|| format!("its metadata has no `{EVENT_TIME_KEY}`"))?;
    Ok((field_of(event_time)?, value_of(CREATED_TIME_KEY).map(field_of).transpose()?))
}
