//! The rows of a training set, one window of the spine after the other, so that memory is bounded by a window and
//! not by the set.
//!
//! A window is joined on its own: what a row gets depends on its key and time alone. Each window reads the keys
//! of the history again, so a window is large.

use std::sync::Arc;

use arrow::{
    array::{AsArray, RecordBatch, RecordBatchOptions},
    datatypes::{Schema, SchemaRef, TimestampMicrosecondType},
};
use lineate_state::meta::SpineDraft;
use lineate_types::TimestampUs;
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;

use crate::{
    Result,
    create::Worker,
    files::read_table,
    join::{Found, SpineKeys, join},
};

/// A stored spine about to be joined.
pub(crate) struct Assembly<'a> {
    worker: &'a Worker,
    time: usize,
    batches: ParquetRecordBatchReader,
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
        let (schema, batches) = read_table(worker.node.blobs().as_ref(), &spine.physical)?;
        let fields = schema.fields().iter().chain(worker.plan.output.fields().iter()).cloned();
        let output = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        Ok(Self { worker, time: schema.index_of(&spine.time_column)?, batches, output, rows: spine.rows })
    }

    /// The columns of the training set.
    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.output
    }

    /// Gives every row of the training set to `take`, in spine order. Gives what was found in each view of the service.
    ///
    /// # Errors
    /// A segment is missing or damaged; whatever `take` returns.
    pub(crate) fn run(
        mut self,
        phase: &'static str,
        mut take: impl FnMut(&RecordBatch) -> Result<()>,
    ) -> Result<Vec<Found>> {
        let (worker, all) = (self.worker, self.rows);
        let views = worker.plan.views.len() as u64;
        let mut done = 0;
        let mut found = vec![Found::default(); worker.plan.views.len()];
        loop {
            let window = self.next_window()?;
            if window.is_empty() {
                return Ok(found);
            }
            worker.report(phase, done, all)?;
            let rows: u64 = window.iter().map(|batch| batch.num_rows() as u64).sum();
            // Joining one view takes about as long as putting the rows together: each is the same share of them.
            let share = |whole: u64, begun: u64| {
                done + rows.saturating_mul(whole).saturating_add(begun) / (views + 1)
            };
            let joined = join(worker, &self.keys(&window)?, |joined| {
                worker.report(phase, share(joined as u64, 0), all)
            })?;
            found.iter_mut().zip(joined.found()).for_each(|(all, window)| *all += window);
            let mut start = 0;
            for batch in window {
                let of_window = start..start + batch.num_rows();
                start = of_window.end;
                take(&beside(&self.output, &batch, &joined.rows(&worker.plan, of_window)?)?)?;
                worker.report(phase, share(views, start as u64), all)?;
            }
            done += rows;
        }
    }

    /// The next batches of the spine, until they have the rows of a window; none at its end.
    fn next_window(&mut self) -> Result<Vec<RecordBatch>> {
        let mut window = Vec::new();
        let mut rows = 0;
        while rows < self.worker.window_rows {
            let Some(batch) = self.batches.next() else { break };
            let batch = batch?;
            rows += batch.num_rows();
            window.push(batch);
        }
        Ok(window)
    }

    fn keys(&self, window: &[RecordBatch]) -> Result<SpineKeys> {
        let views = &self.worker.plan.views;
        let mut keys = SpineKeys { times: Vec::new(), keys: vec![Vec::new(); views.len()] };
        for batch in window {
            let times = batch.column(self.time).as_primitive::<TimestampMicrosecondType>();
            keys.times.extend(times.values().iter().map(|time| TimestampUs(*time)));
            for (view, keys) in views.iter().zip(&mut keys.keys) {
                keys.extend(view.keys(batch)?);
            }
        }
        Ok(keys)
    }
}

/// Two tables of equal length side by side.
fn beside(schema: &SchemaRef, left: &RecordBatch, right: &RecordBatch) -> Result<RecordBatch> {
    let columns = left.columns().iter().chain(right.columns()).cloned().collect();
    let options = RecordBatchOptions::new().with_row_count(Some(left.num_rows()));
    Ok(RecordBatch::try_new_with_options(schema.clone(), columns, &options)?)
}
