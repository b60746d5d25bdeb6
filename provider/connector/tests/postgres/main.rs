//! What the connector does to a real server.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod connect;
mod locks;
mod private_server;
mod rows;
mod sessions;
mod source;
mod tls;
