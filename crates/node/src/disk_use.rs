//! What the files of a store take, without looking at every one of them whenever somebody asks.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use lineate_storage::{DataDir, DiskUsage, Result};

/// How old the figures may be.
const AGE: Duration = Duration::from_secs(10);
/// How much longer they are kept than it took to take them: so looking takes a small part of the time, however many
/// files there are.
const AGE_PER_LOOK: u32 = 50;

/// The newest figures.
#[derive(Debug, Default)]
pub(crate) struct DiskUse {
    last: Mutex<Option<Look>>,
}

#[derive(Debug, Clone, Copy)]
struct Look {
    begun: Instant,
    took: Duration,
    found: DiskUsage,
}

impl DiskUse {
    /// What the parts of the store take, as of a moment ago, and what is left now. May look at every file.
    ///
    /// # Errors
    /// The operating system refuses.
    pub(crate) fn get(&self, dir: &DataDir) -> Result<DiskUsage> {
        // Held while looking: whoever asks meanwhile waits for the same figures.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(look) = last.filter(Look::is_fresh) {
            return Ok(DiskUsage { available_bytes: dir.available_bytes()?, ..look.found });
        }
        let begun = Instant::now();
        let found = dir.usage()?;
        *last = Some(Look { begun, took: begun.elapsed(), found });
        Ok(found)
    }
}

impl Look {
    fn is_fresh(&self) -> bool {
        self.begun.elapsed() < AGE.max(self.took.saturating_mul(AGE_PER_LOOK))
    }
}
