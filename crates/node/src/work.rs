//! Long work that several steps make up: it runs to an end of its own, also where its caller goes away.
//!
//! Invariants:
//! - a caller who is dropped, and a node that stops, ask the work to stop and cut off no await of it: whatever it
//!   holds is let go by the code that took it, and what it began it ends;
//! - the groups stop after the last work.

use lineate_state::meta::LoadOutcome;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::{Error, Node, Result};

/// Whoever waits for some work.
#[derive(Debug, Clone)]
pub struct Caller {
    gone: CancellationToken,
}

impl Caller {
    /// To be asked now and then, wherever the work may end early.
    ///
    /// # Errors
    /// The caller went away, or the node stops.
    pub fn check(&self) -> Result<()> {
        match self.gone.is_cancelled() {
            true => Err(Error::Cancelled),
            false => Ok(()),
        }
    }
}

/// What a node has not finished yet; nothing, once nobody asks for anything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unfinished {
    /// Long work under way, for somebody or to clean up after somebody who went away.
    pub work: usize,
    /// Bulk loads that are neither committed nor aborted.
    pub loads: usize,
    /// Stages of bulk loads in shards that are not resolved.
    pub stages: usize,
    /// Files that were handed over, or are being, and are still there.
    pub uploads: usize,
}

impl Node {
    /// What is not finished yet.
    pub fn unfinished(&self) -> Unfinished {
        let is_pending = |outcome| matches!(outcome, LoadOutcome::Pending);
        Unfinished {
            work: self.tasks().len(),
            loads: self.meta().read().loads().filter(|(_, load)| is_pending(load.outcome)).count(),
            stages: self.shard_ids().map(|shard| self.shard(shard).read().staged().count()).sum(),
            uploads: self.uploads().count(),
        }
    }

    /// Runs work that is told when its caller goes away: when the future returned here is dropped.
    ///
    /// # Errors
    /// Those of the work, or the node stops.
    pub async fn work<T, E, Work>(&self, work: impl FnOnce(Caller) -> Work) -> std::result::Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        Work: Future<Output = std::result::Result<T, E>> + Send + 'static,
    {
        let caller = Caller { gone: self.stop().child_token() };
        caller.check()?;
        let _leaving = caller.gone.clone().drop_guard();
        let working = self.tasks().spawn(work(caller).in_current_span());
        working.await.map_err(Error::from)?
    }
}
