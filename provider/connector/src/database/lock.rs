//! One at a time on each table: a mutex in this process, an advisory lock across processes.
//!
//! **Invariant:** the mutex comes first, then all connections at once, then the advisory lock, which is only ever asked
//! for and never waited for on the server: a session that waits for it holds a snapshot, and deadlocks with a
//! concurrent index build that waits for that snapshot. For the same reason no transaction outlives a try that failed.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedMutexGuard;
use tokio_postgres::{Client, SimpleQueryMessage};

use super::pool::Pool;
use super::read_only;
use super::retry::Backoff;
use super::scope::Scope;
use super::session::Session;
use crate::error::Error;
use crate::name::{TableName, short_hash};

/// Keeps every other statement of ours on that table waiting, in this process and in others.
#[derive(Debug)]
pub struct TableLock {
    table: TableName,
    guard: Option<OwnedMutexGuard<()>>,
    holder: Holder,
}

/// What holds the cross-process half of the lock.
#[derive(Debug)]
enum Holder {
    /// Each transaction takes it for itself.
    EachTransaction,
    /// A second session, in a transaction that does nothing else.
    Idle(Box<Session>),
    /// The session that does the work; returning it to the pool releases the lock.
    WorkingSession,
}

impl TableLock {
    /// The table.
    pub fn table(&self) -> &TableName {
        &self.table
    }

    /// Whether transactions have to take the cross-process lock.
    pub(super) fn is_taken_by_transactions(&self) -> bool {
        matches!(self.holder, Holder::EachTransaction)
    }
}

impl Drop for TableLock {
    fn drop(&mut self) {
        if let (Holder::Idle(session), Some(guard)) = (&mut self.holder, self.guard.take()) {
            session.keep(guard);
        }
    }
}

/// See [`super::Database::lock_table`].
pub(super) async fn for_transactions(
    pool: &Arc<Pool>,
    table: &TableName,
    scope: &Scope,
) -> Result<(TableLock, Session), Error> {
    let guard = mutex(pool, table, scope).await?;
    let [session] = pool.sessions(scope).await?;
    Ok((TableLock { table: table.clone(), guard: Some(guard), holder: Holder::EachTransaction }, session))
}

/// See [`super::Database::lock_table_outside_transactions`].
pub(super) async fn outside_transactions(
    pool: &Arc<Pool>,
    table: &TableName,
    scope: &Scope,
) -> Result<(TableLock, Session), Error> {
    let guard = mutex(pool, table, scope).await?;
    let (holder, session) = if pool.settings().max_connections == 1 {
        let [session] = pool.sessions(scope).await?;
        poll(scope, table, &session, Until::SessionEnds).await?;
        (Holder::WorkingSession, session)
    } else {
        let [mut holder, session] = pool.sessions(scope).await?;
        holder.lock_in_idle_transaction(table).await?;
        (Holder::Idle(Box::new(holder)), session)
    };
    session
        .batch_execute("set lock_timeout = 0; set statement_timeout = 0;")
        .await
        .map_err(|error| scope.explain(Error::postgres(doing(table), &error)))?;
    Ok((TableLock { table: table.clone(), guard: Some(guard), holder }, session))
}

async fn mutex(pool: &Pool, table: &TableName, scope: &Scope) -> Result<OwnedMutexGuard<()>, Error> {
    let mutex = pool.table(table);
    scope
        .run(&format!("{}: another operation of this run is still working on it", doing(table)), mutex.lock_owned())
        .await
}

fn doing(table: &TableName) -> String {
    format!("lock table {table}")
}

/// The advisory lock's key: the same in every process and database.
fn key(table: &TableName) -> i64 {
    // No name holds a NUL, so the parts cannot run into each other.
    short_hash(&format!("terraform-provider-pg\0{}\0{}\0", table.schema, table.name)).cast_signed()
}

/// How long the lock is held once it is granted.
#[derive(Clone, Copy, Debug)]
pub(super) enum Until<'a> {
    /// Until the transaction ends in which it was granted. These are the statements with which a transaction begins.
    TransactionEnds(&'a str),
    /// Until the session gives it back.
    SessionEnds,
}

/// Asks for the lock until it is granted. Who asks is about to write, so a session that takes no writes is an error.
///
/// Each try has a transaction of its own. A concurrent index build waits for the end of every transaction that it once saw
/// with a snapshot, even when only the try had one: were the next tries made in the same transaction, the build that has
/// the lock would wait for the one that asks for it.
pub(super) async fn poll(scope: &Scope, table: &TableName, client: &Client, until: Until<'_>) -> Result<(), Error> {
    let function = match until {
        Until::TransactionEnds(_) => "pg_catalog.pg_try_advisory_xact_lock",
        Until::SessionEnds => "pg_catalog.pg_try_advisory_lock",
    };
    let sql = format!("select {function}({}), {}", key(table), read_only::IS_READ_ONLY);
    let fault = |error| scope.explain(Error::postgres(doing(table), &error));
    let mut backoff = Backoff::new(Duration::from_millis(10), Duration::from_millis(500));
    loop {
        let messages = client.simple_query(&sql).await.map_err(fault)?;
        let says = |at: usize, word: &str| {
            messages.iter().any(|message| matches!(message, SimpleQueryMessage::Row(row) if row.get(at) == Some(word)))
        };
        if says(1, "on") {
            return Err(read_only::refusal(client, table).await);
        }
        if says(0, "t") {
            return Ok(());
        }
        if let Until::TransactionEnds(begin) = until {
            client.batch_execute(&format!("rollback and chain; {begin}")).await.map_err(fault)?;
        }
        let waiting = format!("{}: another run of this provider is still working on it", doing(table));
        scope.run(&waiting, backoff.wait()).await?;
    }
}

/// Starts a transaction that does nothing but hold the lock. Server-side limits on idle and long transactions do not
/// apply to it: the work it guards may take hours.
pub(super) async fn begin_idle(scope: &Scope, table: &TableName, client: &Client) -> Result<(), Error> {
    client
        .batch_execute(&format!("begin isolation level read committed; {UNLIMITED}"))
        .await
        .map_err(|error| scope.explain(Error::postgres(doing(table), &error)))?;
    poll(scope, table, client, Until::TransactionEnds(UNLIMITED)).await
}

/// Lifts the limits of a transaction. `set local` would be refused where the server does not know the limit yet.
const UNLIMITED: &str = "select pg_catalog.set_config(name, '0', true) from pg_catalog.pg_settings where name in \
    ('idle_in_transaction_session_timeout', 'transaction_timeout', 'statement_timeout')";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_stable_and_tell_tables_apart() {
        // Another process, perhaps of another version, must come to the same key.
        assert_eq!(key(&TableName::new("public", "products")), -1_398_970_183_321_745_814);
        assert_ne!(key(&TableName::new("a", "bc")), key(&TableName::new("ab", "c")));
    }
}
