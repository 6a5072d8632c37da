//! Repeating what may be repeated: a few times, with growing pauses.

use std::time::Duration;

use lineate_types::{ErrorKind, HasKind};

use crate::{Error, Result};

/// How often and how long to try.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Retry {
    attempts: u32,
    first_pause: Duration,
    longest_pause: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempts: 5, first_pause: Duration::from_millis(50), longest_pause: Duration::from_secs(2) }
    }
}

impl Retry {
    /// Runs a request that changes nothing, again while the server is unavailable.
    pub(crate) async fn read<T, Call, Calling>(self, call: Call) -> Result<T>
    where
        Call: Fn() -> Calling,
        Calling: Future<Output = std::result::Result<tonic::Response<T>, tonic::Status>>,
    {
        let mut attempt = 0;
        loop {
            match call().await {
                Ok(response) => return Ok(response.into_inner()),
                Err(status) => self.pause_or_fail(&mut attempt, status.into()).await?,
            }
        }
    }

    /// Waits before the next attempt; hands the error back if there is none, or if it would not help.
    pub(crate) async fn pause_or_fail(self, attempt: &mut u32, error: Error) -> Result<()> {
        *attempt += 1;
        if error.kind() != ErrorKind::Unavailable || *attempt >= self.attempts {
            return Err(error);
        }
        let asked = error.detail().retry_after_us.map(Duration::from_micros);
        let pause = asked.unwrap_or_else(|| self.pause(*attempt)).min(self.longest_pause);
        tracing::debug!(attempt = *attempt, pause_ms = pause.as_millis(), "server unavailable, trying again");
        tokio::time::sleep(pause).await;
        Ok(())
    }

    /// The pause after the `attempt`th failure: doubling, bounded.
    fn pause(self, attempt: u32) -> Duration {
        self.first_pause.saturating_mul(1 << attempt.saturating_sub(1).min(16)).min(self.longest_pause)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tonic::{Response, Status};

    use super::*;

    const QUICK: Retry = Retry { attempts: 3, first_pause: Duration::ZERO, longest_pause: Duration::ZERO };

    #[tokio::test]
    async fn an_unavailable_server_is_asked_again_and_not_for_ever() {
        let calls = Cell::new(0);
        let answer =
            QUICK
                .read(|| {
                    calls.set(calls.get() + 1);
                    let calls = calls.get();
                    async move {
                        if calls < 3 { Err(Status::unavailable("starting")) } else { Ok(Response::new(7)) }
                    }
                })
                .await;
        assert_eq!((answer.ok(), calls.get()), (Some(7), 3));

        calls.set(0);
        let answer: Result<()> = QUICK
            .read(|| {
                calls.set(calls.get() + 1);
                async { Err(Status::unavailable("down")) }
            })
            .await;
        assert_eq!((answer.map_err(|error| error.kind()), calls.get()), (Err(ErrorKind::Unavailable), 3));
    }

    #[tokio::test]
    async fn a_refusal_is_not_repeated() {
        let calls = Cell::new(0);
        let answer: Result<()> = QUICK
            .read(|| {
                calls.set(calls.get() + 1);
                async { Err(Status::not_found("no such view")) }
            })
            .await;
        assert_eq!((answer.map_err(|error| error.kind()), calls.get()), (Err(ErrorKind::NotFound), 1));
    }

    #[test]
    fn pauses_grow_and_stay_bounded() {
        let retry = Retry::default();
        let pauses: Vec<_> = (1..100).map(|attempt| retry.pause(attempt)).collect();
        assert!(pauses.is_sorted());
        assert_eq!(pauses.last(), Some(&retry.longest_pause));
    }
}
