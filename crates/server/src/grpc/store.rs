//! Rows on their way in.

use std::{pin::pin, time::Duration};

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use lineate_node::{
    Node,
    api::{LoadFile, LoadReport, LoadRequest, UploadInfo},
};
use lineate_proto::v1::{
    self, IngestEvent, IngestRequest, OpenWriterRequest, PushAck, PushRequest, UploadReply, UploadRequest,
    Writer, ingest_event::Event, load_report::Source, store_server::Store,
};
use lineate_types::{WriterId, limits};
use tonic::{Code, Request, Response, Status, Streaming};

use super::{
    Service, push,
    work::{self, Events},
};
use crate::{Error, Result, reader, trace};

/// How long an upload may pause.
const UPLOAD_PAUSE: Duration = Duration::from_secs(60);

#[tonic::async_trait]
impl Store for Service {
    type IngestStream = Events<IngestEvent>;
    type PushStream = Events<PushAck>;

    async fn upload(
        &self,
        request: Request<Streaming<UploadRequest>>,
    ) -> Result<Response<UploadReply>, Status> {
        Ok(Response::new(upload(self.0.node(), chunks(request.into_inner())).await?))
    }

    async fn ingest(&self, request: Request<IngestRequest>) -> Result<Response<Self::IngestStream>, Status> {
        let IngestRequest { view, files, again } = request.into_inner();
        let reference = reader::reference("view", &view)?;
        trace::about("view", &view);
        let files = files.iter().map(load_file).collect::<Result<Vec<_>>>()?;
        let request = LoadRequest { project: reference.project, view: reference.name, files, again };
        let app = self.0.clone();
        let events = work::run(
            &self.0,
            |progress| async move {
                let report = app.node().ingest(app.principal(), request, progress).await?;
                app.metrics().rows_written(report.rows);
                Ok(report)
            },
            |progress| IngestEvent { event: Some(Event::Progress(progress)) },
            |report| IngestEvent { event: Some(Event::Report(message(report))) },
        )?;
        Ok(Response::new(events))
    }

    async fn open_writer(&self, request: Request<OpenWriterRequest>) -> Result<Response<Writer>, Status> {
        let resume = request.into_inner().writer_id.map(WriterId);
        let app = &self.0;
        let position = app.node().open_writer(app.principal(), resume).await.map_err(Error::from)?;
        Ok(Response::new(Writer { writer_id: position.writer.0, epoch: position.epoch }))
    }

    async fn push(
        &self,
        request: Request<Streaming<PushRequest>>,
    ) -> Result<Response<Self::PushStream>, Status> {
        Ok(Response::new(push::acks(self.0.clone(), request.into_inner())))
    }
}

/// Takes a file, which ends where its parts do. One that breaks off leaves nothing.
///
/// # Errors
/// The parts pause too long or break off, too many uploads are there, or the disk is full.
pub(crate) async fn upload(node: &Node, parts: impl Stream<Item = Result<Bytes>>) -> Result<UploadReply> {
    let mut parts = pin!(parts);
    let mut sink = node.upload().await?;
    loop {
        let next = tokio::time::timeout(UPLOAD_PAUSE, parts.next());
        let part = next.await.map_err(|_| {
            Error::Invalid(format!("the upload paused for {} s and was given up", UPLOAD_PAUSE.as_secs()))
        })?;
        match part {
            Some(part) => sink.write(part?).await?,
            None => {
                let UploadInfo { id, hash, bytes } = sink.finish().await?;
                return Ok(UploadReply { upload_id: id.to_string(), hash: hash.to_string(), bytes });
            }
        }
    }
}

/// The parts of a file, up to the one that says it is the last.
fn chunks(requests: Streaming<UploadRequest>) -> impl Stream<Item = Result<Bytes>> {
    stream::try_unfold(Some(requests), async |requests| {
        let Some(mut requests) = requests else { return Ok(None) };
        let UploadRequest { chunk, last, .. } = match requests.next().await {
            Some(Ok(request)) => request,
            Some(Err(status)) if status.code() == Code::Unavailable => return Err(Error::Stopping),
            _ => return Err(Error::Invalid("the upload was cut short; send the file again".into())),
        };
        if chunk.len() > limits::CHUNK_BYTES {
            return Err(Error::Invalid(format!(
                "a chunk has {} bytes; at most {} are allowed",
                chunk.len(),
                limits::CHUNK_BYTES
            )));
        }
        Ok(Some((chunk, (!last).then_some(requests))))
    })
}

/// The upload a request names.
///
/// # Errors
/// The text names none.
pub(super) fn upload_id(text: &str) -> Result<u64> {
    text.parse().map_err(|_| Error::Invalid(format!("`{text}` is not the id of an upload")))
}

fn load_file(file: &v1::IngestFile) -> Result<LoadFile> {
    Ok(LoadFile { path: file.name.clone(), upload: upload_id(&file.upload_id)? })
}

fn message(report: LoadReport) -> v1::LoadReport {
    v1::LoadReport {
        view: report.view,
        load_id: report.load.0,
        already_loaded: report.already_loaded,
        rows: report.rows,
        tombstones: report.tombstones,
        commit_time_us: report.commit_time.0,
        sources: report
            .files
            .into_iter()
            .map(|file| Source {
                name: file.path,
                hash: file.hash.to_string(),
                rows: file.rows,
                format: file.format.to_owned(),
                skipped: file.skipped,
                commit_time_us: file.commit_time.0,
                record: file.record.to_string(),
            })
            .collect(),
        segments: report.segments,
        segment_bytes: report.segment_bytes,
        record: report.record.to_string(),
    }
}
