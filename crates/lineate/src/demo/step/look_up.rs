//! Looks features up: two pairs to see every status, then many, one at a time and a hundred at a time.

use std::{collections::BTreeMap, time::Instant};

use arrow::{array::AsArray, datatypes::Int64Type};
use lineate_client::{
    Answer, Client,
    v1::{
        EntityColumn, EntityColumns, FeatureStatus, Progress,
        entity_column::{Integers, Texts, Values},
        progress::Unit,
    },
};
use lineate_types::TimestampUs;
use serde_json::{Map, Value, json};

use crate::{
    demo::{
        commands::SERVICE,
        data::{CUSTOMER, Data, MERCHANT, Pair},
        timing::{Latencies, rate},
    },
    error::Error,
    output::{
        Page, Report, cell, number,
        progress::Bar,
        table::{Side, Table},
    },
};

/// Requests for one pair each.
const SINGLE_REQUESTS: usize = 3_000;
/// Requests for many pairs each.
const LARGE_REQUESTS: usize = 40;
/// Pairs of such a request.
const PAIRS_PER_REQUEST: usize = 100;

/// Every status, the best first.
const STATUSES: [FeatureStatus; 4] =
    [FeatureStatus::Present, FeatureStatus::Null, FeatureStatus::Absent, FeatureStatus::Expired];

/// Two answers, and how long many others took.
pub(in crate::demo) struct LookedUp {
    kept: Pair,
    removed: Pair,
    /// The features of the first pair, then of the second.
    answer: Answer,
    singles: Latencies,
    large: Latencies,
    /// Cells of the single answers, by status.
    cells: BTreeMap<&'static str, u64>,
}

/// Looks up.
pub(in crate::demo) async fn look_up(client: &Client, data: &Data) -> Result<LookedUp, Error> {
    let answer = features(client, &[data.kept.clone(), data.removed.clone()], None).await?;
    let pairs = pairs(data, SINGLE_REQUESTS);
    let mut bar = Bar::new();
    let mut progress = Progress {
        phase: "looking up".to_owned(),
        done: 0,
        total: Some(pairs.len() as u64),
        unit: Unit::Rows.into(),
    };
    let mut cells = BTreeMap::new();
    let mut singles = Vec::with_capacity(pairs.len());
    for pair in pairs.chunks(1) {
        let started = Instant::now();
        let answer = features(client, pair, None).await?;
        singles.push(started.elapsed());
        for feature in 0..answer.features.num_columns() {
            *cells.entry(word(answer.status(0, feature))).or_default() += 1;
        }
        progress.done += 1;
        bar.show(&progress);
    }
    let mut large = Vec::with_capacity(LARGE_REQUESTS);
    for pairs in pairs.chunks(PAIRS_PER_REQUEST).cycle().take(LARGE_REQUESTS) {
        let started = Instant::now();
        features(client, pairs, None).await?;
        large.push(started.elapsed());
    }
    Ok(LookedUp {
        kept: data.kept.clone(),
        removed: data.removed.clone(),
        answer,
        singles: Latencies::of(singles),
        large: Latencies::of(large),
        cells,
    })
}

/// The features of some pairs, now or at a time.
pub(super) async fn features(
    client: &Client,
    pairs: &[Pair],
    at: Option<TimestampUs>,
) -> Result<Answer, Error> {
    let customers = pairs.iter().map(|pair| pair.customer_id).collect();
    let merchants = pairs.iter().map(|pair| pair.merchant_id.clone()).collect();
    let columns = [
        (CUSTOMER, Values::Integers(Integers { values: customers })),
        (MERCHANT, Values::Texts(Texts { values: merchants })),
    ];
    let columns = columns.map(|(name, values)| EntityColumn { name: name.to_owned(), values: Some(values) });
    let entities = EntityColumns { columns: columns.into() };
    Ok(client.get_features(SERVICE, entities, at).await?)
}

/// Pairs of the labels, spread evenly over them; guests have no features and are left out.
fn pairs(data: &Data, count: usize) -> Vec<Pair> {
    let column = |name: &str| data.labels.rows.column_by_name(name);
    let (Some(customers), Some(merchants)) = (column(CUSTOMER), column(MERCHANT)) else {
        return Vec::new();
    };
    let (customers, merchants) = (customers.as_primitive::<Int64Type>(), merchants.as_string::<i32>());
    let step = customers.len().div_ceil(count).max(1);
    let rows = customers.iter().zip(merchants).step_by(step);
    rows.filter_map(|(customer, merchant)| {
        Some(Pair { customer_id: customer?, merchant_id: merchant?.to_owned() })
    })
    .collect()
}

