//! Between fields of messages and values of the vocabulary.

use lineate_types::{Hash, MatchMode};

use crate::{Error, v1::FeatureStatus};

/// The content hash in a text field.
///
/// # Errors
/// The text is no content hash.
pub fn hash(field: &'static str, text: &str) -> Result<Hash, Error> {
    text.parse().map_err(|cause| Error::field(field, cause))
}

/// The mode in a text field; none if it is empty.
///
/// # Errors
/// The text is no mode.
pub fn match_mode(field: &'static str, text: &str) -> Result<Option<MatchMode>, Error> {
    if text.is_empty() {
        return Ok(None);
    }
    [MatchMode::Known, MatchMode::Event, MatchMode::Served]
        .into_iter()
        .find(|mode| mode.as_str() == text)
        .map(Some)
        .ok_or_else(|| Error::field(field, format!("`{text}` is no mode; expected known, event or served")))
}

/// The status in one byte of `GetFeaturesReply.statuses`.
///
/// # Errors
/// The byte is no status.
pub fn cell_status(byte: u8) -> Result<FeatureStatus, Error> {
    match FeatureStatus::try_from(i32::from(byte)) {
        Ok(FeatureStatus::Unspecified) | Err(_) => {
            Err(Error::field("statuses", format!("{byte} is no feature status")))
        }
        Ok(status) => Ok(status),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_read_as_they_print_and_empty_means_the_default() {
        for mode in [MatchMode::Known, MatchMode::Event, MatchMode::Served] {
            assert_eq!(match_mode("mode", mode.as_str()), Ok(Some(mode)));
        }
        assert_eq!(match_mode("mode", ""), Ok(None));
        assert!(match_mode("mode", "Known").is_err());
    }

    #[test]
    fn only_four_bytes_are_statuses() {
        let known: Vec<u8> = (0..=u8::MAX).filter(|byte| cell_status(*byte).is_ok()).collect();
        assert_eq!(known, [1, 2, 3, 4]);
    }
}
