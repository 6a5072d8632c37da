//! Erasing the texts of a node.

use lineate_node::Erased;
use lineate_proto::v1::{EraseRequest, Erasure, erasure::ErasedText};

use super::{blocking, lineage};
use crate::{Result, app::App, reader};

/// Erases texts, or says which would be.
///
/// # Errors
/// There is no such node, or it has no such text.
pub(super) async fn texts(app: &App, request: EraseRequest) -> Result<Erasure> {
    let EraseRequest { node, what, plan } = request;
    let wanted = reader::node(&node)?;
    let done = match plan {
        true => None,
        false => Some(app.node().erase(app.principal(), &wanted, &what).await?),
    };
    let app = app.clone();
    let planned = move || {
        let erased = match done {
            Some(erased) => erased,
            None => app.node().erasable(&wanted, &what)?,
        };
        Ok(message(&app, erased))
    };
    blocking(planned).await
}

/// Reads sealed texts: not for threads that serve.
fn message(app: &App, erased: Erased) -> Erasure {
    let note = lineage::note(app, erased.node);
    let meta = app.node().meta().read();
    let graph = meta.ledger().graph();
    let texts = erased.texts.into_iter().map(|erased| ErasedText {
        title: graph.node(erased.text.record).map(|node| node.title()).unwrap_or_default(),
        what: erased.text.what,
        of: erased.text.of.unwrap_or_default(),
        commitment: erased.text.commitment.to_string(),
        before: erased.before,
    });
    Erasure {
        texts: texts.collect(),
        node: graph.node(erased.node).map(|node| lineage::message(node, note)),
        records: erased.records.iter().map(ToString::to_string).collect(),
        checkpoint: Some(lineage::newest(meta.ledger())),
    }
}
