//! Connections: a bounded lazy pool, cancelling, and one lock per table.
//!
//! An operation asks for what it needs in one go: `Database::ask` for what the catalogue tells, in one look with all who
//! ask at the same time, [`Database::connect`] to look otherwise, [`Database::lock_table`] to change a table in
//! transactions, [`Database::lock_table_outside_transactions`] for statements that refuse to run in one.
//!
//! **Invariant:** whoever holds a connection never waits for a table's mutex or for an answer, and whoever needs two
//! connections takes both at once. So operations queue but never wait in a circle, also with a single connection.
//!
//! **Behind PgBouncer** in transaction mode, settings and session locks do not outlive a transaction: statements that
//! matter run in [`Session::begin_locked`], which sets and locks inside its own transaction. Prefer `query_typed` and
//! `simple_query`, which leave no named prepared statement behind. Work outside transactions needs session mode.

mod advice;
mod connection;
mod dial;
mod lock;
mod password_command;
mod pool;
mod read_only;
mod remarks;
mod retry;
mod scope;
mod session;
mod together;
mod watchdog;

use std::sync::Arc;

use crate::error::{Error, Errors};
use crate::name::TableName;
use crate::settings::Settings;

pub use lock::TableLock;
pub(crate) use remarks::remarks;
pub use retry::{Retries, is_transient};
pub use scope::{Scope, Stop};
pub use session::{Notice, Session};
pub(crate) use together::Question;

/// A database that connections are made to when first needed. Clones share the pool.
#[derive(Clone, Debug)]
pub struct Database(Arc<pool::Pool>);

impl Database {
    /// A database with these settings. Certificates are read and checked; nothing is connected yet.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        Ok(Self(Arc::new(pool::Pool::new(settings)?)))
    }

    /// The database that a connection string names: a URI, or `key=value` pairs as libpq reads them.
    pub fn from_url(connection_string: &str) -> Result<Self, Errors> {
        Ok(Self::new(Settings::parse(connection_string)?)?)
    }

    /// The settings that connections are made with.
    pub fn settings(&self) -> &Settings {
        self.0.settings()
    }

    /// Takes a connection, waiting for room in the pool. For looking: changes of a table need its lock.
    pub async fn connect(&self, scope: &Scope) -> Result<Session, Error> {
        let [session] = self.0.sessions(scope).await?;
        Ok(session)
    }

    /// Answers a question in one look with what other operations ask at the same time. Who asks must hold no connection.
    pub(crate) async fn ask<Q: Question>(&self, scope: &Scope, question: Q) -> Result<Q::Answer, Error> {
        together::ask(self, scope, question).await
    }

    /// Takes the table's mutex in this process, then a connection, for work inside transactions: each transaction
    /// takes the cross-process lock itself with [`Session::begin_locked`].
    pub async fn lock_table(&self, table: &TableName, scope: &Scope) -> Result<(TableLock, Session), Error> {
        lock::for_transactions(&self.0, table, scope).await
    }

    /// The same for work that cannot run inside a transaction (a concurrent index build): the cross-process lock is
    /// held by a second, otherwise idle transaction, or by the session itself where only one connection is allowed.
    /// The session's `lock_timeout` and `statement_timeout` are off: the scope is the limit, since a concurrent build
    /// that hits either one leaves an invalid index behind.
    pub async fn lock_table_outside_transactions(
        &self,
        table: &TableName,
        scope: &Scope,
    ) -> Result<(TableLock, Session), Error> {
        lock::outside_transactions(&self.0, table, scope).await
    }
}
