//! The bytes of one file: as programs see them, and as they are on the disk.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::Survival;

/// Bytes of a page: what reaches the disk independently of what is beside it.
pub const PAGE_BYTES: usize = 4096;
/// Bytes of a sector: what reaches the disk whole or not at all.
pub const SECTOR_BYTES: usize = 512;

type Page = Arc<[u8; PAGE_BYTES]>;

/// The bytes of one file. A page that is absent is zeros.
#[derive(Debug, Clone, Default)]
pub struct Content {
    live: BTreeMap<u64, Page>,
    live_length: u64,
    durable: BTreeMap<u64, Page>,
    durable_length: u64,
    /// Pages that differ between the two, or may.
    dirty: BTreeSet<u64>,
}

impl Content {
    /// Its length, as programs see it.
    pub fn length(&self) -> u64 {
        self.live_length
    }

    /// The bytes from an offset on, at most `size`, fewer at the end.
    pub fn read(&self, offset: u64, size: usize) -> Vec<u8> {
        let size = usize::try_from(self.live_length.saturating_sub(offset)).unwrap_or(usize::MAX).min(size);
        let mut bytes = vec![0; size];
        for (page, inside, range) in pieces(offset, size) {
            let (Some(from), Some(to)) = (self.live.get(&page), bytes.get_mut(range)) else { continue };
            let length = to.len();
            to.copy_from_slice(&from[inside..inside + length]);
        }
        bytes
    }

    /// Puts bytes at an offset; a gap before them is zeros.
    pub fn write(&mut self, offset: u64, bytes: &[u8]) {
        for (page, inside, range) in pieces(offset, bytes.len()) {
            let Some(from) = bytes.get(range) else { continue };
            let to = Arc::make_mut(self.live.entry(page).or_insert_with(|| Arc::new([0; PAGE_BYTES])));
            to[inside..inside + from.len()].copy_from_slice(from);
            self.dirty.insert(page);
        }
        self.live_length = self.live_length.max(offset + bytes.len() as u64);
    }

    /// Cuts or extends it.
    pub fn set_length(&mut self, length: u64) {
        let touched = cut(&mut self.live, length);
        self.dirty.extend(touched);
        self.live_length = length;
    }

    /// Makes it durable as it is.
    pub fn sync(&mut self) {
        for page in std::mem::take(&mut self.dirty) {
            match self.live.get(&page) {
                Some(bytes) => self.durable.insert(page, bytes.clone()),
                None => self.durable.remove(&page),
            };
        }
        self.durable_length = self.live_length;
    }

    /// What a failed sync leaves: programs go on to see what they wrote, and it will never reach the disk unless it
    /// is written again.
    pub fn forget_dirty(&mut self) {
        self.dirty.clear();
    }

    /// Cuts the power: what was not synced is lost, in the way `survival` chooses.
    pub fn lose_power(&mut self, survival: &mut Survival) {
        for page in std::mem::take(&mut self.dirty) {
            let sectors = survival.sectors();
            if sectors == 0 {
                continue;
            }
            let zeros: Page = Arc::new([0; PAGE_BYTES]);
            let written = self.live.get(&page).cloned().unwrap_or_else(|| zeros.clone());
            let old = self.durable.entry(page).or_insert(zeros);
            let torn = sectors * SECTOR_BYTES;
            Arc::make_mut(old)[..torn].copy_from_slice(&written[..torn]);
        }
        if self.live_length != self.durable_length && survival.metadata() {
            self.durable_length = self.live_length;
        }
        cut(&mut self.durable, self.durable_length);
        self.live = self.durable.clone();
        self.live_length = self.durable_length;
    }
}

/// Removes what lies behind a length; gives the pages that were touched.
fn cut(pages: &mut BTreeMap<u64, Page>, length: u64) -> Vec<u64> {
    let (last, inside) = (length / PAGE_BYTES as u64, (length % PAGE_BYTES as u64) as usize);
    let mut touched: Vec<u64> = pages.range(last..).map(|(page, _)| *page).collect();
    let behind = pages.split_off(&last);
    if inside > 0
        && let Some(mut page) = behind.into_iter().next().filter(|(number, _)| *number == last)
    {
        Arc::make_mut(&mut page.1)[inside..].fill(0);
        pages.insert(last, page.1);
    }
    touched.dedup();
    touched
}

/// A range of bytes as pieces of pages: the page, where in it the piece begins, and the piece of the range.
fn pieces(offset: u64, size: usize) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        if done >= size {
            return None;
        }
        let at = offset + done as u64;
        let inside = (at % PAGE_BYTES as u64) as usize;
        let length = (PAGE_BYTES - inside).min(size - done);
        let piece = (at / PAGE_BYTES as u64, inside, done..done + length);
        done += length;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn all(content: &Content) -> Vec<u8> {
        content.read(0, usize::MAX)
    }

    #[test]
    fn reads_give_what_was_written_across_pages_gaps_and_cuts() {
        let mut content = Content::default();
        let mut expected: Vec<u8> = Vec::new();
        let mut random = Random::new(1);
        for _ in 0..400 {
            let offset = random.below(20_000) as usize;
            if random.percent(20) {
                content.set_length(offset as u64);
                expected.resize(offset, 0);
            } else {
                let bytes: Vec<u8> = (0..random.below(9_000)).map(|_| random.number() as u8).collect();
                content.write(offset as u64, &bytes);
                expected.resize(expected.len().max(offset + bytes.len()), 0);
                expected[offset..offset + bytes.len()].copy_from_slice(&bytes);
            }
            if random.percent(10) {
                content.sync();
            }
            assert_eq!(all(&content), expected);
            let from = random.below(25_000);
            let part = expected.get(from as usize..).unwrap_or_default();
            assert_eq!(content.read(from, 5_000), &part[..part.len().min(5_000)]);
        }
    }

    #[test]
    fn without_power_exactly_the_synced_bytes_stay() {
        let mut random = Random::new(2);
        for _ in 0..100 {
            let mut content = Content::default();
            let mut durable = Vec::new();
            for _ in 0..random.below(30) {
                match random.below(4) {
                    0 => {
                        content.sync();
                        durable = all(&content);
                    }
                    1 => content.set_length(random.below(10_000)),
                    _ => content.write(random.below(10_000), &vec![random.number() as u8; 3_000]),
                }
            }
            content.lose_power(&mut Survival::nothing());
            assert_eq!(all(&content), durable);
        }
    }

    #[test]
    fn every_sector_that_was_not_synced_is_old_or_new() {
        for seed in 0..50 {
            let mut content = Content::default();
            content.write(0, &[1; 40_000]);
            content.sync();
            content.write(0, &[2; 40_000]);
            content.lose_power(&mut Survival::some(Random::new(seed)));
            let bytes = all(&content);
            assert_eq!(bytes.len(), 40_000);
            for sector in bytes.chunks(SECTOR_BYTES) {
                assert!(sector.iter().all(|byte| *byte == sector[0]));
            }
        }
    }

    #[test]
    fn what_a_failed_sync_forgot_is_not_saved_by_the_next_one() {
        let mut content = Content::default();
        content.write(0, b"old");
        content.sync();
        content.write(0, b"new");
        content.forget_dirty();
        content.sync();
        assert_eq!(all(&content), b"new");
        content.lose_power(&mut Survival::nothing());
        assert_eq!(all(&content), b"old");
    }
}
