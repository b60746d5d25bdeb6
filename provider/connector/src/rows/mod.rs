//! Rows: what is declared exists, what is no longer declared is gone, what was never declared is left alone.

mod blame;
mod declare;
mod digest;
pub(crate) mod key;
pub(crate) mod kind;
mod number;
pub(crate) mod pinned;
mod reconcile;
mod stage;
mod steps;
pub(crate) mod value;

use crate::error::{Error, RowLabel};
use crate::spec::TableSpec;
use crate::step::Step;

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

/// A change from the rows that were declared before (and so are ours) to those declared now.
#[derive(Clone, Debug)]
pub struct RowChange<'a> {
    /// The table as declared now.
    pub table: &'a TableSpec,
    /// The rows that are ours.
    pub owned: Option<&'a DeclaredRows>,
    /// The rows that should be there.
    pub declared: Option<&'a DeclaredRows>,
    /// Consent to overwrite rows that are not ours.
    pub force: bool,
}

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowOutcome {
    /// Rows deleted.
    pub deleted: u64,
    /// Rows updated.
    pub updated: u64,
    /// Rows inserted.
    pub inserted: u64,
    /// Keys of rows that were not ours and are now, since they were the same.
    pub adopted: Vec<String>,
}

impl DeclaredRows {
    /// How many rows there are.
    pub fn count(&self) -> usize {
        self.groups.iter().map(|g| g.rows.len()).sum()
    }
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

/// The server's digest of the declared cells of our rows, to be compared only with itself.
pub async fn digest(
    transaction: &tokio_postgres::Transaction<'_>,
    table: &TableSpec,
    rows: &DeclaredRows,
) -> Result<String, Error> {
    digest::digest(transaction, table, rows).await
}

/// How many rows of the table are not among these. To be called inside a transaction: settings are fixed in it.
pub async fn count_foreign(
    client: &impl tokio_postgres::GenericClient,
    table: &TableSpec,
    owned: Option<&DeclaredRows>,
) -> Result<u64, Error> {
    digest::count_foreign(client, table, owned).await
}

/// Whether the text is a number without digits after the point.
pub(crate) fn is_whole_number(text: &str) -> bool {
    number::Decimal::parse(text).is_some_and(|number| number.is_whole())
}

/// Whether two texts are the same number.
pub(crate) fn same_number(a: &str, b: &str) -> bool {
    matches!((number::Decimal::parse(a), number::Decimal::parse(b)), (Some(a), Some(b)) if a == b)
}

/// How many rows of the table fulfil the condition (on the alias `t`) and are not among these. To be called inside a
/// transaction: settings are fixed in it.
pub(crate) async fn count_others(
    client: &impl tokio_postgres::GenericClient,
    table: &TableSpec,
    rows: Option<&DeclaredRows>,
    condition: &str,
) -> Result<u64, Error> {
    digest::count_others(client, table, rows, condition).await
}
