//! Prints what matching costs per probe: 1,000,000 labels against 2,000,000 rows of 100,000 entities, in one run
//! and in eight, with rows known on time, late and backfilled. Run it with `--release`.
#![allow(clippy::print_stdout)]

use std::{error::Error, hint::black_box, sync::Arc, time::Instant};

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use lineate_segment::{
    Segment,
    matcher::{Cut, Spine, match_runs},
    run::{OpenRun, RowSource, RunSorter, SortedRun},
    schema::{EntityKeys, ViewSchema},
    segment::{CommitSource, write_run},
};
use lineate_storage::blob::MemBlobs;
use lineate_types::{
    DataType, EntityKey, Feature, HistoryId, KeyColumn, KeyType, MatchMode, Name, TimestampUs,
    ViewDefinition, ViewId,
};

const ROWS: u64 = 2_000_000;
const LABELS: u64 = 1_000_000;
const ENTITIES: u64 = 100_000;
const BATCH_ROWS: u64 = 50_000;
const HORIZON_US: i64 = 1_000_000_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let view = view()?;
    println!("{ROWS} rows, {LABELS} labels, {ENTITIES} entities");
    let (keys, times) = labels(&view)?;
    let spine = timed("sort the spine", LABELS, || Ok(Spine::new(&keys, &times)?))?;
    for (history, lateness) in [("on time", 0), ("late", 5_000_000_000), ("backfilled", HORIZON_US)] {
        let run = timed(&format!("sort the rows, {history}"), ROWS, || sorted(&view, lateness, 0, 1))?;
        for mode in [MatchMode::Event, MatchMode::Known] {
            timed(&format!("match, {history}, {mode}, 1 run"), LABELS, || {
                Ok(match_all(&[run.run_keys().as_ref()], &spine, mode))
            })?;
        }
        if lateness == 0 {
            segments(&view, &run, &keys, &times)?;
        }
    }
    let parts = (0..8).map(|part| sorted(&view, 5_000_000_000, part, 8)).collect::<Result<Vec<_>, _>>()?;
    let runs: Vec<_> = parts.iter().map(|run| run.run_keys().as_ref()).collect();
    for mode in [MatchMode::Event, MatchMode::Known] {
        timed(&format!("match, late, {mode}, 8 runs"), LABELS, || Ok(match_all(&runs, &spine, mode)))?;
    }
    open_run(&view, &keys, &times)
}

fn match_all(
    runs: &[&lineate_segment::run::RunKeys],
    spine: &Spine,
    mode: MatchMode,
) -> Vec<Option<lineate_segment::matcher::Winner>> {
    match_runs(runs.iter().copied(), &spine.whole(), &cut(mode))
}

fn segments(
    view: &ViewDefinition,
    run: &SortedRun,
    keys: &[Option<EntityKey>],
    times: &[TimestampUs],
) -> Result<(), Box<dyn Error>> {
    let blobs = MemBlobs::new();
    let info = timed("write the segment", ROWS, || {
        Ok(write_run(&blobs, HistoryId(1), ViewSchema::of(view), run, CommitSource::Column)?)
    })?;
    println!("  {} bytes, key index {} bytes", info.segment_bytes, info.key_index_bytes);
    let segment = timed("open the segment", 1, || Ok(Segment::open(&blobs, &info)?))?;
    timed("load its keys and times", ROWS, || Ok(segment.keys()?))?;
    let schema = ViewSchema::of(view).arrow().clone();
    let every_row: Vec<u32> = (0..ROWS as u32).collect();
    timed("gather every row", ROWS, || Ok(segment.gather(&every_row, &schema)?))?;
    let some_rows: Vec<u32> = every_row.into_iter().step_by(100).collect();
    timed("gather every hundredth row", some_rows.len() as u64, || Ok(segment.gather(&some_rows, &schema)?))?;
    let cut = cut(MatchMode::Known);
    timed("look up one key in the segment", 1_000, || {
        for (key, at) in keys.iter().zip(times).take(1_000) {
            let Some(key) = key else { continue };
            if let Some(found) = segment.find(key, *at, &cut)? {
                black_box(segment.gather(&[found.row], &schema)?);
            }
        }
        Ok(())
    })
}

fn open_run(
    view: &ViewDefinition,
    keys: &[Option<EntityKey>],
    times: &[TimestampUs],
) -> Result<(), Box<dyn Error>> {
    let schema = ViewSchema::of(view);
    let mut run = OpenRun::new();
    timed("append to an open run", 4 * BATCH_ROWS, || {
        for start in 0..4 {
            let batch = batch(view, 0, start * BATCH_ROWS, 1)?;
            run.append(&batch, &schema, TimestampUs(start as i64 + 1), 0)?;
        }
        Ok(())
    })?;
    let cut = cut(MatchMode::Known);
    timed("look up one key in the open run", 100_000, || {
        for (key, at) in keys.iter().zip(times).take(100_000) {
            black_box(key.as_ref().and_then(|key| run.find(key, *at, &cut)));
        }
        Ok(())
    })?;
    timed("freeze the open run", 4 * BATCH_ROWS, || Ok(run.freeze()?))?;
    Ok(())
}

