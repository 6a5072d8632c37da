//! How requests name a view, a service, a training set or a model: `[project/]name[@vN]`.

use std::{fmt, str::FromStr};

use lineate_types::{Name, NameError, VersionedName};

/// A name with an optional project and an optional version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The project; none means the only one of the store.
    pub project: Option<Name>,
    /// The name; without a version, the newest.
    pub name: VersionedName,
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.project {
            Some(project) => write!(f, "{project}/{}", self.name),
            None => self.name.fmt(f),
        }
    }
}

impl FromStr for Reference {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('/') {
            Some((project, name)) => Ok(Self { project: Some(Name::new(project)?), name: name.parse()? }),
            None => Ok(Self { project: None, name: text.parse()? }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_print_as_they_read() {
        for text in ["weather", "weather@v3", "flights/weather", "flights/weather@v3"] {
            assert_eq!(text.parse::<Reference>().map(|reference| reference.to_string()), Ok(text.to_owned()));
        }
        for text in ["", "/weather", "flights/", "a/b/c", "Weather", "weather@v0"] {
            assert!(text.parse::<Reference>().is_err(), "{text}");
        }
    }
}
