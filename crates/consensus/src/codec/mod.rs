//! The bytes consensus writes: envelopes of entries, the record of a group, messages between peers.

pub(crate) mod envelope;
