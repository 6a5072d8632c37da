//! How much is measured: sizes and durations, for the report and for a smoke test.

use std::time::Duration;

/// Sizes and durations of all workloads.
#[derive(Debug, Clone)]
pub struct Scale {
    /// Times every figure is taken.
    pub runs: usize,
    /// The generated data.
    pub data: DataScale,
    /// Rows of a pushed batch, one figure each.
    pub push_batch_rows: Vec<usize>,
    /// Writers that push at the same time, each with one batch under way; one figure each.
    pub push_writers: Vec<usize>,
    /// Entities of one lookup, one figure each.
    pub lookup_entities: Vec<usize>,
    /// Connections that carry the lookups, one figure each.
    pub lookup_connections: Vec<usize>,
    /// Rates of lookups, in percent of what the server sustains in a closed loop.
    pub lookup_loads_percent: Vec<u32>,
    /// Lookups under way in the closed loop.
    pub lookup_concurrency: usize,
    /// How long one run of a closed or open loop takes.
    pub loop_time: Duration,
    /// How long a loop runs before anything is counted.
    pub warm_up: Duration,
    /// Appends of one run of the fsync floor.
    pub fsync_appends: usize,
}

/// Size of the generated data.
#[derive(Debug, Clone, Copy)]
pub struct DataScale {
    /// Rows of the history of each view.
    pub rows_per_view: u64,
    /// Rows of the spine.
    pub labels: u64,
    /// Customers; there are two cards for each.
    pub customers: u64,
    /// Merchants.
    pub merchants: u64,
}

impl Scale {
    /// What `REPORT.md` is made from.
    pub fn report(runs: usize) -> Self {
        Self {
            runs,
            data: DataScale {
                rows_per_view: 1_000_000,
                labels: 500_000,
                customers: 100_000,
                merchants: 20_000,
            },
            push_batch_rows: vec![1, 100, 1_000],
            push_writers: vec![1, 16, 64],
            lookup_entities: vec![1, 100],
            lookup_connections: vec![1, 16],
            lookup_loads_percent: vec![25, 50, 75, 90],
            lookup_concurrency: 64,
            loop_time: Duration::from_secs(3),
            warm_up: Duration::from_millis(500),
            fsync_appends: 500,
        }
    }

    /// Everything once and tiny: whether it works, not how fast.
    pub fn smoke() -> Self {
        Self {
            runs: 1,
            data: DataScale { rows_per_view: 4_000, labels: 1_000, customers: 500, merchants: 100 },
            push_batch_rows: vec![1, 100],
            push_writers: vec![1, 4],
            lookup_entities: vec![1, 100],
            lookup_connections: vec![1, 2],
            lookup_loads_percent: vec![50],
            lookup_concurrency: 8,
            loop_time: Duration::from_millis(250),
            warm_up: Duration::from_millis(50),
            fsync_appends: 20,
        }
    }
}
