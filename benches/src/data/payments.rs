//! Generated payments. Every value is a function of the row's number and the column, so a row can be made, or its
//! answer be told, without what stands before it.
//!
//! The rows of a view come in rounds: each round has one row of every entity, later rounds are later. So histories
//! are even, roughly in order of time, and no two rows of one entity have the same event time.

use std::{ops::Range, path::Path, sync::Arc};

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};

use super::{Job, Log, file};
use crate::{Result, scale::DataScale};

/// The first event time: 2026-01-01T00:00:00Z.
const START_US: i64 = 1_767_225_600_000_000;
/// The history covers 90 days.
const SPAN_US: i64 = 90 * 86_400 * 1_000_000;
/// Rows made at a time.
const CHUNK_ROWS: u64 = 65_536;
/// Cards of one customer.
const CARDS: u64 = 2;
/// One value in so many is null.
const NULL_EVERY: u64 = 50;

const COUNTRIES: [&str; 10] = ["AT", "BR", "CH", "DE", "FR", "IN", "JP", "KE", "NL", "US"];
const CATEGORIES: [&str; 6] = ["books", "fuel", "grocery", "hotel", "online", "travel"];

/// A view of the generated data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// By customer, one integer key.
    CustomerActivity,
    /// By customer and card, two integer keys.
    CardActivity,
    /// By merchant, a text key.
    MerchantStats,
}

/// The keys of one lookup or label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keys {
    /// The customer.
    pub customer: i64,
    /// Which of the customer's cards.
    pub card: i64,
    /// The number of the merchant; see [`merchant_id`].
    pub merchant: u64,
}

impl View {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::CustomerActivity, Self::CardActivity, Self::MerchantStats];

    /// Its name in the definitions.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CustomerActivity => "customer_activity",
            Self::CardActivity => "card_activity",
            Self::MerchantStats => "merchant_stats",
        }
    }

    /// Its features, in declared order.
    pub const fn features(self) -> [&'static str; 5] {
        match self {
            Self::CustomerActivity => ["spent_7d", "spent_30d", "purchases_7d", "last_amount", "country"],
            Self::CardActivity => ["swipes_1h", "swipes_24h", "amount_24h", "largest_24h", "online_share"],
            Self::MerchantStats => ["sales_7d", "refunds_7d", "mean_basket", "chargeback_share", "category"],
        }
    }

    /// Its entities.
    pub const fn entities(self, scale: &DataScale) -> u64 {
        match self {
            Self::CustomerActivity => scale.customers,
            Self::CardActivity => scale.customers * CARDS,
            Self::MerchantStats => scale.merchants,
        }
    }

    /// Microseconds between the rounds of the rows.
    const fn round_us(self, scale: &DataScale) -> i64 {
        SPAN_US / scale.rows_per_view.div_ceil(self.entities(scale)) as i64
    }

    /// The event time of a row of the history.
    pub const fn event_time_us(self, row: u64, scale: &DataScale) -> i64 {
        let (round, round_us) = ((row / self.entities(scale)) as i64, self.round_us(scale));
        START_US + round * round_us + (hash(row, self as u64) % round_us as u64) as i64
    }

    /// The keys of a row; those it does not have are of another entity with rows.
    pub const fn keys(self, row: u64, scale: &DataScale) -> Keys {
        let entity = row % self.entities(scale);
        match self {
            Self::CustomerActivity => Keys { customer: entity as i64, card: 0, merchant: 0 },
            Self::CardActivity => {
                Keys { customer: (entity / CARDS) as i64, card: (entity % CARDS) as i64, merchant: 0 }
            }
            Self::MerchantStats => Keys { customer: 0, card: 0, merchant: entity },
        }
    }

    /// These rows of the history.
    ///
    /// # Errors
    /// None in practice: the columns are equally long.
    pub fn batch(self, rows: Range<u64>, scale: &DataScale) -> Result<RecordBatch> {
        self.rows_at(rows, scale, |row| self.event_time_us(row, scale))
    }

    /// These rows of an endless stream: a microsecond apart, so that no clock is ever behind them.
    ///
    /// # Errors
    /// None in practice: the columns are equally long.
    pub fn streamed(self, rows: Range<u64>, scale: &DataScale) -> Result<RecordBatch> {
        self.rows_at(rows, scale, |row| START_US + row as i64)
    }

    fn rows_at(
        self,
        rows: Range<u64>,
        scale: &DataScale,
        event_time_us: impl Fn(u64) -> i64,
    ) -> Result<RecordBatch> {
        let keys = || rows.clone().map(|row| self.keys(row, scale));
        let customer = || ("customer_id", integers(keys().map(|keys| keys.customer)));
        let card = || ("card_number", integers(keys().map(|keys| keys.card)));
        let merchant = || ("merchant_id", texts(keys().map(|keys| merchant_id(keys.merchant))));
        let time = ("event_timestamp", times(rows.clone().map(event_time_us)));
        let amount = |column: u64| decimals(&rows, column, 100_000, 100.0);
        let share = |column: u64| decimals(&rows, column, 10_000, 10_000.0);
        let count = |column: u64| integers(rows.clone().map(|row| (hash(row, column) % 40) as i64));
        let word = |column: u64, words: &'static [&str]| {
            texts(rows.clone().map(move |row| {
                words.get(hash(row, column) as usize % words.len()).copied().unwrap_or_default().to_owned()
            }))
        };
        let (keys, features) = match self {
            Self::CustomerActivity => {
                (vec![customer()], [amount(11), amount(12), count(13), amount(14), word(15, &COUNTRIES)])
            }
            Self::CardActivity => {
                (vec![customer(), card()], [count(21), count(22), amount(23), amount(24), share(25)])
            }
            Self::MerchantStats => {
                (vec![merchant()], [amount(31), count(32), amount(33), share(34), word(35, &CATEGORIES)])
            }
        };
        let columns = keys.into_iter().chain([time]).chain(self.features().into_iter().zip(features));
        Ok(RecordBatch::try_from_iter(columns)?)
    }
}

