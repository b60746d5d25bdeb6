//! How to reach the server.

/// Resolved connection settings.
#[derive(Clone, Debug)]
pub struct Settings {}
