//! The boundary at which a panic of a reader of Arrow or Parquet on hostile bytes ends, without a word: its text
//! holds what a stranger sent, and tells an operator of a bug that is none of theirs.
//!
//! Only panics of this thread between the two ends of [`caught`] are silent; all others reach the hook that was
//! there before. Nothing of ours runs within.

use std::{
    cell::Cell,
    panic::{self, AssertUnwindSafe, catch_unwind},
    sync::Once,
};

thread_local! {
    static WITHIN: Cell<bool> = const { Cell::new(false) };
}
static QUIET: Once = Once::new();

/// Runs what may panic; none if it did. What it worked on must not be used after that.
pub(super) fn caught<T>(work: impl FnOnce() -> T) -> Option<T> {
    QUIET.call_once(|| {
        let loud = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !is_silent() {
                loud(panic);
            }
        }));
    });
    let outer = WITHIN.replace(true);
    let done = catch_unwind(AssertUnwindSafe(work)).ok();
    WITHIN.set(outer);
    done
}

/// Whether a panic of this thread is not to be heard. A thread that is ending has no flag, and is not within.
fn is_silent() -> bool {
    WITHIN.try_with(Cell::get).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_panics_within_are_silent() {
        assert_eq!(caught(is_silent), Some(true));
        assert!(!is_silent());
        assert_eq!(caught::<()>(|| panic!("within")), None);
        assert!(!is_silent());
        let inner_and_after = || (caught::<()>(|| panic!("deeper")), is_silent());
        assert_eq!(caught(inner_and_after), Some((None, true)));
        assert!(!is_silent());
        assert_eq!(caught(|| std::thread::spawn(is_silent).join().ok()), Some(Some(false)));
    }
}
