//! Which prefix of the log a question is about.

use lineate_types::TimestampUs;

use super::Graph;

/// A prefix of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum At {
    /// All entries there are.
    #[default]
    Newest,
    /// The first so many entries: what a checkpoint of this size covers.
    Size(u64),
    /// The entries with a commit time at or below this.
    Time(TimestampUs),
}

impl From<Option<TimestampUs>> for At {
    fn from(time: Option<TimestampUs>) -> Self {
        time.map_or(Self::Newest, Self::Time)
    }
}

impl Graph {
    /// The number of entries in a prefix, at most all there are.
    pub fn size_at(&self, at: At) -> u64 {
        match at {
            At::Newest => self.size(),
            At::Size(size) => size.min(self.size()),
            At::Time(time) => self.commit_times.partition_point(|commit_time| *commit_time <= time) as u64,
        }
    }
}
