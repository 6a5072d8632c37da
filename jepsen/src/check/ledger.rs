//! The ledger: it only grows, every acknowledged record is in it, and the store proves itself.

use lineate_client::{
    Client,
    v1::{Dataset, Direction, TraceRequest},
};

use super::{Depth, status};
use crate::{Error, Result, history::Shared, random::Random, workload::reference};

/// Records that are looked up where not all are.
const SOME: usize = 12;

pub(super) async fn unchanged(
    client: &Client,
    history: &Shared,
    random: &mut Random,
    depth: Depth,
) -> Result<()> {
    let entries = status(client).await?.ledger_entries;
    let (before, mut records) = {
        let history = history.lock();
        let datasets = history.trainings.iter().filter_map(|training| training.dataset.as_ref());
        let datasets = datasets.map(|dataset| (dataset.record.clone(), Some(dataset.commit_time_us)));
        let loads = history.loads.iter().filter_map(|load| load.report.as_ref());
        let loads = loads.map(|report| (report.record.clone(), Some(report.commit_time_us)));
        (history.ledger_entries, datasets.chain(loads).collect::<Vec<_>>())
    };
    if entries < before {
        return Err(Error::violation(format!("the ledger had {before} entries and has {entries}")));
    }
    history.lock().ledger_entries = entries;
    if depth == Depth::Recent {
        let newest = records.split_off(records.len().saturating_sub(SOME / 2));
        let older = records.len() as u64;
        let chosen = (0..SOME / 2).filter_map(|_| records.get(random.below(older) as usize).cloned());
        records = chosen.chain(newest).collect();
    }
    for (record, commit_time_us) in records {
        let node =
            client.show_node(&record).await.map_err(Error::asking(format!("showing record {record}")))?;
        let found = node.node.as_ref().map(|node| (node.id.as_str(), node.commit_time_us, node.sequence));
        let is_it = |(id, time, sequence)| {
            id == record && commit_time_us.is_none_or(|expected| expected == time) && sequence < entries
        };
        if !found.is_some_and(is_it) {
            return Err(Error::violation(format!(
                "record {record} of {commit_time_us:?} is shown as {found:?}"
            )));
        }
    }
    if depth == Depth::All {
        let report = client.verify(None, |_| ()).await.map_err(Error::asking("verifying the store"))?;
        if !report.verified {
            return Err(Error::violation(format!("the store is not verified: {:?}", report.findings)));
        }
    }
    Ok(())
}

/// How many seals a training set was made from, as its lineage tells.
///
/// # Errors
/// The server is gone.
pub async fn seals(client: &Client, dataset: &Dataset) -> Result<u64> {
    let node = format!("dataset:{}", reference(dataset));
    // Its inputs, and theirs: where there are many they are named in collections.
    let mut request =
        TraceRequest { node, direction: Direction::Up.into(), depth: Some(2), ..TraceRequest::default() };
    let mut seals = 0;
    loop {
        let page = client.trace(request.clone()).await.map_err(Error::asking("tracing a training set"))?;
        seals += page.nodes.iter().filter(|node| node.kind == "seal").count() as u64;
        if page.complete {
            return Ok(seals);
        }
        request.cursor = page.cursor;
    }
}
