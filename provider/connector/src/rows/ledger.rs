//! Which rows of a table came from a file of ours: a table of their keys and hashes, in a schema of its own.
//!
//! Each target has its own ledger, named by a random id that only the target's owner keeps. Its comment says which table
//! it is for. **Invariant:** a ledger counts only while its id, the table's name and the table's oid all agree; after a
//! restore an oid may be another table's, and then no row is ours.

use std::pin::pin;

use futures_util::TryStreamExt;
use serde::{Deserialize, Serialize};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{GenericClient, Transaction};

use super::row_hash::{MOST_HASHES, RowHash};
use super::stage::Staged;
use super::steps::{DECLARED, OWNED, Shape, qualified};
use crate::error::Error;
use crate::name::{TableName, quote_ident, quote_idents, quote_literal};
use crate::spec::TableSpec;

/// The schema of all ledgers.
pub use crate::name::LEDGER_SCHEMA as SCHEMA;

const ROLE_NEEDS: &str = "The rows of a file are kept track of in tables of the schema terraform_pg. Have an administrator run, \
    in this database:";

/// The rows of a file that are ours, as they are remembered: where their keys are, and what they named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// The random id that names it.
    pub id: String,
    /// The columns that the rows name, the primary key's first; empty when that is not known.
    pub columns: Vec<String>,
    /// How many rows there are.
    pub count: u64,
    /// The digest of the file; empty when that is not known.
    pub digest: String,
}

impl Ledger {
    /// The ledger's table, as SQL names it.
    pub(crate) fn table(&self) -> String {
        TableName::new(SCHEMA, name_of(&self.id)).to_string()
    }
}

/// What a ledger's comment says: which table it is for, and what the rows name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Header {
    id: String,
    schema: String,
    table: String,
    oid: u32,
    #[serde(default)]
    columns: Vec<String>,
}

impl Header {
    fn is_for(&self, id: &str, table: &TableName, oid: u32) -> bool {
        (self.id.as_str(), self.schema.as_str(), self.table.as_str(), self.oid)
            == (id, table.schema.as_str(), table.name.as_str(), oid)
    }
}

fn name_of(id: &str) -> String {
    format!("ledger_{id}")
}

/// The column of the hashes in a ledger: a name that no column of the key has.
pub(super) fn hash_column(keys: &[String]) -> String {
    let mut name = "row_hash".to_owned();
    while keys.contains(&name) {
        name.push('_');
    }
    name
}

/// The statement that makes the schema of all ledgers.
pub(crate) fn create_schema() -> String {
    format!("create schema if not exists {SCHEMA}")
}

/// What an administrator has to do for a role that may not make ledgers.
pub(crate) fn explain_rights(error: Error, role: &str) -> Error {
    if error.sqlstate() != Some("42501") {
        return error;
    }
    let role = quote_ident(role);
    error.advice(format!("{ROLE_NEEDS}\n\n{};\ngrant usage, create on schema {SCHEMA} to {role};", create_schema()))
}

/// Why a ledger no longer counts; `None` when it does.
pub async fn disagreement(
    client: &impl GenericClient,
    table: &TableName,
    oid: u32,
    id: &str,
) -> Result<Option<String>, Error> {
    let name = name_of(id);
    let found = headers(client, &name.replace('_', "\\_"), table).await?;
    let name = TableName::new(SCHEMA, name);
    Ok(match found.into_iter().next() {
        None => Some(format!("there is no table {name}")),
        Some(found) if !found.header.as_ref().is_some_and(|header| header.is_for(id, table, oid)) => {
            Some(format!("the comment of {name} is not for this table"))
        }
        Some(found) if !found.is_whole => Some(format!("{name} lacks a column")),
        Some(_) => None,
    })
}

/// The only ledger that a table has, when there is exactly one that this role owns.
pub async fn sole(client: &impl GenericClient, table: &TableName, oid: u32) -> Result<Option<Ledger>, Error> {
    let found = headers(client, "ledger\\_%", table).await?;
    let mut fitting = found.into_iter().filter(|found| found.is_whole).filter_map(|found| {
        found.header.filter(|header| found.name == name_of(&header.id) && header.is_for(&header.id, table, oid))
    });
    let (Some(header), None) = (fitting.next(), fitting.next()) else { return Ok(None) };
    let mut ledger = Ledger { id: header.id, columns: header.columns, count: 0, digest: String::new() };
    let failed = |error| Error::postgres(reading(table), &error);
    let row = client.query_typed_one(&format!("select count(*) from {}", ledger.table()), &[]).await.map_err(failed)?;
    ledger.count = u64::try_from(row.try_get::<_, i64>(0).map_err(failed)?).unwrap_or_default();
    Ok(Some(ledger))
}