/// Runs something and prints what it took per item.
fn timed<T>(
    what: &str,
    items: u64,
    work: impl FnOnce() -> Result<T, Box<dyn Error>>,
) -> Result<T, Box<dyn Error>> {
    let start = Instant::now();
    let result = black_box(work()?);
    let elapsed = start.elapsed();
    println!(
        "{what:40} {:10.1} ns each {:8.1} ms",
        elapsed.as_nanos() as f64 / items as f64,
        elapsed.as_secs_f64() * 1e3
    );
    Ok(result)
}

fn cut(mode: MatchMode) -> Cut {
    Cut { mode, default_mode: MatchMode::Known, snapshot: TimestampUs::MAX, ttl: None }
}

fn view() -> Result<ViewDefinition, Box<dyn Error>> {
    Ok(ViewDefinition {
        id: ViewId(1),
        history: HistoryId(1),
        project: Name::new("bench")?,
        name: Name::new("bench")?,
        version: 1,
        entity: Name::new("entity")?,
        keys: vec![KeyColumn { name: Name::new("entity")?, key_type: KeyType::String }],
        event_time: Name::new("happened")?,
        created_time: Some(Name::new("known")?),
        ttl: None,
        naive_times_are_utc: false,
        features: (0..4)
            .map(|n| Ok(Feature { name: Name::new(format!("f{n}"))?, data_type: DataType::Float64 }))
            .collect::<Result<_, Box<dyn Error>>>()?,
    })
}

/// A number that looks random and follows from `seed`.
fn mix(seed: u64) -> u64 {
    let mut mixed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn time(seed: u64) -> i64 {
    (mix(seed) % HORIZON_US as u64) as i64
}

/// Rows `start`, `start + step`, and so on: each known up to `lateness_us` after it happened.
fn batch(
    view: &ViewDefinition,
    lateness_us: i64,
    start: u64,
    step: u64,
) -> Result<RecordBatch, Box<dyn Error>> {
    let rows = || (0..BATCH_ROWS).map(move |n| start + n * step);
    let late =
        |row| time(row) + if lateness_us == 0 { 0 } else { (mix(row ^ 77) % lateness_us as u64) as i64 };
    let times = |times: Vec<i64>| TimestampMicrosecondArray::from(times).with_timezone("UTC");
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(
            rows().map(|row| format!("entity{}", mix(row ^ 5) % ENTITIES)),
        )),
        Arc::new(times(rows().map(time).collect())),
        Arc::new(times(rows().map(late).collect())),
    ];
    for feature in 0..4 {
        let values = rows().map(|row| mix(row * 4 + feature) as f64 / 1e9);
        columns.push(Arc::new(Float64Array::from_iter_values(values)));
    }
    columns.push(Arc::new(BooleanArray::from(vec![false; BATCH_ROWS as usize])));
    Ok(RecordBatch::try_new(ViewSchema::of(view).arrow().clone(), columns)?)
}

/// Every `parts`-th row, from the `part`-th on.
fn sorted(
    view: &ViewDefinition,
    lateness_us: i64,
    part: u64,
    parts: u64,
) -> Result<SortedRun, Box<dyn Error>> {
    let mut sorter = RunSorter::new(ViewSchema::of(view));
    for start in (0..ROWS / parts).step_by(BATCH_ROWS as usize) {
        let ordinals: Vec<i64> = (start as i64..(start + BATCH_ROWS) as i64).collect();
        let batch = batch(view, lateness_us, start * parts + part, parts)?;
        sorter.push(&batch, ordinals.into_iter())?;
    }
    Ok(sorter.finish(TimestampUs(1))?)
}

/// The key and the time of each label.
type Labels = (Vec<Option<EntityKey>>, Vec<TimestampUs>);

fn labels(view: &ViewDefinition) -> Result<Labels, Box<dyn Error>> {
    let (mut keys, mut times) = (Vec::new(), Vec::new());
    for start in (0..LABELS).step_by(BATCH_ROWS as usize) {
        let batch = batch(view, 0, start + 10 * ROWS, 1)?;
        keys.extend(EntityKeys::new(&[(batch.column(0), KeyType::String)])?.all()?);
        times.extend((0..BATCH_ROWS).map(|n| TimestampUs(time(start + n + 20 * ROWS))));
    }
    Ok((keys, times))
}
