//! Showing one node: its record, the records that say more of it, and the texts that they commit to.
//!
//! Records go out as their canonical bytes, so that whoever asks can hash them. An answer has bounds, and says what it
//! has no room for.

use std::collections::BTreeSet;

use lineate_ledger::{
    Entry, Record, Sealed,
    graph::{self, At, Direction},
    record::{Kind, Role},
};
use lineate_node::Opened;
use lineate_proto::v1::{
    Checkpoint, Edge, NodeDetail, SealedText,
    node_detail::{Move, Related},
    sealed_text::State,
};
use lineate_state::meta::{LedgerState, MetaMachine};
use lineate_types::{Hash, Name, NodeRef, limits};

use super::lineage;
use crate::{Result, app::App};

/// What the ledger says of a node.
struct Found {
    node: graph::Node,
    record: Option<Record>,
    related: Vec<(graph::Node, Record)>,
    related_left_out: u64,
    named: Vec<graph::Node>,
    aliases: Vec<String>,
    moves: Vec<Move>,
    moves_left_out: u64,
    /// Each with whether it was erased.
    texts: Vec<(Sealed, bool)>,
    checkpoint: Checkpoint,
}

/// Shows a node.
///
/// # Errors
/// There is none of this name.
pub(super) fn node(app: &App, wanted: &NodeRef) -> Result<NodeDetail> {
    let found = find(&app.node().meta().read(), wanted)?;
    // What is kept beside them is among the texts.
    let message = |node: &graph::Node| lineage::message(node, None);
    let edges = found.record.iter().flat_map(Record::edges).map(|edge| Edge {
        from: found.node.id.to_string(),
        to: edge.target.to_string(),
        role: edge.role.to_string(),
    });
    Ok(NodeDetail {
        edges: edges.collect(),
        record: found.record.as_ref().map(Record::encode).unwrap_or_default().into(),
        node: Some(lineage::message(&found.node, lineage::note(app, found.node.id))),
        related: found
            .related
            .iter()
            .map(|(node, record)| Related { node: Some(message(node)), record: record.encode().into() })
            .collect(),
        related_left_out: found.related_left_out,
        named: found.named.iter().map(message).collect(),
        texts: texts(app, &found.texts),
        aliases: found.aliases,
        moves: found.moves,
        moves_left_out: found.moves_left_out,
        checkpoint: Some(found.checkpoint),
    })
}

fn find(meta: &MetaMachine, wanted: &NodeRef) -> Result<Found> {
    let ledger = meta.ledger();
    let node = ledger.graph().resolve(wanted, None, At::Newest)?.clone();
    let record = ledger.record(&node.id).cloned();
    let (related, related_left_out) = fitting(ledger, related(ledger, &node, record.as_ref()));
    let (mut aliases, mut all_moves) = (Vec::new(), Vec::new());
    if let Some(Record::Model(model)) = &record {
        let versions = meta.model_versions(&model.project, &model.name);
        let shown = versions.iter().find(|state| state.record == node.id);
        aliases.extend(shown.iter().flat_map(|state| &state.aliases).map(Name::to_string));
        all_moves = moves(ledger, versions.iter().map(|state| state.record));
    }
    let moves_left_out = all_moves.len().saturating_sub(limits::SHOWN_RECORDS);
    let moves = all_moves.split_off(moves_left_out);
    let records = || record.iter().chain(related.iter().map(|(_, record)| record));
    let named: BTreeSet<Hash> = records()
        .flat_map(Record::edges)
        .filter(|edge| !edge.role.is_agency())
        .map(|edge| edge.target)
        .take(limits::SHOWN_RECORDS)
        .collect();
    let movers = moves.iter().filter_map(|moved| moved.principal.parse().ok().map(Sealed));
    let texts: BTreeSet<Sealed> = records().flat_map(Record::sealed).chain(movers).collect();
    Ok(Found {
        named: named.iter().filter_map(|id| ledger.graph().node(*id)).cloned().collect(),
        texts: texts.into_iter().map(|text| (text, ledger.erased().contains(&text))).collect(),
        checkpoint: lineage::newest(ledger),
        node,
        record,
        related,
        related_left_out,
        aliases,
        moves,
        moves_left_out: moves_left_out as u64,
    })
}

