//! What the server holds of our rows, as one short text that is compared only with itself.
//!
//! The keys of inline rows travel as parameters, those of a file's rows are in its ledger: so nothing is written and no
//! temporary table is made, and it works in a read-only transaction. **Invariant:** only the cells that a row declares are looked at, under
//! fixed settings; a row that is gone changes the digest.

use std::collections::HashMap;

use sha2::{Digest, Sha256};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{GenericClient, Transaction};

pub(super) use super::sums::Sums;

use super::steps::{nonempty, qualified, same_columns};
use super::value::hex;
use super::{Cell, DeclaredRows, Ledger, Others, Owned, RowGroup, key, pinned};
use crate::error::Error;
use crate::name::{quote_ident, quote_idents};
use crate::pg_type::PgType;
use crate::spec::TableSpec;

/// A column as the server has it.
struct LiveColumn {
    type_sql: String,
    type_schema: String,
}

pub(super) async fn digest(transaction: &Transaction<'_>, table: &TableSpec, owned: &Owned) -> Result<String, Error> {
    match owned {
        Owned::Inline(rows) => of_groups(transaction, table, rows).await,
        Owned::Ledger(ledger) => match of_ledger(transaction, table, ledger).await? {
            Some(sums) => Ok(sums.text(&ledger.columns)),
            None => Ok("the table lacks a column or its key is of another type".to_owned()),
        },
    }
}

async fn of_groups(transaction: &Transaction<'_>, table: &TableSpec, rows: &DeclaredRows) -> Result<String, Error> {
    let failed = |error| Error::postgres(reading(table), &error);
    let live = live_columns(transaction, table).await.map_err(failed)?;
    let groups = nonempty(Some(rows));
    let mut hasher = Sha256::new();
    if !groups.is_empty() {
        let named = groups.iter().flat_map(|group| &group.columns).chain(&table.primary_key);
        if let Some(missing) = named.into_iter().find(|name| !live.contains_key(*name)) {
            return Ok(format!("the table has no column {missing:?}"));
        }
        if let Some(other) = retyped_key(table, &live) {
            return Ok(format!("the key column {other:?} is of another type"));
        }
        let former = fix(transaction, table, &live).await.map_err(failed)?;
        for group in groups {
            let keys = Keys::of_groups(table, &live, &[group]);
            let from = format!("{} as t, {}", table.name, keys.relation);
            let sums = sums(transaction, table, &group.columns, &from, &same_key(table), &keys.parameters()).await?;
            let part = format!("{} {} {}", sums.rows, sums.first, sums.second);
            for text in group.columns.iter().chain([&part]) {
                hasher.update((text.len() as u64).to_be_bytes());
                hasher.update(text);
            }
        }
        pinned::restore(transaction, former).await.map_err(failed)?;
    }
    Ok(format!("1:{}", hex(&hasher.finalize())))
}

/// The sums over the rows whose keys are in a ledger; `None` when the table lacks a column that they name or
/// its key is of another type.
pub(super) async fn of_ledger(
    transaction: &Transaction<'_>,
    table: &TableSpec,
    ledger: &Ledger,
) -> Result<Option<Sums>, Error> {
    let failed = |error| Error::postgres(reading(table), &error);
    let live = live_columns(transaction, table).await.map_err(failed)?;
    if !ledger.columns.iter().chain(&table.primary_key).all(|name| live.contains_key(name))
        || retyped_key(table, &live).is_some()
    {
        return Ok(None);
    }
    let former = fix(transaction, table, &live).await.map_err(failed)?;
    // With as many rows as keys, all rows are ours or the sums differ anyway: no join is needed to tell.
    let sql = format!("select (select count(*) from {}) = (select count(*) from {})", table.name, ledger.table());
    let row = transaction.query_typed_one(&sql, &[]).await.map_err(|error| failed(error).statement(&*sql))?;
    let (from, condition) = if row.try_get(0).map_err(failed)? {
        (format!("{} as t", table.name), "true".to_owned())
    } else {
        (format!("{} as t, {}", table.name, Keys::of_ledger(table, ledger).relation), same_key(table))
    };
    let sums = sums(transaction, table, &ledger.columns, &from, &condition, &[]).await?;
    pinned::restore(transaction, former).await.map_err(failed)?;
    Ok(Some(sums))
}

/// The sums over the rows whose keys are staged in a temporary table.
pub(super) async fn of_staged(
    transaction: &Transaction<'_>,
    table: &TableSpec,
    columns: &[String],
    staged: &str,
) -> Result<Sums, Error> {
    let failed = |error| Error::postgres(reading(table), &error);
    let live = live_columns(transaction, table).await.map_err(failed)?;
    let former = fix(transaction, table, &live).await.map_err(failed)?;
    let from = format!("{} as t, pg_temp.{staged} as k", table.name);
    let sums = sums(transaction, table, columns, &from, &same_columns("t", "k", &table.primary_key), &[]).await?;
    pinned::restore(transaction, former).await.map_err(failed)?;
    Ok(sums)
}

