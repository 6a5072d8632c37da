//! Package `lineate.v1`, as generated. Its documentation is that of the `.proto` files.

#![allow(clippy::all, clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub, rustdoc::all)]

tonic::include_proto!("lineate.v1");
