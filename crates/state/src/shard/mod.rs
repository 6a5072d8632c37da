//! The state machine of a shard: runs of rows, their manifest, staged loads and writers' windows.

mod command;
mod history;
mod layout;
mod restore;
mod rows;
mod writer_window;
mod writers;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use arrow::array::RecordBatch;
use lineate_segment::schema::ViewSchema;
use lineate_storage::kv::KvBatch;
use lineate_types::{HistoryId, ViewDefinition, ViewId, WriterId};

use crate::{Error, LoadId, Position, Refusal, Result, codec};
pub use command::{
    Compact, Fence, Resolve, RunKey, Seal, SealNote, ShardCommand, ShardReply, ShardRequest, Stage, Write,
    Written,
};
use history::StoredRows;
pub use history::{History, SealedRun, StagedLoad, StreamRun};
pub use writer_window::{Remembered, Verdict, WriterWindow};
use writers::Writers;

/// The state of one shard.
#[derive(Debug, Default)]
pub struct ShardMachine {
    views: BTreeMap<ViewId, (ViewDefinition, Arc<ViewSchema>)>,
    histories: BTreeMap<HistoryId, History>,
    staged: BTreeMap<LoadId, StagedLoad>,
    notes: BTreeMap<RunKey, SealNote>,
    writers: Writers,
}

impl ShardMachine {
    /// Applies one command; what changes in the store goes into `batch`.
    ///
    /// # Errors
    /// The command or the state is damaged: the replica must stop.
    pub fn apply(&mut self, at: Position, command: &[u8], batch: &mut KvBatch) -> Result<ShardReply> {
        let request: ShardRequest = codec::decode("shard command", command)?;
        let reply = match request.command {
            ShardCommand::Define(view) => self.define(view, batch),
            ShardCommand::Write(write) => self.write(at, write, batch),
            ShardCommand::Freeze(history) => {
                self.freeze(history, batch);
                Ok(ShardReply::Done)
            }
            ShardCommand::Seal(seal) => self.seal(seal, batch),
            ShardCommand::Stage(stage) => self.stage(at, stage, batch),
            ShardCommand::Resolve(resolve) => self.resolve(resolve, batch),
            ShardCommand::Compact(compact) => self.compact(compact, batch),
            ShardCommand::Recorded(run) => {
                self.notes.remove(&run);
                batch.delete(layout::seal_note(run));
                Ok(ShardReply::Done)
            }
            ShardCommand::Fence(fence) => {
                self.writers.fence(fence, batch);
                Ok(ShardReply::Done)
            }
        };
        Ok(reply.unwrap_or_else(|error| ShardReply::Refused(Refusal::from(&error))))
    }

    /// The histories with rows here.
    pub fn histories(&self) -> impl Iterator<Item = (HistoryId, &History)> {
        self.histories.iter().map(|(id, history)| (*id, history))
    }

    /// The rows of one history.
    pub fn history(&self, history: HistoryId) -> Option<&History> {
        self.histories.get(&history)
    }

    /// Loads that are not resolved.
    pub fn staged(&self) -> impl Iterator<Item = (LoadId, &StagedLoad)> {
        self.staged.iter().map(|(id, load)| (*id, load))
    }

    /// Sealed runs still to be recorded in the ledger.
    pub fn notes(&self) -> impl Iterator<Item = &SealNote> {
        self.notes.values()
    }

    /// A view version known here, with its canonical columns.
    pub fn view(&self, view: ViewId) -> Option<&(ViewDefinition, Arc<ViewSchema>)> {
        self.views.get(&view)
    }

    /// The newest view version of a history that is known here, with its canonical columns.
    pub fn newest_view(&self, history: HistoryId) -> Option<&(ViewDefinition, Arc<ViewSchema>)> {
        self.views.values().filter(|(view, _)| view.history == history).max_by_key(|(view, _)| view.version)
    }

    /// The greatest sequence this shard saw of a writer in an epoch, 0 if none.
    pub fn newest_sequence(&self, writer: WriterId, epoch: u32) -> u64 {
        self.writers.newest(writer, epoch)
    }

    fn define(&mut self, view: ViewDefinition, batch: &mut KvBatch) -> Result<ShardReply> {
        batch.put(layout::view(view.id), codec::encode(&view));
        self.insert_view(view);
        Ok(ShardReply::Done)
    }

    fn insert_view(&mut self, view: ViewDefinition) {
        let schema = Arc::new(ViewSchema::of(&view));
        self.views.insert(view.id, (view, schema));
    }

    fn write(&mut self, at: Position, write: Write, batch: &mut KvBatch) -> Result<ShardReply> {
        let Some((view, schema)) = self.views.get(&write.view) else { return Ok(ShardReply::UnknownView) };
        let payload = write.payload(view.history);
        let opened = write.opened.unwrap_or_default();
        if let Some(position) = write.position
            && let Verdict::Replayed(written) = self.writers.check(position, opened, &payload)?
        {
            return Ok(ShardReply::Written(written));
        }
        let rows = rows::decode(&write.rows, schema)?;
        let written = Written { commit_time: at.commit_time, rows: rows.num_rows() as u64, replayed: false };
        let id = view.history;
        let (is_full, number) = match self.histories.get_mut(&id) {
            Some(history) => (append(history, &write, schema, rows, at)?, history.open_number),
            // There is no history of refused rows.
            None => {
                let mut history = History::default();
                let is_full = append(&mut history, &write, schema, rows, at)?;
                (is_full, self.histories.entry(id).or_insert(history).open_number)
            }
        };
        let key = RunKey { history: id, run: number };
        let position = write.position;
        batch.put(
            layout::rows(key, at.index),
            codec::encode(&StoredRows { commit_time: at.commit_time, write }),
        );
        if let Some(position) = position {
            let applied = Remembered { payload, commit_time: at.commit_time, rows: written.rows };
            self.writers.remember(position, opened, applied, batch);
        }
        if is_full {
            self.freeze(id, batch);
        }
        Ok(ShardReply::Written(written))
    }

