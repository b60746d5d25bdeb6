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

    /// After an attempt that failed: pauses and returns to try again, or returns the error that stands.
    pub async fn after(&mut self, error: Error) -> Result<(), Error> {
        if self.again(&error).await { Ok(()) } else { Err(self.scope.explain(error)) }
    }

    /// After an attempt that failed: whether to try again, which is said after a pause.
    pub async fn again(&mut self, error: &Error) -> bool {
        is_transient(error) && self.pause(error).await
    }

    /// The same for a reason that passes only as who calls knows. A lock that others hold is asked for as long as the
    /// operation may go on: letting them pass in between is no failure.
    pub(crate) async fn pause(&mut self, error: &Error) -> bool {
        let waits_for_lock = error.sqlstate() == Some("55P03") && self.scope.deadline.is_some();
        if self.left == 0 && !waits_for_lock {
            return false;
        }
        self.left = self.left.saturating_sub(1);
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
    use super::*;

    fn failure(message: &str) -> Error {
        Error::new("try", message)
    }

    #[tokio::test]
    async fn nothing_is_tried_for_ever() {
        let scope = Scope::default();
        let mut retries = Retries { left: 2, ..Retries::new(&scope) };
        assert!(retries.pause(&failure("no")).await);
        assert!(retries.pause(&failure("no")).await);
        assert!(!retries.pause(&failure("no")).await);
    }

    #[tokio::test]
    async fn a_stopped_operation_is_not_tried_again() {
        let scope = Scope::default();
        scope.cancel.cancel();
        assert!(!Retries::new(&scope).pause(&failure("no")).await);
    }

    #[tokio::test]
    async fn what_does_not_pass_is_not_tried_again() {
        let scope = Scope::default();
        assert!(!Retries::new(&scope).again(&failure("no")).await);
        assert!(Retries::new(&scope).after(failure("no")).await.is_err());
    }

    #[test]
    fn shuffling_keeps_all_items() {
        let mut items: Vec<u32> = (0..50).collect();
        shuffle(&mut items);
        items.sort_unstable();
        assert_eq!(items, (0..50).collect::<Vec<_>>());
    }
}
