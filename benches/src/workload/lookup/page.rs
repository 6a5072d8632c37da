//! The tables of lookups.

use super::{AtRate, Bench, Cold, Measured, Shape, Taken};
use crate::{
    data::payments::View,
    load::Spread,
    report::{Section, Table, cell, figure, ratio, whole},
};

/// Below this share of the rate, a rate is not sustained.
const SUSTAINED: f64 = 0.97;

pub(super) fn section(bench: &Bench, cold: &[Cold], taken: &[Taken]) -> Section {
    let mut tables = vec![most(bench, taken)];
    tables.extend(taken.iter().map(latencies));
    tables.push(first(cold));
    let features: usize = View::ALL.iter().map(|view| view.features().len()).sum();
    Section {
        title: "Lookups".into(),
        paragraphs: vec![
            format!(
                "`GetFeatures` of one service over gRPC: {features} features of {} views with different keys, each \
                 loaded with {} rows. A lookup of 100 entities answers {} values. The client is the Rust client, \
                 which decodes the whole answer; keys are skewed towards some, and each was asked for before, but in \
                 the last table.",
                View::ALL.len(),
                whole(bench.scale.data.rows_per_view),
                whole(100 * features as u64),
            ),
            "*echo* is the floor: a tonic server that answers the same requests of the same client with a reply of \
             the real server made before. *Redis* is a peer: the newest row of every entity as a hash, one HMGET \
             for each view and entity, all of a lookup in one write; without persistence, replication, times, \
             time to live or types. Before anything is timed, answers are held against those of Redis."
                .into(),
            format!(
                "*Sustained* is a closed loop with {} lookups under way. Latencies are of an open loop: lookups are \
                 due at a fixed rate, a share of what Lineate sustains, and their latency counts from then, however \
                 late they are sent; *sent late* says how late half of them were, because a thread slept too long \
                 or had no processor. All are asked at the same rates, in turns.",
                bench.scale.lookup_concurrency
            ),
        ],
        tables,
        notes: slow_floors(taken).chain(failures(taken)).collect(),
        skipped: bench.redis.as_ref().err().map(|skip| skip.of("Redis beside lookups")).into_iter().collect(),
    }
}

fn most(bench: &Bench, taken: &[Taken]) -> Table {
    let columns =
        ["entities", "connections", "of", "lookups/s", "entities/s", "Lineate is", "CPU us per lookup"];
    let caption = format!("Sustained, {} under way", bench.scale.lookup_concurrency);
    let mut table = Table::new(caption, &columns);
    for Taken { shape, most, .. } in taken {
        let ours = most.first().map_or(0.0, |lineate| lineate.per_second.median);
        for way in most {
            table.row([
                whole(shape.entities as u64),
                whole(shape.connections as u64),
                way.name.to_owned(),
                cell(way.per_second),
                figure(way.per_second.median * shape.entities as f64),
                ratio(ours, way.per_second.median),
                figure(way.cpu_us.median),
            ]);
        }
    }
    table
}

fn latencies(taken: &Taken) -> Table {
    let Shape { entities, connections } = taken.shape;
    let columns = [
        "lookups/s",
        "of",
        "p50 ms",
        "p99 ms",
        "p99.9 ms",
        "Lineate's p50 is",
        "Lineate's p99 is",
        "sent late, p50 ms",
        "CPU us per lookup",
    ];
    let connections =
        if connections == 1 { "1 connection".to_owned() } else { format!("{connections} connections") };
    let entities = if entities == 1 { "1 entity".to_owned() } else { format!("{entities} entities") };
    let mut table = Table::new(format!("Latency, {entities}, {connections}"), &columns);
    for AtRate { percent, per_second, ways } in &taken.rates {
        let ours =
            |figure: fn(&Measured) -> Spread| ways.first().map_or(0.0, |lineate| figure(lineate).median);
        for way in ways {
            table.row([
                format!("{} ({percent} %)", figure(*per_second)),
                if sustains(way, *per_second) {
                    way.name.to_owned()
                } else {
                    format!("{}, not sustained", way.name)
                },
                cell(way.p50_ms),
                cell(way.p99_ms),
                way.p999_ms.map_or_else(|| "-".to_owned(), cell),
                ratio(ours(|way| way.p50_ms), way.p50_ms.median),
                ratio(ours(|way| way.p99_ms), way.p99_ms.median),
                figure(way.late_ms.median),
                figure(way.cpu_us.median),
            ]);
        }
    }
    table
}

fn first(cold: &[Cold]) -> Table {
    let mut table = Table::new(
        "First lookups after the load, of keys nobody asked for before, one after the other",
        &["entities", "lookups in a run", "p50 ms", "p99 ms"],
    );
    for Cold { entities, lookups, p50_ms, p99_ms } in cold {
        table.row([whole(*entities as u64), whole(*lookups), cell(*p50_ms), cell(*p99_ms)]);
    }
    table
}

fn sustains(way: &Measured, per_second: f64) -> bool {
    way.failed == 0 && way.per_second.median >= per_second * SUSTAINED
}

/// A floor above what stands on it was not measured well.
fn slow_floors(taken: &[Taken]) -> impl Iterator<Item = String> {
    taken.iter().filter_map(|Taken { shape, most, .. }| {
        let most_of = |name| most.iter().find(|way| way.name == name).map(|way| way.per_second.median);
        let (ours, echo) = (most_of("Lineate")?, most_of("echo")?);
        (echo < ours).then(|| {
            format!(
                "{} entities, {} connections: **the echo sustains less than Lineate**, so something disturbed it; \
                 these ratios compare nothing.",
                shape.entities, shape.connections
            )
        })
    })
}

/// What went wrong at rates that were too high.
fn failures(taken: &[Taken]) -> Vec<String> {
    let mut notes = Vec::new();
    for Taken { shape, rates, .. } in taken {
        for AtRate { per_second, ways, .. } in rates {
            for way in ways.iter().filter(|way| way.failed > 0) {
                let why = way.error.as_deref().unwrap_or("too many were under way to send more");
                notes.push(format!(
                    "{} entities, {} connections, {} lookups/s: {} of {} failed: {why}",
                    shape.entities,
                    shape.connections,
                    figure(*per_second),
                    whole(way.failed),
                    way.name
                ));
            }
        }
    }
    notes
}
