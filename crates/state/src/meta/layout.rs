//! Where the meta group's state lies in its ordered key-value tree (`docs/formats/state.md`): one letter for the
//! kind, then numbers, big-endian, or bytes.

use lineate_types::{Hash, Name, ViewId, WriterId};

use crate::{Error, LoadId, Result};

/// `c` → the catalog's version.
pub(super) const CATALOG: u8 = b'c';
/// `e` project `/` name → an entity.
pub(super) const ENTITY: u8 = b'e';
/// `v` view → a view version.
pub(super) const VIEW: u8 = b'v';
/// `s` project `/` name `/` version → a service version.
pub(super) const SERVICE: u8 = b's';
/// `w` writer → its agent, epoch and last opening.
pub(super) const WRITER: u8 = b'w';
/// `l` load → its state.
pub(super) const LOAD: u8 = b'l';
/// `d` record → a training set.
pub(super) const DATASET: u8 = b'd';
/// `k` record → a model version.
pub(super) const MODEL: u8 = b'k';
/// `q` sequence → an entry of the ledger, followed by the record's bytes.
pub(super) const ENTRY: u8 = b'q';
/// `S` shard, history, run → the record of a sealed run.
pub(super) const SEAL: u8 = b'S';

pub(super) fn catalog() -> Vec<u8> {
    vec![CATALOG]
}

pub(super) fn entity(project: &Name, name: &Name) -> Vec<u8> {
    text(ENTITY, &format!("{project}/{name}"))
}

pub(super) fn view(view: ViewId) -> Vec<u8> {
    number(VIEW, &view.0.to_be_bytes())
}

pub(super) fn service(project: &Name, name: &Name, version: u32) -> Vec<u8> {
    text(SERVICE, &format!("{project}/{name}/{version:010}"))
}

pub(super) fn writer(writer: WriterId) -> Vec<u8> {
    number(WRITER, &writer.0.to_be_bytes())
}

pub(super) fn load(load: LoadId) -> Vec<u8> {
    number(LOAD, &load.0.to_be_bytes())
}

pub(super) fn dataset(record: &Hash) -> Vec<u8> {
    number(DATASET, record.as_bytes())
}

pub(super) fn model(record: &Hash) -> Vec<u8> {
    number(MODEL, record.as_bytes())
}

pub(super) fn entry(sequence: u64) -> Vec<u8> {
    number(ENTRY, &sequence.to_be_bytes())
}

pub(super) fn seal(shard: u16, history: u32, run: u64) -> Vec<u8> {
    let mut key = number(SEAL, &shard.to_be_bytes());
    key.extend(history.to_be_bytes());
    key.extend(run.to_be_bytes());
    key
}

/// Reads the number that is all of a key.
pub(super) fn read_number(key: &[u8]) -> Result<u64> {
    let bytes: [u8; 8] = key.try_into().map_err(|_| damaged_key())?;
    Ok(u64::from_be_bytes(bytes))
}

/// What is said of a key that cannot be read.
pub(super) fn damaged_key() -> Error {
    Error::Corrupt { what: "a key of the meta group's tree".into(), why: "it has another length".into() }
}

fn text(kind: u8, text: &str) -> Vec<u8> {
    number(kind, text.as_bytes())
}

fn number(kind: u8, bytes: &[u8]) -> Vec<u8> {
    let mut key = vec![kind];
    key.extend_from_slice(bytes);
    key
}
