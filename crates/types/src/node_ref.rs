//! How people name a node of the lineage graph: `dataset:flights/delays@v3`, `model:late@production`, a file by its
//! content as `source:b3:…`, or anything by (the beginning of) its id, `b3:…`.

use std::{fmt, str::FromStr};

use crate::{Hash, HashPrefix, Name, ParseHashError, VersionedName};

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

/// A node, by name or by a hash.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum NodeRef {
    /// The record with this id; a file with this content, if there is no such record.
    Id(Hash),
    /// The only record whose id, or file whose content hash, begins so.
    Prefix(HashPrefix),
    /// The only loaded file whose content hash begins so.
    File(HashPrefix),
    /// The version of a model that an alias points at.
    Alias {
        /// The project; none means the only or default one.
        project: Option<Name>,
        /// The model.
        model: Name,
        /// The alias.
        alias: Name,
    },
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
            Self::Prefix(prefix) => prefix.fmt(f),
            Self::File(prefix) => write!(f, "{}:{prefix}", NodeKind::Source),
            Self::Alias { project: Some(project), model, alias } => {
                write!(f, "{}:{project}/{model}@{alias}", NodeKind::Model)
            }
            Self::Alias { project: None, model, alias } => write!(f, "{}:{model}@{alias}", NodeKind::Model),
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
                "expected KIND:[PROJECT/]NAME[@vN] with KIND one of {}, or b3:HEX with at least 8 digits",
                kinds()
            )));
        };
        if kind == "b3" {
            let prefix: HashPrefix =
                text.parse().map_err(|cause: ParseHashError| error(cause.to_string()))?;
            return Ok(prefix.whole().map_or(Self::Prefix(prefix), Self::Id));
        }
        let kind = NodeKind::ALL
            .into_iter()
            .find(|candidate| candidate.as_str() == kind)
            .ok_or_else(|| error(format!("`{kind}` is not a kind of node; expected one of {}", kinds())))?;
        if kind == NodeKind::Source && rest.starts_with("b3:") {
            return rest.parse().map(Self::File).map_err(|cause: ParseHashError| error(cause.to_string()));
        }
        let (project, name) = match rest.split_once('/') {
            Some((project, name)) => {
                (Some(Name::new(project).map_err(|cause| error(cause.to_string()))?), name)
            }
            None => (None, rest),
        };
        if let Some((model, alias)) = name.split_once('@').filter(|_| kind == NodeKind::Model)
            && let (Ok(model), Ok(alias)) = (Name::new(model), Name::new(alias))
            && !VersionedName::is_version(alias.as_str())
        {
            return Ok(Self::Alias { project, model, alias });
        }
        let name = name.parse().map_err(|cause: crate::NameError| error(cause.to_string()))?;
        Ok(Self::Named { kind, project, name })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_round_trip() {
        for text in [
            "dataset:flights/delays@v3",
            "view:weather",
            "model:m@v1",
            "model:f/m@production",
            "b3:6437b3ac",
            "source:b3:6437b3ac3846",
            &Hash::of(b"x").to_string(),
        ] {
            let node: NodeRef = text.parse().expect(text);
            assert_eq!(node.to_string(), text);
        }
        assert_eq!("dataset:d@3".parse::<NodeRef>().map(|node| node.to_string()), Ok("dataset:d@v3".into()));
    }

    #[test]
    fn an_alias_is_of_a_model_and_never_a_version() {
        let alias = |text: &str| matches!(text.parse(), Ok(NodeRef::Alias { .. }));
        assert!(alias("model:m@production") && alias("model:m@v1a"));
        assert!(!alias("model:m@v1") && !alias("model:m@7") && !alias("model:m@v0"));
        assert!("dataset:d@production".parse::<NodeRef>().is_err());
        assert!("b3:6437b3a".parse::<NodeRef>().expect_err("short").to_string().contains("8 to 64"));
    }

    #[test]
    fn a_wrong_kind_is_answered_with_the_kinds() {
        let error = "table:x".parse::<NodeRef>().expect_err("no such kind").to_string();
        assert!(error.contains("dataset"), "{error}");
    }
}
