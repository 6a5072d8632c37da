//! Long work: a stream of progress that ends with a result.

use futures::StreamExt;
use lineate_proto::v1::{self, Progress};
use tonic::Streaming;

use crate::{Error, Result};

/// One event of long work.
pub(crate) enum Event<T> {
    Progress(Progress),
    Done(T),
}

/// A message that is progress or the result.
pub(crate) trait WorkEvent {
    type Output;
    /// What the message says; none if it says nothing.
    fn into_event(self) -> Option<Event<Self::Output>>;
}

macro_rules! work_event {
    ($message:ident, $module:ident, $variant:ident, $output:ident) => {
        impl WorkEvent for v1::$message {
            type Output = v1::$output;
            fn into_event(self) -> Option<Event<Self::Output>> {
                match self.event? {
                    v1::$module::Event::Progress(progress) => Some(Event::Progress(progress)),
                    v1::$module::Event::$variant(output) => Some(Event::Done(output)),
                }
            }
        }
    };
}

work_event!(IngestEvent, ingest_event, Report, LoadReport);
work_event!(CreateDatasetEvent, create_dataset_event, Dataset, Dataset);
work_event!(VerifyDatasetEvent, verify_dataset_event, Report, VerifyReport);
work_event!(VerifyEvent, verify_event, Report, VerifyReport);

/// Follows the stream to its result. An event this release does not know is passed over.
pub(crate) async fn follow<E: WorkEvent>(
    mut events: Streaming<E>,
    mut on_progress: impl FnMut(Progress),
) -> Result<E::Output> {
    while let Some(event) = events.next().await {
        match event?.into_event() {
            Some(Event::Progress(progress)) => on_progress(progress),
            Some(Event::Done(output)) => return Ok(output),
            None => {}
        }
    }
    Err(Error::answer("the stream of progress ended without a result"))
}