fn reading(table: &TableSpec) -> String {
    format!("read rows of {}", table.name)
}

/// Fixes what the text form of a value depends on, and where the key's operators are found.
async fn fix(
    transaction: &Transaction<'_>,
    table: &TableSpec,
    live: &HashMap<String, LiveColumn>,
) -> Result<pinned::Former, tokio_postgres::Error> {
    let mut path = vec!["pg_catalog".to_owned()];
    path.extend(table.primary_key.iter().filter_map(|name| Some(live.get(name)?.type_schema.clone())));
    path.dedup();
    let mut settings: Vec<(&str, String)> =
        pinned::FIXED.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    settings.push(("search_path", quote_idents(path)));
    let settings: Vec<(String, String)> = settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    pinned::pin(transaction, &settings).await
}

async fn sums(
    transaction: &Transaction<'_>,
    table: &TableSpec,
    columns: &[String],
    from: &str,
    condition: &str,
    parameters: &[(&(dyn ToSql + Sync), Type)],
) -> Result<Sums, Error> {
    // Without `offset 0` the text would be made once for each of the sums.
    let sql = format!(
        "select count(*)::text, coalesce(sum(hashtextextended(x, 0)), 0)::text, \
         coalesce(sum(hashtextextended(x, 1)), 0)::text \
         from (select row({})::text collate \"C\" as x from {from} where {condition} offset 0) as s",
        qualified("t", columns),
    );
    let failed = |error| Error::postgres(reading(table), &error);
    let row = transaction.query_typed_one(&sql, parameters).await.map_err(|error| failed(error).statement(&*sql))?;
    let number = |at| {
        let text: String = row.try_get(at).map_err(failed)?;
        text.parse::<i128>().map_err(|error| Error::new(reading(table), format!("{text:?} is no sum: {error}")))
    };
    Ok(Sums { rows: number(0)?, first: number(1)?, second: number(2)? })
}

pub(super) async fn count_foreign(
    client: &impl GenericClient,
    table: &TableSpec,
    owned: Option<&Owned>,
) -> Result<u64, Error> {
    count_others(client, table, owned, "true").await
}

pub(super) async fn count_others(
    client: &impl GenericClient,
    table: &TableSpec,
    owned: Option<&Owned>,
    condition: &str,
) -> Result<u64, Error> {
    let failed = |error| Error::postgres(format!("count rows of {}", table.name), &error);
    let row = others(client, table, owned, (condition, "count(*)"), &pinned::FIXED).await?;
    let count: i64 = row.try_get(0).map_err(failed)?;
    Ok(u64::try_from(count).unwrap_or_default())
}

pub(super) async fn find_others(
    client: &impl GenericClient,
    table: &TableSpec,
    owned: Option<&Owned>,
    condition: &str,
    shown: &[&str],
) -> Result<Others, Error> {
    let failed = |error| Error::postgres(format!("count rows of {}", table.name), &error);
    let keys = table.primary_key.iter().map(|name| format!("t.{}::text", quote_ident(name)));
    let texts = keys.chain(shown.iter().map(|&text| text.to_owned())).collect::<Vec<_>>().join(", ");
    // What the condition converts is converted as a statement of the session itself would do it.
    let settings: &[(&str, &str)] = match key::kinds(table).iter().all(key::is_read_alike) {
        true => &[("standard_conforming_strings", "on")],
        false => &pinned::FIXED,
    };
    let select = format!("count(*), min(array[{texts}]::text[])");
    let row = others(client, table, owned, (condition, &select), settings).await?;
    let count: i64 = row.try_get(0).map_err(failed)?;
    let first: Option<Vec<Option<String>>> = row.try_get(1).map_err(failed)?;
    let texts: Vec<String> = first.into_iter().flatten().map(Option::unwrap_or_default).collect();
    Ok(Others { count: u64::try_from(count).unwrap_or_default(), first: texts })
}

/// Selects from the rows that fulfil a condition and are not ours.
async fn others(
    client: &impl GenericClient,
    table: &TableSpec,
    owned: Option<&Owned>,
    (condition, select): (&str, &str),
    settings: &[(&str, &str)],
) -> Result<tokio_postgres::Row, Error> {
    let failed = |error| Error::postgres(format!("count rows of {}", table.name), &error);
    let live = live_columns(client, table).await.map_err(failed)?;
    let known = table.primary_key.iter().all(|name| live.contains_key(name)) && retyped_key(table, &live).is_none();
    let mut sql = format!("select {select} from {} as t where {condition}", table.name);
    let keys = match owned.filter(|_| known) {
        None => None,
        Some(Owned::Ledger(ledger)) => Some(Keys::of_ledger(table, ledger)),
        Some(Owned::Inline(rows)) => {
            let groups = nonempty(Some(rows));
            (!groups.is_empty()).then(|| Keys::of_groups(table, &live, &groups))
        }
    };
    if let Some(keys) = &keys {
        sql = format!("{sql} and not exists (select from {} where {})", keys.relation, same_key(table));
    }
    let parameters = keys.as_ref().map(Keys::parameters).unwrap_or_default();
    let former = pinned::pin(client, settings).await.map_err(failed)?;
    let row = client.query_typed_one(&sql, &parameters).await.map_err(|error| failed(error).statement(&*sql))?;
    pinned::restore(client, former).await.map_err(failed)?;
    Ok(row)
}

