//! The processor time of another process.

use std::fs;

use crate::{Error, Result};

/// Ticks of `/proc` in a second, fixed on Linux whatever the kernel's own are.
const TICKS_PER_SECOND: f64 = 100.0;
/// Of the fields after the command's name, from 0: time in user mode and in the kernel.
const USER_FIELD: usize = 11;
const SYSTEM_FIELD: usize = 12;

/// A process whose processor time is watched.
#[derive(Debug, Clone, Copy)]
pub struct CpuTime {
    process_id: u32,
    start_s: f64,
}

impl CpuTime {
    /// Begins to watch.
    ///
    /// # Errors
    /// The process is gone.
    pub fn watch(process_id: u32) -> Result<Self> {
        Ok(Self { process_id, start_s: used_s(process_id)? })
    }

    /// Seconds used by all its threads since the watching began; steps of 10 ms.
    ///
    /// # Errors
    /// The process is gone.
    pub fn used_s(&self) -> Result<f64> {
        Ok(used_s(self.process_id)? - self.start_s)
    }
}

fn used_s(process_id: u32) -> Result<f64> {
    let path = format!("/proc/{process_id}/stat");
    let stat = fs::read_to_string(&path).map_err(Error::file(&path))?;
    seconds(&stat).ok_or_else(|| Error::program(path, "it has no processor times"))
}

fn seconds(stat: &str) -> Option<f64> {
    // The name of the command stands in parentheses and may hold anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks = |field: usize| fields.get(field)?.parse::<f64>().ok();
    Some((ticks(USER_FIELD)? + ticks(SYSTEM_FIELD)?) / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_system_time_are_added_whatever_the_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 2593 0 0 0 150 50 9 9 20 0 1 0 100 1000 500 1 1";
        assert_eq!(seconds(stat), Some(2.0));
        assert_eq!(seconds("7 (a) S 1"), None);
    }

    #[test]
    fn the_time_of_this_process_can_be_read() {
        let cpu = CpuTime::watch(std::process::id()).expect("it runs");
        assert!(cpu.used_s().expect("it runs") >= 0.0);
    }
}
