//! Keeps blobs that somebody writes or reads from being removed as unused.

use std::sync::Arc;

use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

/// Whoever writes blobs and then names them in a command, or opens blobs that a manifest named a moment ago,
/// holds the shared side meanwhile; whoever removes blobs that no manifest names holds the other.
#[derive(Default)]
pub(crate) struct BlobUse {
    lock: Arc<RwLock<()>>,
}

impl BlobUse {
    /// No blob is removed until this is dropped.
    pub(crate) async fn hold(&self) -> OwnedRwLockReadGuard<()> {
        self.lock.clone().read_owned().await
    }

    /// Nobody writes or opens blobs until this is dropped. None if somebody does.
    pub(crate) fn try_remove(&self) -> Option<OwnedRwLockWriteGuard<()>> {
        self.lock.clone().try_write_owned().ok()
    }
}
