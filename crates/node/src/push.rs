//! Streamed rows: split by shard, each part one command, acknowledged when durable and applied.

use std::collections::BTreeMap;

use arrow::{
    array::{RecordBatch, UInt32Array},
    compute::take_record_batch,
};
use bytes::Bytes;
use lineate_segment::{
    intake::{Intake, encode_ipc},
    run::EncodedKeys,
    schema::ViewSchema,
};
use lineate_state::shard::{ShardCommand, ShardReply, Write};
use lineate_types::{Principal, ShardId, ViewDefinition, WriterPosition, limits};

use crate::{
    Error, Node, Result,
    api::ShardWrite,
    node::{for_shard, only},
};

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
        let agent = self.sealed_texts().agent(principal).await?;
        let rows = Intake::new(view).convert(rows, first_row)?;
        let mut parts = Vec::new();
        for (shard, part) in split_by_shard(&rows, &ViewSchema::of(view), self.shards())? {
            let payload = encode_ipc(&part)?;
            if payload.len() + COMMAND_OVERHEAD > limits::COMMAND_BYTES {
                return Err(Error::ResourceExhausted(format!(
                    "the rows of shard {shard} take {} bytes; at most {} are allowed in one batch, send several",
                    payload.len(),
                    limits::COMMAND_BYTES - COMMAND_OVERHEAD
                )));
            }
            let write = Write { view: view.id, position, rows: payload.to_vec().into(), opened };
            let command = for_shard(agent, ShardCommand::Write(write));
            parts.push(Part { shard, rows: part.num_rows() as u64, command });
        }
        Ok(self.write(principal, view, parts).await)
    }

    /// Writes the parts of a batch, together.
    async fn write(&self, principal: &Principal, view: &ViewDefinition, parts: Vec<Part>) -> Vec<ShardWrite> {
        let mut writes = Vec::with_capacity(parts.len());
        let mut accepted = Vec::with_capacity(parts.len());
        for part in parts {
            match self.check_backlog(part.shard) {
                Ok(()) => accepted.push(part),
                Err(error) => {
                    writes.push(ShardWrite { shard: part.shard, rows: part.rows, result: Err(error) });
                }
            }
        }
        let commands = accepted.iter().map(|part| (part.shard, part.command.clone()));
        let replies = self.propose_shards(commands.collect()).await;
        for (Part { shard, rows, command }, reply) in accepted.into_iter().zip(replies) {
            let reply = self.unless_unknown(principal, view, shard, command, reply).await;
            let result = reply.and_then(|reply| match reply {
                ShardReply::Written(written) => Ok(written),
                other => Err(Error::Internal(format!("unexpected reply {other:?}"))),
            });
            writes.push(ShardWrite { shard, rows, result });
        }
        writes.sort_by_key(|write| write.shard);
        writes
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
        let command = for_shard(self.sealed_texts().agent(principal).await?, command);
        let reply = only(self.propose_shards(vec![(shard, command.clone())]).await);
        self.unless_unknown(principal, view, shard, command, reply).await
    }

    /// A reply; where the shard does not know the view, it is told and asked again.
    async fn unless_unknown(
        &self,
        principal: &Principal,
        view: &ViewDefinition,
        shard: ShardId,
        command: Bytes,
        reply: Result<ShardReply>,
    ) -> Result<ShardReply> {
        if !matches!(reply, Ok(ShardReply::UnknownView)) {
            return reply;
        }
        self.propose_shard(principal, shard, ShardCommand::Define(view.clone())).await?;
        only(self.propose_shards(vec![(shard, command)]).await)
    }
}

/// The rows of a batch for one shard.
struct Part {
    shard: ShardId,
    rows: u64,
    /// What writes them.
    command: Bytes,
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
