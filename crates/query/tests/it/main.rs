//! Training sets through a real node: real log, real kv, real blobs, in a temporary directory.

mod cut_off;
mod flights;
mod online;
mod progress;
mod reserve;
mod store;
mod training_sets;
