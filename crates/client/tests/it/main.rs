//! The client against a server that misbehaves on purpose, over in-memory connections.

mod connection;
mod push;
mod server;
