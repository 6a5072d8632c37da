//! Consensus from outside: the driver of a lone node, and simulated clusters of the bare core.

mod cluster;
mod driver;
mod faults;
mod machine;
mod safety;
mod times;
