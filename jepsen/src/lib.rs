//! The real binary under real faults: processes killed, power cut, disks full or lying, clients that vanish.
pub mod error;
pub mod lossyfs;
pub mod random;
pub use error::{Error, Result};
