//! A disk that is full after so many bytes: every segment says so, and says nothing else.

use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use lineate_segment::{
    schema::ViewSchema,
    segment::{CommitSource, write_run},
};
use lineate_storage::blob::{BlobFile, BlobStore, BlobWriter, ClosedBlob, MemBlobs};
use lineate_types::{ErrorKind, HasKind, Hash, HistoryId};

use super::{wide_run, wide_view};

/// Blobs on a disk with so many bytes left.
struct Filling {
    blobs: MemBlobs,
    left: Arc<AtomicU64>,
}

struct FillingBlob {
    blob: Box<dyn BlobWriter>,
    left: Arc<AtomicU64>,
}

impl Write for FillingBlob {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self
            .left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(bytes.len() as u64));
        taken.map_err(|_| io::Error::from(io::ErrorKind::StorageFull))?;
        self.blob.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.blob.flush()
    }
}

impl BlobWriter for FillingBlob {
    fn close(self: Box<Self>) -> lineate_storage::Result<Box<dyn ClosedBlob>> {
        self.blob.close()
    }
}

impl BlobStore for Filling {
    fn writer(&self) -> lineate_storage::Result<Box<dyn BlobWriter>> {
        Ok(Box::new(FillingBlob { blob: self.blobs.writer()?, left: self.left.clone() }))
    }

    fn open(&self, hash: &Hash) -> lineate_storage::Result<Arc<dyn BlobFile>> {
        self.blobs.open(hash)
    }

    fn delete(&self, hash: &Hash) -> lineate_storage::Result<()> {
        self.blobs.delete(hash)
    }

    fn list(
        &self,
        visit: &mut dyn FnMut(Hash, u64) -> lineate_storage::Result<()>,
    ) -> lineate_storage::Result<()> {
        self.blobs.list(visit)
    }
}

#[test]
fn a_disk_that_is_full_at_any_byte_of_a_segment_is_reported_as_full() {
    let view = wide_view();
    let run = wide_run(&view, 40, 7);
    let write = |left: u64| {
        let store = Filling { blobs: MemBlobs::new(), left: Arc::new(AtomicU64::new(left)) };
        write_run(&store, HistoryId(7), ViewSchema::of(&view), &run, CommitSource::Column)
    };
    let written = write(u64::MAX).expect("there is room");
    let bytes = written.segment_bytes + written.key_index_bytes;
    for left in (0..bytes).step_by(usize::try_from(bytes / 50).expect("small").max(1)) {
        let refused = write(left).expect_err("it does not fit");
        assert_eq!(
            refused.kind(),
            ErrorKind::ResourceExhausted,
            "of {bytes} bytes {left} are left: {refused}"
        );
    }
}
