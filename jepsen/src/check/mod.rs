//! What must hold after a crash, asked of the store that came back.
//!
//! In order: nothing acknowledged is lost and every unknown operation is wholly there or not at all (`rows`);
//! repeating what was unknown, and some of what was acknowledged, changes nothing twice (`repeats`); training
//! sets and the ledger are what they were (`trainings`, `ledger`); lookups equal training sets (`online`).

mod ledger;
mod online;
mod repeats;
mod rows;
mod trainings;

use lineate_client::Client;

use crate::{Error, Result, history::Shared, random::Random, table};

pub use ledger::seals;

/// The training sets of the checks, over all rows that are looked at.
pub const CHECK: &str = "check";

/// How much is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// The newest rows and some of the others.
    Recent,
    /// Every row, every training set, every byte.
    All,
}

/// What a check found out.
#[derive(Debug, Clone, Copy, Default)]
pub struct Findings {
    /// Operations without an answer that had had their effect.
    pub unknown_done: u64,
    /// Operations without an answer that had had none.
    pub unknown_void: u64,
    /// Of the batches without an answer, those that were there in some shards only.
    pub partial: u64,
    /// Batches that were sent again.
    pub repeated: u64,
}

/// Checks a store that came back, while nobody else works on it.
///
/// # Errors
/// A promise is broken.
pub async fn check(client: &Client, history: &Shared, random: &mut Random, depth: Depth) -> Result<Findings> {
    let mut findings = Findings::default();
    let plan = client.plan(table::definitions()).await.map_err(Error::asking("planning"))?;
    if let Some(change) =
        plan.changes.iter().find(|change| change.kind() != lineate_client::v1::plan::Kind::Unchanged)
    {
        return Err(Error::violation(format!(
            "a definition that was applied is gone or changed: {change:?}"
        )));
    }
    trainings::settle(client, history, &mut findings).await?;
    let shards = u16::try_from(status(client).await?.shards).unwrap_or(u16::MAX);
    let labels = match depth {
        Depth::All => usize::MAX,
        Depth::Recent => 6_000,
    };
    let unknown = rows::settle(client, history, random, shards, labels).await?;
    rows::count(client, history).await?;
    repeats::all(client, history, random, unknown, &mut findings).await?;
    rows::count(client, history).await?;
    trainings::unchanged(client, history, random, depth).await?;
    online::equals_served(client, history).await?;
    ledger::unchanged(client, history, random, depth).await?;
    rows::count(client, history).await?;
    Ok(findings)
}

async fn status(client: &Client) -> Result<lineate_client::v1::StatusReply> {
    client.status().await.map_err(Error::asking("the status"))
}
