//! When a process should end: asked by its host, by a signal, or because its host is gone.
//!
//! **Invariant:** an interrupt never ends a plugin. The terminal sends it to the whole process group; the host hears it
//! too, asks the plugin to stop what it is doing, and waits for what became of it.

use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::Duration;

use tokio::time::{Instant, interval};
use tokio_util::sync::CancellationToken;

use super::StartError;
use super::connections::{Connections, Count};

/// What a shell reports of a process that SIGTERM ended.
const TERMINATED: u8 = 128 + 15;

/// How often to look whether the host is still there.
const LOOK: Duration = Duration::from_secs(1);

/// How long requests may take to end once the host has asked. It kills after two seconds.
const HOST_GRACE: Duration = Duration::from_millis(1500);

/// The same when no host waits.
const GRACE: Duration = Duration::from_secs(10);

/// Hosts give up on a start after one minute.
const FIRST_CONNECTION: Duration = Duration::from_mins(2);

/// Who decides about the end of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lifetime {
    /// The host that started it.
    Hosted,
    /// Whoever sits at the terminal.
    Interactive,
}

/// How a process should end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    /// What the shell hears.
    pub(crate) code: ExitCode,
    /// How long requests may take to end.
    pub(crate) grace: Duration,
}

impl Lifetime {
    /// Waits until the process should end.
    pub(crate) async fn end(self, signals: Signals, connections: &Connections, process: &CancellationToken) -> End {
        let hosted = self == Self::Hosted;
        let (code, grace) = tokio::select! {
            () = process.cancelled() => (ExitCode::SUCCESS, HOST_GRACE),
            () = signals.end(!hosted) => (if hosted { ExitCode::from(TERMINATED) } else { ExitCode::SUCCESS }, GRACE),
            reason = abandoned(connections), if hosted => {
                tracing::warn!("ending: {reason}");
                (ExitCode::SUCCESS, GRACE)
            }
        };
        End { code, grace }
    }
}

/// The process that started this one.
static PARENT: OnceLock<u32> = OnceLock::new();

/// Notes who started this process, before a host that dies early can leave it to another parent.
pub(crate) fn remember_parent() {
    PARENT.get_or_init(parent);
}

/// Waits until no host can want this process any more.
async fn abandoned(connections: &Connections) -> &'static str {
    let (started, parent) = (Instant::now(), *PARENT.get_or_init(parent));
    let mut looks = interval(LOOK);
    loop {
        looks.tick().await;
        if let Some(reason) = orphaned(connections.count(), self::parent() != parent, started.elapsed()) {
            return reason;
        }
    }
}

fn orphaned(count: Count, parent_changed: bool, age: Duration) -> Option<&'static str> {
    match count {
        // A wrapper may have been the parent, and be gone for good reasons.
        Count { open: 1.., .. } => None,
        _ if parent_changed => Some("the host is gone"),
        // The host may have died before its id was read.
        Count { ever: 0, .. } if age > FIRST_CONNECTION => Some("no host has connected"),
        _ => None,
    }
}

#[cfg(unix)]
fn parent() -> u32 {
    std::os::unix::process::parent_id()
}

#[cfg(not(unix))]
fn parent() -> u32 {
    0
}

#[cfg(unix)]
mod signals {
    use tokio::signal::unix::{Signal, SignalKind, signal};

    use super::StartError;

    /// The signals that are handled instead of ending the process on the spot.
    pub(crate) struct Signals {
        interrupt: Signal,
        terminate: Signal,
    }

    impl Signals {
        /// Takes the signals over, for as long as the process lives.
        pub(crate) fn install() -> Result<Self, StartError> {
            let take = |kind| signal(kind).map_err(|error| StartError::new("cannot handle signals", error));
            Ok(Self { interrupt: take(SignalKind::interrupt())?, terminate: take(SignalKind::terminate())? })
        }

        /// Waits for the signal to end: SIGTERM, or an interrupt if that counts.
        pub(crate) async fn end(self, interrupts_count: bool) {
            let Self { mut interrupt, mut terminate } = self;
            tokio::select! {
                _ = interrupt.recv(), if interrupts_count => {}
                _ = terminate.recv() => {}
            }
        }
    }
}

#[cfg(not(unix))]
mod signals {
    use std::future::pending;

    use super::StartError;

    /// The signals that are handled instead of ending the process on the spot.
    pub(crate) struct Signals {
        interrupt: tokio::signal::windows::CtrlC,
    }

    impl Signals {
        /// Takes the signals over, for as long as the process lives.
        pub(crate) fn install() -> Result<Self, StartError> {
            let interrupt =
                tokio::signal::windows::ctrl_c().map_err(|error| StartError::new("cannot handle signals", error))?;
            Ok(Self { interrupt })
        }

        /// Waits for an interrupt, if that counts.
        pub(crate) async fn end(mut self, interrupts_count: bool) {
            if interrupts_count {
                self.interrupt.recv().await;
            } else {
                pending::<()>().await;
            }
        }
    }
}

pub(crate) use signals::Signals;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_orphaned_only_without_connections() {
        let (young, old) = (Duration::from_secs(1), FIRST_CONNECTION + LOOK);
        let none = Count::default();
        let open = Count { open: 1, ever: 1 };
        let closed = Count { open: 0, ever: 1 };
        for (count, parent_changed, age, expected) in [
            (none, false, young, false),
            (none, false, old, true),
            (none, true, young, true),
            (open, false, old, false),
            (open, true, old, false),
            (closed, false, old, false),
            (closed, true, young, true),
        ] {
            assert_eq!(orphaned(count, parent_changed, age).is_some(), expected, "{count:?} {parent_changed} {age:?}");
        }
    }
}
