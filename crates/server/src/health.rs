//! Whether the server can serve, for balancers, probes and people.
//!
//! `/health` asks whether the process should go on (liveness): anything but a store that failed. `/health/ready`
//! asks whether requests should be sent here (readiness). A store that only takes no writes is ready: taking it
//! from its readers would help nobody.

use futures::FutureExt;
use lineate_node::Node;
use lineate_types::HasKind;
use serde_json::{Value, json};

/// What the server is able to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Everything.
    Ready,
    /// Reads; the disk is nearly full.
    ReadOnly,
    /// Nothing until its groups have leaders.
    NotReady,
    /// Finishing what is under way.
    Stopping,
    /// Nothing ever again in this process.
    Failed,
}

/// The state with its reasons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Health {
    pub(crate) state: State,
    /// A line each; empty when ready.
    pub(crate) reasons: Vec<String>,
    /// Bytes left on the disk, where the operating system tells.
    pub(crate) available_bytes: Option<u64>,
}

impl State {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::ReadOnly => "read_only",
            Self::NotReady => "not_ready",
            Self::Stopping => "stopping",
            Self::Failed => "failed",
        }
    }
}

impl Health {
    /// Looks at a node. Asks the file system: not for threads that serve.
    pub(crate) fn of(node: &Node, stopping: bool) -> Self {
        let available_bytes = node.data_dir().available_bytes().ok();
        let (state, reasons) = if let Some(reason) = node.failed().now_or_never() {
            (State::Failed, vec![reason])
        } else if stopping {
            (State::Stopping, vec!["the server was told to stop".to_owned()])
        } else {
            judge(node)
        };
        Self { state, reasons, available_bytes }
    }

    /// Whether reads are answered.
    pub(crate) fn reads(&self) -> bool {
        matches!(self.state, State::Ready | State::ReadOnly)
    }

    /// Whether writes are accepted.
    pub(crate) fn writes(&self) -> bool {
        self.state == State::Ready
    }

    /// Whether a process in this state should be left alone.
    pub(crate) fn alive(&self) -> bool {
        self.state != State::Failed
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "state": self.state.as_str(),
            "reads": self.reads(),
            "writes": self.writes(),
            "reasons": self.reasons,
            "available_bytes": self.available_bytes,
        })
    }
}

fn judge(node: &Node) -> (State, Vec<String>) {
    let leaderless = node.groups().into_iter().filter(|group| !group.leads);
    let leaderless: Vec<String> =
        leaderless.map(|group| format!("group {} has no leader here", group.group)).collect();
    if !leaderless.is_empty() {
        return (State::NotReady, leaderless);
    }
    match node.check_space() {
        Ok(()) => (State::Ready, Vec::new()),
        Err(error) => {
            tracing::debug!(kind = %error.kind(), %error, "writes are refused");
            (State::ReadOnly, vec![error.to_string()])
        }
    }
}
