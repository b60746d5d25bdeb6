//! Plays whole commands against a provider that keeps every rule, and against the same provider with each rule broken.
//!
//! **Invariant:** the provider's world is a folder of its own for each test.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail as tests do")]

#[path = "../examples/mod.rs"]
mod examples;
mod binary;
mod broken;
mod flavours;
mod order;
mod table;
mod tour;
