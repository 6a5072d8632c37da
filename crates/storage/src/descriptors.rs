//! How many files and connections this process may have open at once.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The limit as it is, which an operator may have set low.
pub fn descriptor_limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Raises the limit as far as the process may by itself, and gives what it is then. For a process as a whole, once at
/// its start: the usual limit is 1,024, for the sake of programs that cannot count higher.
///
/// # Errors
/// The operating system refuses; the limit is as it was.
pub fn raise_descriptor_limit() -> io::Result<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    }
    Ok(descriptor_limit())
}
