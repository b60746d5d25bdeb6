//! Who is calling: one host connection, and what it keeps.
//!
//! In reattach mode several configurations of one provider, and one run after another, share a process; each has a
//! connection of its own, so what belongs to a configuration is kept here.
//!
//! **Invariant:** nothing that one connection configured can be seen through another.

use std::any::Any;
use std::sync::{Arc, OnceLock};

use tokio_util::sync::CancellationToken;

/// One connection, as a request finds it in its extensions.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    /// Tells connections of one process apart, in logs.
    pub(crate) id: u64,
    /// Fires when the connection is gone or the process is about to end: work for it should stop.
    pub(crate) ended: CancellationToken,
    state: Arc<OnceLock<Arc<dyn Any + Send + Sync>>>,
}

impl Connection {
    /// A connection that ends at the latest with `process`.
    pub(crate) fn new(id: u64, process: &CancellationToken) -> Self {
        Self { id, ended: process.child_token(), state: Arc::default() }
    }

    /// What this connection keeps, made at the first call. Callers must agree on the one type that is kept, or the second
    /// of them gets a value that nobody shares.
    pub(crate) fn state<T: Default + Send + Sync + 'static>(&self) -> Arc<T> {
        let kept = self.state.get_or_init(|| Arc::new(T::default()));
        Arc::clone(kept).downcast().unwrap_or_default()
    }
}
