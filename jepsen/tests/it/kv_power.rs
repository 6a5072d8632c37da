//! Loss of power under the key-value engines alone. A process of its own applies batches and syncs; it is killed, the
//! disk loses its power, and the next process finds at least what was synced, and of the rest some first part.
//!
//! The writer is this test binary again, told by its environment what to do: an engine that is closed, and not
//! killed, may make durable what it never synced. More of it: `KV_POWER_SEEDS=100 cargo test -p lineate-jepsen --test
//! it kv_power`, or from another seed on with `KV_POWER_FIRST_SEED`.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
};

use lineate_jepsen::{lossyfs::LossyFs, random::Random, scenario::Place};
use lineate_storage::kv::{KvBatch, KvOp, OrderedKv, RedbKv, RedbOptions, SledKv, SledOptions};

use crate::skip;

/// What the writer is told, in its environment.
const ENGINE: &str = "KV_POWER_ENGINE";
const PLACE: &str = "KV_POWER_PLACE";
const SEED: &str = "KV_POWER_SEED";

/// Small, so that pages are written back and read again.
const CACHE_BYTES: u64 = 1 << 20;
const TREES: u64 = 3;
const CUTS: u64 = 24;

type State = BTreeMap<String, BTreeMap<Vec<u8>, Vec<u8>>>;

#[test]
fn sled_without_power_keeps_what_was_synced_and_a_first_part_of_the_rest() {
    for seed in seeds() {
        loses_power("sled", seed);
    }
}

#[test]
fn redb_without_power_keeps_what_was_synced_and_a_first_part_of_the_rest() {
    for seed in seeds() {
        loses_power("redb", seed);
    }
}

/// The writer, where this process is one.
#[test]
fn writer() {
    let told = |name| std::env::var(name).ok();
    let (Some(engine), Some(place), Some(seed)) = (told(ENGINE), told(PLACE), told(SEED)) else { return };
    let (kv, reason): (Box<dyn OrderedKv>, _) = match engine.as_str() {
        "sled" => {
            let options = SledOptions { cache_bytes: CACHE_BYTES };
            let (kv, report) = SledKv::open_or_quarantine(Path::new(&place), &options).expect("opens");
            (Box::new(kv), report.reason)
        }
        _ => {
            let options = RedbOptions { cache_bytes: CACHE_BYTES };
            let (kv, report) = RedbKv::open_or_quarantine(Path::new(&place), &options).expect("opens");
            (Box::new(kv), report.reason)
        }
    };
    assert_eq!(reason, None, "the store was moved aside");
    write_until_killed(kv.as_ref(), seed.parse().expect("a number"));
}

fn seeds() -> std::ops::Range<u64> {
    let number =
        |name, default| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let first = number("KV_POWER_FIRST_SEED", 11);
    first..first + number("KV_POWER_SEEDS", 1)
}

fn loses_power(engine: &str, seed: u64) {
    if let Some(why) = LossyFs::refusal() {
        return skip(&format!("skip[jepsen-fuse]: {why}"));
    }
    let mut place = Place::lossy().expect("it can be mounted");
    let mut random = Random::new(seed);
    let mut heard = Heard::default();
    for cut in 0..CUTS {
        let again = format!("cut {cut}; again: KV_POWER_FIRST_SEED={seed}");
        let mut writer = Writer::start(engine, &place.store(), seed);
        // A store that was never synced may be made anew, which is not what this looks for.
        if heard.synced > 0 && random.percent(20) {
            // Somewhere in its opening, or just after.
            std::thread::sleep(random.pause_ms(0, 40));
        } else {
            let mut batches = random.between(1, 50);
            let in_a_sync = random.percent(60);
            loop {
                let said = writer.next();
                assert!(said.is_some(), "{again}: the writer ended by itself, and says why above");
                let Some((word, number)) = said else { break };
                heard.hear(&word, number, &again);
                if word == "applying" {
                    batches = batches.saturating_sub(1);
                }
                if batches == 0 && word == (if in_a_sync { "syncing" } else { "applying" }) {
                    break;
                }
            }
            if in_a_sync {
                // Somewhere inside it, or just after.
                std::thread::sleep(random.pause_ms(0, 12));
            }
        }
        writer.kill(|word, number| heard.hear(word, number, &again));
        place.lose_power(&mut random).expect("nobody uses it");
    }
    let Heard { lost, synced, .. } = heard;
    assert!(lost > 0 && synced > 0, "the disk took {lost} batches; {synced} were synced");
}

/// What the writers said so far.
#[derive(Default)]
struct Heard {
    /// Batches that are durable.
    synced: u64,
    /// Batches that may be there.
    begun: u64,
    /// Batches that were begun and not found again.
    lost: u64,
}

