//! Sealed texts in a store: they outlive the key-value store, and neither damage nor erasure moves a proof.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use lineate_ledger::{Record, Sealed};
use lineate_node::{
    Error, Node, Opened,
    api::{LoadFile, LoadRequest, ModelRequest},
};
use lineate_segment::intake::{ForeignFile, Intake};
use lineate_state::meta::{Erase, MetaCommand, MetaReply};
use lineate_storage::sealed::Erasure;
use lineate_types::{ErrorKind, HasKind, Hash, NodeRef, Principal, WriterPosition, limits};

use crate::store::{definitions, line, load, load_request, look, open, tester, values, view};

/// The path of the newest source and the agent of the newest load.
fn committed(node: &Node) -> (Sealed, Sealed) {
    let meta = node.meta().read();
    let path = meta.ledger().records().filter_map(|record| match record {
        Record::Source(source) => Some(source.path),
        _ => None,
    });
    let agent = meta.ledger().records().filter_map(|record| match record {
        Record::Load(load) => Some(load.principal),
        _ => None,
    });
    (path.last().expect("a source"), agent.last().expect("a load"))
}

fn root(node: &Node) -> String {
    node.meta().read().ledger().tree().root().to_string()
}

fn text(node: &Node, commitment: Sealed) -> Opened {
    node.sealed_texts().open(commitment).expect("opens")
}

fn texts_file(place: &Path) -> PathBuf {
    place.join("sealed/texts-000001")
}

async fn close(node: Node) {
    node.shutdown().await.expect("ends");
    drop(node);
}

/// The files below a directory that hold some bytes.
fn holding(place: &Path, text: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(place).expect("a directory");
    let in_entry = |path: PathBuf| match path.is_dir() {
        true => holding(&path, text),
        false => {
            let bytes = std::fs::read(&path).expect("reads");
            let is_there = bytes.windows(text.len()).any(|window| window == text.as_bytes());
            is_there.then_some(path).into_iter().collect()
        }
    };
    entries.flat_map(|entry| in_entry(entry.expect("an entry").path())).collect()
}

/// A load of files of one row each, by their paths.
async fn load_files(node: &Node, principal: &Principal, files: &[(&str, i64)], again: bool) {
    let mut request = LoadRequest { again, ..load_request(node, line("a", 1)).await };
    request.files.clear();
    for (path, value) in files {
        let upload = load_request(node, line("a", *value)).await.files.remove(0).upload;
        request.files.push(LoadFile { path: (*path).to_owned(), upload });
    }
    node.ingest(principal, request, Arc::new(|_| ())).await.expect("loads");
}

/// Pushes one row, at the next position.
async fn push_as(node: &Node, principal: &Principal, mut position: WriterPosition) -> Result<(), Error> {
    position.sequence += 1;
    let view = view(node);
    let file = ForeignFile::from_bytes("rows", line("w", 7).into());
    let batch = Intake::new(&view).open(&file).expect("opens").next().expect("rows").expect("reads");
    let writes = node.push(principal, &view, &batch, 0, Some(position)).await?;
    writes.into_iter().try_for_each(|write| write.result.map(|_| ()))
}

#[tokio::test]
async fn texts_survive_the_loss_of_the_key_value_store_and_agents_stay_one() {
    let place = tempfile::tempdir().expect("a directory");
    let node = open(place.path(), limits::CACHE_BYTES).await;
    load(&node, line("a", 1)).await;
    let ((path, agent), before) = (committed(&node), root(&node));
    close(node).await;
    std::fs::remove_dir_all(place.path().join("kv")).expect("loses the key-value store");
    let node = open(place.path(), limits::CACHE_BYTES).await;
    assert_eq!(root(&node), before);
    assert_eq!(text(&node, path), Opened::Text("rows.ndjson".into()));
    assert_eq!(text(&node, agent), Opened::Text(tester().0));
    load(&node, line("b", 2)).await;
    assert_eq!(committed(&node).1, agent, "the same principal is the same agent");
    close(node).await;
}

