//! Training sets whose caller goes away, at every step: recorded whole or not at all, and nothing is left behind.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use lineate_node::{Node, Unfinished, api::OnProgress};
use lineate_types::Hash;
use tokio::sync::Notify;

use crate::store::{definitions, ingest, open, quiet, request, tester};

/// Snapshot, spine, at least one step of joining, recording, and none left.
const STEPS: usize = 6;
/// How long cleaning up may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(30);

fn after_steps(steps: usize) -> (OnProgress, Arc<Notify>) {
    let (count, reached) = (AtomicUsize::new(0), Arc::new(Notify::new()));
    let told = reached.clone();
    let progress = move |_| {
        if count.fetch_add(1, Ordering::Relaxed) + 1 == steps {
            told.notify_one();
        }
    };
    (Arc::new(progress), reached)
}

pub(crate) fn stored(node: &Node) -> BTreeSet<Hash> {
    let mut hashes = BTreeSet::new();
    let listed = node.blobs().list(&mut |hash, _| {
        hashes.insert(hash);
        Ok(())
    });
    listed.expect("lists");
    hashes
}

pub(crate) fn recorded(node: &Node) -> BTreeSet<Hash> {
    let meta = node.meta().read();
    let files = |files: &[lineate_state::meta::FileDraft]| -> Vec<Hash> {
        files.iter().map(|file| file.physical).collect()
    };
    let drafts = meta.datasets().map(|dataset| &dataset.draft);
    drafts.flat_map(|draft| [vec![draft.spine.physical], files(&draft.files)].concat()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_training_set_cut_off_anywhere_is_recorded_whole_or_leaves_nothing_behind() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = open(directory.path(), 4).await;
    node.apply(&tester(), &definitions(), false).await.expect("applies");
    let row = r#"{"origin":"JFK","event_timestamp":"2013-06-01T09:00:00Z","created_timestamp":null,"temp":1.5,"wind_dir":3}"#;
    ingest(&node, "weather", row).await.expect("loads");
    let before = stored(&node);
    let mut ways = BTreeSet::new();
    for (number, (steps, millis)) in
        (0..).zip((1..=STEPS).flat_map(|steps| [0, 1, 3].map(|millis| (steps, millis))))
    {
        let spine = format!("origin,dest,event_timestamp,number\nJFK,JFK,2013-06-01T10:00:00Z,{number}\n");
        let wanted = request(&node, "delays", "delay_model", &spine).await;
        let (progress, reached) = after_steps(steps);
        let tester = tester();
        let mut making = Box::pin(lineate_query::create(&node, &tester, wanted, progress));
        let cut = async {
            reached.notified().await;
            tokio::time::sleep(Duration::from_millis(millis)).await;
        };
        let made = tokio::select! { made = &mut making => Some(made.is_ok()), () = cut => None };
        drop(making);
        ways.insert(made);
        let begun = Instant::now();
        let is_clean = || {
            let named: BTreeSet<Hash> = before.union(&recorded(&node)).copied().collect();
            node.unfinished() == Unfinished::default() && stored(&node) == named
        };
        while !is_clean() {
            assert!(begun.elapsed() < PATIENCE, "{:?}", node.unfinished());
            tokio::task::yield_now().await;
        }
    }
    assert!(ways.contains(&None), "nothing was cut off");
    let sets = node.meta().read().datasets().count();
    for version in 1..=sets {
        let name = format!("delays@v{version}").parse().expect("a name");
        let report = lineate_query::verify(&node, &tester(), None, &name, quiet()).await.expect("verifies");
        assert!(report.verified, "{report:?}");
    }
    node.shutdown().await.expect("stops");
}