fn same_key(table: &TableSpec) -> String {
    let keys = table.primary_key.iter().enumerate();
    keys.map(|(i, name)| format!("t.{} = k.c{i}", quote_ident(name))).collect::<Vec<_>>().join(" and ")
}

/// The keys of our rows as a relation: from parameters, one array of text for each column, or from a ledger.
struct Keys<'a> {
    relation: String,
    columns: Vec<Vec<&'a str>>,
}

impl<'a> Keys<'a> {
    fn of_ledger(table: &TableSpec, ledger: &Ledger) -> Self {
        let named = table.primary_key.iter().enumerate().map(|(i, name)| format!("{} as c{i}", quote_ident(name)));
        let named = named.collect::<Vec<_>>().join(", ");
        Self { relation: format!("(select {named} from {}) as k", ledger.table()), columns: Vec::new() }
    }

    fn of_groups(table: &TableSpec, live: &HashMap<String, LiveColumn>, groups: &[&'a RowGroup]) -> Self {
        let names = (0..table.primary_key.len()).map(|i| format!("c{i}")).collect::<Vec<_>>().join(", ");
        let parameters = (1..=table.primary_key.len()).map(|i| format!("${i}")).collect::<Vec<_>>().join(", ");
        let typed = table.primary_key.iter().enumerate().map(|(i, name)| {
            live.get(name).map_or_else(|| format!("c{i}"), |column| format!("c{i}::{} as c{i}", column.type_sql))
        });
        let relation =
            format!("(select {} from unnest({parameters}) as k ({names})) as k", typed.collect::<Vec<_>>().join(", "));
        let mut columns = vec![Vec::new(); if groups.is_empty() { 0 } else { table.primary_key.len() }];
        for group in groups {
            let positions = key::positions(group, &table.primary_key).unwrap_or_default();
            for row in &group.rows {
                for (column, &at) in columns.iter_mut().zip(&positions) {
                    column.push(match &row.cells[at] {
                        Cell::Text(text) => text.as_str(),
                        Cell::Null => "",
                    });
                }
            }
        }
        Self { relation, columns }
    }

    fn parameters(&self) -> Vec<(&(dyn ToSql + Sync), Type)> {
        self.columns.iter().map(|column| (column as &(dyn ToSql + Sync), Type::TEXT_ARRAY)).collect()
    }
}

/// The column of the key whose type is certainly another than the one that our keys were declared for: then they need not
/// be values of it, and no row can be told to be ours.
fn retyped_key<'a>(table: &'a TableSpec, live: &HashMap<String, LiveColumn>) -> Option<&'a str> {
    let differs = |name: &&String| {
        let declared = table.column(name).and_then(|column| PgType::parse(&column.type_name).ok());
        let found = live.get(*name).and_then(|column| PgType::parse(&column.type_sql).ok());
        declared.zip(found).is_some_and(|(a, b)| {
            (a.is_builtin() || b.is_builtin()) && (a.name() != b.name() || a.is_array() != b.is_array())
        })
    };
    table.primary_key.iter().find(differs).map(String::as_str)
}

async fn live_columns(
    client: &impl GenericClient,
    table: &TableSpec,
) -> Result<HashMap<String, LiveColumn>, tokio_postgres::Error> {
    let sql = "select a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod), n.nspname::text \
               from pg_catalog.pg_attribute a \
                 join pg_catalog.pg_class c on c.oid = a.attrelid \
                 join pg_catalog.pg_namespace cn on cn.oid = c.relnamespace \
                 join pg_catalog.pg_type t on t.oid = a.atttypid \
                 join pg_catalog.pg_namespace n on n.oid = t.typnamespace \
               where cn.nspname = $1::text and c.relname = $2::text and a.attnum > 0 and not a.attisdropped";
    let parameters: [(&(dyn ToSql + Sync), Type); 2] =
        [(&table.name.schema, Type::TEXT), (&table.name.name, Type::TEXT)];
    let rows = client.query_typed(sql, &parameters).await?;
    rows.iter()
        .map(|row| Ok((row.try_get(0)?, LiveColumn { type_sql: row.try_get(1)?, type_schema: row.try_get(2)? })))
        .collect()
}