#[tokio::test]
async fn a_damaged_text_is_a_finding_and_nothing_else_is_hurt() {
    let place = tempfile::tempdir().expect("a directory");
    let node = open(place.path(), limits::CACHE_BYTES).await;
    load(&node, line("a", 1)).await;
    let (path, agent) = committed(&node);
    close(node).await;
    let mut bytes = std::fs::read(texts_file(place.path())).expect("reads");
    let at = bytes.windows(11).position(|window| window == b"rows.ndjson").expect("the path is there");
    bytes[at] ^= 1;
    std::fs::write(texts_file(place.path()), bytes).expect("damages");

    let node = open(place.path(), limits::CACHE_BYTES).await;
    assert!(node.sealed_texts().open(path).is_err());
    assert_eq!(node.shown_text(path), "(damaged)");
    assert_eq!(text(&node, agent), Opened::Text(tester().0));
    assert_eq!(values(&look(&node, &["a".into()]).await), [Some(1)]);
    load(&node, line("b", 2)).await;
    let check = node.verify_store(Arc::new(|_| ())).await.expect("checks");
    assert_eq!(check.faults.len(), 1, "{:?}", check.faults);
    assert!(check.faults[0].contains(&path.to_string()), "{:?}", check.faults);
    close(node).await;
}

#[tokio::test]
async fn erasing_texts_changes_no_record_and_no_proof() {
    let place = tempfile::tempdir().expect("a directory");
    let node = open(place.path(), limits::CACHE_BYTES).await;
    load(&node, line("a", 1)).await;
    let ((path, agent), before) = (committed(&node), root(&node));
    let erasure =
        node.sealed_texts().erase([path.0, agent.0, Hash::of(b"none")].into()).await.expect("erases");
    assert_eq!(erasure, Erasure { erased: 2, unknown: vec![Hash::of(b"none")] });
    let bytes = std::fs::read(texts_file(place.path())).expect("reads");
    assert!(!bytes.windows(11).any(|window| window == b"rows.ndjson"), "the text is gone from the file");
    close(node).await;
    let node = open(place.path(), limits::CACHE_BYTES).await;
    assert_eq!((text(&node, path), text(&node, agent)), (Opened::Erased, Opened::Erased));
    assert_eq!(root(&node), before);
    let check = node.verify_store(Arc::new(|_| ())).await.expect("checks");
    assert_eq!((check.faults, check.texts_gone), (vec![], 2));
    load(&node, line("b", 2)).await;
    assert_ne!(committed(&node).1, agent, "who was erased is a new agent");
    close(node).await;
}

#[tokio::test]
async fn a_principal_who_begins_in_many_places_at_once_is_one_agent() {
    let place = tempfile::tempdir().expect("a directory");
    let node = open(place.path(), limits::CACHE_BYTES).await;
    let principal = Principal("many".into());
    let agents = (0..32).map(|_| node.sealed_texts().agent(&principal));
    let agents = futures::future::try_join_all(agents).await.expect("seals");
    assert!(agents.iter().all(|agent| *agent == agents[0]));
    close(node).await;
}

