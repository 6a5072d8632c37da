//! Files on their way in: uploads and atomic loads.

use std::{
    io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::{Bytes, BytesMut};
use futures::{Stream, stream};
use lineate_proto::v1::{IngestFile, IngestRequest, LoadReport, Progress, UploadRequest, Writer};
use lineate_types::limits;
use tokio::{
    fs::File,
    io::{AsyncRead, AsyncReadExt},
};

use crate::{Client, Error, Result, connect::service, work::follow};

/// What to upload.
#[derive(Debug, Clone)]
pub enum UploadSource {
    /// A local file.
    File(PathBuf),
    /// Bytes under a name.
    Bytes {
        /// The name, for errors.
        name: String,
        /// The bytes.
        bytes: Bytes,
    },
}

/// What was uploaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uploaded {
    /// Names the upload in later requests.
    pub upload_id: String,
    /// BLAKE3 of its bytes, as text.
    pub hash: String,
    /// Its bytes.
    pub bytes: u64,
}

/// The error that ended the reading of a local file early.
type ReadFailure = Arc<Mutex<Option<io::Error>>>;

impl Client {
    /// Sends one file in chunks, calling back with the bytes handed over so far.
    ///
    /// # Errors
    /// The file cannot be read, or the server refuses it.
    pub async fn upload(
        &self,
        source: UploadSource,
        on_bytes: impl Fn(u64) + Send + 'static,
    ) -> Result<Uploaded> {
        let reader: Box<dyn AsyncRead + Send + Unpin> = match &source {
            UploadSource::File(path) => {
                Box::new(File::open(path).await.map_err(|cause| unreadable(path, cause))?)
            }
            UploadSource::Bytes { bytes, .. } => Box::new(io::Cursor::new(bytes.clone())),
        };
        let failure = ReadFailure::default();
        let requests = chunks(reader, failure.clone(), on_bytes);
        let reply = service!(self, store_client::StoreClient).upload(requests).await;
        // A local cause explains more than what the server says of the stream it cut short.
        if let Some(cause) = failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(match source {
                UploadSource::File(path) => unreadable(&path, cause),
                UploadSource::Bytes { name, .. } => unreadable(&PathBuf::from(name), cause),
            });
        }
        let reply = reply?.into_inner();
        Ok(Uploaded { upload_id: reply.upload_id, hash: reply.hash, bytes: reply.bytes })
    }

    /// Loads uploaded files into a view as one atomic change.
    ///
    /// # Errors
    /// The files do not fit the view, or the server is away; nothing of the load is visible then.
    pub async fn ingest(
        &self,
        view: &str,
        files: Vec<IngestFile>,
        again: bool,
        on_progress: impl FnMut(Progress),
    ) -> Result<LoadReport> {
        let request = IngestRequest { view: view.to_owned(), files, again };
        let events = service!(self, store_client::StoreClient).ingest(request).await?.into_inner();
        follow(events, on_progress).await
    }

    /// Makes a writer, or opens one again under a new epoch.
    ///
    /// # Errors
    /// The writer belongs to someone else, or the server is away.
    pub async fn open_writer(&self, writer_id: Option<u64>) -> Result<Writer> {
        let request = lineate_proto::v1::OpenWriterRequest { writer_id };
        Ok(service!(self, store_client::StoreClient).open_writer(request).await?.into_inner())
    }
}

fn unreadable(path: &std::path::Path, source: io::Error) -> Error {
    Error::File { path: path.to_owned(), source }
}

/// The chunks of a reader. The last one says so; after a read error there is none.
fn chunks(
    reader: Box<dyn AsyncRead + Send + Unpin>,
    failure: ReadFailure,
    on_bytes: impl Fn(u64) + Send + 'static,
) -> impl Stream<Item = UploadRequest> + Send + 'static {
    let start = Some((reader, 0_u64, on_bytes));
    stream::unfold(start, move |state| {
        let failure = failure.clone();
        async move {
            let (mut reader, mut sent, on_bytes) = state?;
            let mut chunk = BytesMut::with_capacity(limits::CHUNK_BYTES);
            let last = loop {
                match reader.read_buf(&mut chunk).await {
                    Ok(0) => break true,
                    Ok(_) if chunk.len() >= limits::CHUNK_BYTES => break false,
                    Ok(_) => {}
                    Err(cause) => {
                        *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(cause);
                        return None;
                    }
                }
            };
            sent += chunk.len() as u64;
            on_bytes(sent);
            let request = UploadRequest { chunk: chunk.freeze(), last };
            Some((request, (!last).then_some((reader, sent, on_bytes))))
        }
    })
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;

    use super::*;

    async fn requests(
        reader: impl AsyncRead + Send + Unpin + 'static,
    ) -> (Vec<UploadRequest>, Option<io::Error>) {
        let failure = ReadFailure::default();
        let all = chunks(Box::new(reader), failure.clone(), |_| ()).collect().await;
        let failed = failure.lock().expect("not poisoned").take();
        (all, failed)
    }

    #[tokio::test]
    async fn only_the_last_chunk_says_so_and_no_byte_is_lost() {
        for length in [0, 1, limits::CHUNK_BYTES, limits::CHUNK_BYTES + 1, 3 * limits::CHUNK_BYTES] {
            let bytes: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
            let (requests, failed) = requests(io::Cursor::new(bytes.clone())).await;
            assert!(failed.is_none());
            let joined: Vec<u8> = requests.iter().flat_map(|request| request.chunk.to_vec()).collect();
            assert_eq!(joined, bytes);
            assert_eq!(requests.iter().filter(|request| request.last).count(), 1);
            assert!(requests.last().is_some_and(|request| request.last));
            assert!(requests.iter().all(|request| request.chunk.len() <= limits::CHUNK_BYTES));
        }
    }

    #[tokio::test]
    async fn a_file_that_breaks_while_read_is_never_called_complete() {
        struct Broken;
        impl AsyncRead for Broken {
            fn poll_read(
                self: std::pin::Pin<&mut Self>,
                _: &mut std::task::Context<'_>,
                _: &mut tokio::io::ReadBuf<'_>,
            ) -> std::task::Poll<io::Result<()>> {
                std::task::Poll::Ready(Err(io::Error::other("disk on fire")))
            }
        }
        let (requests, failed) = requests(io::Cursor::new(vec![7; 10]).chain(Broken)).await;
        assert!(requests.iter().all(|request| !request.last));
        assert!(failed.is_some());
    }
}
