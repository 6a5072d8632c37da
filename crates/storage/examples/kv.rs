//! Prints what the key-value engines cost side by side: batches, syncs, gets, a scan, bytes on disk, opening.
//!
//! `cargo run -p lineate-storage --example kv [ROUNDS [DIRECTORY]]`. The engines take turns, and who begins takes
//! turns too, so that a noisy machine is as noisy for both. The last table is the medians over the rounds.
#![allow(clippy::print_stdout)]

use std::{error::Error, hint::black_box, path::Path, time::Instant};

use lineate_storage::{
    Seed,
    kv::{KvBatch, OrderedKv, RedbKv, RedbOptions, SledKv, SledOptions},
};

const TREES: u64 = 16;
const BATCHES: u64 = 8_000;
const PUTS: u64 = 8;
const VALUE_BYTES: usize = 200;
const BATCHES_PER_SYNC: u64 = 100;
const GETS: u64 = 50_000;
const CACHE_BYTES: u64 = 16 * 1024 * 1024;
/// Keys of a tree.
const ROWS: u64 = BATCHES * PUTS / TREES;

type Figures = Vec<(&'static str, f64)>;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let rounds: u64 = arguments.next().map_or(Ok(5), |text| text.parse())?;
    let parent = arguments.next().unwrap_or_else(|| std::env::temp_dir().display().to_string());
    println!(
        "{BATCHES} batches of {PUTS} puts of {VALUE_BYTES} bytes into {TREES} trees, twice; \
         a sync each {BATCHES_PER_SYNC} batches; a cache of {} MiB",
        CACHE_BYTES >> 20
    );
    let (mut sled, mut redb) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let place = Path::new(&parent).join(format!("lineate-kv-{}-{round}", std::process::id()));
        let mut run_sled = || -> Result<(), Box<dyn Error>> {
            sled.push(measure(&place.join("sled"), round, |path| {
                let options = SledOptions { cache_bytes: CACHE_BYTES };
                Ok(Box::new(SledKv::open_or_quarantine(path, &options)?.0))
            })?);
            Ok(())
        };
        let mut run_redb = || -> Result<(), Box<dyn Error>> {
            redb.push(measure(&place.join("redb"), round, |path| {
                let options = RedbOptions { cache_bytes: CACHE_BYTES };
                Ok(Box::new(RedbKv::open_or_quarantine(path, &options)?.0))
            })?);
            Ok(())
        };
        if round % 2 == 0 {
            run_sled()?;
            run_redb()?;
        } else {
            run_redb()?;
            run_sled()?;
        }
        std::fs::remove_dir_all(&place)?;
        println!("round {} of {rounds} done", round + 1);
    }
    print_table(&sled, &redb);
    Ok(())
}

/// One engine once through everything.
fn measure(
    path: &Path,
    seed: u64,
    open: impl Fn(&Path) -> lineate_storage::Result<Box<dyn OrderedKv>>,
) -> Result<Figures, Box<dyn Error>> {
    let mut figures = Figures::new();
    let mut seed = Seed::new(seed);
    let kv = open(path)?;
    let load = apply_all(kv.as_ref(), |batch, put| batch / TREES * PUTS + put)?;
    let overwrite = apply_all(kv.as_ref(), |_, _| seed.below(ROWS))?;
    for (names, spent) in [
        (["batches/s, new keys", "with the syncs"], &load),
        (["batches/s, overwriting", "with the syncs"], &overwrite),
    ] {
        let syncing_s: f64 = spent.syncs_ms.iter().sum::<f64>() / 1e3;
        let [alone, with_syncs] = names;
        figures.push((alone, BATCHES as f64 / spent.applying_s));
        figures.push((with_syncs, BATCHES as f64 / (spent.applying_s + syncing_s)));
    }
    let mut syncs = [load.syncs_ms, overwrite.syncs_ms].concat();
    syncs.sort_by(f64::total_cmp);
    figures.push(("ms a sync, median", at(&syncs, 50)));
    figures.push(("ms a sync, 99 of 100", at(&syncs, 99)));
    let begun = Instant::now();
    for _ in 0..GETS {
        let (tree, row) = (seed.below(TREES), seed.below(ROWS));
        black_box(kv.get(&name(tree), &key(row))?.ok_or("a key is missing")?);
    }
    figures.push(("gets/s", GETS as f64 / begun.elapsed().as_secs_f64()));
    let begun = Instant::now();
    let mut pairs = 0_u64;
    for tree in kv.trees()? {
        kv.scan(&tree, b"", &mut |key, value| {
            black_box((key, value));
            pairs += 1;
            Ok(())
        })?;
    }
    figures.push(("pairs/s, scanning", pairs as f64 / begun.elapsed().as_secs_f64()));
    figures.push(("MB on disk", directory_bytes(path)? as f64 / 1e6));
    drop(kv);
    let begun = Instant::now();
    let kv = open(path)?;
    figures.push(("ms to open and verify", begun.elapsed().as_secs_f64() * 1e3));
    drop(kv);
    figures.push(("MB on disk, closed", directory_bytes(path)? as f64 / 1e6));
    Ok(figures)
}

