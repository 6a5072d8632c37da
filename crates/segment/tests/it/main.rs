//! The one integration binary of this crate.

mod fixture;
mod matching;
mod segments;
