//! What the server holds of our rows, as one short text that is compared only with itself.
//!
//! The keys of inline rows travel as parameters, those of a file's rows are in its ledger: so nothing is written and no
//! temporary table is made, and it works in a read-only transaction. **Invariant:** only the cells that a row declares are looked at, under
//! fixed settings; a row that is gone changes the digest.

use std::collections::{BTreeMap, HashMap};

use futures_util::future::try_join_all;
use sha2::{Digest, Sha256};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{GenericClient, Transaction};

pub(super) use super::sums::Sums;

use super::steps::{nonempty, same_columns};
use super::value::hex;
use super::{Cell, DeclaredRows, Ledger, Others, Owned, RowGroup, key, pinned};
use crate::error::Error;
use crate::name::{TableName, quote_ident, quote_idents};
use crate::pg_type::PgType;
use crate::spec::TableSpec;

/// What stands for null among texts: nobody's text.
const NULL_MARK: &str = "null of terraform_pg 5d3c7a52-6f0e-4b59-9c1d-2f8e0a41b7c3";

/// The most cells whose hashes stand in each other.
const MOST_NESTED: usize = 64;

/// The columns of a table as the server has them, by name.
pub(crate) type LiveColumns = HashMap<String, LiveColumn>;

/// A column as the server has it.
#[derive(Debug)]
pub(crate) struct LiveColumn {
    type_sql: String,
    type_schema: String,
    /// Whether a cast to text gives what the type prints.
    prints_as_text: bool,
}

pub(super) async fn digest(transaction: &Transaction<'_>, table: &TableSpec, owned: &Owned) -> Result<String, Error> {
    match owned {
        Owned::Inline(rows) => of_groups(transaction, table, rows).await,
        Owned::Ledger(ledger) => match of_ledger(transaction, table, ledger, None).await? {
            Some(sums) => Ok(sums.text(&ledger.columns)),
            None => Ok("the table lacks a column or its key is of another type".to_owned()),
        },
    }
}

/// Inline rows that are watched, and their table as it was declared with them.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    pub(crate) table: TableSpec,
    pub(crate) rows: DeclaredRows,
}

/// What inline rows are digested as.
enum Digested<'a> {
    /// Not the rows, but this.
    Text(String),
    /// These groups, under this search path.
    Groups(String, Vec<&'a RowGroup>),
}

impl<'a> Digested<'a> {
    fn new(table: &TableSpec, rows: &'a DeclaredRows, live: &LiveColumns) -> Self {
        let groups = nonempty(Some(rows));
        let mut named = groups.iter().flat_map(|group| &group.columns).chain(&table.primary_key);
        if groups.is_empty() {
            Self::Groups(String::new(), groups)
        } else if let Some(missing) = named.find(|name| !live.contains_key(*name)) {
            Self::Text(format!("the table has no column {missing:?}"))
        } else if let Some(other) = retyped_key(table, live) {
            Self::Text(format!("the key column {other:?} is of another type"))
        } else {
            Self::Groups(search_path(table, live), groups)
        }
    }
}

async fn of_groups(transaction: &Transaction<'_>, table: &TableSpec, rows: &DeclaredRows) -> Result<String, Error> {
    let failed = |error| Error::postgres(reading(table), &error);
    let live = live_columns(transaction, table).await.map_err(failed)?;
    match Digested::new(table, rows, &live) {
        Digested::Text(text) => Ok(text),
        Digested::Groups(_, groups) if groups.is_empty() => Ok(of_sums(&[], &[])),
        Digested::Groups(path, groups) => {
            let former = pinned::pin(transaction, &fixed(&path)).await.map_err(failed)?;
            let sums = sums_of_groups(transaction, table, &groups, &live).await?;
            pinned::restore(transaction, former).await.map_err(failed)?;
            Ok(of_sums(&groups, &sums))
        }
    }
}