/// The time that all batches took.
struct Spent {
    applying_s: f64,
    syncs_ms: Vec<f64>,
}

/// Applies all batches to the trees in turn, the rows as told for a batch and a put of it.
fn apply_all(kv: &dyn OrderedKv, mut row: impl FnMut(u64, u64) -> u64) -> Result<Spent, Box<dyn Error>> {
    let (mut applying_s, mut syncs_ms) = (0.0, Vec::new());
    for number in 0..BATCHES {
        let mut batch = KvBatch::new();
        for put in 0..PUTS {
            batch.put(key(row(number, put)), value(number));
        }
        let begun = Instant::now();
        kv.apply(&name(number % TREES), batch)?;
        applying_s += begun.elapsed().as_secs_f64();
        if number % BATCHES_PER_SYNC == BATCHES_PER_SYNC - 1 {
            let begun = Instant::now();
            kv.sync()?;
            syncs_ms.push(begun.elapsed().as_secs_f64() * 1e3);
        }
    }
    Ok(Spent { applying_s, syncs_ms })
}

fn name(tree: u64) -> String {
    format!("group-{tree}")
}

/// 24 bytes: a tag, the number spread over all bytes, the number.
fn key(number: u64) -> Vec<u8> {
    let spread = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    [&b"row-key\0"[..], &spread.to_be_bytes(), &number.to_be_bytes()].concat()
}

fn value(number: u64) -> Vec<u8> {
    number.to_le_bytes().into_iter().cycle().take(VALUE_BYTES).collect()
}

fn directory_bytes(path: &Path) -> std::io::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() { directory_bytes(&entry.path())? } else { metadata.len() };
    }
    Ok(bytes)
}

/// The value below which so many of a hundred lie, of sorted ones.
fn at(sorted: &[f64], percent: usize) -> f64 {
    sorted
        .get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or(f64::NAN)
}

fn print_table(sled: &[Figures], redb: &[Figures]) {
    let column = |rounds: &[Figures], row: usize| -> Vec<f64> {
        rounds.iter().filter_map(|figures| figures.get(row)).map(|(_, figure)| *figure).collect()
    };
    let median = |mut figures: Vec<f64>| {
        figures.sort_by(f64::total_cmp);
        at(&figures, 50)
    };
    println!("| | sled | redb | redb to sled | least to most |\n|---|---|---|---|---|");
    for (row, (name, _)) in sled.first().into_iter().flatten().enumerate() {
        let (of_sled, of_redb) = (column(sled, row), column(redb, row));
        let mut ratios: Vec<f64> = of_sled.iter().zip(&of_redb).map(|(sled, redb)| redb / sled).collect();
        ratios.sort_by(f64::total_cmp);
        println!(
            "| {name} | {} | {} | {:.2} | {:.2} to {:.2} |",
            short(median(of_sled)),
            short(median(of_redb)),
            at(&ratios, 50),
            at(&ratios, 0),
            at(&ratios, 100),
        );
    }
}

fn short(figure: f64) -> String {
    if figure < 100.0 { format!("{figure:.1}") } else { format!("{figure:.0}") }
}
