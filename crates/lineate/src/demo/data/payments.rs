//! Ninety-two days of payments: who paid whom, which of them were fraud, and what each left behind.
//!
//! A payment is authorised at its time; the row of card activity that counts it comes seconds later, so that a
//! label never sees itself.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{
    random::Random,
    world::{Customer, DAY_US, DAYS, HOUR_US, SECOND_US, START_US, World},
};

const INTRUSION_STREAM: u64 = 3 << 32;
const LABEL_STREAM: u64 = 4 << 32;

/// Share of card activity of the last month that arrives late, in a stream.
const LATE_SHARE: f64 = 0.02;
/// The last month: where late rows come from.
const LATE_FROM_US: i64 = START_US + (DAYS as i64 - 30) * DAY_US;
/// Share of rows and labels that are sent twice.
const TWICE_SHARE: f64 = 0.01;
/// Share of honest payments that were looked at and so have a label. Every fraud has one.
const REVIEWED_SHARE: f64 = 1.0 / 3.0;

/// What a card did in the day up to its latest payment attempt.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Activity {
    pub(super) customer_id: i64,
    pub(super) time_us: i64,
    pub(super) payments_24h: i64,
    pub(super) spend_24h_cents: i64,
    pub(super) declined_24h: i64,
    pub(super) merchants_24h: i64,
    pub(super) usual_cents: i64,
    pub(super) km_from_home: Option<f64>,
}

/// A card kept at a merchant was used; or, without a use, removed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct CardOnFile {
    pub(super) customer_id: i64,
    pub(super) merchant: usize,
    pub(super) time_us: i64,
    pub(super) used: Option<Use>,
}

/// One use of a card kept at a merchant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Use {
    pub(super) uses: i64,
    pub(super) cents: i64,
    pub(super) strong_auth: bool,
}

/// A payment that was looked at afterwards.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Label {
    pub(super) payment_id: i64,
    /// None for a guest.
    pub(super) customer_id: Option<i64>,
    pub(super) merchant: usize,
    pub(super) time_us: i64,
    pub(super) cents: i64,
    /// None while it is in dispute.
    pub(super) is_fraud: Option<bool>,
}

/// A payment at a merchant on a day of the story.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settled {
    pub(super) day: usize,
    /// The day its chargeback arrives, if it was fraud.
    pub(super) charged_back: Option<usize>,
}

/// Everything that happened.
#[derive(Debug, Default)]
pub(super) struct Payments {
    pub(super) activity: Vec<Activity>,
    pub(super) late_activity: Vec<Activity>,
    pub(super) cards: Vec<CardOnFile>,
    /// In no order.
    pub(super) labels: Vec<Label>,
    /// For each merchant, its payments.
    pub(super) settled: Vec<Vec<Settled>>,
}

/// A payment that was tried.
#[derive(Debug, Clone, Copy)]
struct Attempt {
    time_us: i64,
    merchant: usize,
    cents: i64,
    declined: bool,
    fraud: bool,
    km_from_home: f64,
}

/// Fraud that begins at a time, at a merchant.
type Intrusion = (i64, usize);

impl Payments {
    /// Lets everything happen.
    pub(super) fn of(world: &World, seed: u64) -> Self {
        let intrusions = intrusions(world, seed);
        let mut payments = Self { settled: vec![Vec::new(); world.merchants.len()], ..Self::default() };
        for (position, customer) in world.customers.iter().enumerate() {
            let mut random = customer.random.clone();
            let mut attempts = honest(world, customer, &mut random);
            for intrusion in intrusions.get(&position).into_iter().flatten() {
                attempts.extend(burst(world, customer, *intrusion, &mut random));
            }
            attempts.sort_by_key(|attempt| attempt.time_us);
            payments.live(customer, &attempts, &mut random);
        }
        let mut random = Random::stream(seed, LABEL_STREAM);
        random.shuffle(&mut payments.labels);
        payments
    }