/// The keys of one label or lookup: customers and merchants of small numbers come up more often.
pub const fn asked(number: u64, scale: &DataScale) -> Keys {
    Keys {
        customer: skewed(hash(number, 1), scale.customers) as i64,
        card: (hash(number, 2) % CARDS) as i64,
        merchant: skewed(hash(number, 3), scale.merchants),
    }
}

/// The keys of one lookup in a sweep: card by card, customer and merchant in step. The first lookups, up to the number
/// of merchants, have no key in common.
pub const fn swept(number: u64, scale: &DataScale) -> Keys {
    let (round, customer) = (number / scale.customers, number % scale.customers);
    Keys { customer: customer as i64, card: (round % CARDS) as i64, merchant: number % scale.merchants }
}

/// Lookups of a sweep after which every key was asked for.
pub const fn sweep_length(scale: &DataScale) -> u64 {
    scale.customers * CARDS
}

/// The key of a merchant.
pub fn merchant_id(number: u64) -> String {
    format!("merchant-{number:06}")
}

/// Writes the histories and the labels into a directory.
///
/// # Errors
/// A file cannot be written.
pub fn write(root: &Path, directory: &Path, scale: &DataScale) -> Result<Job> {
    let mut logs = Vec::new();
    for view in View::ALL {
        let path = directory.join(format!("{}.parquet", view.name()));
        file::write(&path, chunks(scale.rows_per_view).map(|rows| view.batch(rows, scale)))?;
        logs.push(Log { view: view.name(), path });
    }
    let spine = directory.join("labels.parquet");
    file::write(&spine, chunks(scale.labels).map(|rows| labels(rows, scale)))?;
    let definitions = root.join("benches/definitions.yaml");
    Ok(Job { name: "payments", definitions, service: "fraud_model", logs, spine })
}

/// These rows of the spine: keys, times anywhere in the history, and what came of the payment.
fn labels(rows: Range<u64>, scale: &DataScale) -> Result<RecordBatch> {
    let keys = || rows.clone().map(|row| asked(row, scale));
    let time = |row| START_US + (hash(row, 4) % SPAN_US as u64) as i64;
    Ok(RecordBatch::try_from_iter([
        ("payment_id", integers(rows.clone().map(|row| row as i64))),
        ("customer_id", integers(keys().map(|keys| keys.customer))),
        ("card_number", integers(keys().map(|keys| keys.card))),
        ("merchant_id", texts(keys().map(|keys| merchant_id(keys.merchant)))),
        ("event_timestamp", times(rows.clone().map(time))),
        ("fraud", integers(rows.clone().map(|row| i64::from(hash(row, 5).is_multiple_of(100))))),
    ])?)
}

