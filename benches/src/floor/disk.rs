//! The disk: durable small appends, and durable bytes in bulk.

use std::{
    fs::File,
    io::{Seek, Write},
    path::Path,
    time::Instant,
};

use crate::{Error, Result, load::Latency};

/// Bytes of one append.
const APPEND_BYTES: usize = 4 * 1024;
/// Bytes of one write in bulk.
const BULK_BYTES: usize = 1024 * 1024;

/// Where an append goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Space {
    /// At the end of a file, which grows: the file system writes its size too.
    Growing,
    /// Into bytes written before, as in a preallocated log.
    Preallocated,
}

/// Appends 4 KiB so many times, each followed by `fdatasync`, and keeps how long each took.
///
/// # Errors
/// The directory cannot be written.
pub fn appends(directory: &Path, space: Space, count: usize) -> Result<Latency> {
    let path = directory.join("appends");
    let mut file = File::create(&path).map_err(Error::file(&path))?;
    let page = page(APPEND_BYTES);
    if space == Space::Preallocated {
        for _ in 0..count {
            file.write_all(&page).map_err(Error::file(&path))?;
        }
        file.sync_all().map_err(Error::file(&path))?;
        file.rewind().map_err(Error::file(&path))?;
    }
    let mut latency = Latency::default();
    for _ in 0..count {
        let start = Instant::now();
        file.write_all(&page).and_then(|()| file.sync_data()).map_err(Error::file(&path))?;
        latency.record(start.elapsed());
    }
    std::fs::remove_file(&path).map_err(Error::file(&path))?;
    Ok(latency)
}

/// Writes so many bytes into a new file and syncs it. The seconds it took.
///
/// # Errors
/// The directory cannot be written.
pub fn bulk(directory: &Path, bytes: u64) -> Result<f64> {
    let path = directory.join("bulk");
    let page = page(BULK_BYTES);
    let start = Instant::now();
    let mut file = File::create(&path).map_err(Error::file(&path))?;
    let mut left = usize::try_from(bytes).unwrap_or(usize::MAX);
    while left > 0 {
        let piece = page.get(..left.min(page.len())).unwrap_or(&page);
        file.write_all(piece).map_err(Error::file(&path))?;
        left -= piece.len();
    }
    file.sync_all().map_err(Error::file(&path))?;
    let took = start.elapsed().as_secs_f64();
    std::fs::remove_file(&path).map_err(Error::file(&path))?;
    Ok(took)
}

/// Bytes that do not compress to nothing.
fn page(length: usize) -> Vec<u8> {
    (0..length as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floors_are_measured_and_leave_nothing_behind() {
        let directory = tempfile::tempdir().expect("a directory");
        for space in [Space::Growing, Space::Preallocated] {
            assert_eq!(appends(directory.path(), space, 5).expect("writes").count(), 5);
        }
        assert!(bulk(directory.path(), 3 * BULK_BYTES as u64 / 2).expect("writes") > 0.0);
        assert_eq!(std::fs::read_dir(directory.path()).expect("is there").count(), 0);
    }
}
