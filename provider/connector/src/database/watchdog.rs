//! Cancels on the server what runs in a session whose operation has to stop.
//!
//! **Invariant:** a session whose watchdog has barked never returns to the pool, since a cancel request that is still on
//! its way would hit the next operation's statement.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::AbortHandle;

use super::connection::Canceller;
use super::scope::Scope;

/// How often the request is repeated while the session is not given back: it may arrive between two statements.
const AGAIN: Duration = Duration::from_millis(500);

/// Watches one session for one scope.
#[derive(Debug)]
pub(super) struct Watchdog {
    task: AbortHandle,
    barked: Arc<AtomicBool>,
}

impl Watchdog {
    /// Starts to watch.
    pub(super) fn new(scope: Scope, canceller: Canceller) -> Self {
        let barked = Arc::new(AtomicBool::new(false));
        let bark = Arc::clone(&barked);
        let task = tokio::spawn(async move {
            let stop = scope.stop().await;
            bark.store(true, Ordering::Release);
            tracing::debug!(%stop, "cancelling what runs on the server");
            loop {
                canceller.cancel().await;
                tokio::time::sleep(AGAIN).await;
            }
        });
        Self { task: task.abort_handle(), barked }
    }

    /// Remembers that an earlier watchdog of the same session has barked.
    pub(super) fn inherit(&self, barked: bool) {
        self.barked.fetch_or(barked, Ordering::AcqRel);
    }

    /// Stops to watch, and says whether a cancel request was ever sent.
    pub(super) fn stop(&self) -> bool {
        self.task.abort();
        self.barked.load(Ordering::Acquire)
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.task.abort();
    }
}
