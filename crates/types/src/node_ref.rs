//! How people name a node of the lineage graph: `dataset:flights/delays@v3` or `b3:…`.

use std::{fmt, str::FromStr};

use crate::{Hash, Name, VersionedName};

/// The kinds of named nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum NodeKind {
    View,
    Service,
    Source,
    Load,
    Dataset,
    Job,
    Run,
    Model,
    Eval,
    Deployment,
    Agent,
}

impl NodeKind {
    /// Every kind, in the order of the data's way through the system.
    pub const ALL: [Self; 11] = [
        Self::Source,
        Self::Load,
        Self::View,
        Self::Service,
        Self::Dataset,
        Self::Job,
        Self::Run,
        Self::Model,
        Self::Eval,
        Self::Deployment,
        Self::Agent,
    ];

    /// The word before the colon.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::Service => "service",
            Self::Source => "source",
            Self::Load => "load",
            Self::Dataset => "dataset",
            Self::Job => "job",
            Self::Run => "run",
            Self::Model => "model",
            Self::Eval => "eval",
            Self::Deployment => "deployment",
            Self::Agent => "agent",
        }
    }
}

impl fmt::Display for NodeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A node, by name or by the hash of its record.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum NodeRef {
    /// The record with this id.
    Id(Hash),
    /// The newest (or the named) version of a name.
    Named {
        /// The kind.
        kind: NodeKind,
        /// The project; none means the only or default one.
        project: Option<Name>,
        /// The name and version.
        name: VersionedName,
    },
}

/// The text names no node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` names no node: {why}")]
pub struct ParseNodeRefError {
    text: String,
    why: String,
}

impl fmt::Display for NodeRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(hash) => hash.fmt(f),
            Self::Named { kind, project: Some(project), name } => write!(f, "{kind}:{project}/{name}"),
            Self::Named { kind, project: None, name } => write!(f, "{kind}:{name}"),
        }
    }
}

impl FromStr for NodeRef {
    type Err = ParseNodeRefError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = |why: String| ParseNodeRefError { text: text.to_owned(), why };
        let kinds = || NodeKind::ALL.map(NodeKind::as_str).join(", ");
        let Some((kind, rest)) = text.split_once(':') else {
            return Err(error(format!(
                "expected KIND:[PROJECT/]NAME[@vN] with KIND one of {}, or b3:HEX",
                kinds()
            )));
        };
        if kind == "b3" {
            return text.parse().map(Self::Id).map_err(|cause| error(cause.to_string()));
        }
        let kind = NodeKind::ALL
            .into_iter()
            .find(|candidate| candidate.as_str() == kind)
            .ok_or_else(|| error(format!("`{kind}` is not a kind of node; expected one of {}", kinds())))?;
        let (project, name) = match rest.split_once('/') {
            Some((project, name)) => {
                (Some(Name::new(project).map_err(|cause| error(cause.to_string()))?), name)
            }
            None => (None, rest),
        };
        let name = name.parse().map_err(|cause: crate::NameError| error(cause.to_string()))?;
        Ok(Self::Named { kind, project, name })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_round_trip() {
        for text in ["dataset:flights/delays@v3", "view:weather", "model:m@v1", &Hash::of(b"x").to_string()] {
            let node: NodeRef = text.parse().expect(text);
            assert_eq!(node.to_string(), text);
        }
        assert_eq!("dataset:d@3".parse::<NodeRef>().map(|node| node.to_string()), Ok("dataset:d@v3".into()));
    }

    #[test]
    fn a_wrong_kind_is_answered_with_the_kinds() {
        let error = "table:x".parse::<NodeRef>().expect_err("no such kind").to_string();
        assert!(error.contains("dataset"), "{error}");
    }
}
