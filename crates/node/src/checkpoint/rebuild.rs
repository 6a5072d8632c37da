//! Making the stored state of a group again from the checkpoint its log names.

use lineate_consensus::checkpoint;
use lineate_state::codec;
use lineate_storage::{
    blob::{BlobInfo, BlobStore},
    kv::{KvBatch, KvOp, OrderedKv},
    log::RaftLog,
};
use lineate_types::{ErrorKind, GroupId, HasKind, limits};

use super::{
    APPLIED,
    format::{Item, Reader},
    stored_position, tree_of,
};
use crate::{Error, Result};

/// The index a log begins after; the entry there changes no state.
const FOUNDING_INDEX: u64 = 1;

/// Makes the stored state of a group again if the log can no longer bring it up to date, because it is missing, was
/// moved aside, or stands before the cut.
///
/// # Errors
/// [`Error::Corrupt`] where the checkpoint is missing or damaged too.
pub(crate) fn rebuild_if_behind(
    log: &dyn RaftLog,
    kv: &dyn OrderedKv,
    blobs: &dyn BlobStore,
    group: GroupId,
) -> Result<()> {
    let cut = log.state(group).map_or(0, |state| state.cut.index);
    let stored = stored_position(kv, &tree_of(group))?.index;
    if stored >= cut || cut <= FOUNDING_INDEX {
        return Ok(());
    }
    let Some(blob) = checkpoint(log, group)? else { return Ok(()) };
    tracing::warn!(%group, stored, cut, checkpoint = %blob.hash, "the state of a group is behind its log and is rebuilt");
    rebuild(kv, blobs, group, blob, cut).map_err(|error| match error.kind() {
        ErrorKind::Corrupt | ErrorKind::NotFound => Error::Corrupt(format!(
            "the state of group {group} stands at entry {stored}, the log begins after {cut}, and checkpoint {} \
             cannot be used: {error}; restore that blob or the store from a backup (a damaged state is kept in a \
             `quarantine-` directory beside it)",
            blob.hash
        )),
        _ => error,
    })
}

fn rebuild(
    kv: &dyn OrderedKv,
    blobs: &dyn BlobStore,
    group: GroupId,
    blob: BlobInfo,
    cut: u64,
) -> Result<()> {
    let mut reader = Reader::open(blobs, blob, group)?;
    let tree = tree_of(group);
    // Nothing of what was there may come back after a crash and mix with what follows.
    kv.drop_tree(&tree)?;
    kv.sync()?;
    let (mut batch, mut bytes) = (KvBatch::new(), 0);
    let position = loop {
        match reader.next()? {
            Item::Change(KvOp::Put { key, value }) => {
                bytes += key.len() + value.len();
                batch.put(key, value);
            }
            Item::Change(KvOp::Delete { key }) => {
                bytes += key.len();
                batch.delete(key);
            }
            Item::End(position) => break position,
        }
        if bytes >= limits::CHECKPOINT_PIECE_BYTES {
            kv.apply(&tree, std::mem::take(&mut batch))?;
            bytes = 0;
        }
    };
    if position.index < cut {
        return Err(Error::Corrupt(format!("it stands at entry {}", position.index)));
    }
    // Only now, when all of it is known to be right, the tree says where it stands.
    batch.put(APPLIED, codec::encode(&position));
    kv.apply(&tree, batch)?;
    Ok(kv.sync()?)
}
