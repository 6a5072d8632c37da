//! Reading stored state back, one kind of key at a time.

use lineate_storage::kv::OrderedKv;

use crate::Result;

/// Visits the keys that begin with one letter, ascending, without the letter.
pub(crate) fn each(
    kv: &dyn OrderedKv,
    tree: &str,
    kind: u8,
    mut visit: impl FnMut(&[u8], &[u8]) -> Result<()>,
) -> Result<()> {
    let mut failed = None;
    kv.scan(tree, &[kind], &mut |key, value| {
        if failed.is_none() {
            failed = visit(key.get(1..).unwrap_or_default(), value).err();
        }
        Ok(())
    })?;
    failed.map_or(Ok(()), Err)
}
