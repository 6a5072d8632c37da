//! What happened, as Arrow batches with the columns that the definitions name.

use std::sync::Arc;

use arrow::{
    array::{
        ArrayRef, BooleanArray, Float64Array, Int64Array, ListBuilder, RecordBatch, StringArray,
        StringBuilder, TimestampMicrosecondArray,
    },
    error::ArrowError,
};

use super::{
    payments::{Activity, CardOnFile, Label},
    profiles::Profile,
    world::{Merchant, World},
};

type Batch = Result<RecordBatch, ArrowError>;

/// The column of event times, in views and labels alike.
pub(in crate::demo) const EVENT_TIME: &str = "event_timestamp";
/// The column of created times, where a view has one.
pub(in crate::demo) const CREATED_TIME: &str = "created_timestamp";
/// The keys.
pub(in crate::demo) const CUSTOMER: &str = "customer_id";
pub(in crate::demo) const MERCHANT: &str = "merchant_id";
/// The label itself.
pub(in crate::demo) const LABEL: &str = "is_fraud";
/// What tells payments apart in the labels.
pub(in crate::demo) const PAYMENT: &str = "payment_id";

/// Rows of `card_activity`.
pub(super) fn activity(rows: &[Activity]) -> Batch {
    table([
        (CUSTOMER, integers(rows.iter().map(|row| row.customer_id))),
        (EVENT_TIME, times(rows.iter().map(|row| row.time_us))),
        ("payments_24h", integers(rows.iter().map(|row| row.payments_24h))),
        ("spend_24h", amounts(rows.iter().map(|row| Some(row.spend_24h_cents)))),
        ("declined_24h", integers(rows.iter().map(|row| row.declined_24h))),
        ("merchants_24h", integers(rows.iter().map(|row| row.merchants_24h))),
        ("usual_amount", amounts(rows.iter().map(|row| Some(row.usual_cents)))),
        ("km_from_home", Arc::new(Float64Array::from_iter(rows.iter().map(|row| row.km_from_home)))),
    ])
}

/// Rows of `merchant_profile`.
pub(super) fn profiles(rows: &[Profile], world: &World) -> Batch {
    let merchants = || rows.iter().map(|row| world.merchants.get(row.merchant));
    let mut channels = ListBuilder::new(StringBuilder::new());
    for merchant in merchants() {
        match merchant {
            Some(merchant) => channels.append_value(merchant.channels.iter().map(|name| Some(*name))),
            None => channels.append_null(),
        }
    }
    let categories = merchants().map(|merchant| merchant.map(|merchant| merchant.category.name));
    table([
        (MERCHANT, names(rows.iter().map(|row| row.merchant), world)),
        (EVENT_TIME, times(rows.iter().map(|row| row.time_us))),
        (CREATED_TIME, times(rows.iter().map(|row| row.created_us))),
        ("category", Arc::new(StringArray::from_iter(categories))),
        ("channels", Arc::new(channels.finish())),
        ("payments_7d", integers(rows.iter().map(|row| row.payments_7d))),
        (
            "chargeback_rate_7d",
            Arc::new(Float64Array::from_iter(rows.iter().map(|row| row.chargeback_rate_7d))),
        ),
        ("risk_score", Arc::new(Float64Array::from_iter_values(rows.iter().map(|row| row.risk_score)))),
    ])
}

/// Rows of `card_on_file`, tombstones included.
pub(super) fn cards(rows: &[CardOnFile], world: &World) -> Batch {
    let deleted: Vec<bool> = rows.iter().map(|row| row.used.is_none()).collect();
    table([
        (CUSTOMER, integers(rows.iter().map(|row| row.customer_id))),
        (MERCHANT, names(rows.iter().map(|row| row.merchant), world)),
        (EVENT_TIME, times(rows.iter().map(|row| row.time_us))),
        ("uses", Arc::new(Int64Array::from_iter(rows.iter().map(|row| row.used.map(|used| used.uses))))),
        ("last_amount", amounts(rows.iter().map(|row| row.used.map(|used| used.cents)))),
        (
            "strong_auth",
            Arc::new(BooleanArray::from_iter(rows.iter().map(|row| row.used.map(|used| used.strong_auth)))),
        ),
        ("__deleted", Arc::new(BooleanArray::from(deleted))),
    ])
}

/// The labels.
pub(super) fn labels(rows: &[Label], world: &World) -> Batch {
    table([
        (PAYMENT, integers(rows.iter().map(|row| row.payment_id))),
        (CUSTOMER, Arc::new(Int64Array::from_iter(rows.iter().map(|row| row.customer_id)))),
        (MERCHANT, names(rows.iter().map(|row| row.merchant), world)),
        (EVENT_TIME, times(rows.iter().map(|row| row.time_us))),
        ("amount", amounts(rows.iter().map(|row| Some(row.cents)))),
        (LABEL, Arc::new(BooleanArray::from_iter(rows.iter().map(|row| row.is_fraud)))),
    ])
}

fn table<const COLUMNS: usize>(columns: [(&str, ArrayRef); COLUMNS]) -> Batch {
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true)))
}

fn integers(values: impl Iterator<Item = i64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values))
}

fn times(values: impl Iterator<Item = i64>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from_iter_values(values).with_timezone("UTC"))
}

fn amounts(cents: impl Iterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(Float64Array::from_iter(cents.map(|cents| cents.map(|cents| cents as f64 / 100.0))))
}

fn names(positions: impl Iterator<Item = usize>, world: &World) -> ArrayRef {
    let id = |merchant: &'_ Merchant| merchant.id.clone();
    Arc::new(StringArray::from_iter(positions.map(|position| world.merchants.get(position).map(id))))
}
