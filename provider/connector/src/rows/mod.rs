//! Rows: what is declared exists, what is no longer declared is gone, what was never declared is left alone.
//!
//! Rows are declared inline, where all of them are in memory, or in a file, which is only ever read in passes; then the
//! server keeps their keys in a ledger. Both ways share one form of statements.

mod blame;
mod declare;
mod digest;
mod file;
mod files;
pub(crate) mod input;
pub(crate) mod key;
pub(crate) mod kind;
pub mod ledger;
mod live;
pub(crate) mod number;
mod pass;
mod place;
mod preview;
mod reading;
mod reconcile;
mod row_hash;
mod short_cut;
mod stage;
mod steps;
mod sums;
mod takeover;
mod verdict;
pub(crate) mod value;

use std::collections::HashMap;

use crate::error::{Error, RowLabel};
use crate::name::TableName;
use crate::pinned;
use crate::spec::TableSpec;
use crate::step::Step;

pub(crate) use digest::{LiveColumns, Watched};
pub use file::FileRows;
pub use files::Files;
pub use ledger::Ledger;

/// The most rows that a message names.
const MOST_NAMED: usize = 5;

/// A cell as it travels: text that the column type's own input function reads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cell {
    /// Null.
    Null,
    /// The text form.
    Text(String),
}

/// Declared rows, checked against the table's declaration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeclaredRows {
    /// The rows, in groups that name the same columns.
    pub groups: Vec<RowGroup>,
    /// A digest of the declaration alone: equal for equal rows in any order, whatever their labels.
    pub digest: String,
    /// The rows whose texts held NUL characters, which Postgres cannot keep and which were taken out.
    pub nul_stripped: Vec<RowLabel>,
}

/// Rows that name the same columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowGroup {
    /// The columns, the primary key's first.
    pub columns: Vec<String>,
    /// The rows, in the order of their keys.
    pub rows: Vec<DeclaredRow>,
}

/// One declared row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredRow {
    /// How the declaration names it.
    pub label: RowLabel,
    /// One cell for each column of the group.
    pub cells: Vec<Cell>,
}

/// The rows that should be there.
#[derive(Clone, Debug)]
pub enum Declared {
    /// Rows of the declaration itself.
    Inline(DeclaredRows),
    /// The rows of a file.
    File(FileRows),
}

/// The rows that are ours.
#[derive(Clone, Debug)]
pub enum Owned {
    /// Rows that were declared inline.
    Inline(DeclaredRows),
    /// Rows of a file, whose keys the server keeps.
    Ledger(Ledger),
}

/// A change from the rows that were declared before (and so are ours) to those declared now.
#[derive(Clone, Debug)]
pub struct RowChange<'a> {
    /// The table as declared now.
    pub table: &'a TableSpec,
    /// The rows that are ours.
    pub owned: Option<&'a Owned>,
    /// The rows that should be there.
    pub declared: Option<&'a Declared>,
    /// Consent to overwrite rows that are not ours.
    pub force: bool,
    /// The server's digest of our rows after the last change, when it was taken: while it is still the same, only rows
    /// of a file travel that are new or changed.
    pub server_digest: Option<&'a str>,
}

/// How many rows a change is expected to write; `None` where it cannot be told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RowCounts {
    /// Rows that are ours and no longer declared.
    pub deleted: u64,
    /// Rows that were not declared before.
    pub inserted: Option<u64>,
    /// Rows that were declared otherwise before.
    pub updated: Option<u64>,
}

/// Rows that a message counts, and the keys of the first of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counted {
    /// How many there are.
    pub count: u64,
    /// The keys of the first of them.
    pub first: Vec<String>,
}

