//! What costs a read of segments, and what does not.

use lineate_types::limits;

use crate::store::{compact, folded, happened, line, load, look, look_at, open, push, seal, values, view};

fn ids(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("key-{number}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_seals_compaction_and_folded_loads_cost_no_misses() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = open(directory.path(), limits::CACHE_BYTES).await;
    let view = view(&node);
    let ids = ids(20);
    load(&node, ids.iter().map(|id| line(id, 1)).collect()).await;
    folded(&node).await;
    assert_eq!(values(&look(&node, &ids).await), vec![Some(1); 20]);
    let stats = node.cache_stats();
    assert_eq!((stats.hits, stats.misses, stats.entries), (20, 0, 20));

    for value in 2..6 {
        push(&node, &view, ids.iter().map(|id| line(id, value)).collect()).await;
        assert_eq!(values(&look(&node, &ids).await), vec![Some(value); 20]);
        seal(&node).await;
        assert_eq!(values(&look(&node, &ids).await), vec![Some(value); 20]);
        compact(&node).await;
        assert_eq!(values(&look(&node, &ids).await), vec![Some(value); 20]);
    }
    // A small load into a history of hot keys: all of them stay hot.
    load(&node, ids.iter().take(3).map(|id| line(id, 9)).collect()).await;
    folded(&node).await;
    let expected: Vec<Option<i64>> = (0..20).map(|key| Some(if key < 3 { 9 } else { 5 })).collect();
    assert_eq!(values(&look(&node, &ids).await), expected);
    assert_eq!((node.cache_stats().misses, node.cache_stats().evictions), (0, 0));
    node.shutdown().await.expect("stops");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_nowhere_is_a_hit_the_second_time_and_appears_when_it_is_written() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = open(directory.path(), limits::CACHE_BYTES).await;
    let ids = ids(2);
    assert_eq!(values(&look(&node, &ids).await), [None, None]);
    assert_eq!(values(&look(&node, &ids).await), [None, None]);
    assert_eq!((node.cache_stats().hits, node.cache_stats().misses), (2, 2));
    push(&node, &view(&node), line(&ids[1], 7)).await;
    assert_eq!(values(&look(&node, &ids).await), [None, Some(7)]);
    assert_eq!(node.cache_stats().misses, 2);
    node.shutdown().await.expect("stops");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_is_read_into_the_cache_only_where_there_is_room_beside_what_is_used() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = open(directory.path(), 16 * 1_024).await;
    let hot = ids(10);
    load(&node, hot.iter().map(|id| line(id, 1)).collect()).await;
    folded(&node).await;
    assert_eq!(values(&look(&node, &hot).await), vec![Some(1); 10]);
    let before = node.cache_stats();
    assert_eq!((before.hits, before.misses), (10, 0));
    let many: Vec<String> = (0..500).map(|number| format!("other-{number}")).collect();
    load(&node, many.iter().map(|id| line(id, 2)).collect()).await;
    folded(&node).await;
    assert_eq!(values(&look(&node, &hot).await), vec![Some(1); 10]);
    let after = node.cache_stats();
    assert!(after.entries > before.entries, "{after:?}");
    assert_eq!((after.hits, after.misses, after.evictions), (20, 0, 0), "{after:?}");
    node.shutdown().await.expect("stops");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bound_on_bytes_holds_and_costs_misses_only() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = open(directory.path(), 16 * 1_024).await;
    let ids = ids(300);
    load(&node, ids.iter().map(|id| line(id, 3)).collect()).await;
    folded(&node).await;
    let stats = node.cache_stats();
    assert!(stats.entries > 0 && stats.evictions == 0 && stats.bytes <= stats.capacity_bytes, "{stats:?}");
    for chunk in ids.chunks(30).chain(ids.chunks(70)) {
        assert_eq!(values(&look(&node, chunk).await), vec![Some(3); chunk.len()]);
        let stats = node.cache_stats();
        assert!(stats.bytes <= stats.capacity_bytes && stats.capacity_bytes <= 16 * 1_024, "{stats:?}");
    }
    assert!(node.cache_stats().evictions > 0);
    node.shutdown().await.expect("stops");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_at_another_time_depends_on_rows_and_not_on_where_they_lie() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = open(directory.path(), limits::CACHE_BYTES).await;
    let ids = ids(4);
    for value in 1..4 {
        push(&node, &view(&node), ids.iter().map(|id| line(id, value)).collect()).await;
    }
    let times = [Some(happened(0)), Some(happened(2)), Some(happened(9)), Some(node.now())];
    let mut in_memory = Vec::new();
    for at in times {
        in_memory.push(values(&look_at(&node, &ids, at).await));
    }
    seal(&node).await;
    for (at, in_memory) in times.into_iter().zip(in_memory) {
        assert_eq!(values(&look_at(&node, &ids, at).await), in_memory, "at {at:?}");
    }
    assert_eq!((node.cache_stats().hits, node.cache_stats().entries), (0, 0));
    node.shutdown().await.expect("stops");
}
