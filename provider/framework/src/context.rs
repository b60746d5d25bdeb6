//! What every operation is given besides its own request: the configured provider, cancelling, a place for warnings.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use crate::diagnostics::{Diagnostic, Diagnostics};

/// What became of the provider block.
#[derive(Debug)]
pub enum Configured<D> {
    /// Configure was not called (validation runs without it).
    Not,
    /// Some of its values are only known after apply; these attributes.
    Unknown(Vec<String>),
    /// It is known; connections are made when first needed.
    Known(Arc<D>),
}

impl<D> Clone for Configured<D> {
    fn clone(&self) -> Self {
        match self {
            Self::Not => Self::Not,
            Self::Unknown(names) => Self::Unknown(names.clone()),
            Self::Known(data) => Self::Known(Arc::clone(data)),
        }
    }
}

/// The surroundings of one operation.
#[derive(Debug)]
pub struct Context<D> {
    /// The provider's data, as far as its configuration is known.
    pub provider: Configured<D>,
    /// Fires when the CLI asks to stop, or when the operation's timeout has passed. Running work should end soon after,
    /// roll back what it can, and return an error; the framework gives up on it after a grace period.
    pub cancel: CancellationToken,
    /// When the operation's timeout passes, where it has one.
    pub deadline: Option<Instant>,
    warnings: Mutex<Diagnostics>,
}

impl<D> Context<D> {
    /// The surroundings of an operation that starts now.
    pub(crate) fn new(provider: Configured<D>, cancel: CancellationToken, deadline: Option<Instant>) -> Self {
        Self { provider, cancel, deadline, warnings: Mutex::default() }
    }

    /// Adds a warning to the response.
    pub fn warn(&self, warning: Diagnostic) {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).push(warning);
    }

    /// Takes the warnings out, for the response.
    pub(crate) fn take_warnings(&self) -> Diagnostics {
        std::mem::take(&mut *self.warnings.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
