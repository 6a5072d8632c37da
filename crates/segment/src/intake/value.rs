//! The text forms of single values: what CSV cells, JSON strings and text columns hold.

/// Checks that text is one JSON value.
pub(super) fn check_json(text: &str) -> Result<(), String> {
    match serde_json::from_str::<serde::de::IgnoredAny>(text) {
        Ok(_) => Ok(()),
        Err(cause) => Err(format!("{} is not JSON: {cause}", super::refusal::excerpt(text))),
    }
}

/// A uuid as 32 hex digits, with the four hyphens or without any.
pub(super) fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let bytes = text.as_bytes();
    let hyphens = bytes.len() == 36;
    if !hyphens && bytes.len() != 32 {
        return None;
    }
    let mut nibbles = 0_usize;
    let mut uuid = [0_u8; 16];
    for (at, byte) in bytes.iter().enumerate() {
        if hyphens && matches!(at, 8 | 13 | 18 | 23) {
            if *byte != b'-' {
                return None;
            }
            continue;
        }
        let digit = u8::try_from(char::from(*byte).to_digit(16)?).ok()?;
        let slot = uuid.get_mut(nibbles / 2)?;
        *slot = (*slot << 4) | digit;
        nibbles += 1;
    }
    (nibbles == 32).then_some(uuid)
}
