//! The rows of a training set, one window of the spine after the other, so that memory is bounded by a window and
//! not by the set.
//!
//! A window is joined on its own: what a row gets depends on its key and time alone. Each window reads
//! segments again, so a window is large; but no larger than memory is set aside for. How long the rows of a
//! window are is estimated; where they turn out longer, the window is halved. Its rows are put together a batch at a
//! time, since one long row may be the answer of many labels.

use std::sync::Arc;

use arrow::{
    array::{RecordBatch, RecordBatchOptions},
    datatypes::{Schema, SchemaRef},
};
use lineate_segment::run::batch_bytes;
use lineate_state::meta::SpineDraft;
use lineate_types::limits;
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;

use crate::{
    Result,
    create::Worker,
    files::{TableReader, read_table},
    join::{Found, Join, Joined, feature_bytes},
    threads::{Taker, Taking, feed},
};

/// A stored spine about to be joined.
pub(crate) struct Assembly<'a> {
    worker: &'a Worker,
    time: usize,
    batches: ParquetRecordBatchReader,
    /// Rows of a window, at most.
    window_rows: usize,
    /// The spine's columns, then the features.
    output: SchemaRef,
    rows: u64,
}

impl<'a> Assembly<'a> {
    /// Opens a stored spine.
    ///
    /// # Errors
    /// It is missing or damaged.
    pub(crate) fn open(worker: &'a Worker, spine: &SpineDraft) -> Result<Self> {
        let feature_bytes = feature_bytes(worker)?;
        let TableReader { schema, row_bytes, batches } =
            read_table(worker.node.blobs().as_ref(), &spine.physical, feature_bytes)?;
        let window_rows = worker.window_rows.min(rows_in_window(row_bytes.saturating_add(feature_bytes)));
        let fields = schema.fields().iter().chain(worker.plan.output.fields().iter()).cloned();
        let output = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let time = schema.index_of(&spine.time_column)?;
        Ok(Self { worker, time, batches, window_rows, output, rows: spine.rows })
    }

    /// The columns of the training set.
    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.output
    }

    /// Gives every row of the training set to each of the takers, in spine order; they work while more rows are
    /// joined. Gives what was found in each view of the service.
    ///
    /// # Errors
    /// A segment is missing or damaged; whatever a taker returns.
    pub(crate) fn run(self, phase: &'static str, takers: Vec<Taker<'_>>) -> Result<Vec<Found>> {
        feed(takers, |taking| self.join_all(phase, taking))
    }

    /// Ends early, without an error, where a taker has failed.
    fn join_all(mut self, phase: &'static str, taking: &Taking<'_>) -> Result<Vec<Found>> {
        let worker = self.worker;
        let mut progress = Steps { worker, phase, all: self.rows, told: 0 };
        let mut found = vec![Found::default(); worker.plan.views.len()];
        let mut done = 0;
        let join = Join::new(worker, self.rows <= self.window_rows as u64);
        loop {
            let mut waiting = vec![self.next_window()?];
            while let Some(window) = waiting.pop() {
                if window.is_empty() {
                    return Ok(found);
                }
                match self.join(&join, &window, done, &mut progress)? {
                    Some(joined) => {
                        found.iter_mut().zip(joined.found()).for_each(|(all, window)| *all += window);
                        match self.put_together(window, &joined, done, &mut progress, taking)? {
                            Some(rows) => done += rows,
                            None => return Ok(found),
                        }
                    }
                    None => {
                        let (first, second) = halves(window);
                        waiting.extend([second, first]);
                    }
                }
            }
        }
    }

    /// Joins a window; nothing if it is too large.
    fn join(
        &self,
        join: &Join<'_>,
        window: &[RecordBatch],
        done: u64,
        progress: &mut Steps<'_>,
    ) -> Result<Option<Joined>> {
        let rows: u64 = window.iter().map(|batch| batch.num_rows() as u64).sum();
        let views = self.worker.plan.views.len() as u64;
        progress.tell(done)?;
        // Joining one view takes about as long as putting the rows together: each is the same share of them.
        let pieces = (join.pieces() as u64).max(1);
        join.window(window, self.time, |joined| {
            progress.tell(done + rows * views * joined as u64 / pieces / (views + 1))
        })
    }

    /// Gives the rows of a joined window to the takers. Gives their number; nothing where a taker has failed.
    fn put_together(
        &self,
        window: Vec<RecordBatch>,
        joined: &Joined,
        done: u64,
        progress: &mut Steps<'_>,
        taking: &Taking<'_>,
    ) -> Result<Option<u64>> {
        let rows: u64 = window.iter().map(|batch| batch.num_rows() as u64).sum();
        let views = self.worker.plan.views.len() as u64;
        let mut start = 0;
        for batch in window {
            let mut waiting = vec![batch];
            while let Some(batch) = waiting.pop() {
                let of_window = start..start + batch.num_rows();
                let bytes = joined.bytes(&of_window).saturating_add(batch_bytes(&batch) as u64);
                if bytes > limits::TRAINING_BATCH_BYTES as u64 && batch.num_rows() > 1 {
                    let half = batch.num_rows() / 2;
                    waiting.push(batch.slice(half, batch.num_rows() - half));
                    waiting.push(batch.slice(0, half));
                    continue;
                }
                start = of_window.end;
                let features = joined.rows(&self.worker.plan, of_window)?;
                if !taking.give(&beside(&self.output, &batch, &features)?) {
                    return Ok(None);
                }
                progress.tell(done + (rows * views + start as u64) / (views + 1))?;
            }
        }
        Ok(Some(rows))
    }

    /// The next batches of the spine, until they have the rows of a window; none at its end.
    fn next_window(&mut self) -> Result<Vec<RecordBatch>> {
        let mut window = Vec::new();
        let mut rows = 0;
        while rows < self.window_rows {
            let Some(batch) = self.batches.next() else { break };
            let batch = batch?;
            rows += batch.num_rows();
            window.push(batch);
        }
        Ok(window)
    }
}

