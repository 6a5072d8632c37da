//! SIGKILL at random moments.

use lineate_jepsen::scenario::{Place, crash};

/// Another seed: `cargo run -p lineate-jepsen -- kill --kills 4 --seed N`.
const SEED: u64 = 2;

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_loses_nothing_acknowledged_and_doubles_nothing() {
    let place = Place::ordinary().expect("a temporary directory");
    let options = crash::Options { crashes: 4, seed: SEED, longest_life_ms: 1_500 };
    let summary = match crash::run(place, options).await {
        Ok(summary) => summary,
        Err(error) => panic!(
            "{}\nagain: cargo run -p lineate-jepsen -- kill --kills 4 --seed {SEED} --longest-life-ms 1500",
            error.chain()
        ),
    };
    let counts = [summary.rows, summary.batches, summary.loads, summary.trainings, summary.seals];
    assert!(counts.iter().all(|count| *count > 0), "too little happened: {summary:?}");
}
