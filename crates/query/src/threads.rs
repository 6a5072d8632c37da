//! Work on several threads whose outcome does not depend on them: results stand in the order of the work, and what
//! is given to takers reaches each of them in order.

use std::{
    panic::resume_unwind,
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc::{SyncSender, sync_channel},
    },
    thread::{self, Scope, ScopedJoinHandle},
};

use arrow::array::RecordBatch;
use lineate_types::limits;

use crate::Result;

/// Threads of one training set, at most.
pub(crate) fn available() -> usize {
    thread::available_parallelism().map_or(1, usize::from).min(limits::TRAINING_THREADS)
}

/// Does some pieces of work on some threads, and gives their results in order. `on_done` is told how many are done.
///
/// # Errors
/// Of the work or `on_done`; nothing more is begun then.
pub(crate) fn spread<T: Send>(
    threads: usize,
    pieces: usize,
    work: impl Fn(usize) -> Result<T> + Sync,
    mut on_done: impl FnMut(usize) -> Result<()>,
) -> Result<Vec<T>> {
    let next = AtomicUsize::new(0);
    let (sender, receiver) = sync_channel(pieces.max(1));
    thread::scope(|scope| {
        for _ in 0..threads.min(pieces) {
            let (sender, next, work) = (sender.clone(), &next, &work);
            scope.spawn(move || {
                loop {
                    let piece = next.fetch_add(1, Ordering::Relaxed);
                    if piece >= pieces {
                        return;
                    }
                    let result = work(piece);
                    if result.is_err() {
                        next.store(pieces, Ordering::Relaxed);
                    }
                    if sender.send((piece, result)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut results: Vec<Option<T>> = (0..pieces).map(|_| None).collect();
        for (done, (piece, result)) in (1..).zip(receiver) {
            let result = result.and_then(|result| on_done(done).map(|()| result));
            // Whoever returns early leaves nobody to send results to, so that the threads end.
            let result = result.inspect_err(|_| next.store(pieces, Ordering::Relaxed))?;
            if let Some(place) = results.get_mut(piece) {
                *place = Some(result);
            }
        }
        Ok(results.into_iter().flatten().collect())
    })
}

/// What is done with every row of a training set, on a thread of its own.
pub(crate) type Taker<'t> = Box<dyn FnMut(&RecordBatch) -> Result<()> + Send + 't>;

/// Batches that wait for a taker.
const BATCHES_AHEAD: usize = 2;

/// The threads of some takers.
pub(crate) struct Taking<'scope> {
    threads: Vec<(SyncSender<RecordBatch>, ScopedJoinHandle<'scope, Result<()>>)>,
}

/// Runs `work`, which gives rows to the takers, and waits until they have taken all of them.
///
/// # Errors
/// Of the first taker that failed, or else of the work.
pub(crate) fn feed<T>(takers: Vec<Taker<'_>>, work: impl FnOnce(&Taking<'_>) -> Result<T>) -> Result<T> {
    thread::scope(|scope| {
        let taking = Taking::begin(scope, takers);
        let worked = work(&taking);
        taking.finish()?;
        worked
    })
}

impl<'scope> Taking<'scope> {
    fn begin<'env: 'scope>(scope: &'scope Scope<'scope, 'env>, takers: Vec<Taker<'env>>) -> Self {
        let begin = |mut taker: Taker<'env>| {
            let (sender, receiver) = sync_channel::<RecordBatch>(BATCHES_AHEAD);
            let thread = scope.spawn(move || receiver.into_iter().try_for_each(|batch| taker(&batch)));
            (sender, thread)
        };
        Self { threads: takers.into_iter().map(begin).collect() }
    }

    /// Gives rows to every taker; waits for one that has too many. False once one has failed, of which
    /// [`feed`] gives the error.
    pub(crate) fn give(&self, batch: &RecordBatch) -> bool {
        self.threads.iter().all(|(sender, _)| sender.send(batch.clone()).is_ok())
    }

    fn finish(self) -> Result<()> {
        let (senders, threads): (Vec<_>, Vec<_>) = self.threads.into_iter().unzip();
        drop(senders);
        let outcomes: Vec<Result<()>> = threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
            .collect();
        outcomes.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use arrow::array::{ArrayRef, AsArray, Int64Array};

    use super::*;
    use crate::Error;

    #[test]
    fn results_stand_in_order_whatever_the_number_of_threads() {
        for threads in [1, 2, 7] {
            let mut told = Vec::new();
            let results = spread(
                threads,
                100,
                |piece| Ok(piece * piece),
                |done| {
                    told.push(done);
                    Ok(())
                },
            );
            assert_eq!(results.expect("works"), (0..100).map(|piece| piece * piece).collect::<Vec<_>>());
            assert_eq!(told, (1..=100).collect::<Vec<_>>());
        }
        assert!(spread(2, 0, Ok, |_| Ok(())).expect("nothing").is_empty());
    }

    #[test]
    fn nothing_is_begun_after_a_failure() {
        let begun = AtomicUsize::new(0);
        let work = |piece| {
            begun.fetch_add(1, Ordering::Relaxed);
            match piece {
                3 => Err(Error::Invalid("the third".to_owned())),
                piece => Ok(piece),
            }
        };
        assert!(spread(1, 1_000, work, |_| Ok(())).is_err());
        assert!(begun.load(Ordering::Relaxed) < 1_000);
        let refused = |done| if done == 5 { Err(Error::Invalid("enough".to_owned())) } else { Ok(()) };
        assert!(spread(3, 1_000, Ok, refused).is_err());
    }

    fn batch(value: i64) -> RecordBatch {
        let column: ArrayRef = Arc::new(Int64Array::from(vec![value]));
        RecordBatch::try_from_iter([("value", column)]).expect("a table")
    }

    #[test]
    fn every_taker_has_everything_in_order_and_a_failure_is_told() {
        let taken: [Mutex<Vec<i64>>; 2] = Default::default();
        let takers = taken.iter().map(|taken| -> Taker<'_> {
            Box::new(move |batch| {
                let value = batch.column(0).as_primitive::<arrow::datatypes::Int64Type>().value(0);
                taken.lock().expect("not poisoned").push(value);
                Ok(())
            })
        });
        let result = feed(takers.collect(), |taking| {
            assert!((0..50).all(|value| taking.give(&batch(value))));
            Ok(())
        });
        result.expect("takes");
        for taken in taken {
            assert_eq!(taken.into_inner().expect("not poisoned"), (0..50).collect::<Vec<_>>());
        }
        let fails: Taker<'_> = Box::new(|_| Err(Error::Invalid("full".to_owned())));
        let result = feed(vec![Box::new(|_| Ok(())), fails], |taking| {
            while taking.give(&batch(1)) {}
            Ok(())
        });
        assert_eq!(result.expect_err("failed").to_string(), "full");
    }
}
