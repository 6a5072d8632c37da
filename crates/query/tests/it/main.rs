//! Training sets through a real node: real log, real kv, real blobs, in a temporary directory.

mod flights;
mod online;
mod store;
mod training_sets;
