//! The state of the store as figures: one table, read by Prometheus and by OTLP.

use std::sync::atomic::{AtomicU64, Ordering};

use lineate_node::{
    Node,
    api::{CacheStats, NodeStatus},
};
use opentelemetry::metrics::Meter;
use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::{Registry, Unit},
};

/// What the figures are read from.
#[derive(Clone)]
pub(crate) struct Reading {
    status: NodeStatus,
    cache: CacheStats,
}

impl Reading {
    /// Asks a node, which may look at every file of the store: not for threads that serve.
    pub(crate) fn of(node: &Node) -> Self {
        Self { status: node.status(), cache: node.cache_stats() }
    }
}

/// How a figure behaves, and in which unit it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Measure {
    /// Goes up and down.
    Number,
    /// Goes up and down, in bytes.
    Bytes,
    /// Only goes up.
    Count,
}

/// One figure. Prometheus sees `lineate_NAME` (with `_bytes` or `_total`), OTLP `lineate.NAME`.
pub(super) struct Figure {
    name: &'static str,
    help: &'static str,
    measure: Measure,
    of: fn(&Reading) -> u64,
}

/// A figure as Prometheus holds it.
pub(super) enum Shown {
    Gauge(Gauge<u64, AtomicU64>),
    Counter(Counter<u64, AtomicU64>),
}

macro_rules! figures {
    ($($measure:ident $name:literal $help:literal $of:expr;)*) => {
        &[$(Figure { name: $name, help: $help, measure: Measure::$measure, of: $of }),*]
    };
}

/// Every figure.
pub(super) const FIGURES: &[Figure] = figures![
    Number "open_rows" "Rows not yet sealed" |reading| reading.status.open_rows;
    Number "sealed_rows" "Rows in segments" |reading| reading.status.sealed_rows;
    Number "segments" "Segments" |reading| reading.status.segments;
    Bytes "segment" "Size of all segments" |reading| reading.status.segment_bytes;
    Number "ledger_entries" "Entries of the ledger" |reading| reading.status.ledger_entries;
    Number "groups" "Raft groups of the store" |reading| reading.status.groups.len() as u64;
    Number "groups_led" "Raft groups led by this node" groups_led;
    Bytes "disk_available" "Left on the disk of the store" |reading| disk(reading).available_bytes;
    Bytes "disk_log" "Taken by the Raft log" |reading| disk(reading).log_bytes;
    Bytes "disk_kv" "Taken by the key-value store" |reading| disk(reading).kv_bytes;
    Bytes "disk_blobs" "Taken by blobs" |reading| disk(reading).blob_bytes;
    Bytes "disk_sealed_texts" "Taken by sealed texts" |reading| disk(reading).sealed_text_bytes;
    Bytes "disk_tmp" "Taken by temporary files" |reading| disk(reading).tmp_bytes;
    Bytes "disk_quarantine" "Taken by what was moved aside" |reading| disk(reading).quarantine_bytes;
    Count "cache_hits" "Keys of lookups found in the cache" |reading| reading.cache.hits;
    Count "cache_misses" "Keys of lookups not found in the cache" |reading| reading.cache.misses;
    Count "cache_evictions" "Entries pushed out of the cache" |reading| reading.cache.evictions;
    Number "cache_entries" "Entries of the cache" |reading| reading.cache.entries;
    Bytes "cache" "Taken by the cache" |reading| reading.cache.bytes;
    Bytes "cache_capacity" "What the cache may take" |reading| reading.cache.capacity_bytes;
];

fn groups_led(reading: &Reading) -> u64 {
    reading.status.groups.iter().filter(|group| group.leads).count() as u64
}

fn disk(reading: &Reading) -> lineate_node::api::DiskUsage {
    reading.status.disk.unwrap_or_default()
}

impl Figure {
    /// Makes the figure known to Prometheus.
    pub(super) fn register(&self, registry: &mut Registry) -> Shown {
        match self.measure {
            Measure::Number | Measure::Bytes => {
                let gauge = Gauge::<u64, AtomicU64>::default();
                match self.measure {
                    Measure::Bytes => {
                        registry.register_with_unit(self.name, self.help, Unit::Bytes, gauge.clone());
                    }
                    _ => registry.register(self.name, self.help, gauge.clone()),
                }
                Shown::Gauge(gauge)
            }
            Measure::Count => {
                let counter = Counter::<u64, AtomicU64>::default();
                registry.register(self.name, self.help, counter.clone());
                Shown::Counter(counter)
            }
        }
    }

    /// Makes the figure known to OTLP, which asks for it when it exports.
    pub(super) fn observe(
        &self,
        meter: &Meter,
        reading: impl Fn() -> Option<Reading> + Send + Sync + 'static,
    ) {
        let name = format!("lineate.{}", self.name);
        let of = self.of;
        let value = move || reading().map(|reading| of(&reading));
        match self.measure {
            Measure::Count => {
                let counter = meter.u64_observable_counter(name).with_description(self.help);
                counter
                    .with_callback(move |seen| value().into_iter().for_each(|value| seen.observe(value, &[])))
                    .build();
            }
            Measure::Number | Measure::Bytes => {
                let gauge = meter.u64_observable_gauge(name).with_description(self.help);
                let unit = if self.measure == Measure::Bytes { "By" } else { "" };
                gauge
                    .with_unit(unit)
                    .with_callback(move |seen| value().into_iter().for_each(|value| seen.observe(value, &[])))
                    .build();
            }
        }
    }

    /// Shows what was read.
    pub(super) fn show(&self, shown: &Shown, reading: &Reading) {
        let value = (self.of)(reading);
        match shown {
            Shown::Gauge(gauge) => {
                gauge.set(value);
            }
            Shown::Counter(counter) => counter.inner().store(value, Ordering::Relaxed),
        }
    }
}
