//! Tables: the difference between what is there and what is declared, as steps, and their execution.
//!
//! [`plan`] decides from what is known, [`veto()`] asks the live database whether it forbids that, [`apply()`] runs the very
//! same statements in one transaction, after it has looked again.
//!
//! **Invariant:** apply runs what the plan said or writes nothing to the table.

mod apply;
mod casts;
mod check;
mod diff;
mod drop;
mod explain;
mod fellows;
mod hazards;
mod kept;
mod loss;
mod online;
mod probe;
mod read;
mod render;
mod script;
mod shared;
#[cfg(test)]
mod tests;
mod transaction;
mod veto;

use crate::catalog::ObservedTable;
use crate::database::{Database, Scope};
use crate::error::Error;
use crate::name::TableName;
use crate::rows::{Declared, Ledger, Owned, RowOutcome};
use crate::spec::{ManagedBy, TableSpec};
use crate::step::Step;

pub use crate::warning::Warning;
pub(crate) use check::exists;
pub(crate) use shared::{ensure_extension, ensure_tracking};
pub(crate) use veto::{Said, ask};

/// A change of one table from what is known of it to what is declared.
#[derive(Clone, Debug)]
pub struct TableChange {
    /// What is declared.
    pub desired: TableSpec,
    /// What was declared before; `None` for a new table or after an import. It tells which defaults and comments were ever
    /// ours. A default in it is in force unless the live one was seen to differ: then it is the live one.
    pub prior: Option<TableSpec>,
    /// What was seen last; `None` means that the table is to be created.
    pub observed: Option<ObservedTable>,
    /// The rows that should be there.
    pub rows: Option<Declared>,
    /// The rows that are ours.
    pub owned: Option<Owned>,
    /// The server's digest of our rows after the last apply.
    pub server_digest: Option<String>,
    /// Whether rows must be looked at although their declaration did not change.
    pub rows_drifted: bool,
    /// Consent to destroy or overwrite what is not ours.
    pub force_destroy: bool,
    /// Whether the vector extension may be created.
    pub create_vector_extension: bool,
}

impl TableChange {
    /// The change that makes a table, without rows.
    pub fn create(desired: TableSpec) -> Self {
        Self {
            desired,
            prior: None,
            observed: None,
            rows: None,
            owned: None,
            server_digest: None,
            rows_drifted: false,
            force_destroy: false,
            create_vector_extension: true,
        }
    }
}

/// What a change takes. Made from the change alone.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct TablePlan {
    /// Every statement, in order. Where the table has to be replaced: those that create it.
    pub steps: Vec<Step>,
    /// The attributes whose change needs the table to be replaced.
    pub replace: Vec<&'static str>,
    /// Why it cannot be done at all.
    pub refusals: Vec<Error>,
    /// What the user should know, whatever the table holds. What depends on that comes from [`veto()`].
    pub warnings: Vec<Warning>,
}

/// What an apply left behind.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Applied {
    /// The table as it is now.
    pub observed: ObservedTable,
    /// The server's digest of our rows, when there are any and they are watched.
    pub rows_digest: Option<String>,
    /// Where the keys of our rows are, when they came from a file.
    pub ledger: Option<Ledger>,
    /// What was done to rows.
    pub rows: RowOutcome,
    /// What the user should know.
    pub warnings: Vec<Warning>,
}

/// Dropping a table, or for a table managed by the user, deleting our rows from it.
#[derive(Clone, Debug)]
pub struct TableDrop {
    /// The table as it was declared.
    pub declared: TableSpec,
    /// What was seen last; apply compares.
    pub observed: Option<ObservedTable>,
    /// The rows that are ours.
    pub owned: Option<Owned>,
    /// Consent to destroy what is not ours.
    pub force_destroy: bool,
}

/// Decides what a change takes. Pure.
pub fn plan(change: &TableChange) -> TablePlan {
    let script = script::Script::of(change);
    TablePlan {
        steps: script.actions.into_iter().map(|action| action.step).collect(),
        replace: script.replace,
        refusals: script.refusals,
        warnings: script.warnings,
    }
}

/// Decides what a drop takes: every statement, in order. Pure.
pub fn plan_drop(drop: &TableDrop) -> Vec<Step> {
    drop::steps(drop)
}

/// Asks the live database, at plan time, whether it forbids the change; about this table only. Its warnings come in
/// addition to those of the plan: the hazards of the steps with the size of the table that they hit, and what is lost.
pub async fn veto(database: &Database, scope: &Scope, change: &TableChange) -> Result<Vec<Warning>, Vec<Error>> {
    Box::pin(veto::veto(database, scope, change)).await
}

/// The same for a drop.
pub async fn veto_drop(database: &Database, scope: &Scope, drop: &TableDrop) -> Result<Vec<Warning>, Vec<Error>> {
    Box::pin(veto::veto_drop(database, scope, drop)).await
}

/// What is looked for beside the table itself.
#[derive(Clone, Copy, Debug)]
pub enum Look<'a> {
    /// Nothing.
    Table,
    /// Our rows: whether the ledger that holds their keys still counts, and with `digest` the server's digest of them.
    Rows {
        /// The table as it was declared.
        table: &'a TableSpec,
        /// The rows that are ours.
        owned: &'a Owned,
        /// Whether to take the digest.
        digest: bool,
    },
    /// A ledger that an earlier life of the table's declaration left.
    Ledger,
}

/// A table as it was read.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The table.
    pub observed: ObservedTable,
    /// The server's digest of our rows.
    pub rows_digest: Option<String>,
    /// The ledger that was looked for, when it is there and counts.
    pub ledger: Option<Ledger>,
}

/// Reads a table and what is to be known of our rows in it.
pub async fn read(database: &Database, scope: &Scope, name: &TableName, look: Look<'_>) -> Result<Option<Seen>, Error> {
    Box::pin(read::read(database, scope, name, look)).await
}

/// Makes the change: all of it or nothing. `digest_rows` says whether to take the server's digest of our rows.
pub async fn apply(
    database: &Database,
    scope: &Scope,
    change: &TableChange,
    digest_rows: bool,
) -> Result<Applied, Error> {
    Box::pin(apply::apply(database, scope, change, digest_rows)).await
}

/// Drops the table, or deletes our rows from one that the user manages.
pub async fn drop(database: &Database, scope: &Scope, drop: &TableDrop) -> Result<Vec<Warning>, Error> {
    Box::pin(drop::drop(database, scope, drop)).await
}

/// What a change does, for errors.
fn doing(change: &TableChange) -> String {
    match (&change.observed, change.desired.managed_by) {
        (None, ManagedBy::System) => format!("create table {}", change.desired.name),
        (_, ManagedBy::User) => format!("fill table {}", change.desired.name),
        (Some(_), _) => format!("change table {}", change.desired.name),
    }
}
