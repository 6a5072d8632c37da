//! A served store on a loopback port, spoken to as strangers speak: what is hostile, slow, gone, or too much.

#![allow(clippy::panic, reason = "a helper that fails its test says why")]

mod counted;
mod drain;
mod exchange;
mod hostile;
mod labels;
mod limits;
mod open_ended;
mod served;
mod vanished;