fn reading(table: &TableName) -> String {
    format!("read which rows of {table} came from a file")
}

/// What may be a ledger.
struct Found {
    name: String,
    header: Option<Header>,
    /// Whether it has all the columns that it was made with.
    is_whole: bool,
}

/// The ledgers whose names fit a pattern, of roles that this role belongs to.
async fn headers(client: &impl GenericClient, pattern: &str, table: &TableName) -> Result<Vec<Found>, Error> {
    let sql = "select c.relname::text, pg_catalog.obj_description(c.oid, 'pg_class'), \
                 not exists (select from pg_catalog.pg_attribute a where a.attrelid = c.oid and a.attisdropped) \
               from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
               where n.nspname = $1::text and c.relkind = 'r' and c.relname like $2::text \
               and pg_catalog.pg_has_role(c.relowner, 'usage') order by c.oid";
    let parameters: [(&(dyn ToSql + Sync), Type); 2] = [(&SCHEMA, Type::TEXT), (&pattern, Type::TEXT)];
    let failed = |error| Error::postgres(reading(table), &error);
    let rows = client.query_typed(sql, &parameters).await.map_err(failed)?;
    let found = rows.iter().map(|row| {
        let comment: Option<String> = row.try_get(1)?;
        let header = comment.and_then(|text| serde_json::from_str(&text).ok());
        Ok(Found { name: row.try_get(0)?, header, is_whole: row.try_get(2)? })
    });
    found.collect::<Result<_, _>>().map_err(failed)
}

/// Makes a ledger of the staged rows, which name these columns. Returns its id.
pub(super) async fn create(
    transaction: &Transaction<'_>,
    shape: &Shape,
    oid: u32,
    columns: &[String],
) -> Result<String, Error> {
    let failed = |error| Error::postgres(writing(&shape.table), &error);
    let row = transaction
        .query_typed_one("select replace(pg_catalog.gen_random_uuid()::text, '-', ''), current_user::text", &[])
        .await
        .map_err(failed)?;
    let (id, role): (String, String) = (row.try_get(0).map_err(failed)?, row.try_get(1).map_err(failed)?);
    let name = TableName::new(SCHEMA, name_of(&id));
    // Without a key of its own, a publication of all tables needs the whole row to tell which one was changed.
    let sql = format!(
        "create table {name} as select {}, n.{} as {} from pg_temp.{DECLARED} as n; \
         alter table {name} replica identity full; {}",
        qualified("n", &shape.keys),
        quote_ident(&shape.staged_hash),
        quote_ident(&hash_column(&shape.keys)),
        label(&shape.table, &id, oid, columns)?,
    );
    let result = transaction.batch_execute(&sql).await;
    result.map_err(|error| explain_rights(failed(error), &role))?;
    Ok(id)
}

/// The statement that writes a ledger's comment.
fn label(table: &TableName, id: &str, oid: u32, columns: &[String]) -> Result<String, Error> {
    let (schema, name) = (table.schema.clone(), table.name.clone());
    let header = Header { id: id.to_owned(), schema, table: name, oid, columns: columns.to_vec() };
    let header = serde_json::to_string(&header).map_err(|error| Error::new(writing(table), error.to_string()))?;
    let ledger = TableName::new(SCHEMA, name_of(id));
    Ok(format!("comment on table {ledger} is {}", quote_literal(&header)))
}

/// Takes the keys with these hashes out of a ledger, and stages them as those of rows that are ours.
pub(super) async fn take_out(
    transaction: &Transaction<'_>,
    shape: &Shape,
    ledger: &Ledger,
    gone: &[RowHash],
) -> Result<(), Error> {
    let sql = format!(
        "with gone as (delete from {} as l where l.{} in (select h from unnest($1) as g (h)) returning {}) \
         insert into pg_temp.{OWNED} ({}) select {} from gone as l",
        ledger.table(),
        quote_ident(&hash_column(&shape.keys)),
        qualified("l", &shape.keys),
        quote_idents(&shape.keys),
        qualified("l", &shape.keys),
    );
    let result = transaction.query_typed(&sql, &[(&gone, Type::UUID_ARRAY)]).await;
    result.map(drop).map_err(|error| Error::postgres(writing(&shape.table), &error).statement(sql))
}

