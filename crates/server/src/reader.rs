//! References and nodes as requests write them.

use lineate_proto::Reference;
use lineate_types::{Name, NodeRef, TimestampUs};

use crate::{Error, Result};

/// A reference.
///
/// # Errors
/// The text is none; the error names what it should have been.
pub(crate) fn reference(what: &str, text: &str) -> Result<Reference> {
    if text.is_empty() {
        return Err(Error::Invalid(format!("no {what} was named; write [project/]name[@vN]")));
    }
    text.parse().map_err(|cause| Error::Invalid(format!("{what} {cause}")))
}

/// A name that gets its version later.
///
/// # Errors
/// The text is no name, or names a version.
pub(crate) fn unversioned(what: &str, text: &str) -> Result<(Option<Name>, Name)> {
    let Reference { project, name } = reference(what, text)?;
    match name.version {
        None => Ok((project, name.name)),
        Some(version) => Err(Error::Invalid(format!(
            "`{text}` names version {version}, but versions of a {what} are given by the store; write {}",
            name.name
        ))),
    }
}

/// A node of the lineage graph.
///
/// # Errors
/// The text names none.
pub(crate) fn node(text: &str) -> Result<NodeRef> {
    text.parse().map_err(|cause| Error::Invalid(format!("{cause}")))
}

/// A time that may be absent.
pub(crate) fn time(micros: Option<i64>) -> Option<TimestampUs> {
    micros.map(TimestampUs)
}