impl Counted {
    /// The keys as a sentence names them.
    pub fn named(&self) -> String {
        let mut named: Vec<String> = self.first.iter().map(|key| format!("({key})")).collect();
        if self.count > named.len() as u64 {
            named.push(format!("{} more", self.count - named.len() as u64));
        }
        named.join(", ")
    }
}

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RowOutcome {
    /// Rows deleted.
    pub deleted: u64,
    /// Rows updated.
    pub updated: u64,
    /// Rows inserted.
    pub inserted: u64,
    /// Rows that were not ours and are now, since they were the same.
    pub adopted: Counted,
    /// Rows that are not as they were declared, though they were written: a trigger or a rule of the table changed them.
    pub altered: Counted,
    /// Rows that are no longer declared and still there, though they were deleted: a trigger or a rule kept them.
    pub kept: Counted,
    /// Where the keys of our rows are now, when they came from a file.
    pub ledger: Option<Ledger>,
    /// The server's digest of our rows, when it was cheap to tell.
    pub server_digest: Option<String>,
}

impl DeclaredRows {
    /// How many rows there are.
    pub fn count(&self) -> usize {
        self.groups.iter().map(|g| g.rows.len()).sum()
    }
}

impl Declared {
    /// How many rows there are.
    pub fn count(&self) -> u64 {
        match self {
            Self::Inline(rows) => rows.count() as u64,
            Self::File(file) => file.count(),
        }
    }

    /// A digest of the declaration alone, whatever the order of its rows.
    pub fn digest(&self) -> &str {
        match self {
            Self::Inline(rows) => &rows.digest,
            Self::File(file) => file.digest(),
        }
    }

    /// The first rows whose texts held NUL characters, which Postgres cannot keep and which were taken out, as a sentence
    /// names them.
    pub fn nul_stripped(&self) -> Vec<String> {
        match self {
            Self::Inline(rows) => rows.nul_stripped.iter().take(MOST_NAMED).map(declare::named_row).collect(),
            Self::File(file) => file.nul_stripped().iter().map(|line| format!("line {line}")).collect(),
        }
    }

    /// Whether some row names the column.
    pub fn names(&self, column: &str) -> bool {
        self.columns().iter().any(|columns| columns.iter().any(|name| name == column))
    }

    /// The columns that rows name, the primary key's first: one list for each group of rows, none for no rows.
    fn columns(&self) -> Vec<&[String]> {
        match self {
            Self::Inline(rows) => columns_of(rows),
            Self::File(file) if file.count() == 0 => Vec::new(),
            Self::File(file) => vec![file.columns()],
        }
    }

    fn inline(&self) -> Option<&DeclaredRows> {
        match self {
            Self::Inline(rows) => Some(rows),
            Self::File(_) => None,
        }
    }

    fn file(&self) -> Option<&FileRows> {
        match self {
            Self::File(file) if file.count() > 0 => Some(file),
            _ => None,
        }
    }
}

impl Owned {
    /// How many rows there are.
    pub fn count(&self) -> u64 {
        match self {
            Self::Inline(rows) => rows.count() as u64,
            Self::Ledger(ledger) => ledger.count,
        }
    }

    /// The digest of the declaration that they come from.
    pub fn digest(&self) -> &str {
        match self {
            Self::Inline(rows) => &rows.digest,
            Self::Ledger(ledger) => &ledger.digest,
        }
    }

    /// The ledger that holds their keys.
    pub fn ledger(&self) -> Option<&Ledger> {
        match self {
            Self::Inline(_) => None,
            Self::Ledger(ledger) => Some(ledger),
        }
    }

    fn inline(&self) -> Option<&DeclaredRows> {
        match self {
            Self::Inline(rows) => Some(rows),
            Self::Ledger(_) => None,
        }
    }

    fn columns(&self) -> Vec<&[String]> {
        match self {
            Self::Inline(rows) => columns_of(rows),
            Self::Ledger(ledger) => vec![&ledger.columns],
        }
    }
}

impl From<DeclaredRows> for Declared {
    fn from(rows: DeclaredRows) -> Self {
        Self::Inline(rows)
    }
}

impl From<FileRows> for Declared {
    fn from(rows: FileRows) -> Self {
        Self::File(rows)
    }
}

impl From<DeclaredRows> for Owned {
    fn from(rows: DeclaredRows) -> Self {
        Self::Inline(rows)
    }
}

impl From<Ledger> for Owned {
    fn from(ledger: Ledger) -> Self {
        Self::Ledger(ledger)
    }
}

fn columns_of(rows: &DeclaredRows) -> Vec<&[String]> {
    rows.groups.iter().filter(|group| !group.rows.is_empty()).map(|group| group.columns.as_slice()).collect()
}

