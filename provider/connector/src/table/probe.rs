//! Which row stood in the way of a statement.
//!
//! **Invariant:** only looks, inside the transaction that is about to be rolled back; when it cannot tell, the server's
//! own words stand.

use tokio_postgres::Transaction;

use crate::catalog::ObservedTable;
use crate::error::{Blame, Error};
use crate::name::quote_ident;
use crate::rows::key;
use crate::rows::value::shortened;
use crate::spec::TableSpec;

use super::loss::rows_shown;

/// For values that do not fit a new type.
pub(super) const NO_FIT: &str =
    "Nothing was changed. Correct the rows that do not fit, or add a column of the new type under another name.";

/// Finds the first row whose value cannot be converted. For each column: its name, the type that values are cast to if
/// any, and the column's new type.
pub(super) async fn misfit(
    transaction: &Transaction<'_>,
    table: &TableSpec,
    live: &ObservedTable,
    columns: &[(String, Option<String>, String)],
    error: Error,
) -> Error {
    for (name, using, to) in columns {
        let Some(from) = live.column(name).map(|column| column.type_name.as_str()) else { continue };
        let Some((row, value, fault)) = first_misfit(transaction, table, name, from, using.as_deref(), to).await else {
            continue;
        };
        return error
            .because(format!(
                "the row {row} holds {:?} in column {name}, which does not fit {to}: {fault}",
                shortened(&value)
            ))
            .advice(NO_FIT)
            .blame(Blame::Column(name.clone(), Some("type")));
    }
    error
}

async fn first_misfit(
    transaction: &Transaction<'_>,
    table: &TableSpec,
    name: &str,
    from: &str,
    using: Option<&str>,
    to: &str,
) -> Option<(String, String, String)> {
    let cast = using.map(|using| format!("::{using}")).unwrap_or_default();
    let function = format!(
        "create function pg_temp.terraform_pg_fault(value {from}) returns text language plpgsql as $body$ \
         declare converted {to}; begin converted := value{cast}; return null; \
         exception when others then return sqlerrm; end $body$"
    );
    let column = quote_ident(name);
    let find = format!(
        "select {}, t.{column}::text, f.fault from {} as t, lateral (select pg_temp.terraform_pg_fault(t.{column}) as fault \
         offset 0) as f where f.fault is not null limit 1",
        key_texts(table),
        table.name
    );
    let remove = format!("drop function pg_temp.terraform_pg_fault({from})");
    transaction.batch_execute(&function).await.ok()?;
    let row = transaction.query_typed_opt(&find, &[]).await.ok().flatten();
    transaction.batch_execute(&remove).await.ok()?;
    let row = row?;
    let keys: Vec<String> = row.try_get(0).ok()?;
    let value: String = row.try_get(1).ok()?;
    let fault: String = row.try_get(2).ok()?;
    Some((key::shown(&table.primary_key, keys.iter().map(String::as_str)), value, fault))
}

/// Finds the rows that hold null in one of the columns, of which is said whether it is new.
pub(super) async fn null(
    transaction: &Transaction<'_>,
    table: &TableSpec,
    columns: &[(&str, bool)],
    error: Error,
) -> Error {
    for (name, new) in columns {
        let column = quote_ident(name);
        let find = format!(
            "select {}, count(*) over () from {} as t where t.{column} is null limit 1",
            key_texts(table),
            table.name
        );
        let Ok(Some(row)) = transaction.query_typed_opt(&find, &[]).await else { continue };
        let (Ok(keys), Ok(count)) = (row.try_get::<_, Vec<String>>(0), row.try_get::<_, i64>(1)) else { continue };
        let shown = key::shown(&table.primary_key, keys.iter().map(String::as_str));
        return holds_null(error, table, (name, *new), u64::try_from(count).unwrap_or_default(), Some(&shown));
    }
    error
}

/// The error for a column, new or not, that is declared not null while rows hold null in it.
pub(super) fn holds_null(
    error: Error,
    table: &TableSpec,
    (column, new): (&str, bool),
    count: u64,
    first: Option<&str>,
) -> Error {
    let first = first.map(|key| format!(", such as {key}")).unwrap_or_default();
    let rows = rows_shown(count);
    let (message, advice) = if new {
        (
            format!(
                "the new column {column} is declared as not nullable, and nothing fills it in {rows} of {}{first}",
                table.name
            ),
            "Give the column a default, declare the rows with a value in it, or declare nullable = true.",
        )
    } else {
        (
            format!("column {column} is declared as not nullable, and it is null in {rows} of {}{first}", table.name),
            "Fill the column first (a default only counts for new rows), or declare nullable = true.",
        )
    };
    error.because(message).advice(advice).blame(Blame::Column(column.to_owned(), Some("nullable")))
}

fn key_texts(table: &TableSpec) -> String {
    let text = |name: &String| format!("t.{}::text", quote_ident(name));
    format!("array[{}]", table.primary_key.iter().map(text).collect::<Vec<_>>().join(", "))
}
