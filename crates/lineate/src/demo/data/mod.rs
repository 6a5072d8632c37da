//! The data of the demo: a payments company in the spring of 2025, made up from a seed.
//!
//! Invariants:
//! - the same seed and scale give the same rows, in the same order: there is no clock and no other chance here;
//! - what a label could see at its time was recorded before it; what came later is in the corrections.
//!
//! Deliberately absent: the store. These are files, such as a company has.

mod payments;
mod profiles;
mod random;
mod tables;
mod world;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use arrow::{array::RecordBatch, compute::filter_record_batch, error::ArrowError};

pub(super) use tables::{CREATED_TIME, CUSTOMER, EVENT_TIME, LABEL, MERCHANT, PAYMENT};

use crate::{error::Error, output::file::RowFile};
use payments::{Activity, CardOnFile, Payments};
use world::{DAY_US, START_US, World};

/// The seed of every demo.
const SEED: u64 = 0x11ea_7e00_2025_0301;

/// First days of the months of the story, counted from its start.
const MONTHS: [(&str, i64); 3] = [("2025-03", 0), ("2025-04", 31), ("2025-05", 61)];

/// Files that are loaded together, in their order, and what they are.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Source {
    /// The view they belong to.
    pub(super) view: &'static str,
    /// What they hold, for people.
    pub(super) about: &'static str,
    /// The files.
    pub(super) files: Vec<Table>,
}

/// The rows of one file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Table {
    /// The file's name.
    pub(super) name: String,
    /// Its rows.
    pub(super) rows: RecordBatch,
}

/// A customer and a merchant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pair {
    /// The customer.
    pub(super) customer_id: i64,
    /// The merchant.
    pub(super) merchant_id: String,
}

/// Everything that was made up.
#[derive(Debug)]
pub(super) struct Data {
    /// Files to load, load by load.
    pub(super) loads: Vec<Source>,
    /// Rows of `card_activity` that arrive late, in a stream.
    pub(super) late: RecordBatch,
    /// The labels.
    pub(super) labels: Table,
    /// How many customers there are.
    pub(super) customers: u64,
    /// How many merchants there are.
    pub(super) merchants: u64,
    /// A pair worth looking up: a card was on file long ago, and the card's last attempt came without a place.
    pub(super) kept: Pair,
    /// Another one: the card on file was removed.
    pub(super) removed: Pair,
}

impl Data {
    /// Makes the data up. Scale 1 is about half a million rows.
    ///
    /// # Errors
    /// Arrow cannot hold the rows.
    pub(super) fn generate(scale: f64) -> Result<Self, ArrowError> {
        let world = World::new(SEED, scale);
        let happened = Payments::of(&world, SEED);
        let (reports, corrections) = profiles::profiles(&world.merchants, &happened.settled, SEED);
        let profiles = |name: &str, rows: &[profiles::Profile]| -> Result<Vec<Table>, ArrowError> {
            Ok(vec![Table { name: name.to_owned(), rows: tables::profiles(rows, &world)? }])
        };
        let cards = tables::cards(&happened.cards, &world)?;
        let labels = tables::labels(&happened.labels, &world)?;
        let loads = vec![
            Source {
                view: "card_activity",
                about: "card activity, a row after every payment attempt",
                files: by_month(&happened.activity)?,
            },
            Source {
                view: "merchant_profile",
                about: "merchants, a row a day",
                files: profiles("merchant_profile.ndjson", &reports)?,
            },
            Source {
                view: "merchant_profile",
                about: "corrections, three weeks after the day",
                files: profiles("merchant_corrections.ndjson", &corrections)?,
            },
            Source {
                view: "card_on_file",
                about: "cards kept at merchants, and removals",
                files: vec![Table { name: "card_on_file.csv".to_owned(), rows: cards }],
            },
        ];
        let pair = |card: &CardOnFile| {
            let merchant_id = world.merchants.get(card.merchant).map(|merchant| merchant.id.clone());
            Pair { customer_id: card.customer_id, merchant_id: merchant_id.unwrap_or_default() }
        };
        let (kept, removed) = examples(&happened);
        Ok(Self {
            loads,
            late: tables::activity(&happened.late_activity)?,
            labels: Table { name: "labels.parquet".to_owned(), rows: labels },
            customers: world.customers.len() as u64,
            merchants: world.merchants.len() as u64,
            kept: pair(&kept),
            removed: pair(&removed),
        })
    }
}

impl Table {
    /// Where the file is in a directory.
    pub(super) fn path(&self, directory: &Path) -> PathBuf {
        directory.join(&self.name)
    }

    /// Writes the rows into a directory, in the format that the file's name says, and returns the file's bytes.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn write(&self, directory: &Path) -> Result<u64, Error> {
        let mut file = RowFile::create(&self.path(directory), &self.rows.schema())?;
        file.write(&self.rows)?;
        file.finish()
    }
}

/// Card activity as it would be kept: a Parquet file a month.
fn by_month(rows: &[Activity]) -> Result<Vec<Table>, ArrowError> {
    let all = tables::activity(rows)?;
    let starts = MONTHS.iter().skip(1).map(|(_, day)| Some(START_US + day * DAY_US)).chain([None]);
    let mut from = i64::MIN;
    let mut files = Vec::new();
    for ((month, _), end) in MONTHS.iter().zip(starts) {
        let to = end.unwrap_or(i64::MAX);
        let within = rows.iter().map(|row| Some((from..to).contains(&row.time_us))).collect();
        let name = format!("card_activity_{month}.parquet");
        files.push(Table { name, rows: filter_record_batch(&all, &within)? });
        from = to;
    }
    Ok(files)
}

/// A card that is still on file, of a customer whose last row lacks the place; and a card that was removed. Where
/// there is none such, any card.
fn examples(happened: &Payments) -> (CardOnFile, CardOnFile) {
    let mut last_activity: BTreeMap<i64, &Activity> = BTreeMap::new();
    for row in &happened.activity {
        let last = last_activity.entry(row.customer_id).or_insert(row);
        if row.time_us >= last.time_us {
            *last = row;
        }
    }
    let mut last_card: BTreeMap<(i64, usize), &CardOnFile> = BTreeMap::new();
    for card in &happened.cards {
        let last = last_card.entry((card.customer_id, card.merchant)).or_insert(card);
        if card.time_us >= last.time_us {
            *last = card;
        }
    }
    let no_place = |card: &CardOnFile| {
        last_activity
            .get(&card.customer_id)
            .is_some_and(|row| row.km_from_home.is_none() && row.payments_24h > 1)
    };
    let used = |card: &CardOnFile| card.used.is_some_and(|used| used.uses > 2);
    let find = |wanted: &dyn Fn(&CardOnFile) -> bool| {
        let found = last_card.values().find(|card| wanted(card)).or_else(|| last_card.values().next());
        found.map_or_else(nobody, |card| (*card).clone())
    };
    (find(&|card| used(card) && no_place(card)), find(&|card| card.used.is_none()))
}

fn nobody() -> CardOnFile {
    CardOnFile { customer_id: 0, merchant: 0, time_us: 0, used: None }
}

#[cfg(test)]
mod tests;
