//! Names of projects, entities, views, features, services and the like.

use std::{fmt, str::FromStr};

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::limits;

/// A name: `[a-z][a-z0-9_]*`, at most 63 bytes, without `__` (which joins view and feature in a column name).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Serialize)]
#[cbor(transparent)]
#[serde(transparent)]
pub struct Name(String);

/// The text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a name: {why}")]
pub struct NameError {
    text: String,
    why: &'static str,
}

impl Name {
    /// Checks and takes a name.
    ///
    /// # Errors
    /// The text does not follow the rule above.
    pub fn new(text: impl Into<String>) -> Result<Self, NameError> {
        let text = text.into();
        let why = if text.is_empty() {
            "it is empty"
        } else if text.len() > limits::NAME_BYTES {
            "it is longer than 63 bytes"
        } else if !text.starts_with(|c: char| c.is_ascii_lowercase()) {
            "it must begin with a letter a to z"
        } else if !text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_') {
            "only a to z, 0 to 9 and `_` are allowed"
        } else if text.contains("__") {
            "`__` is reserved; it joins view and feature in a column name"
        } else {
            return Ok(Self(text));
        };
        Err(NameError { text, why })
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Of some candidates, the one most like a mistyped name, for "did you mean".
    pub fn nearest<'a>(wanted: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
        candidates
            .into_iter()
            .map(|candidate| (strsim::damerau_levenshtein(wanted, candidate), candidate))
            .filter(|(distance, candidate)| *distance <= 1 + candidate.len().max(wanted.len()) / 3)
            .min()
            .map(|(_, candidate)| candidate)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

impl<'b, C> Decode<'b, C> for Name {
    fn decode(decoder: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        Self::new(decoder.str()?).map_err(minicbor::decode::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// A name and, optionally, a version of it: `weather` (the newest) or `weather@v3`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VersionedName {
    /// The name.
    pub name: Name,
    /// The version, from 1; none means the newest.
    pub version: Option<u32>,
}

impl VersionedName {
    /// Whether a text after `@` can only be meant as a version: `v` and digits.
    pub fn is_version(text: &str) -> bool {
        text.strip_prefix('v')
            .is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.is_empty())
    }
}

impl fmt::Display for VersionedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.version {
            Some(version) => write!(f, "{}@v{version}", self.name),
            None => write!(f, "{}", self.name),
        }
    }
}

impl FromStr for VersionedName {
    type Err = NameError;

    /// Reads `name`, `name@v3` or `name@3`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some((name, version)) = text.split_once('@') else {
            return Ok(Self { name: Name::new(text)?, version: None });
        };
        let digits = version.strip_prefix('v').unwrap_or(version);
        let number =
            digits.parse().ok().filter(|number| *number >= 1 && digits.starts_with(|c: char| c != '+'));
        match number {
            Some(number) => Ok(Self { name: Name::new(name)?, version: Some(number) }),
            None => Err(NameError { text: text.to_owned(), why: "after `@` comes a version such as `v3`" }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rule() {
        for good in ["a", "weather", "route_log", "a1_b2", &"x".repeat(63)] {
            assert!(Name::new(good).is_ok(), "{good}");
        }
        for bad in ["", "1a", "_a", "A", "a-b", "a__b", "é", "a b", &"x".repeat(64)] {
            assert!(Name::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn versions_are_read_with_and_without_v() {
        for (text, version) in [("a", None), ("a@v3", Some(3)), ("a@3", Some(3))] {
            assert_eq!(text.parse::<VersionedName>().map(|name| name.version), Ok(version));
        }
        for bad in ["a@", "a@v0", "a@vv1", "a@-1", "a@+1", "@v1", "a@v1@v2"] {
            assert!(bad.parse::<VersionedName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_nearest_name_is_offered_only_when_it_is_near() {
        let names = ["temp", "wind_dir", "pressure"];
        assert_eq!(Name::nearest("tmp", names), Some("temp"));
        assert_eq!(Name::nearest("humidity", names), None);
    }
}
