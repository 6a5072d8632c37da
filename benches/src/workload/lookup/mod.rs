//! Lookups: features of some entities, now. First what is sustained in a closed loop, then latencies in an open loop at
//! shares of that, of the server, of an echo of its bytes and of Redis, all at the same rates.

mod cold;
mod measure;
mod page;
mod target;

use std::sync::Arc;

use cold::Cold;
use measure::{Measured, Route, Way, measure};
use target::{Asked, Lookup, Order, RedisLookup};

pub(super) use target::entities;

use super::{Bench, tell};
use crate::{
    Error, Result,
    floor::echo,
    load::{Closed, Open},
    peer::redis::Redis,
    process::Child,
    report::Section,
    server::{self, Server},
};

/// Lookups whose answers are held against those of Redis before anything is timed.
const COMPARED: u64 = 50;

/// How many entities are asked at a time, over how many connections.
#[derive(Debug, Clone, Copy)]
struct Shape {
    entities: usize,
    connections: usize,
}

/// Everything taken for one shape.
struct Taken {
    shape: Shape,
    /// In the closed loop.
    most: Vec<Measured>,
    rates: Vec<AtRate>,
}

/// The open loop at one rate.
struct AtRate {
    /// Of what the server sustains.
    percent: u32,
    per_second: f64,
    ways: Vec<Measured>,
}

/// Those who answer.
struct Answerers {
    lineate: Server,
    echo: Child,
    redis: Option<Redis>,
}

pub(super) async fn run(bench: &Bench) -> Result<Section> {
    tell("lookups, loading");
    let lineate = bench.server(&bench.payments).await?;
    lineate.ingest(&bench.payments).await?;
    let cold = cold::first_lookups(bench, &lineate).await?;
    cold::sweep(bench, &lineate).await?;
    let answerers = Answerers::start(bench, lineate).await?;
    let mut taken = Vec::new();
    for &entities in &bench.scale.lookup_entities {
        for &connections in &bench.scale.lookup_connections {
            let shape = Shape { entities, connections };
            let ways = answerers.ways(bench, shape).await?;
            taken.push(take(bench, shape, &ways).await?);
        }
    }
    Ok(page::section(bench, &cold, &taken))
}

async fn take(bench: &Bench, shape: Shape, ways: &[Way]) -> Result<Taken> {
    let scale = &bench.scale;
    let Shape { entities, connections } = shape;
    tell(&format!("lookups of {entities} over {connections} connections, closed loop"));
    let closed =
        Closed { concurrency: scale.lookup_concurrency, warm_up: scale.warm_up, time: scale.loop_time };
    let most = measure(ways, scale.runs, async |route| closed.run(route).await).await?;
    if let Some(failed) = most.iter().find(|way| way.failed > 0) {
        let why = failed.error.clone().unwrap_or_default();
        return Err(Error::Wrong(format!("{} failed {} lookups: {why}", failed.name, failed.failed)));
    }
    let sustained = most.first().map_or(0.0, |lineate| lineate.per_second.median);
    let mut rates = Vec::new();
    for &percent in &scale.lookup_loads_percent {
        let per_second = (sustained * f64::from(percent) / 100.0).round().max(1.0);
        tell(&format!("lookups of {entities} over {connections} connections, {per_second} a second"));
        let open = Open { per_second, warm_up: scale.warm_up, time: scale.loop_time };
        let ways = measure(ways, scale.runs, async |route| open.run(route).await).await?;
        rates.push(AtRate { percent, per_second, ways });
    }
    Ok(Taken { shape, most, rates })
}

impl Answerers {
    /// Starts the others on the data of the server, and holds their answers against each other.
    async fn start(bench: &Bench, lineate: Server) -> Result<Self> {
        let mut replies = Vec::new();
        for &entities in &bench.scale.lookup_entities {
            let asked = Asked { entities, order: Order::Skewed, data: bench.scale.data };
            replies.push(target::reply(lineate.child().address(), bench.payments.service, asked).await?);
        }
        let echo = echo::start(&bench.own_program, lineate.beside(), &replies)?;
        let redis = match &bench.redis {
            Ok(_) => Some(Redis::start(lineate.beside()).await?),
            Err(_) => None,
        };
        let answerers = Self { lineate, echo, redis };
        if let Some(redis) = &answerers.redis {
            redis.load(&bench.scale.data).await?;
            answerers.compare(bench, redis).await?;
        }
        Ok(answerers)
    }

    /// Refuses to time answers that differ in the number of values.
    async fn compare(&self, bench: &Bench, redis: &Redis) -> Result<()> {
        let asked = Asked { entities: 10, order: Order::Skewed, data: bench.scale.data };
        let ours = Lookup { clients: self.lineate.clients(1).await?, service: bench.payments.service, asked };
        let theirs = RedisLookup { connections: vec![redis.connect().await?], asked };
        for number in 0..COMPARED {
            let (ours, theirs) = (ours.values(number).await?, theirs.values(number).await?);
            if ours != theirs {
                return Err(Error::Wrong(format!("lookup {number}: {ours} values, {theirs} in Redis")));
            }
        }
        Ok(())
    }

    /// The ways to ask them, the server first.
    async fn ways(&self, bench: &Bench, shape: Shape) -> Result<Vec<Way>> {
        let asked = Asked { entities: shape.entities, order: Order::Skewed, data: bench.scale.data };
        let mut ways = Vec::new();
        for (name, child) in [("Lineate", self.lineate.child()), ("echo", &self.echo)] {
            let clients = server::clients(child.address(), shape.connections).await?;
            let lookup = Lookup { clients, service: bench.payments.service, asked };
            ways.push(Way { name, process_id: child.id(), route: Arc::new(Route::Lookup(lookup)) });
        }
        if let Some(redis) = &self.redis {
            let mut connections = Vec::new();
            for _ in 0..shape.connections {
                connections.push(redis.connect().await?);
            }
            let route = Arc::new(Route::Redis(RedisLookup { connections, asked }));
            ways.push(Way { name: "Redis", process_id: redis.child().id(), route });
        }
        Ok(ways)
    }
}
