//! Making the stored state of a group again from the checkpoint its log names.

use lineate_consensus::{Applied, Standing, Survey, checkpoint, standing};
use lineate_storage::{
    blob::{BlobInfo, BlobStore},
    kv::{KvBatch, KvOp, OrderedKv},
    log::RaftLog,
};
use lineate_types::{ErrorKind, GroupId, HasKind, limits};

use super::{
    APPLIED, encode_position,
    format::{Item, Reader},
    stored_position, tree_of,
};
use crate::{Error, Result};

/// Makes the stored state of a group again unless its log goes on from it: where it is missing, was moved aside,
/// stands before the cut, or was made by other entries than those of the log. The log decides: it is the authority.
/// Gives what the log was found to hold for the state as it is now; none where the log does not know the group.
///
/// # Errors
/// [`Error::Corrupt`] where the checkpoint is missing, damaged or of another log too, and where the state stands
/// beyond the end of the log.
pub(crate) fn rebuild_unless_it_fits(
    log: &dyn RaftLog,
    kv: &dyn OrderedKv,
    blobs: &dyn BlobStore,
    group: GroupId,
) -> Result<Option<Survey>> {
    if log.state(group).is_none() {
        return Ok(None);
    }
    // A log of another format is met before a state of one.
    let blob = checkpoint(log, group)?;
    let stored = stored_position(kv, &tree_of(group))?;
    let why = match standing(log, group, stored)? {
        Standing::Fits(survey) => return Ok(Some(survey)),
        Standing::Behind { .. } => "it stands before the log begins",
        Standing::Foreign => "other entries made it than the log holds",
    };
    let Some(blob) = blob else {
        tracing::error!(%group, index = stored.index, why, "the state of a group is made again from its log");
        clear(kv, group)?;
        return Ok(Some(Survey::of(log, group, Applied::NOTHING)?));
    };
    tracing::warn!(
        %group, index = stored.index, why, checkpoint = %blob.hash,
        "the state of a group is made again from its checkpoint and its log"
    );
    rebuild(log, kv, blobs, group, blob).map(Some).map_err(|error| match error.kind() {
        ErrorKind::Corrupt | ErrorKind::NotFound => Error::Corrupt(format!(
            "the state of group {group} stands at entry {} and cannot be used: {why}; nor can checkpoint {}: {error}; \
             restore that blob or the store from a backup (a damaged state is kept in a `quarantine-` directory \
             beside it)",
            stored.index, blob.hash
        )),
        _ => error,
    })
}

/// Nothing of what was there may come back after a crash and mix with what follows.
fn clear(kv: &dyn OrderedKv, group: GroupId) -> Result<()> {
    kv.drop_tree(&tree_of(group))?;
    Ok(kv.sync()?)
}

fn rebuild(
    log: &dyn RaftLog,
    kv: &dyn OrderedKv,
    blobs: &dyn BlobStore,
    group: GroupId,
    blob: BlobInfo,
) -> Result<Survey> {
    let mut reader = Reader::open(blobs, blob, group)?;
    let tree = tree_of(group);
    clear(kv, group)?;
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
    let survey = match standing(log, group, position)? {
        Standing::Fits(survey) => survey,
        Standing::Behind { cut } => {
            let index = position.index;
            return Err(Error::Corrupt(format!(
                "it stands at entry {index}, and the log begins after {cut}"
            )));
        }
        Standing::Foreign => {
            return Err(Error::Corrupt("other entries made it than the log holds".to_owned()));
        }
    };
    // Only now, when all of it is known to be right, the tree says where it stands.
    batch.put(APPLIED, encode_position(position));
    kv.apply(&tree, batch)?;
    kv.sync()?;
    Ok(survey)
}
