//! The messages and services that a plugin shares with OpenTofu and Terraform, generated from the `.proto` files beside
//! this crate's manifest.
//!
//! The generated files are committed, so a build needs neither protoc nor a build script; `tests/generated.rs` writes them
//! and fails when they were stale.
//!
//! **Invariant:** nothing is written by hand but this file, and nothing depends on another crate of the workspace.

#![allow(missing_docs, clippy::pedantic, unreachable_pub)]

/// The provider protocol, version 6.10.
#[rustfmt::skip]
#[path = "generated/tfplugin6.rs"]
pub mod tfplugin6;

/// The services that go-plugin expects beside the provider's own.
#[rustfmt::skip]
#[path = "generated/plugin.rs"]
pub mod plugin;

/// The standard health service.
#[rustfmt::skip]
#[path = "generated/grpc.health.v1.rs"]
pub mod health;
