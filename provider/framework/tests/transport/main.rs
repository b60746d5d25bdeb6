//! Plays the host against the tiny provider: from its handshake line to its end.
//!
//! **Invariant:** each test starts processes of its own, and looks only at what they print, answer and leave behind.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

#[path = "../examples/mod.rs"]
mod examples;
mod common;
mod endings;
mod handshakes;
mod intruders;
mod logs;
mod reattaching;
mod services;
