//! Keeps blobs that somebody writes or reads from being removed as unused.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lineate_segment::segment::SegmentInfo;
use lineate_types::Hash;
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

/// Whoever writes blobs and then names them in a command, or opens blobs that a manifest named a moment ago,
/// holds the shared side meanwhile; whoever removes blobs that no manifest names holds the other.
#[derive(Default)]
pub(crate) struct BlobUse {
    lock: Arc<RwLock<()>>,
    unused: Mutex<Unused>,
}

/// What is still there and, as far as is known, named by nothing.
#[derive(Debug, Default)]
pub(crate) struct Unused {
    /// Segments that left a manifest.
    pub(crate) segments: Vec<SegmentInfo>,
    /// Blobs that were stored for something that failed, and checkpoints that were replaced.
    pub(crate) blobs: Vec<Hash>,
}

impl Unused {
    fn is_empty(&self) -> bool {
        self.segments.is_empty() && self.blobs.is_empty()
    }
}

impl BlobUse {
    /// No blob is removed until this is dropped.
    pub(crate) async fn hold(&self) -> OwnedRwLockReadGuard<()> {
        self.lock.clone().read_owned().await
    }

    /// Adds segments that left a manifest.
    pub(crate) fn add_unused(&self, segments: impl Iterator<Item = SegmentInfo>) {
        self.unused().segments.extend(segments);
    }

    /// Adds blobs that were stored for something that failed, or that were replaced.
    pub(crate) fn add_unused_blobs(&self, blobs: impl IntoIterator<Item = Hash>) {
        self.unused().blobs.extend(blobs);
    }

    /// Whether blobs wait to be removed.
    pub(crate) fn has_unused(&self) -> bool {
        !self.unused().is_empty()
    }

    /// What may be removed. Nobody writes or opens blobs until the guard is dropped; none if
    /// somebody does now, or nothing waits.
    pub(crate) fn take_unused(&self) -> Option<(OwnedRwLockWriteGuard<()>, Unused)> {
        let mut unused = self.unused();
        if unused.is_empty() {
            return None;
        }
        let nobody = self.lock.clone().try_write_owned().ok()?;
        Some((nobody, std::mem::take(&mut *unused)))
    }

    fn unused(&self) -> MutexGuard<'_, Unused> {
        self.unused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
