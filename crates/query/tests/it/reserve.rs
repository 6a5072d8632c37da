//! Training sets on a disk that is nearly full at any of their steps.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use lineate_node::{DiskSpace, Unfinished};
use lineate_types::{ErrorKind, HasKind};

use crate::{
    cut_off::{recorded, stored},
    store::{create, definitions, ingest, open_on, tester},
};

/// How long cleaning up may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(30);
/// More looks at the disk than one training set takes.
const LOOKS: u64 = 50;

/// A disk that is full after so many looks at it.
#[derive(Debug, Clone, Default)]
struct Looks(Arc<AtomicU64>);

impl DiskSpace for Looks {
    fn available_bytes(&self, _: &Path) -> lineate_storage::Result<u64> {
        let left = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |looks| looks.checked_sub(1));
        Ok(left.map_or(0, |_| u64::MAX))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_training_set_that_would_touch_the_reserve_is_refused_and_leaves_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let disk = Looks::default();
    disk.0.store(u64::MAX, Ordering::SeqCst);
    let node = open_on(directory.path(), 2, Arc::new(disk.clone())).await;
    node.apply(&tester(), &definitions(), false).await.expect("applies");
    let row = r#"{"origin":"JFK","event_timestamp":"2013-06-01T09:00:00Z","created_timestamp":null,"temp":1.5,"wind_dir":3}"#;
    ingest(&node, "weather", row).await.expect("loads");
    let before = stored(&node);
    let mut refusals = 0;
    for looks in 0..LOOKS {
        let spine = format!("origin,dest,event_timestamp,number\nJFK,JFK,2013-06-01T10:00:00Z,{looks}\n");
        disk.0.store(u64::MAX, Ordering::SeqCst);
        let request = crate::store::request(&node, "delays", "delay_model", &spine).await;
        disk.0.store(looks, Ordering::SeqCst);
        let made = lineate_query::create(&node, &tester(), request, crate::store::quiet()).await;
        disk.0.store(u64::MAX, Ordering::SeqCst);
        let Err(refused) = made else { break };
        assert_eq!(refused.kind(), ErrorKind::ResourceExhausted, "after {looks} looks: {refused}");
        refusals += 1;
        let begun = Instant::now();
        while node.unfinished() != Unfinished::default() || stored(&node) != before {
            assert!(begun.elapsed() < PATIENCE, "after {looks} looks: {:?}", node.unfinished());
            tokio::task::yield_now().await;
        }
    }
    // At the spine, at the output, and when it is recorded.
    assert!((3..LOOKS).contains(&refusals), "{refusals} refusals");
    assert_eq!(recorded(&node).difference(&stored(&node)).count(), 0);
    let spine = "origin,dest,event_timestamp,number\nJFK,JFK,2013-06-01T10:00:00Z,7\n";
    create(&node, spine, None, None).await.expect("there is room again");
    node.shutdown().await.expect("stops");
}
