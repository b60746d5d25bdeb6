//! The plugin protocol of OpenTofu and Terraform in Rust words.
//!
//! A provider describes itself as data (a [`Schema`] for each resource) and as functions (the [`Resource`] trait); this
//! crate does the rest: process start and AutoMTLS, encoding, the plan algorithm, the checks that core leaves to
//! providers, diagnostics, timeouts, cancelling.
//!
//! **Invariant:** this crate does not know the word Postgres. Files may only use files above them in this list.

pub mod number;
pub mod types;
pub mod value;
pub mod path;
pub mod diagnostics;
pub mod schema;
mod equality;
pub mod codec;
pub mod timeouts;
pub mod context;
pub mod resource;
pub mod data_source;
pub mod function;
pub mod provider;
mod plan_steps;
mod checks;
mod wire;
mod secrets;
mod connection;
pub mod server;
mod log;
pub mod serve;
#[cfg(feature = "testing")]
pub mod testing;

pub use context::{Configured, Context};
pub use data_source::DataSource;
pub use diagnostics::{Diagnostic, Diagnostics, Severity};
pub use function::{Function, FunctionError, Parameter};
pub use number::Number;
pub use path::{Path, Step};
pub use provider::Provider;
pub use resource::{ApplyFailure, ImportId, Plan, PlanRequest, Private, Resource, State};
pub use schema::{Attribute, Default, Kind, Mode, Nesting, OnChange, Schema, Validator};
pub use serve::serve;
pub use server::Registry;
pub use types::Type;
pub use value::{Refinement, Typed, Value};
