//! Verifying one node: every record it stands on, its place in the ledger, the training sets among them joined
//! again, and the files they keep.
//!
//! Segments are not hashed one by one here: compaction replaces them, and the join of a training set reads and
//! checks what has taken their place. The whole store is the node's own check.

use lineate_ledger::{
    Entry, Record,
    graph::{At, Trace},
    merkle::TreeHash,
};
use lineate_node::api::{OnProgress, Progress};
use lineate_proto::v1::{
    Checkpoint, VerifyReport,
    verify_report::{Check, Finding},
};
use lineate_types::{HasKind, Hash, Name, NodeRef, VersionedName, limits};

use super::{datasets, lineage};
use crate::{Result, app::App};

/// What a node stands on, itself included.
struct Ancestry {
    checkpoint: Checkpoint,
    records: u64,
    datasets: Vec<(Name, VersionedName)>,
    artifacts: Vec<Hash>,
    findings: Vec<Finding>,
}

/// Verifies a node and all it was made from.
///
/// # Errors
/// There is no such node, or its ancestry is larger than one check may be.
pub(super) async fn node(app: &App, wanted: &NodeRef, progress: OnProgress) -> Result<VerifyReport> {
    let Ancestry { checkpoint, records, datasets, artifacts, mut findings } = {
        let (app, wanted) = (app.clone(), wanted.clone());
        super::blocking(move || ancestry(&app, &wanted)).await?
    };
    let named = "records re-hashed and proved to be in the ledger".to_owned();
    let mut checks = vec![Check { name: named, count: records, bytes: 0 }];
    for (project, name) in datasets {
        let verified =
            lineate_query::verify(app.node(), app.principal(), Some(&project), &name, progress.clone()).await;
        let subject = format!("dataset:{project}/{name}");
        match verified {
            Ok(found) => {
                let report = datasets::report(found);
                add(&mut checks, report.checks);
                findings.extend(report.findings.into_iter().map(|finding| Finding {
                    subject: format!("{subject}, {}", finding.subject),
                    ..finding
                }));
            }
            // What cannot be read at all is a finding too: the other things are looked at nevertheless.
            Err(error) => findings.push(finding(error.kind().as_str(), subject, error.to_string())),
        }
    }
    if !artifacts.is_empty() {
        let (hashed, faults) = hash(app, artifacts, progress).await?;
        add(&mut checks, vec![hashed]);
        findings.extend(faults);
    }
    Ok(VerifyReport { verified: findings.is_empty(), checks, findings, checkpoint: Some(checkpoint) })
}

/// Re-hashes the records a node stands on and proves each to be in the ledger.
fn ancestry(app: &App, wanted: &NodeRef) -> Result<Ancestry> {
    let meta = app.node().meta().read();
    let ledger = meta.ledger();
    let graph = ledger.graph();
    let start = graph.resolve(wanted, None, At::Newest)?.id;
    let root = ledger.tree().root();
    let mut found = Ancestry {
        checkpoint: lineage::newest(ledger),
        records: 0,
        datasets: Vec::new(),
        artifacts: Vec::new(),
        findings: Vec::new(),
    };
    let mut walk = graph.walk(start, &Trace::default())?;
    loop {
        for node in &walk.nodes {
            let id = node.node.id;
            let Some(record) = ledger.record(&id) else { continue };
            found.records += 1;
            let proved = prove(ledger.entry(&id), ledger.tree(), root);
            if let Some(problem) = proved.err().or_else(|| is_itself(record, id)) {
                found.findings.push(finding("corrupt", node.node.title(), problem));
            }
            match record {
                Record::Dataset(dataset) => {
                    let name = VersionedName { name: dataset.name.clone(), version: Some(dataset.version) };
                    found.datasets.push((dataset.project.clone(), name));
                }
                Record::Model(model) => {
                    found.artifacts.extend(model.artifact.as_ref().map(|artifact| artifact.physical_hash));
                }
                _ => {}
            }
        }
        match &walk.cursor {
            Some(cursor) => walk = graph.resume(cursor, limits::TRACE_NODES)?,
            None => return Ok(found),
        }
    }
}

fn is_itself(record: &Record, id: Hash) -> Option<String> {
    let actual = record.id();
    (actual != id).then(|| format!("its record hashes to {actual}, and it is named {id}"))
}

fn prove(
    entry: Option<&Entry>,
    tree: &lineate_ledger::MerkleLog,
    root: TreeHash,
) -> std::result::Result<(), String> {
    let entry = entry.ok_or_else(|| "it has no entry in the ledger".to_owned())?;
    let proof = tree.prove_inclusion(entry.seq, tree.size());
    proof
        .and_then(|proof| proof.verify(TreeHash::leaf(&entry.encode()), root))
        .map_err(|cause| format!("it cannot be proved to be in the ledger: {cause}"))
}

/// Hashes kept files again.
async fn hash(app: &App, files: Vec<Hash>, progress: OnProgress) -> Result<(Check, Vec<Finding>)> {
    let blobs = app.node().blobs().clone();
    super::blocking(move || {
        let mut check = Check { name: "model files re-hashed".to_owned(), count: 0, bytes: 0 };
        let mut findings = Vec::new();
        for file in &files {
            let total = Some(files.len() as u64);
            progress(Progress { phase: "hashing models", done: check.count, total, unit: "files" });
            check.count += 1;
            match blobs.verify(file) {
                Ok(info) => check.bytes += info.bytes,
                Err(error) => {
                    findings.push(finding(error.kind().as_str(), file.to_string(), error.to_string()));
                }
            }
        }
        Ok((check, findings))
    })
    .await
}

fn finding(kind: &str, subject: String, problem: String) -> Finding {
    Finding { kind: kind.to_owned(), subject, problem, expected: None, found: None }
}

/// Adds checks of the same name together.
fn add(checks: &mut Vec<Check>, more: Vec<Check>) {
    for check in more {
        match checks.iter_mut().find(|known| known.name == check.name) {
            Some(known) => {
                known.count += check.count;
                known.bytes += check.bytes;
            }
            None => checks.push(check),
        }
    }
}
