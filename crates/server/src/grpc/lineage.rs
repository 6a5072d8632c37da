//! The lineage graph.

use lineate_ledger::{
    Record, Sealed,
    graph::{self, At, Cursor, Diffing, Graph, Trace, Walk, Walking},
    merkle::TreeHash,
    render::{self, Beside},
};
use lineate_node::api::StoreCheck;
use lineate_proto::v1::{
    Checkpoint, DiffReply, DiffRequest, Direction, Drawing, Edge, EraseRequest, Erasure, Node, NodeDetail,
    ShowNodeRequest, TraceReply, TraceRequest, Unsealed, VerifyEvent, VerifyReport, VerifyRequest,
    diff_reply::Changed,
    lineage_server::Lineage,
    verify_event::Event,
    verify_report::{Check, Finding},
};
use lineate_state::meta::LedgerState;
use lineate_types::{Hash, limits};
use tonic::{Request, Response, Status};

use super::{
    Service, blocking, erase, show, verify,
    work::{self, Events},
};
use crate::{Error, Result, app::App, reader};

/// Edges that one question looks at before it lets go of the ledger for a moment.
const GRAPH_SLICE: usize = 1_024;

#[tonic::async_trait]
impl Lineage for Service {
    type VerifyStream = Events<VerifyEvent>;

    async fn trace(&self, request: Request<TraceRequest>) -> Result<Response<TraceReply>, Status> {
        let (app, request) = (self.0.clone(), request.into_inner());
        Ok(Response::new(blocking(move || trace(&app, &request)).await?))
    }

    async fn show(&self, request: Request<ShowNodeRequest>) -> Result<Response<NodeDetail>, Status> {
        let (app, wanted) = (self.0.clone(), reader::node(&request.into_inner().node)?);
        Ok(Response::new(blocking(move || show::node(&app, &wanted)).await?))
    }

    async fn verify(&self, request: Request<VerifyRequest>) -> Result<Response<Self::VerifyStream>, Status> {
        let node = request.into_inner().node;
        let wanted = (!node.is_empty()).then(|| reader::node(&node)).transpose()?;
        let app = self.0.clone();
        let events = work::run(
            &self.0,
            |progress| async move {
                match wanted {
                    None => Ok(report(app.node().verify_store(progress).await?)),
                    Some(node) => verify::node(&app, &node, progress).await,
                }
            },
            |progress| VerifyEvent { event: Some(Event::Progress(progress)) },
            |report| VerifyEvent { event: Some(Event::Report(report)) },
        )?;
        Ok(Response::new(events))
    }

    async fn erase(&self, request: Request<EraseRequest>) -> Result<Response<Erasure>, Status> {
        Ok(Response::new(erase::texts(&self.0, request.into_inner()).await?))
    }

    async fn diff(&self, request: Request<DiffRequest>) -> Result<Response<DiffReply>, Status> {
        let (app, request) = (self.0.clone(), request.into_inner());
        Ok(Response::new(blocking(move || diff(&app, &request)).await?))
    }
}

fn trace(app: &App, request: &TraceRequest) -> Result<TraceReply> {
    let limit = match request.limit {
        0 => limits::TRACE_NODES,
        limit => limit as usize,
    };
    // Before the ledger is read, so that no run is sealed and recorded unseen.
    let runs = app.node().unsealed_runs();
    let mut walking = {
        let meta = app.node().meta().read();
        let graph = meta.ledger().graph();
        if request.cursor.is_empty() {
            let at = At::from(reader::time(request.at_us));
            let start = graph.start(&reader::node(&request.node)?, None, at)?;
            let direction = match request.direction() {
                Direction::Down => graph::Direction::Down,
                Direction::Up | Direction::Unspecified => graph::Direction::Up,
            };
            let trace = Trace { direction, depth: request.depth, at, limit, agents: request.agents };
            Walking::begin(graph, start, &trace)?
        } else {
            let cursor = Cursor::decode(&request.cursor)
                .map_err(|_| Error::Invalid("the cursor is none that a trace has given".into()))?;
            Walking::resume(graph, &cursor, limit)?
        }
    };
    in_slices(app, |graph, most| Ok(walking.advance(graph, most)))?;
    let walk = walking.page();
    let unsealed = runs.beside(app.node(), &walk);
    let root = app.node().meta().read().ledger().tree().root_at(walk.size)?;
    let note = |id: Hash| note(app, id);
    let beside = Beside { note: &note, unsealed: &unsealed, root: Some(root) };
    let drawing = match request.drawing() {
        Drawing::Unspecified => String::new(),
        Drawing::Tree => render::tree(&walk, beside),
        Drawing::Json => pretty(&render::json(&walk, beside)),
        Drawing::Dot => render::dot(&walk, beside),
        Drawing::ProvJson => pretty(&render::prov_json(&walk, beside)),
    };
    let (nodes, edges) = match request.drawing() {
        Drawing::Unspecified => (nodes(&walk, beside), edges(&walk)),
        _ => (Vec::new(), Vec::new()),
    };
    Ok(TraceReply {
        start: walk.start.to_string(),
        nodes,
        edges,
        drawing,
        complete: walk.is_complete(),
        cut: walk.cut,
        cursor: walk.cursor.as_ref().map(Cursor::encode).unwrap_or_default().into(),
        checkpoint: Some(checkpoint(walk.size, root)),
    })
}

