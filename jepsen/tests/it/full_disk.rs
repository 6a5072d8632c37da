//! A full disk.

use lineate_jepsen::{Error, scenario::full_disk};

use crate::skip;

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_writes_answers_reads_and_recovers_without_a_restart() {
    match full_disk::run(1).await {
        Ok(summary) => assert!(summary.refused_pushes > 0 && summary.refused_loads > 0, "{summary:?}"),
        Err(Error::Unable(why)) => skip(&format!("skip[no-tmpfs]: {why}")),
        Err(error) => panic!("{}\nagain: cargo run -p lineate-jepsen -- full-disk --seed 1", error.chain()),
    }
}
