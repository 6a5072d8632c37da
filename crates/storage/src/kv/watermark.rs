//! What the last sync promised, kept beside the files of the engine.
//!
//! An engine takes damaged bytes in what it wrote last for a write that was torn, and silently goes back to an
//! older state. Therefore the store counts, and each sync notes the counts it made durable. What comes back with
//! a smaller count has lost what was synced.
//!
//! The bytes are in `docs/formats/kv.md`.

use std::{collections::BTreeMap, io, path::Path};

use super::quarantine::sync_directory;
use crate::{Error, Result, disk::Disk};

/// Counts by tree.
pub(super) type Counts = BTreeMap<String, u64>;

const NAME: &str = "SYNCED";
const UNFINISHED: &str = "SYNCED.tmp";
const MAGIC: [u8; 8] = *b"LINEKVSY";
const VERSION: u32 = 1;
/// More than this is not read: a group takes some 270 bytes at most.
const FILE_BYTES: u64 = 64 * 1024 * 1024;

/// The counts of the last sync; none where there never was one.
pub(super) fn read(disk: &dyn Disk, directory: &Path) -> Result<Counts> {
    let path = directory.join(NAME);
    let bytes = match read_file(disk, &path) {
        Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(Counts::new()),
        other => other.map_err(|source| Error::io("read", &path, source))?,
    };
    let what = path.display().to_string();
    let version = bytes.get(8..12).and_then(|version| Some(u32::from_le_bytes(version.try_into().ok()?)));
    match version {
        Some(found) if bytes.starts_with(&MAGIC) && found != VERSION => {
            Err(Error::Version { what, found, known: VERSION })
        }
        _ => decode(&bytes).ok_or_else(|| Error::corrupt(what, "its checksum does not match")),
    }
}

/// Notes the counts, durably.
pub(super) fn write(disk: &dyn Disk, directory: &Path, counts: &Counts) -> Result<()> {
    let unfinished = directory.join(UNFINISHED);
    let replace = || {
        remove_if_there(disk, &unfinished)?;
        let file = disk.create(&unfinished)?;
        file.write_at(0, &encode(counts))?;
        file.sync()?;
        disk.rename(&unfinished, &directory.join(NAME))
    };
    replace().map_err(|source| Error::io("write", &unfinished, source))?;
    sync_directory(disk, directory)
}

/// Removes a file, unless it is not there.
pub(super) fn remove_if_there(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    match disk.remove(path) {
        Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn read_file(disk: &dyn Disk, path: &Path) -> io::Result<Vec<u8>> {
    let file = disk.open_to_read(path)?;
    // A longer file is not one, and the checksum of its beginning says so.
    let length = file.length()?.min(FILE_BYTES);
    let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
    file.read_at(0, &mut bytes)?;
    Ok(bytes)
}

fn encode(counts: &Counts) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&u32::try_from(counts.len()).unwrap_or(u32::MAX).to_le_bytes());
    for (tree, count) in counts {
        // Tree names are at most 255 bytes.
        bytes.push(u8::try_from(tree.len()).unwrap_or(u8::MAX));
        bytes.extend_from_slice(tree.as_bytes());
        bytes.extend_from_slice(&count.to_le_bytes());
    }
    let checksum = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> Option<Counts> {
    let (content, checksum) = bytes.split_last_chunk()?;
    if u32::from_le_bytes(*checksum) != crc32c::crc32c(content) {
        return None;
    }
    let (count, mut rest) = content.strip_prefix(&MAGIC)?.get(4..)?.split_first_chunk()?;
    let mut counts = Counts::new();
    for _ in 0..u32::from_le_bytes(*count) {
        let (length, after) = rest.split_first()?;
        let (tree, after) = after.split_at_checked(usize::from(*length))?;
        let (batches, after) = after.split_first_chunk()?;
        counts.insert(std::str::from_utf8(tree).ok()?.to_owned(), u64::from_le_bytes(*batches));
        rest = after;
    }
    rest.is_empty().then_some(counts)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn counts_are_these_bytes_and_come_back() {
        let counts = Counts::from([("group-0".to_owned(), 5), ("group-1".to_owned(), 258)]);
        let bytes = encode(&counts);
        assert_eq!(decode(&bytes), Some(counts));
        expect!["4c494e454b56535901000000020000000767726f75702d3005000000000000000767726f75702d3102010000000000003ec94452"].assert_eq(&hex(&bytes));
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let bytes = encode(&Counts::from([("t".to_owned(), 1)]));
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&damaged), None, "bit {bit}");
        }
    }
}
