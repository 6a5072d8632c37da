//! Applying definition files.

use lineate_ledger::{
    Record, Sealed,
    graph::{At, Direction},
};
use lineate_state::{
    catalog::{Catalog, Note, authored},
    meta::{AssertionDraft, Define, MetaCommand},
};
use lineate_types::{ErrorKind, HasKind, Name, NodeKind, NodeRef, Principal, VersionedName};

use crate::{Node, Result, api::Applied};

/// How often a plan is made again when the catalog changed meanwhile.
const ATTEMPTS: usize = 3;

impl Node {
    /// The catalog as it stands.
    pub fn catalog(&self) -> Catalog {
        self.meta().read().catalog().clone()
    }

    /// Plans a definition file and, unless only the plan is wanted, applies it.
    ///
    /// # Errors
    /// A definition is wrong or changes what never changes in place; nothing is applied then.
    pub async fn apply(
        &self,
        principal: &Principal,
        file: &authored::Definitions,
        plan_only: bool,
    ) -> Result<Applied> {
        let mut attempt = 1;
        loop {
            let plan = self.catalog().plan(file)?;
            let notes = self.new_notes(&file.project, &plan.notes)?;
            if plan_only || (plan.is_empty() && notes.is_empty()) {
                return Ok(Applied { changes: plan.changes, applied: false });
            }
            let assertions = self.seal_notes(&file.project, &notes)?;
            let define =
                Define { catalog_version: plan.catalog_version, resolved: plan.resolved, assertions };
            match self.propose_meta(principal, MetaCommand::Define(define)).await {
                Ok(_) => return Ok(Applied { changes: plan.changes, applied: true }),
                Err(error) if error.kind() == ErrorKind::Conflict && attempt < ATTEMPTS => attempt += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// The notes that the ledger does not say already.
    fn new_notes(&self, project: &Name, notes: &[Note]) -> Result<Vec<Note>> {
        let mut fresh = Vec::new();
        for note in notes {
            if !self.is_asserted(project, note)? {
                fresh.push(note.clone());
            }
        }
        Ok(fresh)
    }

    /// Whether an assertion with this predicate and text is about the newest version already.
    fn is_asserted(&self, project: &Name, note: &Note) -> Result<bool> {
        let name = VersionedName { name: note.name.clone(), version: None };
        let node = NodeRef::Named { kind: note.kind, project: Some(project.clone()), name };
        let values: Vec<Sealed> = {
            let meta = self.meta().read();
            let ledger = meta.ledger();
            let Ok(about) = ledger.graph().resolve(&node, None, At::Newest) else { return Ok(false) };
            let edges = ledger.graph().edges(about.id, Direction::Down, At::Newest);
            let assertions = edges.filter_map(|edge| match ledger.record(&edge.target) {
                Some(Record::Assertion(assertion)) if assertion.predicate.as_str() == note.predicate => {
                    assertion.value
                }
                _ => None,
            });
            assertions.collect()
        };
        for value in values {
            if self.sealed_texts().open(value)?.as_deref() == Some(note.text.as_str()) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn seal_notes(&self, project: &Name, notes: &[Note]) -> Result<Vec<AssertionDraft>> {
        let texts: Vec<&str> = notes.iter().map(|note| note.text.as_str()).collect();
        let values = self.sealed_texts().seal(&texts)?;
        let drafts = notes.iter().zip(values).map(|(note, value)| AssertionDraft {
            service: note.kind == NodeKind::Service,
            project: project.clone(),
            name: note.name.clone(),
            predicate: note.predicate.to_owned(),
            value,
        });
        Ok(drafts.collect())
    }
}