    /// One customer's story.
    fn live(&mut self, customer: &Customer, attempts: &[Attempt], random: &mut Random) {
        let mut recent: VecDeque<&Attempt> = VecDeque::new();
        let mut usual = customer.ticket;
        let mut uses: BTreeMap<usize, i64> = BTreeMap::new();
        for attempt in attempts {
            while recent.front().is_some_and(|past| past.time_us <= attempt.time_us - DAY_US) {
                recent.pop_front();
            }
            recent.push_back(attempt);
            if !attempt.declined {
                usual += 0.1 * (attempt.cents as f64 - usual);
                self.settle(attempt, random);
                self.label(customer, attempt, random);
                if !attempt.fraud && customer.favourites.contains(&attempt.merchant) {
                    self.keep_card(customer, attempt, uses.entry(attempt.merchant).or_default(), random);
                }
            }
            let km = (!random.chance(0.06)).then(|| (attempt.km_from_home * 10.0).round() / 10.0);
            let row = activity(customer, attempt, &recent, usual, km, random);
            if row.time_us >= LATE_FROM_US && random.chance(LATE_SHARE) {
                self.late_activity.push(row);
                continue;
            }
            if random.chance(TWICE_SHARE) {
                self.activity.push(row.clone());
            }
            self.activity.push(row);
        }
    }

    fn settle(&mut self, attempt: &Attempt, random: &mut Random) {
        let day = day_of(attempt.time_us);
        let charged_back = attempt.fraud.then(|| {
            let early = random.chance(0.08);
            day + if early { random.whole(0, 2) } else { random.whole(9, 20) } as usize
        });
        if let Some(settled) = self.settled.get_mut(attempt.merchant) {
            settled.push(Settled { day, charged_back });
        }
    }

    fn label(&mut self, customer: &Customer, attempt: &Attempt, random: &mut Random) {
        if !attempt.fraud && !random.chance(REVIEWED_SHARE) {
            return;
        }
        let label = Label {
            payment_id: 1_000_000 + self.labels.len() as i64,
            customer_id: (attempt.fraud || !random.chance(0.015)).then_some(customer.id),
            merchant: attempt.merchant,
            time_us: attempt.time_us,
            cents: attempt.cents,
            is_fraud: (!random.chance(0.004)).then_some(attempt.fraud),
        };
        if random.chance(TWICE_SHARE) {
            self.labels.push(label.clone());
        }
        self.labels.push(label);
    }

    fn keep_card(&mut self, customer: &Customer, attempt: &Attempt, uses: &mut i64, random: &mut Random) {
        if *uses == 0 && !random.chance(0.35) {
            return;
        }
        *uses += 1;
        let card = CardOnFile {
            customer_id: customer.id,
            merchant: attempt.merchant,
            time_us: attempt.time_us + 2 * SECOND_US,
            used: None,
        };
        let strong_auth = random.chance(0.7);
        let used = Some(Use { uses: *uses, cents: attempt.cents, strong_auth });
        self.cards.push(CardOnFile { used, ..card.clone() });
        if random.chance(0.04) {
            *uses = 0;
            let later = random.between(0.1, 12.0) * HOUR_US as f64;
            self.cards.push(CardOnFile { time_us: card.time_us + later as i64, ..card });
        }
    }
}

/// Where fraud begins, for each customer it happens to: mostly at merchants under attack.
fn intrusions(world: &World, seed: u64) -> BTreeMap<usize, Vec<Intrusion>> {
    let mut random = Random::stream(seed, INTRUSION_STREAM);
    let last_customer = (world.customers.len() as u64).saturating_sub(1);
    let mut all: BTreeMap<usize, Vec<Intrusion>> = BTreeMap::new();
    let mut total = 0_usize;
    for (position, merchant) in world.merchants.iter().enumerate() {
        for (first, last) in &merchant.attacks {
            for _ in 0..random.whole(8, 24) {
                let day = random.between(*first as f64, (last + 1).min(DAYS) as f64);
                let customer = random.whole(0, last_customer) as usize;
                all.entry(customer).or_default().push((START_US + (day * DAY_US as f64) as i64, position));
                total += 1;
            }
        }
    }
    for _ in 0..total / 4 {
        let time_us = START_US + (random.between(0.0, DAYS as f64) * DAY_US as f64) as i64;
        let customer = random.whole(0, last_customer) as usize;
        all.entry(customer).or_default().push((time_us, world.any_merchant(&mut random)));
    }
    all
}