/// The digests of many tables' rows, in order, given the columns of these tables. Leaves settings changed.
pub(super) async fn of_many(
    client: &impl GenericClient,
    watched: &[&Watched],
    columns: &HashMap<TableName, LiveColumns>,
) -> Result<Vec<String>, Error> {
    let none = LiveColumns::new();
    let live = |watched: &Watched| columns.get(&watched.table.name).unwrap_or(&none);
    let digested: Vec<Digested<'_>> =
        watched.iter().map(|watched| Digested::new(&watched.table, &watched.rows, live(watched))).collect();
    let mut texts = vec![String::new(); watched.len()];
    // What is under one path is sent at once; nearly all are.
    let mut by_path: BTreeMap<&str, Vec<(usize, &[&RowGroup])>> = BTreeMap::new();
    for (at, digested) in digested.iter().enumerate() {
        match digested {
            Digested::Text(text) => texts[at].clone_from(text),
            Digested::Groups(path, groups) => by_path.entry(path).or_default().push((at, groups)),
        }
    }
    for (path, tables) in by_path {
        let table = |at: usize| &watched[at].table;
        if !path.is_empty() {
            let pinned = pinned::pin(client, &fixed(path)).await;
            pinned.map_err(|error| Error::postgres(reading(table(tables[0].0)), &error))?;
        }
        let sums = tables.iter().map(|&(at, groups)| sums_of_groups(client, table(at), groups, live(watched[at])));
        for (&(at, groups), sums) in tables.iter().zip(try_join_all(sums).await?) {
            texts[at] = of_sums(groups, &sums);
        }
    }
    Ok(texts)
}

/// The sums over each group of rows.
async fn sums_of_groups(
    client: &impl GenericClient,
    table: &TableSpec,
    groups: &[&RowGroup],
    live: &LiveColumns,
) -> Result<Vec<Sums>, Error> {
    try_join_all(groups.iter().map(|&group| sums_of_group(client, table, group, live))).await
}

async fn sums_of_group(
    client: &impl GenericClient,
    table: &TableSpec,
    group: &RowGroup,
    live: &LiveColumns,
) -> Result<Sums, Error> {
    let keys = Keys::of_groups(table, live, &[group]);
    let from = format!("{} as t, {}", table.name, keys.relation);
    let hash = row_hash(table, &group.columns, live);
    sums(client, table, &hash, &from, &same_key(table), &keys.parameters()).await
}

fn of_sums(groups: &[&RowGroup], sums: &[Sums]) -> String {
    let mut hasher = Sha256::new();
    for (group, sums) in groups.iter().zip(sums) {
        let part = format!("{} {}", sums.rows, sums.hashes);
        for text in group.columns.iter().chain([&part]) {
            hasher.update((text.len() as u64).to_be_bytes());
            hasher.update(text);
        }
    }
    format!("6:{}", hex(&hasher.finalize()))
}

/// The sums over the rows whose keys are in a ledger, which has so many rows if that is known; `None` when the table lacks a
/// column that they name or its key is of another type.
pub(super) async fn of_ledger(
    transaction: &Transaction<'_>,
    table: &TableSpec,
    ledger: &Ledger,
    keys: Option<usize>,
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
    let keys = keys.map_or_else(|| format!("(select count(*) from {})", ledger.table()), |keys| keys.to_string());
    let sql = format!("select (select count(*) from {}) = {keys}", table.name);
    let row = transaction.query_typed_one(&sql, &[]).await.map_err(|error| failed(error).statement(&*sql))?;
    let (from, condition) = if row.try_get(0).map_err(failed)? {
        (format!("{} as t", table.name), "true".to_owned())
    } else {
        (format!("{} as t, {}", table.name, Keys::of_ledger(table, ledger).relation), same_key(table))
    };
    let sums = sums(transaction, table, &row_hash(table, &ledger.columns, &live), &from, &condition, &[]).await?;
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
    let same = same_columns("t", "k", &table.primary_key);
    let sums = sums(transaction, table, &row_hash(table, columns, &live), &from, &same, &[]).await?;
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
    live: &LiveColumns,
) -> Result<pinned::Former, tokio_postgres::Error> {
    pinned::pin(transaction, &fixed(&search_path(table, live))).await
}

fn fixed(path: &str) -> Vec<(&str, &str)> {
    pinned::FIXED.into_iter().chain([("search_path", path)]).collect()
}

fn search_path(table: &TableSpec, live: &LiveColumns) -> String {
    let mut path = vec!["pg_catalog".to_owned()];
    path.extend(table.primary_key.iter().filter_map(|name| Some(live.get(name)?.type_schema.clone())));
    path.dedup();
    quote_idents(path)
}

/// The expression that hashes these columns of a row of `t`, whatever their order.
///
/// Each cell's text is hashed with the hash so far as the seed, and the key comes first: so a value counts only in its own
/// row and column. The text of a whole record would do too, but the server looks at each of its characters for a quote.
/// One hash of 64 bits is enough for what nobody wants to deceive.
fn row_hash(table: &TableSpec, columns: &[String], live: &LiveColumns) -> String {
    let seeded = |seed: String, name: &String| {
        let cell = format!("t.{}", quote_ident(name));
        let as_text = live.get(name).is_none_or(|column| column.prints_as_text);
        let cell = if as_text { cell } else { format!("row({cell})") };
        format!("hashtextextended(coalesce({cell}::text, '{NULL_MARK}') collate \"C\", {seed})")
    };
    let mut cells: Vec<&String> = columns.iter().filter(|name| !table.primary_key.contains(name)).collect();
    cells.sort_unstable();
    // The server's stack bounds how deep an expression may be.
    let parts = cells.len().div_ceil(MOST_NESTED).max(1);
    let part = |at: usize| {
        let key = table.primary_key.iter().fold(at.to_string(), seeded);
        cells.iter().skip(at * MOST_NESTED).take(MOST_NESTED).copied().fold(key, seeded)
    };
    (0..parts).map(part).collect::<Vec<_>>().join(" # ")
}

