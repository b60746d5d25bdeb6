//! A connection lent to one operation.
//!
//! **Invariant:** a session goes back to the pool clean (no transaction, no statement running, its settings as they
//! began) or is closed; either way its place in the pool is free only afterwards.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;
use tokio_postgres::error::DbError;
use tokio_postgres::{Client, Transaction};

use super::connection::Connection;
use super::dial::millis;
use super::lock::{self, TableLock, Until};
use super::pool::Pool;
use super::scope::Scope;
use super::watchdog::Watchdog;
use crate::error::Error;
use crate::name::TableName;

/// A connection taken from the pool for one operation; it returns to the pool clean, or not at all. While it is out,
/// what runs in it is cancelled on the server when the operation is cancelled or its time is up.
#[derive(Debug)]
pub struct Session {
    lent: Option<Lent>,
    scope: Scope,
    watchdog: Watchdog,
}

#[derive(Debug)]
struct Lent {
    connection: Connection,
    pool: Arc<Pool>,
    permit: OwnedSemaphorePermit,
    in_transaction: bool,
    /// Whether the connection must not be used again.
    spoilt: bool,
    /// Whether the connection is as it was taken.
    unchanged: bool,
    /// What is to be released only once the server has released what the session holds.
    keeps: Option<tokio::sync::OwnedMutexGuard<()>>,
}

/// How long a statement may wait for a lock, and run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) lock: Duration,
    pub(super) statement: Duration,
}

/// What the server remarked while statements ran.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Notice {
    /// `NOTICE`, `WARNING`, `INFO`, …
    pub severity: String,
    /// The SQLSTATE.
    pub sqlstate: String,
    /// The primary message.
    pub message: String,
    /// DETAIL.
    pub detail: Option<String>,
    /// HINT.
    pub hint: Option<String>,
}

impl Session {
    pub(super) fn new(connection: Connection, scope: Scope, pool: Arc<Pool>, permit: OwnedSemaphorePermit) -> Self {
        let watchdog = Watchdog::new(scope.clone(), connection.canceller());
        let lent =
            Lent { connection, pool, permit, in_transaction: false, spoilt: false, unchanged: false, keeps: None };
        Self { lent: Some(lent), scope, watchdog }
    }

