//! Who pays whom: customers, merchants, and the attacks that merchants suffer. Nothing here happens yet.

use super::random::Random;

/// 2025-03-01T00:00:00Z, where the story begins.
pub(super) const START_US: i64 = 1_740_787_200_000_000;
/// Days the story lasts: to the end of May.
pub(super) const DAYS: usize = 92;
/// Microseconds of a second.
pub(super) const SECOND_US: i64 = 1_000_000;
/// Microseconds of an hour.
pub(super) const HOUR_US: i64 = 3_600 * SECOND_US;
/// Microseconds of a day.
pub(super) const DAY_US: i64 = 24 * HOUR_US;

/// Customers at scale 1.
const CUSTOMERS: f64 = 20_000.0;
/// Merchants at scale 1.
const MERCHANTS: f64 = 600.0;
/// Streams of chance; customer n draws from stream `CUSTOMER_STREAM + n`.
const MERCHANT_STREAM: u64 = 1 << 32;
const CUSTOMER_STREAM: u64 = 2 << 32;

/// A kind of merchant: its name, how its amounts compare, and what it draws in fraud.
pub(super) struct Category {
    pub(super) name: &'static str,
    amount: f64,
    appeal_to_fraud: f64,
}

const CATEGORIES: [Category; 8] = [
    Category { name: "groceries", amount: 0.9, appeal_to_fraud: 0.3 },
    Category { name: "restaurant", amount: 1.1, appeal_to_fraud: 0.4 },
    Category { name: "fuel", amount: 1.6, appeal_to_fraud: 0.8 },
    Category { name: "pharmacy", amount: 0.7, appeal_to_fraud: 0.3 },
    Category { name: "fashion", amount: 2.0, appeal_to_fraud: 1.0 },
    Category { name: "travel", amount: 6.0, appeal_to_fraud: 1.4 },
    Category { name: "electronics", amount: 4.5, appeal_to_fraud: 2.2 },
    Category { name: "gaming", amount: 0.8, appeal_to_fraud: 2.0 },
];

/// One who takes payments.
pub(super) struct Merchant {
    pub(super) id: String,
    pub(super) category: &'static Category,
    pub(super) channels: &'static [&'static str],
    /// Days on which it is attacked: first and last, inclusive.
    pub(super) attacks: Vec<(usize, usize)>,
}

/// One who pays.
pub(super) struct Customer {
    pub(super) id: i64,
    /// Days between two payments, on average.
    pub(super) days_between: f64,
    /// A usual amount, in cents, before the merchant's kind counts.
    pub(super) ticket: f64,
    /// Positions of the merchants they mostly go to.
    pub(super) favourites: Vec<usize>,
    /// What happens to them draws from here.
    pub(super) random: Random,
}

/// Everyone.
pub(super) struct World {
    pub(super) merchants: Vec<Merchant>,
    pub(super) customers: Vec<Customer>,
    /// Sums of the merchants' popularity up to and including each.
    popularity: Vec<f64>,
}

impl Category {
    /// An amount in cents for a customer whose ticket is given.
    pub(super) fn cents(&self, ticket: f64, random: &mut Random) -> i64 {
        ((ticket * self.amount * (0.6 * random.normal()).exp()).round() as i64).clamp(50, 2_000_000)
    }
}

impl World {
    /// The world of a seed. Twice the scale means twice the customers and merchants.
    pub(super) fn new(seed: u64, scale: f64) -> Self {
        let mut random = Random::stream(seed, MERCHANT_STREAM);
        let count = (MERCHANTS * scale).round().max(40.0) as usize;
        let merchants: Vec<Merchant> =
            (0..count).filter_map(|number| merchant(number, &mut random)).collect();
        let popularity = merchants
            .iter()
            .scan(0.0, |sum, _| {
                *sum += random.between(0.3, 1.0);
                Some(*sum)
            })
            .collect();
        let mut world = Self { merchants, customers: Vec::new(), popularity };
        let count = (CUSTOMERS * scale).round().max(200.0) as u64;
        world.customers = (0..count).map(|number| world.customer(seed, number)).collect();
        world
    }

    /// The position of a merchant, the popular ones more often.
    pub(super) fn any_merchant(&self, random: &mut Random) -> usize {
        let drawn = random.unit() * self.popularity.last().copied().unwrap_or(0.0);
        self.popularity.partition_point(|sum| *sum <= drawn).min(self.merchants.len().saturating_sub(1))
    }

    fn customer(&self, seed: u64, number: u64) -> Customer {
        let mut random = Random::stream(seed, CUSTOMER_STREAM + number);
        let payments_per_day = 0.163 * (0.6 * random.normal() - 0.18).exp();
        let favourites = (0..random.whole(3, 7)).map(|_| self.any_merchant(&mut random)).collect();
        Customer {
            id: 10_000 + number as i64,
            days_between: 1.0 / payments_per_day,
            ticket: 2_700.0 * (0.5 * random.normal()).exp(),
            favourites,
            random,
        }
    }
}

fn merchant(number: usize, random: &mut Random) -> Option<Merchant> {
    const CHANNELS: [&[&str]; 4] =
        [&["in_store"], &["online"], &["in_store", "online"], &["online", "phone"]];
    let category = CATEGORIES.get(number % CATEGORIES.len())?;
    let attacks_expected = 0.32 * category.appeal_to_fraud * random.between(0.2, 1.8);
    let mut attacks = Vec::new();
    for _ in 0..3 {
        if random.chance(attacks_expected / 3.0) {
            let first = random.whole(7, DAYS as u64 - 8) as usize;
            attacks.push((first, first + random.whole(3, 9) as usize));
        }
    }
    Some(Merchant {
        id: format!("{}-{:04}", category.name, number / CATEGORIES.len() + 1),
        category,
        channels: random.choose(&CHANNELS)?,
        attacks,
    })
}
