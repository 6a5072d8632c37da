//! Floors: what the same work costs without Lineate. Nothing that does the work can be faster.

pub mod disk;
pub mod echo;
