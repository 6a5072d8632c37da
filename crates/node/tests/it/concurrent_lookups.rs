//! Lookups are linearizable per key: each sees every row that was acknowledged before it was sent, and no key
//! goes back, while rows are pushed, runs sealed and compacted, and files loaded.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicI64, Ordering},
};

use lineate_node::Node;
use lineate_types::limits;
use tokio::task::JoinSet;

use crate::store::{compact, line, load, look, open, push, seal, values, view};

const KEYS: usize = 6;
const PUSHES: i64 = 60;

#[derive(Clone)]
struct Run {
    node: Node,
    ids: Arc<Vec<String>>,
    /// For each key, the greatest value acknowledged.
    acknowledged: Arc<Vec<AtomicI64>>,
    is_over: Arc<AtomicBool>,
}

impl Run {
    fn acknowledged(&self) -> Vec<i64> {
        self.acknowledged.iter().map(|value| value.load(Ordering::SeqCst)).collect()
    }

    async fn write(self, key: usize) {
        let view = view(&self.node);
        for value in 1..=PUSHES {
            push(&self.node, &view, line(&self.ids[key], value)).await;
            self.acknowledged[key].store(value, Ordering::SeqCst);
        }
    }

    async fn read(self) {
        let mut seen = [0; KEYS];
        while !self.is_over.load(Ordering::SeqCst) {
            let before = self.acknowledged();
            let reply = look(&self.node, &self.ids).await;
            for (key, value) in values(&reply).into_iter().enumerate() {
                let value = value.unwrap_or(0);
                assert!(value >= before[key], "{} was acknowledged, {value} is answered", before[key]);
                assert!(value >= seen[key], "{} was seen, {value} is answered", seen[key]);
                seen[key] = value;
            }
        }
    }

    async fn disturb(self) {
        let mut round = 0;
        while !self.is_over.load(Ordering::SeqCst) {
            seal(&self.node).await;
            match round % 3 {
                0 => load(&self.node, line(&format!("other-{round}"), 1)).await,
                1 => compact(&self.node).await,
                _ => {}
            }
            round += 1;
        }
    }
}

async fn check(cache_bytes: usize) {
    let directory = tempfile::tempdir().expect("a directory");
    let run = Run {
        node: open(directory.path(), cache_bytes).await,
        ids: Arc::new((0..KEYS).map(|key| format!("key-{key}")).collect()),
        acknowledged: Arc::new((0..KEYS).map(|_| AtomicI64::new(0)).collect()),
        is_over: Arc::default(),
    };
    let mut others = JoinSet::new();
    (0..3).for_each(|_| drop(others.spawn(run.clone().read())));
    others.spawn(run.clone().disturb());
    let mut writers = JoinSet::new();
    (0..KEYS).for_each(|key| drop(writers.spawn(run.clone().write(key))));
    while let Some(written) = writers.join_next().await {
        written.expect("writes");
    }
    run.is_over.store(true, Ordering::SeqCst);
    while let Some(ended) = others.join_next().await {
        ended.expect("every answer holds what was acknowledged");
    }
    assert_eq!(values(&look(&run.node, &run.ids).await), vec![Some(PUSHES); KEYS]);
    run.node.shutdown().await.expect("stops");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn every_lookup_sees_what_was_acknowledged_before_it() {
    check(limits::CACHE_BYTES).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn every_lookup_sees_what_was_acknowledged_before_it_while_keys_are_pushed_out() {
    check(4_096).await;
}
