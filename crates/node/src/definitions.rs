//! Applying definition files.

use std::sync::Arc;

use lineate_state::{
    catalog::{Catalog, Plan, authored},
    meta::{Define, MetaCommand},
};
use lineate_types::{ErrorKind, HasKind, Principal};

use crate::{
    Node, Result,
    annotations::{self, Restated},
    api::Applied,
};

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
        let file = Arc::new(file.clone());
        loop {
            // Off the threads that serve: a file may be large, and what it restates is read from the disk.
            let (node, definitions) = (self.clone(), file.clone());
            let (plan, restated) = tokio::task::spawn_blocking(move || node.planned(&definitions)).await??;
            if plan_only || (plan.is_empty() && restated.is_empty()) {
                return Ok(Applied { changes: plan.changes, applied: false });
            }
            self.check_space()?;
            let assertions = self.sealed_assertions(&file.project, &restated).await?;
            let texts: Vec<_> = assertions.iter().filter_map(|assertion| assertion.value).collect();
            let define =
                Define { catalog_version: plan.catalog_version, resolved: plan.resolved, assertions };
            let defining = self.propose_meta(principal, MetaCommand::Define(define));
            match self.name_texts(&texts, defining).await {
                Ok(_) => return Ok(Applied { changes: plan.changes, applied: true }),
                Err(error) if error.kind() == ErrorKind::Conflict && attempt < ATTEMPTS => attempt += 1,
                Err(error) => return Err(error),
            }
        }
    }
    fn planned(&self, file: &authored::Definitions) -> Result<(Plan, Vec<Restated>)> {
        let mut plan = self.catalog().plan(file)?;
        let restated = self.restated(&file.project, &plan.changes, &plan.notes);
        annotations::note_in(&mut plan.changes, &restated);
        Ok((plan, restated))
    }
}
