//! The one integration binary of this crate.

mod fixture;
mod intake;
mod logical_hash;
mod matching;
mod segments;
