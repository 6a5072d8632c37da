//! Idempotent writers: issued, opened again, and held to their epoch (ADR 0012).
//!
//! Invariants:
//! - an epoch is told to nobody before every shard refuses the earlier ones: what of them was not applied by then
//!   never is;
//! - what is refused here, before anything is proposed, is refused early, not exactly: a batch that passes may be
//!   overtaken by the next epoch, and is refused by the shards then.

use futures::future::join_all;
use lineate_state::{
    meta::{MetaCommand, MetaReply},
    shard::{Fence, ShardCommand},
};
use lineate_types::{Principal, TimestampUs, WriterId, WriterPosition, limits};

use crate::{Error, Node, Result};

impl Node {
    /// Issues an idempotent writer to a principal, or starts one again in its next epoch. When that is answered, no
    /// batch of an earlier epoch is applied any more, in any shard.
    ///
    /// # Errors
    /// The writer is another principal's, or was theirs before their name was erased, or does not exist; or a shard could not be told ([`Error::NotFenced`]).
    pub async fn open_writer(
        &self,
        principal: &Principal,
        resume: Option<WriterId>,
    ) -> Result<WriterPosition> {
        let (reply, opened) = self.propose_meta(principal, MetaCommand::OpenWriter { resume }).await?;
        let MetaReply::Writer { writer, epoch } = reply else {
            return Err(Error::Internal(format!("unexpected reply {reply:?}")));
        };
        if resume.is_some() {
            self.fence(principal, Fence { writer, epoch, opened }).await?;
        }
        Ok(WriterPosition { writer, epoch, sequence: 0 })
    }

    /// Ends the epochs of a writer before one in every shard. It finishes what the meta group began, so it may use
    /// the last of the disk.
    async fn fence(&self, principal: &Principal, fence: Fence) -> Result<()> {
        let fences = self.shard_ids().map(async |shard| {
            let told = self.propose_shard(principal, shard, ShardCommand::Fence(fence)).await;
            let not_fenced =
                |source| Error::NotFenced { writer: fence.writer, shard, source: Box::new(source) };
            told.map(|_| ()).map_err(not_fenced)
        });
        join_all(fences).await.into_iter().collect()
    }

    /// Refuses a position of another principal, of an epoch that is over, or beyond a gap. Says when the writer was
    /// opened in its epoch.
    ///
    /// A gap is judged by what the shards have applied, of which more becomes known and nothing less: a batch that
    /// passes is at most [`limits::WRITER_WINDOW`] beyond one that was applied before it in its epoch.
    pub(crate) fn check_position(
        &self,
        principal: &Principal,
        position: WriterPosition,
    ) -> Result<TimestampUs> {
        let WriterPosition { writer, epoch, sequence } = position;
        let opened = self.check_epoch(principal, writer, epoch)?;
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

    /// When a writer was opened in an epoch that it is in.
    fn check_epoch(&self, principal: &Principal, writer: WriterId, epoch: u32) -> Result<TimestampUs> {
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
        if self.sealed_texts().known_agent(principal) != Some(state.agent) {
            return Err(Error::PermissionDenied(format!(
                "writer {writer} was issued to another principal, or to you before your name was erased; open a new one"
            )));
        }
        if state.epoch != epoch {
            return Err(Error::Conflict(format!(
                "writer {writer} is in epoch {}, this batch is of epoch {epoch}; open the writer again",
                state.epoch
            )));
        }
        Ok(state.opened)
    }
}
