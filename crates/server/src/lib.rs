//! The node on the wire: gRPC, Arrow Flight and HTTP on one port, or over pipes inside one process.
//!
//! - [`Server`] listens on an address; [`Embedded`] serves the process it is in. Both serve the same services over
//!   the same router, so that a command prints the same whichever it speaks to.
//! - `grpc` implements the services of `proto/lineate/v1`, `flight` Arrow Flight, `pages` HTTP.
//!
//! Invariants:
//! - what comes from a network is bounded in size, number and time before it is looked at;
//! - every change carries the principal that asked for it;
//! - errors leave by one table (`lineate_proto::status`), and only internal ones are logged as errors here.
//!
//! Deliberately absent: what features, loads and training sets are (see `lineate-node`, `lineate-query`); TLS and
//! authentication, without which an address open to other machines is refused.

mod activity;
mod answer;
mod app;
mod arrival;
mod bounds;
mod definitions;
mod embedded;
mod error;
mod flight;
mod grpc;
mod health;
mod listener;
mod methods;
mod metrics;
mod pages;
mod principal;
mod reader;
mod router;
mod server;
mod trace;

pub use bounds::Bounds;
pub use embedded::{Embedded, Opened};
pub use error::{Error, Result};
pub use server::{ServeOptions, Server};
