//! Training sets through a real node: real log, real kv, real blobs, in a temporary directory.

mod store;
mod training_sets;
