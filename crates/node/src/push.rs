//! Streamed rows: split by shard, each part one command, acknowledged when durable and applied.

use std::collections::BTreeMap;

use arrow::{
    array::{RecordBatch, UInt32Array},
    compute::take_record_batch,
};
use futures::future::join_all;
use lineate_segment::{
    intake::{Intake, encode_ipc},
    schema::{ViewSchema, encode_keys},
};
use lineate_state::{
    meta::{MetaCommand, MetaReply},
    shard::{ShardCommand, ShardReply, Write, Written},
};
use lineate_types::{Principal, ShardId, TimestampUs, ViewDefinition, WriterId, WriterPosition, limits};

use crate::{Error, Node, Result, api::ShardWrite};

impl Node {
    /// Issues an idempotent writer to a principal, or starts one again in its next epoch.
    ///
    /// # Errors
    /// The writer is another principal's, or does not exist.
    pub async fn open_writer(
        &self,
        principal: &Principal,
        resume: Option<WriterId>,
    ) -> Result<WriterPosition> {
        match self.propose_meta(principal, MetaCommand::OpenWriter { resume }).await?.0 {
            MetaReply::Writer { writer, epoch } => Ok(WriterPosition { writer, epoch, sequence: 0 }),
            other => Err(Error::Internal(format!("unexpected reply {other:?}"))),
        }
    }

    /// Writes foreign rows of a view: atomic in each shard, not across shards. With a position, the same call
    /// again is answered as the first was. `first_row` is the number of rows the caller sent before these; it only
    /// serves messages.
    ///
    /// # Errors
    /// The rows do not fit the view, or the position cannot be accepted; nothing is written then.
    pub async fn push(
        &self,
        principal: &Principal,
        view: &ViewDefinition,
        rows: &RecordBatch,
        first_row: u64,
        position: Option<WriterPosition>,
    ) -> Result<Vec<ShardWrite>> {
        if rows.num_rows() > limits::BATCH_ROWS {
            return Err(Error::ResourceExhausted(format!(
                "a batch has {} rows; at most {} are allowed, send several",
                rows.num_rows(),
                limits::BATCH_ROWS
            )));
        }
        self.check_space()?;
        let opened = match position {
            Some(position) => Some(self.check_position(principal, position)?),
            None => None,
        };
        let rows = Intake::new(view).convert(rows, first_row)?;
        let parts = split_by_shard(&rows, &ViewSchema::of(view), self.shards())?;
        let mut commands = Vec::with_capacity(parts.len());
        for (shard, part) in parts {
            let payload = encode_ipc(&part)?;
            if payload.len() + COMMAND_OVERHEAD > limits::COMMAND_BYTES {
                return Err(Error::ResourceExhausted(format!(
                    "the rows of shard {shard} take {} bytes; at most {} are allowed in one batch, send several",
                    payload.len(),
                    limits::COMMAND_BYTES - COMMAND_OVERHEAD
                )));
            }
            let write = Write { view: view.id, position, rows: payload.to_vec().into(), opened };
            commands.push((shard, part.num_rows() as u64, write));
        }
        let writes = commands.into_iter().map(async |(shard, rows, write)| {
            let result = self.write(principal, view, shard, write).await;
            ShardWrite { shard, rows, result }
        });
        Ok(join_all(writes).await)
    }

    async fn write(
        &self,
        principal: &Principal,
        view: &ViewDefinition,
        shard: ShardId,
        write: Write,
    ) -> Result<Written> {
        self.check_backlog(shard)?;
        match self.propose_to_view(principal, view, shard, ShardCommand::Write(write)).await? {
            ShardReply::Written(written) => Ok(written),
            other => Err(Error::Internal(format!("unexpected reply {other:?}"))),
        }
    }

