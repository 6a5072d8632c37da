//! Checking a store that goes on taking commands.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use lineate_node::api::Progress;
use lineate_state::catalog::authored::Definitions;
use tokio::runtime::Handle;

use crate::store::{open, tester};

/// Entries that may be read while the meta group takes nothing.
const AT_ONCE: u64 = 1_024;

/// A view with so many tags, each of which is a record.
fn tagged(view: &str, tags: u64) -> Definitions {
    let tags: serde_json::Map<String, serde_json::Value> =
        (0..tags).map(|tag| (format!("t{tag}"), tag.to_string().into())).collect();
    serde_json::from_value(serde_json::json!({
        "project": "p",
        "entities": [{"name": "thing", "keys": [{"name": "id", "type": "string"}]}],
        "views": [{
            "name": view, "entity": "thing", "event_time": "happened", "tags": tags,
            "features": [{"name": "value", "type": "int64"}]
        }]
    }))
    .expect("valid definitions")
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_are_appended_while_a_store_is_verified_do_not_change_what_is_found() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = open(directory.path(), 0).await;
    for view in 0..60 {
        node.apply(&tester(), &tagged(&format!("v{view}"), 40), false).await.expect("applies");
    }
    let (size, root) = {
        let meta = node.meta().read();
        (meta.ledger().size(), meta.ledger().tree().root())
    };
    assert!(size > 2 * AT_ONCE, "{size}");
    let (seen, appended) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (writer, runtime) = (node.clone(), Handle::current());
    let (last, count) = (seen.clone(), appended.clone());
    let progress = move |progress: Progress| {
        if progress.unit != "entries" {
            return;
        }
        assert_eq!(progress.total, Some(size));
        assert!(progress.done - last.swap(progress.done, Ordering::Relaxed) <= AT_ONCE);
        // Would wait for ever if the ledger were held.
        let later = tagged(&format!("later{}", count.fetch_add(1, Ordering::Relaxed)), 1);
        runtime.block_on(writer.apply(&tester(), &later, false)).expect("applies");
    };
    let check = node.verify_store(Arc::new(progress)).await.expect("checks");
    assert_eq!((check.entries, check.root), (size, root));
    assert_eq!(check.faults, Vec::<String>::new());
    assert!(appended.load(Ordering::Relaxed) >= size / AT_ONCE);
    assert!(size - seen.load(Ordering::Relaxed) <= AT_ONCE);
    assert!(node.meta().read().ledger().size() > size);
    node.shutdown().await.expect("closes");
}
