//! Background work goes on beside a compaction, however long that takes.

use std::{
    path::Path,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use lineate_node::DiskSpace;
use lineate_types::limits;

use crate::store::{definitions, eventually, line, look, open_on, push, seal, tester, values, view};

/// A disk with room that holds whoever asks for it as the one counted down to, until it is let go.
#[derive(Default)]
struct Holding {
    countdown: AtomicUsize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    is_held: bool,
    is_let_go: bool,
}

impl DiskSpace for Holding {
    fn available_bytes(&self, _: &Path) -> lineate_storage::Result<u64> {
        let down = |left: usize| left.checked_sub(1);
        if self.countdown.fetch_update(Ordering::SeqCst, Ordering::SeqCst, down) == Ok(1) {
            let mut state = self.state.lock().expect("whole");
            state.is_held = true;
            drop(self.changed.wait_while(state, |state| !state.is_let_go).expect("whole"));
        }
        Ok(1 << 40)
    }
}

impl Holding {
    fn is_held(&self) -> bool {
        self.state.lock().expect("whole").is_held
    }

    fn let_go(&self) {
        self.state.lock().expect("whole").is_let_go = true;
        self.changed.notify_all();
    }
}

/// Lets go also where the test fails: the node could not end otherwise.
struct LetGo(Arc<Holding>);

impl Drop for LetGo {
    fn drop(&mut self) {
        self.0.let_go();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn full_runs_are_sealed_while_a_compaction_takes_long() {
    let dir = tempfile::tempdir().expect("a directory");
    let disk = Arc::new(Holding::default());
    let node = open_on(dir.path(), limits::CACHE_BYTES, limits::LOG_BYTES, disk.clone()).await;
    let node = node.expect("the store opens");
    node.apply(&tester(), &definitions(), false).await.expect("applies");
    let let_go = LetGo(disk.clone());
    let counters = view(&node);
    let most = limits::SEGMENTS_BEFORE_COMPACTION as i64;
    for value in 0..most {
        push(&node, &counters, line("a", value)).await;
        seal(&node).await;
    }
    push(&node, &counters, line("a", most)).await;
    // A compaction asks whether there is room, and then for each part of what it writes. Sealing asks for nothing.
    disk.countdown.store(2, Ordering::SeqCst);
    seal(&node).await;
    eventually("a compaction that writes", || disk.is_held()).await;
    let segments = node.status().segments;
    assert_eq!(segments, most as u64 + 1, "it is not done");
    for value in most + 1..most + 4 {
        push(&node, &counters, line("a", value)).await;
        node.bound_open_runs(0).await.expect("freezes");
        eventually("the sealing of the run", || node.status().open_rows == 0).await;
    }
    assert_eq!(node.status().segments, segments + 3);
    assert!(!disk.state.lock().expect("whole").is_let_go);
    drop(let_go);
    eventually("the end of the compaction", || node.status().segments < segments).await;
    assert_eq!(values(&look(&node, &["a".to_owned()]).await), vec![Some(most + 3)]);
    node.shutdown().await.expect("stops");
}
