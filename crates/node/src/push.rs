//! Streamed rows: split by shard, each part one command, acknowledged when durable and applied.

use std::collections::BTreeMap;

use arrow::{
    array::{RecordBatch, UInt32Array},
    compute::take_record_batch,
};
use futures::future::join_all;
use lineate_segment::{
    intake::{Intake, encode_ipc},
    run::EncodedKeys,
    schema::ViewSchema,
};
use lineate_state::shard::{ShardCommand, ShardReply, Write, Written};
use lineate_types::{Principal, ShardId, ViewDefinition, WriterPosition, limits};

use crate::{Error, Node, Result, api::ShardWrite};

impl Node {
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

    pub(crate) async fn write(
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
}

/// Bytes of a command besides its rows, at most.
const COMMAND_OVERHEAD: usize = 4096;

/// The rows of each shard, in the order of the batch.
fn split_by_shard(
    rows: &RecordBatch,
    schema: &ViewSchema,
    shards: u16,
) -> Result<BTreeMap<ShardId, RecordBatch>> {
    let by_shard = rows_by_shard(&EncodedKeys::of(rows, schema)?, shards);
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
pub(crate) fn rows_by_shard(keys: &EncodedKeys, shards: u16) -> BTreeMap<ShardId, Vec<u32>> {
    let mut by_shard: BTreeMap<ShardId, Vec<u32>> = BTreeMap::new();
    for (row, bucket) in (0_u32..).zip(keys.buckets()) {
        by_shard.entry(bucket.shard(shards)).or_default().push(row);
    }
    by_shard
}
