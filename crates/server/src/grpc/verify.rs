//! Verifying one node: every record it stands on, its place in the ledger, the training sets among them joined
//! again, and the files they keep.
//!
//! Segments are not hashed one by one here: compaction replaces them, and the join of a training set reads and
//! checks what has taken their place. The whole store is the node's own check.

use lineate_ledger::{
    Entry, MerkleLog, Record,
    graph::{self, At, Trace, Walking},
    merkle::{InclusionProof, TreeHash},
};
use lineate_node::api::{OnProgress, Progress};
use lineate_proto::v1::{
    Checkpoint, VerifyReport,
    verify_report::{Check, Finding},
};
use lineate_types::{HasKind, Hash, Name, NodeRef, VersionedName};

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

/// Re-hashes the records a node stands on and proves each to be in the ledger as it is now, whatever is added meanwhile.
fn ancestry(app: &App, wanted: &NodeRef) -> Result<Ancestry> {
    let (mut walking, size, root, checkpoint) = {
        let meta = app.node().meta().read();
        let ledger = meta.ledger();
        let start = ledger.graph().resolve(wanted, None, At::Newest)?.id;
        let walking = Walking::begin(ledger.graph(), start, &Trace::default())?;
        (walking, ledger.size(), ledger.tree().root(), lineage::newest(ledger))
    };
    let mut found = Ancestry {
        checkpoint,
        records: 0,
        datasets: Vec::new(),
        artifacts: Vec::new(),
        findings: Vec::new(),
    };
    loop {
        lineage::in_slices(app, |graph, most| Ok(walking.advance(graph, most)))?;
        let page = walking.page();
        for node in page.nodes {
            found.add(app, &node.node, size, root);
        }
        if page.cursor.is_none() {
            return Ok(found);
        }
    }
}

impl Ancestry {
    /// Adds a node, which is proved against the first `size` entries.
    fn add(&mut self, app: &App, node: &graph::Node, size: u64, root: TreeHash) {
        let id = node.id;
        let (record, proved) = {
            let meta = app.node().meta().read();
            let Some(record) = meta.ledger().record(&id) else { return };
            (record.clone(), prove(meta.ledger().entry(&id), meta.ledger().tree(), size))
        };
        self.records += 1;
        let proved = proved.and_then(|(leaf, proof)| proof.verify(leaf, root).map_err(unproved));
        if let Some(problem) = proved.err().or_else(|| is_itself(&record, id)) {
            self.findings.push(finding("corrupt", node.title(), problem));
        }
        match record {
            Record::Dataset(dataset) => {
                let name = VersionedName { name: dataset.name, version: Some(dataset.version) };
                self.datasets.push((dataset.project, name));
            }
            Record::Model(model) => {
                self.artifacts.extend(model.artifact.map(|artifact| artifact.physical_hash));
            }
            _ => {}
        }
    }
}

fn is_itself(record: &Record, id: Hash) -> Option<String> {
    let actual = record.id();
    (actual != id).then(|| format!("its record hashes to {actual}, and it is named {id}"))
}

/// The leaf of an entry, and the proof of its place among the first `size`.
fn prove(
    entry: Option<&Entry>,
    tree: &MerkleLog,
    size: u64,
) -> std::result::Result<(TreeHash, InclusionProof), String> {
    let entry = entry.ok_or_else(|| "it has no entry in the ledger".to_owned())?;
    let proof = tree.prove_inclusion(entry.seq, size).map_err(unproved)?;
    Ok((TreeHash::leaf(&entry.encode()), proof))
}

fn unproved(cause: lineate_ledger::Error) -> String {
    format!("it cannot be proved to be in the ledger: {cause}")
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
