//! The client against a server that misbehaves on purpose, over in-memory connections.

#![allow(clippy::panic, reason = "a helper that fails its test says why")]

mod connection;
mod push;
mod server;
