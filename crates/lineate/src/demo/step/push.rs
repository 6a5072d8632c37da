//! Rows that arrive late, in a stream: what they change now, and that they change nothing of what was answered.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use arrow::{
    array::{AsArray, RecordBatch},
    datatypes::Int64Type,
};
use futures::stream;
use lineate_client::{Answer, Client, PushSummary, Rows, RowsPayload};
use lineate_types::TimestampUs;
use serde_json::{Value, json};

use super::{look_up::features, odd_answer};
use crate::{
    demo::{
        comparison::differing_entities,
        data::{CUSTOMER, Data, Pair},
        timing::{micros, rate},
    },
    error::Error,
    output::{Page, Report, file, number},
};

/// Rows that are sent, written and acknowledged together.
const BATCH_ROWS: usize = 100;

/// What late rows did.
pub(in crate::demo) struct Pushed {
    summary: PushSummary,
    shards: BTreeSet<u32>,
    elapsed: Duration,
    /// Customers with late rows.
    customers: u64,
    /// Those whose features are others now than before the push.
    changed: u64,
    /// The time of the answers before the push.
    before: TimestampUs,
    /// Customers whose features, asked for as of then, are no longer what was answered then.
    rewritten: u64,
}

/// Pushes, and asks before and after.
pub(in crate::demo) async fn push(client: &Client, data: &Data) -> Result<Pushed, Error> {
    let pairs = pairs(&data.late, &data.kept);
    let before = ask(client, &pairs, None).await?;
    let as_of = before.iter().map(|answer| answer.as_of).max().unwrap_or(TimestampUs::MIN);
    let mut shards = BTreeSet::new();
    let started = Instant::now();
    let batches = batches(&data.late)?;
    let summary = client
        .push("card_activity", stream::iter(batches.into_iter().map(Ok)), |ack| {
            shards.extend(ack.shards.iter().map(|shard| shard.shard));
        })
        .await?;
    let elapsed = started.elapsed();
    let after = ask(client, &pairs, None).await?;
    let again = ask(client, &pairs, Some(as_of)).await?;
    Ok(Pushed {
        summary,
        shards,
        elapsed,
        customers: pairs.len() as u64,
        changed: differing(&before, &after)?,
        before: as_of,
        rewritten: differing(&before, &again)?,
    })
}

async fn ask(client: &Client, pairs: &[Pair], at: Option<TimestampUs>) -> Result<Vec<Answer>, Error> {
    let mut answers = Vec::new();
    for pairs in pairs.chunks(1_000) {
        answers.push(features(client, pairs, at).await?);
    }
    Ok(answers)
}

fn differing(one: &[Answer], other: &[Answer]) -> Result<u64, Error> {
    let answers = one.iter().zip(other);
    answers.map(|(one, other)| differing_entities(one, other).map_err(odd_answer)).sum()
}

/// Every customer with rows in a batch, each once.
fn pairs(rows: &RecordBatch, any: &Pair) -> Vec<Pair> {
    let customers = rows.column_by_name(CUSTOMER).and_then(|column| column.as_primitive_opt::<Int64Type>());
    let distinct: BTreeSet<i64> =
        customers.into_iter().flat_map(|ids| ids.values().iter().copied()).collect();
    let pair = |customer_id| Pair { customer_id, merchant_id: any.merchant_id.clone() };
    distinct.into_iter().map(pair).collect()
}

fn batches(rows: &RecordBatch) -> Result<Vec<Rows>, Error> {
    let starts = (0..rows.num_rows()).step_by(BATCH_ROWS);
    starts
        .map(|start| {
            let part = rows.slice(start, BATCH_ROWS.min(rows.num_rows() - start));
            let mut lines = Vec::new();
            file::ndjson(&part, &mut lines)?;
            Ok(Rows { payload: RowsPayload::Ndjson(lines.into()), first_row: start as u64 + 1 })
        })
        .collect()
}

impl Pushed {
    /// Rows acknowledged.
    pub(in crate::demo) fn rows(&self) -> u64 {
        self.summary.rows
    }

    /// Rows a second, each batch durable before it counts.
    pub(in crate::demo) fn rate(&self) -> u64 {
        rate(self.summary.rows, self.elapsed)
    }
}

impl Report for Pushed {
    fn text(&self, page: &mut Page) {
        let summary = &self.summary;
        page.verdict(
            true,
            &format!(
                "{} acknowledged by {}",
                number::counted(summary.rows, "late row"),
                number::counted(self.shards.len() as u64, "shard")
            ),
            &format!("{} · {} rows/s", number::duration(self.elapsed), number::count(self.rate())),
        );
        let (changed, customers) = (number::count(self.changed), number::count(self.customers));
        page.facts([
            ("new answers", format!("{changed} of {customers} customers; what came late for the others is history, for training")),
            (
                "old answers",
                match self.rewritten {
                    0 => format!("asked again as of {}: all {customers} as they were", self.before),
                    rewritten => format!("asked again as of {}: {} are others", self.before, number::count(rewritten)),
                },
            ),
        ]);
    }

    fn json(&self) -> Value {
        json!({
            "rows": self.summary.rows,
            "batches": self.summary.batches,
            "shards": self.shards.len(),
            "elapsed_us": micros(self.elapsed),
            "rows_per_second": self.rate(),
            "last_commit_time": self.summary.last_commit_us.map(number::time),
            "customers": self.customers,
            "answers_changed_now": self.changed,
            "asked_again_as_of": self.before.to_string(),
            "answers_changed_then": self.rewritten,
        })
    }
}
