//! Tries again what failed for a reason that passes: a deadlock, a lock that was not granted, a server starting up.
//!
//! **Invariant:** only whole transactions are tried again, never a part of one; who calls decides what is safe to repeat.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::Duration;

use super::scope::Scope;
use crate::error::Error;

/// How often something is tried before its error stands.
const ATTEMPTS: u32 = 10;

/// Whether a whole transaction that failed like this may well succeed when it is run again.
pub fn is_transient(error: &Error) -> bool {
    match error.sqlstate() {
        // Deadlock, lock not granted in time, serialization failure, server starting up, too many connections.
        Some("40P01" | "55P03" | "40001" | "57P03" | "53300") => true,
        // Two sessions changed the same catalogue row.
        Some("XX000") => error.message().contains("tuple concurrently"),
        _ => false,
    }
}

/// Runs a whole transaction, and runs it again after a growing pause while its error is transient, a limited number of
/// times and only as long as the operation may go on. The last error is returned. Where a closure does not fit, a loop
/// around [`Retries::again`] does the same.
pub async fn retry<T, F: Future<Output = Result<T, Error>>>(
    scope: &Scope,
    is_transient: impl Fn(&Error) -> bool,
    mut attempt: impl FnMut() -> F,
) -> Result<T, Error> {
    let mut retries = Retries::new(scope);
    loop {
        match attempt().await {
            Err(error) if is_transient(&error) && retries.again(&error).await => {}
            result => return result.map_err(|error| scope.explain(error)),
        }
    }
}

/// Counts the attempts at one thing, with pauses between them.
#[derive(Debug)]
pub struct Retries<'a> {
    scope: &'a Scope,
    left: u32,
    backoff: Backoff,
}

impl<'a> Retries<'a> {
    /// Before the first attempt.
    pub fn new(scope: &'a Scope) -> Self {
        Self { scope, left: ATTEMPTS - 1, backoff: Backoff::new(Duration::from_millis(50), Duration::from_secs(2)) }
    }

    /// After an attempt that failed with a transient error: pauses and says whether to try again.
    pub async fn again(&mut self, error: &Error) -> bool {
        if self.left == 0 {
            return false;
        }
        self.left -= 1;
        tracing::debug!(%error, "trying again");
        self.scope.run(error.doing(), self.backoff.wait()).await.is_ok()
    }
}

/// Pauses that grow, with jitter so that those who collided do not collide again.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
    longest: Duration,
}

impl Backoff {
    /// The first pause is about so long, and none is longer than the other.
    pub(super) fn new(first: Duration, longest: Duration) -> Self {
        Self { next: first, longest }
    }

    /// Pauses.
    pub(super) async fn wait(&mut self) {
        let pause = self.next.mul_f64(0.5 + random());
        self.next = (self.next * 2).min(self.longest);
        tokio::time::sleep(pause).await;
    }
}

/// Puts items in random order.
pub(super) fn shuffle<T>(items: &mut [T]) {
    for end in (1..items.len()).rev() {
        let other = usize::try_from(random_bits() % (end as u64 + 1)).unwrap_or(0);
        items.swap(end, other);
    }
}

/// From 0 up to, but not including, 1. Spreads load; nothing secret depends on it.
fn random() -> f64 {
    f64::from(u32::try_from(random_bits() >> 32).unwrap_or(0)) / f64::from(u32::MAX)
}

fn random_bits() -> u64 {
    RandomState::new().hash_one(0)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::Mutex;

    use super::*;

    fn failure(message: &str) -> Error {
        Error::new("try", message)
    }

    #[tokio::test]
    async fn only_transient_failures_are_tried_again() {
        let scope = Scope::default();
        for (fails, transient, tries, succeeds) in [(0, true, 1, true), (2, true, 3, true), (2, false, 1, false)] {
            let count = Cell::new(0);
            let attempt = || async {
                count.set(count.get() + 1);
                if count.get() > fails { Ok(()) } else { Err(failure("no")) }
            };
            let result = retry(&scope, |_| transient, attempt).await;
            assert_eq!((count.get(), result.is_ok()), (tries, succeeds));
        }
    }

    #[tokio::test]
    async fn nothing_is_tried_for_ever() {
        let scope = Scope::default();
        let mut retries = Retries { left: 2, ..Retries::new(&scope) };
        assert!(retries.again(&failure("no")).await);
        assert!(retries.again(&failure("no")).await);
        assert!(!retries.again(&failure("no")).await);
    }

    #[tokio::test]
    async fn a_stopped_operation_is_not_tried_again() {
        let scope = Scope::default();
        scope.cancel.cancel();
        let count = Cell::new(0);
        let result: Result<(), Error> = retry(
            &scope,
            |_| true,
            || async {
                count.set(count.get() + 1);
                Err(failure("no"))
            },
        )
        .await;
        assert_eq!((count.get(), result.is_err()), (1, true));
    }

    #[tokio::test]
    async fn the_future_can_be_sent_to_another_thread() {
        tokio::spawn(async {
            let scope = Scope::default();
            let log = Mutex::new(String::new());
            retry(&scope, is_transient, || async {
                tokio::task::yield_now().await;
                log.lock().unwrap().push('x');
                Ok(())
            })
            .await
            .unwrap();
            assert_eq!(log.into_inner().unwrap(), "x");
        })
        .await
        .unwrap();
    }

    #[test]
    fn shuffling_keeps_all_items() {
        let mut items: Vec<u32> = (0..50).collect();
        shuffle(&mut items);
        items.sort_unstable();
        assert_eq!(items, (0..50).collect::<Vec<_>>());
    }
}