fn chunks(rows: u64) -> impl Iterator<Item = Range<u64>> {
    (0..rows).step_by(CHUNK_ROWS as usize).map(move |start| start..rows.min(start + CHUNK_ROWS))
}

fn integers(values: impl Iterator<Item = i64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values))
}

fn texts(values: impl Iterator<Item = String>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

fn times(values: impl Iterator<Item = i64>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from_iter_values(values).with_timezone("UTC"))
}

/// Numbers below `most / unit` in steps of `1 / unit`, some of them null.
fn decimals(rows: &Range<u64>, column: u64, most: u64, unit: f64) -> ArrayRef {
    let value = |row| {
        let hash = hash(row, column);
        (!hash.is_multiple_of(NULL_EVERY)).then(|| (hash / NULL_EVERY % most) as f64 / unit)
    };
    Arc::new(rows.clone().map(value).collect::<Float64Array>())
}

/// A number below `most`: the square of an even fraction of it, so a quarter of them is below a sixteenth.
const fn skewed(hash: u64, most: u64) -> u64 {
    let fraction = (hash >> 32) as u128;
    ((fraction * fraction * most as u128) >> 64) as u64
}

/// SplitMix64 of a row and a column.
const fn hash(row: u64, column: u64) -> u64 {
    let mut z =
        row.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(column.wrapping_mul(0xD1B5_4A32_D192_ED03));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use arrow::compute::concat_batches;

    use super::*;

    const SCALE: DataScale = DataScale { rows_per_view: 1_000, labels: 1_000, customers: 90, merchants: 7 };

    #[test]
    fn no_two_rows_of_an_entity_share_a_time_and_rows_can_be_made_in_any_pieces() {
        for view in View::ALL {
            let at = |row| {
                let keys = view.keys(row, &SCALE);
                (keys.customer, keys.card, keys.merchant, view.event_time_us(row, &SCALE))
            };
            let different: BTreeSet<_> = (0..SCALE.rows_per_view).map(at).collect();
            assert_eq!(different.len() as u64, SCALE.rows_per_view);
            assert!(different.iter().all(|(.., time)| (START_US..START_US + SPAN_US).contains(time)));
            let whole = view.batch(0..100, &SCALE).expect("valid");
            let pieces =
                [view.batch(0..33, &SCALE).expect("valid"), view.batch(33..100, &SCALE).expect("valid")];
            assert_eq!(concat_batches(whole.schema_ref(), &pieces).expect("same schema"), whole);
        }
    }

    #[test]
    fn every_key_asked_for_has_rows() {
        for number in 0..10_000 {
            let keys = asked(number, &SCALE);
            assert!((0..90).contains(&keys.customer) && (0..2).contains(&keys.card) && keys.merchant < 7);
        }
    }

    #[test]
    fn a_sweep_asks_for_every_key_and_begins_with_new_ones() {
        let keys: Vec<_> = (0..sweep_length(&SCALE)).map(|number| swept(number, &SCALE)).collect();
        let cards: BTreeSet<_> = keys.iter().map(|keys| (keys.customer, keys.card)).collect();
        let merchants: BTreeSet<_> = keys.iter().map(|keys| keys.merchant).collect();
        assert_eq!((cards.len(), merchants.len()), (180, 7));
        let first: BTreeSet<_> = keys.iter().take(7).map(|keys| (keys.customer, keys.merchant)).collect();
        assert_eq!(first.len(), 7);
    }

    #[test]
    fn files_hold_the_rows_asked_for() {
        let directory = tempfile::tempdir().expect("a directory");
        let job = write(Path::new("."), directory.path(), &SCALE).expect("writes");
        let rows: Vec<_> = job.files().map(|path| file::decode(path).expect("reads")).collect();
        assert_eq!(rows, [1_000; 4]);
    }
}
