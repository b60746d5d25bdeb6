//! Data that would be lost and that is not ours.
//!
//! Ours is what a row of ours names, and what a default of ours filled in it. **Invariant:** when in doubt, it is not ours.

use std::borrow::Cow;

use tokio_postgres::Transaction;

use crate::catalog::ObservedTable;
use crate::error::Error;
use crate::name::quote_ident;
use crate::rows::{self, DeclaredRows, Owned, RowGroup};
use crate::spec::TableSpec;

/// What would be lost with a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Loss {
    /// Rows that are not ours.
    pub(super) rows: u64,
    /// Columns of our own rows that hold data that is not ours, and in how many rows.
    pub(super) columns: Vec<(String, u64)>,
}

/// Makes the rest of the transaction see every row, or fail: under row security, rows could be lost that were not counted.
pub(super) async fn see_all(transaction: &Transaction<'_>, doing: &str) -> Result<(), Error> {
    let set = transaction.batch_execute("set local row_security = off").await;
    set.map_err(|error| Error::postgres(doing, &error))
}

/// What would be lost with the table.
pub(super) async fn of_table(
    transaction: &Transaction<'_>,
    declared: &TableSpec,
    live: &ObservedTable,
    owned: Option<&Owned>,
) -> Result<Loss, Error> {
    let rows = rows::count_foreign(transaction, declared, owned).await?;
    let mut columns = Vec::new();
    let own_rows = owned.is_some_and(|owned| owned.count() > 0);
    let keyless = live.columns.iter().filter(|c| !declared.primary_key.contains(&c.name) && !c.generated);
    for column in keyless.filter(|_| own_rows) {
        if matches!(covering(declared, owned, &column.name), Some(Cow::Borrowed(_))) {
            continue;
        }
        let count = of_column(transaction, declared, &column.name, owned).await?;
        let elsewhere = rows::count_others(transaction, declared, owned, &holds(&column.name)).await?;
        if count > elsewhere {
            columns.push((column.name.clone(), count - elsewhere));
        }
    }
    Ok(Loss { rows, columns })
}

/// How many rows hold data in the column that is not ours.
pub(super) async fn of_column(
    transaction: &Transaction<'_>,
    declared: &TableSpec,
    column: &str,
    owned: Option<&Owned>,
) -> Result<u64, Error> {
    let ours = covering(declared, owned, column);
    rows::count_others(transaction, declared, ours.as_deref(), &holds(column)).await
}

fn holds(column: &str) -> String {
    format!("t.{} is not null", quote_ident(column))
}

/// Those of our rows whose cell in the column is ours; borrowed when these are all of them.
fn covering<'a>(table: &TableSpec, owned: Option<&'a Owned>, column: &str) -> Option<Cow<'a, Owned>> {
    let owned = owned?;
    let filled = table.column(column).is_some_and(|c| c.default.is_some());
    let names = |group: &&RowGroup| filled || group.rows.is_empty() || group.columns.iter().any(|c| c == column);
    match owned {
        Owned::Ledger(ledger) => (filled || ledger.columns.iter().any(|c| c == column)).then_some(Cow::Borrowed(owned)),
        Owned::Inline(rows) if rows.groups.iter().all(|group| names(&group)) => Some(Cow::Borrowed(owned)),
        Owned::Inline(rows) => {
            let groups = rows.groups.iter().filter(names).cloned().collect();
            Some(Cow::Owned(DeclaredRows { groups, ..DeclaredRows::default() }.into()))
        }
    }
}

impl Loss {
    /// Whether nothing is lost.
    pub(super) fn is_nothing(&self) -> bool {
        self.rows == 0 && self.columns.is_empty()
    }

    /// What is lost, in words.
    pub(super) fn shown(&self) -> String {
        let mut parts = Vec::new();
        if self.rows > 0 {
            parts.push(format!("{} not declared here", rows_shown(self.rows)));
        }
        for (column, count) in &self.columns {
            parts.push(format!("data in column {column} of {} that is not declared here", rows_shown(*count)));
        }
        parts.join(" and ")
    }
}

/// `1 row`, `5 rows`.
pub(super) fn rows_shown(count: u64) -> String {
    if count == 1 { "1 row".to_owned() } else { format!("{count} rows") }
}