impl Heard {
    fn hear(&mut self, word: &str, number: u64, again: &str) {
        match word {
            "found" => {
                let Self { synced, begun, .. } = *self;
                assert!(
                    (synced..=begun).contains(&number),
                    "{again}: {number} batches were found; {synced} were synced and {begun} begun"
                );
                self.lost += begun - number;
                self.begun = number;
            }
            "applying" => self.begun = number,
            "synced" => self.synced = number,
            _ => {}
        }
    }
}

/// A writing process.
struct Writer {
    process: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Writer {
    fn start(engine: &str, place: &Path, seed: u64) -> Self {
        let binary = std::env::current_exe().expect("this binary");
        let mut process = Command::new(binary)
            .args(["--exact", "kv_power::writer", "--nocapture"])
            .env(ENGINE, engine)
            .env(PLACE, place)
            .env(SEED, seed.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let lines = BufReader::new(process.stdout.take().expect("is piped")).lines();
        Self { process, lines }
    }

    /// The next thing it says; none once it has ended.
    fn next(&mut self) -> Option<(String, u64)> {
        loop {
            let line = self.lines.next()?.ok()?;
            // The test harness says things too.
            if let Some((word, number)) = line.split_once(' ')
                && let Ok(number) = number.parse()
            {
                return Some((word.to_owned(), number));
            }
        }
    }

    /// Kills it, and hears what it said until then.
    fn kill(mut self, mut hear: impl FnMut(&str, u64)) {
        self.process.kill().expect("it was started here");
        self.process.wait().expect("it ends");
        while let Some((word, number)) = self.next() {
            hear(&word, number);
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn write_until_killed(kv: &dyn OrderedKv, seed: u64) {
    let mut out = std::io::stdout();
    // The test harness may have begun a line.
    let mut say = |word: &str, number: u64| writeln!(out, "\n{word} {number}").expect("somebody listens");
    let (mut number, mut model) = found(kv, seed);
    say("found", number);
    loop {
        number += 1;
        say("applying", number);
        let (tree, batch) = batch(seed, number);
        change(&mut model, &tree, &batch);
        kv.apply(&tree, batch).expect("applies");
        if Random::new(seed ^ number).percent(15) {
            say("syncing", number);
            kv.sync().expect("syncs");
            say("synced", number);
        }
    }
}

/// How many batches the store holds; fails where it is not what the first so many of them make.
fn found(kv: &dyn OrderedKv, seed: u64) -> (u64, State) {
    let mut state = State::new();
    for tree in kv.trees().expect("lists") {
        let mut values = BTreeMap::new();
        let scanned = kv.scan(&tree, b"", &mut |key, value| {
            values.insert(key.to_vec(), value.to_vec());
            Ok(())
        });
        scanned.expect("scans");
        state.insert(tree, values);
    }
    // A tree without a batch: its making outlived the batch that made it.
    state.retain(|_, values| !values.is_empty());
    let last = |values: &BTreeMap<Vec<u8>, Vec<u8>>| {
        let bytes = values.get(&b"applied"[..]).expect("every batch says which it is").as_slice();
        u64::from_be_bytes(bytes.try_into().expect("8 bytes"))
    };
    let number = state.values().map(last).max().unwrap_or(0);
    let mut model = State::new();
    for number in 1..=number {
        let (tree, batch) = batch(seed, number);
        change(&mut model, &tree, &batch);
    }
    assert!(state == model, "what is there is not what the first {number} batches made");
    (number, model)
}

fn change(model: &mut State, tree: &str, batch: &KvBatch) {
    let values = model.entry(tree.to_owned()).or_default();
    for op in batch.ops() {
        match op {
            KvOp::Put { key, value } => values.insert(key.clone(), value.clone()),
            KvOp::Delete { key } => values.remove(key),
        };
    }
}

/// One batch, and its tree: the same for a seed and a number.
fn batch(seed: u64, number: u64) -> (String, KvBatch) {
    let mut random = Random::new(seed.wrapping_mul(1_000_003) ^ number);
    let mut batch = KvBatch::new();
    for _ in 0..random.between(0, 12) {
        let key = format!("key-{:04}", random.below(300));
        if random.percent(20) {
            batch.delete(key);
        } else {
            let long = random.percent(4);
            let length = if long { random.between(40_000, 120_000) } else { random.below(1_500) };
            batch.put(key, vec![number as u8; length as usize]);
        }
    }
    batch.put(*b"applied", number.to_be_bytes());
    (format!("group-{}", random.below(TREES)), batch)
}