/// Brings a ledger up to date with the staged rows, which name these columns now. Either they are all rows, or those that
/// it lacks after what is gone was taken out.
pub(super) async fn update(
    transaction: &Transaction<'_>,
    shape: &Shape,
    ledger: &Ledger,
    oid: u32,
    columns: &[String],
    staged: Staged,
) -> Result<(), Error> {
    let name = ledger.table();
    let hash = quote_ident(&hash_column(&shape.keys));
    let staged_hash = quote_ident(&shape.staged_hash);
    let insert = format!(
        "insert into {name} ({}, {hash}) select {}, n.{staged_hash} from pg_temp.{DECLARED} as n",
        quote_idents(&shape.keys),
        qualified("n", &shape.keys),
    );
    let sql = match staged {
        Staged::Changes => insert,
        // Rows with the same hash have the same key.
        Staged::Everything => format!(
            "delete from {name} as l where not exists (select from pg_temp.{DECLARED} as n where n.{staged_hash} = l.{hash}); \
             {insert} where not exists (select from {name} as l where l.{hash} = n.{staged_hash})"
        ),
    };
    execute(transaction, shape, &sql).await?;
    if ledger.columns == columns {
        return Ok(());
    }
    execute(transaction, shape, &label(&shape.table, &ledger.id, oid, columns)?).await
}

/// Removes a ledger together with its table, whatever its comment says, if it is there.
pub(crate) async fn discard(transaction: &Transaction<'_>, table: &TableName, ledger: &Ledger) -> Result<(), Error> {
    let found = headers(transaction, &name_of(&ledger.id).replace('_', "\\_"), table).await?;
    if found.is_empty() { Ok(()) } else { remove(transaction, table, ledger).await }
}

/// Removes a ledger.
pub(super) async fn remove(transaction: &Transaction<'_>, table: &TableName, ledger: &Ledger) -> Result<(), Error> {
    let sql = format!("drop table {}", ledger.table());
    let result = transaction.batch_execute(&sql).await;
    result.map_err(|error| Error::postgres(writing(table), &error).statement(sql))
}

async fn execute(transaction: &Transaction<'_>, shape: &Shape, sql: &str) -> Result<(), Error> {
    let result = transaction.batch_execute(sql).await;
    result.map_err(|error| Error::postgres(writing(&shape.table), &error).statement(sql))
}

fn writing(table: &TableName) -> String {
    format!("write down which rows of {table} came from a file")
}

/// The hashes of a ledger, sorted; `None` when there are too many.
pub(super) async fn hashes(
    transaction: &Transaction<'_>,
    table: &TableSpec,
    ledger: &Ledger,
) -> Result<Option<Vec<RowHash>>, Error> {
    let failed = |error| Error::postgres(reading(&table.name), &error);
    let sql = format!(
        "copy (select {} from {} limit {}) to stdout (format binary)",
        quote_ident(&hash_column(&table.primary_key)),
        ledger.table(),
        MOST_HASHES + 1
    );
    let mut stream = pin!(transaction.copy_out(&*sql).await.map_err(failed)?);
    let mut hashes = Vec::with_capacity(usize::try_from(ledger.count).unwrap_or_default().min(MOST_HASHES));
    let mut pending = Vec::new();
    let mut header = true;
    while let Some(piece) = stream.try_next().await.map_err(failed)? {
        pending.extend_from_slice(&piece);
        let mut rest = pending.as_slice();
        if header {
            // Signature, flags and the length of an extension that is always empty.
            let Some(after) = rest.get(19..) else { continue };
            rest = after;
            header = false;
        }
        // Number of fields, length of the field, the field; the trailer is shorter.
        while let Some((row, after)) = rest.split_at_checked(22) {
            let mut hash = [0; 16];
            hash.copy_from_slice(&row[6..]);
            hashes.push(RowHash::from_bytes(hash));
            rest = after;
        }
        let left = rest.len();
        pending.drain(..pending.len() - left);
    }
    if hashes.len() > MOST_HASHES {
        return Ok(None);
    }
    hashes.sort_unstable();
    Ok(Some(hashes))
}
