//! Open segments, so that a footer and a key index are read once.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use lineate_segment::segment::{Segment, SegmentInfo};
use lineate_storage::blob::BlobStore;
use lineate_types::{Hash, TimestampUs, limits};

use crate::Result;

/// A bounded cache of open segments.
pub(crate) struct Segments {
    blobs: Arc<dyn BlobStore>,
    open: Mutex<OpenSegments>,
}

/// By file and commit time: one file can be in a manifest twice, loaded at two times.
type OpenSegments = BTreeMap<(Hash, Option<TimestampUs>), Arc<Segment>>;

impl Segments {
    /// Segments of a blob store.
    pub(crate) fn new(blobs: Arc<dyn BlobStore>) -> Self {
        Self { blobs, open: Mutex::default() }
    }

    /// The segment a manifest names, opened now or before.
    ///
    /// # Errors
    /// It is not here, or damaged.
    pub(crate) fn open(&self, info: &SegmentInfo) -> Result<Arc<Segment>> {
        let key = (info.segment, info.commit_times().map(|range| range.max));
        if let Some(segment) = self.lock().get(&key) {
            return Ok(segment.clone());
        }
        // Opened without the lock: two callers may do it, and one of the two is kept.
        let segment = Arc::new(Segment::open(self.blobs.as_ref(), info)?);
        let mut open = self.lock();
        if open.len() >= limits::OPEN_SEGMENTS {
            open.pop_first();
        }
        Ok(open.entry(key).or_insert(segment).clone())
    }

    /// Forgets a file that no manifest names any more.
    pub(crate) fn forget(&self, blob: &Hash) {
        self.lock().retain(|(segment, _), _| segment != blob);
    }

    fn lock(&self) -> MutexGuard<'_, OpenSegments> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
