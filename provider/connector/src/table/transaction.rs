//! A transaction in which a table is changed: how long it waits for locks, and where it finds types.
//!
//! **Invariant:** a lock that is not granted soon is given up and asked for again later, so that nobody has to queue
//! behind us for long.

use std::collections::HashSet;

use tokio_postgres::Transaction;

use crate::catalog::{self, ObservedTable};
use crate::database::{Database, Session, TableLock};
use crate::error::Error;
use crate::name::{TableName, quote_idents};
use crate::pinned;

/// A number that is cast to text keeps all its digits, whatever the role is set to.
const ALL_DIGITS: (&str, &str) = ("extra_float_digits", "1");

/// How long a statement waits for a lock where the settings do not say.
const LOCK_TIMEOUT: (&str, &str) = ("lock_timeout", "2s");

/// Starts one. Types and operator classes are looked for in the table's schema, in `public`, where extensions are
/// installed, and where the session looks for them anyway.
pub(super) async fn begin<'s>(
    database: &Database,
    session: &'s mut Session,
    lock: &TableLock,
    doing: &str,
) -> Result<Transaction<'s>, Error> {
    let transaction = session.begin_locked(lock).await?;
    find_types(&transaction, lock.table(), doing).await?;
    let has_lock_timeout = database.settings().lock_timeout.is_some();
    let settings: &[_] = if has_lock_timeout { &[ALL_DIGITS] } else { &[ALL_DIGITS, LOCK_TIMEOUT] };
    pinned::pin(&transaction, settings).await.map_err(|error| Error::postgres(doing, &error))?;
    Ok(transaction)
}

/// A transaction that cannot write.
pub(super) async fn looking(session: &mut Session) -> Result<Transaction<'_>, Error> {
    let transaction = session.begin().await?;
    transaction
        .batch_execute("set transaction isolation level repeatable read, read only")
        .await
        .map_err(|error| Error::postgres("start a transaction", &error))?;
    Ok(transaction)
}

/// Sets where the rest of the transaction looks for types and operator classes.
pub(super) async fn find_types(transaction: &Transaction<'_>, table: &TableName, doing: &str) -> Result<(), Error> {
    let failed = |error| Error::postgres(doing, &error);
    let mut path = vec![table.schema.clone(), "public".to_owned()];
    path.extend(catalog::extension_schemas(transaction).await.map_err(failed)?);
    let row =
        transaction.query_typed_one("select pg_catalog.current_schemas(false)::text[]", &[]).await.map_err(failed)?;
    path.extend(row.try_get::<_, Vec<String>>(0).map_err(failed)?);
    let mut seen = HashSet::new();
    path.retain(|schema| seen.insert(schema.clone()));
    pinned::pin(transaction, &[("search_path", quote_idents(path).as_str())]).await.map_err(failed)?;
    Ok(())
}

/// Reads one table.
pub(super) async fn observe(
    transaction: &Transaction<'_>,
    name: &TableName,
    doing: &str,
) -> Result<Option<ObservedTable>, Error> {
    let mut found = catalog::read(transaction, &[name]).await.map_err(|error| Error::postgres(doing, &error))?;
    Ok(found.remove(name))
}
