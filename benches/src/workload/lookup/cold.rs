//! Keys asked for the first time, one lookup after the other; then all others, so that what follows finds them warm.

use std::time::Instant;

use super::target::{Asked, Lookup, Order};
use crate::{
    Result,
    data::payments,
    load::{Latency, Spread},
    server::Server,
    workload::{Bench, tell},
};

/// Entities of one lookup while everything is asked for once.
const SWEEP_ENTITIES: usize = 100;

/// The first lookups of so many entities.
pub(super) struct Cold {
    pub(super) entities: usize,
    pub(super) lookups: u64,
    pub(super) p50_ms: Spread,
    pub(super) p99_ms: Spread,
}

/// Asks for keys nobody asked for before: in every run for others.
pub(super) async fn first_lookups(bench: &Bench, server: &Server) -> Result<Vec<Cold>> {
    let scale = &bench.scale;
    // Beyond the merchants, lookups would share keys with earlier ones.
    let shares = (scale.runs * scale.lookup_entities.len()) as u64;
    let share = (scale.data.merchants / shares).max(1);
    let mut next = 0;
    let mut cold = Vec::new();
    for &entities in &scale.lookup_entities {
        let lookups = (share / entities as u64).max(1);
        let mut runs = Vec::new();
        for _ in 0..scale.runs {
            let asked = Asked { entities, order: Order::Swept(next), data: scale.data };
            runs.push(one_by_one(bench, server, asked, lookups).await?);
            next += share;
        }
        let quantile = |share| Spread::of(runs.iter().map(|latency: &Latency| latency.quantile_ms(share)));
        cold.push(Cold { entities, lookups, p50_ms: quantile(0.5), p99_ms: quantile(0.99) });
    }
    Ok(cold)
}

/// Asks for every key once.
pub(super) async fn sweep(bench: &Bench, server: &Server) -> Result<()> {
    tell("lookups, asking for every key once");
    let asked = Asked { entities: SWEEP_ENTITIES, order: Order::Swept(0), data: bench.scale.data };
    let lookups = payments::sweep_length(&bench.scale.data).div_ceil(SWEEP_ENTITIES as u64);
    one_by_one(bench, server, asked, lookups).await?;
    Ok(())
}

async fn one_by_one(bench: &Bench, server: &Server, asked: Asked, lookups: u64) -> Result<Latency> {
    let lookup = Lookup { clients: server.clients(1).await?, service: bench.payments.service, asked };
    let mut latency = Latency::default();
    for number in 0..lookups {
        let sent = Instant::now();
        lookup.values(number).await?;
        latency.record(sent.elapsed());
    }
    Ok(latency)
}
