//! Files handed over before they are used: hashed while they arrive, in the temporary directory, bounded in
//! number, gone when they are used or the node closes.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use lineate_types::{Hash, Hasher, TimestampUs, limits};
use tokio::{
    fs::File,
    io::AsyncWriteExt,
    sync::{OwnedSemaphorePermit, Semaphore},
};

use crate::{
    Error, Result,
    api::UploadInfo,
    disk_reserve::{DiskReserve, Grant},
};

/// The files that were handed over and not used yet.
pub struct Uploads {
    directory: PathBuf,
    reserve: DiskReserve,
    next: AtomicU64,
    /// One for every file that may be there: arriving, waiting or in use.
    places: Arc<Semaphore>,
    kept: Mutex<BTreeMap<u64, Arc<Upload>>>,
}

/// A file that was handed over; removed when the last holder lets go.
#[derive(Debug)]
pub struct Upload {
    /// Its name, hash and size.
    pub info: UploadInfo,
    begun: TimestampUs,
    path: PathBuf,
    _place: OwnedSemaphorePermit,
}

/// A file that is being handed over. Dropped before [`UploadSink::finish`], it leaves nothing.
pub struct UploadSink<'a> {
    uploads: &'a Uploads,
    file: File,
    hasher: Hasher,
    upload: Upload,
    /// For the bytes that are on their way to the file.
    grant: Option<Grant>,
}

impl Uploads {
    /// No uploads yet; `directory` is emptied by whoever opens the store.
    pub(crate) fn new(directory: PathBuf, reserve: DiskReserve) -> Self {
        Self {
            directory,
            reserve,
            next: AtomicU64::new(1),
            places: Arc::new(Semaphore::new(limits::UPLOADS)),
            kept: Mutex::default(),
        }
    }

    /// Begins an upload. Those that waited too long to be used are dropped.
    ///
    /// # Errors
    /// Too many wait to be used, or the disk refuses.
    pub async fn begin(&self, now: TimestampUs) -> Result<UploadSink<'_>> {
        self.lock().retain(|_, upload| now.0.saturating_sub(upload.begun.0) < limits::UPLOAD_US);
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            return Err(Error::ResourceExhausted(format!(
                "{} uploads arrive, wait or are in use, which is the most; repeat after a pause",
                limits::UPLOADS
            )));
        };
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.directory.join(format!("upload-{id}"));
        // Made together with what removes it: a caller who goes away meanwhile leaves no file.
        let making = tokio::task::spawn_blocking(move || {
            let file = std::fs::File::create(&path).map_err(|cause| full_or_io(&path, cause))?;
            let info = UploadInfo { id, hash: Hash::of(b""), bytes: 0 };
            Ok::<_, Error>((file, Upload { info, begun: now, path, _place: place }))
        });
        let (file, upload) = making.await??;
        Ok(UploadSink {
            uploads: self,
            file: File::from_std(file),
            hasher: Hasher::new(),
            upload,
            grant: None,
        })
    }

    /// Takes an upload to use it.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn take(&self, id: u64) -> Result<Arc<Upload>> {
        self.lock().remove(&id).ok_or_else(|| {
            Error::NotFound(format!(
                "upload {id} does not exist; it was used, or the server was restarted: send the file again"
            ))
        })
    }

    /// Files that are there: arriving, waiting or in use.
    pub fn count(&self) -> usize {
        limits::UPLOADS.saturating_sub(self.places.available_permits())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, Arc<Upload>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl UploadSink<'_> {
    /// Adds bytes.
    ///
    /// # Errors
    /// They would touch what is kept free of the disk, or the disk refuses.
    pub async fn write(&mut self, chunk: Bytes) -> Result<()> {
        let grant = self.uploads.reserve.grant(chunk.len() as u64)?;
        self.hasher.update(&chunk);
        self.upload.info.bytes += chunk.len() as u64;
        self.file.write_all(&chunk).await.map_err(|cause| full_or_io(&self.upload.path, cause))?;
        // The file may still be writing: what was on its way before is written, as it waits for that.
        self.grant = Some(grant);
        Ok(())
    }

    /// Ends the upload and keeps it for use.
    ///
    /// # Errors
    /// The disk refuses.
    pub async fn finish(mut self) -> Result<UploadInfo> {
        self.file.flush().await.map_err(|cause| full_or_io(&self.upload.path, cause))?;
        self.upload.info.hash = Hash::finish(&self.hasher);
        let info = self.upload.info;
        self.uploads.lock().insert(info.id, Arc::new(self.upload));
        Ok(info)
    }
}

impl Upload {
    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let Err(cause) = std::fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %cause, "an upload could not be removed");
        }
    }
}

fn full_or_io(path: &Path, cause: std::io::Error) -> Error {
    lineate_storage::Error::io("write an upload to", path, cause).into()
}
