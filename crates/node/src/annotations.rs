//! What is said beside a view or service: owner, description, tags. It belongs to the name, all versions together, and
//! changing it makes no new version: each change is an assertion in the ledger that replaces the one before.

use std::collections::{BTreeMap, BTreeSet};

use lineate_ledger::{Sealed, graph::At, record::Assertion};
use lineate_state::{
    catalog::{Change, ChangeKind, Note},
    meta::AssertionDraft,
};
use lineate_types::{Hash, Name, NodeKind, NodeRef, VersionedName};

use crate::{Node, Result};

/// What is said beside a view or service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Annotations {
    /// Who answers for it.
    pub owner: Option<String>,
    /// What it is.
    pub description: Option<String>,
    /// Labels.
    pub tags: BTreeMap<String, String>,
}

/// An assertion that none replaced or withdrew.
struct Standing {
    record: Hash,
    predicate: Name,
    value: Sealed,
}

/// What is to be said from now on, or no longer, about one definition.
pub(crate) struct Restated {
    kind: NodeKind,
    name: Name,
    predicate: String,
    /// None withdraws.
    text: Option<String>,
    replaces: Option<Hash>,
    /// The change for people.
    line: String,
}

/// The predicates that definition files speak of; others, such as approvals, are not theirs to withdraw.
const PREDICATES: [&str; 3] = ["owner", "description", "tag"];

impl Node {
    /// What is said beside a view or service, by the newest assertions. A text that was erased or is damaged is said
    /// to be so.
    pub fn annotations(&self, kind: NodeKind, project: &Name, name: &Name) -> Annotations {
        let mut said = Annotations::default();
        for Standing { predicate, value, .. } in self.standing(kind, project, name) {
            let text = self.shown_text(value);
            match predicate.as_str() {
                "owner" => said.owner = Some(text),
                "description" => said.description = Some(text),
                "tag" => {
                    let (key, value) = text.split_once('=').unwrap_or((&text, ""));
                    said.tags.insert(key.to_owned(), value.to_owned());
                }
                _ => {}
            }
        }
        said
    }

    /// What a definition file says otherwise than the ledger does, about the definitions that are in it.
    pub(crate) fn restated(&self, project: &Name, changes: &[Change], notes: &[Note]) -> Vec<Restated> {
        let mut restated = Vec::new();
        for change in changes {
            let Some((kind, name)) = definition(change) else { continue };
            let of_it = notes.iter().filter(|note| note.kind == kind && note.name == name);
            let said: BTreeMap<Subject, &str> =
                of_it.map(|note| (subject(note.predicate, &note.text), note.text.as_str())).collect();
            restated.extend(self.restated_of(project, kind, &name, said));
        }
        restated
    }

    fn restated_of(
        &self,
        project: &Name,
        kind: NodeKind,
        name: &Name,
        mut said: BTreeMap<Subject, &str>,
    ) -> Vec<Restated> {
        let mut restated = Vec::new();
        for Standing { record, predicate, value } in self.standing(kind, project, name) {
            // A text that cannot be opened any more is said anew, or withdrawn.
            let known = self.text(value);
            let subject = subject(predicate.as_str(), known.as_deref().unwrap_or_default());
            let text = match said.remove(&subject) {
                Some(text) if known.as_deref() == Some(text) => continue,
                Some(text) => Some(text.to_owned()),
                None => None,
            };
            let before = self.shown_text(value);
            let line = match &text {
                Some(text) => format!("{predicate}: {before} → {text}"),
                None => format!("{predicate}: {before} is withdrawn"),
            };
            let (name, predicate) = (name.clone(), predicate.to_string());
            restated.push(Restated { kind, name, predicate, text, replaces: Some(record), line });
        }
        for ((predicate, _), text) in said {
            let line = format!("{predicate}: {text}");
            let (name, text) = (name.clone(), Some(text.to_owned()));
            restated.push(Restated { kind, name, predicate, text, replaces: None, line });
        }
        restated
    }

    /// The assertions about all versions of a definition that still hold, oldest first.
    fn standing(&self, kind: NodeKind, project: &Name, name: &Name) -> Vec<Standing> {
        let meta = self.meta().read();
        let ledger = meta.ledger();
        let version = |version: Option<u32>| {
            let name = VersionedName { name: name.clone(), version };
            let node = NodeRef::Named { kind, project: Some(project.clone()), name };
            ledger.graph().resolve(&node, None, At::Newest).ok()
        };
        let newest = version(None).and_then(|node| node.version).unwrap_or(0);
        let mut made: BTreeMap<u64, (Hash, &Assertion)> = BTreeMap::new();
        for about in (1..=newest).filter_map(|number| version(Some(number))) {
            for (entry, assertion) in ledger.assertions_about(&about.id) {
                if PREDICATES.contains(&assertion.predicate.as_str()) {
                    made.insert(entry.seq, (entry.record, assertion));
                }
            }
        }
        let replaced: BTreeSet<Hash> =
            made.values().filter_map(|(_, assertion)| assertion.replaces).collect();
        let holding = made.into_values().filter(|(record, _)| !replaced.contains(record));
        holding
            .filter_map(|(record, assertion)| {
                Some(Standing { record, predicate: assertion.predicate.clone(), value: assertion.value? })
            })
            .collect()
    }

    /// Assertions to be proposed, their texts sealed.
    pub(crate) async fn sealed_assertions(
        &self,
        project: &Name,
        restated: &[Restated],
    ) -> Result<Vec<AssertionDraft>> {
        let texts: Vec<&str> = restated.iter().filter_map(|change| change.text.as_deref()).collect();
        let mut values = self.sealed_texts().seal(&texts).await?.into_iter();
        let drafts = restated.iter().map(|change| AssertionDraft {
            service: change.kind == NodeKind::Service,
            project: project.clone(),
            name: change.name.clone(),
            predicate: change.predicate.clone(),
            value: change.text.as_ref().and_then(|_| values.next()),
            replaces: change.replaces,
        });
        Ok(drafts.collect())
    }
}

/// Adds to a plan what is said otherwise beside its definitions.
pub(crate) fn note_in(changes: &mut [Change], restated: &[Restated]) {
    for change in changes {
        let Some((kind, name)) = definition(change) else { continue };
        if change.kind == ChangeKind::New {
            continue;
        }
        for line in
            restated.iter().filter(|other| other.kind == kind && other.name == name).map(|other| &other.line)
        {
            if change.kind == ChangeKind::Unchanged {
                change.kind = ChangeKind::Changed;
            }
            change.details.push(line.clone());
        }
    }
}

/// The kind and name of what a change is about, if it can have annotations.
fn definition(change: &Change) -> Option<(NodeKind, Name)> {
    let kind = [NodeKind::View, NodeKind::Service].into_iter().find(|kind| kind.as_str() == change.what)?;
    let name = change.name.split('@').next()?;
    Some((kind, Name::new(name).ok()?))
}

/// What there is one of at a time: an owner, a description, a tag of a key.
type Subject = (String, String);

fn subject(predicate: &str, text: &str) -> Subject {
    let key = match predicate {
        "tag" => text.split_once('=').map_or(text, |(key, _)| key),
        _ => "",
    };
    (predicate.to_owned(), key.to_owned())
}