/// The payments a customer means to make.
fn honest(world: &World, customer: &Customer, random: &mut Random) -> Vec<Attempt> {
    let mut attempts = Vec::new();
    let mut day = random.wait(customer.days_between);
    while day < DAYS as f64 {
        let favourite = if random.chance(0.6) { random.choose(&customer.favourites).copied() } else { None };
        let merchant = favourite.unwrap_or_else(|| world.any_merchant(random));
        let hour = (14.0 + 4.0 * random.normal()).clamp(0.0, 23.99);
        let far = random.chance(0.05);
        if let Some(kind) = world.merchants.get(merchant) {
            attempts.push(Attempt {
                time_us: START_US + day as i64 * DAY_US + (hour * HOUR_US as f64) as i64,
                merchant,
                cents: kind.category.cents(customer.ticket, random),
                declined: random.chance(0.03),
                fraud: false,
                km_from_home: if far { random.between(200.0, 4_000.0) } else { random.wait(9.0) },
            });
        }
        day += random.wait(customer.days_between);
    }
    attempts
}

/// A stolen card: a few attempts that fail, then payments larger than usual, within the hour.
fn burst(
    world: &World,
    customer: &Customer,
    (start_us, merchant): Intrusion,
    random: &mut Random,
) -> Vec<Attempt> {
    let mut attempts = Vec::new();
    let mut time_us = start_us;
    let declines = if random.chance(0.2) { random.whole(1, 2) } else { 0 };
    let payments = if random.chance(0.25) { 2 } else { 1 };
    let km_from_home = if random.chance(0.25) { random.between(300.0, 9_000.0) } else { random.wait(12.0) };
    for number in 0..declines + payments {
        let elsewhere = number > declines && random.chance(0.3);
        let merchant = if elsewhere { world.any_merchant(random) } else { merchant };
        if let Some(kind) = world.merchants.get(merchant) {
            let declined = number < declines;
            let ticket = customer.ticket * random.between(0.6, 2.2);
            attempts.push(Attempt {
                time_us,
                merchant,
                cents: kind.category.cents(ticket, random),
                declined,
                fraud: true,
                km_from_home,
            });
        }
        time_us += (random.between(20.0, 900.0) * SECOND_US as f64) as i64;
    }
    attempts
}

fn activity(
    customer: &Customer,
    attempt: &Attempt,
    recent: &VecDeque<&Attempt>,
    usual: f64,
    km_from_home: Option<f64>,
    random: &mut Random,
) -> Activity {
    let paid = || recent.iter().filter(|past| !past.declined);
    let merchants: BTreeSet<usize> = recent.iter().map(|past| past.merchant).collect();
    Activity {
        customer_id: customer.id,
        time_us: attempt.time_us + (random.between(1.0, 4.0) * SECOND_US as f64) as i64,
        payments_24h: paid().count() as i64,
        spend_24h_cents: paid().map(|past| past.cents).sum(),
        declined_24h: recent.iter().filter(|past| past.declined).count() as i64,
        merchants_24h: merchants.len() as i64,
        usual_cents: usual.round() as i64,
        km_from_home,
    }
}

/// The day of the story a time is in; the last day for what is after it.
pub(super) fn day_of(time_us: i64) -> usize {
    usize::try_from((time_us - START_US).div_euclid(DAY_US)).unwrap_or(0).min(DAYS - 1)
}
