//! SQL that belongs to a table: it comes with a setup text and goes with a teardown text.
//!
//! The teardown that runs is always the one that was in force, never a newer one.
//!
//! **Invariant:** neither text is ever logged, and the session that ran one never returns to the pool: what it set
//! (a role, a search path, a temporary table) must not reach other statements.

mod report;
mod run;
mod spec;
mod transactions;

pub use run::{ChangeFailure, Remains, change, create, destroy, read};
pub use spec::{Attachment, OnTeardownError, Text, faults, plan};
