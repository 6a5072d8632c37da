//! Keeping the Raft log small: checkpoints of the groups' states, and logs cut behind them.
//!
//! The files of the log are shared by all groups, and a file goes when nothing in it is needed. So all groups that
//! have entries are cut together, however few a group has: when the files take more than the bound, or more than the
//! states themselves, whichever is greater. A state is then written about once for as many bytes of log as all states
//! have together.

use tokio_util::sync::CancellationToken;

use crate::{Error, Node, Result};

impl Node {
    /// Cuts the logs of all groups if they take too much space.
    ///
    /// # Errors
    /// A checkpoint cannot be written, as on a full disk. Nothing is lost.
    pub(crate) async fn cut_logs(&self, stop: &CancellationToken) -> Result<()> {
        let groups = self.consensus().status();
        let states: u64 = groups.iter().filter_map(|group| group.checkpoint).map(|blob| blob.bytes).sum();
        if self.log().bytes_on_disk() < self.log_bytes_limit().max(states) {
            return Ok(());
        }
        for before in groups.into_iter().filter(|group| group.log_bytes > 0) {
            if stop.is_cancelled() {
                return Ok(());
            }
            let needed = before.log_bytes + before.checkpoint.map_or(0, |blob| blob.bytes);
            self.check_space_for(needed)?;
            let after = self.consensus().cut(before.group).await.map_err(Error::from)?;
            tracing::debug!(
                group = %before.group, from = before.cut, to = after.cut, checkpoint = ?after.checkpoint, "log cut"
            );
            if before.checkpoint != after.checkpoint {
                self.keeper().suspect(before.checkpoint.map(|blob| blob.hash));
            }
        }
        Ok(())
    }
}