fn diff(app: &App, request: &DiffRequest) -> Result<DiffReply> {
    let (left, right) = (reader::node(&request.left)?, reader::node(&request.right)?);
    let (mut diffing, checkpoint) = {
        let meta = app.node().meta().read();
        let graph: &Graph = meta.ledger().graph();
        let left = graph.resolve(&left, None, At::Newest)?.id;
        let right = graph.resolve(&right, None, At::Newest)?.id;
        (Diffing::begin(graph, left, right)?, newest(meta.ledger()))
    };
    in_slices(app, |graph, most| Ok(diffing.advance(graph, most)?))?;
    let diff = diffing.finish();
    let named = |node: &graph::Node| message(node, note(app, node.id));
    let changed = diff
        .changed
        .iter()
        .map(|(left, right)| Changed { left: Some(named(left)), right: Some(named(right)) });
    Ok(DiffReply {
        left: Some(named(&diff.a)),
        right: Some(named(&diff.b)),
        changed: changed.collect(),
        only_left: diff.only_a.iter().map(named).collect(),
        only_right: diff.only_b.iter().map(named).collect(),
        shared: diff.shared.iter().map(named).collect(),
        checkpoint: Some(checkpoint),
    })
}

/// Goes through the graph a slice at a time until `advance`, which is told how much of it to look at, says that it is
/// over: writers of the meta group wait for a slice at most.
///
/// # Errors
/// As `advance`.
pub(super) fn in_slices(app: &App, mut advance: impl FnMut(&Graph, usize) -> Result<bool>) -> Result<()> {
    while !advance(app.node().meta().read().ledger().graph(), GRAPH_SLICE)? {}
    Ok(())
}

/// The text kept beside a record: the path of a source, the name of an agent, what an assertion says.
pub(super) fn note(app: &App, id: Hash) -> Option<String> {
    let (sealed, is_erased) = {
        let meta = app.node().meta().read();
        let sealed = match meta.ledger().record(&id) {
            Some(Record::Source(source)) => source.path,
            Some(Record::Assertion(assertion)) => assertion.value?,
            Some(_) => return None,
            // An agent is known by the commitment to who it is.
            None => Sealed(id),
        };
        (sealed, meta.ledger().erased().contains(&sealed))
    };
    if is_erased {
        return Some("(erased)".to_owned());
    }
    // A text that is damaged is a matter for `verify`; here it is left out.
    app.node().text(sealed)
}

fn nodes(walk: &Walk, beside: Beside<'_>) -> Vec<Node> {
    let unsealed = |id: &Hash| beside.unsealed.get(id).map(unsealed);
    walk.nodes
        .iter()
        .map(|found| Node {
            depth: found.depth,
            cut: found.cut,
            unsealed: unsealed(&found.node.id),
            ..message(&found.node, (beside.note)(found.node.id))
        })
        .collect()
}

fn unsealed(rows: &render::Unsealed) -> Unsealed {
    let render::Unsealed { rows, at_most, shards, since } = *rows;
    Unsealed { rows, at_most, shards: shards.into(), since_us: since.0 }
}

fn edges(walk: &Walk) -> Vec<Edge> {
    walk.edges
        .iter()
        .map(|edge| Edge {
            from: edge.from.to_string(),
            to: edge.to.to_string(),
            role: edge.role.as_str().to_owned(),
        })
        .collect()
}

/// A node as a message.
pub(super) fn message(node: &graph::Node, note: Option<String>) -> Node {
    Node {
        id: node.id.to_string(),
        kind: node.word().to_owned(),
        title: node.title(),
        rows: node.rows,
        note,
        commit_time_us: node.commit_time.0,
        sequence: node.seq,
        depth: 0,
        cut: false,
        unsealed: None,
    }
}

/// The ledger as it stands.
pub(super) fn newest(ledger: &LedgerState) -> Checkpoint {
    checkpoint(ledger.size(), ledger.tree().root())
}

/// The first `size` entries of the ledger.
pub(super) fn checkpoint(size: u64, root: TreeHash) -> Checkpoint {
    let root = if size == 0 { Vec::new() } else { root.as_bytes().to_vec() };
    Checkpoint { size, root: root.into() }
}

/// A check of the whole store as a report.
fn report(check: StoreCheck) -> VerifyReport {
    let findings = check.faults.into_iter().map(|fault| {
        let (subject, problem) = fault.split_once(": ").unwrap_or(("store", &fault));
        Finding {
            kind: "corrupt".to_owned(),
            subject: subject.to_owned(),
            problem: problem.to_owned(),
            expected: None,
            found: None,
        }
    });
    let findings: Vec<Finding> = findings.collect();
    VerifyReport {
        verified: findings.is_empty(),
        checkpoint: Some(checkpoint(check.entries, check.root)),
        checks: vec![
            Check { name: "ledger entries re-hashed".to_owned(), count: check.entries, bytes: 0 },
            Check { name: "blobs re-hashed".to_owned(), count: check.blobs, bytes: check.bytes },
            Check { name: "sealed texts opened".to_owned(), count: check.texts, bytes: 0 },
            Check {
                name: "sealed texts erased or not kept here".to_owned(),
                count: check.texts_gone,
                bytes: 0,
            },
        ],
        findings,
    }
}

fn pretty(value: &serde_json::Value) -> String {
    format!("{value:#}\n")
}