/// The records that say more of a node, oldest first.
fn related(ledger: &LedgerState, node: &graph::Node, record: Option<&Record>) -> Vec<Hash> {
    let later = |kind: Kind, role: Role| {
        let edges = ledger.graph().edges(node.id, Direction::Down, At::Newest);
        edges
            .filter(move |edge| edge.role == role)
            .map(|edge| edge.target)
            .filter(move |id| ledger.entry(id).is_some_and(|entry| entry.kind == kind))
    };
    let mut related: Vec<Hash> = match record {
        Some(Record::Load(load)) => load.sources.clone(),
        Some(Record::Model(model)) => {
            [model.run].into_iter().chain(later(Kind::Evaluation, Role::Used)).collect()
        }
        Some(Record::Run(_)) => later(Kind::Model, Role::WasGeneratedBy).collect(),
        Some(Record::Source(_)) => later(Kind::Load, Role::WasDerivedFrom).collect(),
        _ => Vec::new(),
    };
    related.extend(ledger.assertions_about(&node.id).map(|(entry, _)| entry.record));
    let mut seen = BTreeSet::new();
    related.retain(|id| seen.insert(*id));
    related
}

/// The related records that an answer has room for, and how many it has not.
fn fitting(ledger: &LedgerState, related: Vec<Hash>) -> (Vec<(graph::Node, Record)>, u64) {
    let (mut fitting, mut left_out, mut bytes) = (Vec::new(), 0, 0);
    for id in related {
        let (Some(node), Some(record)) = (ledger.graph().node(id), ledger.record(&id)) else { continue };
        bytes += record.encode().len();
        if fitting.len() < limits::SHOWN_RECORDS && bytes <= limits::SHOWN_BYTES {
            fitting.push((node.clone(), record.clone()));
        } else {
            left_out += 1;
        }
    }
    (fitting, left_out)
}

/// How the aliases of a model moved between its versions, oldest first.
fn moves(ledger: &LedgerState, versions: impl Iterator<Item = Hash>) -> Vec<Move> {
    let promotions = versions.flat_map(|version| {
        ledger.graph().edges(version, Direction::Down, At::Newest).filter(|edge| edge.role == Role::Used)
    });
    let mut moves: Vec<(&Entry, Move)> = promotions
        .filter_map(|edge| {
            let Some(Record::Promotion(promotion)) = ledger.record(&edge.target) else { return None };
            let entry = ledger.entry(&edge.target)?;
            let title = |id: Hash| ledger.graph().node(id).map(graph::Node::title).unwrap_or_default();
            let before = promotion.previous.and_then(|previous| match ledger.record(&previous) {
                Some(Record::Promotion(previous)) => Some(title(previous.model)),
                _ => None,
            });
            let moved = Move {
                alias: promotion.alias.to_string(),
                from: before.unwrap_or_default(),
                to: title(promotion.model),
                commit_time_us: entry.commit_time.0,
                principal: promotion.principal.to_string(),
                record: entry.record.to_string(),
            };
            Some((entry, moved))
        })
        .collect();
    moves.sort_by_key(|(entry, _)| entry.seq);
    moves.into_iter().map(|(_, moved)| moved).collect()
}

/// What became of texts, as far as an answer has room.
fn texts(app: &App, commitments: &[(Sealed, bool)]) -> Vec<SealedText> {
    let mut bytes = 0;
    let opened = commitments.iter().map(|(commitment, is_erased)| {
        let (state, text) = match app.node().open_text(*commitment) {
            _ if *is_erased => (State::Erased, String::new()),
            Ok(Opened::Text(text)) => (State::Kept, text),
            Ok(Opened::Erased) => (State::Erased, String::new()),
            Ok(Opened::Unknown) => (State::Unknown, String::new()),
            Err(_) => (State::Damaged, String::new()),
        };
        bytes += text.len();
        let (state, text) = match bytes <= limits::SHOWN_BYTES {
            true => (state, text),
            false => (State::LeftOut, String::new()),
        };
        SealedText { commitment: commitment.to_string(), state: state.into(), text }
    });
    opened.collect()
}