/// Checks rows against the table's declaration. All faults are reported, each with its row and column.
pub fn declare(
    table: &TableSpec,
    rows: &[(RowLabel, serde_json::Map<String, serde_json::Value>)],
) -> Result<DeclaredRows, Vec<Error>> {
    declare::declare(table, rows)
}

/// The statements of a change, without any value: one for each kind of change and group. None when nothing is ours and
/// nothing is declared.
pub fn steps(change: &RowChange<'_>) -> Vec<Step> {
    steps::steps(change)
}

/// Makes the change inside a transaction. Extension types of key columns must be on the search path.
pub async fn reconcile(
    transaction: &tokio_postgres::Transaction<'_>,
    change: &RowChange<'_>,
) -> Result<RowOutcome, Error> {
    reconcile::reconcile(transaction, change).await
}

/// How many rows a change will write, where rows come from files and hashes can tell; only looks.
pub async fn counts(
    transaction: &tokio_postgres::Transaction<'_>,
    change: &RowChange<'_>,
) -> Result<Option<RowCounts>, Error> {
    preview::counts(transaction, change).await
}

/// The rows that are ours, unless their ledger is gone or is not for the table with that oid: then none is.
pub async fn believed<'a>(
    client: &impl tokio_postgres::GenericClient,
    table: &TableName,
    oid: u32,
    owned: Option<&'a Owned>,
) -> Result<Option<&'a Owned>, Error> {
    match owned {
        Some(Owned::Ledger(ledger)) if ledger::disagreement(client, table, oid, &ledger.id).await?.is_some() => {
            Ok(None)
        }
        owned => Ok(owned),
    }
}

/// The server's digest of the declared cells of our rows, to be compared only with itself.
pub async fn digest(
    transaction: &tokio_postgres::Transaction<'_>,
    table: &TableSpec,
    owned: &Owned,
) -> Result<String, Error> {
    digest::digest(transaction, table, owned).await
}

/// The digests of inline rows of many tables, in order, given the columns of these tables. To be called inside a transaction
/// that only looks: settings are fixed in it.
pub(crate) async fn digests(
    client: &impl tokio_postgres::GenericClient,
    watched: &[&Watched],
    columns: &HashMap<TableName, LiveColumns>,
) -> Result<Vec<String>, Error> {
    digest::of_many(client, watched, columns).await
}

/// The columns of those of the tables that are there, for [`digests`]; each is named once.
pub(crate) async fn live_columns(
    client: &impl tokio_postgres::GenericClient,
    names: &[&TableName],
) -> Result<HashMap<TableName, LiveColumns>, tokio_postgres::Error> {
    digest::columns_of(client, names).await
}

/// How many rows of the table are not among these. To be called inside a transaction: settings are fixed in it.
pub async fn count_foreign(
    client: &impl tokio_postgres::GenericClient,
    table: &TableSpec,
    owned: Option<&Owned>,
) -> Result<u64, Error> {
    digest::count_foreign(client, table, owned).await
}

/// How many rows of the table fulfil the condition (on the alias `t`) and are not among these. To be called inside a
/// transaction: settings are fixed in it.
pub(crate) async fn count_others(
    client: &impl tokio_postgres::GenericClient,
    table: &TableSpec,
    rows: Option<&Owned>,
    condition: &str,
) -> Result<u64, Error> {
    digest::count_others(client, table, rows, condition).await
}

/// Rows that fulfil a condition and are not ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Others {
    /// How many there are.
    pub(crate) count: u64,
    /// Of the first one, the key and then what was asked for, as text; empty when there is none.
    pub(crate) first: Vec<String>,
}

/// The rows of the table that fulfil the condition (on the alias `t`) and are not among these, with the first of them as an
/// example: its key and these expressions on it. What a condition converts is converted under the session's own settings.
pub(crate) async fn find_others(
    client: &impl tokio_postgres::GenericClient,
    table: &TableSpec,
    rows: Option<&Owned>,
    condition: &str,
    shown: &[&str],
) -> Result<Others, Error> {
    digest::find_others(client, table, rows, condition, shown).await
}