    fn freeze(&mut self, id: HistoryId, batch: &mut KvBatch) {
        if let Some(history) = self.histories.get_mut(&id) {
            history.freeze();
            batch.put(layout::open_run(id), codec::encode(&history.open_number));
        }
    }

    fn seal(&mut self, seal: Seal, batch: &mut KvBatch) -> Result<ShardReply> {
        let key = seal.run;
        let not_frozen = || {
            Error::Conflict(format!(
                "run {} of history {} is not frozen; it was sealed before",
                key.run, key.history
            ))
        };
        let history = self.histories.get_mut(&key.history).ok_or_else(not_frozen)?;
        let run = history.frozen.get(&key.run).ok_or_else(not_frozen)?;
        if seal.segment.rows != run.rows.rows() as u64 {
            return Err(Error::Conflict(format!(
                "the segment holds {} rows, run {} of history {} has {}",
                seal.segment.rows,
                key.run,
                key.history,
                run.rows.rows()
            )));
        }
        let note = SealNote {
            run: key,
            view: run.view,
            first_commit: run.first_commit,
            last_commit: run.last_commit,
            writers: run.writers.iter().map(|(writer, rows)| (*writer, *rows)).collect(),
            segment: seal.segment.clone(),
            earlier_views: run.earlier_views.iter().copied().collect(),
        };
        for index in &run.indexes {
            batch.delete(layout::rows(key, *index));
        }
        history.frozen.remove(&key.run);
        let number = history.next_sealed();
        let sealed = SealedRun { segment: seal.segment, load: None };
        batch.put(layout::sealed_run(key.history, number), codec::encode(&sealed));
        history.sealed.insert(number, sealed);
        batch.put(layout::seal_note(key), codec::encode(&note));
        self.notes.insert(key, note);
        Ok(ShardReply::Done)
    }

    fn stage(&mut self, at: Position, stage: Stage, batch: &mut KvBatch) -> Result<ShardReply> {
        if !self.views.contains_key(&stage.view) {
            return Ok(ShardReply::UnknownView);
        }
        if let Some(present) = self.staged.get(&stage.load) {
            return match present.segments == stage.segments {
                true => Ok(ShardReply::Staged { floor: present.floor }),
                false => {
                    Err(Error::Conflict(format!("load {} is staged here with other segments", stage.load)))
                }
            };
        }
        let floor = at.commit_time;
        let staged = StagedLoad { view: stage.view, floor, segments: stage.segments };
        batch.put(layout::staged(stage.load), codec::encode(&staged));
        self.staged.insert(stage.load, staged);
        Ok(ShardReply::Staged { floor })
    }

    fn resolve(&mut self, resolve: Resolve, batch: &mut KvBatch) -> Result<ShardReply> {
        let Some(staged) = self.staged.remove(&resolve.load) else { return Ok(ShardReply::Done) };
        batch.delete(layout::staged(resolve.load));
        let view = self.views.get(&staged.view).map(|(view, _)| view.history);
        let (Some(commit_time), Some(id)) = (resolve.commit_time, view) else { return Ok(ShardReply::Done) };
        let history = self.histories.entry(id).or_default();
        for segment in staged.segments {
            let number = history.next_sealed();
            let sealed = SealedRun { segment: segment.committed_at(commit_time), load: Some(resolve.load) };
            batch.put(layout::sealed_run(id, number), codec::encode(&sealed));
            history.sealed.insert(number, sealed);
        }
        Ok(ShardReply::Done)
    }

    fn compact(&mut self, compact: Compact, batch: &mut KvBatch) -> Result<ShardReply> {
        let history = self.histories.get_mut(&compact.history).ok_or_else(|| {
            Error::Conflict(format!("history {} has no segments to compact", compact.history))
        })?;
        let inputs: BTreeSet<u64> = compact.inputs.iter().copied().collect();
        let present: Vec<&SealedRun> =
            inputs.iter().filter_map(|number| history.sealed.get(number)).collect();
        let rows: u64 = present.iter().map(|sealed| sealed.segment.rows).sum();
        if present.len() != compact.inputs.len() || rows != compact.output.rows {
            return Err(Error::Conflict(format!(
                "the manifest of history {} moved on: {} of {} segments to compact are in it, with {rows} rows for {}",
                compact.history,
                present.len(),
                compact.inputs.len(),
                compact.output.rows
            )));
        }
        let output = SealedRun { segment: compact.output, load: None };
        let number = history.next_sealed();
        batch.put(layout::sealed_run(compact.history, number), codec::encode(&output));
        history.sealed.insert(number, output);
        for number in inputs {
            history.sealed.remove(&number);
            batch.delete(layout::sealed_run(compact.history, number));
        }
        Ok(ShardReply::Done)
    }
}

/// Adds rows to the open run of a history, which begins with them if there is none; says whether it is full.
fn append(
    history: &mut History,
    write: &Write,
    schema: &Arc<ViewSchema>,
    rows: RecordBatch,
    at: Position,
) -> Result<bool> {
    if let Some(run) = &mut history.open {
        run.append(write, schema, rows, at)?;
        return Ok(run.is_full());
    }
    let mut run = StreamRun::new(write.view, at.commit_time);
    run.append(write, schema, rows, at)?;
    Ok(history.open.insert(run).is_full())
}
