//! The bytes consensus writes: envelopes of entries, the record of a group, messages between peers.
//!
//! Nothing here is decoded by a general library: every length is checked against its bound before memory is
//! taken for it, and what is not understood is refused.

pub(crate) mod envelope;
pub(crate) mod message;
mod reader;
pub(crate) mod record;

#[cfg(test)]
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
