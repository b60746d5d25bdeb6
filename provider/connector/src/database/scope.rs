//! How long an operation may go on, and why it was stopped.
//!
//! **Invariant:** everything that waits in `database` waits through [`Scope::run`] or has a limit of its own.

use std::fmt;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::error::Error;
use crate::settings::duration::Spelled;

/// The limits of one operation: when it fires or passes, running statements are cancelled on the server.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// Fires when the user asks to stop.
    pub cancel: CancellationToken,
    /// When the operation's time is up.
    pub deadline: Option<Instant>,
    /// The whole time that the operation was given, for messages.
    pub limit: Option<Duration>,
}

/// Why an operation had to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The user asked for it.
    Cancelled,
    /// Its time was up, which was this long.
    TimedOut(Option<Duration>),
}

impl Scope {
    /// A scope that ends after that time, or when the token fires.
    pub fn new(cancel: CancellationToken, limit: Option<Duration>) -> Self {
        Self { cancel, deadline: limit.and_then(|limit| Instant::now().checked_add(limit)), limit }
    }

    /// A scope that ends at that time, or when the token fires; made when the operation starts.
    pub fn until(cancel: CancellationToken, deadline: Option<Instant>) -> Self {
        // Up to the full second: the operation was given its time a moment ago.
        let limit = deadline.map(|deadline| {
            let left = deadline.saturating_duration_since(Instant::now());
            if left < Duration::from_secs(1) {
                left
            } else {
                Duration::from_secs(left.as_secs() + u64::from(left.subsec_nanos() > 0))
            }
        });
        Self { cancel, deadline, limit }
    }

    /// A scope that ends with this one, or when its own token fires.
    pub(crate) fn child(&self) -> (Self, CancellationToken) {
        let cancel = self.cancel.child_token();
        (Self { cancel: cancel.clone(), ..self.clone() }, cancel)
    }

    /// Why the operation has to stop, if it has to.
    pub fn stopped(&self) -> Option<Stop> {
        if self.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            Some(Stop::TimedOut(self.limit))
        } else if self.cancel.is_cancelled() {
            Some(Stop::Cancelled)
        } else {
            None
        }
    }

    /// Waits until the operation has to stop.
    pub async fn stop(&self) -> Stop {
        let time_is_up = async {
            match self.deadline {
                Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = time_is_up => Stop::TimedOut(self.limit),
            () = self.cancel.cancelled() => self.stopped().unwrap_or(Stop::Cancelled),
        }
    }

    /// Waits for something, but no longer than the operation may go on. `doing` completes "Cannot …".
    pub async fn run<T>(&self, doing: &str, work: impl Future<Output = T>) -> Result<T, Error> {
        tokio::select! {
            biased;
            stop = self.stop() => Err(Error::new(doing, stop.to_string())),
            done = work => Ok(done),
        }
    }

    /// Says "cancelled" or "timed out after …" where the server or a lost connection only shows the consequence of it,
    /// and what to do about a lock or statement timeout, or a session that takes no writes.
    #[must_use]
    pub fn explain(&self, error: Error) -> Error {
        let interrupted = error.sqlstate() == Some("57014") || error.is_closed();
        match self.stopped() {
            Some(stop) if interrupted => error.because(stop.to_string()),
            _ => super::advice::on_statement(error),
        }
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled => f.write_str("cancelled"),
            Self::TimedOut(None) => f.write_str("timed out"),
            Self::TimedOut(Some(limit)) => write!(f, "timed out after {}", Spelled(*limit)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_scope_says_why_it_ended() {
        let scope = Scope::default();
        assert_eq!(scope.stopped(), None);
        assert_eq!(scope.run("wait", async { 1 }).await.unwrap(), 1);
        scope.cancel.cancel();
        assert_eq!(scope.stopped(), Some(Stop::Cancelled));
        let error = scope.run("wait for it", std::future::pending::<()>()).await.unwrap_err();
        assert_eq!(error.to_string(), "cannot wait for it: cancelled");

        let scope = Scope::new(CancellationToken::new(), Some(Duration::from_millis(1)));
        let error = scope.run("wait for it", std::future::pending::<()>()).await.unwrap_err();
        assert_eq!(error.to_string(), "cannot wait for it: timed out after 1ms");
        // A framework that also fires the token when time is up does not make a timeout look like a cancel.
        scope.cancel.cancel();
        assert_eq!(scope.stopped(), Some(Stop::TimedOut(Some(Duration::from_millis(1)))));
    }
}