impl LookedUp {
    /// How long requests for one pair took.
    pub(in crate::demo) fn singles(&self) -> &Latencies {
        &self.singles
    }

    /// What the store says of the second pair's card on file.
    fn of_removed(&self) -> &'static str {
        let schema = self.answer.features.schema();
        let feature = schema.fields().iter().position(|field| field.name().starts_with("card_on_file__"));
        feature.map_or("unknown", |feature| word(self.answer.status(1, feature)))
    }
}

impl Report for LookedUp {
    fn text(&self, page: &mut Page) {
        let answer = &self.answer;
        page.note(&format!("{} at {}, as of {}", self.kept.customer_id, self.kept.merchant_id, answer.as_of));
        let mut table = Table::new([
            ("FEATURE", Side::Left),
            ("VALUE", Side::Right),
            ("STATUS", Side::Left),
            ("EVENT TIME", Side::Left),
        ]);
        let schema = answer.features.schema();
        for (feature, (field, column)) in schema.fields().iter().zip(answer.features.columns()).enumerate() {
            let status = answer.status(0, feature);
            let value = match status {
                FeatureStatus::Present => cell::text(field, column, 0),
                _ => "–".to_owned(),
            };
            let time = answer.event_time(0, feature).map(|time| time.to_string());
            table.row([field.name().clone(), value, styled(status), time.unwrap_or_default()]);
        }
        page.table(&table);
        page.note(&format!(
            "{} at {}: the card was removed, so card_on_file is {}",
            self.removed.customer_id,
            self.removed.merchant_id,
            self.of_removed()
        ));
        page.gap();
        let singles = &self.singles;
        page.verdict(true, &format!("{} lookups", number::count(singles.count())), &singles.text());
        let features = u64::try_from(answer.features.num_columns()).unwrap_or(u64::MAX);
        let of = |status: FeatureStatus| self.cells.get(word(status)).copied().unwrap_or(0);
        let cells = STATUSES.map(|status| format!("{} {}", number::count(of(status)), word(status)));
        page.facts([
            (
                "one at a time",
                format!(
                    "{} a second, {features} features each",
                    number::count(rate(singles.count(), singles.sum()))
                ),
            ),
            (
                "a hundred at a time",
                format!(
                    "{} entities a second; {}",
                    number::count(rate(self.large.count() * PAIRS_PER_REQUEST as u64, self.large.sum())),
                    self.large.text()
                ),
            ),
            ("statuses", cells.join(" · ")),
        ]);
    }

    fn json(&self) -> Value {
        let answer = &self.answer;
        let schema = answer.features.schema();
        let of = |entity: usize, pair: &Pair| {
            let features: Map<String, Value> = schema
                .fields()
                .iter()
                .zip(answer.features.columns())
                .enumerate()
                .map(|(feature, (field, column))| {
                    let value = json!({
                        "value": cell::json(field, column, entity),
                        "status": word(answer.status(entity, feature)),
                        "event_time": answer.event_time(entity, feature).map(|time| time.to_string()),
                    });
                    (field.name().clone(), value)
                })
                .collect();
            json!({"customer_id": pair.customer_id, "merchant_id": pair.merchant_id, "features": features})
        };
        json!({
            "service": answer.service,
            "as_of": answer.as_of.to_string(),
            "entities": [of(0, &self.kept), of(1, &self.removed)],
            "one_at_a_time": self.singles.json(),
            "a_hundred_at_a_time": self.large.json(),
            "cells_by_status": self.cells,
        })
    }
}

fn word(status: FeatureStatus) -> &'static str {
    match status {
        FeatureStatus::Present => "present",
        FeatureStatus::Null => "null",
        FeatureStatus::Absent => "absent",
        FeatureStatus::Expired => "expired",
        FeatureStatus::Unspecified => "unknown",
    }
}

fn styled(status: FeatureStatus) -> String {
    let text = console::style(word(status));
    match status {
        FeatureStatus::Present => text.green(),
        FeatureStatus::Expired => text.yellow(),
        _ => text.dim(),
    }
    .to_string()
}
