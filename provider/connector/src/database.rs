//! Connections: a bounded lazy pool, cancelling, and one lock per table.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use crate::error::Error;
use crate::name::TableName;
use crate::settings::Settings;

/// The limits of one operation: when it fires or passes, running statements are cancelled on the server.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// Fires when the user asks to stop.
    pub cancel: CancellationToken,
    /// When the operation's time is up.
    pub deadline: Option<Instant>,
}

/// A database that connections are made to when first needed.
#[derive(Clone, Debug)]
pub struct Database(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    #[expect(dead_code)]
    settings: Settings,
}

/// A connection taken from the pool for one operation; it returns to the pool clean, or not at all.
pub struct Session {
    client: tokio_postgres::Client,
}

/// Keeps every other statement of ours on that table waiting, in this process and in others.
#[derive(Debug)]
pub struct TableLock {}

impl Deref for Session {
    type Target = tokio_postgres::Client;

    fn deref(&self) -> &Self::Target {
        &self.client
    }
}

impl Database {
    /// A database with these settings. Nothing is connected yet.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        Ok(Self(Arc::new(Inner { settings })))
    }

    /// Takes a connection, waiting for room in the pool.
    pub async fn connect(&self, _scope: &Scope) -> Result<Session, Error> {
        todo!("the settings and sessions work fills this in")
    }

    /// Takes the table's mutex in this process, then a connection, for work inside transactions: each transaction
    /// takes the cross-process lock itself with [`Session::begin`].
    pub async fn lock_table(&self, _table: &TableName, _scope: &Scope) -> Result<(TableLock, Session), Error> {
        todo!("the settings and sessions work fills this in")
    }

    /// The same for work that cannot run inside a transaction (a concurrent index build): the cross-process lock is
    /// held by a second, otherwise idle transaction, or by the session itself where only one connection is allowed.
    pub async fn lock_table_outside_transactions(
        &self,
        _table: &TableName,
        _scope: &Scope,
    ) -> Result<(TableLock, Session), Error> {
        todo!("the settings and sessions work fills this in")
    }
}
