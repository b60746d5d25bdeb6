//! Drops indexes, and what builds of them left behind.
//!
//! **Invariant:** what is not a pgvector index of the table is left alone, and nobody has to wait long behind a drop.

use std::time::Duration;

use tokio_postgres::Transaction;
use tokio_util::sync::CancellationToken;

use super::catalog::Found;
use super::observe::look_once;
use super::plan::{self, reserved};
use super::spec::VectorIndexSpec;
use crate::database::{Database, Retries, Scope, Session, TableLock};
use crate::error::Error;
use crate::name::TableName;

/// How long clearing up after a failed build may take: clearly less than a user who has stopped the run waits for it to
/// end by itself, so that the error of the build is seen. What keeps the build waiting may well keep this waiting too.
const CLEAR_UP: Duration = Duration::from_secs(3);

/// How long the short transaction that swaps indexes waits for its locks before it lets others pass.
const SWAP_LOCK_TIMEOUT: &str = "2s";

/// Drops an index and what a build of it left behind. What is not a pgvector index of that table is left alone.
pub async fn drop(
    database: &Database,
    scope: &Scope,
    table: &TableName,
    index: &TableName,
    concurrently: bool,
) -> Result<(), Error> {
    let (lock, mut session) = database.lock_table_outside_transactions(table, scope).await?;
    let result = drop_locked(&lock, &mut session, scope, table, index, concurrently).await;
    result.map_err(|error| scope.explain(error))
}

async fn drop_locked(
    lock: &TableLock,
    session: &mut Session,
    scope: &Scope,
    table: &TableName,
    index: &TableName,
    concurrently: bool,
) -> Result<(), Error> {
    let Some(sight) = look_once(lock, session, table, index).await? else { return Ok(()) };
    let concurrently = concurrently && !sight.table.partitioned;
    for (found, name) in [(sight.leftover, &reserved(index)), (sight.named, index)] {
        if matches!(found, Found::Index(_)) {
            let mut retries = Retries::new(scope);
            loop {
                match drop_one(lock, session, name, concurrently).await {
                    Ok(()) => break,
                    Err(error) => retries.after(error).await?,
                }
            }
        }
    }
    Ok(())
}

async fn drop_one(lock: &TableLock, session: &mut Session, index: &TableName, concurrently: bool) -> Result<(), Error> {
    let step = plan::drop(index, concurrently);
    let doing = format!("drop index {index}");
    if concurrently {
        return execute(session, &step.sql, &doing).await;
    }
    let transaction = begin_swap(session, lock).await?;
    execute(transaction.client(), &step.sql, &doing).await?;
    transaction.commit().await.map_err(|e| Error::postgres(doing, &e))
}

/// Drops what an interrupted build left behind, if it is still there and nobody is at work on it.
pub(super) async fn clear_leftover(
    lock: &TableLock,
    session: &mut Session,
    scope: &Scope,
    spec: &VectorIndexSpec,
    concurrently: bool,
) -> Result<(), Error> {
    let index = spec.qualified();
    let mut retries = Retries::new(scope);
    loop {
        let attempt = async {
            match look_once(lock, session, &spec.table, &index).await? {
                Some(sight) if sight.has_leftover() => {
                    drop_one(lock, session, &reserved(&index), concurrently && !sight.table.partitioned).await
                }
                _ => Ok(()),
            }
        };
        match attempt.await {
            Ok(()) => return Ok(()),
            Err(error) => retries.after(error).await?,
        }
    }
}

/// Removes the invalid index that a failed build leaves behind, under limits of its own. What does not work now is done
/// by the next apply, and the error says so.
pub(super) async fn clear_up(database: &Database, session: Session, index: &TableName, error: Error) -> Error {
    let reserved = reserved(index);
    let scope = Scope::new(CancellationToken::new(), Some(CLEAR_UP));
    match drop_unfinished(database, &scope, session, &reserved).await {
        Ok(()) => error,
        Err(obstacle) => {
            tracing::warn!(error = %obstacle, "could not clear up after the failed build of an index");
            let before = error.advised().map_or_else(String::new, |advice| format!("{advice}. "));
            error.advice(format!(
                "{before}An unfinished index {reserved} is left behind; the next apply finishes or drops it, or drop it \
                 by hand"
            ))
        }
    }
}

async fn drop_unfinished(
    database: &Database,
    scope: &Scope,
    mut session: Session,
    reserved: &TableName,
) -> Result<(), Error> {
    session.watch(scope);
    let mut retries = Retries::new(scope);
    loop {
        if session.is_closed() {
            std::mem::drop(session);
            session = database.connect(scope).await?;
        }
        let error = match drop_promptly(&session, reserved).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        // A cancel request that was on its way may hit these statements, and a lost connection shows only now.
        let passes = error.is_closed() || matches!(error.sqlstate(), Some("57014" | "57P01"));
        let again = if passes { retries.pause(&error).await } else { retries.again(&error).await };
        if !again {
            return Err(error);
        }
    }
}

async fn drop_promptly(session: &Session, index: &TableName) -> Result<(), Error> {
    let doing = format!("drop the unfinished index {index}");
    let limit = CLEAR_UP.as_millis();
    execute(session, &format!("set lock_timeout = {limit}; set statement_timeout = {limit}"), &doing).await?;
    execute(session, &plan::drop(index, true).sql, &doing).await
}

/// Starts the short transaction that swaps or drops. It does not wait long for its locks, since everybody else who
/// wants the table would have to wait behind it.
pub(super) async fn begin_swap<'a>(session: &'a mut Session, lock: &TableLock) -> Result<Transaction<'a>, Error> {
    let transaction = session.begin_locked(lock).await?;
    let sql = format!(
        "select pg_catalog.set_config('lock_timeout', '{SWAP_LOCK_TIMEOUT}', true) \
         where pg_catalog.current_setting('lock_timeout') = '0'"
    );
    transaction.batch_execute(&sql).await.map_err(|e| Error::postgres("start a transaction", &e))?;
    Ok(transaction)
}

pub(super) async fn execute(client: &tokio_postgres::Client, sql: &str, doing: &str) -> Result<(), Error> {
    client.batch_execute(sql).await.map_err(|error| Error::postgres(doing, &error))
}
