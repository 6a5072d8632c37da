//! The demo's city: drivers, zones, their logs, and rides with their outcome. The same every time.

use std::{
    f64::consts::TAU,
    fs::{self, File},
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow::{
    array::{
        ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
    },
    error::ArrowError,
};
use parquet::arrow::ArrowWriter;

use crate::error::Error;

/// 2025-06-02T00:00:00Z, a Monday.
const START_US: i64 = 1_748_822_400_000_000;
const MINUTE_US: i64 = 60_000_000;
const DAY_US: i64 = 24 * 60 * MINUTE_US;
const DAYS: i64 = 7;
const DRIVERS: i64 = 120;
const ZONES: i64 = 40;
const RIDES: usize = 20_000;
/// One in so many zone rows is corrected a day later.
const CORRECTED_ONE_IN: u64 = 12;

/// Files the demo works on.
pub(crate) struct Files {
    pub(crate) definitions: PathBuf,
    pub(crate) driver_stats: PathBuf,
    pub(crate) zone_traffic: PathBuf,
    pub(crate) rides: PathBuf,
    /// Rows of `rides`.
    pub(crate) rides_booked: u64,
}

/// A time in the week of the data at which there is something to see.
pub(crate) const RUSH_HOUR: &str = "2025-06-05T17:30:00Z";

/// Writes the files into a directory, which is made.
pub(crate) fn write(directory: &Path) -> Result<Files, Error> {
    let failed = |source| Error::File { action: "write", path: directory.to_owned(), source };
    fs::create_dir_all(directory).map_err(failed)?;
    let path = |name: &str| directory.join(name);
    let rides =
        rides().map_err(|cause| Error::Rows { path: path("rides.parquet"), why: cause.to_string() })?;
    let files = Files {
        definitions: path("features.yaml"),
        driver_stats: path("driver_stats.parquet"),
        zone_traffic: path("zone_traffic.parquet"),
        rides: path("rides.parquet"),
        rides_booked: rides.num_rows() as u64,
    };
    fs::write(&files.definitions, super::DEFINITIONS).map_err(failed)?;
    parquet(&files.driver_stats, driver_stats())?;
    parquet(&files.zone_traffic, zone_traffic())?;
    parquet(&files.rides, Ok(rides))?;
    Ok(files)
}

/// The live rows of the demo: what the drivers report now, as NDJSON.
pub(crate) fn live_rows(now_us: i64) -> String {
    let mut chance = Chance(99);
    let time = lineate_types::TimestampUs(now_us);
    (1..=DRIVERS)
        .map(|driver| {
            let delay = recent_delay(driver, now_us, &mut chance);
            format!(
                "{{\"driver_id\":{driver},\"event_timestamp\":\"{time}\",\"created_timestamp\":\"{time}\",\
                 \"recent_delay_min\":{delay},\"rides_today\":{}}}\n",
                chance.below(12)
            )
        })
        .collect()
}

/// The name of a zone.
fn zone(number: i64) -> String {
    const QUARTERS: [&str; 8] =
        ["harbour", "old_town", "airport", "station", "university", "park", "market", "hills"];
    let quarter = usize::try_from(number).ok().and_then(|number| QUARTERS.get(number % QUARTERS.len()));
    format!("{}_{}", quarter.unwrap_or(&"zone"), number / 8 + 1)
}

fn driver_stats() -> Result<RecordBatch, ArrowError> {
    let mut chance = Chance(1);
    let (mut drivers, mut times, mut created) = (Vec::new(), Vec::new(), Vec::new());
    let (mut delays, mut rides) = (Vec::new(), Vec::new());
    for driver in 1..=DRIVERS {
        let mut today = 0;
        for time in (START_US..START_US + DAYS * DAY_US).step_by(30 * MINUTE_US as usize) {
            // A driver is off for a third of the day, each at another time.
            let hour = (time - START_US) / (60 * MINUTE_US) % 24;
            if (hour + driver) % 24 < 8 {
                today = 0;
                continue;
            }
            today += chance.below(3) as i64;
            drivers.push(driver);
            times.push(time);
            created.push(time + 2 * MINUTE_US);
            delays.push(recent_delay(driver, time, &mut chance));
            rides.push(today);
        }
    }
    batch([
        ("driver_id", Arc::new(Int64Array::from(drivers)) as ArrayRef),
        ("event_timestamp", instants(times)),
        ("created_timestamp", instants(created)),
        ("recent_delay_min", Arc::new(Float64Array::from(delays))),
        ("rides_today", Arc::new(Int64Array::from(rides))),
    ])
}

fn zone_traffic() -> Result<RecordBatch, ArrowError> {
    let mut chance = Chance(2);
    let (mut zones, mut times, mut created) = (Vec::new(), Vec::new(), Vec::new());
    let (mut traffics, mut requests) = (Vec::new(), Vec::new());
    for number in 0..ZONES {
        for time in (START_US..START_US + DAYS * DAY_US).step_by(15 * MINUTE_US as usize) {
            let value = traffic(number, time);
            let measured = (value + 0.05 * chance.normal()).max(0.0);
            let demand = (40.0 * value + 6.0 * chance.normal()).max(0.0).round() as i64;
            let mut push = |created_at: i64, value: f64| {
                zones.push(zone(number));
                times.push(time);
                created.push(created_at);
                traffics.push(round(value));
                requests.push(demand);
            };
            push(time + 4 * MINUTE_US, measured);
            if chance.below(CORRECTED_ONE_IN) == 0 {
                push(time + DAY_US, measured * 1.4);
            }
        }
    }
    batch([
        ("zone", Arc::new(StringArray::from(zones)) as ArrayRef),
        ("event_timestamp", instants(times)),
        ("created_timestamp", instants(created)),
        ("traffic", Arc::new(Float64Array::from(traffics))),
        ("requests", Arc::new(Int64Array::from(requests))),
    ])
}

fn rides() -> Result<RecordBatch, ArrowError> {
    let mut chance = Chance(3);
    let (mut ids, mut times, mut drivers) = (Vec::new(), Vec::new(), Vec::new());
    let (mut pickups, mut dropoffs, mut late) = (Vec::new(), Vec::new(), Vec::new());
    for id in 0..RIDES {
        let time =
            START_US + 3 * 60 * MINUTE_US + chance.below((DAYS * DAY_US) as u64 - 4 * 3_600_000_000) as i64;
        let driver = 1 + chance.below(DRIVERS as u64) as i64;
        let (pickup, dropoff) = (chance.below(ZONES as u64) as i64, chance.below(ZONES as u64) as i64);
        let score = 2.2 * traffic(pickup, time) + 1.6 * traffic(dropoff, time) + 0.28 * habit(driver) - 4.2;
        ids.push(id as i64);
        times.push(time);
        drivers.push(driver);
        pickups.push(zone(pickup));
        dropoffs.push(zone(dropoff));
        late.push(chance.unit() < 1.0 / (1.0 + (-score).exp()));
    }
    batch([
        ("ride_id", Arc::new(Int64Array::from(ids)) as ArrayRef),
        ("event_timestamp", instants(times)),
        ("driver_id", Arc::new(Int64Array::from(drivers))),
        ("pickup_zone", Arc::new(StringArray::from(pickups))),
        ("dropoff_zone", Arc::new(StringArray::from(dropoffs))),
        ("arrived_late", Arc::new(BooleanArray::from(late))),
    ])
}

/// How busy a zone is, from 0 to about 2: two rush hours on working days, over its own level.
fn traffic(zone: i64, time_us: i64) -> f64 {
    let hour = ((time_us - START_US).rem_euclid(DAY_US)) as f64 / (60.0 * MINUTE_US as f64);
    let weekend = (time_us - START_US).div_euclid(DAY_US).rem_euclid(7) >= 5;
    let rush = |peak: f64| (-(hour - peak).powi(2) / 3.0).exp();
    let level = 0.25 + 0.35 * ((zone * 37 % 40) as f64 / 40.0);
    level + if weekend { 0.4 * rush(14.0) } else { 0.9 * rush(8.0) + 1.1 * rush(17.5) }
}

/// How late a driver usually is, in minutes.
fn habit(driver: i64) -> f64 {
    3.0 + 2.5 * (driver as f64 * TAU / 17.0).sin()
}

fn recent_delay(driver: i64, time_us: i64, chance: &mut Chance) -> f64 {
    round((habit(driver) + 1.5 * traffic(driver % ZONES, time_us) + 0.8 * chance.normal()).max(0.0))
}

fn round(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

fn instants(micros: Vec<i64>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(micros).with_timezone("UTC"))
}

fn batch<const N: usize>(columns: [(&str, ArrayRef); N]) -> Result<RecordBatch, ArrowError> {
    RecordBatch::try_from_iter(columns)
}

fn parquet(path: &Path, batch: Result<RecordBatch, ArrowError>) -> Result<(), Error> {
    let wrong = |why: String| Error::Rows { path: path.to_owned(), why };
    let batch = batch.map_err(|cause| wrong(cause.to_string()))?;
    let file = File::create(path).map_err(|source| Error::File {
        action: "write",
        path: path.to_owned(),
        source,
    })?;
    let write = || {
        let mut writer = ArrowWriter::try_new(file, batch.schema(), None)?;
        writer.write(&batch)?;
        writer.close()
    };
    write().map(drop).map_err(|cause| wrong(cause.to_string()))
}

/// Numbers that look random and are the same every time (SplitMix64).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Roughly normal: mean 0, deviation 1.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_city_is_the_same_every_time_and_lively() {
        assert_eq!(zone_traffic().expect("valid"), zone_traffic().expect("valid"));
        let rides = rides().expect("valid");
        let late = rides.column_by_name("arrived_late").expect("there");
        let late = late.as_any().downcast_ref::<BooleanArray>().expect("bool").true_count();
        assert!((RIDES / 5..RIDES * 4 / 5).contains(&late), "{late} of {RIDES} are late");
        assert_eq!(live_rows(START_US).lines().count(), DRIVERS as usize);
        let zones: std::collections::BTreeSet<String> = (0..ZONES).map(zone).collect();
        assert_eq!(zones.len(), ZONES as usize);
    }
}
