//! Which of the unsynced survives a loss of power.

use super::{PAGE_BYTES, SECTOR_BYTES};
use crate::random::Random;

/// Which of the unsynced survives.
#[derive(Debug, Clone)]
pub struct Survival {
    /// Absent where nothing does.
    random: Option<Random>,
    /// How likely a page survives, in percent.
    page_chance: u64,
}

impl Survival {
    /// Nothing does.
    pub fn nothing() -> Self {
        Self { random: None, page_chance: 0 }
    }

    /// Some does, by a seed: few pages, half of them, or nearly all.
    pub fn some(mut random: Random) -> Self {
        let page_chance = [5, 50, 95][random.below(3) as usize];
        Self { random: Some(random), page_chance }
    }

    /// How many sectors of a page survive, from its beginning.
    pub fn sectors(&mut self) -> usize {
        const SECTORS: u64 = (PAGE_BYTES / SECTOR_BYTES) as u64;
        let Some(random) = &mut self.random else { return 0 };
        if !random.percent(self.page_chance) {
            return 0;
        }
        let torn = random.percent(10);
        (if torn { random.below(SECTORS) } else { SECTORS }) as usize
    }

    /// Whether one change of a length survives.
    pub fn metadata(&mut self) -> bool {
        self.random.as_mut().is_some_and(|random| random.percent(50))
    }

    /// How many of some changes of names survive, from the first on.
    pub fn first_of(&mut self, changes: usize) -> usize {
        self.random.as_mut().map_or(0, |random| random.below(changes as u64 + 1) as usize)
    }
}