async fn sums(
    client: &impl GenericClient,
    table: &TableSpec,
    hash: &str,
    from: &str,
    condition: &str,
    parameters: &[(&(dyn ToSql + Sync), Type)],
) -> Result<Sums, Error> {
    let sql = format!("select count(*)::text, coalesce(sum({hash}), 0)::text from {from} where {condition}");
    let failed = |error| Error::postgres(reading(table), &error);
    let row = client.query_typed_one(&sql, parameters).await.map_err(|error| failed(error).statement(&*sql))?;
    let number = |at| {
        let text: String = row.try_get(at).map_err(failed)?;
        text.parse::<i128>().map_err(|error| Error::new(reading(table), format!("{text:?} is no sum: {error}")))
    };
    Ok(Sums { rows: number(0)?, hashes: number(1)? })
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
    let alike = key::kinds(table).iter().all(key::is_read_alike);
    let settings: &[(&str, &str)] = if alike { &[("standard_conforming_strings", "on")] } else { &pinned::FIXED };
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

    fn of_groups(table: &TableSpec, live: &LiveColumns, groups: &[&'a RowGroup]) -> Self {
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
fn retyped_key<'a>(table: &'a TableSpec, live: &LiveColumns) -> Option<&'a str> {
    let differs = |name: &&String| {
        let declared = table.column(name).and_then(|column| PgType::parse(&column.type_name).ok());
        let found = live.get(*name).and_then(|column| PgType::parse(&column.type_sql).ok());
        declared.zip(found).is_some_and(|(a, b)| {
            (a.is_builtin() || b.is_builtin()) && (a.name() != b.name() || a.is_array() != b.is_array())
        })
    };
    table.primary_key.iter().find(differs).map(String::as_str)
}

async fn live_columns(client: &impl GenericClient, table: &TableSpec) -> Result<LiveColumns, tokio_postgres::Error> {
    Ok(columns_of(client, &[&table.name]).await?.remove(&table.name).unwrap_or_default())
}

/// The columns of those of the tables that are there; each is named once.
pub(super) async fn columns_of(
    client: &impl GenericClient,
    names: &[&TableName],
) -> Result<HashMap<TableName, LiveColumns>, tokio_postgres::Error> {
    let mut found: HashMap<TableName, LiveColumns> = HashMap::new();
    if names.is_empty() {
        return Ok(found);
    }
    // A function may stand behind a cast to text, and then it may leave something out, as that of `bpchar` does.
    let sql = "select w.schema, w.name, a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod), n.nspname::text, \
                 t.typtype <> 'd' and not exists (select from pg_catalog.pg_cast k where k.castsource = t.oid \
                   and k.casttarget = 'pg_catalog.text'::pg_catalog.regtype and k.castmethod = 'f' \
                   and (n.nspname <> 'pg_catalog' or t.typname = 'bpchar')) \
               from unnest($1, $2) as w (schema, name) \
                 join pg_catalog.pg_namespace cn on cn.nspname = w.schema \
                 join pg_catalog.pg_class c on c.relnamespace = cn.oid and c.relname = w.name \
                 join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped \
                 join pg_catalog.pg_type t on t.oid = a.atttypid \
                 join pg_catalog.pg_namespace n on n.oid = t.typnamespace";
    let schemas: Vec<&str> = names.iter().map(|name| name.schema.as_str()).collect();
    let tables: Vec<&str> = names.iter().map(|name| name.name.as_str()).collect();
    let parameters: [(&(dyn ToSql + Sync), Type); 2] = [(&schemas, Type::TEXT_ARRAY), (&tables, Type::TEXT_ARRAY)];
    for row in client.query_typed(sql, &parameters).await? {
        let name = TableName::new(row.try_get::<_, String>(0)?, row.try_get::<_, String>(1)?);
        let column =
            LiveColumn { type_sql: row.try_get(3)?, type_schema: row.try_get(4)?, prints_as_text: row.try_get(5)? };
        found.entry(name).or_default().insert(row.try_get(2)?, column);
    }
    Ok(found)
}
