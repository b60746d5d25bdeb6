//! What belongs to one configuration of the provider: its data, and the way to stop what runs for it.
//!
//! **Invariant:** sessions share nothing; two aliases in one process cannot see or stop each other.

use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use crate::context::{Configured, Context};
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::timeouts::Limit;

/// One configuration.
pub(crate) struct Session<D> {
    configured: RwLock<Configured<D>>,
    /// What the provider block holds that must not be shown.
    secrets: RwLock<Arc<[String]>>,
    /// Fires with the connection.
    ended: OnceLock<CancellationToken>,
    /// Fires when the CLI asks to stop.
    stop: Mutex<Option<CancellationToken>>,
}

impl<D> Default for Session<D> {
    fn default() -> Self {
        Self {
            configured: RwLock::new(Configured::Not),
            secrets: RwLock::default(),
            ended: OnceLock::new(),
            stop: Mutex::default(),
        }
    }
}

impl<D> Session<D> {
    /// Stops what runs for this session when the token fires.
    pub(crate) fn ends_with(&self, ended: &CancellationToken) {
        self.ended.get_or_init(|| ended.clone());
    }

    /// Drops the configuration, since another is to come that holds these secrets; what was stopped may run again.
    pub(crate) fn begin(&self, secrets: Vec<String>) {
        self.configure(Configured::Not);
        *self.secrets.write().unwrap_or_else(PoisonError::into_inner) = secrets.into();
        *self.stop.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Takes a configuration.
    pub(crate) fn configure(&self, configured: Configured<D>) {
        *self.configured.write().unwrap_or_else(PoisonError::into_inner) = configured;
    }

    /// What the provider block holds that must not be shown.
    pub(crate) fn secrets(&self) -> Arc<[String]> {
        Arc::clone(&self.secrets.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The configuration.
    pub(crate) fn configured(&self) -> Configured<D> {
        self.configured.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks everything that runs to end, and everything that would start not to.
    pub(crate) fn stop(&self) {
        self.stop_token().cancel();
    }

    fn stop_token(&self) -> CancellationToken {
        let mut stop = self.stop.lock().unwrap_or_else(PoisonError::into_inner);
        stop.get_or_insert_with(|| self.ended.get().map_or_else(CancellationToken::new, CancellationToken::child_token))
            .clone()
    }

    /// The surroundings of an operation that starts now.
    pub(crate) fn context(&self, limit: Option<Limit>) -> Context<D> {
        let deadline = limit.and_then(|limit| now().checked_add(limit.duration));
        Context::new(self.configured(), self.stop_token().child_token(), deadline)
    }

    /// The same for an operation that needs the provider's data. `act` says what cannot be done without it.
    pub(crate) fn configured_context(&self, limit: Option<Limit>, act: &str) -> Result<Context<D>, Diagnostics> {
        let context = self.context(limit);
        match &context.provider {
            Configured::Known(_) => Ok(context),
            Configured::Unknown(names) => Err(Diagnostic::error(
                "The provider's configuration is not known yet",
                format!(
                    "Cannot {act}: {}. Write known values there, or apply what they come from first (-target).",
                    unknown_names(names)
                ),
            )
            .into()),
            Configured::Not => Err(Diagnostic::error(
                "The provider is not configured",
                format!("Cannot {act}: the CLI has not configured the provider. This is a bug in the CLI."),
            )
            .into()),
        }
    }
}

/// The time by the clock that the deadlines are kept by.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Says which attributes of the provider block are unknown.
pub(crate) fn unknown_names(names: &[String]) -> String {
    match names {
        [name] => format!("{name} of the provider block is only known after apply"),
        names => format!("{} of the provider block are only known after apply", names.join(", ")),
    }
}