    /// Starts a transaction with the configured timeouts, also where a pooler forgets session settings. Dropping it
    /// rolls it back.
    pub async fn begin(&mut self) -> Result<Transaction<'_>, Error> {
        let set = self.set_local();
        let scope = self.scope.clone();
        let fault = |error| scope.explain(Error::postgres("start a transaction", &error));
        // Whatever the database's default is: what is looked at after a lock was granted must be what is there then.
        let builder = self.lent_mut().connection.client.build_transaction();
        let transaction =
            builder.isolation_level(tokio_postgres::IsolationLevel::ReadCommitted).start().await.map_err(fault)?;
        if !set.is_empty() {
            transaction.batch_execute(&set).await.map_err(fault)?;
        }
        Ok(transaction)
    }

    /// Starts a transaction as [`Session::begin`] does, and in it takes the table's cross-process lock, asking again
    /// until it is granted or the operation has to stop. Where `lock` holds it already, nothing is taken.
    pub async fn begin_locked(&mut self, lock: &TableLock) -> Result<Transaction<'_>, Error> {
        let scope = self.scope.clone();
        let set = self.set_local();
        let transaction = self.begin().await?;
        if lock.is_taken_by_transactions() {
            lock::poll(&scope, lock.table(), transaction.client(), Until::TransactionEnds(&set)).await?;
        }
        Ok(transaction)
    }

    /// Takes what the server remarked since the last call.
    pub fn take_notices(&self) -> Vec<Notice> {
        self.lent().connection.take_notices()
    }

    /// Has the connection closed in the end instead of given back: what foreign SQL does to it must not reach other
    /// operations.
    pub fn spoil(&mut self) {
        self.lent_mut().spoilt = true;
    }

    /// The statements that start a transaction that only looks, at one snapshot; with limits, the configured timeouts are
    /// no longer than these.
    pub(super) fn begin_look(&self, limits: Option<Limits>) -> String {
        let shorter = |configured: Option<Duration>, limit: Option<Duration>| match configured {
            // Zero switches a timeout off.
            Some(configured) if !configured.is_zero() => Some(limit.map_or(configured, |limit| configured.min(limit))),
            off => limit.or(off),
        };
        let settings = self.lent().pool.settings();
        let lock_timeout = shorter(settings.lock_timeout, limits.map(|limits| limits.lock));
        let statement_timeout = shorter(settings.statement_timeout, limits.map(|limits| limits.statement));
        format!("begin isolation level repeatable read, read only; {}", set_local(lock_timeout, statement_timeout))
    }

    /// Gives the connection back as it is, without clearing it up, so that it can be used again at once: for who only
    /// looked, in transactions that were rolled back, which leaves nothing behind.
    pub(crate) fn give_back(mut self) {
        self.lent_mut().unchanged = true;
    }

    /// The limits of the operation that has the session.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Puts the session under other limits: for clearing up after the first ones have ended. A cancel request that is
    /// already on its way may still arrive, so the first statement should be one that can be repeated.
    pub fn watch(&mut self, scope: &Scope) {
        let barked = self.watchdog.stop();
        self.scope = scope.clone();
        self.watchdog = Watchdog::new(scope.clone(), self.lent().connection.canceller());
        self.watchdog.inherit(barked);
    }

    /// Starts a transaction that does nothing but hold the table's lock until the session is dropped.
    pub(super) async fn lock_in_idle_transaction(&mut self, table: &TableName) -> Result<(), Error> {
        self.lent_mut().in_transaction = true;
        lock::begin_idle(&self.scope, table, &self.lent().connection.client).await
    }

    /// Keeps the mutex locked until the server has released what this session holds.
    pub(super) fn keep(&mut self, guard: tokio::sync::OwnedMutexGuard<()>) {
        self.lent_mut().keeps = Some(guard);
    }

    fn set_local(&self) -> String {
        let settings = self.lent().pool.settings();
        set_local(settings.lock_timeout, settings.statement_timeout)
    }

    #[expect(clippy::expect_used, reason = "only drop takes it out")]
    fn lent(&self) -> &Lent {
        self.lent.as_ref().expect("the session is still lent")
    }

    #[expect(clippy::expect_used, reason = "only drop takes it out")]
    fn lent_mut(&mut self) -> &mut Lent {
        self.lent.as_mut().expect("the session is still lent")
    }
}

/// The statements that set the configured timeouts for a transaction.
fn set_local(lock_timeout: Option<Duration>, statement_timeout: Option<Duration>) -> String {
    [("lock_timeout", lock_timeout), ("statement_timeout", statement_timeout)]
        .into_iter()
        .filter_map(|(name, value)| Some(format!("set local {name} = {};", millis(value?))))
        .collect::<Vec<_>>()
        .join(" ")
}

impl Deref for Session {
    type Target = Client;

    fn deref(&self) -> &Self::Target {
        &self.lent().connection.client
    }
}

impl DerefMut for Session {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.lent_mut().connection.client
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let barked = self.watchdog.stop();
        let Some(lent) = self.lent.take() else { return };
        let Lent { connection, pool, permit, in_transaction, spoilt, unchanged, keeps } = lent;
        if unchanged && !(barked || spoilt || connection.client.is_closed()) {
            connection.take_notices();
            pool.put_back(connection);
            return;
        }
        // Without a runtime the connection's own task is gone, and with it the connection.
        let Ok(runtime) = Handle::try_current() else { return };
        runtime.spawn(async move {
            if barked || spoilt || connection.client.is_closed() {
                connection.close().await;
            } else if let Some(connection) = connection.reset(in_transaction).await {
                pool.put_back(connection);
            }
            drop(keeps);
            drop(permit);
        });
    }
}

impl From<&DbError> for Notice {
    fn from(notice: &DbError) -> Self {
        Self {
            severity: notice.severity().to_owned(),
            sqlstate: notice.code().code().to_owned(),
            message: notice.message().to_owned(),
            detail: notice.detail().map(str::to_owned),
            hint: notice.hint().map(str::to_owned),
        }
    }
}