#[tokio::test]
async fn an_erasure_cut_off_after_its_record_is_finished_at_the_next_start() {
    let place = tempfile::tempdir().expect("a directory");
    let node = open(place.path(), limits::CACHE_BYTES).await;
    load(&node, line("a", 1)).await;
    let (path, agent) = committed(&node);
    let record = node.meta().read().ledger().records().find_map(|record| match record {
        Record::Source(_) => Some(record.id()),
        _ => None,
    });
    let erase = |texts: &[Sealed]| {
        let texts = texts.iter().map(|text| text.0).collect();
        MetaCommand::Erase(Erase { about: record.expect("a source"), texts })
    };
    let foreign = node.propose_meta(&tester(), erase(&[path, agent])).await.expect_err("the agent's name");
    assert!(foreign.to_string().contains("nothing was erased"), "{foreign}");
    let recorded = node.propose_meta(&tester(), erase(&[path])).await.expect("recorded").0;
    assert!(matches!(recorded, MetaReply::Erased { record: Some(_) }), "{recorded:?}");
    assert_eq!(text(&node, path), Opened::Text("rows.ndjson".into()), "as after a crash");
    let before = root(&node);
    close(node).await;

    let node = open(place.path(), limits::CACHE_BYTES).await;
    assert_eq!((text(&node, path), text(&node, agent)), (Opened::Erased, Opened::Text(tester().0)));
    let again = node.propose_meta(&tester(), erase(&[path])).await.expect("answered").0;
    assert_eq!((again, root(&node)), (MetaReply::Erased { record: None }, before));
    let check = node.verify_store(Arc::new(|_| ())).await.expect("checks");
    assert_eq!((check.faults, check.texts_gone), (Vec::new(), 1));
    close(node).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_name_of_an_erased_principal_is_in_no_file_and_who_comes_back_is_another() {
    let place = tempfile::tempdir().expect("a directory");
    let node = open(place.path(), limits::CACHE_BYTES).await;
    let ada = Principal("zq-unique".into());
    let writer = node.open_writer(&ada, None).await.expect("opens");
    push_as(&node, &ada, writer).await.expect("pushes");
    let resumed = node.open_writer(&ada, Some(writer.writer)).await.expect("it is theirs");
    load_files(&node, &ada, &[("a.ndjson", 1)], false).await;
    let agent = committed(&node).1;
    let named = NodeRef::Id(agent.0);
    node.erase(&tester(), &named, &["principal".into()]).await.expect("erases");
    close(node).await;
    assert_eq!(holding(place.path(), &ada.0), Vec::<PathBuf>::new());

    let node = open(place.path(), limits::CACHE_BYTES).await;
    let refused = push_as(&node, &ada, resumed).await.expect_err("not theirs");
    assert_eq!(refused.kind(), ErrorKind::PermissionDenied, "{refused}");
    let refused = node.open_writer(&ada, Some(writer.writer)).await.expect_err("not theirs");
    assert_eq!(refused.kind(), ErrorKind::PermissionDenied, "{refused}");
    let writer = node.open_writer(&ada, None).await.expect("opens");
    push_as(&node, &ada, writer).await.expect("pushes");
    load_files(&node, &ada, &[("b.ndjson", 2)], false).await;
    assert_ne!(committed(&node).1, agent);
    close(node).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_skipped_leaves_no_text_that_nothing_names() {
    let place = tempfile::tempdir().expect("a directory");
    let node = open(place.path(), limits::CACHE_BYTES).await;
    let texts = |node: &Node| node.sealed_texts().report().texts;
    load_files(&node, &tester(), &[("zq-path.ndjson", 1)], false).await;
    let before = texts(&node);
    load_files(&node, &tester(), &[("zq-path.ndjson", 1)], false).await;
    assert_eq!(texts(&node), before, "nothing was loaded");
    load_files(&node, &tester(), &[("zq-path.ndjson", 1), ("b", 2), ("zq-path.ndjson", 2)], false).await;
    assert_eq!(texts(&node), before + 1, "one file was loaded");
    node.erase(&tester(), &"load:l1".parse().expect("a node"), &[]).await.expect("erases");
    assert_eq!(holding(&place.path().join("sealed"), "zq-path"), Vec::<PathBuf>::new());
    close(node).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_of_commands_that_were_refused_or_cut_off_are_gone_after_the_next_start() {
    let place = tempfile::tempdir().expect("a directory");
    let node = open(place.path(), limits::CACHE_BYTES).await;
    load(&node, line("a", 1)).await;
    let request = ModelRequest {
        project: None,
        name: "m".parse().expect("a name"),
        datasets: Vec::new(),
        artifact: None,
        code: Some("zq-code".into()),
        parameters: vec![("depth".into(), "zq-depth".into())],
        metrics: vec![("auc".into(), "no number".into())],
    };
    node.register_model(&tester(), request.clone()).await.expect_err("no number");
    assert!(!holding(place.path(), "zq-code").is_empty());
    node.erase(&tester(), &"load:l1".parse().expect("a node"), &[]).await.expect("erases");
    assert_eq!(holding(place.path(), "zq-"), Vec::<PathBuf>::new(), "an erasure takes them along");
    load(&node, line("a", 2)).await;
    let ((path, agent), report) = (committed(&node), node.sealed_texts().report());
    node.register_model(&tester(), request).await.expect_err("no number");
    // As of a process that ended before it proposed anything.
    node.sealed_texts().seal(&["zq-lost"]).await.expect("seals");
    let mut broken = load_request(&node, "no JSON".into()).await;
    broken.files[0].path = "zq-broken.ndjson".into();
    node.ingest(&tester(), broken, Arc::new(|_| ())).await.expect_err("no JSON");
    assert!(!holding(place.path(), "zq-").is_empty());
    close(node).await;

    let node = open(place.path(), limits::CACHE_BYTES).await;
    assert_eq!(holding(place.path(), "zq-"), Vec::<PathBuf>::new());
    assert_eq!(text(&node, path), Opened::Text("rows.ndjson".into()));
    assert_eq!(text(&node, agent), Opened::Text(tester().0));
    let left = node.sealed_texts().report();
    assert_eq!((left.erased, left.damaged), (report.erased, 0), "nothing tells of them");
    node.apply(&tester(), &definitions(), false).await.expect("applies");
    close(node).await;
}
