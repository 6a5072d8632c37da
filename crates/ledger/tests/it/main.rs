//! The claims of the ledger, as tests.

mod merkle;