/// Rows of so many bytes that are joined at once.
fn rows_in_window(row_bytes: u64) -> usize {
    let rows = limits::TRAINING_WINDOW_BYTES as u64 / row_bytes.max(1);
    usize::try_from(rows).unwrap_or(usize::MAX).max(1)
}

/// The rows of a window, in two parts.
fn halves(window: Vec<RecordBatch>) -> (Vec<RecordBatch>, Vec<RecordBatch>) {
    let rows: usize = window.iter().map(RecordBatch::num_rows).sum();
    let (mut first, mut second) = (Vec::new(), Vec::new());
    let mut left = rows / 2;
    for batch in window {
        let here = left.min(batch.num_rows());
        left -= here;
        if here > 0 {
            first.push(batch.slice(0, here));
        }
        if here < batch.num_rows() {
            second.push(batch.slice(here, batch.num_rows() - here));
        }
    }
    (first, second)
}

/// Says how many rows are done, never fewer than before.
struct Steps<'a> {
    worker: &'a Worker,
    phase: &'static str,
    all: u64,
    told: u64,
}

impl Steps<'_> {
    fn tell(&mut self, done: u64) -> Result<()> {
        self.told = self.told.max(done);
        self.worker.report(self.phase, self.told, self.all)
    }
}

/// Two tables of equal length side by side.
fn beside(schema: &SchemaRef, left: &RecordBatch, right: &RecordBatch) -> Result<RecordBatch> {
    let columns = left.columns().iter().chain(right.columns()).cloned().collect();
    let options = RecordBatchOptions::new().with_row_count(Some(left.num_rows()));
    Ok(RecordBatch::try_new_with_options(schema.clone(), columns, &options)?)
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Int64Array};

    use super::*;

    #[test]
    fn a_window_of_long_rows_has_few() {
        assert_eq!(rows_in_window(256), limits::TRAINING_WINDOW_ROWS);
        assert_eq!(rows_in_window(4_096), 65_536);
        assert_eq!(rows_in_window(u64::MAX), 1);
        assert!(rows_in_window(0) >= limits::TRAINING_WINDOW_ROWS);
    }

    #[test]
    fn halves_are_all_rows_in_order() {
        let batch = |rows: std::ops::Range<i64>| {
            let column: ArrayRef = Arc::new(Int64Array::from_iter_values(rows));
            RecordBatch::try_from_iter([("row", column)]).expect("a table")
        };
        let window = vec![batch(0..3), batch(3..4), batch(4..9)];
        let whole = arrow::compute::concat_batches(&window[0].schema(), &window).expect("alike");
        let (first, second) = halves(window);
        let rows = |part: &[RecordBatch]| part.iter().map(RecordBatch::num_rows).sum::<usize>();
        assert_eq!((rows(&first), rows(&second)), (4, 5));
        let joined = arrow::compute::concat_batches(&whole.schema(), first.iter().chain(&second));
        assert_eq!(joined.expect("alike"), whole);
    }
}
