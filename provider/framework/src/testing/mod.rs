//! Plays the host, as go-plugin does: starts a provider's binary, shakes hands, connects with mutual TLS and calls.
//!
//! For conformance tests of any provider in any language; only with the feature `testing`.
//!
//! **Invariant:** what starts, greets and asks a plugin shares no code with the serving side, so that a mistake there is not
//! repeated here.

mod certificate;
pub mod conformance;
mod host;
mod launch;
pub mod surfaces;

use std::fmt;

pub use self::certificate::HostCertificate;
pub use self::host::{Ended, Host};
pub use self::launch::{Handshake, Launch, Plugin};

/// Why playing the host went wrong; the provider is to blame, most likely.
#[derive(Clone, Debug)]
pub struct HostError(String);

impl HostError {
    fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// For `map_err`: what was tried, before what went wrong.
    fn at<E: fmt::Display>(what: &str) -> impl FnOnce(E) -> Self + '_ {
        move |error| Self(format!("{what}: {error}"))
    }
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for HostError {}
