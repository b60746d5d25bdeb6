//! Data that would be lost and that is not ours.
//!
//! Ours is what a row of ours names, and what a default of ours filled in it: where the default is a literal, only its
//! value; where it is computed, whatever is there, since that cannot be told. **Invariant:** otherwise, when in doubt, it
//! is not ours.

use std::borrow::Cow;

use tokio_postgres::Transaction;

use super::kept::Unkept;
use crate::catalog::ObservedTable;
use crate::error::Error;
use crate::expression;
use crate::name::quote_ident;
use crate::pg_type::PgType;
use crate::rows::{self, DeclaredRows, Others, Owned, RowGroup};
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
        let named = owned.and_then(|owned| naming(owned, &column.name));
        if matches!(named, Some(Cow::Borrowed(_))) || matches!(Filled::of(declared, &column.name), Filled::Anyhow) {
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
    Ok(of_cells(transaction, declared, column, owned, &holds(column), &[]).await?.count)
}

/// The rows whose value in the column would be another and is not ours, with the first one's key, its value and what would
/// become of it.
pub(super) async fn of_values(
    transaction: &Transaction<'_>,
    declared: &TableSpec,
    unkept: &Unkept,
    owned: Option<&Owned>,
) -> Result<Others, Error> {
    let value = format!("t.{}::text", quote_ident(&unkept.column));
    let shown = [value.as_str(), unkept.becomes.as_str()];
    of_cells(transaction, declared, &unkept.column, owned, &unkept.condition, &shown).await
}

/// The rows whose cell in the column fulfils a condition and is not ours.
async fn of_cells(
    transaction: &Transaction<'_>,
    declared: &TableSpec,
    column: &str,
    owned: Option<&Owned>,
    condition: &str,
    shown: &[&str],
) -> Result<Others, Error> {
    let find = async |owned: Option<&Owned>, condition: &str| {
        rows::find_others(transaction, declared, owned, condition, shown).await
    };
    let Some(owned) = owned else { return find(None, condition).await };
    let naming = naming(owned, column);
    match (naming.as_deref(), Filled::of(declared, column)) {
        (naming, Filled::No) => find(naming, condition).await,
        (_, Filled::Anyhow) => find(Some(owned), condition).await,
        (naming, Filled::With(default)) => {
            let other = find(naming, &format!("{condition} and not ({default})")).await?;
            let filled = find(Some(owned), &format!("{condition} and {default}")).await?;
            let first = if other.count > 0 { other.first } else { filled.first };
            Ok(Others { count: other.count + filled.count, first })
        }
    }
}

fn holds(column: &str) -> String {
    format!("t.{} is not null", quote_ident(column))
}

/// Those of our rows that name the column; borrowed when these are all of them.
fn naming<'a>(owned: &'a Owned, column: &str) -> Option<Cow<'a, Owned>> {
    let names = |group: &&RowGroup| group.rows.is_empty() || group.columns.iter().any(|c| c == column);
    match owned {
        Owned::Ledger(ledger) => ledger.columns.iter().any(|c| c == column).then_some(Cow::Borrowed(owned)),
        Owned::Inline(rows) if rows.groups.iter().all(|group| names(&group)) => Some(Cow::Borrowed(owned)),
        Owned::Inline(rows) => {
            let groups = rows.groups.iter().filter(names).cloned().collect();
            Some(Cow::Owned(DeclaredRows { groups, ..DeclaredRows::default() }.into()))
        }
    }
}

/// What is ours in the cells of a column that our rows do not name.
enum Filled {
    /// Nothing.
    No,
    /// The one value that our default gives, as a condition on the row.
    With(String),
    /// Whatever is there: what a default gave that differs from row to row cannot be told from what somebody wrote.
    Anyhow,
}

impl Filled {
    fn of(table: &TableSpec, column: &str) -> Self {
        let Some(column) = table.column(column) else { return Self::No };
        match (&column.default, PgType::parse(&column.type_name)) {
            (None, _) => Self::No,
            (Some(default), _) if expression::is_null(default) => Self::No,
            (Some(default), Ok(parsed)) if expression::is_constant(default) => Self::With(format!(
                "t.{}::text is not distinct from ({})::{parsed}::text",
                quote_ident(&column.name),
                expression::rendered(default)
            )),
            (Some(_), _) => Self::Anyhow,
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
