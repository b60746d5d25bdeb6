//! What is remembered of targets, kept in the database that they are in.
//!
//! **Invariant:** what another run wrote since it was read is never overwritten.

use tokio_postgres::types::{ToSql, Type};

use super::tracking::Tracking;
use crate::database::{Database, Scope};
use crate::error::{Error, Errors};
use crate::name::{LEDGER_SCHEMA, TableName};
use crate::table::ensure_tracking;

/// What is remembered, and which version of it; version 0 when there is nothing.
#[derive(Debug)]
pub(super) struct KeptTracking {
    pub(super) tracking: Tracking,
    pub(super) version: i64,
}

fn doing(table: &TableName) -> String {
    format!("remember what was made of {table}")
}

/// What the server said, and which rights are missing where it is that.
fn refused(scope: &Scope, doing: String, error: &tokio_postgres::Error) -> Error {
    let error = scope.explain(Error::postgres(doing, error));
    if error.sqlstate() != Some("42501") {
        return error;
    }
    error.advice(format!(
        "What was made of targets is remembered in {LEDGER_SCHEMA}.tracking. Have the owner of the schema run, in this \
         database and for this role:\n\ngrant usage, create on schema {LEDGER_SCHEMA} to …;\n\
         grant select, insert, update, delete on {LEDGER_SCHEMA}.tracking to …;"
    ))
}

/// Reads what is remembered of a target.
pub(super) async fn load(database: &Database, scope: &Scope, table: &TableName) -> Result<KeptTracking, Errors> {
    let nothing = KeptTracking { tracking: Tracking::default(), version: 0 };
    let mut session = database.connect(scope).await?;
    let failed = |error| refused(scope, format!("look what was made of {table}"), &error);
    let transaction = session.begin().await?;
    let there = format!("select pg_catalog.to_regclass('{LEDGER_SCHEMA}.tracking') is not null");
    let row = transaction.query_typed_one(&there, &[]).await.map_err(failed)?;
    if !row.try_get::<_, bool>(0).map_err(failed)? {
        return Ok(nothing);
    }
    let sql = format!(
        "select version, tracking::text from {LEDGER_SCHEMA}.tracking where schema_name = $1 and table_name = $2"
    );
    let parameters: [(&(dyn ToSql + Sync), Type); 2] = [(&table.schema, Type::TEXT), (&table.name, Type::TEXT)];
    let Some(row) = transaction.query_typed_opt(&sql, &parameters).await.map_err(failed)? else { return Ok(nothing) };
    let text: String = row.try_get(1).map_err(failed)?;
    let tracking = serde_json::from_str(&text).map_err(|error| {
        let message =
            format!("what {LEDGER_SCHEMA}.tracking holds was damaged, or written by a later version: {error}");
        Error::new(format!("look what was made of {table}"), message)
            .advice("Use the version that wrote it. Or delete its row there, and what was made is nobody's.")
    })?;
    Ok(KeptTracking { tracking, version: row.try_get(0).map_err(failed)? })
}

/// Remembers, in the place of what was read. Returns the new version.
pub(super) async fn save(
    database: &Database,
    scope: &Scope,
    table: &TableName,
    tracking: &Tracking,
    version: i64,
) -> Result<i64, Error> {
    let mut session = database.connect(scope).await?;
    if version == 0 {
        ensure_tracking(&mut session).await?;
    }
    let failed = |error| refused(scope, doing(table), &error);
    let text = serde_json::to_string(tracking).map_err(|error| Error::new(doing(table), error.to_string()))?;
    let parameters: [(&(dyn ToSql + Sync), Type); 4] =
        [(&table.schema, Type::TEXT), (&table.name, Type::TEXT), (&version, Type::INT8), (&text, Type::TEXT)];
    let is_nothing = *tracking == Tracking::default();
    let here = "schema_name = $1 and table_name = $2 and version = $3";
    // A number that no other version ever had, also after the target was removed and made again.
    let next = "pg_catalog.pg_current_xact_id()::text::bigint";
    let (sql, used) = match (version, is_nothing) {
        (0, true) => return Ok(0),
        (0, false) => (
            format!(
                "insert into {LEDGER_SCHEMA}.tracking (schema_name, table_name, version, tracking) \
                 values ($1, $2, {next} + $3, $4::jsonb) on conflict do nothing returning version"
            ),
            4,
        ),
        (_, true) => (format!("delete from {LEDGER_SCHEMA}.tracking where {here} returning 0::bigint"), 3),
        (_, false) => (
            format!(
                "update {LEDGER_SCHEMA}.tracking set version = {next}, tracking = $4::jsonb where {here} \
                 returning version"
            ),
            4,
        ),
    };
    let transaction = session.begin().await?;
    let Some(row) = transaction.query_typed_opt(&sql, &parameters[..used]).await.map_err(failed)? else {
        return Err(Error::new(doing(table), "another run changed it since the plan was made")
            .advice("Nothing more was done. Reconcile again."));
    };
    let version = row.try_get(0).map_err(failed)?;
    transaction.commit().await.map_err(failed)?;
    Ok(version)
}
