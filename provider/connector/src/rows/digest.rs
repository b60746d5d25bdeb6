//! What the server holds of our rows, as one short text that is compared only with itself.
//!
//! The keys travel as parameters, so nothing is written and no temporary table is made: it works in a read-only
//! transaction and leaves the catalogue alone. **Invariant:** only the cells that a row declares are looked at, under
//! fixed settings; a row that is gone changes the digest.

use std::collections::HashMap;

use sha2::{Digest, Sha256};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{GenericClient, Transaction};

use super::steps::{nonempty, qualified};
use super::value::hex;
use super::{Cell, DeclaredRows, RowGroup, key, pinned};
use crate::error::Error;
use crate::name::{quote_ident, quote_idents};
use crate::spec::TableSpec;

/// A column as the server has it.
struct LiveColumn {
    type_sql: String,
    type_schema: String,
}

pub(super) async fn digest(
    transaction: &Transaction<'_>,
    table: &TableSpec,
    rows: &DeclaredRows,
) -> Result<String, Error> {
    let failed = |error| Error::postgres(format!("read rows of {}", table.name), &error);
    let live = live_columns(transaction, table).await.map_err(failed)?;
    let groups = nonempty(Some(rows));
    let mut hasher = Sha256::new();
    if !groups.is_empty() {
        let named = groups.iter().flat_map(|group| &group.columns).chain(&table.primary_key);
        if let Some(missing) = named.into_iter().find(|name| !live.contains_key(*name)) {
            return Ok(format!("the table has no column {missing:?}"));
        }
        let mut path = vec!["pg_catalog".to_owned()];
        path.extend(table.primary_key.iter().map(|name| live[name].type_schema.clone()));
        path.dedup();
        let mut settings: Vec<(&str, String)> =
            pinned::FIXED.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        settings.push(("search_path", quote_idents(path)));
        let settings: Vec<(String, String)> =
            settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let former = pinned::pin(transaction, &settings).await.map_err(failed)?;
        for group in groups {
            let keys = StagedKeys::of(table, &live, group);
            let sql = statement(table, group, &keys.relation);
            let row = transaction
                .query_typed_one(&sql, &keys.parameters())
                .await
                .map_err(|error| failed(error).statement(&*sql))?;
            let part: String = row.try_get(0).map_err(failed)?;
            for text in group.columns.iter().chain([&part]) {
                hasher.update((text.len() as u64).to_be_bytes());
                hasher.update(text);
            }
        }
        pinned::restore(transaction, former).await.map_err(failed)?;
    }
    Ok(format!("1:{}", hex(&hasher.finalize())))
}

pub(super) async fn count_foreign(
    client: &impl GenericClient,
    table: &TableSpec,
    owned: Option<&DeclaredRows>,
) -> Result<u64, Error> {
    count_others(client, table, owned, "true").await
}

pub(super) async fn count_others(
    client: &impl GenericClient,
    table: &TableSpec,
    owned: Option<&DeclaredRows>,
    condition: &str,
) -> Result<u64, Error> {
    let failed = |error| Error::postgres(format!("count rows of {}", table.name), &error);
    let live = live_columns(client, table).await.map_err(failed)?;
    let known = table.primary_key.iter().all(|name| live.contains_key(name));
    let groups = if known { nonempty(owned) } else { Vec::new() };
    let mut sql = format!("select count(*) from {} as t where {condition}", table.name);
    let keys = StagedKeys::all(table, &live, &groups);
    if !groups.is_empty() {
        sql = format!("{sql} and not exists (select from {} where {})", keys.relation, same_key(table));
    }
    let former = pinned::pin(client, &pinned::FIXED).await.map_err(failed)?;
    let row = client.query_typed_one(&sql, &keys.parameters()).await.map_err(|error| failed(error).statement(&*sql))?;
    pinned::restore(client, former).await.map_err(failed)?;
    let count: i64 = row.try_get(0).map_err(failed)?;
    Ok(u64::try_from(count).unwrap_or_default())
}

/// The sums of two hashes, unlike one xor, do not cancel each other out; neither depends on the order of the rows.
fn statement(table: &TableSpec, group: &RowGroup, keys: &str) -> String {
    format!(
        "select count(*) || ' ' || coalesce(sum(hashtextextended(x, 0)), 0) || ' ' || \
         coalesce(sum(hashtextextended(x, 1)), 0) from (select row({})::text collate \"C\" as x from {} as t, {keys} \
         where {}) as s",
        qualified("t", &group.columns),
        table.name,
        same_key(table),
    )
}

fn same_key(table: &TableSpec) -> String {
    let keys = table.primary_key.iter().enumerate();
    keys.map(|(i, name)| format!("t.{} = k.c{i}", quote_ident(name))).collect::<Vec<_>>().join(" and ")
}

/// Keys as parameters: one array of text for each column.
struct StagedKeys<'a> {
    relation: String,
    columns: Vec<Vec<&'a str>>,
}

impl<'a> StagedKeys<'a> {
    fn of(table: &TableSpec, live: &HashMap<String, LiveColumn>, group: &'a RowGroup) -> Self {
        Self::all(table, live, &[group])
    }

    fn all(table: &TableSpec, live: &HashMap<String, LiveColumn>, groups: &[&'a RowGroup]) -> Self {
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
