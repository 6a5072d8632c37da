//! How many rows are read, or converted, at once.
//!
//! What rows take in memory is known only once they are there: a dictionary holds a long value once, however many
//! rows have it. So a file is begun with few rows, and goes on with as many as the rows before let fit.

use lineate_types::limits;

/// Rows taken at first.
const FIRST_ROWS: usize = 64;
/// How many times more rows are taken at once than before, where there is room.
const GROWTH: usize = 4;

/// The number of rows to take next. It follows from the rows alone.
#[derive(Debug)]
pub(super) struct Pace {
    rows: usize,
    most_rows: usize,
    taken: u64,
    /// Rows that have to be taken before there may be more at once: what changes often is not followed.
    grows_at: u64,
}

impl Pace {
    /// A beginning, of at most `most_rows` at once.
    pub(super) fn new(most_rows: usize) -> Self {
        let most_rows = most_rows.clamp(1, limits::INTAKE_BATCH_ROWS);
        Self { rows: FIRST_ROWS.min(most_rows), most_rows, taken: 0, grows_at: 0 }
    }

    /// Rows to take next.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Rows were taken and turned out to be of so many bytes.
    pub(super) fn took(&mut self, rows: usize, bytes: usize) {
        self.taken += rows as u64;
        if bytes > limits::INTAKE_BATCH_BYTES {
            // A row is never longer than so many of the first rows let fit.
            self.shrink_to((limits::INTAKE_BATCH_BYTES / (bytes / rows.max(1)).max(1)).max(FIRST_ROWS));
        } else if rows >= self.rows
            && self.taken >= self.grows_at
            && bytes.saturating_mul(GROWTH) <= limits::INTAKE_BATCH_BYTES
        {
            self.rows = self.rows.saturating_mul(GROWTH).min(self.most_rows);
        }
    }

    /// So many rows were too many; false if there are no fewer.
    pub(super) fn take_fewer(&mut self, than: usize) -> bool {
        if than <= 1 {
            return false;
        }
        self.shrink_to(than / GROWTH);
        true
    }

    fn shrink_to(&mut self, rows: usize) {
        self.rows = rows.clamp(1, self.rows);
        self.grows_at = self.taken.saturating_mul(2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(pace: &mut Pace, row_bytes: usize, steps: usize) -> Vec<usize> {
        let step = |_| {
            let rows = pace.rows();
            pace.took(rows, rows * row_bytes);
            rows
        };
        (0..steps).map(step).collect()
    }

    #[test]
    fn short_rows_are_soon_taken_many_at_a_time_and_long_ones_few() {
        let mut pace = Pace::new(usize::MAX);
        assert_eq!(steps(&mut pace, 100, 6), [64, 256, 1_024, 4_096, 16_384, 16_384]);
        assert_eq!(steps(&mut pace, 1024 * 1024, 3), [16_384, 64, 64]);
        assert_eq!(steps(&mut Pace::new(usize::MAX), 36_000, 4), [64, 256, 1_024, 1_024]);
        assert_eq!(steps(&mut Pace::new(10), 1, 2), [10, 10]);
    }

    #[test]
    fn rows_that_change_their_length_are_followed_less_and_less() {
        let mut pace = Pace::new(usize::MAX);
        let mut changes = 0;
        for step in 0..10_000 {
            let rows = pace.rows();
            let row_bytes = if step % 2 == 0 { 10 } else { 100_000 };
            pace.took(rows, rows * row_bytes);
            changes += usize::from(pace.rows() != rows);
        }
        assert!(changes < 60, "{changes} changes");
    }

    #[test]
    fn what_is_too_much_is_taken_in_ever_smaller_parts() {
        let mut pace = Pace::new(usize::MAX);
        let mut tries = 0;
        while pace.take_fewer(pace.rows()) {
            tries += 1;
        }
        assert_eq!((pace.rows(), tries), (1, 3));
    }
}
