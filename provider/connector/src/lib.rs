#![doc = include_str!("../README.md")]
//!
//! # How it works
//!
//! Reconciling is always the same four moves: *observe* the catalogue, *diff* it with what is desired (pure), render the
//! difference as [`step::Step`]s (pure), *apply* them in one transaction.
//!
//! **Invariant:** this crate does not know the word Terraform. What a change takes is decided, and its SQL written, without
//! I/O. Files may only use files above them in this list.

pub mod error;
pub mod name;
pub mod step;
mod warning;
pub mod sql_text;
mod expression;
pub mod pg_type;
pub mod spec;
pub mod record_schema;
pub mod table_schema;
pub mod settings;
mod tls;
pub mod database;
mod pinned;
pub mod catalog;
pub mod row_file;
pub mod rows;
pub mod table;
pub mod vector_index;
pub mod attachment;
pub mod source;
pub mod target;
#[cfg(feature = "surfaces")]
pub mod surfaces;

pub use database::{Database, Scope, Session, TableLock};
pub use error::{Blame, Error, Errors, ServerError};
pub use name::{TableName, quote_ident, quote_literal};
pub use schemars;
pub use step::{Hazard, Lock, Step};
pub use warning::Warning;
