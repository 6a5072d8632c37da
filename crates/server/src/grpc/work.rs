//! Long work as a stream: progress while it runs, its result at the end, cancelled when nobody listens.

use std::{pin::Pin, sync::Arc};

use futures::{Stream, StreamExt};
use lineate_node::api::{OnProgress, Progress};
use lineate_proto::v1::{self, progress::Unit};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tracing::Instrument;

use crate::{Result, app::App};

/// The stream of a long request.
pub(crate) type Events<Event> = Pin<Box<dyn Stream<Item = Result<Event, Status>> + Send>>;

/// Progress messages that wait to be sent; more are left out, since the next one says more.
const WAITING: usize = 16;

/// Runs heavy work and streams how it goes. It has a place among the few that run at once, which whoever can
/// still report progress holds: work ends a little after its caller left.
pub(crate) fn run<Event, Output, Work, Working>(
    app: &App,
    work: Work,
    on_progress: fn(v1::Progress) -> Event,
    on_end: fn(Output) -> Event,
) -> Result<Events<Event>>
where
    Event: Send + 'static,
    Output: Send + 'static,
    Work: FnOnce(OnProgress) -> Working,
    Working: Future<Output = Result<Output>> + Send + 'static,
{
    let permit = app.heavy()?;
    let (sender, receiver) = mpsc::channel(WAITING);
    let progress: OnProgress = {
        let sender = sender.clone();
        Arc::new(move |progress| {
            let _place = &permit;
            // A full queue loses a line of progress, never the result.
            let _ = sender.try_send(Ok(on_progress(message(progress))));
        })
    };
    let working = work(progress);
    let task = async move {
        let ended = tokio::select! {
            ended = working => ended,
            // The caller is gone: the work is dropped, which tells it to end and leave nothing behind.
            () = sender.closed() => return,
        };
        // The work is over, and its place free, also where the caller is slow to read this.
        let _ = sender.send(ended.map(on_end).map_err(Status::from)).await;
    };
    tokio::spawn(task.in_current_span());
    Ok(ReceiverStream::new(receiver).boxed())
}

fn message(progress: Progress) -> v1::Progress {
    let unit = match progress.unit {
        "rows" => Unit::Rows,
        "bytes" => Unit::Bytes,
        "files" | "blobs" => Unit::Files,
        "segments" => Unit::Segments,
        "entries" => Unit::Entries,
        _ => Unit::Unspecified,
    };
    v1::Progress {
        phase: progress.phase.to_owned(),
        done: progress.done,
        total: progress.total,
        unit: unit.into(),
        warning: String::new(),
    }
}
