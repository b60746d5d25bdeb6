//! What the connector does to a real server.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod rows;
mod source;