    /// Refuses rows while sealing is too far behind to hold more of them in memory.
    fn check_backlog(&self, shard: ShardId) -> Result<()> {
        let waiting: usize =
            self.shard(shard).read().histories().map(|(_, history)| history.frozen.len()).sum();
        if waiting < limits::FROZEN_RUNS {
            return Ok(());
        }
        Err(Error::ResourceExhausted(format!(
            "{waiting} runs of shard {shard} wait to be written as segments, which is the most; repeat after a pause, and look at the disk if it lasts"
        )))
    }

    /// Proposes to a shard, telling it the view's definition first if it does not know it.
    pub(crate) async fn propose_to_view(
        &self,
        principal: &Principal,
        view: &ViewDefinition,
        shard: ShardId,
        command: ShardCommand,
    ) -> Result<ShardReply> {
        match self.propose_shard(principal, shard, command.clone()).await? {
            ShardReply::UnknownView => {
                self.propose_shard(principal, shard, ShardCommand::Define(view.clone())).await?;
                self.propose_shard(principal, shard, command).await
            }
            reply => Ok(reply),
        }
    }

    /// Refuses a position of another principal, of an epoch that is over, or beyond a gap. Says when the writer was
    /// opened in its epoch.
    fn check_position(&self, principal: &Principal, position: WriterPosition) -> Result<TimestampUs> {
        let WriterPosition { writer, epoch, sequence } = position;
        let meta = self.meta().read();
        let Some(state) = meta.writers().get(writer) else {
            if meta.writers().was_issued(writer) {
                return Err(Error::Conflict(format!(
                    "writer {writer} gave way to {} opened after it, its epoch is over; open a new one",
                    limits::WRITERS
                )));
            }
            return Err(Error::NotFound(format!("writer {writer} was never issued; open a writer first")));
        };
        if state.principal != *principal {
            return Err(Error::Conflict(format!("writer {writer} was issued to another principal")));
        }
        if state.epoch != epoch {
            return Err(Error::Conflict(format!(
                "writer {writer} is in epoch {}, this batch is of epoch {epoch}; open the writer again",
                state.epoch
            )));
        }
        let opened = state.opened;
        drop(meta);
        if sequence == 0 {
            return Err(Error::Invalid("sequences of a writer begin with 1".into()));
        }
        let newest =
            self.shard_ids().map(|shard| self.shard(shard).read().newest_sequence(writer, epoch)).max();
        let newest = newest.unwrap_or(0);
        if sequence > newest.saturating_add(limits::WRITER_WINDOW) {
            return Err(Error::Conflict(format!(
                "sequence {sequence} of writer {writer} leaves a gap: the newest here is {newest}, and at most {} may be under way",
                limits::WRITER_WINDOW
            )));
        }
        Ok(opened)
    }
}

/// Bytes of a command besides its rows, at most.
const COMMAND_OVERHEAD: usize = 4096;

/// The rows of each shard, in the order of the batch.
fn split_by_shard(
    rows: &RecordBatch,
    schema: &ViewSchema,
    shards: u16,
) -> Result<BTreeMap<ShardId, RecordBatch>> {
    let by_shard = rows_by_shard(rows, schema, shards)?;
    if let Some((shard, _)) = by_shard.first_key_value().filter(|_| by_shard.len() == 1) {
        return Ok(BTreeMap::from([(*shard, rows.clone())]));
    }
    let mut parts = BTreeMap::new();
    for (shard, indices) in by_shard {
        parts.insert(shard, take_record_batch(rows, &UInt32Array::from(indices))?);
    }
    Ok(parts)
}

/// The row numbers of each shard, ascending.
pub(crate) fn rows_by_shard(
    rows: &RecordBatch,
    schema: &ViewSchema,
    shards: u16,
) -> Result<BTreeMap<ShardId, Vec<u32>>> {
    let keys = encode_keys(rows, schema.keys().iter().map(|key| key.key_type))?;
    let mut by_shard: BTreeMap<ShardId, Vec<u32>> = BTreeMap::new();
    for (row, key) in (0_u32..).zip(&keys) {
        by_shard.entry(key.bucket().shard(shards)).or_default().push(row);
    }
    Ok(by_shard)
}
